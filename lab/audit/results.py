"""`audit.json`: everything that a report on an audit needs, without a key and without any body.

The run writes it and the reports read it; from a saved file every report can be made again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from lab.audit.conclude.findings import Conclusions
from lab.audit.conclude.measured import SampleResult
from lab.errors import ExitCode
from lab.saved import Format, load_saved, write_saved
from lab.vocabulary import Saved

FORMAT_VERSION = 3


@dataclass(frozen=True)
class RouteResult:
    """One route: its name and its address."""

    name: str
    url: str


@dataclass(frozen=True)
class AuditResults:
    """One audit.

    Args:
        started: local date and time in ISO 8601.
        wall_seconds: from the first request to the last end.
        wire_format: the dialect.
        model: the model's name.
        longest: the longest answer to expect, in seconds, as the user said; None if nothing was said.
        requests: how many requests were made.
        planned: how many would have been made.
        max_tokens: the limit of each.
        stopped: why the audit ended early, in words; empty if it did not.
        remedy: what to do about that.
        stopped_by: the exit code that this amounts to; 0 if it was not stopped, or by hand.
        notes: what was left out, and why.
        unmeasured: the other routes that could not be measured, each with its reason and remedy.
        conclusions: what follows from the samples; None where nothing came to conclude from.
    """

    format_version: int
    lab_version: str
    started: str
    wall_seconds: float
    routes: tuple[RouteResult, ...]
    wire_format: str
    model: str
    longest: float | None
    requests: int
    planned: int
    max_tokens: int
    stopped: str
    remedy: str
    stopped_by: ExitCode
    notes: tuple[str, ...]
    samples: tuple[SampleResult, ...]
    conclusions: Conclusions | None
    unmeasured: tuple[str, ...] = ()
    kind: Literal[Saved.AUDIT] = Saved.AUDIT


FORMAT = Format(Saved.AUDIT, FORMAT_VERSION, TypeAdapter(AuditResults))


def save(results: AuditResults, path: Path) -> None:
    """Write `audit.json`, whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    write_saved(path, FORMAT, results)


def load(path: Path) -> AuditResults:
    """Read a saved `audit.json`.

    Raises:
        BadInput: names the file and what is wrong in it.
    """
    return load_saved(path, FORMAT)
