"""The metrics of one sample: everything that its times and sizes show, before anything is concluded.

The body is read as a foreign endpoint's: events of the wire format with their times, never the lab's own stamps.
Gaps are kept as their largest and as a median, and never as a mean, which hides bursts: "first token late, then almost
no time between tokens" is a buffer's doing, and its mean gap is small.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median_high

from lab.endpoint.samples import Sample
from lab.evidence import Evidence, HttpVersion, Read
from lab.judge.gaps import APART, Pattern, moments_of
from lab.judge.reading import longest_silence
from lab.probe.body import BodyReader, ContentDecoder
from lab.wire import format_named
from lab.wire.events import PROGRESS

SIZES = (16384, 8192, 4096, 2048, 1024)
"""Bytes of the buffers that proxies and operating systems use, the largest first."""

SIZE_SHARE = 0.6
"""Share of the bursts that must be a multiple of a size for it to be called sticky; the last burst never is."""

GRIDS = (0.2, 0.5, 1.0, 0.1)
"""Seconds of the time grids that are looked for; a timer that runs freely keeps one.
HAProxy's does not: its 200 ms begin with the token that is held, so its bursts lie 200 ms and a bit apart."""

GRID_SHARE = 0.8
GRID_SLACK = 0.06
"""Share of the gaps that must lie this near (as a part of the grid) to the grid itself. By chance an eighth would."""

_FEW_GAPS = 5
_FEW_BURSTS = 3


@dataclass(frozen=True)
class Metrics:
    """What one sample shows; times in seconds from the request.

    Args:
        route: the route's name.
        http: the version that it was made in.
        content_coding: the reply's; empty for none.
        stream: whether a stream was asked for.
        first_byte: None if no byte came.
        first_token: the first piece of the answer: text, reasoning, a part of a call to a tool, sound; None if none
            came.
        total: to the end.
        tokens: events with such pieces.
        largest_gap: between neighbouring tokens; 0 of fewer than two.
        gap_between_bursts: from the beginning of one burst of tokens to that of the next, in the median; 0 of one.
        events_a_read: how many reads brought 1, 2, 3, ... tokens, as pairs of number and count.
        bursts: in how many bursts, which lie apart, the tokens came; as many as tokens where they came one by one.
        longest_silence: the longest time without a byte.
        sticky: the buffer size of which most bursts are multiples; None if there is none.
        grid: the time grid on which most bursts begin, in seconds; None if there is none.
        whole: share of the bursts that end with an event.
        body_bytes: length of the body.
    """

    route: str
    http: HttpVersion
    content_coding: str
    stream: bool
    first_byte: float | None
    first_token: float | None
    total: float
    tokens: int
    largest_gap: float
    gap_between_bursts: float
    events_a_read: tuple[tuple[int, int], ...]
    bursts: int
    longest_silence: float
    sticky: int | None
    grid: float | None
    whole: float
    body_bytes: int


@dataclass(frozen=True)
class Measured:
    """A sample's metrics, and the times on which delivery is judged."""

    sample: Sample
    metrics: Metrics
    pattern: Pattern


@dataclass(frozen=True)
class _Read:
    """A body, read: times of tokens, and the bursts of bytes."""

    tokens: tuple[float, ...]
    bursts: tuple[int, ...]
    whole: float


def measure_metrics(sample: Sample) -> Measured:
    """Measure one sample."""
    setting, trace = sample.setting, sample.evidence.trace
    body = _read(sample.evidence)
    tokens, total = body.tokens, max(trace.ended - trace.started, 0.0)
    begun = moments_of(tokens)
    apart = [later - earlier for earlier, later in pairwise(begun)]
    metrics = Metrics(
        route=setting.route.name,
        http=setting.http,
        content_coding=trace.header("content-encoding").strip().lower(),
        stream=setting.stream,
        first_byte=trace.reads[0].at - trace.started if trace.reads else None,
        first_token=tokens[0] if tokens else None,
        total=total,
        tokens=len(tokens),
        largest_gap=max((later - earlier for earlier, later in pairwise(tokens)), default=0.0),
        gap_between_bursts=median_high(apart) if apart else 0.0,
        events_a_read=tuple(sorted(Counter(Counter(tokens).values()).items())),
        bursts=len(begun),
        longest_silence=longest_silence(trace),
        sticky=sticky_size(body.bursts),
        grid=time_grid(apart),
        whole=body.whole,
        body_bytes=sum(len(piece.data) for piece in trace.body),
    )
    return Measured(sample, metrics, Pattern.of(trace, tokens, body.whole))


def samples_in_words(group: Sequence[Measured]) -> str:
    """How many samples."""
    return f"{len(group)} sample{'s' if len(group) != 1 else ''}"


def sticky_size(bursts: Sequence[int]) -> int | None:
    """The largest buffer size of which most bursts, the last one aside, are multiples."""
    full = bursts[:-1]
    if len(full) < _FEW_BURSTS:
        return None
    found = (size for size in SIZES if sum(burst % size == 0 for burst in full) >= SIZE_SHARE * len(full))
    return next(found, None)


def time_grid(gaps: Sequence[float]) -> float | None:
    """The grid on which bursts begin: most gaps between them are one step long, or some.

    Each gap is compared with the nearest multiple, so that a late burst spoils two gaps and no more.
    A grid finer than the gaps' own scatter fits anything, so most gaps must be a single step.
    """
    if len(gaps) < _FEW_GAPS:
        return None
    for grid in GRIDS:
        near = [gap for gap in gaps if round(gap / grid) and abs(gap - round(gap / grid) * grid) <= GRID_SLACK * grid]
        single = sum(1 for gap in near if round(gap / grid) == 1)
        if len(near) >= GRID_SHARE * len(gaps) and 2 * single >= len(gaps):
            return grid
    return None


def _read(evidence: Evidence) -> _Read:
    trace = evidence.trace
    coding = trace.header("content-encoding")
    body = BodyReader(format_named(evidence.wire_format), evidence.stream, coding)
    plain = ContentDecoder(coding)
    tokens: list[float] = []
    tail, ends = b"\n", []
    for piece in trace.body:
        at = piece.at - trace.started
        found = body.feed(piece.data).events
        tokens += [at] * sum(isinstance(event, PROGRESS) for event in found)
        tail = plain.feed(piece.data)[-1:] or tail
        ends.append(tail == b"\n")
    last = trace.body[-1].at - trace.started if trace.body else 0.0
    found = body.close().events
    tokens += [last] * sum(isinstance(event, PROGRESS) for event in found)
    sizes, whole = _bursts(trace.body, ends)
    return _Read(tuple(tokens), sizes, whole)


def _bursts(pieces: Sequence[Read], ends: Sequence[bool]) -> tuple[tuple[int, ...], float]:
    """Bytes between silences, and the share of bursts after which an event was whole."""
    sizes: list[int] = []
    whole: list[bool] = []
    before = None
    for piece, end in zip(pieces, ends, strict=True):
        if before is None or piece.at - before > APART:
            sizes.append(0)
            whole.append(end)
        sizes[-1] += len(piece.data)
        whole[-1] = end
        before = piece.at
    return tuple(sizes), sum(whole) / len(whole) if whole else 1.0
