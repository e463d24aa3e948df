"""Which timeouts the path has, and what each stream died of. Pure.

Strategy. A timeout ends everything that it watches and nothing sooner, so a family's deaths are a timeout's only if
they agree in what the family waited for, are most of its deaths, and nobody outlived them. The timeout on the whole
comes first, told by streams that never wait; deaths at that age say nothing about another timeout. Deaths that agree in
the time of day are an outage's; those that agree in nothing are faults, and never a timeout.

Warnings. Where the path holds the reply back, a timeout in front of that hop sees no byte: what looks like a timeout on
the whole may then be one on the first byte, and is not told. A timeout closer to the total one than the tolerance is
hidden.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from lab.measure.clusters import AGREEING, LEAST_UNCERTAINTY, TIGHT, Cluster, cluster_of, tolerance
from lab.measure.findings import Found, Termination, TerminationKind, TimeoutFound
from lab.measure.streams import Stream
from lab.suite.search import SHORTEST_TIMEOUT, STEP
from lab.vocabulary import Watched

HIDDEN_BELOW = 0.5
"""Seconds by which a timeout must be shorter than the one on the whole to be told from it."""

OUTAGE_PART = 0.6
"""Part of the streams that ran, of several families, that must die within a moment for an outage."""

_MOMENT = 0.5
_SEEN_AT_ONCE = 0.2
_CLEARLY = 0.25


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
        return min((each.value for each in self.found if each.value is not None), default=None)


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
    total = _family(searched, Watched.TOTAL, longest, kinds, ceiling=None)
    ceiling = _ceiling(searched, kinds)
    found = {Watched.TOTAL: total}
    for watched in Watched:
        if watched is not Watched.TOTAL:
            found[watched] = _family(searched, watched, longest, kinds, ceiling)
    terminations = tuple(_termination(stream, kinds, began) for stream in searched if stream.died)
    return Timeouts(tuple(found[watched] for watched in Watched), terminations)


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
        ran = [stream for stream in streams if stream.wall - stream.at < since <= stream.wall]
        if len(dead) > len(best) and _is_outage(dead, ran, len(streams)):
            best = frozenset(stream.name for stream in dead)
    return best


def _is_outage(dead: Sequence[Stream], ran: Sequence[Stream], all_of_them: int) -> bool:
    """Most of many streams, of several families and different ages: a timeout's last victims are few or of one age."""
    families, ages = {stream.watched for stream in dead}, [stream.at for stream in dead]
    most = len(dead) >= OUTAGE_PART * len(ran) and 2 * len(ran) > all_of_them
    # The streams of a family began apart: an outage ends each at another age, a timeout all at the same.
    fellows = sum(
        any(
            each is not stream and each.watched is stream.watched and abs(each.at - stream.at) <= _SEEN_AT_ONCE
            for each in dead
        )
        for stream in dead
    )
    apart = max(ages) - min(ages) > tolerance(min(ages)) and 2 * fellows < len(dead)
    return most and len(families) >= AGREEING and apart


def _ceiling(streams: Sequence[Stream], kinds: Mapping[str, TerminationKind]) -> float | None:
    """The age at which the streams that never wait die; also where the kind of that timeout is not told."""
    steady = [stream for stream in streams if stream.watched is Watched.TOTAL]
    died = [stream for stream in steady if stream.died and kinds.get(stream.name) is not TerminationKind.OUTAGE]
    cluster = _cluster(died, (stream.survived for stream in steady))
    return cluster.value if cluster is not None and not cluster.contradicted and cluster.certain else None


def _family(
    streams: Sequence[Stream],
    watched: Watched,
    longest: float,
    kinds: dict[str, TerminationKind],
    ceiling: float | None,
) -> TimeoutFound:
    """One family's finding; notes in `kinds` what its deaths are taken for."""
    family = [stream for stream in streams if stream.watched is watched and not stream.refused]
    died = [stream for stream in family if stream.died]
    at_ceiling = {stream.name for stream in died if ceiling is not None and stream.at >= ceiling - HIDDEN_BELOW}
    own = [stream for stream in died if stream.name not in at_ceiling and stream.name not in kinds]
    others = [stream.waited - stream.late for stream in died if kinds.get(stream.name) is TerminationKind.OUTAGE]
    others += [_waited_until(ceiling, stream) for stream in died if ceiling is not None and stream.name in at_ceiling]
    survived = [*(stream.survived for stream in family), *others]
    cluster = _cluster(own, (stream.survived for stream in family), others)
    kinds.update(dict.fromkeys(at_ceiling, TerminationKind.TIMEOUT))
    tally = _Tally(watched, family, own, at_ceiling, max(survived, default=0.0), longest, ceiling, streams)
    members = [] if cluster is None else [own[n] for n in sorted(cluster.members)]
    doubted = cluster is None or cluster.contradicted or _from_the_request(watched, members, streams)
    if not doubted:
        kinds.update(dict.fromkeys((stream.name for stream in members), TerminationKind.TIMEOUT))
    # Agreeing deaths that others outlived may be a timeout on one of several ways.
    rest = [stream for stream in own if stream.name not in kinds and stream not in members]
    kinds.update(
        {
            stream.name: TerminationKind.FAULT
            for stream in rest
            if not tally.holding and _outlived(stream, family, streams)
        }
    )
    return tally.without(cluster) if cluster is None or doubted else tally.with_timeout(cluster, members)


def _waited_until(ceiling: float, stream: Stream) -> float:
    """The wait that a stream had survived when the timeout on the whole struck.

    Some servers look at that timeout only when they write the next token: the silence up to there was survived by
    nobody.
    """
    return min(stream.waited - stream.late, ceiling - (stream.at - stream.waited))


def _cluster(died: Sequence[Stream], survived: Iterable[float], waited: Iterable[float] = ()) -> Cluster | None:
    """As `cluster_of`; deaths that agree in the time of day and not in what they waited are one event's."""
    cluster = cluster_of([(stream.waited, stream.late) for stream in died], survived, waited)
    if cluster is None or cluster.contradicted:
        return cluster
    members = [died[n] for n in cluster.members]
    moments = [[other for other in died if 0 <= other.wall - one.wall <= TIGHT] for one in died]
    moment = max(moments, key=len)
    waits = [stream.waited for stream in moment]
    both = sum(stream in moment for stream in members)
    if len(moment) >= AGREEING and 2 * both > len(members) and max(waits) - min(waits) > TIGHT:
        return replace(cluster, contradicted=f"{len(moment)} ended in one moment")
    return cluster


def _outlived(stream: Stream, family: Sequence[Stream], streams: Sequence[Stream]) -> bool:
    """Whether others waited clearly longer, and others lived clearly longer, so that no timeout ended this one."""
    waited = max(max(other.survived, other.waited - other.late) for other in family)
    lived = max(other.at - other.late for other in streams)
    return waited > stream.waited + tolerance(stream.waited) and lived > stream.at + tolerance(stream.at)


def _from_the_request(watched: Watched, members: Sequence[Stream], streams: Sequence[Stream]) -> bool:
    """Whether the deaths may be those of a timeout on something else: the whole, or what a holding hop hands on.

    To tell them from a timeout on the whole, a lively stream must have lived longer. And where silences amid streams
    ended at one age behind a hop that held the tokens back, no hop saw any token.
    """
    if watched is Watched.TOTAL:
        return False
    lived = max((stream.at - stream.late for stream in streams if stream.watched is Watched.TOTAL), default=0.0)
    if sum(stream.at < lived - _CLEARLY for stream in members) < AGREEING:
        return True
    if watched is not Watched.IDLE or not _mostly_held(members):
        return False
    ages, waits = [stream.at for stream in members], [stream.waited for stream in members]
    return max(ages) - min(ages) <= max(waits) - min(waits) + LEAST_UNCERTAINTY


def _mostly_held(streams: Sequence[Stream]) -> bool:
    return 2 * sum(stream.held for stream in streams) > len(streams)


NAMES: Mapping[Watched, str] = {
    Watched.FIRST_BYTE: "before the first byte",
    Watched.FIRST_TOKEN: "between early headers and the first token",
    Watched.IDLE: "on silence amid a stream",
    Watched.TOTAL: "on the whole of a stream",
    Watched.BATCH_REPLY: "on the wait for a batch reply",
}
"""Where each timeout strikes, in words."""


@dataclass(frozen=True)
class _Tally:
    """One family, counted, from which its finding is written."""

    watched: Watched
    family: Sequence[Stream]
    own: Sequence[Stream]
    at_ceiling: set[str]
    survived: float
    longest: float
    ceiling: float | None
    streams: Sequence[Stream]

    @property
    def _scattered(self) -> str:
        """Words on the deaths that no timeout explains; empty without any."""
        faults = sum(_outlived(stream, self.family, self.streams) for stream in self.own)
        others = len(self.own) - faults
        words = f"; {faults} of {len(self.family)} died scattered, which are faults and no timeout" if faults else ""
        return words + (f"; {others} of {len(self.family)} died, too few that agree to tell of what" if others else "")

    @property
    def holding(self) -> bool:
        """Whether most deaths came while the path held tokens back: a hop's timeout then saw other times than ours."""
        return _mostly_held(self.own)

    def with_timeout(self, cluster: Cluster, members: Sequence[Stream]) -> TimeoutFound:
        where = NAMES[self.watched]
        if not cluster.certain:
            early, after = max(0.0, cluster.value - cluster.uncertainty), cluster.value + cluster.uncertainty
            unsure = self._made(
                Found.UNKNOWN,
                f"a timeout {where} somewhere between {early:.2f} s and {after:.2f} s: the probe itself was late when "
                "its streams ended, so that the value cannot be told",
            )
            return replace(unsure, uncertainty=round(cluster.uncertainty, 3))
        if self.watched is Watched.TOTAL and cluster.value < SHORTEST_TIMEOUT:
            return self._made(
                Found.UNKNOWN,
                f"every stream ended {cluster.value:.2f} s after its request: a timeout on the whole, or on the first "
                f"byte, or on silences that a token every {STEP:g} s does not end; timeouts shorter than "
                f"{SHORTEST_TIMEOUT:g} s are seen and not told apart",
                cluster,
                members,
            )
        if self.watched is Watched.TOTAL and _mostly_held(members):
            return self._made(
                Found.UNKNOWN,
                f"every stream ended {cluster.value:.2f} s after its request, and the path had held its tokens back: "
                "a timeout on the whole, or one on the first byte in front of the hop that holds",
                cluster,
                members,
            )
        faults = len(self.own) - len(members)
        sentence = (
            f"a timeout {where} at {cluster.value:.2f} s{is_round(cluster.value)}: {len(members)} of "
            f"{len(self.own)} deaths agree and nothing outlived it"
        )
        sentence += f"; {faults} died otherwise, scattered, which is no timeout" if faults else ""
        return self._made(Found.TIMEOUT, sentence, cluster, members)

    @property
    def _refused(self) -> int:
        return sum(stream.refused and stream.watched is self.watched for stream in self.streams)

    @property
    def _hidden(self) -> bool:
        """Whether the timeout on the whole ends every stream, and the family waited for nearly as long."""
        if not self.at_ceiling or self.ceiling is None or self.ceiling < SHORTEST_TIMEOUT:
            return False
        return self.ceiling <= min(self.longest, self.survived) + HIDDEN_BELOW

    def without(self, cluster: Cluster | None) -> TimeoutFound:
        where, dead = NAMES[self.watched], len(self.own)
        if not self.family:
            return self._made(Found.UNKNOWN, f"no exchange came to the model server, so no timeout {where} can be told")
        if self.holding:
            return self._made(
                Found.UNKNOWN,
                f"cannot tell a timeout {where}: {dead} of {len(self.family)} ended while the path held tokens back, "
                "so that no hop saw the silence that was made",
            )
        if cluster is not None:
            ended = f"{len(cluster.members)} of {len(self.family)} ended at {cluster.value:.2f} s"
            if cluster.contradicted:
                return self._made(
                    Found.UNKNOWN, f"{ended}, but {cluster.contradicted}: no timeout {where} is told by that"
                )
            return self._made(
                Found.UNKNOWN, f"{ended}, and no lively stream lived longer: a timeout {where}, or one on the whole"
            )
        faults = self._scattered
        if self._hidden:
            return self._made(
                Found.HIDDEN,
                f"no timeout {where} shorter than the one at {self.ceiling:.2f} s that ends every stream; "
                f"{self.survived:.1f} s were survived{faults}",
            )
        if self.survived >= self.longest:
            return self._made(Found.NONE, f"no timeout {where} up to {self.survived:.1f} s{faults}")
        return self._made(
            Found.UNKNOWN, f"cannot tell a timeout {where}: {self.survived:.1f} s were survived at most{faults}"
        )

    def _made(
        self, found: Found, sentence: str, cluster: Cluster | None = None, members: Sequence[Stream] = ()
    ) -> TimeoutFound:
        looks = Counter(stream.looks for stream in members)
        return TimeoutFound(
            watched=self.watched,
            found=found,
            value=None if cluster is None else round(cluster.value, 3),
            uncertainty=0.0 if cluster is None else round(cluster.uncertainty, 3),
            proven=round(self.survived, 3),
            terminations=len(members),
            asked=len(self.family),
            ended=sum(stream.died and stream.waited < self.longest for stream in self.family) + self._refused,
            seen_as=tuple(look for look, _ in looks.most_common()),
            sentence=sentence,
        )


def is_round(value: float) -> str:
    """Words for a value that people set: whole seconds, or a half below ten; as near as it can be measured."""
    step, near = (0.5, 0.06) if value < 10 else (1.0, 0.12)
    rounded = round(value / step) * step
    return f", near the round {rounded:g} s" if abs(value - rounded) <= near else ""
