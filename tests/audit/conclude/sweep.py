"""Made arrival times: models of many shapes, paths that hold in many ways, and what is true of each, without a network.

The truth is that of the making: by how much the path delayed each event beyond the least delay of all. A delay that
nobody who reads along can see is no hold, so where none was longer than `SEEN` both words are true. Times of reading
have the noise of a busy machine.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from lab.endpoint.samples import Sample
from lab.vocabulary import Delivery

from ..foreign import paging, sample, writes

SEEN = 0.1
"""Seconds. Up to a tenth of one, what a person sees seems to follow at once; it is also half of what HAProxy holds."""

Writes = Sequence[tuple[float, bytes]]
Reads = list[tuple[float, bytes]]
Hold = Callable[[Writes, random.Random], Reads]


@dataclass(frozen=True)
class Model:
    """How a model writes: events a second, how even, how many at once, and whether its answers differ in length."""

    rate: float
    jitter: str
    burst: int
    lengths: str = "alike"

    def times(self, draw: random.Random) -> list[float]:
        """When one answer's events are written."""
        count = 200 if self.lengths == "alike" else min(500, max(20, round(draw.lognormvariate(5.0, 0.5))))
        ways: Mapping[str, Callable[[], float]] = {
            "none": lambda: 1.0,
            "uniform": lambda: draw.uniform(0.5, 1.5),
            "exponential": lambda: draw.expovariate(1.0),
        }
        steps = ways[self.jitter]
        begin = draw.uniform(0.3, 0.5)
        each = list(accumulate((steps() / self.rate for _ in range(count)), initial=begin))[1:]
        # What is written at once is written when the last of it is known.
        return [each[min(place // self.burst * self.burst + self.burst, count) - 1] for place in range(count)]


def _straight(found: Writes, _: random.Random) -> Reads:
    return list(found)


def _whole(found: Writes, _: random.Random) -> Reads:
    return [(found[-1][0], b"".join(data for _, data in found))]


def _delay(found: Writes, _: random.Random) -> Reads:
    return [(time + 0.3, data) for time, data in found]


def _replay(found: Writes, _: random.Random) -> Reads:
    """Even steps, half as long as the model's or 10 ms; what was held is not handed on slower than it came."""
    step = min(0.01, 0.5 * (found[-1][0] - found[0][0]) / len(found))
    return [(found[-1][0] + step * place, data) for place, (_, data) in enumerate(found)]


def _head(found: Writes, _: random.Random) -> Reads:
    size = 0
    for place, (time, data) in enumerate(found):
        size += len(data)
        if size >= 8192:
            # It is written in several pieces, as some proxies do.
            head = [(time + 0.0005 * number, piece) for number, (_, piece) in enumerate(found[: place + 1])]
            return sorted([*head, *found[place + 1 :]], key=lambda read: read[0])
    return _whole(found, _)


def _pages(size: int) -> Hold:
    return lambda found, _: paging(size)(found)


def _grid(step: float) -> Hold:
    """A timer that runs freely, or one that begins with what it holds, as HAProxy's does."""

    def path(found: Writes, draw: random.Random) -> Reads:
        phase = draw.uniform(0, step)
        reads: Reads = []
        for time, data in found[:-1]:
            at = min(phase + step * -(-(time - phase) // step), found[-1][0])
            if reads and at <= reads[-1][0] + 1e-9:
                reads[-1] = (reads[-1][0], reads[-1][1] + data)
            else:
                reads.append((at, data))
        return [*reads, found[-1]]

    return path


def _haproxy(found: Writes, _: random.Random) -> Reads:
    reads: Reads = []
    for time, data in found[:-1]:
        if reads and time <= reads[-1][0]:
            reads[-1] = (reads[-1][0], reads[-1][1] + data)
        else:
            reads.append((min(time + 0.2, found[-1][0]), data))
    return [*reads, found[-1]]


RATES, BURSTS, JITTERS = (5.0, 25.0, 60.0, 200.0), (1, 4, 16), ("none", "uniform", "exponential")

HOLDS: Mapping[str, Hold] = {
    "none": _straight,
    "delay of 300 ms": _delay,
    "whole": _whole,
    "replay": _replay,
    "first 8 KiB": _head,
    **{f"pages of {size // 1024} KiB": _pages(size) for size in (1024, 4096, 8192, 16384)},
    **{f"grid of {step * 1e3:.0f} ms": _grid(step) for step in (0.05, 0.2, 0.5)},
    "200 ms from the first": _haproxy,
}

MODELS = [
    *(Model(rate, jitter, burst) for rate in RATES for jitter in JITTERS for burst in BURSTS),
    *(Model(rate, "uniform", burst, "lognormal") for rate in RATES for burst in BURSTS),
]


@dataclass(frozen=True)
class Asked:
    """Samples of one model over one path, and every word that is true of them."""

    samples: tuple[Sample, ...]
    true: frozenset[Delivery]


def ask(model: Model, hold: str, count: int, draw: random.Random, route: str = "path") -> Asked:
    """Ask a model so often over a path."""
    samples, worst = [], 0.0
    for _ in range(count):
        written = writes(model.times(draw))
        came = HOLDS[hold](written, draw)
        worst = max(worst, _most_delay(written, came))
        samples.append(sample(_read_late(came, draw), route=route))
    return Asked(tuple(samples), _true(hold, worst))


def _most_delay(written: Writes, came: Reads) -> float:
    """Seconds by which the path delayed any event more than the one that it delayed least."""
    ends = list(accumulate(len(data) for _, data in came))
    place, delays = 0, []
    for (time, _), end in zip(written, accumulate(len(data) for _, data in written), strict=True):
        while ends[place] < end:
            place += 1
        delays.append(came[place][0] - time)
    return max(delays) - min(delays)


def _true(hold: str, worst: float) -> frozenset[Delivery]:
    if hold in ("none", "delay of 300 ms"):
        return frozenset({Delivery.INCREMENTAL})
    if hold in ("whole", "replay"):
        return frozenset({Delivery.BATCHED})
    held = {Delivery.COALESCED, Delivery.BATCHED}
    return frozenset({*held, Delivery.INCREMENTAL} if worst <= SEEN else held)


def _read_late(came: Reads, draw: random.Random) -> Reads:
    """Reads a few milliseconds late, and now and then by tens of them, as two busy processes make them."""
    reads: Reads = []
    for time, data in came:
        at = time + draw.expovariate(1 / 0.001) + (draw.uniform(0, 0.06) if draw.random() < 0.02 else 0.0)
        if reads and at <= reads[-1][0] + 0.0002:
            reads[-1] = (reads[-1][0], reads[-1][1] + data)
        else:
            reads.append((at, data))
    return reads
