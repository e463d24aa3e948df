"""A path that does one thing to every reply, and of which the tests know what."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from contextlib import closing
from dataclasses import dataclass
from math import inf
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


@dataclass
class Relay:
    """Passes bytes on, between one model server and whoever asks; inside `async with`.

    Args:
        model: the model server's address.
        holds: seconds for which everything is held back.
        most: bytes of a reply after which it is closed.
        refuses: whether each request is answered with 503.
        queues: seconds for which each request waits before the model is asked.
        silent: whether nothing is ever answered.
        tls: with which it is asked over TLS.
        codes: whether each request that offers gzip is answered in it, with nothing but the marker of an end.

    `asking` is how many have come to one that is silent; `heard`, the first bytes of each request that it passed on.
    """

    model: str
    holds: float = 0.0
    most: float = inf
    refuses: bool = False
    queues: float = 0.0
    silent: bool = False
    tls: ssl.SSLContext | None = None
    codes: bool = False

    async def __aenter__(self) -> Self:
        self._tasks: set[asyncio.Task[None]] = set()
        self.asking = 0
        self.heard: list[bytes] = []
        self._server = await asyncio.start_server(self._begin, "127.0.0.1", 0, ssl=self.tls)
        self.url = f"{'https' if self.tls else 'http'}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            if self.refuses:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\nContent-Type: text/plain\r\n\r\nbusy")
                return
            if self.silent:
                self.asking += 1
                await reader.read()
                return
            if self.codes:
                offered = b"accept-encoding: gzip\r\n" in (await reader.readuntil(b"\r\n\r\n")).lower()
                coding, end = b"Content-Encoding: gzip\r\n" if offered else b"", b"data: [DONE]\n\n"
                head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n" + coding
                writer.write(head + b"\r\n" + (gzip.compress(end) if offered else end))
                return
            await asyncio.sleep(self.queues)
            place = urlsplit(self.model)
            back, out = await asyncio.open_connection(place.hostname, place.port)
            with closing(out):
                self.heard.append(await reader.read(65536))
                out.write(self.heard[-1])
                ways = self._pass(reader, out), self._pass(back, writer, self.most, self.holds)
                tasks = [asyncio.create_task(each) for each in ways]
                # Whoever closes first, it is over for the other side too.
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for each in tasks:
                    each.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, most: float = inf, holds: float = 0.0
    ) -> None:
        loop, came = asyncio.get_running_loop(), 0
        while came < most and (data := await reader.read(65536)):
            came += len(data)
            # Each piece is late by so much, and none waits for the one before.
            loop.call_later(holds, writer.write, data)
        # What is still held comes before the end.
        await asyncio.sleep(holds)
