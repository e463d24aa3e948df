"""A client that sees what the socket sees: every byte, and how the connection ended.

It knows nothing of the lab but its two header names, and decodes chunks itself, so that the server is
not judged by its own code.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

_PATIENCE = 10.0


@dataclass(eq=False)
class Connection(asyncio.Protocol):
    """One connection: all reads, and its end (`fin`, `rst`, or empty while it is open)."""

    data: bytes = b""
    end: str = ""
    times: list[float] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Note a read."""
        self.data += data
        self.times.append(time.monotonic())
        self._changed.set()

    def connection_lost(self, error: Exception | None) -> None:
        """Note the end."""
        self.end = "rst" if isinstance(error, ConnectionResetError) else "fin"
        self._changed.set()

    async def until(self, text: bytes) -> bytes:
        """Wait until some bytes have come; returns all that came."""
        async with asyncio.timeout(_PATIENCE):
            while text not in self.data:
                assert not self.end, f"{self.end} before {text!r} in {self.data!r}"
                self._changed.clear()
                await self._changed.wait()
        return self.data

    async def until_end(self) -> str:
        """Wait for the connection's end; returns its kind."""
        async with asyncio.timeout(_PATIENCE):
            while not self.end:
                self._changed.clear()
                await self._changed.wait()
        return self.end

    def send(self, data: bytes) -> None:
        """Write."""
        assert self.transport is not None
        self.transport.write(data)

    def close(self) -> None:
        """Close at once."""
        assert self.transport is not None
        self.transport.abort()


async def connect(base_url: str) -> Connection:
    """Open a connection."""
    place = urlsplit(base_url)
    _, connection = await asyncio.get_running_loop().create_connection(
        Connection, place.hostname or "", place.port or 0
    )
    return connection


def request(
    plan: str = "",
    *,
    stream: bool = True,
    version: str = "1.1",
    name: str = "",
    path: str = "/v1/chat/completions",
    headers: str = "",
    model: str = "lab",
    **fields: object,
) -> bytes:
    """A request in bytes; the plan goes into the header, the question into each format's own field."""
    question = {"messages": [{"role": "user", "content": "x"}], "input": "x", "prompt": "x"}
    body = json.dumps({"model": model, **question, "stream": stream, **fields})
    ours = (f"X-Lab-Plan: {plan}\r\n" if plan else "") + (f"X-Lab-Request: {name}\r\n" if name else "")
    head = f"POST {path} HTTP/{version}\r\nHost: lab\r\nContent-Type: application/json\r\n{ours}{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


@dataclass(frozen=True)
class Seen:
    """A whole exchange: status, headers in lower case, the decoded body, whether it was whole, and the end."""

    raw: bytes
    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool
    end: str

    @property
    def numbers(self) -> list[int]:
        """The numbers of the tokens in the body, in order."""
        return [int(number) for number in re.findall(rb"[0-9a-f]{4}:(\d+)@\d+[mu]s\xe2\x9f\xa9", self.body)]


async def exchange(base_url: str, data: bytes) -> Seen:
    """Send one request and wait for the connection's end; the server is asked to close it."""
    connection = await connect(base_url)
    connection.send(data.replace(b"Host: lab\r\n", b"Host: lab\r\nConnection: close\r\n", 1))
    end = await connection.until_end()
    return parse(connection.data, end)


def parse(raw: bytes, end: str) -> Seen:
    """Take a reply apart."""
    head, _, rest = raw.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    status = int(lines[0].split()[1]) if raw else 0
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}
    if headers.get("transfer-encoding") == "chunked":
        body, whole = decode_chunks(rest)
    elif "content-length" in headers:
        body, whole = rest, len(rest) == int(headers["content-length"])
    else:
        body, whole = rest, bool(raw)
    return Seen(raw, status, headers, body, whole, end)


def decode_chunks(rest: bytes) -> tuple[bytes, bool]:
    """The body in a chunked body as far as it came, and whether its last chunk did."""
    body = b""
    while b"\r\n" in rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            return body, rest == b"\r\n"
        body += rest[:length]
        rest = rest[length + 2 :]
    return body, False
