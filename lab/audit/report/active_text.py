"""The active audit in the terminal: the summary, the requirements, the timeouts with a histogram, and the effects."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from rich.console import Console

from lab.measure.findings import ActiveFindings, Answer, Death, DeathKind, Found, SettingFound, TimeoutFound
from lab.printable import printable
from lab.suite.requests import PLAIN

_MARKS = {Answer.YES: "met        ", Answer.NO: "NOT MET    ", Answer.UNKNOWN: "cannot tell"}
ANSWERS = {Answer.YES: "yes", Answer.NO: "NO", Answer.UNKNOWN: "?"}
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
    lines += [
        f"  {_MARKS[each.met]}  {each.requirement.value}: {plain_sentence(each.sentence)}"
        for each in findings.requirements
    ]
    lines += ["", f"Timeouts, {looked_for(findings)}"]
    lines += [
        f"  {each.watched.value:12}  {timeout_cell(each):18}  {timeout_words(each)}" for each in findings.timeouts
    ]
    lines += ["", f"Terminations: {deaths_words(findings.deaths)}", *histogram(findings.deaths)]
    lines += ["", "What compression, HTTP/2 and a slow reader change; delivery in lockstep"]
    for each in findings.settings:
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


def reply_words(setting: SettingFound) -> str:
    """Version and content coding of the replies to one way of asking, in few words."""
    version = f"HTTP/{setting.version}" if setting.version else "no reply"
    return f"{version}, {setting.coding}" if setting.coding else version


def change_words(setting: SettingFound) -> str:
    """What one way of asking changes, in words."""
    if setting.name == PLAIN or setting.changes is Answer.YES:
        return setting.change
    return f"{'nothing' if setting.changes is Answer.NO else 'cannot tell'}: {setting.change}"


def deaths_words(deaths: Sequence[Death]) -> str:
    """How many streams the path ended, and of what: deaths that agree are a timeout's, scattered ones are faults."""
    if not deaths:
        return "no stream of the search died on the path"
    kinds = Counter(death.kind for death in deaths)
    told = ", ".join(f"{kinds[kind]} {words}" for kind, words in _KINDS.items() if kinds[kind])
    return f"{len(deaths)} streams of the search died on the path: {told}"


def plain_sentence(sentence: str) -> str:
    """The sentence without the word that stands before it already."""
    for word in ("not met", "met", "cannot tell"):
        if sentence.startswith(f"{word}:"):
            return sentence[len(word) + 1 :].strip()
    return sentence


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
    DeathKind.TIMEOUT: "of a timeout",
    DeathKind.FAULT: "scattered, of faults",
    DeathKind.OUTAGE: "at one moment, of an outage",
    DeathKind.UNKNOWN: "not told",
}

_LETTERS = {DeathKind.TIMEOUT: "#", DeathKind.FAULT: "x", DeathKind.OUTAGE: "o", DeathKind.UNKNOWN: "?"}


def histogram(deaths: Sequence[Death]) -> list[str]:
    """When streams died, by what they had waited; empty without deaths."""
    if not deaths:
        return []
    longest = max(death.waited for death in deaths)
    step = next((each for each in _STEPS if longest / each <= _MOST_BARS), math.ceil(longest / _MOST_BARS))
    # A death is late, never early, so that a round value begins a bar rather than ends one.
    bars = Counter((math.floor((death.waited + step / 5) / step), death.kind) for death in deaths)
    lines = ["  Terminations by what the stream had waited (# a timeout, x a fault, o an outage, ? not told)"]
    for place in sorted({place for place, _ in bars}):
        counts = [(kind, bars[place, kind]) for kind in DeathKind]
        most = max(1, math.ceil(sum(count for _, count in counts) / _WIDEST_BAR))
        bar = "".join(_LETTERS[kind] * math.ceil(count / most) for kind, count in counts if count)
        lines.append(f"    {place * step:7g} s  {bar}  {sum(count for _, count in counts)}")
    return lines
