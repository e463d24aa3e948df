"""The HTTP/1.1 side of the probe: writes one request and takes its reply apart, with h11.

Pure: bytes in, body pieces out. It runs after the log, so whatever it makes of the bytes, none is lost.
A reply that h11 refuses is a fact (`trouble`), never an exception.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import h11

from lab.evidence import TransportEnd

# h11's own 16 KiB is less than some proxies let through; 256 KiB is more than any of them does.
_LARGEST_HEAD = 256 * 1024


@dataclass(frozen=True)
class Head:
    """A reply's status line and headers (names in lower case), and how its body ends."""

    status: int
    version: str
    headers: tuple[tuple[str, str], ...]
    framing: str


class ReplyParser:
    """Parses the one reply to one request.

    `head` is None until the headers are whole; `done` turns true when the body's own end has come;
    `trouble` says why the bytes are no HTTP, and is empty while they are; `interim` counts 1xx
    replies, which are skipped; `trailing` counts the bytes that came after the end.
    """

    def __init__(self) -> None:
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LARGEST_HEAD)
        self.head: Head | None = None
        self.done = False
        self.trouble = ""
        self.interim = 0
        self.trailing = 0

    def write_request(self, target: str, headers: Iterable[tuple[str, str]], body: bytes) -> bytes:
        """Serialise a POST request; the headers must hold Host and no Content-Length."""
        request = h11.Request(method="POST", target=target, headers=[*headers, ("Content-Length", str(len(body)))])
        parts = [self._h11.send(event) for event in (request, h11.Data(data=body), h11.EndOfMessage())]
        return b"".join(part or b"" for part in parts)

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes; return the pieces of body in them."""
        if self.done:
            self.trailing += len(data)
        if self.done or self.trouble:
            return []
        self._h11.receive_data(data)
        return self._advance()

    def finish(self) -> TransportEnd:
        """The other side sent FIN: say what that means at this place."""
        if self.head is None:
            return TransportEnd.NOT_HTTP if self.trouble else TransportEnd.NO_REPLY
        if self.trouble:
            return TransportEnd.NOT_HTTP
        return TransportEnd.CLOSED if self.head.framing == "close" else TransportEnd.SHORT_FIN

    def _advance(self) -> list[bytes]:
        pieces: list[bytes] = []
        try:
            while True:
                event = self._h11.next_event()
                if isinstance(event, h11.InformationalResponse):
                    self.interim += 1
                elif isinstance(event, h11.Response):
                    self.head = _read_head(event)
                elif isinstance(event, h11.Data):
                    pieces.append(bytes(event.data))
                elif isinstance(event, h11.EndOfMessage):
                    self.done = True
                    self.trailing = len(self._h11.trailing_data[0])
                    return pieces
                else:
                    return pieces
        except h11.RemoteProtocolError as error:
            self.trouble = str(error)
            return pieces


def _read_head(reply: h11.Response) -> Head:
    headers = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in reply.headers)
    return Head(reply.status_code, reply.http_version.decode("ascii"), headers, _framing(reply.status_code, headers))


def _framing(status: int, headers: tuple[tuple[str, str], ...]) -> str:
    """RFC 9112, section 6.3, for a reply to POST."""
    names = dict(headers)
    if "transfer-encoding" in names:
        return "chunked"
    return "length" if "content-length" in names or status in (204, 304) else "close"
