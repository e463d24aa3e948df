"""A path that takes its only server out: after a failure it answers at once, with its own error, for a while. Pure.

Load balancers count failures (nginx `max_fails`, HAProxy `observe`, Envoy's outlier detection), and a timeout is one.
Whoever provokes timeouts on purpose then measures the outage instead of the path.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from lab.judge.endings import NEVER_OPENED
from lab.judge.exchanged import Exchanged
from lab.suite.exchange import Exchange, Role
from lab.suite.search import wait_of
from lab.vocabulary import Watched

AT_ONCE = 1.0
"""Seconds within which a path that has no server answers by itself."""

LEAST = 3
"""Refused requests that show an outage: fewer may have met a server that was just restarted."""

ENOUGH = 3
"""Streams of a kind that are enough to tell its timeout, where each may cost an outage."""

_ERROR = 500


@dataclass(frozen=True)
class Outage:
    """What was seen of it.

    Args:
        refused: requests that the path answered by itself, at once.
        of: so many requests.
        looks: what it answered, such as `502`.
        after: what ended the first stream before that, in words; empty where none was seen to end.
        seconds: how long it lasted at least, as far as that was seen; 0 where it was not waited for.
        over: whether it ended while it was waited for.
    """

    refused: int
    of: int
    looks: str
    after: str
    seconds: float = 0.0
    over: bool = False

    @property
    def words(self) -> str:
        """The cause in words, with what to do."""
        first = f", after {self.after}" if self.after else ""
        told = (
            f"the path answers {self.looks} at once{first}, and {self.refused} of {self.of} requests never came to the "
            "model server: it takes the server out for a while (nginx max_fails, HAProxy observe, Envoy outlier "
            "detection)"
        )
        if self.over:
            told += f"; it was back after {self.seconds:.0f} s, and what was refused was asked again, one at a time"
        elif self.seconds:
            told += f"; it was not back after {self.seconds:.0f} s"
        return f"{told}. Raise max_fails (or its like) for the audit, or use --at-once 1"


def refused(made: Exchanged) -> bool:
    """Whether the path answered by itself, at once, and the model server never had the request."""
    trace = made.evidence.trace
    if (
        made.evidence.ledger is not None
        or made.evidence.refused is not None
        or trace.end in NEVER_OPENED
        or trace.ended - trace.started > AT_ONCE
    ):
        return False
    return (trace.status or 0) >= _ERROR


def turned_some_away(made: Sequence[Exchanged]) -> bool:
    """Whether the path answered some of these by itself, with an error, and passed others on.

    A balancer that has taken its servers out lets a few requests try them, however long ago that was, before it takes
    them back (nginx `max_fails`, measured).
    """
    away = [each for each in made if each.evidence.ledger is None and each.evidence.refused is None]
    return 0 < len(away) < len(made) and all((each.evidence.trace.status or 0) >= _ERROR for each in away)


def outage_of(made: Sequence[Exchanged]) -> Outage | None:
    """The outage that exchanges show; None without one."""
    out = [each for each in made if refused(each)]
    if len(out) < LEAST:
        return None
    until = max(each.evidence.trace.started for each in out)
    died = [each for each in made if each.exposure.died and each.evidence.ledger is not None]
    before = [each for each in died if each.evidence.trace.ended <= until]
    first = min(before, key=lambda each: each.evidence.trace.ended, default=None)
    after = ""
    if first is not None:
        status = f" with {first.evidence.trace.status}" if (first.evidence.trace.status or 0) >= _ERROR else ""
        after = f"it ended {first.name} after {first.exposure.total:.2f} s{status}"
    looks = Counter(str(each.evidence.trace.status) for each in out)
    return Outage(len(out), len(made), looks.most_common(1)[0][0], after)


def still_to_ask(made: Sequence[Exchanged], longest: float) -> list[Exchange]:
    """Of the refused exchanges those that are needed: a few long waits of each kind, and whatever settles something."""
    reached = Counter(each.exchange.watched for each in made if _is_long(each.exchange, longest) and not refused(each))
    needed: list[Exchange] = []
    for each in made:
        exchange = each.exchange
        if not refused(each):
            continue
        if exchange.role in (Role.SEARCH, Role.HEARTBEAT):
            if not _is_long(exchange, longest) or reached[exchange.watched] >= ENOUGH:
                continue
            reached[exchange.watched] += 1
        elif exchange.role is Role.MODE_TIMEOUT:
            continue
        needed.append(exchange)
    return needed


def _is_long(exchange: Exchange, longest: float) -> bool:
    """Whether it waits as long as a timeout up to `longest` takes to show."""
    if exchange.role is not Role.SEARCH or exchange.watched is None:
        return False
    return exchange.watched is Watched.TOTAL or exchange.plan.length >= 0.9 * wait_of(longest)
