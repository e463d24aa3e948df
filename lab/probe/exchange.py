"""One exchange over one connection, measured: the lab's ruler.

Strategy: log first, parse after. Every read is kept with its time before any parser sees it; h11 then
takes the reply apart; every way of ending becomes a `TransportEnd`, so that `exchange` never raises
on what the network does. Rules that measurements taught:

- The clock is `time.monotonic`, not `loop.time`: uvloop's is cached a turn and counts in milliseconds.
- After RST the bytes that had come stay readable, but a transport whose *write* meets the RST drops them. What
  is left in the socket is therefore read by hand when the connection is lost.
- uvloop's connect fails with ECONNRESET when data and RST come before it looks; the probe connects
  a socket of its own, so that it can read that data too.
- Patience runs out only if nothing waits in the socket: on a busy machine a timer may come before
  the read that would have stopped it.

Warning: what RST destroys in the *sender's* kernel has never been on the way and is beyond any ruler.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import cast
from urllib.parse import SplitResult, urlsplit

from lab.evidence import Read, Trace, TransportEnd
from lab.probe.framing import Head, ReplyParser
from lab.wire.format import Ask

OnHead = Callable[[Head], None]
OnBody = Callable[[float, bytes], None]

# How soon patience is asked again when bytes wait in the socket that the loop has yet to read.
_LOOK_AGAIN = 0.02
_READ_SIZE = 256 * 1024


@dataclass(frozen=True)
class Patience:
    """How long the probe waits for what, in seconds.

    Args:
        connect: for the connection, with name resolution (and TLS).
        headers: from the request to the last byte of the headers.
        first_token: from the headers to the first byte of the body.
        middle: from one byte of the body to the next, heartbeats counting as bytes.
    """

    connect: float = 5.0
    headers: float = 120.0
    first_token: float = 120.0
    middle: float = 120.0


def ignore(*_: object) -> None:
    """Take no notice."""


async def exchange(
    url: str,
    ask: Ask,
    *,
    headers: Iterable[tuple[str, str]] = (),
    patience: Patience | None = None,
    on_head: OnHead = ignore,
    on_body: OnBody = ignore,
    leave_after: float | None = None,
    tls: ssl.SSLContext | None = None,
) -> Trace:
    """Send one request and record what comes back, to its end.

    Args:
        url: the route's address; the ask's path is appended to its own.
        ask: path, headers and body of the request.
        headers: further request headers.
        patience: the probe's own clocks.
        on_head: called with status and headers as soon as they are whole.
        on_body: called with time and bytes of each piece of body (chunking undone, content coding
            not) as it comes; what it raises, `exchange` raises.
        leave_after: seconds from the request after which the probe closes of its own accord.
        tls: for an https address.
    """
    place = urlsplit(url)
    conversation = _Conversation(patience or Patience(), on_head, on_body)
    request = conversation.parser.write_request(
        place.path.rstrip("/") + ask.path,
        [("Host", place.netloc.rpartition("@")[2]), *ask.headers, *headers],
        ask.body,
    )
    if await _open(place, conversation, tls):
        await conversation.run(request, leave_after)
    return conversation.trace()


class _Conversation(asyncio.Protocol):
    """The log of one connection, and the trace that comes of it."""

    def __init__(self, patience: Patience, on_head: OnHead, on_body: OnBody) -> None:
        self.patience = patience
        self.parser = ReplyParser()
        self._on_head, self._on_body = on_head, on_body
        self._reads: list[Read] = []
        self._body: list[Read] = []
        self._started = time.monotonic()
        self._leave_at = inf
        self._headers_at: float | None = None
        self._ended = 0.0
        self._end: TransportEnd | None = None
        self._detail = ""
        self._transport: asyncio.Transport | None = None
        self._failure: Exception | None = None
        self._over = asyncio.Event()
        self._lost = asyncio.Event()

    async def run(self, request: bytes, leave_after: float | None) -> None:
        """Send the request and wait for the end."""
        transport = cast(asyncio.Transport, self._transport)
        self._started = time.monotonic()
        transport.write(request)
        self._leave_at = inf if leave_after is None else self._started + leave_after
        try:
            await self._wait()
        finally:
            transport.abort()
            await self._lost.wait()
        if self._failure is not None:
            raise self._failure

    def trace(self) -> Trace:
        """What was seen; only after the end."""
        head = self.parser.head or Head(0, "", (), "")
        return Trace(
            started=self._started,
            ended=self._ended,
            end=self._end or TransportEnd.LEFT,
            detail=self._detail,
            status=head.status or None,
            version=head.version,
            headers=head.headers,
            headers_at=self._headers_at,
            framing=head.framing,
            reads=tuple(self._reads),
            body=tuple(self._body),
        )

    def end(self, end: TransportEnd, detail: str) -> None:
        """Note how it ended; only the first end counts."""
        if self._end is None:
            self._end, self._detail, self._ended = end, detail, time.monotonic()
            self._over.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Log, then parse."""
        at = time.monotonic()
        self._reads.append(Read(at, bytes(data)))
        pieces = self.parser.feed(data)
        if self._headers_at is None and self.parser.head is not None:
            self._headers_at = at
            self._on_head(self.parser.head)
        for piece in pieces:
            self._body.append(Read(at, piece))
            self._on_body(at, piece)
        if self.parser.trouble:
            self.end(TransportEnd.NOT_HTTP, self.parser.trouble)
        elif self.parser.done:
            trailing = self.parser.trailing
            self.end(TransportEnd.FRAMED, f"{trailing} bytes after the end" if trailing else "")

    def eof_received(self) -> None:
        """FIN, unless the socket knows better: libuv can report RST as an end of file."""
        if self._pending_error() == errno.ECONNRESET:
            self.end(TransportEnd.RESET, os.strerror(errno.ECONNRESET))
        else:
            self.end(self.parser.finish(), "")

    def connection_lost(self, exc: Exception | None) -> None:
        """RST, or the echo of an end that is known already."""
        try:
            if self._end is None and exc is not None:
                if not isinstance(exc, OSError):
                    self._failure = exc
                self.lose(exc, _left_in(self._transport))
        finally:
            self._over.set()
            self._lost.set()

    def lose(self, exc: Exception, rest: bytes) -> None:
        """The connection broke; `rest` is what could still be read."""
        if rest:
            self.data_received(rest)
        self.end(TransportEnd.RESET, _words(exc))

    async def _wait(self) -> None:
        """Wait for the end, or bring it about when patience runs out."""
        # A deadline may come forward when the reply gets on, but never by so much that this nap oversleeps it.
        nap = min(self.patience.headers, self.patience.first_token, self.patience.middle)
        while not self._over.is_set():
            at, name = min(self._deadline(), (self._leave_at, TransportEnd.LEFT))
            left = at - time.monotonic()
            if left <= 0 and not self._bytes_wait():
                self.end(name, "")
            with suppress(TimeoutError):
                async with asyncio.timeout(max(min(left, nap), _LOOK_AGAIN)):
                    await self._over.wait()

    def _deadline(self) -> tuple[float, TransportEnd]:
        """When patience runs out as things stand, and what that would be called."""
        if self._headers_at is None:
            return self._started + self.patience.headers, TransportEnd.HEADERS_TIME_OUT
        if not self._body:
            return self._headers_at + self.patience.first_token, TransportEnd.FIRST_TOKEN_TIME_OUT
        return self._body[-1].at + self.patience.middle, TransportEnd.MIDDLE_TIME_OUT

    def _bytes_wait(self) -> bool:
        descriptor = _descriptor(self._transport)
        if descriptor < 0:
            return False
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(0))

    def _pending_error(self) -> int:
        descriptor = _descriptor(self._transport)
        if descriptor < 0:
            return 0
        with socket.socket(fileno=os.dup(descriptor)) as twin:
            return twin.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


async def _open(place: SplitResult, conversation: _Conversation, tls: ssl.SSLContext | None) -> bool:
    """Connect; False if that was the end of it already."""
    try:
        async with asyncio.timeout(conversation.patience.connect):
            sock = await _connected(place)
            try:
                await asyncio.get_running_loop().create_connection(
                    lambda: conversation, sock=sock, ssl=tls, server_hostname=place.hostname if tls else None
                )
            except BaseException:
                sock.close()
                raise
    except TimeoutError:
        conversation.end(TransportEnd.CONNECT_TIME_OUT, "")
    except _EarlyReset as reset:
        conversation.lose(reset.error, reset.rest)
    except OSError as error:
        conversation.end(TransportEnd.REFUSED, _words(error))
    else:
        return True
    return False


class _EarlyReset(Exception):
    """The connection was opened and reset before connecting had returned."""

    def __init__(self, error: ConnectionResetError, rest: bytes) -> None:
        super().__init__(str(error))
        self.error = error
        self.rest = rest


async def _connected(place: SplitResult) -> socket.socket:
    """A connected socket to the first address that takes it."""
    loop = asyncio.get_running_loop()
    port = place.port or (443 if place.scheme == "https" else 80)
    addresses = await loop.getaddrinfo(place.hostname, port, type=socket.SOCK_STREAM)
    failure: OSError = OSError(f"{place.hostname} has no address")
    for family, kind, protocol, _, address in addresses:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            await loop.sock_connect(sock, address)
        except ConnectionResetError as error:
            rest = _read_all(sock.fileno())
            sock.close()
            raise _EarlyReset(error, rest) from None
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


def _words(error: Exception) -> str:
    """What went wrong, in the system's words; the two event loops' own differ."""
    number = error.errno if isinstance(error, OSError) and error.errno is not None else 0
    return os.strerror(number) if number > 0 else str(error)


def _descriptor(transport: asyncio.Transport | None) -> int:
    """The file descriptor below a transport; -1 once it is closed."""
    sock = None if transport is None else transport.get_extra_info("socket")
    return -1 if sock is None else int(sock.fileno())


def _left_in(transport: asyncio.Transport | None) -> bytes:
    """What a broken connection still holds; of TLS nothing, for it would be ciphertext."""
    descriptor = _descriptor(transport)
    if transport is None or descriptor < 0 or transport.get_extra_info("ssl_object") is not None:
        return b""
    return _read_all(descriptor)


def _read_all(descriptor: int) -> bytes:
    parts: list[bytes] = []
    # An error says that there is no more to read; why, the caller knows.
    with suppress(OSError):
        while part := os.read(descriptor, _READ_SIZE):
            parts.append(part)
    return b"".join(parts)
