"""What the times of arrival alone tell of delivery, where nobody knows when the tokens left.

Strategy. A busy machine reads late, and late reading merges moments; it does not make new ones that lie apart. So
many separate moments prove that the path did not hold tokens back for longer than the time between them: a path
that sends once in 200 ms cannot fill ten seconds with more than fifty moments. Few moments prove nothing by
themselves; they count as bursts only where nearly no two of them lie close together, which chance delays would
bring about, and they count as a batch only where all came at the very end, faster than a model writes.

Bursts can be the model's own, which writes several events after each step of its work. What a timer holds comes
evenly and in bursts of varying size, since a model's pace varies; what a model writes in steps has the same number of
events each time. Where both the time and the number are the same, nothing tells the two apart.

The probe notes when it was late itself (`lab.pulse`), and what it slept through says nothing against a path:
what was read at the end of such a time may have come at its beginning, and a silence counts only if the probe was
awake for most of it.

Warnings. A path that holds by size shows many moments too, on a large answer over a slow link; its bursts
end in the middle of events, and then no number of moments counts. A constant delay of each token, or a lag of one
event, leaves no sign in the times. A model whose steps are even and bring varying numbers of events looks like a
timer. A path that holds the beginning, or all of it, and replays it looks like a model that thinks first.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from statistics import median

from lab.evidence import Stall, Trace
from lab.vocabulary import Delivery

APART = 0.02
"""Seconds from the first event of a moment within which others belong to it. What was sent together and read
in two pieces lies within less, even on a busy machine."""

SHORT_HOLD = 0.1
"""Seconds. Half of the shortest hold known, HAProxy's 200 ms: moments that lie closer on the average exclude it."""

MOMENTS = 20
"""Moments below which their number proves nothing."""

EVENTS_A_READ = 1.5
"""Events to each time of reading, at most, for tokens that came one by one; more may be bursts of two."""

BURST_SHARE = 0.1
"""Share of all events (four are always allowed) that one moment may bring, for tokens that came one by one."""

HEAD = 2 * APART
"""Seconds of the beginning and of the end that are compared with the pace of the rest: a path that holds only the
beginning, or a fixed number of bytes until the end, shows many moments in between."""

HEAD_EVENTS = 3
"""Events beyond that pace which begin a suspicion; a model's first step often brings a few."""

WHOLE_SHARE = 0.9
"""Share of the bursts that must end with an event, for a path that hands on what it gets when it gets it."""

LEAST_TOTAL = 1.0
"""Seconds that an exchange must take for the place of its tokens to say anything."""

FEW = 5
"""Events below which neither gaps nor a least delay say anything: a busy machine can be late with all of them."""

BATCH_PART = 0.05
"""Part of the whole time in which all events of a batch came, at its end."""

FASTEST_MODEL = 1000.0
"""Events a second that no model is expected to write; a batch comes faster."""

BURST = 2.5
"""Events to each moment, at least, that make bursts."""

BURST_GAP = 0.15
"""Seconds between bursts, at least. A container whose processor time is rationed reads every 100 ms by itself."""

BURST_SPREAD = 1.25
"""How much longer than the short ones the long gaps between bursts may be. A timer's bursts come evenly; those of a
busy machine that reads late do not, as two busy processes and forty exchanges at once have shown."""

BURST_MOMENTS = 4
"""Moments below which bursts are not told from one pause."""

UNLIKE = (3, 0.2)
"""How many bursts, and which part of them, must differ in their number of events from the usual one, before a timer
and not the model has made them. One that was read late differs too."""

ASLEEP = 0.5
"""Part of a time in which the probe itself may have been late; beyond it, that nothing came says nothing."""

WAKING = 0.05
"""Seconds after a stall in which the probe may still be reading what came during it: lateness below that is not
noted, so one turn of its loop may take as long."""


@dataclass(frozen=True)
class Burst:
    """What came at one moment: how many events, and how many seconds after the moment before."""

    gap: float
    events: int


@dataclass(frozen=True)
class Pattern:
    """The times of one exchange, in seconds from its request.

    Args:
        times: when each event with text came, in order.
        total: until the end.
        whole: share of the bursts (bytes up to a silence) that ended where an event ends.
        stalls: when the probe itself was late.
    """

    times: tuple[float, ...]
    total: float
    whole: float = 1.0
    stalls: tuple[Stall, ...] = ()

    @classmethod
    def of(cls, trace: Trace, times: Sequence[float], whole: float = 1.0) -> Pattern:
        """The pattern of events that came at these times, in seconds from the trace's request."""
        start = trace.started
        stalls = tuple(Stall(stall.since - start, stall.until - start) for stall in trace.stalls)
        return cls(tuple(times), max(trace.ended - start, 0.0), whole, stalls)

    @property
    def span(self) -> float:
        """From the first event to the last."""
        return self.times[-1] - self.times[0] if self.times else 0.0

    @property
    def reads(self) -> int:
        """How many different times of reading brought events."""
        return len(set(self.times))

    @property
    def moments(self) -> tuple[float, ...]:
        """The beginnings of moments that lie apart."""
        return moments_of(self.times)

    @property
    def first(self) -> float:
        """When the first event may have come at the earliest; read it was at the first of `times`."""
        return self._earliest(self.times[0])

    @property
    def bursts(self) -> tuple[Burst, ...]:
        """What came at each moment after the first, without those before which the probe slept for too long."""
        moments = self.moments
        counts = Counter(bisect_right(moments, time) for time in self.times)
        found = []
        for place, (before, moment) in enumerate(pairwise(moments), 2):
            gap = moment - before
            if self._slept(before, moment) <= ASLEEP * gap:
                found.append(Burst(gap, counts[place]))
        return tuple(found)

    def _slept(self, since: float, until: float) -> float:
        """Seconds between two times in which the probe did not run."""
        return sum(max(0.0, min(until, stall.until) - max(since, stall.since)) for stall in self.stalls)

    def _earliest(self, time: float) -> float:
        """When something that was read at a time may have come: before the stalls that it was read at the end of."""
        for stall in sorted(self.stalls, key=lambda each: each.since, reverse=True):
            if stall.since < time <= stall.until + WAKING:
                time = stall.since
        return time


def moments_of(times: Sequence[float]) -> tuple[float, ...]:
    """The times that begin a moment: each lies more than `APART` after the one before."""
    found: list[float] = []
    for time in times:
        if not found or time - found[-1] > APART:
            found.append(time)
    return tuple(found)


def closest_stretch(moments: Sequence[float]) -> float:
    """The mean time between moments in the stretch where they lie closest, in seconds; infinite without a stretch.

    A stretch has `MOMENTS` moments and lasts `LEAST_TOTAL` at least. A pause of the model's elsewhere says nothing of
    the path, and a path that holds does so everywhere, so its closest stretch is no closer than its hold.
    """
    best, last = inf, MOMENTS - 1
    for first in range(len(moments)):
        last = max(last, first + MOMENTS - 1)
        while last < len(moments) and moments[last] - moments[first] < LEAST_TOTAL:
            last += 1
        if last >= len(moments):
            break
        best = min(best, (moments[last] - moments[first]) / (last - first))
    return best


def delivery_by_gaps(pattern: Pattern, events_a_read: float = EVENTS_A_READ) -> tuple[Delivery, str]:
    """The delivery that one exchange's times show, and the numbers that show it.

    Args:
        pattern: the times.
        events_a_read: how many events a read may bring on the average where nothing holds them; more than one
            where the model is known to write several at once.
    """
    if not pattern.times:
        return Delivery.NONE, "no token came"
    numbers = numbers_of(pattern)
    if len(pattern.times) < FEW:
        return Delivery.UNPROVEN, f"{numbers}: too few events to tell"
    if pattern.total < LEAST_TOTAL:
        return Delivery.UNPROVEN, f"{numbers}: too short to tell"
    if is_disturbed(pattern):
        return Delivery.UNPROVEN, f"{numbers}: all at the end, but the probe itself was late before it"
    if _batched(pattern, pattern.first):
        return Delivery.BATCHED, f"{numbers}: all at the end"
    if in_even_bursts(pattern):
        if vary(pattern.bursts[:-1]):
            return Delivery.COALESCED, f"{numbers}: {BURSTS_OF_A_TIMER}"
        return Delivery.UNPROVEN, f"{numbers}: bursts, evenly apart, of which a model's own steps may be the cause"
    why = _no_proof(pattern, events_a_read)
    if why:
        return Delivery.UNPROVEN, f"{numbers}: {why}"
    bound = closest_stretch(pattern.moments)
    return Delivery.INCREMENTAL, f"{numbers}, {_ms(bound)} apart in a stretch: no hold is longer than that"


BURSTS_OF_A_TIMER = f"bursts of varying size, evenly {BURST_GAP * 1e3:.0f} ms or more apart"
"""What a timer's hold looks like, in words."""


def numbers_of(pattern: Pattern) -> str:
    """How many events came at how many moments, in words."""
    moments = len(pattern.moments)
    at = "1 moment" if moments == 1 else f"{moments} moments"
    return f"{len(pattern.times)} events at {at} over {_ms(pattern.span)} of {_ms(pattern.total)}"


def is_disturbed(pattern: Pattern) -> bool:
    """Whether all came at the end, and may have come before, since the probe itself was late."""
    return _batched(pattern, pattern.times[0]) and not _batched(pattern, pattern.first)


def _batched(pattern: Pattern, first: float) -> bool:
    """Whether all came at the end, if the first event came at that time."""
    span, most = pattern.times[-1] - first, len(pattern.times) / FASTEST_MODEL
    # What was sent at once is read in a few pieces, and a busy machine lets some time pass between them.
    if len(pattern.times) >= BURST * pattern.reads:
        most = max(most, WAKING)
    late = pattern.total - pattern.times[-1] <= max(BATCH_PART * pattern.total, APART)
    return late and span <= most and span <= BATCH_PART * pattern.total


def in_even_bursts(pattern: Pattern) -> bool:
    """Whether the events came in bursts that lie evenly apart."""
    bursts = pattern.bursts
    if len(bursts) < max(BURST_MOMENTS, len(pattern.moments) / 2) - 1:
        return False
    if sum(burst.events for burst in bursts) < BURST * len(bursts):
        return False
    gaps = sorted(burst.gap for burst in bursts)
    # One gap in ten may be short and one long: the last burst is cut off by the end, and a model may pause.
    aside = (len(gaps) + 5) // 10
    return gaps[aside] >= BURST_GAP and gaps[-1 - aside] <= BURST_SPREAD * gaps[aside]


def vary(bursts: Sequence[Burst]) -> bool:
    """Whether bursts differ in their number of events, which those that a model writes in one step do not.

    Args:
        bursts: without the last of each answer, which its end cuts off.
    """
    counts = Counter(burst.events for burst in bursts)
    if not counts:
        return False
    usual, least = counts.most_common(1)[0][0], UNLIKE
    # Two that were read together are twice as many, after twice the time.
    twice = 1.5 * median(burst.gap for burst in bursts)
    merged = sum(burst.events == 2 * usual and burst.gap >= twice for burst in bursts)
    unlike = len(bursts) - counts[usual] - merged
    return unlike >= least[0] and unlike >= least[1] * len(bursts)


def crowd(pattern: Pattern, *, at_end: bool = False) -> tuple[int, float]:
    """The events of the first moment (or the last) beyond the pace of the rest, and the seconds that they are worth.

    Both are 0 where there is no rest to compare with.
    """
    times = [-time for time in reversed(pattern.times)] if at_end else list(pattern.times)
    inside = bisect_right(times, times[0] + HEAD)
    rest, span = len(times) - inside, times[-1] - times[0] - HEAD
    if not rest or span <= 0:
        return 0, 0.0
    beyond = inside - 1 - HEAD * rest / span
    return (round(beyond), beyond * span / rest) if beyond >= HEAD_EVENTS else (0, 0.0)


def _no_proof(pattern: Pattern, events_a_read: float) -> str:
    """Why the moments do not prove that tokens came as they were written; empty if they do."""
    moments = pattern.moments
    if len(moments) < MOMENTS:
        return f"fewer than {MOMENTS} moments prove nothing"
    if moments[-1] - moments[0] < LEAST_TOTAL:
        return f"less than {LEAST_TOTAL:g} s proves nothing"
    if closest_stretch(moments) > SHORT_HOLD:
        return f"moments {_ms(closest_stretch(moments))} apart do not exclude a hold of {_ms(2 * SHORT_HOLD)}"
    if len(pattern.times) > events_a_read * pattern.reads:
        each = len(pattern.times) / pattern.reads
        return f"{each:.1f} events a read may be the path's bursts, the model's, or late reading"
    for place, at_end in (("beginning", False), ("end", True)):
        count, worth = crowd(pattern, at_end=at_end)
        if worth > SHORT_HOLD * max(1.0, events_a_read / EVENTS_A_READ):
            return f"{count} events more than the pace of the rest came at once at the {place}, which may be a hold"
    burst = max(Counter(bisect_right(moments, time) for time in pattern.times).values())
    if burst > max(FEW, BURST_SHARE * len(pattern.times)):
        return f"{burst} events came at once, which may be a hold or late reading"
    if pattern.whole < WHOLE_SHARE:
        return f"{1 - pattern.whole:.0%} of the bursts end inside an event, so that something may hold by size"
    return ""


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.0f} ms"
