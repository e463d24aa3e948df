"""Several routes to one model: what each part of the path adds, and which hop is the culprit.

The routes are taken from the model outward, and each is compared with the one behind it, asked alike. The first that is
worse than the one behind is the culprit; whatever lies further out may only pass on what it got.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from lab.audit.conclude.confidence import Confidence, DeliveryFinding, EndingFinding
from lab.audit.conclude.metrics import Measured
from lab.endpoint.samples import DIRECT, PATH
from lab.evidence import HttpVersion
from lab.judge.endings import WHOLE
from lab.vocabulary import Delivery, Ending

_RANK = {Delivery.INCREMENTAL: 0, Delivery.COALESCED: 1, Delivery.BATCHED: 2}


@dataclass(frozen=True)
class EndingCount:
    """How many answers of a group ended so; `example` is the finding of one of them."""

    count: int
    example: EndingFinding


@dataclass(frozen=True)
class GroupFinding:
    """What the samples of one route, HTTP version and offered content coding show together.

    Args:
        route: the route's name.
        http: the version that was asked for.
        accept_encoding: what was offered; empty for nothing.
        stream: whether streams were asked for.
        samples: how many samples.
        delivery: how the tokens came.
        endings: how the answers ended, the most frequent first.
        first_token: median of the seconds to the first token; None if no token came.
        total: median of the seconds to the end.
    """

    route: str
    http: HttpVersion
    accept_encoding: str
    stream: bool
    samples: int
    delivery: DeliveryFinding
    endings: tuple[EndingCount, ...]
    first_token: float | None
    total: float

    @property
    def key(self) -> tuple[HttpVersion, str, bool]:
        """How it was asked, whichever route."""
        return self.http, self.accept_encoding, self.stream

    @property
    def broken(self) -> int:
        """How many answers are known to have ended wrongly."""
        return sum(each.count for each in self.endings if each.example.ending not in {*WHOLE, None})


@dataclass(frozen=True)
class Added:
    """What a route adds to the one behind it, asked alike; times in seconds.

    Args:
        route: the route further out.
        behind: the one nearer to the model.
        first_token: how much later the first token came, in the median; None if either brought none.
        delivery: how the tokens came on the route itself.
        worse: whether delivery or endings are worse, and no sample leaves that open.
        sentence: the comparison in words.
    """

    route: str
    behind: str
    http: HttpVersion
    accept_encoding: str
    first_token: float | None
    delivery: Delivery
    worse: bool
    sentence: str


def outward(routes: Sequence[str]) -> list[str]:
    """The routes from the model outward: the direct one, the hops from the last to the first, the path."""
    hops = [route for route in dict.fromkeys(routes) if route not in (PATH, DIRECT)]
    return [*([DIRECT] if DIRECT in routes else []), *reversed(hops), *([PATH] if PATH in routes else [])]


def added(groups: Sequence[GroupFinding]) -> tuple[Added, ...]:
    """Each route compared with the one behind it, for every setting that both were asked in."""
    found = []
    for behind, route in pairwise(outward([group.route for group in groups])):
        inner = {group.key: group for group in groups if group.route == behind}
        found += [_added(group, inner[group.key]) for group in groups if group.route == route and group.key in inner]
    return tuple(found)


def find_culprit(steps: Sequence[Added]) -> Added | None:
    """The first step from the model outward that makes it worse."""
    return next((step for step in steps if step.worse), None)


def _added(group: GroupFinding, inner: GroupFinding) -> Added:
    later = None
    if group.first_token is not None and inner.first_token is not None:
        later = group.first_token - inner.first_token
    ranks = [_RANK.get(each.delivery.delivery) for each in (inner, group)]
    slower = None not in ranks and ranks[1] > ranks[0]  # type: ignore[operator]
    dies = group.broken > 0 and inner.broken == 0
    asked = f"HTTP/{group.http}{' with a content coding offered' if group.accept_encoding else ''}"
    words = f"over {asked} {group.route} delivers {group.delivery.delivery}, {inner.route} behind it "
    words += str(inner.delivery.delivery)
    if later is not None:
        words += f"; the first token is {abs(later):.2f} s {'later' if later >= 0 else 'earlier'}"
    words += f"; {group.broken} of {group.samples} answers end wrongly, behind it {inner.broken} of {inner.samples}"
    return Added(
        route=group.route,
        behind=inner.route,
        http=group.http,
        accept_encoding=group.accept_encoding,
        first_token=later,
        delivery=group.delivery.delivery,
        worse=slower or dies,
        sentence=words,
    )


def group_finding(
    group: Sequence[Measured], delivery: DeliveryFinding, endings: Sequence[EndingFinding]
) -> GroupFinding:
    """Sum one setting's samples up."""
    setting = group[0].sample.setting
    by_word: dict[Ending | None, list[EndingFinding]] = {}
    for ending in endings:
        by_word.setdefault(ending.ending, []).append(ending)
    counts = [EndingCount(len(alike), _weakest(alike)) for alike in by_word.values()]
    firsts = [one.metrics.first_token for one in group if one.metrics.first_token is not None]
    return GroupFinding(
        route=setting.route.name,
        http=setting.http,
        accept_encoding=setting.accept_encoding,
        stream=setting.stream,
        samples=len(group),
        delivery=delivery,
        endings=tuple(sorted(counts, key=lambda each: -each.count)),
        first_token=median(firsts) if firsts else None,
        total=median(one.metrics.total for one in group),
    )


def _weakest(alike: Sequence[EndingFinding]) -> EndingFinding:
    order = list(Confidence)
    return max(alike, key=lambda each: order.index(each.confidence))
