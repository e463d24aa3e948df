"""A foreign endpoint, written with nothing of the lab's: raw asyncio, HTTP/1.1 by hand, OpenAI's chat format.

What it takes for an answer is known to the test that starts it. It runs on a loop of its own thread, as the command
under test has one of its own too.
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Endpoint:
    """How it answers; times in seconds.

    Args:
        pieces: words of an answer, or the fewest and the most of them.
        first: before the first word.
        interval: from one word to the next.
        usage: whether a batch reply counts its tokens, and a stream that is asked to.
        collects: whether a stream is held back until its end, as a buffer on the path does.
        slots: how many answers are written at the same time; the others wait in a queue.
        dislikes: fields that it refuses with 400.
        limit_after: answers after which it says 429.
        retry_after: the value of `Retry-After` with it.
        recovers: whether it answers again after one 429.
        always_streams: whether a batch reply is a stream all the same.
        batch_status: the status of every batch reply, with an error page.
        echoes: whether it sends the request's headers back in its text.
    """

    pieces: int | tuple[int, int] = 20
    first: float = 0.1
    interval: float = 0.02
    usage: bool = True
    collects: bool = False
    slots: int | None = None
    dislikes: tuple[str, ...] = ()
    limit_after: int | None = None
    retry_after: int | None = None
    recovers: bool = False
    always_streams: bool = False
    batch_status: int = 200
    echoes: bool = False
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self._answered = self._running = 0
        self._draw = random.Random(1)

    def total(self, pieces: int) -> float:
        """Seconds from the request to the end of an answer of so many words."""
        return self.first + self.interval * (pieces - 1)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request and close, whatever becomes of the connection."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
            if lengths:
                body = await reader.readexactly(int(lengths[0].split(b":")[1]))
                await self._answer(head, json.loads(body), writer)
            else:
                await _send(writer, 404, {"detail": "no such page"})
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, head: bytes, body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        self.asked.append(body)
        self.keys |= {
            line.partition(": ")[2] for line in head.decode().split("\r\n") if line.lower().startswith("authorization")
        }
        if refused := [name for name in self.dislikes if name in body]:
            await _send(writer, 400, {"error": {"message": f"Unsupported: {refused[0]}", "type": "invalid"}})
            return
        if self.limit_after is not None and self._answered >= self.limit_after:
            if self.recovers:
                self.limit_after = None
            retry = "" if self.retry_after is None else f"Retry-After: {self.retry_after}\r\n"
            said = f"slow down, {' '.join(self.keys)}" if self.echoes else "slow down"
            await _send(writer, 429, {"error": {"message": said, "type": "rate_limit"}}, retry)
            return
        self._answered += 1
        self._running += 1
        self.most_at_once = max(self.most_at_once, self._running)
        try:
            if self.slots is None:
                await self._write(head, body, writer)
            else:
                async with self._queue:
                    await self._write(head, body, writer)
        finally:
            self._running -= 1

    async def _write(self, head: bytes, body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        pieces = self.pieces if isinstance(self.pieces, int) else self._draw.randint(*self.pieces)
        words = ["word "] * pieces
        if self.echoes:
            words[0] = head.decode()
        loop = asyncio.get_running_loop()
        due = [loop.time() + self.first + self.interval * number for number in range(pieces)]
        usage = {"completion_tokens": pieces} if self.usage else None
        if not (body["stream"] or self.always_streams):
            await _until(due[-1])
            if self.batch_status != 200:
                await _send(writer, self.batch_status, {"detail": "no"})
                return
            choice = {"index": 0, "message": {"content": "".join(words)}, "finish_reason": "length"}
            await _send(writer, 200, {"choices": [choice], **({"usage": usage} if usage else {})})
            return
        out = Body(writer, chunked=b"HTTP/1.0\r\n" not in head)
        out.begin()
        for word, at in zip(words, due, strict=True):
            await _until(due[-1] if self.collects else at)
            await out.event({"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]})
        await out.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]})
        if usage and (body.get("stream_options") or {}).get("include_usage"):
            await out.event({"choices": [], "usage": usage})
        await out.end()

    def open_queue(self) -> None:
        """On the server's own loop."""
        self._queue = asyncio.Semaphore(self.slots or 1)


@dataclass(frozen=True)
class Canned:
    """An endpoint that says the same to everybody: a whole HTTP reply."""

    reply: bytes

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Say it and close."""
        await reader.read(65536)
        writer.write(self.reply)
        writer.close()

    def open_queue(self) -> None:
        """There is none."""


@contextmanager
def serving(endpoint: Endpoint | Canned, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve it on a thread; gives its base address."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> asyncio.Server:
        endpoint.open_queue()
        return await asyncio.start_server(endpoint.serve, host, 0, backlog=256, ssl=tls)

    async def stop(server: asyncio.Server) -> None:
        server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    server = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    try:
        yield f"{'https' if tls else 'http'}://{host}:{server.sockets[0].getsockname()[1]}"
    finally:
        asyncio.run_coroutine_threadsafe(stop(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _until(at: float) -> None:
    await asyncio.sleep(max(0.0, at - asyncio.get_running_loop().time()))


@dataclass
class Body:
    """The body of a stream: in chunks, or to an HTTP/1.0 client delimited by close."""

    writer: asyncio.StreamWriter
    chunked: bool

    def begin(self) -> None:
        """Status and headers."""
        framing = "Transfer-Encoding: chunked" if self.chunked else "Connection: close"
        self.writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{framing}\r\n\r\n".encode())

    async def event(self, document: dict[str, Any]) -> None:
        """One event with JSON."""
        await self._write(b"data: " + json.dumps(document).encode() + b"\n\n")

    async def end(self) -> None:
        """The terminal marker and the body's own end."""
        await self._write(b"data: [DONE]\n\n")
        if self.chunked:
            self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    async def _write(self, data: bytes) -> None:
        self.writer.write(b"%x\r\n%s\r\n" % (len(data), data) if self.chunked else data)
        await self.writer.drain()


async def _send(writer: asyncio.StreamWriter, status: int, document: dict[str, Any], headers: str = "") -> None:
    body = json.dumps(document).encode()
    writer.write(
        f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{headers}"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
        + body
    )
    await writer.drain()
