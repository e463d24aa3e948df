"""`audit.html`: one file that opens offline, refers to nothing outside itself and runs no script.

It wears the clothes of the lab's report: the same style sheet, axis and marks. What an endpoint said is untrusted;
the template escapes it, and a content security policy forbids every fetch and every script.
"""

from __future__ import annotations

from functools import cache

from jinja2 import Environment
from markupsafe import Markup

from lab.audit.conclude.measured import SampleResult
from lab.audit.report import lanes
from lab.audit.report.rows import COLUMNS, exit_code, headline, only_direct, problems, reasons_why_not, rows, untold
from lab.audit.results import AuditResults
from lab.errors import ExitCode
from lab.printable import printable
from lab.reports import phrases
from lab.reports.pages import page_environment
from lab.reports.scale import Scale
from lab.reports.style import page_style

MOST_LANES = 60
"""How many samples are drawn; all of them are in `audit.json`."""


_Picture = tuple[int, SampleResult, lanes.Lane]
"""A sample, its number, and how it is drawn."""


def audit_page(results: AuditResults) -> str:
    """The whole page."""
    scale = lanes.scale_of(results.samples)
    return (
        _environment()
        .get_template("audit.html.j2")
        .render(
            results=results,
            found=results.conclusions,
            headline=headline(results),
            why_not=reasons_why_not(results),
            only_direct=only_direct(results),
            problems=problems(results),
            tone=_tone(results),
            said=results.stopped_by is ExitCode.REQUIREMENT_FAILED,
            columns=COLUMNS,
            rows=rows(results),
            pictures=_pictures(results, scale),
            hidden=max(0, len(results.samples) - MOST_LANES),
            style=page_style(("lab.audit.report", "audit.css")),
        )
    )


def _pictures(results: AuditResults, scale: Scale) -> list[tuple[int, SampleResult, lanes.Lane, list[_Picture]]]:
    """The first answer of each kind with its picture, and behind it the others that were asked and ended alike."""
    kinds: dict[tuple[object, ...], list[_Picture]] = {}
    for number, sample in enumerate(results.samples[:MOST_LANES], 1):
        kind = sample.route, sample.http, bool(sample.accept_encoding), sample.ending, sample.status, sample.judged
        kinds.setdefault(kind, []).append((number, sample, lanes.lane(sample, scale)))
    return [(*first, others) for first, *others in kinds.values()]


def _tone(results: AuditResults) -> str:
    if exit_code(results) is ExitCode.REQUIREMENT_FAILED:
        return "failed"
    return "unknown" if results.stopped or untold(results) else "good"


def _coded(line: str) -> Markup:
    """A line in which what stands between backticks is code."""
    parts = printable(line).split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else part for place, part in enumerate(parts)
    )


def _capitalised(sentence: str) -> str:
    """With a great first letter; the rest stays as it is."""
    return printable(sentence[:1].upper() + sentence[1:])


@cache
def _environment() -> Environment:
    environment = page_environment("lab.audit.report", "lab.reports")
    environment.filters.update(seconds=phrases.seconds, printable=printable, coded=_coded, capitalised=_capitalised)
    environment.globals.update(lanes=lanes)
    return environment
