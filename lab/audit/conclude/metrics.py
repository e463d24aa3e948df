"""The metrics of one sample: everything that its times and sizes show, before anything is concluded.

The body is read as a foreign endpoint's: events of the wire format with their times, never the lab's own stamps.
Gaps are kept as quantiles and never as a mean, which hides bursts: "first token late, then almost no time
between tokens" is a buffer's signature, and its mean gap is small.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from lab.endpoint.samples import Sample
from lab.evidence import Evidence, HttpVersion, Read
from lab.judge.gaps import APART, Pattern, moments_of
from lab.judge.reading import longest_silence
from lab.probe.body import BodyReader, ContentDecoder
from lab.wire import format_named
from lab.wire.events import PROGRESS, Heartbeat

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
_LATE = 0.8  # part of the whole time before the first token that makes a buffer's signature
_NEAR_ZERO = 0.005  # seconds; a gap that no model leaves


@dataclass(frozen=True)
class Quantiles:
    """Of a set of numbers; all zero for an empty one."""

    least: float = 0.0
    median: float = 0.0
    most_of: float = 0.0
    """Nine in ten are not above it."""
    largest: float = 0.0


@dataclass(frozen=True)
class Metrics:
    """What one sample shows; times in seconds from the request.

    Args:
        route: the route's name.
        http: the version that it was made in.
        agreed: the version that the reply states.
        content_coding: the reply's; empty for none.
        at_once: how many exchanges ran at the same time.
        stream: whether a stream was asked for.
        has_marker: whether the wire format has a terminal marker.
        first_byte: None if no byte came.
        first_event: of any kind, heartbeats and openings included; None if none came.
        first_token: the first piece of the answer: text, reasoning, a part of a call to a tool, sound; None if none
            came.
        last_token: the last one.
        total: to the end.
        tokens: events with such pieces.
        heartbeats: events that carry nothing.
        gaps: between neighbouring tokens.
        gaps_between_bursts: from the beginning of one burst of tokens to that of the next.
        events_a_read: how many reads brought 1, 2, 3, ... tokens, as pairs of number and count.
        bursts: in how many bursts, which lie apart, the tokens came; as many as tokens where they came one by one.
        quiet: share of the time between first and last token that lies in gaps of more than 100 ms.
        longest_silence: the longest time without a byte.
        sticky: the buffer size of which most bursts are multiples; None if there is none.
        grid: the time grid on which most bursts begin, in seconds; None if there is none.
        buffer_signature: first token late, and hardly any time between tokens then.
        whole: share of the bursts that end with an event.
        body_bytes: length of the body.
    """

    route: str
    http: HttpVersion
    agreed: str
    content_coding: str
    at_once: int
    stream: bool
    has_marker: bool
    first_byte: float | None
    first_event: float | None
    first_token: float | None
    last_token: float | None
    total: float
    tokens: int
    heartbeats: int
    gaps: Quantiles
    gaps_between_bursts: Quantiles
    events_a_read: tuple[tuple[int, int], ...]
    bursts: int
    quiet: float
    longest_silence: float
    sticky: int | None
    grid: float | None
    buffer_signature: bool
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
    """A body, read: times of events, and the bursts."""

    events: tuple[float, ...]
    tokens: tuple[float, ...]
    heartbeats: int
    bursts: tuple[int, ...]
    whole: float


def measure_metrics(sample: Sample) -> Measured:
    """Measure one sample."""
    setting, trace = sample.setting, sample.evidence.trace
    body = _read(sample.evidence)
    tokens, total = body.tokens, max(trace.ended - trace.started, 0.0)
    gaps = [later - earlier for earlier, later in pairwise(tokens)]
    begun = moments_of(tokens)
    apart = [later - earlier for earlier, later in pairwise(begun)]
    span = tokens[-1] - tokens[0] if tokens else 0.0
    metrics = Metrics(
        route=setting.route.name,
        http=setting.http,
        agreed=trace.version,
        content_coding=trace.header("content-encoding").strip().lower(),
        at_once=setting.at_once,
        stream=setting.stream,
        has_marker=format_named(sample.evidence.wire_format).has_marker,
        first_byte=trace.reads[0].at - trace.started if trace.reads else None,
        first_event=body.events[0] if body.events else None,
        first_token=tokens[0] if tokens else None,
        last_token=tokens[-1] if tokens else None,
        total=total,
        tokens=len(tokens),
        heartbeats=body.heartbeats,
        gaps=quantiles(gaps),
        gaps_between_bursts=quantiles(apart),
        events_a_read=tuple(sorted(Counter(Counter(tokens).values()).items())),
        bursts=len(begun),
        quiet=sum(gap for gap in gaps if gap > 0.1) / span if span else 0.0,
        longest_silence=longest_silence(trace),
        sticky=sticky_size(body.bursts),
        grid=time_grid(apart),
        buffer_signature=_buffer_signature(tokens, gaps, total),
        whole=body.whole,
        body_bytes=sum(len(piece.data) for piece in trace.body),
    )
    return Measured(sample, metrics, Pattern.of(trace, tokens, body.whole))


def samples_in_words(group: Sequence[Measured]) -> str:
    """How many samples."""
    return f"{len(group)} sample{'s' if len(group) != 1 else ''}"


def quantiles(numbers: Sequence[float]) -> Quantiles:
    """Least, median, ninth tenth and largest."""
    if not numbers:
        return Quantiles()
    row = sorted(numbers)
    return Quantiles(row[0], row[len(row) // 2], row[(len(row) - 1) * 9 // 10], row[-1])


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


def _buffer_signature(tokens: Sequence[float], gaps: Sequence[float], total: float) -> bool:
    return len(gaps) >= _FEW_GAPS and tokens[0] >= _LATE * total and quantiles(gaps).most_of <= _NEAR_ZERO


def _read(evidence: Evidence) -> _Read:
    trace = evidence.trace
    coding = trace.header("content-encoding")
    body = BodyReader(format_named(evidence.wire_format), evidence.stream, coding)
    plain = ContentDecoder(coding)
    events: list[float] = []
    tokens: list[float] = []
    heartbeats, tail, ends = 0, b"\n", []
    for piece in trace.body:
        at = piece.at - trace.started
        found = body.feed(piece.data).events
        events += [at] * len(found)
        tokens += [at] * sum(isinstance(event, PROGRESS) for event in found)
        heartbeats += sum(isinstance(event, Heartbeat) for event in found)
        tail = plain.feed(piece.data)[-1:] or tail
        ends.append(tail == b"\n")
    last = trace.body[-1].at - trace.started if trace.body else 0.0
    found = body.close().events
    events += [last] * len(found)
    tokens += [last] * sum(isinstance(event, PROGRESS) for event in found)
    sizes, whole = _bursts(trace.body, ends)
    return _Read(tuple(events), tuple(tokens), heartbeats, sizes, whole)


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
