"""The problems that follow from the findings, which durations were proven, and the verdict in one paragraph.

Only the audited way can fail an audit. What is wrong on the ways behind it is a warning, for it explains the failure
or does not reach the user.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lab.audit.conclude_ending import ClockGuess, survived
from lab.audit.conclude_ways import Added, EndingCount, GroupFinding, outward
from lab.audit.confidence import Confidence, Problem, Severity
from lab.audit.hops import HopClue, Product
from lab.audit.remedies import Trouble, remedy_for
from lab.audit.samples import DIRECT
from lab.audit.signs import Measured
from lab.judge.endings import WHOLE, Case
from lab.words import Delivery, Ending

_HELD = frozenset({Delivery.BATCHED, Delivery.COALESCED})
_MODELS = frozenset({Ending.MODEL_ERROR_STATUS, Ending.MODEL_ERROR_IN_STREAM})
_HAPROXYS_HOLD = (0.19, 0.28)
"""Seconds between clumps that HAProxy makes: its hold of 200 ms, and the wait for the token that begins the next."""

_ENDING_REMEDIES = {
    Ending.SILENTLY_TRUNCATED: Trouble.HIDDEN_CUT,
    Ending.CUT: Trouble.CLOCK,
    Ending.PROXY_ERROR_STATUS: Trouble.CLOCK,
}


@dataclass(frozen=True)
class Proven:
    """Which durations the audited way was seen to survive, in seconds.

    Args:
        total: the longest time that an answer is known to have lived.
        silence: the longest time without a byte that was survived.
        longest: the longest answer to expect; None if nobody said.
        enough: whether an answer lived for as long as that; None if nobody said.
        sentence: the same in words.
    """

    total: float
    silence: float
    longest: float | None
    enough: bool | None
    sentence: str


def proven_by(audited: Sequence[Case], longest: float | None) -> Proven:
    """The longest total and the longest silence that the samples of one way survived."""
    lived = [survived(case) for case in audited]
    total = max((each for each, _ in lived), default=0.0)
    silence = max((each for _, each in lived), default=0.0)
    sentence = f"answers of {total:.1f} s and silences of {silence:.1f} s were survived"
    enough = None if longest is None else total >= longest
    if longest is not None:
        rest = "the whole of it" if enough else f"nothing beyond {total:.1f} s"
        quiet = "" if silence >= longest else f", and no silence beyond {silence:.1f} s, such as a batch reply makes"
        sentence += f"; of the longest answer expected, {longest:g} s, {rest} is proven{quiet}"
    return Proven(total, silence, longest, enough, sentence)


def problems_of(
    groups: Sequence[GroupFinding],
    clocks: Sequence[ClockGuess],
    clues: Sequence[HopClue],
    oddities: Sequence[str],
    blamed: Added | None,
    proven: Proven,
    measured: Sequence[Measured],
) -> tuple[Problem, ...]:
    """Everything that is wrong, failures first."""
    if not groups:
        return ()
    audited = groups[0].way
    found = [
        *(problem for group in groups for problem in _of_group(group, groups, clues, blamed, measured)),
        *(_of_clock(clock, clues, audited) for clock in clocks if clock.cause is not None),
        *_of_unasked_codings(measured, audited),
        *(Problem(Severity.WARNING, audited, odd, "") for odd in oddities),
    ]
    if proven.enough is False:
        remedy = "Ask for a longer answer (--max-tokens), or audit with --active, which needs no long generation."
        found.append(Problem(Severity.WARNING, audited, proven.sentence, remedy))
    failures = [problem for problem in found if problem.severity is Severity.FAILURE]
    return tuple(dict.fromkeys([*failures, *(problem for problem in found if problem not in failures)]))


def _of_group(
    group: GroupFinding,
    groups: Sequence[GroupFinding],
    clues: Sequence[HopClue],
    blamed: Added | None,
    measured: Sequence[Measured],
) -> Iterable[Problem]:
    severity = Severity.FAILURE if group.way == groups[0].way else Severity.WARNING
    products = _products(clues, blamed.way if blamed else group.way)
    if group.stream and group.delivery.delivery in _HELD:
        by = f", and {blamed.way} is the first way from the model outward that does" if blamed else ""
        sentence = f"{asked(group)}: tokens came {group.delivery.delivery} ({group.delivery.confidence})"
        if _like_haproxy(group, measured):
            products = [Product.HAPROXY, *products]
        remedy = remedy_for(Trouble.HOLDING, products)
        yield Problem(severity, group.way, f"{sentence}{by}: {group.delivery.reason}", remedy)
    for each in group.endings:
        if each.example.ending not in {*WHOLE, None}:
            yield _of_ending(group, each, severity, products)
    if severity is Severity.FAILURE and group.delivery.delivery is Delivery.NONE and not group.broken:
        sentence = f"{asked(group)}: no text came in any of {group.samples} answers, so nothing is known of delivery"
        yield Problem(severity, group.way, sentence, "Check the model's name and --max-tokens.")


def _of_ending(group: GroupFinding, each: EndingCount, severity: Severity, products: Sequence[Product]) -> Problem:
    ending = each.example.ending
    assert ending is not None  # noqa: S101  # the caller has left those out
    if ending in _MODELS and each.count < group.samples:
        severity = Severity.WARNING
    words = f"{asked(group)}: {each.count} of {group.samples} answers ended {ending} ({each.example.confidence})"
    trouble = _ENDING_REMEDIES.get(ending)
    return Problem(
        severity, group.way, f"{words}: {each.example.reason}", remedy_for(trouble, products) if trouble else ""
    )


def _of_clock(clock: ClockGuess, clues: Sequence[HopClue], audited: str) -> Problem:
    severity = Severity.FAILURE if clock.way == audited else Severity.WARNING
    remedy = remedy_for(Trouble.CLOCK, _products(clues, clock.way))
    return Problem(severity, clock.way, f"{clock.way}: {clock.sentence}", remedy)


def _of_unasked_codings(measured: Sequence[Measured], audited: str) -> Iterable[Problem]:
    """The audit undoes a coding that it did not offer; many a client that offers none cannot."""
    here = [one for one in measured if one.signs.way == audited and not one.sample.setting.accept_encoding]
    codings = dict.fromkeys(one.signs.coding for one in here if one.signs.coding not in ("", "identity"))
    for coding in codings:
        sentence = f"{audited}: replies come compressed ({coding}) though no coding was offered"
        yield Problem(Severity.FAILURE, audited, sentence, "Turn compression off for this route.")


def _products(clues: Sequence[HopClue], way: str) -> list[Product]:
    """What was recognised on a way and is not part of the model's own address."""
    inner = {clue.product for clue in clues if clue.way == DIRECT and way != DIRECT}
    return [clue.product for clue in clues if clue.way == way and clue.product not in inner]


def _like_haproxy(group: GroupFinding, measured: Sequence[Measured]) -> bool:
    least, most = _HAPROXYS_HOLD
    alike = [
        least <= one.signs.gaps_between_moments.median <= most
        for one in measured
        if (one.signs.way, one.signs.http, one.sample.setting.accept_encoding)
        == (group.way, group.http, group.accept_encoding)
    ]
    return group.delivery.delivery is Delivery.COALESCED and 2 * sum(alike) > len(alike)


def verdict_of(
    groups: Sequence[GroupFinding],
    clocks: Sequence[ClockGuess],
    blamed: Added | None,
    proven: Proven,
    problems: Sequence[Problem],
) -> str:
    """Everything that matters, in one paragraph."""
    if not groups:
        return "No sample was made, so nothing is known."
    audited = outward([group.way for group in groups])[-1]
    parts = [_delivered(group) for group in groups if group.way == audited]
    parts += [_ended([group for group in groups if group.way == audited])]
    parts += [clock.sentence for clock in clocks if clock.way == audited]
    if blamed is not None:
        parts.append(f"{blamed.way} makes it worse: {blamed.sentence}")
    parts.append(proven.sentence)
    failures = sum(problem.severity is Severity.FAILURE for problem in problems)
    parts.append(_sum(failures, len(problems) - failures))
    return " ".join(f"{part[0].upper()}{part[1:]}." for part in parts)


def asked(group: GroupFinding) -> str:
    """The way and how it was asked, in words."""
    coding = f", Accept-Encoding: {group.accept_encoding}" if group.accept_encoding else ""
    return f"{group.way} (HTTP/{group.http}{coding}{'' if group.stream else ', batch'})"


def _delivered(group: GroupFinding) -> str:
    finding = group.delivery
    if finding.confidence is Confidence.CANNOT_TELL:
        return f"{asked(group)}: cannot tell how tokens are delivered, because {finding.reason}"
    return f"{asked(group)}: tokens come {finding.delivery} ({finding.confidence}): {finding.reason}"


def _ended(groups: Sequence[GroupFinding]) -> str:
    counts: dict[str, int] = {}
    for group in groups:
        for each in group.endings:
            word = each.example.ending.value if each.example.ending else "cannot tell how"
            counts[word] = counts.get(word, 0) + each.count
    return "endings: " + ", ".join(f"{count} {word}" for word, count in counts.items())


def _sum(failures: int, warnings: int) -> str:
    if not failures and not warnings:
        return "nothing is known to be wrong"
    words = [
        f"{count} {word}{'s' if count > 1 else ''}"
        for count, word in ((failures, "failure"), (warnings, "warning"))
        if count
    ]
    return " and ".join(words)
