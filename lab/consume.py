"""For applications: a reply goes in, exactly one of complete, partial, refused and failed comes out.

Exceptions cannot tell half an answer from no answer, and a cut that ends cleanly raises none at all. So
nothing here is judged by how the connection ended alone: an answer is complete when the model's finish
reason and the wire format's terminal marker have both come, and whatever else came is `Partial`, a type
of its own that cannot be taken for an answer by accident.

`Consumer` does no I/O and is driven by any client; `consume` and `aconsume` drive it over an iterable
of bytes. With httpx, including the failure to connect:

    consumer = Consumer("openai-chat")
    error = None
    try:
        with httpx.stream("POST", url, json=question, timeout=60) as reply:
            consumer.head(reply.status_code, reply.headers)
            for data in reply.iter_bytes():
                show(consumer.feed(data))
    except httpx.HTTPError as failure:
        error = failure
    match consumer.close(error):
        case Complete(text=text):
            store(text)
        case Partial(text=text, reason=PartialReason.TOKEN_LIMIT):
            offer_to_go_on(text)
        case Partial(text=text, reason=reason):
            mark_as_incomplete(text, reason)
        case Refused(kind=kind, retry_after=seconds):
            tell_the_user(kind, seconds)
        case Failed(reason=reason):
            ask_again(reason)

Warnings: some things are out of its hands.

- Use a client that hands over the bytes it has before it raises. httpx and requests' `iter_content` on a
  chunked body do; aiohttp's `resp.content` was measured to lose up to all tokens that it had buffered
  when the connection then fails, and `http.client` ends a line loop over a cut body without a word.
- Whoever forges the finish reason and the marker on half an answer (some gateways do) is believed; only the
  sender can know better.
- One choice a reply: the texts of several choices would be mingled.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterable, Callable, Iterable, Mapping

from lab.answers import Answer, Complete, Failed, FailedReason, Partial, PartialReason, Refused
from lab.wire import format_named
from lab.wire.events import ErrorEvent, Event, Finish, FinishReason, Marker, Text, Unreadable, Usage
from lab.wire.format import shortened

__all__ = [
    "Answer",
    "Complete",
    "Consumer",
    "Failed",
    "FailedReason",
    "Partial",
    "PartialReason",
    "Refused",
    "aconsume",
    "consume",
]

_log = logging.getLogger("lab.consume")
# Silent unless the application asks for it, as a library should be.
_log.addHandler(logging.NullHandler())

# Enough for any vendor's error document; a page of megabytes must not be kept for its first line.
_KEPT = 64 * 1024

# From here on a status says that the body is no answer, and from there on that it is an error.
_NO_ANSWER, _HTTP_ERROR = 300, 400

# How deep to look for a time-out below the exception that a client raised; deeper nesting is not known.
_CAUSES = 8

Headers = Mapping[str, str] | Iterable[tuple[str, str]]

_DECLARED = {
    FinishReason.LENGTH: PartialReason.TOKEN_LIMIT,
    FinishReason.CONTENT_FILTER: PartialReason.CONTENT_FILTER,
}

# An answer that ends by calling a tool is whole. Any other word that the wire format does not know, such
# as `pause_turn`, `model_context_window_exceeded` or `error`, is no promise that it is.
_WHOLE = {"tool_calls", "function_call", "tool_use"}

# What a flaw amounts to while there is no text. A flaw that is not here stays partial: the model itself
# says that it was stopped (its limit spent on reasoning, say), and asking again would not help.
_WITHOUT_TEXT = {
    PartialReason.CUT: FailedReason.CUT,
    PartialReason.TIME_OUT: FailedReason.TIME_OUT,
    PartialReason.MALFORMED: FailedReason.MALFORMED,
    PartialReason.NO_MARKER: FailedReason.EMPTY,
    PartialReason.NO_FINISH_REASON: FailedReason.EMPTY,
    PartialReason.COUNT_MISMATCH: FailedReason.EMPTY,
}


class Consumer:
    r"""Reads one reply, without any I/O; lives as long as the reply.

    Call `head` once, `feed` for each piece of the body, and `close` once in every case, with the exception
    if there was one. None of them raises for anything that the other side sent.

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
        self._status = 200
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._pieces: list[str] = []
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
        self._status, self._headers = status, {name.lower(): value for name, value in pairs}

    def feed(self, data: bytes) -> str:
        """Take the next bytes of the decoded body, cut anywhere; return the text that they completed."""
        if self._answer is not None:
            return ""
        if not self._understood:
            self._keep(data)
        if not self._stream or self._status >= _NO_ANSWER:
            return ""
        return "".join([self._take(event) for event in self._reader.feed(data)])

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
        self._body += data if whole else data[: max(0, _KEPT - len(self._body))]

    def _take(self, event: Event) -> str:
        """Note one event; return its text."""
        # Whatever follows the marker is no part of the answer.
        if self._marker:
            return ""
        self._understood = self._understood or not isinstance(event, Unreadable)
        match event:
            case Text():
                self._pieces.append(event.text)
                return event.text
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
        if self._status >= _NO_ANSWER:
            return self._judge_status(error)
        for event in self._reader.close() if self._stream else self._format.read_batch(bytes(self._body)):
            # Half an event is what every failed connection leaves; the failure is the reason then.
            if error is None or not isinstance(event, Unreadable):
                self._take(event)
        if not self._understood:
            self._model_error = self._error_document()
        if self._model_error is not None and not self._pieces:
            return self._refused(self._model_error)
        flaw = self._flaw(error)
        if flaw is None:
            reason = (self._finish.reason or self._finish.raw) if self._finish else ""
            return Complete(self.text, self._tokens(), str(reason), dirty_close=error is not None)
        if not self._pieces and flaw[0] in _WITHOUT_TEXT:
            return self._failed(*flaw)
        return Partial(self.text, self._tokens(), *flaw)

    def _flaw(self, error: Exception | None) -> tuple[PartialReason, str] | None:
        """The first reason, in order of weight, why the answer is not whole; None if it is."""
        if self._model_error is not None:
            return PartialReason.MODEL_ERROR, f"{self._model_error.kind}: {self._model_error.message}"
        if self._unreadable is not None:
            return PartialReason.MALFORMED, f"{self._unreadable.why}: {self._unreadable.data!r}"
        if not self._marker and error is not None:
            return PartialReason.TIME_OUT if _is_time_out(error) else PartialReason.CUT, _in_words(error)
        if not self._marker:
            came = "the finish reason" if self._finish else "no finish reason"
            return PartialReason.NO_MARKER, f"the body ended cleanly after {came}, without the terminal marker"
        if self._finish is None:
            return PartialReason.NO_FINISH_REASON, "the terminal marker came without a finish reason"
        if self._finish.reason in _DECLARED:
            return _DECLARED[self._finish.reason], f"the model says {self._finish.raw!r}"
        if self._finish.reason is None and self._finish.raw not in _WHOLE:
            return PartialReason.UNKNOWN_FINISH_REASON, f"the model says {self._finish.raw!r}"
        came_short = self._stream and self._usage is not None and self._usage > len(self._pieces)
        if self._exact_count and came_short:
            return PartialReason.COUNT_MISMATCH, f"{len(self._pieces)} of {self._usage} tokens came"
        return None

    def _failed(self, flaw: PartialReason, detail: str) -> Failed:
        """What a flaw amounts to when no text came before it."""
        reason = _WITHOUT_TEXT[flaw]
        if self._understood or reason in (FailedReason.CUT, FailedReason.TIME_OUT):
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
        return Failed(reason, self._quoted() + (f", then {_in_words(error)}" if error else ""))

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


def consume(
    chunks: Iterable[bytes],
    *,
    wire_format: str = "openai-chat",
    stream: bool = True,
    exact_count: bool = False,
    status: int = 200,
    headers: Headers = (),
    on_text: Callable[[str], object] | None = None,
) -> Answer:
    r"""Read a reply to its end; what the iterable raises becomes the reason and is not passed on.

    Args:
        chunks: the decoded body, cut anywhere, such as `reply.iter_bytes()` of httpx.
        wire_format: as for `Consumer`; `BadInput` for a name that is none.
        stream: as for `Consumer`.
        exact_count: as for `Consumer`.
        status: as for `Consumer.head`.
        headers: as for `Consumer.head`.
        on_text: called with new text as it comes, never for a batch reply. What it raises is passed on:
            it is the application's own error.

    >>> consume([b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n']).reason.value
    'no-marker'
    """
    consumer = Consumer(wire_format, stream=stream, exact_count=exact_count)
    consumer.head(status, headers)
    iterator = iter(chunks)
    while True:
        try:
            data = next(iterator)
        except StopIteration:
            return consumer.close()
        # Clients share no base class for their errors. KeyboardInterrupt and the like are no Exception.
        except Exception as error:
            return consumer.close(error)
        _show(consumer.feed(data), on_text)


async def aconsume(
    chunks: AsyncIterable[bytes],
    *,
    wire_format: str = "openai-chat",
    stream: bool = True,
    exact_count: bool = False,
    status: int = 200,
    headers: Headers = (),
    on_text: Callable[[str], object] | None = None,
) -> Answer:
    """`consume` for an asynchronous iterable, such as `reply.aiter_bytes()` of httpx.

    A cancellation is passed on, and so the text is lost when `asyncio.timeout` stands around this call;
    put the time-out into the client or into the iterable, or drive a `Consumer` and read its `text`.
    """
    consumer = Consumer(wire_format, stream=stream, exact_count=exact_count)
    consumer.head(status, headers)
    iterator = aiter(chunks)
    while True:
        try:
            data = await anext(iterator)
        except StopAsyncIteration:
            return consumer.close()
        # As above; CancelledError is no Exception.
        except Exception as error:
            return consumer.close(error)
        _show(consumer.feed(data), on_text)


def _show(text: str, on_text: Callable[[str], object] | None) -> None:
    if text and on_text is not None:
        on_text(text)


def _warn(partial: Partial) -> None:
    # The text itself stays out of the log: it is the user's.
    _log.warning(
        "partial answer: %s after %d tokens, %d characters (%s)",
        partial.reason,
        partial.tokens,
        len(partial.text),
        partial.detail,
    )


def _is_time_out(error: BaseException) -> bool:
    """Whether a client's exception, or one that it stands for, means that patience ran out.

    By name, since the clients share no class: httpx's ReadTimeout is no TimeoutError, aiohttp's is. By
    cause, since some hide it: requests raises a ConnectionError for a time-out in the body.
    """
    cause: BaseException | None = error
    for _ in range(_CAUSES):
        if cause is None:
            return False
        if isinstance(cause, TimeoutError) or any("Timeout" in kind.__name__ for kind in type(cause).__mro__):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait; `retry-after-ms` is OpenAI's own and finer. The vendors send no dates."""
    for name, unit in (("retry-after-ms", 1e3), ("retry-after", 1.0)):
        try:
            wait = float(headers[name]) / unit
        except (KeyError, ValueError):
            continue
        if 0 <= wait < math.inf:
            return wait
    return None
