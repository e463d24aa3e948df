"""`results.json`: everything that a report needs, and nothing that a report could ask a container for.

The run writes it, the reports read it, and a saved file can be turned into any report again. Times are
seconds from the start of their own exchange, so that two timelines can lie beside each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from lab.saved import Format, load_saved, write_saved
from lab.vocabulary import Cause, Delivery, Ending, Group, Outcome, Precedence, Requirement, Saved, Variant

FORMAT_VERSION = 3


@dataclass(frozen=True)
class TokenTimes:
    """One token: its number, when it left the model server and when it reached the probe.

    Either time is None where that end never had the token; both in seconds from the request.
    """

    number: int
    left: float | None
    arrived: float | None


@dataclass(frozen=True)
class ExchangeResult:
    """One exchange: the plan, the verdict and the two timelines.

    `planned` counts the tokens of the whole answer, `written` those that left the model server, `received`
    those that came. `timeout` is the value, in seconds, of the timeout that ended it. `heartbeats` are the times at
    which heartbeats left.
    """

    name: str
    plan: str
    wire_format: str
    stream: bool
    delivery: Delivery
    ending: Ending
    cause: Cause | None
    timeout: float | None
    sentence: str
    flags: tuple[str, ...]
    received: int
    written: int | None
    planned: int
    status: int | None
    transport_end: str
    first_token: float | None
    longest_silence: float
    total: float
    attempts: int
    tokens: tuple[TokenTimes, ...]
    heartbeats: tuple[float, ...] = ()


@dataclass(frozen=True)
class FindingResult:
    """One statement of the verdict: what was required, what was expected, and what came, with numbers.

    `up_to` is the wait, in seconds, up to which it was shown to be met; None where it is about no wait, or not met.
    `remedy` has the tested lines that mend it, where it is not met and the lab knows some. `about` is the id of the
    requirement that was observed; None where the statement is about the case. `known_unmet` says that the requirement
    is not met, as the scenario knew beforehand: no configuration of that product meets it.
    """

    met: bool
    requirement: str
    expected: str
    actual: str
    up_to: float | None = None
    remedy: str = ""
    about: Requirement | None = None
    known_unmet: bool = False


@dataclass(frozen=True)
class CaseResult:
    """One case of one scenario behind one proxy.

    Args:
        label: `broken`, `fixed`, `fixed-<way>`, `not-affected` or `real-defaults`.
        title: what this side is, in a few words; empty where the label says it all.
        outcome: whether it went as the scenario says; for a broken variant, passed means that the symptom
            was reproduced.
        seconds: wall time of its exchanges.
        config_name: the configuration file's path below the scenarios' folder.
        config: its text as the proxy was given it, before ports were filled in.
        log: the proxy's last log lines.
        problem: why there is no verdict, where the outcome is a fault of set-up or harness, or a skip.
        measured: how often it was measured; more than once where the machine was too busy, and then this is what came
            of the last time.
        busy: what the machine was too busy for, the last time that it was; empty if it never was.
    """

    label: str
    variant: Variant
    title: str
    outcome: Outcome
    findings: tuple[FindingResult, ...]
    exchanges: tuple[ExchangeResult, ...]
    seconds: float
    config_name: str
    config: str
    log: tuple[str, ...] = ()
    problem: str = ""
    measured: int = 1
    busy: str = ""


@dataclass(frozen=True)
class ProxyResult:
    """One scenario behind one proxy: all its cases."""

    proxy: str
    product: str
    cases: tuple[CaseResult, ...]


@dataclass(frozen=True)
class ScenarioResult:
    """One scenario: its story and its proxies."""

    id: str
    title: str
    group: Group
    requirement: str
    readme: str
    sources: tuple[str, ...]
    proxies: tuple[ProxyResult, ...]


@dataclass(frozen=True)
class SnippetResult:
    """A file that users copy: its path where a configuration includes it, and its text as it was tested."""

    path: str
    text: str


@dataclass(frozen=True)
class ProductResult:
    """A product that took part, whatever its versions.

    Args:
        name: as in `ProxyResult.product`.
        title: as its makers write it.
        installed: the text of its configuration as installed.
        snippets: what its configurations may include.
    """

    name: str
    title: str
    installed: str
    snippets: tuple[SnippetResult, ...]


@dataclass(frozen=True)
class ImageResult:
    """One image that took part: which it was, what its binary said, and how it was had."""

    key: str
    reference: str
    image_id: str
    version: str
    how: str


@dataclass(frozen=True)
class Results:
    """One run of the lab.

    Args:
        started: local date and time in ISO 8601.
        wall_seconds: from the first start of a container to the last verdict.
        longest: the id of the case whose exchanges took longest.
        longest_seconds: how long those took.
        probe: how the probe came to run before other processes of its machine.
        model_server: the same of the model server.
    """

    format_version: int
    lab_version: str
    started: str
    machine: str
    engine: str
    wall_seconds: float
    longest: str
    longest_seconds: float
    real_defaults: bool
    products: tuple[ProductResult, ...]
    images: tuple[ImageResult, ...]
    scenarios: tuple[ScenarioResult, ...]
    probe: Precedence = Precedence.NONE
    model_server: Precedence = Precedence.NONE
    kind: Literal[Saved.RUN] = Saved.RUN

    def cases(self) -> list[tuple[ScenarioResult, ProxyResult, CaseResult]]:
        """Every case with the proxy and the scenario that it belongs to, in order."""
        return [
            (scenario, proxy, case) for scenario in self.scenarios for proxy in scenario.proxies for case in proxy.cases
        ]


FORMAT = Format(Saved.RUN, FORMAT_VERSION, TypeAdapter(Results))


def save(results: Results, path: Path) -> None:
    """Write `results.json`, whole or not at all."""
    write_saved(path, FORMAT, results)


def load(path: Path) -> Results:
    """Read a saved `results.json`; `BadInput` names the file and what is wrong in it."""
    return load_saved(path, FORMAT)
