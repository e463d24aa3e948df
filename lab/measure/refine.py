"""Where the path shows a cut late: asks once more, so that its delay is not taken for part of a timeout. Pure.

Some hops close their client's side a while after the other side was cut (Envoy: one second, measured; it calls this
`delayed_close_timeout`). Where the model server learns of the death sooner, its ledger tells the time. Where it does
not, the death of a silent stream is seen late by what the path adds to a cut of the model's own, or by nothing if the
timeout stands in front of the slow hop. Which of the two, a silence between both values tells: it is survived or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from lab.evidence import TransportEnd
from lab.judge.endings import VISIBLE
from lab.judge.exchanged import Exchanged
from lab.measure.findings import Found, TerminationKind, TimeoutFound
from lab.measure.timeouts import Timeouts
from lab.plan import FaultKind
from lab.suite.exchange import Exchange, Role
from lab.suite.search import refining
from lab.vocabulary import Ending, Requirement, Watched

CLEAR_DELAY = 0.3
"""Seconds. A shorter delay is within a timeout's accuracy."""

_PUNCTUAL = 0.1
_MOST = 2


def delay_of(made: Sequence[Exchanged]) -> float:
    """Seconds by which the path shows a cut later than the model made it; 0 where nothing shows that.

    One late cut alone may be a busy machine's; and of those that the probe itself may have been late to see, nobody
    knows how late the path was, so that they count only where there are no others.
    """
    delays = [
        (each.evidence.trace.ended - each.evidence.ledger.fault_at, each.exposure.late)
        for each in made
        if Requirement.SHOWS_A_CUT_AS_A_CUT in each.exchange.requirements
        and each.exchange.stream
        and each.reading.fault in (FaultKind.FIN, FaultKind.RST)
        and each.evidence.ledger is not None
        and each.evidence.ledger.fault_at is not None
        and each.evidence.ledger.tokens
        and each.evidence.trace.end in (TransportEnd.SHORT_FIN, TransportEnd.RESET)
    ]
    punctual = [delay for delay, late in delays if late <= _PUNCTUAL]
    counted = punctual if len(punctual) > 1 else [delay for delay, _ in delays]
    return max(0.0, min(counted)) if len(counted) > 1 else 0.0


def follow_ups(made: Sequence[Exchanged], timeouts: Timeouts) -> list[Exchange]:
    """What to ask once more: silences between a timeout's value and what it would be without the path's delay."""
    shifts = [(each, _shift(each, made, timeouts)) for each in timeouts.found]
    return [
        asking
        for each, shift in shifts
        if shift and each.value is not None
        for asking in refining(each.watched, each.value - shift / 2)
    ]


def refined(made: Sequence[Exchanged], timeouts: Timeouts) -> Timeouts:
    """The timeouts with the path's delay taken off where what was asked once more says so."""
    found = [
        _refined(each, made, shift) if (shift := _shift(each, made, timeouts)) else each for each in timeouts.found
    ]
    return replace(timeouts, found=tuple(found))


def _shift(found: TimeoutFound, made: Sequence[Exchanged], timeouts: Timeouts) -> float:
    """By how many seconds the timeout may be shorter than its deaths show; 0 where they leave no doubt."""
    delay = delay_of(made)
    silent = found.watched in (Watched.IDLE, Watched.FIRST_TOKEN)
    if delay < CLEAR_DELAY or found.found is not Found.TIMEOUT or not silent:
        return 0.0
    names = {
        termination.stream
        for termination in timeouts.terminations
        if termination.watched is found.watched and termination.kind is TerminationKind.TIMEOUT
    }
    shifts = [_shift_of(each, delay) for each in made if each.exchange.name in names]
    shift = median(shifts) if shifts else 0.0
    return shift if shift >= CLEAR_DELAY else 0.0


def _shift_of(made: Exchanged, delay: float) -> float:
    """By how much sooner one stream may have died: the client saw it `delay` later, the model server perhaps never."""
    trace, ledger = made.evidence.trace, made.evidence.ledger
    if ledger is None or (trace.status or 0) >= 400:
        return 0.0
    start = ledger.started if ledger.attempts > 1 else trace.started
    return max(0.0, start + made.exposure.total - (trace.ended - delay))


def _refined(found: TimeoutFound, made: Sequence[Exchanged], shift: float) -> TimeoutFound:
    asked = [each for each in made if each.exchange.role is Role.REFINE and each.exchange.watched is found.watched]
    # The model may have come to its end for nobody before the client saw the cut: only a whole answer was survived.
    survived = sum(each.verdict.ending is Ending.COMPLETE for each in asked)
    died = sum(each.verdict.ending in VISIBLE for each in asked)
    value = found.value or 0.0
    if survived >= _MOST:
        return found
    if died >= _MOST:
        value, uncertainty, why = value - shift, 0.1, "is seen that late"
    else:
        value, uncertainty, why = value - shift / 2, shift / 2, "may be seen that late"
    told = replace(found, value=round(value, 3), uncertainty=round(max(uncertainty, found.uncertainty), 3))
    sentence = f"{found.sentence}; the path shows a cut {delay_of(made):.2f} s late: a timeout {told.when} {why}"
    return replace(told, sentence=sentence)
