"""What every report on an audit says, in words: the headline, a row for each way and setting, the exit code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from lab.audit.conclude import GroupFinding
from lab.audit.confidence import Confidence, Severity
from lab.audit.results import AuditResults
from lab.audit.signs import Signs
from lab.errors import ExitCode
from lab.reports.phrases import seconds

COLUMNS = ("Way", "HTTP", "Coding", "First token", "Largest gap", "Events a read", "Delivery", "Ending", "Confidence")


@dataclass(frozen=True)
class Row:
    """One way and setting, a text for each of `COLUMNS`, and the reasons behind the two verdicts."""

    cells: tuple[str, ...]
    reasons: tuple[str, ...]

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
    groups = [group for group in found.groups if group.way == found.groups[0].way]
    failures = sum(problem.severity is Severity.FAILURE for problem in found.problems)
    parts = [
        "The path fails." if found.failed else "Nothing is known to be wrong.",
        f"Delivery: {_deliveries(groups)}.",
        f"Endings: {_endings(groups)}.",
        f"Of the ways, {found.guilty} is the one that makes it worse." if found.guilty else "",
        f"{failures} failures, each with its remedy, below." if failures > 1 else "",
    ]
    return " ".join(part for part in parts if part)


def _deliveries(groups: Sequence[GroupFinding]) -> str:
    """How the tokens come, and in which settings otherwise."""
    settings: dict[str, list[str]] = {}
    for group in groups:
        finding = group.delivery
        known = finding.confidence is not Confidence.CANNOT_TELL
        word = f"{finding.delivery.value} ({finding.confidence})" if known else f"cannot tell, because {finding.reason}"
        coding = " with a coding offered" if group.accept_encoding else ""
        settings.setdefault(word, []).append(f"HTTP/{group.http}{coding}")
    if len(settings) == 1:
        return next(iter(settings))
    return ", ".join(f"{word} over {' and '.join(where)}" for word, where in settings.items())


def _endings(groups: Sequence[GroupFinding]) -> str:
    counts: dict[str, int] = {}
    for group in groups:
        for each in group.endings:
            word = each.example.ending.value if each.example.ending else "that nobody can tell"
            counts[word] = counts.get(word, 0) + each.count
    return ", ".join(f"{count} {word}" for word, count in counts.items())


def exit_code(results: AuditResults) -> ExitCode:
    """1 where the path does what a streaming path must not do, by the verdict or by what ended the audit."""
    failed = results.stopped_by is ExitCode.REQUIREMENT_FAILED
    if failed or (results.conclusions is not None and results.conclusions.failed):
        return ExitCode.REQUIREMENT_FAILED
    return ExitCode.AS_REQUIRED


def rows(results: AuditResults) -> list[Row]:
    """A row for each way and setting, the audited way first; none where nothing was concluded."""
    if results.conclusions is None:
        return []
    # The findings stand in the order of the samples that they rest on.
    judged = [sample for sample in results.samples if sample.judged]
    signs: dict[tuple[str, str, str], list[Signs]] = {}
    for sample, finding in zip(judged, results.conclusions.samples, strict=True):
        signs.setdefault((sample.way, sample.http, sample.accept_encoding), []).append(finding.signs)
    return [
        _row(group, signs.get((group.way, group.http, group.accept_encoding), []))
        for group in results.conclusions.groups
    ]


def _row(group: GroupFinding, signs: list[Signs]) -> Row:
    delivery, (ending, *others) = group.delivery, group.endings
    name = ending.example.ending.value.replace("-", " ") if ending.example.ending else "cannot tell"
    endings = name if not others else f"{ending.count} of {group.samples} {name}"
    sure = dict.fromkeys((delivery.confidence.value, ending.example.confidence.value))
    cells = (
        group.way,
        group.http.value,
        "offered" if group.accept_encoding else "none",
        "none" if group.first_token is None else seconds(group.first_token),
        seconds(median(one.gaps.largest for one in signs)) if signs else "none",
        _events_a_read(signs),
        delivery.delivery.value,
        endings,
        " / ".join(word.replace("-", " ") for word in sure),
    )
    reasons = (f"Delivery: {delivery.reason}", *(f"Ending: {each.example.reason}" for each in group.endings))
    return Row(cells, reasons)


def _events_a_read(signs: list[Signs]) -> str:
    """How many tokens a read brought, from the least to the most that occurred."""
    counts = sorted({count for one in signs for count, _ in one.events_a_read})
    if not counts:
        return "none"
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
