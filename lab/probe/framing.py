"""What the two HTTP versions have in common for the probe: the request, the head of a reply, and a parser.

A parser is pure: bytes in, body pieces out. It runs after the log, so whatever it makes of the bytes, none is lost,
and a reply that breaks its protocol is a fact (`NOT_HTTP`), never an exception. `lab.probe.http1` and
`lab.probe.http2` are the two.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from lab.evidence import EndReason, TransportEnd

LARGEST_HEAD = 256 * 1024
"""Bytes of headers that are read: some gateways send tens of kilobytes, and none sends more than this."""


@dataclass(frozen=True)
class HttpRequest:
    """A request before it is written in either version.

    Args:
        scheme: `http` or `https`.
        authority: host and port as the URL has them, without user name and password.
        target: path and query.
        headers: without Host and Content-Length; kept out of any message, for a key may stand there.
        body: the content.
        method: such as `POST`.
    """

    scheme: str
    authority: str
    target: str
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)
    method: str = "POST"

    @property
    def length(self) -> tuple[tuple[str, str], ...]:
        """The header that tells the body's length; a GET without a body has none."""
        return () if self.method == "GET" and not self.body else (("Content-Length", str(len(self.body))),)


@dataclass(frozen=True)
class Head:
    """A reply's status line and headers (names in lower case), and how its body ends."""

    status: int
    version: str
    headers: tuple[tuple[str, str], ...]
    framing: str

    @property
    def coding(self) -> str:
        """The first `Content-Encoding`, as whoever reads the trace later takes it; empty where there is none."""
        return next((value for name, value in self.headers if name == "content-encoding"), "")


@dataclass(frozen=True)
class ReplyEnd:
    """How the reply ended, what there is to say about it, and what is known of it."""

    end: TransportEnd
    detail: str = ""
    reason: EndReason | None = None


class ReplyParser(Protocol):
    """Parses the one reply to one request.

    `head` is None until the headers are whole; `ended` is None until the bytes themselves say that the reply is
    over, well or badly; `heard` is True once the last `feed` brought
    anything of the reply, and False where it was the connection's own business.
    """

    head: Head | None
    ended: ReplyEnd | None
    heard: bool

    def write_request(self, request: HttpRequest) -> bytes:
        """Serialise the request with whatever the version wants in front of it."""
        ...

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes; return the pieces of body in them."""
        ...

    def to_send(self) -> bytes:
        """What the protocol owes the other side by now."""
        ...

    def closed(self) -> ReplyEnd:
        """The other side sent FIN before `ended`: say what that means at this place."""
        ...
