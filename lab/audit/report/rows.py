"""What every report on an audit says, in words: the headline, a row for each route and setting, the exit code."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from lab.audit.conclude.confidence import Confidence, Problem, Severity
from lab.audit.conclude.findings import Conclusions, EndingCount, GroupFinding
from lab.audit.conclude.metrics import Metrics
from lab.audit.results import AuditResults
from lab.errors import ExitCode
from lab.reports.phrases import plural, seconds

COLUMNS = (
    *("Route", "HTTP", "Coding", "First byte", "First token", "Gap at most", "Events a read"),
    *("Delivery", "Ending", "Confidence"),
)

_GOOD = "Nothing is known to be wrong."
_WARNED = "Nothing is known to fail."


@dataclass(frozen=True)
class GroupRow:
    """One route and setting.

    Args:
        route: the route's name.
        http: the version that was asked for.
        offered: whether content codings were offered.
        cells: a text for each of `COLUMNS`.
        reasons: of each verdict the subject, the word and the reason.
    """

    route: str
    http: str
    offered: bool
    cells: tuple[str, ...]
    reasons: tuple[tuple[str, str, str], ...]

    @property
    def named(self) -> list[tuple[str, str]]:
        """Each cell with its column's name."""
        return list(zip(COLUMNS, self.cells, strict=True))


def headline(results: AuditResults) -> str:
    """The verdict in a sentence or two; what ended the audit, where that is the verdict."""
    found = results.conclusions
    if results.stopped_by is ExitCode.REQUIREMENT_FAILED:
        return f"The path fails. {results.stopped}."
    if found is None:
        return f"Nothing was learnt about the path: {results.stopped or 'no answer came'}."
    groups = _audited(found)
    failures = sum(problem.severity is Severity.FAILURE for problem in found.problems)
    warnings = len(found.problems) - failures
    open_ = " and ".join(untold(results))
    fine = _WARNED if warnings else _GOOD
    good = f"{fine[:-1]}, but the audit cannot tell {open_}." if open_ else fine
    parts = [
        "The path fails." if found.failed else good,
        f"Delivery: {_deliveries(groups)}.",
        f"Endings: {_endings(groups)}.",
        f"Of the routes, {found.culprit} is the one that makes it worse." if found.culprit else "",
        f"{plural(failures, 'failure')}, see below." if failures > 1 else "",
        f"{plural(warnings, 'warning')}, see below." if warnings and not failures else "",
    ]
    return " ".join(part for part in parts if part)


def problems(results: AuditResults) -> tuple[Problem, ...]:
    """What is wrong beside the verdict: where the only answer ended the audit, its failure is the verdict itself."""
    found = results.conclusions.problems if results.conclusions else ()
    alone = results.stopped_by is ExitCode.REQUIREMENT_FAILED and sum(one.judged for one in results.samples) == 1
    return tuple(one for one in found if not alone or one.severity is not Severity.FAILURE)


def untold(results: AuditResults) -> tuple[str, ...]:
    """What the audit could not tell, in words that end a sentence; empty where it told everything that it asked."""
    found = results.conclusions
    if found is None:
        return ("anything",)
    groups = _audited(found)
    delivery = any(group.delivery.confidence is Confidence.CANNOT_TELL for group in groups)
    ending = any(each.example.ending is None for group in groups for each in group.endings)
    return tuple(
        words
        for words, holds in (
            ("how tokens are delivered", delivery),
            ("how answers end", ending),
            ("what the path adds, as not every route could be measured", bool(results.unmeasured)),
        )
        if holds
    )


def reasons_why_not(results: AuditResults) -> tuple[str, ...]:
    """Why nobody can tell, each reason once, and the routes that could not be measured."""
    groups = _audited(results.conclusions) if results.conclusions else []
    unknown = [group.delivery.reason for group in groups if group.delivery.confidence is Confidence.CANNOT_TELL]
    ends = [each.example.reason for group in groups for each in group.endings if each.example.ending is None]
    said = [
        *(f"Delivery cannot be told: {reason}.{_and_others(unknown)}" for reason in unknown[:1]),
        *(f"The ending cannot be told: {reason}.{_and_others(ends)}" for reason in ends[:1]),
        *(f"{reason[0].upper()}{reason[1:]}" for reason in results.unmeasured),
    ]
    return tuple(said)


def only_direct(results: AuditResults) -> str:
    """What only the model's own address would tell, with the command that asks it; empty where nothing is left."""
    if results.conclusions is None or not results.conclusions.only_direct:
        return ""
    url = shlex.quote(results.routes[0].url)
    return (
        f"Only the model's own address would tell: {results.conclusions.only_direct}. "
        f"lab audit {url} --direct http://MODEL:PORT"
    )


def _and_others(reasons: Sequence[str]) -> str:
    return " The other settings have reasons of their own, below." if len(set(reasons)) > 1 else ""


def _audited(found: Conclusions) -> list[GroupFinding]:
    return [group for group in found.groups if group.route == found.groups[0].route]


def _deliveries(groups: Sequence[GroupFinding]) -> str:
    """How the tokens come, and in which settings otherwise."""
    settings: dict[str, list[str]] = {}
    for group in groups:
        finding = group.delivery
        known = finding.confidence is not Confidence.CANNOT_TELL
        word = f"{finding.delivery.value} ({finding.confidence})" if known else "cannot tell"
        coding = " with a content coding offered" if group.accept_encoding else ""
        settings.setdefault(word, []).append(f"HTTP/{group.http}{coding}")
    if len(settings) == 1:
        return next(iter(settings))
    return "; ".join(f"{word} over {' and '.join(where)}" for word, where in settings.items())


def _endings(groups: Sequence[GroupFinding]) -> str:
    counts: dict[str, int] = {}
    for group in groups:
        for each in group.endings:
            word = each.example.ending.value if each.example.ending else "unknown"
            counts[word] = counts.get(word, 0) + each.count
    return ", ".join(f"{count} {word}" for word, count in counts.items())


def exit_code(results: AuditResults, *, strict: bool = False) -> ExitCode:
    """1 where the path does what a streaming path must not do, by the verdict or by what ended the audit.

    Args:
        results: the audit.
        strict: whether what nobody can tell counts as a failure too.
    """
    failed = results.stopped_by is ExitCode.REQUIREMENT_FAILED or (strict and bool(untold(results)))
    if failed or (results.conclusions is not None and results.conclusions.failed):
        return ExitCode.REQUIREMENT_FAILED
    return ExitCode.AS_REQUIRED


def rows(results: AuditResults) -> list[GroupRow]:
    """A row for each route and setting, the audited route first; none where nothing was concluded."""
    if results.conclusions is None:
        return []
    # The findings stand in the order of the samples that they rest on.
    judged = [sample for sample in results.samples if sample.judged]
    metrics: dict[tuple[str, str, str], list[Metrics]] = {}
    for sample, finding in zip(judged, results.conclusions.samples, strict=True):
        metrics.setdefault((sample.route, sample.http, sample.accept_encoding), []).append(finding.metrics)
    return [
        _row(group, metrics.get((group.route, group.http, group.accept_encoding), []))
        for group in results.conclusions.groups
    ]


def _row(group: GroupFinding, metrics: list[Metrics]) -> GroupRow:
    delivery, (ending, *others) = group.delivery, group.endings
    name = _ending(ending)
    endings = name if not others else f"{ending.count} of {group.samples} {name}"
    sure = dict.fromkeys((delivery.confidence.value, ending.example.confidence.value))
    cells = (
        group.route,
        group.http.value,
        "asked" if group.accept_encoding else "none",
        _first_byte(metrics),
        "none" if group.first_token is None else seconds(group.first_token),
        seconds(median(one.largest_gap for one in metrics)) if metrics else "none",
        _events_a_read(metrics),
        delivery.delivery.value,
        endings,
        " / ".join(word.replace("-", " ") for word in sure),
    )
    reasons = (
        ("Delivery", delivery.delivery.value, delivery.reason),
        *(("Ending", _ending(each), each.example.reason) for each in group.endings),
    )
    return GroupRow(group.route, group.http.value, bool(group.accept_encoding), cells, reasons)


def _ending(each: EndingCount) -> str:
    return each.example.ending.value.replace("-", " ") if each.example.ending else "cannot tell"


def _first_byte(metrics: list[Metrics]) -> str:
    """The median time to the first byte of the reply."""
    times = [one.first_byte for one in metrics if one.first_byte is not None]
    return seconds(median(times)) if times else "none"


def _events_a_read(metrics: list[Metrics]) -> str:
    """How many tokens a read brought, from the least to the most that occurred."""
    counts = sorted({count for one in metrics for count, _ in one.events_a_read})
    if not counts:
        return "none"
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
