"""A relay with timeouts, written for the tests alone: it knows nothing of the lab but the header that names a plan.

It forwards one exchange for each connection, byte for byte, and notes what it ended and why. It stands in for a path of
which the test knows everything: timeouts of each kind, faults that strike at random, an outage, a hop that holds the
reply back, heartbeats that count as traffic or do not, and four ways to end a reply.

    python -m tests.measure.relay SEED UPSTREAM_PORT

It runs as a process of its own, as a proxy does, and before others where that is allowed: in the process of the audit
its timeouts would be as late as the audit. It prints its port; when its input ends it prints what it ended, and by how
much it was late itself, without which nobody would know what its timeouts were.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import random
import re
import socket
import struct
import sys
import time
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType
from typing import Self

NEVER = math.inf


class Why(Enum):
    """What ended an exchange."""

    FIRST = "first"
    IDLE = "idle"
    TOTAL = "total"
    FAULT = "fault"
    OUTAGE = "outage"


TIMEOUTS = (Why.FIRST, Why.IDLE, Why.TOTAL)


@dataclass(frozen=True)
class Nature:
    """What a relay does, in seconds; `NEVER` switches a timeout off.

    Args:
        first: from the request to the first byte.
        idle: between bytes.
        total: from the request.
        wants_body: headers do not count for `first`.
        beats_count: comments count as bytes for `idle`.
        fault_share: share of the connections that a fault ends at a random time.
        outage: seconds from the start at which everything dies.
        holds: the reply is collected and handed on at its end.
        timeouts_in_front: of a relay that holds: its timeouts see what it hands on and not what it gets.
        cut: how a reply ends: `fin`, `rst`, `clean`, or `504` where no byte has been handed on.
        lazy: the model's side of the connection is left open.
    """

    first: float = NEVER
    idle: float = NEVER
    total: float = NEVER
    wants_body: bool = False
    beats_count: bool = True
    fault_share: float = 0.0
    outage: float = NEVER
    holds: bool = False
    timeouts_in_front: bool = False
    cut: str = "fin"
    lazy: bool = False


@dataclass
class _Exchange:
    """One exchange: when it began, and when something that counts was last seen."""

    began: float
    fault_at: float
    seen: float | None = None
    bytes_at: float | None = None
    held: bytearray = field(default_factory=bytearray)
    sent: bool = False


class Relay:
    """Listens on loopback while inside `async with`.

    Args:
        upstream: the model server's port.
        nature: what it does.
        draw: where its faults come from.

    Attributes:
        ended: what it ended and why, by plan and whether a stream was asked for.
        late: the most seconds by which its own process was late.
    """

    def __init__(self, upstream: int, nature: Nature, draw: random.Random) -> None:
        self.ended: dict[tuple[str, bool], Why] = {}
        self.late = 0.0
        self._upstream = upstream
        self._nature = nature
        self._draw = draw
        self._began = time.monotonic()
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._lazy: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._begin, "127.0.0.1", 0, backlog=512)
        self._serving.add(asyncio.get_running_loop().create_task(self._watch()))
        self._began = time.monotonic()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        for writer in self._lazy:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _watch(self) -> None:
        while True:
            due = time.monotonic() + 0.02
            await asyncio.sleep(0.02)
            self.late = max(self.late, time.monotonic() - due)

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: *(\d+)", head)
            body = await reader.readexactly(int(length[1]) if length else 0)
            far, far_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
            why: Why | None = None
            try:
                far_writer.write(head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) + body)
                why = await self._relay(reader, writer, far)
            finally:
                if why is not None and self._nature.lazy:
                    self._lazy.append(far_writer)
                else:
                    far_writer.close()
            if why is not None:
                plan = re.search(rb"(?i)x-lab-plan: *(\S*)", head)
                self.ended[(plan[1].decode() if plan else "", b'"stream":true' in body.replace(b" ", b""))] = why
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def _relay(
        self, near: asyncio.StreamReader, writer: asyncio.StreamWriter, far: asyncio.StreamReader
    ) -> Why | None:
        """Forward the reply to its end; what ended it before, if anything did."""
        now = time.monotonic()
        struck = self._draw.random() < self._nature.fault_share
        one = _Exchange(now, now + self._draw.uniform(0.2, 7) if struck else NEVER)
        left = asyncio.ensure_future(near.read(1))
        reading = asyncio.ensure_future(far.read(65536))
        try:
            while True:
                due, why = self._next(one)
                await asyncio.wait(
                    {left, reading}, timeout=max(0.0, min(due - time.monotonic(), 60)), return_when="FIRST_COMPLETED"
                )
                if left.done():
                    return None
                if reading.done():
                    data = reading.result()
                    if not data:
                        writer.write(bytes(one.held))
                        return None
                    self._forward(one, writer, data)
                    reading = asyncio.ensure_future(far.read(65536))
                elif time.monotonic() >= due:
                    self._cut(one, writer)
                    return why
        finally:
            left.cancel()
            reading.cancel()

    def _next(self, one: _Exchange) -> tuple[float, Why]:
        nature = self._nature
        hidden = nature.holds and nature.timeouts_in_front
        first = NEVER if one.seen is not None and not hidden else one.began + nature.first
        idle = NEVER if one.bytes_at is None or hidden else one.bytes_at + nature.idle
        return min(
            (first, Why.FIRST),
            (idle, Why.IDLE),
            (one.began + nature.total, Why.TOTAL),
            (one.fault_at, Why.FAULT),
            # Who came after it is not concerned.
            (self._began + nature.outage if one.began < self._began + nature.outage else NEVER, Why.OUTAGE),
            key=lambda pair: pair[0],
        )

    def _forward(self, one: _Exchange, writer: asyncio.StreamWriter, data: bytes) -> None:
        nature, now = self._nature, time.monotonic()
        if not nature.wants_body or not data.endswith(b"\r\n\r\n") or b"HTTP/1.1" not in data:
            one.seen = one.seen or now
        only_beats = re.fullmatch(rb"([0-9a-f]+\r\n: heartbeat\n\n\r\n)+", data) is not None
        if nature.beats_count or not only_beats or one.bytes_at is None:
            one.bytes_at = now
        if nature.holds:
            one.held += data
        else:
            one.sent = True
            writer.write(data)

    def _cut(self, one: _Exchange, writer: asyncio.StreamWriter) -> None:
        if self._nature.cut == "504" and not one.sent:
            writer.write(b"HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 5\r\nConnection: close\r\n\r\nlate\n")
        elif self._nature.cut == "clean" and one.sent:
            writer.write(b"0\r\n\r\n")
        elif self._nature.cut == "rst":
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


def draw_nature(draw: random.Random) -> Nature:
    """A path of which nobody but the test knows what it does."""

    def timeout() -> float:
        return draw.uniform(1.3, 5.5) if draw.random() < 0.45 else NEVER

    holds = draw.random() < 0.15
    return Nature(
        first=timeout(),
        idle=timeout(),
        total=timeout(),
        wants_body=draw.random() < 0.3,
        beats_count=draw.random() < 0.7,
        fault_share=draw.choice([0.0, 0.0, 0.0, 0.1, 0.3]),
        outage=draw.uniform(1, 6) if draw.random() < 0.1 else NEVER,
        holds=holds,
        timeouts_in_front=holds and draw.random() < 0.5,
        cut=draw.choice(["fin", "rst", "clean", "504"]),
        lazy=draw.random() < 0.2,
    )


async def main(seed: int, upstream: int) -> None:
    """Serve until the input ends."""
    draw = random.Random(seed)
    nature = draw_nature(draw)
    async with Relay(upstream, nature, draw) as relay:
        sys.stdout.write(f"{relay.port}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)
    ended = [[plan, stream, why.value] for (plan, stream), why in relay.ended.items()]
    sys.stdout.write(json.dumps({"late": relay.late, "ended": ended}))


if __name__ == "__main__":
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
