"""Samples of endpoints that nobody knows, built from rules: when the model writes, and what the path does to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate

from lab.endpoint.samples import Route, Sample, Setting
from lab.evidence import Evidence, Read, Stall, Trace, TransportEnd
from lab.wire import format_named
from lab.wire.events import FinishReason
from lab.wire.format import Reply

START = 50.0
REPLY = Reply("reply-1", "a-model")
HEADERS = (("content-type", "text/event-stream"),)

Path = Callable[[Sequence[tuple[float, bytes]]], list[tuple[float, bytes]]]
"""What a path makes of writes, each with its time: the reads of the client."""


def writes(times: Iterable[float], *, wire: str = "openai-chat", marker: bool = True) -> list[tuple[float, bytes]]:
    """What a model writes that has a word at each time, and ends properly with the last or not at all."""
    form = format_named(wire)
    found = [(time, form.text(REPLY, "word ", number)) for number, time in enumerate(times, 1)]
    if marker and found:
        end = form.finish(REPLY, FinishReason.STOP, len(found)) + form.marker(REPLY)
        found[-1] = (found[-1][0], found[-1][1] + end)
    return found


def steady(count: int, interval: float, first: float = 0.5) -> list[float]:
    """The times of a model that writes evenly."""
    return [first + interval * number for number in range(count)]


def straight(found: Sequence[tuple[float, bytes]]) -> list[tuple[float, bytes]]:
    """A path that hands on at once."""
    return list(found)


def batching(found: Sequence[tuple[float, bytes]]) -> list[tuple[float, bytes]]:
    """A path that hands on everything at the end."""
    return [(found[-1][0], b"".join(data for _, data in found))]


def holding(hold: float) -> Path:
    """A path that hands on what it has so long after the first byte that it has not handed on yet."""

    def path(found: Sequence[tuple[float, bytes]]) -> list[tuple[float, bytes]]:
        reads: list[tuple[float, bytes]] = []
        for time, data in found:
            if reads and time <= reads[-1][0]:
                reads[-1] = (reads[-1][0], reads[-1][1] + data)
            else:
                reads.append((time + hold, data))
        return reads

    return path


def paging(size: int) -> Path:
    """A path that hands on whole pages, and the rest at the end."""

    def path(found: Sequence[tuple[float, bytes]]) -> list[tuple[float, bytes]]:
        body = b"".join(data for _, data in found)
        reads: list[tuple[float, bytes]] = []
        done = 0
        for (time, _), have in zip(found, accumulate(len(data) for _, data in found), strict=True):
            upto = len(body) if have == len(body) else have // size * size
            if upto > done:
                reads.append((time, body[done:upto]))
                done = upto
        return reads

    return path


def sample(
    reads: Sequence[tuple[float, bytes]],
    *,
    route: str = "path",
    wire: str = "openai-chat",
    end: TransportEnd = TransportEnd.FRAMED,
    ended: float | None = None,
    status: int = 200,
    headers: tuple[tuple[str, str], ...] = HEADERS,
    stream: bool = True,
    stalls: Sequence[tuple[float, float]] = (),
    offered: str = "",
    headers_at: float | None = None,
) -> Sample:
    """One exchange in which these reads came, in seconds from the request, and these stalls of the probe were noted."""
    body = tuple(Read(START + time, data) for time, data in reads)
    over = START + ended if ended is not None else (body[-1].at if body else START) + 0.001
    trace = Trace(
        started=START,
        ended=over,
        end=end,
        status=status or None,
        version="1.1",
        headers=headers,
        headers_at=START + headers_at if headers_at is not None else (body[0].at if body else over),
        framing="chunked",
        reads=body,
        body=body,
        stalls=tuple(Stall(START + since, START + until) for since, until in stalls),
    )
    setting = Setting(Route(route, "https://foreign/v1"), accept_encoding=offered, stream=stream)
    return Sample(setting, Evidence(wire, stream, trace))
