"""What the times of arrival alone tell of delivery, where nobody knows when the tokens left.

Strategy. A busy machine reads late, and late reading merges moments; it does not make new ones that lie apart. So
many separate moments prove that the path did not hold tokens back for longer than the time between them: a path
that sends once in 200 ms cannot fill ten seconds with more than fifty moments. Few moments prove nothing by
themselves; they count as clumps only where nearly no two of them lie close together, which chance delays would
bring about, and they count as a batch only where all came at the very end, faster than a model writes.

Warnings. A path that holds by size shows many moments too, on a large answer over a slow link; its bursts
end in the middle of events, and then no number of moments counts. A constant delay of each token, or a lag of one
event, leaves no sign in the times. A model that writes in clumps looks like a path that makes them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf

from lab.words import Delivery

APART = 0.02
"""Seconds from the first event of a moment within which others belong to it. What was sent together and read
in two pieces lies within less, even on a busy machine."""

SHORT_HOLD = 0.1
"""Seconds. Half of the shortest hold known, HAProxy's 200 ms: moments that lie closer on the average exclude it."""

MOMENTS = 20
"""Moments below which their number proves nothing."""

EVENTS_A_READ = 1.5
"""Events to each time of reading, at most, for tokens that came one by one; more may be clumps of two."""

CLUMP_SHARE = 0.1
"""Share of all events (four are always allowed) that one reading may bring, for tokens that came one by one: a path
that holds only the beginning, or only the end, shows many moments in between."""

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

CLUMP = 2.5
"""Events to each moment, at least, that make clumps."""

CLUMP_GAP = 0.15
"""Seconds between clumps, at least. A container whose processor time is rationed reads every 100 ms by itself."""

CLUMP_SPREAD = 1.25
"""How much longer than the short ones the long gaps between clumps may be. A timer's clumps come evenly; those of a
busy machine that reads late do not, as two busy processes and forty exchanges at once have shown."""

CLUMP_MOMENTS = 4
"""Moments below which clumps are not told from one pause."""


@dataclass(frozen=True)
class Pattern:
    """The times of one exchange, in seconds from its request.

    Args:
        times: when each event with text came, in order.
        total: until the end.
        whole: share of the bursts (bytes up to a silence) that ended where an event ends.
    """

    times: tuple[float, ...]
    total: float
    whole: float = 1.0

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


def delivery_by_gaps(pattern: Pattern) -> tuple[Delivery, str]:
    """The delivery that one exchange's times show, and the numbers that show it."""
    moments = pattern.moments
    numbers = f"{len(pattern.times)} events at {len(moments)} moments over {_ms(pattern.span)} of {_ms(pattern.total)}"
    if not pattern.times:
        return Delivery.NONE, "no token came"
    if len(pattern.times) < FEW:
        return Delivery.UNPROVEN, f"{numbers}: too few events to tell"
    if pattern.total < LEAST_TOTAL:
        return Delivery.UNPROVEN, f"{numbers}: too short to tell"
    if _batched(pattern):
        return Delivery.BATCHED, f"{numbers}: all at the end"
    if _clumped(pattern, moments):
        return Delivery.COALESCED, f"{numbers}: clumps, evenly {_ms(CLUMP_GAP)} or more apart"
    why = _no_proof(pattern, moments)
    if why:
        return Delivery.UNPROVEN, f"{numbers}: {why}"
    bound = closest_stretch(moments)
    return Delivery.INCREMENTAL, f"{numbers}, {_ms(bound)} apart in a stretch: no hold is longer than that"


def _batched(pattern: Pattern) -> bool:
    late = pattern.total - pattern.times[-1] <= max(BATCH_PART * pattern.total, APART)
    fast = pattern.span <= len(pattern.times) / FASTEST_MODEL
    return late and fast and pattern.span <= BATCH_PART * pattern.total


def _clumped(pattern: Pattern, moments: Sequence[float]) -> bool:
    if len(moments) < CLUMP_MOMENTS or len(pattern.times) < CLUMP * len(moments):
        return False
    gaps = sorted(later - earlier for earlier, later in pairwise(moments))
    # One gap in ten may be short and one long: the last clump is cut off by the end, and a model may pause.
    aside = (len(gaps) + 5) // 10
    return gaps[aside] >= CLUMP_GAP and gaps[-1 - aside] <= CLUMP_SPREAD * gaps[aside]


def _no_proof(pattern: Pattern, moments: Sequence[float]) -> str:
    """Why the moments do not prove that tokens came as they were written; empty if they do."""
    if len(moments) < MOMENTS or pattern.span < LEAST_TOTAL:
        return f"fewer than {MOMENTS} moments, or less than {LEAST_TOTAL:g} s, prove nothing"
    if closest_stretch(moments) > SHORT_HOLD:
        return f"moments {_ms(closest_stretch(moments))} apart do not exclude a hold of {_ms(2 * SHORT_HOLD)}"
    if len(pattern.times) > EVENTS_A_READ * pattern.reads:
        each = len(pattern.times) / pattern.reads
        return f"{each:.1f} events a read may be the path's clumps, the model's, or late reading"
    clump = max(Counter(pattern.times).values())
    if clump > max(FEW - 1, CLUMP_SHARE * len(pattern.times)):
        return f"{clump} events came at once, which may be a hold or late reading"
    if pattern.whole < WHOLE_SHARE:
        return f"{1 - pattern.whole:.0%} of the bursts end inside an event, so that something may hold by size"
    return ""


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.0f} ms"
