"""The client of the benchmark: many streams, and for each token how late it came.

Lateness is arrival minus schedule, and the schedule of token i is the moment its request was sent
+ (i-1) x interval, for every server alike. It is light so as not to measure itself: one
`asyncio.Protocol` a stream, no HTTP parser, tokens counted by a byte pattern. How late its own event
loop runs is measured beside it, by a timer that is due every few milliseconds.

Streams arrive at random times that are the same for each server (even times would fall into step with the interval),
whatever became of those before; each opens its connection then. What a first token takes counts from the arrival.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import time
from array import array
from dataclasses import dataclass, field
from typing import cast

import psutil
from servers import Load, Server

_TICK = 0.005
_LOOK_EVERY = 0.5
_PATIENCE = 5.0
_WARM_WITHIN = 30.0


@dataclass(frozen=True)
class Measurement:
    """The lateness of every token that came, in seconds, sorted; and the client's own.

    Args:
        lateness: of the tokens.
        first: from each stream's arrival to its first token.
        own: of the client's timer.
        wanted: how many tokens there should have been.
        memory: bytes that the server took more at most than before.
    """

    lateness: list[float]
    first: list[float]
    own: list[float]
    wanted: int
    memory: int


def percentile(ordered: list[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))] if ordered else float("nan")


@dataclass(eq=False)
class Stream(asyncio.Protocol):
    """One stream: sends its request once it is connected, and notes each token's lateness."""

    request: bytes
    token: bytes
    interval: float
    done: asyncio.Future[None]
    arrived: float = 0.0
    first: float | None = None
    transport: asyncio.Transport | None = None
    due: float = 0.0
    tail: bytes = b""
    lateness: array[float] = field(default_factory=lambda: array("d"))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request; the schedule begins now."""
        self.transport = cast(asyncio.Transport, transport)
        self.due = time.monotonic()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        """Count the tokens in a read; those that come together have come at the same time."""
        now = time.monotonic()
        data = self.tail + data
        if self.first is None and self.token in data:
            self.first = now - self.arrived
        for _ in range(data.count(self.token)):
            self.lateness.append(now - self.due)
            self.due += self.interval
        # A pattern may be cut by the end of a read; what is kept is too short to hold a whole one.
        self.tail = data[-(len(self.token) - 1) :]
        if b"[DONE]" in data:
            self._finish()

    def connection_lost(self, error: Exception | None) -> None:
        """The stream is over, whether it was whole or not."""
        self._finish()

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def measure(server: Server, port: int, process: int, load: Load) -> Measurement:
    """Run the load against a server that is ready."""
    loop = asyncio.get_running_loop()
    await _warm_up(server, port, load)
    request = _request(server, load.tokens)
    streams = [Stream(request, server.token, load.interval, loop.create_future()) for _ in range(load.streams)]
    own: list[float] = []
    memory = [psutil.Process(process).memory_info().rss]
    starts = random.Random(load.streams)
    begun = time.monotonic()
    works = [
        *(_arrive(stream, port, begun + starts.random() * load.ramp) for stream in streams),
        *(_watch_own_lateness(own), _watch_memory(process, memory)),
    ]
    tasks = [asyncio.create_task(work) for work in works]
    gc.collect()
    gc.disable()
    try:
        limit = load.ramp + load.tokens * load.interval * _PATIENCE
        await asyncio.wait([stream.done for stream in streams], timeout=limit)
    finally:
        gc.enable()
        for task in tasks:
            task.cancel()
    for stream in streams:
        if stream.transport is not None:
            stream.transport.abort()
    lateness = sorted(late for stream in streams for late in stream.lateness)
    first = sorted(stream.first for stream in streams if stream.first is not None)
    return Measurement(lateness, first, sorted(own), load.streams * load.tokens, max(memory) - memory[0])


async def _arrive(stream: Stream, port: int, at: float) -> None:
    await asyncio.sleep(at - time.monotonic())
    stream.arrived = time.monotonic()
    try:
        await asyncio.get_running_loop().create_connection(lambda: stream, "127.0.0.1", port)
    except OSError:
        # Its tokens are missing from those that came.
        stream.connection_lost(None)


async def _warm_up(server: Server, port: int, load: Load) -> None:
    """One short stream, so that no server's first request is measured."""
    loop = asyncio.get_running_loop()
    stream = Stream(_request(server, 2), server.token, load.interval, loop.create_future())
    await loop.create_connection(lambda: stream, "127.0.0.1", port)
    async with asyncio.timeout(_WARM_WITHIN):
        await stream.done
    if stream.transport is not None:
        stream.transport.abort()


def _request(server: Server, tokens: int) -> bytes:
    fields = {"model": server.model, "stream": True, "max_tokens": tokens}
    body = json.dumps({**fields, "messages": [{"role": "user", "content": "Count."}]}).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Accept: text/event-stream\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _watch_memory(process: int, found: list[int]) -> None:
    while True:
        await asyncio.sleep(_LOOK_EVERY)
        found.append(psutil.Process(process).memory_info().rss)


async def _watch_own_lateness(own: list[float]) -> None:
    due = time.monotonic()
    while True:
        due += _TICK
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        own.append(max(0.0, time.monotonic() - due))
