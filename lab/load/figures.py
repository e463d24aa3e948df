"""What a load found, in figures, and whether it can be believed. Pure.

A figure is only as good as what made it: where the load itself missed its times, or the model server its own, lateness
says nothing of the path, and the result is inconclusive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from lab.vocabulary import Ending

NOT_OPENED = "not-opened"
"""The name of streams that this machine could not open, among the endings of Locust's statistics."""

OWN_LATENESS = 50.0
"""Milliseconds that load and model server may be late themselves in 99 of 100 cases; the goal for a path's tokens."""


@dataclass(frozen=True)
class Spread:
    """How some times lie, in milliseconds; all 0 where there are none.

    Args:
        count: how many times.
        p50: half of them are no longer.
        p99: of a hundred, ninety-nine.
        p999: of a thousand, all but one.
        longest: the longest.
    """

    count: int = 0
    p50: int = 0
    p99: int = 0
    p999: int = 0
    longest: int = 0

    @staticmethod
    def of(times: Mapping[int, int], longest: int) -> Spread:
        """From how often each time was seen."""
        count = sum(times.values())
        # Locust keeps two digits of a time, so that a share may seem to lie beyond the longest.
        p50, p99, p999 = (min(_within(times, share, count), longest) for share in (500, 990, 999))
        return Spread(count, p50, p99, p999, longest)


def _within(times: Mapping[int, int], share: int, count: int) -> int:
    """The least time that so many of a thousand do not exceed."""
    wanted = ceil(share * count / 1000)
    seen = 0
    for time in sorted(times):
        seen += times[time]
        if seen >= wanted:
            return time
    return 0


@dataclass(frozen=True)
class ProxyUsage:
    """What the proxy's processes took while the streams ran.

    Args:
        memory: bytes of resident memory at most, all processes together.
        idle: bytes of it before the load.
        processor: seconds of processor.
        packets: that its container sent, to clients and model server; None where its network is everybody's.
        connections: to the model server, at most; None where nobody tells.
        files: temporary files that were open at once, at most; None where nobody tells.
        file_bytes: that these had, at most.
        ended: how many of its processes ended meanwhile, as one does that crashes or is killed for its memory.
    """

    memory: int
    idle: int
    processor: float
    packets: int | None = None
    connections: int | None = None
    files: int | None = None
    file_bytes: int | None = None
    ended: int = 0


@dataclass(frozen=True)
class Second:
    """What there was in one second.

    Args:
        at: seconds since the beginning.
        open: streams that were asked for and not over at its end.
        tokens: that came in it.
        late: the 99th percentile of their lateness, in milliseconds.
        streaming: of those that are open, how many have had their first token.
    """

    at: float
    open: int
    tokens: int
    late: int
    streaming: int = 0


@dataclass(frozen=True)
class Figures:
    """One load over one path.

    Args:
        target: the address, or the id of the case.
        streams: how many were wanted.
        asked: how many were asked for.
        begun: how many had a first token.
        queued: how many of these came to the model server, by the stamp of that token, later than `LONGEST_WAIT`, see
            `lab.judge.sharing`.
        refused: how many were turned away, by no connection or an error status.
        endings: how many ended so, by the ending.
        failures: what those ended with that were not complete, in words, and how many each.
        first: from the request to the first token.
        gaps: from each token's arrival to the next one's; they say nothing of what is held, see `late`.
        late: of each token, from its leaving the model server to its arrival.
        model_late: of each token, by how much the model server missed its own time.
        load_late: by how much the load missed its own times.
        seconds: one for each second.
        lost_workers: processes or machines that generated load and were lost.
        usage: of the proxy; None where it is not the lab's to look at.
        stopped: whether it was stopped before its end.
        not_opened: for how many this machine had no file or port, so that the path was not asked.
        coded: how many came with a content coding, such as gzip.
    """

    target: str
    streams: int
    asked: int
    begun: int
    queued: int
    refused: int
    endings: dict[Ending, int]
    failures: dict[str, int]
    first: Spread
    gaps: Spread
    late: Spread
    model_late: Spread
    load_late: Spread
    seconds: tuple[Second, ...] = ()
    lost_workers: int = 0
    usage: ProxyUsage | None = None
    stopped: bool = False
    not_opened: int = 0
    coded: int = 0

    @property
    def unended(self) -> int:
        """Streams that were asked for and of which no end is known: still open, or those of a lost process."""
        return self.asked - self.not_opened - sum(self.endings.values())

    @property
    def lost(self) -> int:
        """Streams that were wanted and did not come to their end, whatever became of them."""
        return self.streams - self.endings.get(Ending.COMPLETE, 0)

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why the lateness says nothing of the path; empty where it does."""
        found = []
        if self.load_late.p99 > OWN_LATENESS:
            found.append(f"the load itself was up to {self.load_late.p99:,.0f} ms late in 99 of 100 cases")
        if self.model_late.p99 > OWN_LATENESS:
            found.append(f"the model server was up to {self.model_late.p99:,.0f} ms late in 99 of 100 cases")
        if self.lost_workers:
            found.append(f"processes that made load were lost, with what they had seen last: {self.lost_workers}")
        if self.not_opened:
            found.append(f"this machine had no file or port for {self.not_opened} streams")
        if self.stopped:
            found.append("it was stopped before its end")
        return tuple(found)


def figures_of(raw: Mapping[str, Any], target: str, streams: int) -> Figures:
    """Read what Locust counted.

    Args:
        raw: its statistics, as the locustfile takes them apart.
        target: the address.
        streams: how many were wanted.
    """
    entries: Mapping[str, Any] = raw["entries"]

    def spread(name: str) -> Spread:
        entry = entries.get(name)
        if entry is None:
            return Spread()
        return Spread.of({int(time): count for time, count in entry["times"].items()}, entry["max"] or 0)

    def count(name: str) -> int:
        return int(entries.get(name, {"count": 0})["count"])

    counts = {ending: entries[f"STREAM {ending}"]["count"] for ending in Ending if f"STREAM {ending}" in entries}
    return Figures(
        target=target,
        streams=streams,
        asked=count("STREAM asked"),
        begun=count("TOKEN first"),
        queued=count("STREAM queued"),
        refused=count("STREAM refused"),
        endings=counts,
        failures={each["what"]: each["count"] for each in raw["failures"]},
        first=spread("TOKEN first"),
        gaps=spread("TOKEN gap"),
        late=spread("TOKEN late"),
        model_late=spread("MODEL late"),
        load_late=spread("LOAD late"),
        seconds=tuple(Second(**each) for each in raw["seconds"]),
        lost_workers=raw["lost_workers"],
        not_opened=count(f"STREAM {NOT_OPENED}"),
        coded=count("STREAM coded"),
    )
