"""The HTTP/1.1 side of the probe: writes one request and takes its reply apart, with h11."""

from __future__ import annotations

import h11

from lab.evidence import TransportEnd
from lab.probe.framing import LARGEST_HEAD, Head, HttpRequest, ReplyEnd


class Http1:
    """The parser of a reply in HTTP/1.1 or HTTP/1.0; see `ReplyParser`."""

    def __init__(self) -> None:
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=LARGEST_HEAD)
        self.head: Head | None = None
        self.ended: ReplyEnd | None = None
        self.heard = True
        self._trailing = 0

    def write_request(self, request: HttpRequest) -> bytes:
        """See `ReplyParser`."""
        headers = [("Host", request.authority), *request.headers, *request.length]
        events = (
            h11.Request(method=request.method, target=request.target, headers=headers),
            h11.Data(data=request.body),
            h11.EndOfMessage(),
        )
        return b"".join(self._h11.send(event) or b"" for event in events)

    def feed(self, data: bytes) -> list[bytes]:
        """See `ReplyParser`; bytes after the end are counted in its detail."""
        if self.ended is not None:
            if self.ended.end is TransportEnd.FRAMED:
                self._end_whole(len(data))
            return []
        self._h11.receive_data(data)
        return self._advance()

    def to_send(self) -> bytes:
        """Nothing: HTTP/1.1 owes no answers."""
        return b""

    def closed(self) -> ReplyEnd:
        """See `ReplyParser`."""
        if self.ended is not None:
            return self.ended
        if self.head is None:
            return ReplyEnd(TransportEnd.NO_REPLY)
        return ReplyEnd(TransportEnd.CLOSED if self.head.framing == "close" else TransportEnd.SHORT_FIN)

    @property
    def closes(self) -> bool:
        """Whether the other side said that it takes no further request over the connection."""
        return self._h11.their_state is h11.MUST_CLOSE

    def _advance(self) -> list[bytes]:
        pieces: list[bytes] = []
        try:
            while True:
                event = self._h11.next_event()
                if isinstance(event, h11.InformationalResponse):
                    continue
                if isinstance(event, h11.Response):
                    self.head = _read_head(event)
                elif isinstance(event, h11.Data):
                    pieces.append(bytes(event.data))
                elif isinstance(event, h11.EndOfMessage):
                    self._end_whole(len(self._h11.trailing_data[0]))
                    return pieces
                else:
                    return pieces
        except h11.RemoteProtocolError as error:
            self.ended = ReplyEnd(TransportEnd.NOT_HTTP, str(error))
            return pieces

    def _end_whole(self, trailing: int) -> None:
        self._trailing += trailing
        self.ended = ReplyEnd(TransportEnd.FRAMED, f"{self._trailing} bytes after the end" if self._trailing else "")


def _read_head(reply: h11.Response) -> Head:
    headers = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in reply.headers)
    return Head(reply.status_code, reply.http_version.decode("ascii"), headers, _framing(reply.status_code, headers))


def _framing(status: int, headers: tuple[tuple[str, str], ...]) -> str:
    """RFC 9112, section 6.3, for a reply to GET or POST."""
    names = dict(headers)
    if "transfer-encoding" in names:
        return "chunked"
    return "length" if "content-length" in names or status in (204, 304) else "close"
