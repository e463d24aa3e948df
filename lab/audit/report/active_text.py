"""The active audit in the terminal: the summary, the requirements with remedies, the timeouts, and the effects."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from lab.audit.conclude.remedies import remedy_for
from lab.measure.findings import ActiveFindings, Found, Holds, ModeFound, Termination, TerminationKind, TimeoutFound
from lab.printable import printable
from lab.products.remedies import TROUBLES
from lab.suite.exchange import Mode
from lab.vocabulary import State

_MARKS = {
    State.MET: "met        ",
    State.NOT_MET: "NOT MET    ",
    State.INCONCLUSIVE: "cannot tell",
    State.NOT_APPLICABLE: "not asked  ",
}
ANSWERS = {Holds.YES: "yes", Holds.NO: "NO", Holds.UNKNOWN: "?"}
"""The answers as they stand in a narrow column."""

_WIDEST_BAR = 40
_MOST_BARS = 24
_STEPS = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0)


def print_active(findings: ActiveFindings, out: Console) -> None:
    """Print the whole report."""
    for line in lines_of(findings):
        out.print(printable(line), soft_wrap=True, highlight=False, markup=False)


def lines_of(findings: ActiveFindings) -> list[str]:
    """The report as lines of text."""
    lines = [findings.summary, "", "Requirements"]
    lines += [f"  {_MARKS[each.state]}  {each.requirement.value}: {each.evidence}" for each in findings.observations]
    remedies = remedies_of(findings)
    lines += ["", *(f"Remedy for {', '.join(names)}: {words}" for words, names in remedies.items())] if remedies else []
    lines += ["", f"Timeouts, {looked_for(findings)}"]
    lines += [
        f"  {each.watched.value:12}  {timeout_cell(each):18}  {timeout_words(each)}" for each in findings.timeouts
    ]
    lines += ["", f"Terminations: {deaths_words(findings.terminations)}", *_bars(findings.terminations)]
    lines += ["", "What compression, HTTP/2 and a slow reader change; delivery in lockstep"]
    for each in findings.modes:
        lines.append(f"  {each.name:12}  {each.delivery.value:12}  {reply_words(each):16}  {change_words(each)}")
        lines.append(f"  {'':12}  {each.sentence}")
    lines += ["", "What else the path does"]
    lines += [f"  {ANSWERS[each.answer]:4} {each.name}: {each.sentence}" for each in findings.effects]
    lines += ["", *(f"Note: {note}" for note in findings.notes)]
    since = f", begun at {findings.started}" if findings.started else ""
    lines.append(f"{findings.requests} exchanges in {findings.seconds:.0f} s{since}; ledger at {findings.model_url}")
    return lines


def remedies_of(findings: ActiveFindings) -> dict[str, list[str]]:
    """What to change, each with the requirements that are not met for want of it."""
    remedies: dict[str, list[str]] = {}
    for each in findings.observations:
        trouble = TROUBLES.get(each.requirement)
        if each.state is State.NOT_MET and trouble is not None:
            remedies.setdefault(remedy_for(trouble, findings.products, find=False), []).append(each.requirement.value)
    return remedies


def looked_for(findings: ActiveFindings) -> str:
    """Which timeouts were looked for, in words."""
    return (
        f"looked for from {findings.shortest:g} s up to {findings.longest:g} s; "
        "a shorter one is seen, but its kind may not be told"
    )


def reply_words(mode: ModeFound) -> str:
    """Version and content coding of the replies to one way of asking, in few words."""
    version = f"HTTP/{mode.version}" if mode.version else "no reply"
    return f"{version}, {mode.coding}" if mode.coding else version


def change_words(mode: ModeFound) -> str:
    """What one way of asking changes, in words."""
    if mode.name is Mode.PLAIN or mode.changes is Holds.YES:
        return mode.change
    return f"{'nothing' if mode.changes is Holds.NO else 'cannot tell'}: {mode.change}"


def deaths_words(terminations: Sequence[Termination]) -> str:
    """How many streams the path ended, and of what: deaths that agree are a timeout's, scattered ones are faults."""
    if not terminations:
        return "no stream of the search that could be counted died on the path"
    kinds = Counter(termination.kind for termination in terminations)
    return f"{len(terminations)} streams of the search died on the path: {_counted(kinds)}"


def timeout_cell(timeout: TimeoutFound) -> str:
    """What was found out about a timeout, in few words."""
    match timeout.found:
        case Found.TIMEOUT if timeout.coarse and timeout.value is not None:
            return f"{timeout.value - timeout.uncertainty:.1f} to {timeout.value + timeout.uncertainty:.1f} s"
        case Found.TIMEOUT:
            return f"{timeout.value:.2f} ± {timeout.uncertainty:.2f} s"
        case Found.NONE:
            return f"none up to {timeout.proven:.1f} s"
        case _:
            return timeout.found.value


def timeout_words(timeout: TimeoutFound) -> str:
    """The finding on a timeout with what the client sees of it."""
    seen = f"; the client sees {', '.join(timeout.seen_as)}" if timeout.seen_as else ""
    return timeout.sentence + seen


_KINDS = {
    TerminationKind.TIMEOUT: "of a timeout",
    TerminationKind.FAULT: "scattered, of faults",
    TerminationKind.OUTAGE: "at one moment, of an outage",
    TerminationKind.UNKNOWN: "not told",
}


@dataclass(frozen=True)
class Bin:
    """The deaths after about so many seconds of waiting.

    Args:
        waited: from how many seconds on.
        count: deaths.
        share: of the longest bar.
        words: what they are taken for.
    """

    waited: float
    count: int
    share: float
    words: str


def histogram(terminations: Sequence[Termination]) -> list[Bin]:
    """When streams died, by what they had waited; empty without terminations."""
    if not terminations:
        return []
    longest = max(termination.waited for termination in terminations)
    step = next((each for each in _STEPS if longest / each <= _MOST_BARS), math.ceil(longest / _MOST_BARS))
    # A death is late, never early, so that a round value begins a bar rather than ends one.
    bars: dict[float, Counter[TerminationKind]] = {}
    for each in terminations:
        place = math.floor((each.waited + step / 5) / step) * step
        bars.setdefault(place, Counter())[each.kind] += 1
    most = max(bar.total() for bar in bars.values())
    return [Bin(at, bar.total(), bar.total() / most, _counted(bar)) for at, bar in sorted(bars.items())]


def _counted(kinds: Counter[TerminationKind]) -> str:
    return ", ".join(f"{kinds[kind]} {words}" for kind, words in _KINDS.items() if kinds[kind])


def _bars(terminations: Sequence[Termination]) -> list[str]:
    bars = histogram(terminations)
    lines = ["  by what the stream had waited:"] if bars else []
    for bar in bars:
        drawn = "█" * max(1, round(_WIDEST_BAR * bar.share))
        lines.append(f"    {bar.waited:7g} s  {drawn:{_WIDEST_BAR}}  {bar.words}")
    return lines
