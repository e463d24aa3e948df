"""The HTTP/2 side of the probe: one request on one stream, and its reply, with h2.

The bytes are cut into frames before h2 sees them, one at a time, because h2 by itself would lose what the probe
must keep: it drops the events of a read in which a later frame breaks the protocol, gives a DATA frame only when it is
whole, and takes nothing more after GOAWAY, although a server that shuts down gracefully goes on with the streams
that it has. So DATA is handed on as its bytes come, in smaller frames, END_STREAM as a frame of its own, and GOAWAY is
read here. What strict clients reject in headers is let through: the probe measures, and h2's `validate` does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
from hyperframe.exceptions import HyperframeError
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    RstStreamFrame,
    SettingsFrame,
)

from lab.evidence import EndReason, TransportEnd
from lab.probe.framing import LARGEST_HEAD, Head, HttpRequest, ReplyEnd

_STREAM = 1
_FRAME_HEAD = 9
# What a peer may send that was never told of more.
_LARGEST_FRAME = 2**14
_OF_A_REPLY = (DataFrame, HeadersFrame, RstStreamFrame, ContinuationFrame)

# The largest window that there is: flow control never holds a stream because of the probe.
_LARGEST_WINDOW = 2**31 - 1
_USUAL_WINDOW = 2**16 - 1
_QUOTED = 100

# RFC 9113, section 8.2.2: these belong to a connection of HTTP/1.1.
_CONNECTION_HEADERS = frozenset(
    {"connection", "host", "http2-settings", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"}
)


class _NotHttp2(h2.exceptions.ProtocolError):
    """The other side began with something else than SETTINGS (RFC 9113, section 3.4)."""


class Http2:
    """The parser of a reply in HTTP/2; see `ReplyParser`.

    Args:
        window: bytes that the other side may have on the way unread, at most; None for as many as HTTP/2 allows.
    """

    def __init__(self, window: int | None = None) -> None:
        self._h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(
                header_encoding="latin-1",
                validate_inbound_headers=False,
                normalize_inbound_headers=False,
            )
        )
        self._window = _LARGEST_WINDOW if window is None else min(max(window, 1), _USUAL_WINDOW)
        codes = h2.settings.SettingCodes
        self._h2.local_settings = h2.settings.Settings(
            client=True,
            initial_values={
                codes.ENABLE_PUSH: 0,
                codes.INITIAL_WINDOW_SIZE: self._window,
                codes.MAX_HEADER_LIST_SIZE: LARGEST_HEAD,
            },
        )
        self._h2.decoder.max_header_list_size = LARGEST_HEAD
        self.head: Head | None = None
        self.ended: ReplyEnd | None = None
        self.heard = False
        self._frames = _Frames()
        self._unsent = b""
        self._goaway = ""

    def write_request(self, request: HttpRequest) -> bytes:
        """See `ReplyParser`; a body beyond the other side's window follows with `to_send`."""
        self._h2.initiate_connection()
        if self._window > _USUAL_WINDOW:
            self._h2.increment_flow_control_window(self._window - _USUAL_WINDOW)
        headers = [
            (":method", request.method),
            (":scheme", request.scheme),
            (":authority", request.authority),
            (":path", request.target),
            *((name.lower(), value) for name, value in request.headers if name.lower() not in _CONNECTION_HEADERS),
            *((name.lower(), value) for name, value in request.length),
        ]
        self._h2.send_headers(_STREAM, headers, end_stream=not request.body)
        self._unsent = request.body
        return self.to_send()

    def feed(self, data: bytes) -> list[bytes]:
        """See `ReplyParser`."""
        self.heard = False
        if self._over():
            return []
        pieces: list[bytes] = []
        try:
            for head, frame in self._frames.cut(data):
                self.heard = self.heard or (head.stream_id == _STREAM and isinstance(head, _OF_A_REPLY))
                if isinstance(head, GoAwayFrame):
                    self._take_goaway(head, frame[_FRAME_HEAD:])
                else:
                    for event in self._h2.receive_data(frame):
                        self._take(event, pieces)
                if self._over():
                    break
        except h2.exceptions.InvalidBodyLengthError as error:
            words = f"END_STREAM after {error.actual_length} of {error.expected_length} bytes"
            self.ended = ReplyEnd(TransportEnd.SHORT_FIN, words)
        except h2.exceptions.ProtocolError as error:
            words = f"HTTP/2: {error}" if str(error) else type(error).__name__
            reason = EndReason.NO_HTTP_2 if isinstance(error, _NotHttp2) else None
            self.ended = ReplyEnd(TransportEnd.NOT_HTTP, words, reason)
        return pieces

    def to_send(self) -> bytes:
        """See `ReplyParser`: answers to SETTINGS and PING, windows, and what is left of the request's body."""
        while self._unsent and self.ended is None:
            room = min(self._h2.local_flow_control_window(_STREAM), self._h2.max_outbound_frame_size)
            if room <= 0:
                break
            part, self._unsent = self._unsent[:room], self._unsent[room:]
            self._h2.send_data(_STREAM, part, end_stream=not self._unsent)
        return self._h2.data_to_send()

    def closed(self) -> ReplyEnd:
        """See `ReplyParser`."""
        if self.ended is not None:
            return self.ended
        if not self._frames.begun:
            return ReplyEnd(TransportEnd.NO_REPLY, "no frame of HTTP/2 came", EndReason.NO_HTTP_2)
        return ReplyEnd(TransportEnd.NO_REPLY if self.head is None else TransportEnd.SHORT_FIN, self._goaway)

    def _over(self) -> bool:
        return self.ended is not None

    def _take(self, event: h2.events.Event, pieces: list[bytes]) -> None:
        match event:
            case h2.events.ResponseReceived(headers=headers):
                self.head = _read_head(headers or [])
            case h2.events.DataReceived(data=data, flow_controlled_length=length):
                if data:
                    pieces.append(data)
                self._h2.acknowledge_received_data(length or 0, _STREAM)
            case h2.events.StreamEnded():
                self.ended = ReplyEnd(TransportEnd.FRAMED)
            case h2.events.StreamReset(error_code=code):
                self.ended = ReplyEnd(TransportEnd.RESET, f"RST_STREAM with {_error_name(code or 0)}")

    def _take_goaway(self, frame: GoAwayFrame, body: bytes) -> None:
        """The other side takes no more streams; ours goes on if it was taken."""
        with _as_protocol_error():
            frame.parse_body(memoryview(body))
        said = frame.additional_data[:_QUOTED].decode("utf-8", "replace")
        self._goaway = f"GOAWAY with {_error_name(frame.error_code)}" + (f": {said}" if said else "")
        if frame.last_stream_id < _STREAM and self.head is None:
            self.ended = ReplyEnd(TransportEnd.NO_REPLY, self._goaway)


class _Frames:
    """Cuts the other side's bytes into frames; what is left of a frame waits for the next read.

    `begun` is True once the other side's SETTINGS have come.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.begun = False

    def cut(self, data: bytes) -> Iterator[tuple[Frame, bytes]]:
        """Each frame that the next bytes make possible: what its header says, and all its bytes.

        Raises:
            h2.exceptions.ProtocolError: they are no frames.
        """
        self._buffer += data
        while len(self._buffer) >= _FRAME_HEAD:
            head, size = self._head()
            here = len(self._buffer) - _FRAME_HEAD
            if isinstance(head, DataFrame) and "PADDED" not in head.flags:
                yield from self._cut_data(head, size, min(size, here))
                if here < size:
                    return
            elif here < size:
                return
            else:
                frame = bytes(self._buffer[: _FRAME_HEAD + size])
                del self._buffer[: _FRAME_HEAD + size]
                yield head, frame

    def _cut_data(self, head: DataFrame, size: int, here: int) -> Iterator[tuple[Frame, bytes]]:
        """So much of a DATA frame as is here, and its end as a frame of its own."""
        payload = bytes(self._buffer[_FRAME_HEAD : _FRAME_HEAD + here])
        if here < size:
            # What is to come is a frame of the rest.
            del self._buffer[_FRAME_HEAD : _FRAME_HEAD + here]
            self._buffer[:3] = (size - here).to_bytes(3, "big")
        else:
            del self._buffer[: _FRAME_HEAD + size]
        if payload:
            yield head, DataFrame(head.stream_id, payload).serialize()
        if here == size and ("END_STREAM" in head.flags or not size):
            yield head, DataFrame(head.stream_id, flags=head.flags).serialize()

    def _head(self) -> tuple[Frame, int]:
        """The next frame's header and its length: the first must be SETTINGS, none larger than what was allowed."""
        if not self.begun and self._buffer[3] != SettingsFrame.type:
            said = bytes(self._buffer[:_QUOTED]).split(b"\r\n")[0].decode("latin-1")
            raise _NotHttp2(f"the other side began with {said!r} in place of SETTINGS")
        self.begun = True
        with _as_protocol_error():
            head, size = Frame.parse_frame_header(memoryview(bytes(self._buffer[:_FRAME_HEAD])))
        if size > _LARGEST_FRAME:
            raise h2.exceptions.ProtocolError(f"a frame of {size} bytes")
        return head, size


@contextmanager
def _as_protocol_error() -> Iterator[None]:
    """What hyperframe cannot read breaks the protocol."""
    try:
        yield
    except HyperframeError as error:
        raise h2.exceptions.ProtocolError(str(error)) from None


def _read_head(pairs: Iterable[tuple[str | bytes, str | bytes]]) -> Head:
    """Status and headers; a reply without a number for its status has 0, which is none."""
    headers = tuple((_text(name).lower(), _text(value)) for name, value in pairs)
    status = dict(headers).get(":status", "")
    shown = tuple((name, value) for name, value in headers if not name.startswith(":"))
    return Head(int(status) if status.isascii() and status.isdigit() else 0, "2", shown, "h2")


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


def _error_name(code: int) -> str:
    try:
        return h2.errors.ErrorCodes(code).name
    except ValueError:
        return f"error code {code}"
