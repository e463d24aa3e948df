"""The server's end of one HTTP/2 connection, for the tests' fault server: frames are sent as a test says.

Frames are made with hyperframe and hpack, below any protocol state, so that wrong ones can be sent too.
"""

from __future__ import annotations

from collections.abc import Callable

import h2.config
import h2.connection
import h2.events
from hpack import Encoder
from hyperframe.frame import DataFrame, GoAwayFrame, HeadersFrame, PingFrame, RstStreamFrame, SettingsFrame

from .fault_server import Peer, Script

Step = bytes | Callable[[Peer], None]
REPLY = ((":status", "200"), ("content-type", "text/event-stream"))


def headers(*pairs: tuple[str, str], end: bool = False, first: tuple[tuple[str, str], ...] = REPLY) -> bytes:
    """HEADERS of stream 1, whose HPACK needs no state."""
    flags = ["END_HEADERS", *(["END_STREAM"] if end else [])]
    return HeadersFrame(1, Encoder().encode([*first, *pairs]), flags=flags).serialize()


def data(content: bytes, *, end: bool = False, padding: int = 0) -> bytes:
    """DATA of stream 1."""
    flags = [*(["END_STREAM"] if end else []), *(["PADDED"] if padding else [])]
    return DataFrame(1, content, pad_length=padding, flags=flags).serialize()


def reset(code: int) -> bytes:
    """RST_STREAM of stream 1."""
    return RstStreamFrame(1, error_code=code).serialize()


def goaway(last: int, code: int, said: bytes = b"") -> bytes:
    """GOAWAY."""
    return GoAwayFrame(0, last_stream_id=last, error_code=code, additional_data=said).serialize()


def ping() -> bytes:
    """A question whether the other side is there."""
    return PingFrame(0, b"are you?").serialize()


def settings() -> bytes:
    """The server's own SETTINGS, with nothing set."""
    return SettingsFrame(0).serialize()


class Reader:
    """What the client sent, taken apart; settings and windows are left as they are."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.events: list[h2.events.Event] = []
        self.body = b""

    def until(self, kind: type[h2.events.Event]) -> h2.events.Event:
        """Read until such an event comes, and return it."""
        while (found := next((event for event in self.events if isinstance(event, kind)), None)) is None:
            received = self._peer.sock.recv(65536)
            if not received:
                raise ConnectionError("the client left amid its request")
            self.events += self.h2.receive_data(received)
            self.body += b"".join(event.data for event in self.events if isinstance(event, h2.events.DataReceived))
            self.events = [event for event in self.events if not isinstance(event, h2.events.DataReceived)]
        return found


def begin(peer: Peer, *steps: Step) -> None:
    """Read the request, send SETTINGS, then bytes, and do things."""
    Reader(peer).until(h2.events.StreamEnded)
    peer.send(settings())
    for step in steps:
        if isinstance(step, bytes):
            peer.send(step)
        else:
            step(peer)


def after_request(*steps: Step) -> Script:
    """A script of those steps, which then keeps the connection until the client leaves.

    A server that closes while something of the client's is unread sends RST, and what it had not yet sent is lost.
    """

    def script(peer: Peer) -> None:
        begin(peer, *steps)
        peer.hang()

    return script


TOKENS = [b"data: token %d\n\n" % number for number in range(1, 6)]
WHOLE = b"".join(TOKENS)
SENT = headers() + b"".join(map(data, TOKENS))
"""Headers and a frame for each token; the stream is still open."""
