"""Deaths that agree: which of a family's deaths may be one timeout's, at what value, and how surely. Pure.

Lateness only adds: a death is seen when the timeout strikes or after it, so the early ones tell the value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from lab.judge.agreement import COARSE_PART, SLOWEST_ROUND, Agreement

TOLERANCE = (1.0, 0.005)
"""Seconds, and part of the value, whichever is more: how far the deaths of one timeout may lie apart. Some products
look at their timeouts once a second."""

COARSEST = 0.13
"""Part of the value by which the deaths of one timeout may lie apart where all that waited so long died of it: Linux
rounds a socket's own timeouts up by as much as an eighth (its timer wheel; Varnish's deaths fall on ticks 2 s apart at
60 s, measured)."""

ROUND_DEATHS = 5
"""Deaths of all that waited so long by which a timeout is told that somebody looks at every few seconds: where each
moment is as deadly as the next, five lie within half of the shortest in one of a thousand families; see
`lab.judge.agreement`."""

SHARED = {3: 0.03, 4: 0.1}
"""Deaths that agree, and the seconds within which so many must lie for a timeout that others outlived: faults hardly
ever lie so close."""

TIGHT = 0.3
"""Seconds within which the deaths of a timeout lie that is exact: nginx renews no timer that would move by less."""

PROMISED = (0.5, 0.02)
"""Seconds, and part of the value, whichever is more: a value that is less certain is not named."""

AGREEING, AGREEING_PART = 3, 0.6
"""Deaths, and part of a family's deaths, that must agree to be a timeout's. The streams of a family begin so far apart
that fewer than this part of an outage's deaths can agree in their age."""

LOOSELY_AGREEING = 4
"""Deaths that must agree where they lie further apart than those of an exact timeout: three faults may."""

LEAST_UNCERTAINTY = 0.05
"""Seconds; no value is claimed to be nearer than this."""


def tolerance(value: float) -> float:
    """How far two deaths of a timeout of that value may lie apart, in seconds."""
    least, part = TOLERANCE
    return max(least, part * value)


@dataclass(frozen=True)
class Cluster:
    """Deaths that agree.

    Args:
        value: of the timeout, in seconds.
        uncertainty: seconds.
        members: the deaths' indices.
        coarse: whether the deaths themselves lie further apart than those of an exact timeout, because whoever ends
            the streams looks now and then: they end anywhere between value - uncertainty and value + uncertainty.
        outlived: waits that went on for longer.
        spread: seconds between the first of the deaths and the last.
        one_moment: streams that ended at one time of day, whatever they had waited, where these deaths are among
            them; 0 without.
    """

    value: float
    uncertainty: float
    members: frozenset[int]
    coarse: bool = False
    outlived: int = 0
    spread: float = 0.0
    one_moment: int = 0

    @property
    def least(self) -> float:
        """The shortest time, in seconds, after which streams end."""
        return self.value - self.uncertainty if self.coarse else self.value

    @property
    def certain(self) -> bool:
        """Whether the value is as near as is promised, or the path itself no more exact."""
        least, part = PROMISED
        return self.coarse or self.uncertainty <= max(least, part * self.value)

    @property
    def clear(self) -> bool:
        """Whether so many lie so close together that no faults would, even where others outlived them."""
        return any(len(self.members) >= number and self.spread <= width for number, width in SHARED.items())


def cluster_of(
    terminations: Sequence[tuple[float, float]], survived: Iterable[float], waited: Iterable[float] = ()
) -> Cluster | None:
    """The timeout that explains most of a family's deaths; None if too few agree.

    Args:
        terminations: what was waited at each death, and by how much it may have been seen late, in seconds.
        survived: waits that were survived.
        waited: waits that something else cut off.
    """
    best = exact = _agreeing(terminations, lambda _: TIGHT, AGREEING)
    loosely = _agreeing(terminations, tolerance, LOOSELY_AGREEING)
    everyone = _agreeing(terminations, lambda low: COARSEST * low, len(terminations))
    candidates = [loosely, everyone if len(everyone) >= LOOSELY_AGREEING else []]
    if len(exact) < LOOSELY_AGREEING and len(terminations) >= ROUND_DEATHS:
        candidates.append(_agreeing(terminations, _round_of, len(terminations)))
    for wider in candidates:
        # One death a little before many that agree closely is a fault; after an exact timeout nothing dies.
        later = [n for n in wider if exact and terminations[n][0] - terminations[n][1] > _last_of(terminations, exact)]
        if len(wider) > len(best) and (not exact or later or len(wider) > len(exact) + 1):
            best = wider
    if not best:
        return None
    members = sorted(terminations[n] for n in best)
    punctual = [(value, late) for value, late in members if late <= TIGHT]
    values = punctual if len(punctual) >= AGREEING else members
    least, most = values[0][0], max(value - late for value, late in values)
    if most - least <= TIGHT:
        # Lateness only adds; but the very least may be a fault's that came a little before the timeout.
        value, late = values[len(values) // 4]
        uncertainty = max(LEAST_UNCERTAINTY, values[len(values) // 2][0] - least, late)
    else:
        value, uncertainty = (least + most) / 2, (most - least) / 2
    coarse = most - least > TIGHT and values is punctual
    if coarse:
        # Nobody looks before the timeout is over, so that a death that was seen late bounds it as well.
        low, high = Agreement(members[0][0], most, len(values), coarse=True).interval
        value, uncertainty = (low + high) / 2, (high - low) / 2
    # A whole answer outlived every death by any margin; another death only by more than timeouts differ.
    limit = max(value + tolerance(value), members[-1][0] + LEAST_UNCERTAINTY)
    outlived = sum(each - late > limit for each, late in terminations) + sum(each > limit for each in waited)
    ended = value + uncertainty if coarse else members[-1][0]
    outlived += sum(each > ended + LEAST_UNCERTAINTY for each in survived)
    return Cluster(value, uncertainty, frozenset(best), coarse, outlived, most - least)


def _last_of(terminations: Sequence[tuple[float, float]], members: Iterable[int]) -> float:
    """When the last of some deaths was seen, in seconds, and a little later."""
    return max(terminations[n][0] for n in members) + LEAST_UNCERTAINTY


def _round_of(value: float) -> float:
    """Seconds within which all deaths of a timeout lie that somebody looks at now and then."""
    return min(SLOWEST_ROUND, COARSE_PART * value)


def _agreeing(terminations: Sequence[tuple[float, float]], width: Callable[[float], float], least: int) -> list[int]:
    """The most deaths that lie so close together; empty if they are too few to be a timeout's."""
    best: list[int] = []
    for low, _ in sorted(terminations, reverse=True):
        members = [n for n, (value, late) in enumerate(terminations) if low <= value <= low + width(low) + late]
        if len(members) > len(best):
            best = members
    return best if len(best) >= least and len(best) >= AGREEING_PART * len(terminations) else []
