"""The relay between the browser and the proxy: every byte of the reply as it came, and its end as it was.

A browser reaches this machine and no container, so something must stand between. It works below HTTP: what a read
brings is written to the browser's connection at once, status line, headers and chunk sizes included; the proxy's FIN
becomes a FIN, and its RST an RST. So a cut body makes the browser's own `fetch` fail as it would have without
the relay, and a clean end on half an answer reaches the page just as clean. Nothing is collected or repaired.

A witness reads along: h11 and the lab's own consumer, whose verdict the page asks for afterwards. What it makes of
the bytes has no way back into them.

Warnings: there is no flow control, for a reply of the race has a few kilobytes. An RST overtakes what the browser
has not read yet, as any RST does. Each request has a connection of its own, in both directions.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from urllib.parse import urlsplit

import h11

from lab.consume import Answer, Consumer
from lab.plan import PLAN_HEADER, Plan
from lab.probe.body import ContentDecoder
from lab.wire import format_named

WIRE_FORMAT = "openai-chat"
ACCEPTS = "gzip"
"""The content coding that is offered to the proxy: every browser does, and the witness can read it."""


class Witness:
    """Reads one reply along with the browser, for the verdict.

    Args:
        plan: what the model server is told.
        stream: whether a stream is asked for, or a batch reply.
        host: the proxy's `host:port`.
    """

    def __init__(self, plan: Plan, *, stream: bool, host: str) -> None:
        ask = format_named(WIRE_FORMAT).ask("lab", stream=stream, max_tokens=plan.tokens)
        headers = [
            ("Host", host),
            *ask.headers,
            (PLAN_HEADER, plan.to_query()),
            ("Accept-Encoding", ACCEPTS),
            ("Content-Length", str(len(ask.body))),
            # The end of the connection is then the end of the reply, whatever the proxy would keep.
            ("Connection", "close"),
        ]
        self._http = h11.Connection(h11.CLIENT)
        written = [
            self._http.send(h11.Request(method="POST", target=ask.path, headers=headers)),
            self._http.send(h11.Data(data=ask.body)),
            self._http.send(h11.EndOfMessage()),
        ]
        self.request = b"".join(data or b"" for data in written)
        self._consumer = Consumer(WIRE_FORMAT, stream=stream)
        self._decoder = ContentDecoder("")
        self._trouble: Exception | None = None

    def take(self, data: bytes) -> None:
        """Take the next bytes of the reply; empty is FIN. What is no HTTP ends the reading, and raises nothing."""
        if self._trouble is not None or self._http.their_state in (h11.DONE, h11.MUST_CLOSE, h11.CLOSED):
            return
        try:
            self._http.receive_data(data)
            while (event := self._http.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
                self._see(event)
                if isinstance(event, (h11.EndOfMessage, h11.ConnectionClosed)):
                    return
        except h11.RemoteProtocolError as error:
            self._trouble = error

    def close(self, error: Exception | None) -> Answer:
        """The connection has ended, by `error` unless it is None: the consumer's verdict."""
        if error is None:
            self.take(b"")
        return self._consumer.close(self._trouble or error)

    def _see(self, event: object) -> None:
        if isinstance(event, h11.Response):
            headers = [(name.decode(), value.decode("latin-1")) for name, value in event.headers]
            self._decoder = ContentDecoder(dict(headers).get("content-encoding", ""))
            self._consumer.head(event.status_code, headers)
        elif isinstance(event, h11.Data):
            self._consumer.feed(self._decoder.feed(bytes(event.data)))


class Relay(asyncio.Protocol):
    """The connection to the proxy; whatever it brings goes on to the browser.

    Args:
        browser: the browser's connection, on which nothing has been written.
        witness: knows the request, and reads along.
    """

    def __init__(self, browser: asyncio.Transport, witness: Witness) -> None:
        self._browser = browser
        self._witness = witness
        self._proxy: asyncio.Transport | None = None
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # what create_connection makes
        self._proxy = transport
        transport.write(self._witness.request)

    def data_received(self, data: bytes) -> None:
        """Hand on; a browser that has left is left no less by us."""
        if self._browser.is_closing():
            self.leave()
            return
        self._browser.write(data)
        self._witness.take(data)

    def connection_lost(self, error: Exception | None) -> None:
        """End the browser's connection in the same way."""
        if not self._browser.is_closing():
            if error is None:
                self._browser.close()
            else:
                _reset(self._browser)
        self.answer.set_result(self._witness.close(error))

    def leave(self) -> None:
        """Drop the proxy, as the browser has dropped us."""
        if self._proxy is not None:
            self._proxy.abort()


async def relay(url: str, plan: Plan, browser: asyncio.Transport, *, stream: bool) -> Answer:
    """Ask at `url` and hand the reply to the browser until its end; returns the verdict on it.

    Raises:
        OSError: the proxy cannot be reached; nothing has been written to the browser.
    """
    place = urlsplit(url)
    witness = Witness(plan, stream=stream, host=place.netloc)
    _, protocol = await asyncio.get_running_loop().create_connection(
        lambda: Relay(browser, witness), place.hostname or "", place.port or 80
    )
    try:
        return await protocol.answer
    finally:
        protocol.leave()


def _reset(transport: asyncio.Transport) -> None:
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
