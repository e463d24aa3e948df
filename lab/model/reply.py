"""The reply: writes a schedule to a connection, at its times, and notes in the ledger what it did.

The whole reply, status line and chunk sizes included, goes straight to the transport: only so are its
bytes exact, a fault can stand between any two of them, and 20,000 writes a second fit on one core.
aiohttp reads the request and owns the connection; `WrittenReply` tells it that nothing is left to write.

Times are absolute: step i leaves at the request's arrival + its offset, never early, and being late
delays no later step. The one thing that moves the origin is a lockstep hold, so that a silence that the
plan asks for is never shortened by the wait before it.

Warnings: uvloop's timers tick in whole milliseconds. Writes in the same turn of the event loop may
leave in one segment. A client that closes its sending side only counts as gone: uvloop then closes the
connection, as a proxy that does not ignore its client's leaving would.
"""

from __future__ import annotations

import asyncio
import fcntl
import math
import socket
import struct
import termios
import time
from collections.abc import Coroutine, Iterator, Sequence
from http import HTTPStatus

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from lab.model.ledger import Record
from lab.model.steps import End, Schedule, Step, stamped, write_chunk
from lab.plan import REQUEST_HEADER, Framing, Headers

LONGEST_FREEZE = 600.0
"""Seconds after which a frozen reply's connection is closed if the other side has not done so."""

# How long a reset waits for the other side's kernel to acknowledge what was written.
_LONGEST_DRAIN = 5.0

# After so many writes without a wait, the other replies get their turn.
_BURST = 32

_LAST_CHUNK = b"0\r\n\r\n"


class WrittenReply(web.StreamResponse):
    """What a handler returns once its reply is on the wire: aiohttp has nothing left to write.

    Args:
        survives: whether the connection can take another request.
    """

    def __init__(self, *, survives: bool) -> None:
        super().__init__()
        self._survives = survives

    @property
    def keep_alive(self) -> bool | None:
        """Whether aiohttp is to keep the connection."""
        return self._survives

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write no headers."""
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Write no end."""


class ReplyWriter:
    """Writes one schedule; `run` is called once.

    Args:
        request: the request that is answered; its body has been read.
        transport: its connection.
        schedule: what to write.
        record: where to note it.
        origin: from when the schedule's times count; by default from the record's start.
    """

    def __init__(
        self,
        request: web.BaseRequest,
        transport: asyncio.Transport,
        schedule: Schedule,
        record: Record,
        origin: float | None = None,
    ) -> None:
        self._request = request
        self._transport = transport
        self._schedule = schedule
        self._record = record
        self._origin = record.started if origin is None else origin
        self._framing = choose_framing(schedule, record.http_version)
        survives = request.keep_alive and self._framing is not Framing.CLOSE
        self._survives = survives and schedule.end is End.CLEAN
        self._early = schedule.plan.headers is Headers.EARLY and schedule.status == 200
        self._lockstep = schedule.plan.lockstep and schedule.stream
        self._last_token = 0
        self._ends_in_token = False
        # Once written, the head is empty: no write needs to ask whether it is the first.
        self._head = b""
        if not schedule.silent:
            self._head = write_head(schedule, self._framing, record.request, keep_alive=survives)

    async def run(self) -> WrittenReply:
        """Write the whole reply; a client that leaves ends it."""
        try:
            if self._early:
                self._write_head()
            await self._write_steps()
            await self._end()
        except (asyncio.CancelledError, ConnectionError) as error:
            self._survives = False
            # Cancellation with the connection still open is the server's own closing.
            if self._transport.is_closing() and not self._record.died:
                self._record.client_left = time.monotonic()
            if isinstance(error, asyncio.CancelledError):
                raise
        return WrittenReply(survives=self._survives)

    async def _write_steps(self) -> None:
        protocol = self._request.protocol
        unwaited = 0
        for place, (steps, frames) in enumerate(self._blocks()):
            if place:
                # Making a block takes its time, and the other replies get their turn.
                await asyncio.sleep(0)
            for step, frame in zip(steps, frames, strict=True):
                now, due = time.monotonic(), self._origin + step.offset
                if now < due:
                    await wait_until(due)
                    unwaited = 0
                elif (unwaited := unwaited + 1) == _BURST:
                    await asyncio.sleep(0)
                    unwaited = 0
                if self._lockstep and not step.heartbeat:
                    await self._hold(due)
                if protocol.writing_paused:
                    await self._request.writer.drain()
                if step.fault:
                    self._note_fault()
                self._write(step, frame)
            if steps:
                self._ends_in_token = bool(steps[-1].tokens)

    def _blocks(self) -> Iterator[tuple[Sequence[Step], Sequence[bytes]]]:
        """Steps and their bytes on the wire: all of them where they are kept, else some at a time."""
        schedule, chunked = self._schedule, self._framing is Framing.CHUNKED
        if schedule.kept:
            yield schedule.steps, schedule.chunks if chunked else schedule.payloads
            return
        for steps in schedule.blocks():
            yield steps, [write_chunk(step.payload) if chunked else step.payload for step in steps]

    def _write(self, step: Step, frame: bytes) -> None:
        record, now = self._record, time.monotonic()
        if step.stamps:
            payload = stamped(step, time.time())
            frame = write_chunk(payload) if self._framing is Framing.CHUNKED else payload
        if self._head:
            frame, self._head, record.headers_at = self._head + frame, b"", now
        self._transport.write(frame)
        for number in step.tokens:
            record.numbers.append(number)
            record.times.append(now)
            self._last_token = number
        if step.heartbeat:
            record.heartbeats.append(now)

    def _write_head(self) -> None:
        if self._head:
            self._transport.write(self._head)
            self._head, self._record.headers_at = b"", time.monotonic()

    async def _hold(self, due: float) -> None:
        """Hold what was due until the last token is confirmed; a wait moves the origin to its end."""
        if not self._last_token:
            return
        since = time.monotonic()
        hold = await self._record.lockstep.hold(self._last_token)
        self._record.note(hold)
        if hold.at > since:
            self._origin += time.monotonic() - due

    async def _end(self) -> None:
        schedule = self._schedule
        due = self._origin + schedule.end_at
        if time.monotonic() < due:
            await wait_until(due)
        if self._lockstep and self._ends_in_token:
            await self._hold(due)
        self._write_head()
        if schedule.fault_at_end:
            self._note_fault()
        match schedule.end:
            case End.CLEAN if self._framing is Framing.CHUNKED:
                self._transport.write(_LAST_CHUNK)
            case End.CLEAN:
                pass
            case End.FIN:
                self._transport.close()
            case End.RST:
                await _reset(self._transport)
            case End.FREEZE:
                await asyncio.sleep(LONGEST_FREEZE)
                self._transport.close()

    def _note_fault(self) -> None:
        self._record.fault, self._record.fault_at = self._schedule.fault, time.monotonic()


def choose_framing(schedule: Schedule, http_version: str) -> Framing:
    """How the end of this reply's body is told: `chunked`, `close` or `length`."""
    if schedule.plan.framing is not Framing.AUTO:
        return schedule.plan.framing
    if schedule.length is not None:
        return Framing.LENGTH
    return Framing.CHUNKED if http_version == "1.1" else Framing.CLOSE


def write_head(schedule: Schedule, framing: Framing, request: str, *, keep_alive: bool) -> bytes:
    """Status line and headers.

    There is no `Date`, so that the same plan gives the same bytes, but for the name that is made up for a
    request without one; and the version is 1.1 even to an HTTP/1.0 request, as servers are asked to name the
    highest that they speak.
    """
    lines = [
        f"HTTP/1.1 {schedule.status} {_reason_phrase(schedule.status)}",
        "Server: token-stream-lab",
        f"Content-Type: {schedule.content_type}",
        "Cache-Control: no-cache",
        f"{REQUEST_HEADER}: {request}",
        f"Connection: {'keep-alive' if keep_alive else 'close'}",
    ]
    if framing is Framing.CHUNKED:
        lines.append("Transfer-Encoding: chunked")
    elif framing is Framing.LENGTH:
        lines.append(f"Content-Length: {schedule.length}")
    if not schedule.plan.accel_buffering:
        lines.append("X-Accel-Buffering: no")
    if schedule.status != 200 and schedule.plan.retry_after:
        lines.append(f"Retry-After: {math.ceil(schedule.plan.retry_after)}")
    return "\r\n".join([*lines, "", ""]).encode()


def _reason_phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def running_task() -> asyncio.Task[object]:
    """The task that writes a reply."""
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a reply is always a task")
    return task


def wait_until(due: float) -> Coroutine[object, object, None]:
    """Wait for a time on the monotonic clock; never returns early, and at most a tick late on an idle loop.

    uvloop rounds delays to whole milliseconds and counts them from a clock cut to whole milliseconds;
    a delay between two whole milliseconds of that clock is the one that it keeps exactly.
    """
    ticks = math.ceil(due * 1e3) - math.floor(time.monotonic() * 1e3)
    return asyncio.sleep(ticks / 1e3)


async def _reset(transport: asyncio.Transport) -> None:
    """Send RST, once the other side's kernel has acknowledged all that was written.

    A reset throws away what is still on its way, so an earlier one would cut at a random place. No event
    tells of the acknowledgement, hence the asking; the bound is for a peer that has stopped reading.
    """
    connection = transport.get_extra_info("socket")
    deadline = time.monotonic() + _LONGEST_DRAIN
    while time.monotonic() < deadline and (  # noqa: ASYNC110 - there is no event to await
        transport.get_write_buffer_size() or _unacknowledged(connection)
    ):
        await asyncio.sleep(0.001)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _unacknowledged(connection: socket.socket) -> int:
    """Bytes in the kernel's send queue that the other side has not acknowledged (Linux: SIOCOUTQ)."""
    queued = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, struct.pack("i", 0))
    return int(struct.unpack("i", queued)[0])
