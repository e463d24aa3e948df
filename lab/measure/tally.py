"""From a family of streams to the finding on its timeout, in numbers and words. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lab.measure.clusters import TIGHT, Cluster, tolerance
from lab.measure.findings import Found, TerminationKind, TimeoutFound
from lab.measure.streams import Stream
from lab.suite.search import SHORTEST_TIMEOUT, STEP
from lab.vocabulary import Watched

HIDDEN_BELOW = 0.5
"""Seconds by which a timeout must be shorter than the one on the whole to be told from it."""


def outlived(stream: Stream, family: Sequence[Stream], streams: Sequence[Stream]) -> bool:
    """Whether others waited clearly longer, and others lived clearly longer, so that no timeout ended this one.

    A relay that was kept from running lets a timeout strike whenever it runs again (LiteLLM's of 5 s on a busy machine
    between 5.4 and 8.6 s, measured).
    """
    if stream.slow:
        return False
    waited = max(max(other.survived, other.surely_waited) for other in family)
    lived = max(other.surely_lived for other in streams)
    return waited > stream.waited + tolerance(stream.waited) and lived > stream.at + tolerance(stream.at)


def mostly_held(streams: Sequence[Stream]) -> bool:
    """Whether the path had held tokens back of most of them when they ended."""
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
class Tally:
    """One family, counted, from which its finding is written."""

    watched: Watched
    family: Sequence[Stream]
    own: Sequence[Stream]
    at_ceiling: set[str]
    survived: float
    longest: float
    whole: Cluster | None
    streams: Sequence[Stream]
    kinds: Mapping[str, TerminationKind]

    def bears_out(self, cluster: Cluster, members: Sequence[Stream]) -> bool:
        """Whether deaths that agree are a timeout's: of one on a share of the requests where others outlived them."""
        if cluster.one_moment:
            return False
        return not cluster.outlived or cluster.clear or (cluster.spread <= TIGHT and bool(self._share(members)))

    def _share(self, members: Sequence[Stream]) -> str:
        """Words on the connection where that tells the streams which a timeout ended from those which outlived it."""
        beyond = self._beyond(members)
        fresh, used = "fresh connection", "connection that had been used before"
        for ended, others, reused in ((fresh, used, False), (used, fresh, True)):
            if all(each.reused is reused for each in members) and all(each.reused is not reused for each in beyond):
                return f"those whose request went to the model on a {ended}, and none on a {others}" if beyond else ""
        return ""

    def _beyond(self, members: Sequence[Stream]) -> list[Stream]:
        """The streams that outlived these."""
        last = max(each.waited for each in members)
        return [each for each in self.family if max(each.survived, each.surely_waited) > last + TIGHT]

    def _scattered(self, deaths: Sequence[Stream]) -> str:
        """Words on deaths that no timeout explains; empty without any."""
        faults = sum(outlived(stream, self.family, self.streams) for stream in deaths)
        others = len(deaths) - faults
        words = f"; {faults} of {len(self.family)} died scattered, which are faults and no timeout" if faults else ""
        return words + (f"; {others} of {len(self.family)} died, too few that agree to tell of what" if others else "")

    @property
    def holding(self) -> bool:
        """Whether most deaths came while the path held tokens back: a hop's timeout then saw other times than ours."""
        return mostly_held(self.own)

    def with_timeout(self, cluster: Cluster, members: Sequence[Stream]) -> TimeoutFound:
        """The finding where deaths are a timeout's."""
        where = NAMES[self.watched]
        if not cluster.certain:
            early, after = max(0.0, cluster.value - cluster.uncertainty), cluster.value + cluster.uncertainty
            unsure = self._made(
                Found.UNKNOWN,
                f"a timeout {where} somewhere between {early:.2f} s and {after:.2f} s: the requests were late to come "
                "to the model server, or the probe to see how they ended, so that the value cannot be told",
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
        if self.watched is Watched.TOTAL and mostly_held(members):
            return self._made(
                Found.UNKNOWN,
                f"every stream ended {cluster.value:.2f} s after its request, and the path had held its tokens back: "
                "a timeout on the whole, or one on the first byte in front of the hop that holds",
                cluster,
                members,
            )
        return self._made(Found.TIMEOUT, self._told(cluster, members), cluster, members)

    def _told(self, cluster: Cluster, members: Sequence[Stream]) -> str:
        """A timeout that the deaths bear out, in words."""
        sentence = f"a timeout {NAMES[self.watched]} {when(cluster)}"
        if cluster.outlived:
            sentence += f", on a share of the requests: it ended {len(members)} of {len(self.family)} streams, "
            sentence += f"{cluster.spread * 1e3:,.0f} ms apart, and {len(self._beyond(members))} outlived it"
            share = self._share(members)
            return f"{sentence}; it ended {share}" if share else sentence
        sentence += f": {len(members)} of {len(self.own)} deaths agree and nothing outlived it"
        return sentence + self._scattered([each for each in self.own if each not in members])

    @property
    def _refused(self) -> int:
        return sum(stream.refused and stream.watched is self.watched for stream in self.streams)

    @property
    def _hidden(self) -> bool:
        """Whether the timeout on the whole ends every stream, and the family waited for nearly as long."""
        if not self.at_ceiling or self.whole is None or self.whole.least < SHORTEST_TIMEOUT:
            return False
        return self.whole.least <= min(self.longest, self.survived) + HIDDEN_BELOW

    def without(self, cluster: Cluster | None) -> TimeoutFound:
        """The finding where none are, or where nobody knows of which."""
        where, dead = NAMES[self.watched], len(self.own)
        if not self.family:
            return self._made(
                Found.UNKNOWN, f"no stream that waits so could be counted, so no timeout {where} can be told"
            )
        if self.holding:
            return self._made(
                Found.UNKNOWN,
                f"cannot tell a timeout {where}: {dead} of {len(self.family)} ended while the path held tokens back, "
                "so that no hop saw the silence that was made",
            )
        if cluster is not None:
            ended = f"{len(cluster.members)} of {len(self.family)} ended {when(cluster)}"
            if cluster.one_moment:
                why = f"{cluster.one_moment} ended in one moment"
                return self._made(Found.UNKNOWN, f"{ended}, but {why}: no timeout {where} is told by that")
            if cluster.outlived:
                why = f"{cluster.outlived} outlived it, and they lie too far apart to be a timeout on a share"
                return self._made(Found.UNKNOWN, f"{ended}, but {why}: no timeout {where} is told by that")
            told = f"{ended}, and no lively stream lived longer: a timeout {where}, or one on the whole"
            return replace(self._made(Found.UNKNOWN, told), ended_at=round(cluster.least, 3))
        faults = self._scattered(self.own)
        whole = "" if self.whole is None else _span(self.whole)
        if self._hidden:
            return self._made(
                Found.HIDDEN,
                f"the timeout on the whole, {whole}, ended {len(self.at_ceiling)} of "
                f"{len(self.family)}; none {where} is shorter, and {self.survived:.1f} s were survived{faults}",
            )
        if self.survived >= self.longest:
            return self._made(Found.NONE, f"no timeout {where} up to {self.survived:.1f} s{faults}")
        told = f"cannot tell a timeout {where}: {self.survived:.1f} s were survived at most{faults}"
        if self.at_ceiling:
            told += f"; {len(self.at_ceiling)} of {len(self.family)} ended {whole}, as lively ones did"
        return self._made(Found.UNKNOWN, told)

    def _made(
        self, found: Found, sentence: str, cluster: Cluster | None = None, members: Sequence[Stream] = ()
    ) -> TimeoutFound:
        looks = Counter(stream.looks for stream in members)
        ended = [stream for stream in self.family if stream.died and stream.waited < self.longest]
        events = [each for each in ended if self.kinds.get(each.name) is TerminationKind.OUTAGE]
        ended_at = self.whole.least if self.whole is not None and self.at_ceiling else None
        return TimeoutFound(
            watched=self.watched,
            found=found,
            # As near as the sentence says it.
            value=None if cluster is None else round(cluster.value, 2),
            uncertainty=0.0 if cluster is None else round(cluster.uncertainty, 3),
            proven=round(self.survived, 3),
            terminations=len(members),
            asked=len(self.family),
            ended=len(ended) + self._refused,
            seen_as=tuple(look for look, _ in looks.most_common()),
            sentence=sentence,
            lost=sum(stream.punctual for stream in ended if stream not in events),
            ended_at=ended_at if cluster is None else round(cluster.value - cluster.uncertainty, 3),
            outlived=0 if cluster is None or not cluster.outlived else len(self._beyond(members)),
            coarse=cluster is not None and cluster.coarse,
        )


def when(cluster: Cluster) -> str:
    """At which time streams ended, in words."""
    more = ", by a clock that is looked at now and then" if cluster.coarse else is_round(cluster.value)
    return f"{_span(cluster)}{more}"


def _span(cluster: Cluster) -> str:
    if not cluster.coarse:
        return f"at {cluster.value:.2f} s"
    return f"between {cluster.least:.1f} and {cluster.value + cluster.uncertainty:.1f} s"


def is_round(value: float) -> str:
    """Words for a value that people set: whole seconds, or a half below ten; as near as it can be measured."""
    step, near = (0.5, 0.06) if value < 10 else (1.0, 0.12)
    rounded = round(value / step) * step
    return f", near the round {rounded:g} s" if abs(value - rounded) <= near else ""
