"""Which timeouts the path has, and what each stream died of. Pure.

Strategy. A timeout ends everything that it watches and nothing sooner, so a family's deaths are a timeout's only if
they agree in what the family waited for, and are most of its deaths. Where others outlived them, they must agree as
closely as no faults do, or the ledger must show what set the ended ones apart: one survivor proves nothing, since some
hops have a timeout on fresh connections only, and several may stand behind one address. The timeout on the whole
comes first, told by streams that never wait; deaths at that age say nothing about another timeout. Deaths that agree in
the time of day are an outage's; those that agree in nothing are faults, and never a timeout.

Warnings. Where the path holds the reply back, a timeout in front of that hop sees no byte: what looks like a timeout on
the whole may then be one on the first byte, and is not told. A timeout closer to the total one than the tolerance is
hidden.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from lab.measure.clusters import AGREEING, LEAST_UNCERTAINTY, TIGHT, TOLERANCE, Cluster, cluster_of, tolerance
from lab.measure.findings import Termination, TerminationKind, TimeoutFound
from lab.measure.streams import Stream
from lab.measure.tally import HIDDEN_BELOW, Tally, mostly_held, outlived
from lab.vocabulary import Watched

OUTAGE_PART = 0.6
"""Part of the streams that ran, of several families, that must die within a moment for an outage."""

OUTAGE_LEAST = 10
"""Streams that an outage ends, if most have not begun yet: all of those that had."""

_MOMENT = 0.5
_SEEN_AT_ONCE = 0.2
_CLEARLY = 0.25
_EXACT = 0.15


@dataclass(frozen=True)
class Timeouts:
    """What the search found: one entry for each thing that a timeout may watch, and every termination."""

    found: tuple[TimeoutFound, ...]
    terminations: tuple[Termination, ...]

    def of(self, watched: Watched) -> TimeoutFound:
        """The finding on one of them."""
        return next(each for each in self.found if each.watched is watched)

    @property
    def smallest(self) -> float | None:
        """The shortest timeout, in seconds; None if none was found."""
        return min((each.least for each in self.found if each.least is not None), default=None)


def find_timeouts(streams: Sequence[Stream], longest: float, began: float) -> Timeouts:
    """The path's timeouts up to `longest` seconds.

    Args:
        streams: of the streams of the search; those with heartbeats are no part of it.
        longest: in seconds.
        began: the audit's start on the probe's clock.
    """
    searched = [stream for stream in streams if not stream.beating]
    outage = _outage(searched)
    kinds: dict[str, TerminationKind] = dict.fromkeys(outage, TerminationKind.OUTAGE)
    total = _family(searched, Watched.TOTAL, longest, kinds, whole=None)
    whole = _ceiling(searched, kinds)
    found = {Watched.TOTAL: total}
    for watched in Watched:
        if watched is not Watched.TOTAL:
            found[watched] = _family(searched, watched, longest, kinds, whole)
    found.update(_together(found, searched, longest, kinds))
    terminations = tuple(_termination(stream, kinds, began) for stream in searched if stream.died)
    return Timeouts(tuple(found[watched] for watched in Watched), terminations)


def _together(
    found: dict[Watched, TimeoutFound], streams: Sequence[Stream], longest: float, kinds: dict[str, TerminationKind]
) -> dict[Watched, TimeoutFound]:
    """The waits for a reply's first byte, streamed or in one piece, where too few of one kind died to tell by itself.

    So it is with a timeout on a share of the requests: those that it ended are few of either kind, and agree.
    """
    family = [each for each in streams if each.watched in _FIRST_BYTE and not each.refused]
    died = [each for each in family if each.died and each.began]
    own = [each for each in died if kinds.get(each.name) in (None, TerminationKind.FAULT)]
    own += [each for each in died if found[each.watched].outlived and each not in own]
    cluster = _cluster(own, streams, (each.survived for each in family))
    if cluster is None or not cluster.outlived:
        return {}
    members = [own[n] for n in sorted(cluster.members)]
    told: dict[Watched, TimeoutFound] = {}
    for watched in _FIRST_BYTE:
        survived = max(each.survived for each in family)
        tally = Tally(watched, family, own, set(), survived, longest, None, streams, kinds)
        mine = [each for each in members if each.watched is watched]
        if mine and found[watched].value is None and tally.bears_out(cluster, members):
            kinds.update(dict.fromkeys((each.name for each in mine), TerminationKind.TIMEOUT))
            whole, alone = tally.with_timeout(cluster, members), found[watched]
            told[watched] = replace(
                whole, terminations=len(mine), asked=alone.asked, ended=alone.ended, lost=alone.lost
            )
    return told


_FIRST_BYTE = (Watched.FIRST_BYTE, Watched.BATCH_REPLY)
"""Waits that one timeout watches in most hops."""


def _termination(stream: Stream, kinds: Mapping[str, TerminationKind], began: float) -> Termination:
    kind = kinds.get(stream.name, TerminationKind.UNKNOWN)
    return Termination(stream.name, stream.watched, stream.at, stream.waited, stream.wall - began, kind, stream.ending)


def _outage(streams: Sequence[Stream]) -> frozenset[str]:
    """The streams of several families that died in one moment, if they were most of those that ran.

    Deaths that the probe was late to see all come at once, at the end of its stall: they show no outage.
    """
    best: frozenset[str] = frozenset()
    seen = [stream for stream in streams if stream.died and stream.late <= _SEEN_AT_ONCE]
    for first in seen:
        since, until = first.wall, first.wall + _MOMENT
        dead = [stream for stream in seen if since <= stream.wall <= until]
        begun = [stream for stream in streams if stream.wall - stream.at < since]
        if len(dead) > len(best) and _is_outage(dead, begun, since, len(streams)):
            best = frozenset(stream.name for stream in dead)
    return best


def _is_outage(dead: Sequence[Stream], begun: Sequence[Stream], since: float, all_of_them: int) -> bool:
    """Most of many streams, of several families and different ages: a timeout's last victims are few or of one age."""
    families, ages = {stream.watched for stream in dead}, [stream.at for stream in dead]
    ran = [stream for stream in begun if stream.wall >= since]
    most = len(dead) >= OUTAGE_PART * len(ran) and 2 * len(ran) > all_of_them
    most |= len(dead) > OUTAGE_LEAST and all(stream in dead for stream in begun)
    # The streams of a family began apart: an outage ends each at another age, a timeout all at the same.
    fellows = sum(
        any(
            each is not stream and each.watched is stream.watched and abs(each.at - stream.at) <= _SEEN_AT_ONCE
            for each in dead
        )
        for stream in dead
    )
    # Nobody looks at a timeout more seldom than it is long: at ages below a second twice the age is far apart.
    width = min(tolerance(min(ages)), max(TIGHT, min(ages)))
    apart = max(ages) - min(ages) > width and 2 * fellows < len(dead)
    return most and len(families) >= AGREEING and apart


def _ceiling(streams: Sequence[Stream], kinds: Mapping[str, TerminationKind]) -> Cluster | None:
    """How the streams that never wait die at one age; also where the kind of that timeout is not told."""
    steady = [stream for stream in streams if stream.watched is Watched.TOTAL]
    died = [stream for stream in steady if stream.died and stream.began]
    died = [stream for stream in died if kinds.get(stream.name) is not TerminationKind.OUTAGE]
    cluster = _cluster(died, streams, (stream.survived for stream in steady))
    cluster = _of_the_whole(cluster, died, streams)
    if cluster is None or cluster.one_moment or cluster.outlived or not cluster.certain:
        return None
    return cluster


def _of_the_whole(cluster: Cluster | None, died: Sequence[Stream], streams: Sequence[Stream]) -> Cluster | None:
    """A timeout on the whole, as coarse as all that died at about that age show it to be: few streams are lively.

    Where these are too few to agree, and all of them died among the others, it is theirs as well.
    """
    lively = [each for each in streams if each.watched is Watched.TOTAL and not each.refused]
    # Three of four lie close together by chance, so that the one beside them is no fault yet.
    by_chance = cluster is not None and AGREEING == len(cluster.members) < len(died)
    if (cluster is not None and cluster.spread <= _EXACT and not by_chance) or len(died) < 2:
        return cluster
    about = cluster.value if cluster is not None else min(each.surely_lived for each in died)
    dead = [each for each in streams if each.died and abs(each.surely_lived - about) <= TOLERANCE[0]]
    everyone = cluster_of([(each.at, each.at - each.surely_lived) for each in dead], ())
    if everyone is None or not everyone.coarse:
        return cluster
    members = frozenset(n for n, each in enumerate(died) if each in dead)
    if by_chance and len(members) < len(died):
        return cluster
    if cluster is not None:
        return replace(cluster, value=everyone.value, uncertainty=everyone.uncertainty, coarse=True, members=members)
    return replace(everyone, members=members) if len(members) == len(lively) else None


def _family(
    streams: Sequence[Stream],
    watched: Watched,
    longest: float,
    kinds: dict[str, TerminationKind],
    whole: Cluster | None,
) -> TimeoutFound:
    """One family's finding; notes in `kinds` what its deaths are taken for."""
    family = [stream for stream in streams if stream.watched is watched and not stream.refused]
    died = [stream for stream in family if stream.died and stream.began]
    ceiling = None if whole is None else whole.least
    at_ceiling = {stream.name for stream in died if ceiling is not None and stream.at >= ceiling - HIDDEN_BELOW}
    own = [stream for stream in died if stream.name not in at_ceiling and stream.name not in kinds]
    others = [stream.surely_waited for stream in died if kinds.get(stream.name) is TerminationKind.OUTAGE]
    others += [_waited_until(ceiling, stream) for stream in died if ceiling is not None and stream.name in at_ceiling]
    survived = [*(stream.survived for stream in family), *others]
    cluster = _cluster(own, streams, (stream.survived for stream in family), others)
    if watched is Watched.TOTAL:
        cluster = _of_the_whole(cluster, own, streams)
    kinds.update(dict.fromkeys(at_ceiling, TerminationKind.TIMEOUT))
    members = [] if cluster is None else [own[n] for n in sorted(cluster.members)]
    tally = Tally(watched, family, own, at_ceiling, max(survived, default=0.0), longest, whole, streams, kinds)
    doubted = (
        cluster is None
        or not tally.bears_out(cluster, members)
        or _from_the_request(watched, cluster, members, streams, ceiling)
    )
    if not doubted:
        kinds.update(dict.fromkeys((stream.name for stream in members), TerminationKind.TIMEOUT))
    # Agreeing deaths that others outlived may be a timeout on one of several ways.
    rest = [stream for stream in own if stream.name not in kinds and stream not in members]
    kinds.update(
        {
            stream.name: TerminationKind.FAULT
            for stream in rest
            if not tally.holding and outlived(stream, family, streams)
        }
    )
    return tally.without(cluster) if cluster is None or doubted else tally.with_timeout(cluster, members)


def _waited_until(ceiling: float, stream: Stream) -> float:
    """The wait that a stream had survived when the timeout on the whole struck.

    Some servers look at that timeout only when they write the next token: the silence up to there was survived by
    nobody.
    """
    return min(stream.surely_waited, ceiling - (stream.at - stream.waited))


def _cluster(
    died: Sequence[Stream], streams: Sequence[Stream], survived: Iterable[float], waited: Iterable[float] = ()
) -> Cluster | None:
    """As `cluster_of`; deaths that agree in the time of day and not in what they waited are one event's.

    Unless lively streams went on through it: whoever looks at his timeouts now and then ends several at once.
    """
    terminations = [(each.waited, each.waited - each.surely_waited) for each in died]
    cluster = cluster_of(terminations, survived, waited)
    if cluster is None:
        return cluster
    members = [died[n] for n in cluster.members]
    moments = [[other for other in died if 0 <= other.wall - one.wall <= TIGHT] for one in died]
    moment = max(moments, key=len)
    apart = max(each.surely_waited for each in moment) - min(each.waited for each in moment)
    both = sum(stream in moment for stream in members)
    if len(moment) < AGREEING or 2 * both <= len(members) or apart <= TIGHT:
        return cluster
    if _went_on(moment, streams):
        return cluster
    return replace(cluster, one_moment=len(moment))


def _went_on(moment: Sequence[Stream], streams: Sequence[Stream]) -> bool:
    """Whether every lively stream that ran when these ended went on, and there were some."""
    since, until = min(each.wall for each in moment), max(each.wall for each in moment)
    ran = [each for each in streams if each.watched is Watched.TOTAL and each.wall - each.at < since - _MOMENT]
    ran = [each for each in ran if each.wall >= since - _MOMENT and each not in moment]
    return bool(ran) and all(each.wall > until + _MOMENT for each in ran)


def _from_the_request(
    watched: Watched, cluster: Cluster, members: Sequence[Stream], streams: Sequence[Stream], ceiling: float | None
) -> bool:
    """Whether the deaths may be those of a timeout on something else: the whole, or what a holding hop hands on.

    To tell them from a timeout on the whole, a lively stream must have lived longer: by a round of whoever looks at
    such timeouts, where the one on the whole is not known. And where silences amid streams ended at one age behind a
    hop that held the tokens back, no hop saw any token.
    """
    if watched is Watched.TOTAL:
        return False
    lived = max((stream.surely_lived for stream in streams if stream.watched is Watched.TOTAL), default=0.0)
    longer = _CLEARLY + (2 * cluster.uncertainty if cluster.coarse and ceiling is None else 0.0)
    if sum(stream.at < lived - longer for stream in members) < AGREEING:
        return True
    if watched is not Watched.IDLE or not mostly_held(members):
        return False
    ages, waits = [stream.at for stream in members], [stream.waited for stream in members]
    return max(ages) - min(ages) <= max(waits) - min(waits) + LEAST_UNCERTAINTY
