"""How many requests a path takes at a time: found first, so that the audit's own load is not blamed on the path.

Strategy. So many short requests at once as the audit would make, after fewer; where the model server has all of them at
one moment, there is no limit that matters. Else the others waited for a place, or were refused. A busy machine lets
requests wait too, but at any time, and no longer where each lasts longer. One that waits for a place comes just after
another one was over. So what looks like a width is asked about again, with longer requests. Several workers may have a
queue each (gunicorn's threads), so that some wait while there are places elsewhere: the width is what ran at once then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab.judge.exchanged import Exchanged
from lab.plan import make_plan
from lab.suite.exchange import Exchange

STAGES = (4, 16)
"""Requests at once before there are as many as the audit would make."""

SHORT, LONGER = 1.0, 2.5
"""Seconds that each lasts, and where it is asked again."""

ALONE: Mapping[str, object] = {"framing": "close"}
"""Of a plan: the path's connection to the model server ends with the reply. It keeps none for what is asked next then:
some hops have other timeouts on a connection that was used before (Varnish 7.7, measured)."""

_WAITED = 0.5
"""Seconds after which a request that has not come to the model server waits."""


_LATELY = 0.3
"""Seconds within which a place that was left is taken by the next."""


@dataclass(frozen=True)
class Width:
    """How many requests the path takes at a time.

    Args:
        at_once: so many.
        of: were made at once.
        waited: the longest time, in seconds, that one of the others waited for a place.
        refused: requests that were refused instead.
        status: with which status; None where they were not refused by one.
    """

    at_once: int
    of: int
    waited: float = 0.0
    refused: int = 0
    status: int | None = None

    @property
    def taken(self) -> str:
        """How many, in words."""
        return f"the path takes {self.at_once} request{'' if self.at_once == 1 else 's'} at a time"

    @property
    def words(self) -> str:
        """The finding in words."""
        taken = f"{self.taken}: of {self.of} at once"
        if self.refused:
            how = "refused" if self.status is None else f"refused with {self.status}"
            return f"{taken} {self.refused} were {how}, and so will users be"
        others = self.of - self.at_once
        waited = "the other one waited" if others == 1 else f"the others waited, up to {self.waited:.1f} s"
        return f"{taken} {waited}, and so will users"


def asking(number: int, seconds: float) -> list[Exchange]:
    """So many requests at once, each of which lasts so many seconds."""
    return [
        Exchange(
            f"width-{number}-{seconds:g}-{place}", make_plan({**ALONE, "tokens": 1, "ttft": seconds, "seed": place})
        )
        for place in range(number)
    ]


def width_of(made: Sequence[Exchanged]) -> Width | None:
    """What requests that were made at once show; None where all ran at once, or nothing tells."""
    ran = [
        (each.evidence.trace.started, each.evidence.ledger.started, each.evidence.ledger.finished)
        for each in made
        if each.evidence.ledger is not None
    ]
    # What the model server refused itself is none of the path's.
    never = [each.evidence.trace for each in made if each.evidence.ledger is None and each.evidence.refused is None]
    refused = [trace for trace in never if (trace.status or 0) >= 400]
    most = max((_running(ran, at) for _, at, _ in ran), default=0)
    if not most or most == len(made):
        return None
    if refused:
        return Width(most, len(made), refused=len(refused), status=refused[0].status)
    late = [(asked, at) for asked, at, _ in ran if at - asked > _WAITED]
    if not _each_took_a_place([at for _, at in late], [over for _, _, over in ran if over is not None]):
        return None
    waited = [at - asked for asked, at in late]
    lost = len(never)
    if len(waited) + lost < len(made) - most:
        return None
    return Width(most, len(made), waited=max(waited, default=0.0))


def _each_took_a_place(started: Sequence[float], over: Sequence[float]) -> bool:
    """Whether each of these came just after another request was over, each after its own."""
    left = sorted(over)
    for at in sorted(started):
        places = [each for each in left if at - _LATELY < each <= at]
        if not places:
            return False
        left.remove(places[0])
    return True


def _running(ran: Sequence[tuple[float, float, float | None]], at: float) -> int:
    """How many requests the model server had at that time."""
    return sum(started <= at and (finished is None or at < finished) for _, started, finished in ran)
