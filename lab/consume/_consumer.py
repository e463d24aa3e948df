"""The consumer itself: reads one reply and says what it amounts to, without any I/O."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from email.utils import parsedate_to_datetime

from ..wire import format_named
from ..wire.events import (
    CallPiece,
    ErrorEvent,
    Event,
    Finish,
    FinishReason,
    Foreign,
    Marker,
    Text,
    Unreadable,
    Usage,
)
from ..wire.format import shortened
from ..wire.tools import CALLED_A_TOOL, Calls
from ._answers import Answer, Complete, Failed, FailedReason, Partial, PartialReason, Refused
from ._characters import Characters
from ._errors import Left, in_words, is_timeout, is_unreachable

_log = logging.getLogger(__package__)
# Silent unless the application asks for it, as a library should be.
_log.addHandler(logging.NullHandler())

# Enough for any vendor's error document; a page of megabytes must not be kept for its first line.
_KEPT = 64 * 1024

LARGEST = 64 * 2**20
"""Bytes of one event, or of a batch reply, that are kept; an image in base64 has a tenth of that."""

# From here on a status says that the body is no answer, and from there on that it is an error.
_NO_ANSWER, _HTTP_ERROR = 300, 400

Headers = Mapping[str, str] | Iterable[tuple[str, str]]

_DECLARED = {
    FinishReason.LENGTH: PartialReason.TOKEN_LIMIT,
    FinishReason.CONTENT_FILTER: PartialReason.CONTENT_FILTER,
}

# What a flaw amounts to while there is no text. A flaw that is not here stays partial: the model itself
# says that it was stopped (its limit spent on reasoning, say), and asking again would not help.
_WITHOUT_TEXT = {
    PartialReason.CUT: FailedReason.CUT,
    PartialReason.TIMEOUT: FailedReason.TIMEOUT,
    PartialReason.LEFT: FailedReason.LEFT,
    PartialReason.MALFORMED: FailedReason.MALFORMED,
    PartialReason.NO_MARKER: FailedReason.EMPTY,
    PartialReason.NO_FINISH_REASON: FailedReason.EMPTY,
    PartialReason.COUNT_MISMATCH: FailedReason.EMPTY,
}


# These say what became of the reading, whatever the body was.
_NOT_THE_BODY = frozenset({FailedReason.CUT, FailedReason.TIMEOUT, FailedReason.LEFT})


class Consumer:
    r"""Reads one reply, without any I/O; lives as long as the reply.

    Call `head` once, `feed` for each piece of the body, and `close` once in every case, with the exception
    if there was one, or with a `Left` where you stop before the end. None of them raises for anything that the
    other side sent. An event without end fills no memory: from `LARGEST` bytes on nothing more is read.

    Args:
        wire_format: a name in `lab.wire.FORMATS`; `BadInput` for any other.
        stream: whether a stream was asked for, or a batch reply.
        exact_count: hold the usage figure against the pieces that came. Only for a server that sends
            one token an event, such as the lab's. Most vendors put several into one, and count reasoning.

    >>> consumer = Consumer("openai-chat")
    >>> consumer.head(200)
    >>> consumer.feed(b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n')
    'Hi'
    >>> consumer.close(ConnectionResetError("reset by peer"))
    Partial(text='Hi', tokens=1, reason=<PartialReason.CUT: 'cut'>, detail='ConnectionResetError: reset by peer')
    """

    def __init__(self, wire_format: str = "openai-chat", *, stream: bool = True, exact_count: bool = False) -> None:
        self._format = format_named(wire_format)
        self._reader = self._format.reader()
        self._stream = stream
        self._exact_count = exact_count
        self._headed = False
        self._status = 200
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._since = 0
        self._too_large = False
        self._pieces: list[str] = []
        self._characters = Characters()
        self._calls = Calls()
        self._understood = False
        self._finish: Finish | None = None
        self._usage: int | None = None
        self._marker = False
        self._model_error: ErrorEvent | None = None
        self._unreadable: Unreadable | None = None
        self._answer: Answer | None = None

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._pieces)

    @property
    def ended(self) -> bool:
        """Whether the terminal marker has come: one may stop reading here, and not wait for the close."""
        return self._marker

    def head(self, status: int, headers: Headers = ()) -> None:
        """Take the reply's HTTP status and headers, names in any case; a client's own mapping will do."""
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        self._headed = True
        self._status, self._headers = status, {name.lower(): value for name, value in pairs}

    def feed(self, data: bytes) -> str:
        """Take the next bytes of the decoded body, cut anywhere; return the text that they completed."""
        if self._answer is not None or self._too_large:
            return ""
        if not self._understood:
            self._keep(data)
        if not self._stream or self._status >= _NO_ANSWER:
            return ""
        events = self._reader.feed(data)
        self._since = 0 if events else self._since + len(data)
        if self._since > LARGEST:
            self._leave("event")
        return "".join([self._take(event) for event in events])

    def close(self, error: Exception | None = None) -> Answer:
        """The body has ended, or `error` ended it: return what came of it, and log it if it is partial.

        The answer does not change any more; a second call returns the same.
        """
        if self._answer is None:
            self._answer = self._conclude(error)
            if isinstance(self._answer, Partial):
                _warn(self._answer)
        return self._answer

    def _keep(self, data: bytes) -> None:
        """Keep the body while it may yet turn out to be a document and not a stream."""
        whole = not self._stream and self._status < _NO_ANSWER
        most = LARGEST if whole else _KEPT
        if whole and len(self._body) + len(data) > most:
            self._leave("document")
        self._body += data[: max(0, most - len(self._body))]

    def _leave(self, what: str) -> None:
        """Read no more, and forget the half of what was too large."""
        self._too_large, self._reader = True, self._format.reader()
        self._take(Unreadable(f"more than {LARGEST:,} bytes of one {what}", b"..."))

    def _take(self, event: Event) -> str:
        """Note one event; return its text."""
        # Whatever follows the marker is no part of the answer.
        if self._marker:
            return ""
        self._understood = self._understood or not isinstance(event, Unreadable)
        match event:
            case Text():
                self._pieces.append(self._characters.take(event.text))
                return self._pieces[-1]
            case CallPiece():
                self._calls.take(event)
            case Finish():
                self._finish = event
            case Usage():
                self._usage = event.tokens
            case Marker():
                self._marker = True
            case ErrorEvent():
                self._model_error = self._model_error or event
            case Unreadable():
                self._unreadable = self._unreadable or event
        return ""

    def _conclude(self, error: Exception | None) -> Answer:
        if error is not None and not self._headed and is_unreachable(error):
            return Failed(FailedReason.UNREACHABLE, in_words(error))
        if self._status >= _NO_ANSWER:
            return self._judge_status(error)
        for event in self._last_events():
            # Half an event is what every failed connection leaves; the failure is the reason then.
            if error is None or not isinstance(event, Unreadable):
                self._take(event)
        self._end_text()
        if not self._understood and not self._too_large:
            self._model_error = self._error_document()
        if self._model_error is not None and not self._pieces:
            return self._refused(self._model_error)
        flaw = self._flaw(error)
        if flaw is None:
            reason = (self._finish.reason or self._finish.raw) if self._finish else ""
            calls = self._calls.whole()
            return Complete(self.text, self._tokens(), str(reason), error is not None and self._marker, calls)
        if not self._pieces and flaw[0] in _WITHOUT_TEXT:
            return self._failed(*flaw)
        return Partial(self.text, self._tokens(), *flaw)

    def _end_text(self) -> None:
        """Half a character that still waits belongs to the last piece."""
        rest = self._characters.rest()
        if rest:
            self._pieces[-1] += rest

    def _last_events(self) -> Sequence[Event]:
        """What the end of the body completes."""
        if self._too_large:
            return ()
        return self._reader.close() if self._stream else self._format.read_batch(bytes(self._body))

    def _flaw(self, error: Exception | None) -> tuple[PartialReason, str] | None:
        """The first reason, in order of weight, why the answer is not whole; None if it is."""
        if self._model_error is not None:
            return PartialReason.MODEL_ERROR, f"{self._model_error.kind}: {self._model_error.message}"
        if self._unreadable is not None:
            return PartialReason.MALFORMED, self._unreadable.quoted
        if not self._marker and isinstance(error, Left):
            return PartialReason.LEFT, str(error)
        if not self._marker and error is not None:
            return PartialReason.TIMEOUT if is_timeout(error) else PartialReason.CUT, in_words(error)
        if not self._marker and not self._ends_without():
            return PartialReason.NO_MARKER, self._why_no_end()
        if self._finish is None:
            return PartialReason.NO_FINISH_REASON, "the terminal marker came without a finish reason"
        if self._finish.reason in _DECLARED:
            return _DECLARED[self._finish.reason], f"the model says {self._finish.raw!r}"
        if self._finish.reason is None and self._finish.raw not in CALLED_A_TOOL:
            return PartialReason.UNKNOWN_FINISH_REASON, f"the model says {self._finish.raw!r}"
        if self._calls.flaw():
            return PartialReason.TOOL_CALL, self._calls.flaw()
        came_short = self._stream and self._usage is not None and self._usage > len(self._pieces)
        if self._exact_count and came_short:
            return PartialReason.COUNT_MISMATCH, f"{len(self._pieces)} of {self._usage} tokens came"
        return None

    def _ends_without(self) -> bool:
        """Whether the reason on a body that ended cleanly is enough, for no marker is standard."""
        return self._stream and self._finish is not None and not self._format.has_marker

    def _why_no_end(self) -> str:
        if not self._stream:
            return "the document does not say that the model has finished"
        came = "the finish reason" if self._finish else "no finish reason"
        return f"the body ended cleanly after {came}, without the terminal marker"

    def _failed(self, flaw: PartialReason, detail: str) -> Failed:
        """What a flaw amounts to when no text came before it."""
        reason = _WITHOUT_TEXT[flaw]
        if isinstance(self._unreadable, Foreign) and reason is FailedReason.MALFORMED:
            return Failed(FailedReason.WRONG_REPLY, detail)
        if self._understood or self._too_large or reason in _NOT_THE_BODY:
            return Failed(reason, detail)
        body = self._body.strip()
        if not body:
            return Failed(FailedReason.EMPTY, "the body is empty")
        if not self._stream and body.startswith(b"{") and not body.endswith(b"}"):
            return Failed(FailedReason.MALFORMED, detail)
        return Failed(FailedReason.WRONG_REPLY, self._quoted())

    def _judge_status(self, error: Exception | None) -> Answer:
        """A reply whose status says that it holds no answer."""
        document = self._error_document() if self._status >= _HTTP_ERROR else None
        if document is not None:
            return self._refused(document)
        reason = FailedReason.PROXY_ERROR_STATUS if self._status >= _HTTP_ERROR else FailedReason.WRONG_REPLY
        detail = self._quoted() + (f", then {in_words(error)}" if error else "")
        return Failed(reason, detail, self._status, _retry_after(self._headers))

    def _error_document(self) -> ErrorEvent | None:
        """The vendor's error document, if that is what the body is."""
        events = self._format.read_batch(bytes(self._body))
        return next((event for event in events if isinstance(event, ErrorEvent)), None)

    def _refused(self, error: ErrorEvent) -> Refused:
        return Refused(self._status, error.kind, error.message, _retry_after(self._headers))

    def _quoted(self) -> str:
        media_type = self._headers.get("content-type", "no content type")
        return f"HTTP {self._status}, {media_type}, {shortened(bytes(self._body))!r}"

    def _tokens(self) -> int:
        return len(self._pieces) if self._stream or self._usage is None else self._usage


def _warn(partial: Partial) -> None:
    # The text itself stays out of the log: it is the user's.
    _log.warning(
        "partial answer: %s after %d tokens, %d characters (%s)",
        partial.reason,
        partial.tokens,
        len(partial.text),
        partial.detail,
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait; `retry-after-ms` is OpenAI's own and finer, and a date is what some proxies send."""
    for name, unit in (("retry-after-ms", 1e3), ("retry-after", 1.0)):
        try:
            wait = float(headers[name]) / unit
        except (KeyError, ValueError):
            continue
        if 0 <= wait < math.inf:
            return wait
    return _seconds_between(headers.get("date", ""), headers.get("retry-after", ""))


def _seconds_between(now: str, then: str) -> float | None:
    """Between two dates of HTTP, both by the sender's clock, since the reader's may be wrong; None if one is none."""
    try:
        return max(0.0, (parsedate_to_datetime(then) - parsedate_to_datetime(now)).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None
