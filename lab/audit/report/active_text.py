"""The active audit in the terminal: the summary, the requirements, the timeouts with a histogram, and the effects."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from rich.console import Console

from lab.measure.findings import ActiveFindings, Found, Holds, ModeFound, Termination, TerminationKind, TimeoutFound
from lab.printable import printable
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
    lines += ["", f"Timeouts, {looked_for(findings)}"]
    lines += [
        f"  {each.watched.value:12}  {timeout_cell(each):18}  {timeout_words(each)}" for each in findings.timeouts
    ]
    lines += ["", f"Terminations: {deaths_words(findings.terminations)}", *histogram(findings.terminations)]
    lines += ["", "What compression, HTTP/2 and a slow reader change; delivery in lockstep"]
    for each in findings.modes:
        lines.append(f"  {each.name:12}  {each.delivery.value:12}  {reply_words(each):16}  {change_words(each)}")
        lines.append(f"  {'':12}  {each.sentence}")
    lines += ["", "What else the path does"]
    lines += [f"  {ANSWERS[each.answer]:4} {each.name}: {each.sentence}" for each in findings.effects]
    lines += ["", *(f"Note: {note}" for note in findings.notes)]
    lines.append(f"{findings.requests} exchanges in {findings.seconds:.0f} s; ledger at {findings.model_url}")
    return lines


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
        return "no stream of the search died on the path"
    kinds = Counter(termination.kind for termination in terminations)
    told = ", ".join(f"{kinds[kind]} {words}" for kind, words in _KINDS.items() if kinds[kind])
    return f"{len(terminations)} streams of the search died on the path: {told}"


def timeout_cell(timeout: TimeoutFound) -> str:
    """What was found out about a timeout, in few words."""
    match timeout.found:
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

_LETTERS = {
    TerminationKind.TIMEOUT: "#",
    TerminationKind.FAULT: "x",
    TerminationKind.OUTAGE: "o",
    TerminationKind.UNKNOWN: "?",
}


def histogram(terminations: Sequence[Termination]) -> list[str]:
    """When streams died, by what they had waited; empty without terminations."""
    if not terminations:
        return []
    longest = max(termination.waited for termination in terminations)
    step = next((each for each in _STEPS if longest / each <= _MOST_BARS), math.ceil(longest / _MOST_BARS))
    # A death is late, never early, so that a round value begins a bar rather than ends one.
    bars = Counter(
        (math.floor((termination.waited + step / 5) / step), termination.kind) for termination in terminations
    )
    lines = ["  Terminations by what the stream had waited (# a timeout, x a fault, o an outage, ? not told)"]
    for place in sorted({place for place, _ in bars}):
        counts = [(kind, bars[place, kind]) for kind in TerminationKind]
        most = max(1, math.ceil(sum(count for _, count in counts) / _WIDEST_BAR))
        bar = "".join(_LETTERS[kind] * math.ceil(count / most) for kind, count in counts if count)
        lines.append(f"    {place * step:7g} s  {bar}  {sum(count for _, count in counts)}")
    return lines
