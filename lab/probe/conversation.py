"""The log of one connection: every read with its time, what a parser makes of it, and how it ended.

It sits between the event loop's transport and the pure layers (TLS, then HTTP); what they make of the bytes is
kept beside the bytes. See `lab.probe.exchange` for the rules that measurements taught.
"""

from __future__ import annotations

import asyncio
import errno
import os
import time
from contextlib import suppress
from math import inf
from typing import cast

from lab.evidence import EndReason, HttpVersion, Read, Stall, Trace, TransportEnd
from lab.probe import connect
from lab.probe.framing import Head, HttpRequest, ReplyParser
from lab.probe.gauge import Gauge
from lab.probe.http1 import Http1
from lab.probe.http2 import Http2
from lab.probe.terms import Enough, Terms
from lab.probe.tls import Tls

NO_CLOSE_NOTIFY = "closed without close_notify"
"""The detail of a FIN on TLS that the other side had not announced: a client that looks can see the truncation."""

_HANDSHAKE = "amid the TLS handshake"

# How soon patience is asked again when bytes wait in the socket that the loop has yet to read.
_LOOK_AGAIN = 0.02
# How long a reply that always has bytes waiting can put off that the probe leaves.
_GRACE = 1.0
_READ_SIZE = 256 * 1024
# Seconds from one read of a slow reader to the next.
_PACE_STEP = 0.05
# What a read costs in memory beside its own bytes.
_READ_COST = 128


class Conversation(asyncio.BufferedProtocol):
    """The log of one connection, and the trace that comes of it.

    Args:
        request: what to ask.
        terms: what else was said.
        http: the version, where there is no TLS to agree on it.
        tls: the client's end of TLS; None for a plain connection.
    """

    def __init__(self, request: HttpRequest, terms: Terms, http: HttpVersion, tls: Tls | None = None) -> None:
        self._request, self._terms, self._tls = request, terms, tls
        self._parser: ReplyParser | None = None
        self._written = b""
        if tls is None:
            self._agree(http)
        size = _READ_SIZE if terms.pace is None else min(max(int(terms.pace * _PACE_STEP), 1), _READ_SIZE)
        self._buffer = bytearray(size)
        self._reads: list[Read] = []
        self._body: list[Read] = []
        self._gauge = Gauge("", terms.limit, terms.most_lines)
        self._came = self._count = 0
        self._may_read_at = 0.0
        self._pause: Stall | None = None
        self._began = self._started = time.monotonic()
        self._leave_at = inf
        self._connected_at: float | None = None
        self._headers_at: float | None = None
        self._ended = 0.0
        self._end: TransportEnd | None = None
        self._detail = ""
        self._reason: EndReason | None = None
        self._transport: asyncio.Transport | None = None
        self._failure: Exception | None = None
        self._over = asyncio.Event()
        self._lost = asyncio.Event()

    async def run(self) -> None:
        """Send the request, once TLS stands, and wait for the end."""
        transport = cast(asyncio.Transport, self._transport)
        if self._tls is None:
            self._send_request()
        else:
            # The first handshake message is made of nothing.
            self._decrypted(b"")
            self._send_owed()
        try:
            await self._wait()
        finally:
            transport.abort()
            await self._lost.wait()
        if self._failure is not None:
            raise self._failure

    def trace(self) -> Trace:
        """What was seen; only after the end."""
        head = (self._parser and self._parser.head) or Head(0, "", (), "")
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
            reason=self._reason,
            pause=self._pause,
            connected_at=self._connected_at,
        )

    def end(self, end: TransportEnd, detail: str, reason: EndReason | None = None) -> None:
        """Note how it ended; only the first end counts."""
        if self._end is None:
            self._end, self._detail, self._reason, self._ended = end, detail, reason, time.monotonic()
            self._over.set()

    def lose(self, exc: Exception, rest: bytes) -> None:
        """The connection broke; `rest` is what could still be read."""
        if rest:
            self._take(rest)
        words = connect.words_of(exc)
        if self._parser is None:
            self.end(TransportEnd.RESET, f"{words} {_HANDSHAKE}")
        else:
            closed = self._parser.closed()
            self.end(TransportEnd.RESET, _joined(words, closed.detail), closed.reason)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.BufferedProtocol`."""
        self._transport = cast(asyncio.Transport, transport)
        self._connected_at = time.monotonic()

    def get_buffer(self, sizehint: int) -> bytearray:
        """See `asyncio.BufferedProtocol`; a slow reader's buffer is small."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Log, then parse; then rest, if the terms say so."""
        self._take(bytes(memoryview(self._buffer)[:nbytes]))
        if self._terms.pause is not None and self._body and self._pause is None:
            now = time.monotonic()
            self._pause = Stall(now, now + self._terms.pause)
            self._stop_reading(self._terms.pause)
        elif self._terms.pace is not None:
            self._rest(nbytes, self._terms.pace)

    def eof_received(self) -> None:
        """FIN, unless the socket knows better: libuv can report RST as an end of file."""
        if connect.pending_error(connect.descriptor_of(self._transport)) == errno.ECONNRESET:
            self.lose(ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)), b"")
        else:
            self._close(NO_CLOSE_NOTIFY if self._tls is not None else "")

    def connection_lost(self, exc: Exception | None) -> None:
        """RST, or the echo of an end that is known already."""
        try:
            if self._end is None and exc is not None:
                if not isinstance(exc, OSError):
                    self._failure = exc
                self.lose(exc, connect.read_all(connect.descriptor_of(self._transport)))
        finally:
            self._over.set()
            self._lost.set()

    def _agree(self, http: HttpVersion) -> None:
        """The version is known: from here on there is a parser."""
        pace = self._terms.pace
        # A slow reader lets a second's worth be on the way.
        parser = Http2(None if pace is None else int(pace)) if http is HttpVersion.HTTP_2 else Http1()
        self._parser, self._written = parser, parser.write_request(self._request)

    def _send_request(self) -> None:
        self._started = time.monotonic()
        if self._terms.leave_after is not None:
            self._leave_at = self._started + self._terms.leave_after
        self._send(self._written)
        self._written = b""

    def _send_owed(self) -> None:
        """Send what the protocols owe the other side: handshake messages, acknowledgements, windows."""
        self._send(b"" if self._parser is None else self._parser.to_send())

    def _send(self, data: bytes) -> None:
        if self._tls is not None:
            if data:
                self._tls.write(data)
            data = self._tls.to_send()
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _take(self, data: bytes) -> None:
        """The next bytes from the socket."""
        if self._end is not None:
            return
        at = time.monotonic()
        tls = self._tls
        plain = data if tls is None else self._decrypted(data)
        if plain and self._parser is not None:
            self._take_plain(at, plain, self._parser)
        self._send_owed()
        if tls is not None and tls.trouble:
            # What fails before the first byte of a reply is the connection's making, whatever the moment.
            self.end(TransportEnd.RESET if self._came else TransportEnd.TLS_FAILED, tls.trouble, tls.reason)
        elif tls is not None and tls.finished:
            self._close("")

    def _decrypted(self, data: bytes) -> bytes:
        """What the bytes decrypt to; the request leaves as soon as TLS stands."""
        tls = cast(Tls, self._tls)
        plain = tls.feed(data)
        if tls.established and self._parser is None:
            self._agree(tls.http)
            self._send_request()
        return plain

    def _take_plain(self, at: float, data: bytes, parser: ReplyParser) -> None:
        self._came += len(data)
        self._count += 1
        pieces = parser.feed(data)
        if parser.heard:
            self._reads.append(Read(at, data))
        if self._headers_at is None and parser.head is not None:
            self._headers_at = at
            self._gauge = Gauge(parser.head.coding, self._terms.limit, self._terms.most_lines)
            self._terms.on_head(parser.head)
        if pieces:
            self._keep(at, b"".join(pieces))
        if parser.ended is not None:
            self.end(parser.ended.end, parser.ended.detail, parser.ended.reason)
        # Endless headers, pings, and a byte at a time have no body to speak of.
        elif self._came + _READ_COST * self._count > 2 * self._terms.limit + 2**20:
            self.end(TransportEnd.LEFT, f"more than {self._came:,} bytes of reply in {self._count:,} reads")

    def _keep(self, at: float, data: bytes) -> None:
        """Keep what a read brought of the body, up to the limits."""
        kept = self._gauge.take(data)
        if kept:
            self._body.append(Read(at, kept))
            try:
                self._terms.on_body(at, kept)
            except Enough as enough:
                self.end(TransportEnd.LEFT, str(enough), enough.reason)
        if self._gauge.excess:
            self.end(TransportEnd.LEFT, self._gauge.excess)

    def _close(self, detail: str) -> None:
        """The other side has nothing more to say."""
        if self._parser is None:
            self.end(TransportEnd.NO_REPLY, f"closed {_HANDSHAKE}")
            return
        closed = self._parser.closed()
        self.end(closed.end, _joined(closed.detail, detail), closed.reason)

    def _rest(self, count: int, pace: float) -> None:
        """Read nothing until so many bytes are due."""
        now = time.monotonic()
        self._may_read_at = max(now, self._may_read_at) + count / pace
        self._stop_reading(self._may_read_at - now)

    def _stop_reading(self, seconds: float) -> None:
        """Read nothing for so long."""
        transport = cast(asyncio.Transport, self._transport)
        if not transport.is_closing():
            transport.pause_reading()
            asyncio.get_running_loop().call_later(seconds, self._read_on)

    def _read_on(self) -> None:
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.resume_reading()

    async def _wait(self) -> None:
        """Wait for the end, or bring it about when patience runs out."""
        patience = self._terms.patience
        # A deadline may come forward when the reply gets on, but never by so much that this nap oversleeps it.
        naps = [patience.connect, patience.headers, patience.first_token, patience.middle]
        nap = min(*naps, self._terms.leave_after or inf)
        while not self._over.is_set():
            at, name = self._deadline()
            left = at - time.monotonic()
            if left <= 0 and (left < -self._grace(name) or not self._bytes_wait()):
                self.end(name, _HANDSHAKE if name is TransportEnd.CONNECT_TIMEOUT else "")
            with suppress(TimeoutError):
                async with asyncio.timeout(max(min(left, nap), _LOOK_AGAIN)):
                    await self._over.wait()

    def _deadline(self) -> tuple[float, TransportEnd]:
        """When the probe ends it as things stand, and what that would be called."""
        total = self._began + self._terms.patience.total
        return min(self._stage(), (self._leave_at, TransportEnd.LEFT), (total, TransportEnd.TOTAL_TIMEOUT))

    def _stage(self) -> tuple[float, TransportEnd]:
        patience = self._terms.patience
        if self._parser is None:
            return self._began + patience.connect, TransportEnd.CONNECT_TIMEOUT
        if self._headers_at is None:
            return self._started + patience.headers, TransportEnd.HEADERS_TIMEOUT
        if not self._body:
            return self._headers_at + patience.first_token, TransportEnd.FIRST_TOKEN_TIMEOUT
        return self._body[-1].at + patience.middle, TransportEnd.MIDDLE_TIMEOUT

    def _grace(self, name: TransportEnd) -> float:
        """How long waiting bytes put off this end: without limit where they would show it to be wrong."""
        return _GRACE if name in (TransportEnd.LEFT, TransportEnd.TOTAL_TIMEOUT) else inf

    def _bytes_wait(self) -> bool:
        return connect.bytes_wait(connect.descriptor_of(self._transport))


def _joined(*details: str) -> str:
    return "; ".join(detail for detail in details if detail)
