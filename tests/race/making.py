"""A race server before a proxy that does what a test tells it, and a browser that shows the bare bytes."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Self
from urllib.parse import urlsplit

from lab.race.panes import ANSWER, DIRECT, Pair, RaceRoute, Races
from lab.race.server import RaceServer

LIMIT = 30.0
"""Seconds after which something is taken to hang, on whatever machine."""

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"

Script = Callable[["Peer"], Awaitable[None]]


class Peer:
    """The relay's connection as the proxy sees it, after the request was read."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def send(self, data: bytes) -> None:
        """Write at once."""
        self._writer.write(data)

    async def left(self) -> bytes:
        """Whatever more comes until the other side ends the connection, in whatever way."""
        try:
            return await self._reader.read()
        except ConnectionError:
            return b""

    def reset(self) -> None:
        """End with RST."""
        connection = self._writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


class Browser:
    """One request to the race server over a bare socket; `rest`, `reply` and `leave` close it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def expect(self, data: bytes) -> None:
        """Wait until exactly these bytes have come next."""
        assert await self._reader.readexactly(len(data)) == data

    async def rest(self) -> bytes:
        """Everything until FIN.

        Raises:
            ConnectionResetError: RST came instead.
        """
        try:
            return await self._reader.read()
        finally:
            self.leave()

    async def reply(self) -> bytes:
        """A reply of the application itself: the head, and as many bytes as it promises."""
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
            return head + await self._reader.readexactly(length_in(head))
        finally:
            self.leave()

    def leave(self) -> None:
        """Close."""
        self._writer.close()

    @classmethod
    async def ask(
        cls, url: str, kind: str, body: object, method: str = "POST", *, head: str = "", promised: int = 0
    ) -> Self:
        """Send one request; with other headers than that of the host, and with a longer body promised than comes."""
        place = urlsplit(url)
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = head or f"Host: {place.netloc}"
        head = f"{method} {kind} HTTP/1.1\r\n{headers}\r\nContent-Length: {promised or len(content)}\r\n\r\n"
        writer.write(head.encode() + content)
        return cls(reader, writer)


def length_in(head: bytes) -> int:
    """The content's length, as a head promises it."""
    return next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))


@asynccontextmanager
async def scripted(script: Script) -> AsyncIterator[str]:
    """A proxy that reads each request and then does as told; closes the connection afterwards."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(length_in(head))
        await script(Peer(reader, writer))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def offered() -> Races:
    """Nothing but the direct route."""
    direct = RaceRoute(DIRECT, "no proxy")
    return Races((Pair(DIRECT, "", "direct", "no proxy", direct, direct, ANSWER),), (), ())


@asynccontextmanager
async def racing(address: str) -> AsyncIterator[RaceServer]:
    """A race server, every route of which leads to that address."""
    async with asyncio.timeout(LIMIT), RaceServer(offered(), lambda _: address) as server:
        yield server
