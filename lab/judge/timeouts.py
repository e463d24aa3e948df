"""Which of a path's timeouts ended an exchange: before the first byte, on silence, or on total time.

Strategy. Each exchange over a route says two things of every kind of timeout: the value that it would have
had if it had ended this exchange, and the longest time that this exchange survived of what it watches. A
kind is *consistent* when all deaths agree on one value and nothing survived clearly more. One death alone leaves
several kinds standing; controls (a steady stream that outlived the moment, a silence that was
survived) strike them out. What still stands is picked by parsimony: no byte at all, then silence, then total.

Where there is a ledger, the bytes that count are those that the model server wrote: that is what the
proxy's timeout sees, even if the proxy hands nothing on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lab.evidence import Evidence, Ledger, Trace
from lab.judge.agreement import Agreement, agreement_of
from lab.judge.endings import BROKEN_ENDS, NEVER_OPENED, OWN_ENDS, Reading, ending_of
from lab.plan import FaultKind
from lab.vocabulary import Cause, Ending

TOLERANCE = (0.5, 0.1)
"""Seconds, and part of the value, whichever is more. Proxies check their timeouts on ticks (nginx and
HAProxy within milliseconds, Envoy's idle timers within a tenth) and a busy machine is late by tenths of
a second; the scenarios keep a factor of two between a timeout and what must outlive it."""

SHORT_TOLERANCE = 0.25
"""Part of the value, at most: half a second is no tolerance among lives of 0.3 s."""

SHORTEST_IDLE = 0.5
"""Seconds. A death amid running tokens has a small silence before it, which is nobody's idle timeout."""

# Within so many seconds of a stall's end the event loop has read every socket that had something.
_NEXT_TURN = 0.05

_AFTERWARDS = 0.25
"""Seconds by which the model server must have gone on after an exchange's end, for the end to be the path's doing;
far above what the two timeouts may differ by."""

KINDS = (Cause.FIRST_BYTE_TIMEOUT, Cause.IDLE_TIMEOUT, Cause.TOTAL_TIMEOUT)
"""In the order in which parsimony picks."""

TIMEOUT_STATUSES = frozenset({408, 504, 524, 598})
"""Statuses by which a proxy says that its own timeout ran out (524 and 598 are usage, not standard)."""

_PREFIXES = frozenset({Ending.SILENTLY_TRUNCATED, Ending.MALFORMED})
"""Endings of a reply that somebody ended as if it were whole."""

_NAMES = {
    Cause.FIRST_BYTE_TIMEOUT: "a timeout on the first byte",
    Cause.IDLE_TIMEOUT: "an idle timeout",
    Cause.TOTAL_TIMEOUT: "a timeout on the whole exchange",
}


@dataclass(frozen=True)
class Exposure:
    """What one exchange tells about a route's timeouts, in seconds.

    Args:
        died: whether something on the path ended it that was no fault of the model's.
        first_byte: the wait without any byte at the end; None if a byte came.
        idle: the silence at the end.
        total: the whole time.
        survived_first_byte: the wait before the first byte; 0 if none came.
        survived_idle: the longest silence between two bytes.
        survived_total: the longest time that it is known to have lived.
        late: by how much sooner it may have ended, because the probe was late to see it.
    """

    died: bool
    first_byte: float | None
    idle: float
    total: float
    survived_first_byte: float
    survived_idle: float
    survived_total: float
    late: float = 0.0

    def at_death(self, kind: Cause) -> float | None:
        """The value of a timeout of that kind that ended this exchange; None if it cannot have."""
        if kind is Cause.FIRST_BYTE_TIMEOUT:
            return self.first_byte
        return self.idle if kind is Cause.IDLE_TIMEOUT else self.total

    def survived(self, kind: Cause) -> float:
        """The longest time that this exchange survived of what such a timeout watches."""
        if kind is Cause.FIRST_BYTE_TIMEOUT:
            return self.survived_first_byte
        return self.survived_idle if kind is Cause.IDLE_TIMEOUT else self.survived_total


_NOTHING = Exposure(
    died=False, first_byte=None, idle=0, total=0, survived_first_byte=0, survived_idle=0, survived_total=0
)
"""Of an exchange that tells nothing."""


@dataclass(frozen=True)
class TimeoutFinding:
    """Which timeouts are consistent with a set of exchanges.

    Args:
        kinds: the consistent kinds, the most likely first; empty if no timeout explains the deaths.
        value: the likeliest timeout's value in seconds, of a coarse one the lower end; None without one.
        sentence: the finding in words.
        agreement: how the deaths agree on the likeliest; None without one.
    """

    kinds: tuple[Cause, ...]
    value: float | None
    sentence: str
    agreement: Agreement | None = None

    @property
    def cause(self) -> Cause | None:
        """The likeliest kind."""
        return self.kinds[0] if self.kinds else None


def tolerance(value: float) -> float:
    """How far two measures of one timeout may lie apart, in seconds."""
    least, part = TOLERANCE
    return min(max(least, part * value), SHORT_TOLERANCE * value)


def exposure_of(reading: Reading) -> Exposure:
    """Measure one exchange."""
    evidence, trace, ledger = reading.evidence, reading.trace, reading.evidence.ledger
    died = _died(reading)
    if died and trace.pause is not None:
        # What a path does to a client that does not read, it does on no timeout of the model's side.
        return _NOTHING
    end = trace.ended
    if died and (trace.status or 0) >= 400 and trace.reads:
        end = trace.reads[0].at
    if died and ledger is not None and ledger.client_left is not None:
        end = min(end, ledger.client_left)
    # A proxy that asks again starts its timeout again; the probe's request is then not where it began.
    start = ledger.started if ledger is not None and ledger.attempts > 1 else trace.started
    times = [at for at in _byte_times(evidence) if start <= at < end]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    return Exposure(
        died=died,
        first_byte=None if times else end - start,
        idle=end - (times[-1] if times else start),
        total=end - start,
        survived_first_byte=times[0] - start if times else 0.0,
        survived_idle=max(gaps, default=0.0),
        survived_total=_last_sign(evidence, times[-1] if times else start, end, died=died) - start,
        late=_late(trace, end),
    )


def _last_sign(evidence: Evidence, last_byte: float, end: float, *, died: bool) -> float:
    """Until when the path is known to have kept the exchange."""
    if died:
        return last_byte
    # What a path does with the client's side after the model server has gone, it does on no timeout of the exchange's.
    fault_at = None if evidence.ledger is None else evidence.ledger.fault_at
    return end if fault_at is None else min(end, fault_at)


def blame(exposures: Sequence[Exposure], width: Callable[[float], float] = tolerance) -> TimeoutFinding:
    """Find the timeout that explains every death among exchanges over one route.

    Args:
        exposures: of the exchanges.
        width: seconds within which the deaths of an exact timeout of some value lie, as they were measured.
    """
    deaths = [exposure for exposure in exposures if exposure.died]
    if not deaths:
        return TimeoutFinding((), None, "nothing on the path ended an exchange")
    agreed = {kind: found for kind in KINDS if (found := _agreement(kind, deaths, exposures, width))}
    kinds = [*agreed]
    if Cause.FIRST_BYTE_TIMEOUT not in kinds and _tell_total(deaths, exposures) and Cause.TOTAL_TIMEOUT in kinds:
        kinds = [Cause.TOTAL_TIMEOUT, *(kind for kind in kinds if kind is not Cause.TOTAL_TIMEOUT)]
    if not kinds:
        return TimeoutFinding((), None, "no single timeout explains how the exchanges ended")
    likeliest = agreed[kinds[0]]
    sentence = f"{_NAMES[kinds[0]]} {likeliest.sentence}"
    if len(kinds) > 1:
        sentence += f" (as far as these exchanges tell, also {' or '.join(_NAMES[kind] for kind in kinds[1:])})"
    return TimeoutFinding(tuple(kinds), likeliest.value, sentence, likeliest)


def _agreement(
    kind: Cause, deaths: Sequence[Exposure], exposures: Sequence[Exposure], width: Callable[[float], float]
) -> Agreement | None:
    """How all deaths agree on one timeout of that kind that nothing outlived; None if they do not."""
    measured = [(value, death.late) for death in deaths if (value := death.at_death(kind)) is not None]
    if len(measured) < len(deaths):
        return None
    least, _ = min(measured)
    found = agreement_of(measured, width(least))
    if found is None or (kind is Cause.IDLE_TIMEOUT and least < SHORTEST_IDLE):
        return None
    ended = max(least + width(least), found.ended)
    return None if max(exposure.survived(kind) for exposure in exposures) > ended else found


def _late(trace: Trace, end: float) -> float:
    """How long the end may have lain in the socket while the probe did not run, in seconds.

    Stalls that follow one another closely are one: a socket with data and an end is read in two turns.
    """
    since = end
    for stall in sorted(trace.stalls, key=lambda each: each.since, reverse=True):
        if stall.since < since <= stall.until + _NEXT_TURN:
            since = stall.since
    return end - since


def _tell_total(deaths: Sequence[Exposure], exposures: Sequence[Exposure]) -> bool:
    """Whether the silence at death was nothing new: as long a one had been survived."""
    survived = max(exposure.survived_idle for exposure in exposures)
    return min(death.idle for death in deaths) <= survived + TOLERANCE[0]


def _died(reading: Reading) -> bool:
    trace, ledger = reading.trace, reading.evidence.ledger
    if trace.end in NEVER_OPENED or (trace.end in OWN_ENDS and not _left_behind(trace, ledger)):
        return False
    if reading.clean and ending_of(reading) in (Ending.COMPLETE, Ending.DECLARED_PARTIAL):
        return False
    broken = trace.end in BROKEN_ENDS or trace.status in TIMEOUT_STATUSES
    if ledger is None:
        # The lab's own model server would have a ledger if the request had come to it.
        return broken and reading.evidence.plan is None
    if _explained_by_fault(ledger):
        return False
    if ledger.client_left is not None:
        return True
    # A hop that leaves the model's side open lets the model go on to its end, for nobody.
    went_on = ledger.finished is None or ledger.finished > trace.ended + _AFTERWARDS
    return went_on and (broken or ending_of(reading) in _PREFIXES)


def _left_behind(trace: Trace, ledger: Ledger | None) -> bool:
    """Whether the path gave up the model's side and let its client wait on, as http-proxy's `proxyTimeout` does.

    One that has asked again is no such path: it may be about to ask once more, or to answer (LiteLLM's retries).
    """
    if ledger is None or ledger.client_left is None or ledger.attempts > 1:
        return False
    return ledger.client_left < trace.ended - _AFTERWARDS


def _explained_by_fault(ledger: Ledger) -> bool:
    """Whether the model server did it. A frozen one did not: it is the very thing that timeouts are for."""
    return ledger.fault_at is not None and not ledger.fault.startswith(FaultKind.FREEZE)


def _byte_times(evidence: Evidence) -> list[float]:
    ledger = evidence.ledger
    if ledger is None:
        error = (evidence.trace.status or 0) >= 400
        return [] if error else [read.at for read in evidence.trace.reads]
    headers = [] if ledger.headers_at is None else [ledger.headers_at]
    return sorted([*headers, *(token.at for token in ledger.tokens), *ledger.heartbeats])
