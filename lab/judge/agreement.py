"""Whether deaths agree as those of one timeout do: at one time, or wherever somebody looks now and then. Pure.

Strategy. Some timeouts are exact; others are looked at by a supervisor that comes round once a second or so (gunicorn's
arbiter, uWSGI's master), or are rounded up by the kernel (a socket's own timeouts). Their deaths lie anywhere between
the timeout and one round later, and nothing dies sooner or lives longer. Faults scatter otherwise: where each moment is
as deadly as the next, the chance that n lives all end before one and a half times the shortest is 2n·B(2n, n): six in
a thousand for four of them, and six in ten million for nine.

Lateness only ever adds: a death is seen when it comes or after it, so the early ones are nearer to the truth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

TIGHT = (0.3, 0.15)
"""Seconds, and part of the value, whichever is less: within which the deaths of an exact timeout lie."""

COARSE_DEATHS = 4
"""Deaths below which a round of somebody's cannot be told from faults."""

COARSE_PART = 0.5
"""Part of the shortest life within which the deaths of a coarse timeout lie."""

SLOWEST_ROUND = 5.0
"""Seconds. Nobody is known to look more rarely: gunicorn and uWSGI look once a second, and Linux rounds a timeout of a
minute up by as much as an eighth (Varnish, measured: 61 to 65 s)."""

_TEN = 10.0
"""Seconds below which people set halves of a second."""


@dataclass(frozen=True)
class Agreement:
    """Deaths that one timeout can have brought about, in seconds.

    Args:
        least: after which the first died.
        most: after which the last died, lateness taken off.
        deaths: how many.
        coarse: whether they lie further apart than those of an exact timeout.
    """

    least: float
    most: float
    deaths: int
    coarse: bool = False

    @property
    def value(self) -> float:
        """The timeout in seconds; of a coarse one the lower end."""
        return self.interval[0] if self.coarse else self.least

    @property
    def ended(self) -> float:
        """Seconds after which nothing is left that such a timeout ends."""
        return max(self.most, self.interval[1]) if self.coarse else self.most

    @property
    def interval(self) -> tuple[float, float]:
        """Between which times such a timeout ends what it watches: from the timeout itself to one round later.

        Nobody looks before the timeout is over, so that it is no longer than the first death shows; people set round
        values, and what scatters more widely is rounded more widely.
        """
        step = 1.0 if self.least >= _TEN or self.round > 1 else 0.5
        if self.least < 1:
            step = 0.1
        return math.floor(self.least / step) * step, math.ceil(self.most / step) * step

    @property
    def round(self) -> float:
        """About how often somebody looks, in seconds: what so many random moments of a round lie apart at most."""
        wide = (self.most - self.least) * (self.deaths + 1) / max(1, self.deaths - 1)
        if wide < 0.4:
            return round(wide, 1)
        return 0.5 if wide < 0.75 else float(round(wide))

    @property
    def sentence(self) -> str:
        """The same in words: a time, or an interval with what was seen of it."""
        if not self.coarse:
            return f"at {self.least:.2f} s"
        low, high = self.interval
        often = "once a second" if self.round == 1 else f"every {self.round:g} s"
        return (
            f"between {low:.1f} and {high:.1f} s, which is looked at about {often} "
            f"(nothing lived longer than {self.most:.2f} s and nothing died before {self.least:.2f} s)"
        )


def agreement_of(deaths: Sequence[tuple[float, float]], width: float) -> Agreement | None:
    """How deaths agree; None if no one timeout can have brought them about.

    Args:
        deaths: of each, after how many seconds it was seen, and by how many it may have been seen late.
        width: seconds within which the deaths of an exact timeout lie, as they were measured; see `tight`.
    """
    if not deaths:
        return None
    least, _ = min(deaths)
    found = Agreement(least, max(least, *(seen - late for seen, late in deaths)), len(deaths))
    apart = found.most - found.least
    if apart <= width:
        return found
    wide = min(SLOWEST_ROUND, COARSE_PART * least)
    return replace(found, coarse=True) if found.deaths >= COARSE_DEATHS and apart <= wide else None


def tight(value: float) -> float:
    """Seconds within which the deaths of an exact timeout of that value lie."""
    seconds, part = TIGHT
    return min(seconds, part * value)
