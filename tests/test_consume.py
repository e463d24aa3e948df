"""The consumer against hand-written bytes, every way to cut them, and real clients.

The bytes are written here by hand and not with `lab.wire`, so that a mistake which writer and reader
share does not go unseen.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.consume import (
    Answer,
    Complete,
    Consumer,
    Failed,
    FailedReason,
    Partial,
    PartialReason,
    Refused,
    aconsume,
    consume,
)
from lab.errors import BadInput
from lab.wire import FORMATS
from lab.wire.events import FinishReason
from lab.wire.format import Reply


@dataclass(frozen=True)
class Dialect:
    """One wire format, written by hand; `%s` is where the text, the reason or the count goes."""

    name: str
    opening: str
    token: str
    finish: str
    marker: str
    error: str
    stop: str
    length: str
    filtered: str
    tool: str
    error_document: str
    batch: str

    def stream(self, tokens: int, *, finish: str | None = None, marker: bool = True) -> bytes:
        """A stream of that many tokens; without `finish` it ends with the reason of a whole answer."""
        last = self.finish % (self.stop if finish is None else finish, tokens) if finish != "" else ""
        return (self.beginning(tokens).decode() + last + (self.marker if marker else "")).encode()

    def beginning(self, tokens: int) -> bytes:
        """The opening and so many tokens, and nothing after them."""
        return (self.opening + "".join(self.token % word for word in _words(tokens))).encode()


def _words(tokens: int) -> list[str]:
    return [f"⟨{number}⟩ " for number in range(1, tokens + 1)]


OPENAI = Dialect(
    name="openai-chat",
    opening='data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n',
    token='data: {"choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":null}]}\n\n',
    finish='data: {"choices":[{"index":0,"delta":{},"finish_reason":"%s"}]}\n\n'
    'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":%d}}\n\n',
    marker="data: [DONE]\n\n",
    error='data: {"error":{"type":"server_error","message":"gone","param":null,"code":null}}\n\n',
    stop="stop",
    length="length",
    filtered="content_filter",
    tool="tool_calls",
    error_document='{"error":{"message":"slow down","type":"rate_limit","param":null,"code":null}}',
    batch='{"choices":[{"index":0,"message":{"role":"assistant","content":"one two"},"finish_reason":"stop"}],'
    '"usage":{"completion_tokens":2}}',
)
ANTHROPIC = Dialect(
    name="anthropic-messages",
    opening='event: message_start\ndata: {"type":"message_start","message":{"usage":{"output_tokens":1}}}\n\n'
    'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text"}}\n\n'
    'event: ping\ndata: {"type":"ping"}\n\n',
    token="event: content_block_delta\n"
    'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%s"}}\n\n',
    finish='event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\nevent: message_delta\n'
    'data: {"type":"message_delta","delta":{"stop_reason":"%s"},"usage":{"output_tokens":%d}}\n\n',
    marker='event: message_stop\ndata: {"type":"message_stop"}\n\n',
    error='event: error\ndata: {"type":"error","error":{"type":"server_error","message":"gone"}}\n\n',
    stop="end_turn",
    length="max_tokens",
    filtered="refusal",
    tool="tool_use",
    error_document='{"type":"error","error":{"type":"rate_limit","message":"slow down"}}',
    batch='{"type":"message","content":[{"type":"text","text":"one two"}],"stop_reason":"end_turn",'
    '"usage":{"output_tokens":2}}',
)
DIALECTS = [OPENAI, ANTHROPIC]
HTML = b"<html>\r\n<head><title>504 Gateway Time-out</title></head>\r\n<hr><center>nginx</center>\r\n</html>\r\n"

each_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
any_dialect = st.sampled_from(DIALECTS)


class ReadTimeout(Exception):
    """Named as httpx names its time-out, and no TimeoutError, as httpx's is none."""


class Unnamed(Exception):
    """Says nothing by its name."""


def _raising(data: bytes, error: BaseException) -> Iterator[bytes]:
    yield data
    raise error


def _cut(data: bytes, error: Exception | None = None, *, dialect: Dialect) -> Answer:
    """Read `data`, then end cleanly or with `error`."""
    chunks = [data] if error is None else _raising(data, error)
    return consume(chunks, wire_format=dialect.name)


def _text(tokens: int) -> str:
    return "".join(_words(tokens))


# -- complete ---------------------------------------------------------------------------------------


@each_dialect
def test_whole_answer_is_complete(dialect: Dialect) -> None:
    """An answer with finish reason and terminal marker is complete."""
    assert _cut(dialect.stream(3), dialect=dialect) == Complete(_text(3), 3, "stop")


def test_empty_finish_reasons_are_none() -> None:
    """The empty finish reason that some servers put into every chunk neither ends an answer nor hides its end."""
    token = (OPENAI.token % "x").replace("null", '""')
    assert consume([(token + OPENAI.finish % ("stop", 1) + token + OPENAI.marker).encode()]) == Complete(
        "xx", 2, "stop"
    )
    outcome = consume([(token + OPENAI.marker).encode()])
    assert isinstance(outcome, Partial)
    assert outcome.reason is PartialReason.NO_FINISH_REASON


@each_dialect
def test_empty_answer_is_complete(dialect: Dialect) -> None:
    """An answer without a token is complete when finish reason and marker say so."""
    assert _cut(dialect.stream(0), dialect=dialect) == Complete("", 0, "stop")


@each_dialect
@pytest.mark.parametrize("error", [ConnectionResetError("reset"), ReadTimeout()])
def test_failure_after_the_marker_is_only_noted(dialect: Dialect, error: Exception) -> None:
    """A connection that fails after the marker leaves a complete answer with a dirty close."""
    assert _cut(dialect.stream(3), error, dialect=dialect) == Complete(_text(3), 3, "stop", dirty_close=True)


@each_dialect
def test_call_of_a_tool_is_complete(dialect: Dialect) -> None:
    """An answer that ends by calling a tool is whole, and says so in the wire's own word."""
    assert _cut(dialect.stream(2, finish=dialect.tool), dialect=dialect) == Complete(_text(2), 2, dialect.tool)


@each_dialect
def test_what_follows_the_marker_is_no_part_of_the_answer(dialect: Dialect) -> None:
    """Text, errors and garbage behind the terminal marker change nothing."""
    behind = (dialect.token % "more" + dialect.error + "data: {\n\n").encode()
    assert _cut(dialect.stream(2) + behind, dialect=dialect) == Complete(_text(2), 2, "stop")


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_wire_format_is_read(name: str) -> None:
    """What a wire format writes is complete when whole, and is not when the last two events are missing."""
    wire, reply = FORMATS[name], Reply("r1", "m")
    begun = wire.opening(reply) + wire.text(reply, "one ") + wire.text(reply, "two ")
    whole = begun + wire.finish(reply, FinishReason.STOP, 2) + wire.marker(reply)
    assert consume([whole], wire_format=name) == Complete("one two ", 2, "stop")
    assert isinstance(consume([begun], wire_format=name), Partial)


def test_unknown_wire_format_is_bad_input() -> None:
    """A wire format that does not exist is the caller's mistake, and raises."""
    with pytest.raises(BadInput, match="unknown wire format 'morse'"):
        Consumer("morse")


# -- partial ----------------------------------------------------------------------------------------


@each_dialect
@pytest.mark.parametrize("tokens", [0, 3])
def test_declared_ends_are_partial(dialect: Dialect, tokens: int) -> None:
    """An answer that the model declares cut short is partial, even without any text."""
    for word, reason in [
        (dialect.length, PartialReason.TOKEN_LIMIT),
        (dialect.filtered, PartialReason.CONTENT_FILTER),
        ("pause_turn", PartialReason.UNKNOWN_FINISH_REASON),
    ]:
        outcome = _cut(dialect.stream(tokens, finish=word), dialect=dialect)
        assert outcome == Partial(_text(tokens), tokens, reason, f"the model says {word!r}")


@each_dialect
def test_finish_reason_without_marker_is_partial(dialect: Dialect) -> None:
    """A clean end after the finish reason alone is no proof of a whole answer."""
    outcome = _cut(dialect.stream(3, marker=False), dialect=dialect)
    assert isinstance(outcome, Partial)
    assert (outcome.tokens, outcome.reason) == (3, PartialReason.NO_MARKER)


@each_dialect
def test_marker_without_finish_reason_is_partial(dialect: Dialect) -> None:
    """The terminal marker alone is no proof of a whole answer: gateways append it to half of one."""
    outcome = _cut(dialect.stream(3, finish=""), dialect=dialect)
    assert isinstance(outcome, Partial)
    assert (outcome.tokens, outcome.reason) == (3, PartialReason.NO_FINISH_REASON)


@each_dialect
@pytest.mark.parametrize("rest", ["", "marker", "finish"])
def test_model_error_in_the_middle_is_partial(dialect: Dialect, rest: str) -> None:
    """An error event after tokens is the reason, also when a gateway ends the stream properly after it."""
    after = {"": "", "marker": dialect.marker, "finish": dialect.finish % (dialect.stop, 2) + dialect.marker}[rest]
    outcome = _cut(dialect.beginning(2) + (dialect.error + after).encode(), dialect=dialect)
    assert outcome == Partial(_text(2), 2, PartialReason.MODEL_ERROR, "server_error: gone")


@each_dialect
@pytest.mark.parametrize("event", ["data: {bad\n\n", "data: \n\n", "data: 7\n\n", "data: " + "[" * 200_000 + "\n\n"])
def test_unreadable_event_makes_the_answer_partial(dialect: Dialect, event: str) -> None:
    """An event that cannot be read may have been text, so that even a proper end does not make it whole."""
    rest = (dialect.token % "x" + dialect.finish % (dialect.stop, 3) + dialect.marker).encode()
    outcome = consume([dialect.beginning(2), event.encode(), rest], wire_format=dialect.name)
    assert isinstance(outcome, Partial)
    assert (outcome.text, outcome.reason) == (_text(2) + "x", PartialReason.MALFORMED)


@each_dialect
def test_text_that_is_no_string_makes_the_answer_partial(dialect: Dialect) -> None:
    """A number where the text should stand breaks the format, and does not break the consumer."""
    event = (dialect.token % "x").replace('"x"', "[5]")
    outcome = _cut(dialect.beginning(2) + event.encode(), dialect=dialect)
    assert isinstance(outcome, Partial)
    assert (outcome.text, outcome.reason) == (_text(2), PartialReason.MALFORMED)


@each_dialect
def test_half_an_event_before_a_clean_end_is_malformed(dialect: Dialect) -> None:
    """A body that ends cleanly inside an event is partial and malformed; after a failure the failure counts."""
    half = dialect.beginning(2) + (dialect.token % "x")[:-9].encode()
    clean, dirty = _cut(half, dialect=dialect), _cut(half, ConnectionResetError(), dialect=dialect)
    assert isinstance(clean, Partial)
    assert isinstance(dirty, Partial)
    assert (clean.tokens, clean.reason) == (2, PartialReason.MALFORMED)
    assert (dirty.tokens, dirty.reason) == (2, PartialReason.CUT)


@each_dialect
def test_usage_that_exceeds_what_came_is_partial_only_on_request(dialect: Dialect) -> None:
    """The usage figure is held against the tokens only where the caller knows that they can be compared."""
    data = dialect.beginning(3) + (dialect.finish % (dialect.stop, 10) + dialect.marker).encode()
    assert consume([data], wire_format=dialect.name) == Complete(_text(3), 3, "stop")
    outcome = consume([data], wire_format=dialect.name, exact_count=True)
    assert outcome == Partial(_text(3), 3, PartialReason.COUNT_MISMATCH, "3 of 10 tokens came")


@settings(deadline=None)
@given(dialect=any_dialect, total=st.integers(1, 12), data=st.data())
def test_cut_after_every_token_gives_exactly_those(dialect: Dialect, total: int, data: st.DataObject) -> None:
    """A stream of n tokens cut after k of them is partial with exactly k, and failed where k is 0."""
    tokens = data.draw(st.integers(0, total - 1))
    error = data.draw(st.sampled_from([None, ConnectionResetError("reset"), ReadTimeout("read")]))
    outcome = _cut(dialect.beginning(tokens), error, dialect=dialect)
    if tokens == 0:
        assert isinstance(outcome, Failed)
    else:
        assert isinstance(outcome, Partial)
        assert (outcome.text, outcome.tokens) == (_text(tokens), tokens)


@settings(deadline=None)
@given(dialect=any_dialect, data=st.data())
def test_prefix_is_complete_only_with_its_marker(dialect: Dialect, data: st.DataObject) -> None:
    """However many bytes of a stream come, it is complete only when its terminal marker has begun to come."""
    whole = dialect.stream(4)
    size = data.draw(st.integers(0, len(whole)))
    error = data.draw(st.sampled_from([None, ConnectionResetError("reset")]))
    outcome = _cut(whole[:size], error, dialect=dialect)
    if isinstance(outcome, Complete):
        assert size > len(dialect.stream(4, marker=False))
    elif isinstance(outcome, Partial):
        tokens = sum(len(dialect.beginning(number)) <= size for number in range(1, 5))
        assert (outcome.text, outcome.tokens) == (_text(tokens), tokens)
    else:
        assert size <= len(dialect.beginning(1))


@settings(deadline=None)
@given(dialect=any_dialect, tokens=st.integers(0, 5), finish=st.booleans(), marker=st.booleans(), data=st.data())
def test_chunking_does_not_matter(
    dialect: Dialect, tokens: int, finish: bool, marker: bool, data: st.DataObject
) -> None:
    """The same bytes give the same outcome and the same shown text, wherever the reads cut them."""
    body = dialect.stream(tokens, finish=None if finish else "", marker=marker)
    places = sorted(data.draw(st.sets(st.integers(0, len(body)), max_size=20)))
    chunks = [body[a:b] for a, b in zip([0, *places], [*places, len(body)], strict=True)]
    shown: list[str] = []
    assert consume(chunks, wire_format=dialect.name, on_text=shown.append) == _cut(body, dialect=dialect)
    assert "".join(shown) == _text(tokens)
    assert "" not in shown


@each_dialect
def test_byte_by_byte(dialect: Dialect) -> None:
    """Every byte may come alone."""
    chunks = [bytes([byte]) for byte in dialect.stream(3)]
    assert consume(chunks, wire_format=dialect.name) == Complete(_text(3), 3, "stop")


# -- what clients raise -----------------------------------------------------------------------------


def _hidden(attribute: str) -> Exception:
    """An exception behind which a time-out stands, as the ConnectionError that requests raises for one."""
    error = Unnamed("read failed")
    setattr(error, attribute, ReadTimeout("10 s"))
    return error


TIME_OUTS = [
    TimeoutError("10 s"),
    ReadTimeout("10 s"),
    _hidden("__cause__"),
    _hidden("__context__"),
    aiohttp.SocketTimeoutError("10 s"),
]
CUTS = [
    ConnectionResetError("reset by peer"),
    BrokenPipeError(),
    EOFError(),
    OSError(113, "no route to host"),
    ValueError("invalid chunk size"),
    aiohttp.ClientPayloadError("not enough data"),
    aiohttp.ServerDisconnectedError(),
]


@pytest.mark.parametrize("error", TIME_OUTS, ids=lambda error: type(error).__name__)
def test_time_outs_are_told_from_cuts(error: Exception) -> None:
    """A time-out is known by its class, its name or what it was raised for, and its words are kept."""
    outcome = _cut(OPENAI.beginning(2), error, dialect=OPENAI)
    assert isinstance(outcome, Partial)
    assert outcome.reason is PartialReason.TIME_OUT
    assert type(error).__name__ in outcome.detail
    before = _cut(OPENAI.opening.encode(), error, dialect=OPENAI)
    assert isinstance(before, Failed)
    assert before.reason is FailedReason.TIME_OUT


@pytest.mark.parametrize("error", CUTS, ids=lambda error: type(error).__name__)
def test_every_other_exception_is_a_cut(error: Exception) -> None:
    """Whatever else a client raises is a cut, whichever class it has, and its words are kept."""
    outcome = _cut(OPENAI.beginning(2), error, dialect=OPENAI)
    assert isinstance(outcome, Partial)
    assert outcome.reason is PartialReason.CUT
    assert type(error).__name__ in outcome.detail


def test_httpx_exceptions_are_sorted() -> None:
    """The exceptions of the real httpx, no subclasses of Python's own, are told apart as well."""
    httpx = _httpx()
    for error, reason in [
        (httpx.RemoteProtocolError("peer closed connection"), PartialReason.CUT),
        (httpx.ReadError(""), PartialReason.CUT),
        (httpx.ReadTimeout("timed out"), PartialReason.TIME_OUT),
        (httpx.ConnectTimeout("timed out"), PartialReason.TIME_OUT),
    ]:
        outcome = _cut(OPENAI.beginning(1), error, dialect=OPENAI)
        assert isinstance(outcome, Partial)
        assert outcome.reason is reason


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), asyncio.CancelledError()])
def test_interruptions_are_passed_on(error: BaseException) -> None:
    """What is no Exception is no failure of the stream, and is not swallowed."""
    with pytest.raises(type(error)):
        consume(_raising(OPENAI.beginning(1), error))


def test_errors_of_the_application_are_passed_on() -> None:
    """What `on_text` raises is the application's own and is not taken for a cut."""

    def show(text: str) -> None:
        raise ZeroDivisionError(text)

    with pytest.raises(ZeroDivisionError):
        consume([OPENAI.stream(1)], on_text=show)


# -- refused ----------------------------------------------------------------------------------------


@each_dialect
@pytest.mark.parametrize("stream", [True, False])
def test_error_document_with_an_error_status_is_refused(dialect: Dialect, stream: bool) -> None:
    """An HTTP error with the vendor's document is the API's own no, with its advice when to return."""
    outcome = consume(
        [dialect.error_document.encode()],
        wire_format=dialect.name,
        stream=stream,
        status=429,
        headers={"Retry-After": "7"},
    )
    assert outcome == Refused(429, "rate_limit", "slow down", 7.0)


@each_dialect
def test_error_event_before_any_token_is_refused(dialect: Dialect) -> None:
    """An error event before the first token is a no as well, whatever then becomes of the connection."""
    data = (dialect.opening + dialect.error).encode()
    for error in [None, ConnectionResetError()]:
        assert _cut(data, error, dialect=dialect) == Refused(200, "server_error", "gone")


@each_dialect
def test_error_document_with_a_success_status_is_refused(dialect: Dialect) -> None:
    """An error document where a stream was asked for is a no, though the status says 200."""
    assert _cut(dialect.error_document.encode(), dialect=dialect) == Refused(200, "rate_limit", "slow down")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([("retry-after", "2")], 2.0),
        ([("Retry-After", "20"), ("Retry-After-Ms", "1500")], 1.5),
        ([("retry-after-ms", "soon"), ("retry-after", "2")], 2.0),
        ([("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")], None),
        ([("retry-after", "nan")], None),
        ([("retry-after", "-1")], None),
        ([], None),
    ],
)
def test_retry_after(headers: list[tuple[str, str]], seconds: float | None) -> None:
    """The advice when to return is seconds or nothing, never anything that a sleep would choke on."""
    outcome = consume([OPENAI.error_document.encode()], status=429, headers=headers)
    assert outcome == Refused(429, "rate_limit", "slow down", seconds)


# -- failed -----------------------------------------------------------------------------------------


@each_dialect
@pytest.mark.parametrize("body", [HTML, b"", b"upstream connect error", b'{"message":"no route"}'])
def test_error_page_of_a_proxy_is_failed(dialect: Dialect, body: bytes) -> None:
    """An HTTP error without the vendor's document was not said by the API."""
    outcome = consume([body], wire_format=dialect.name, status=504, headers=[("Content-Type", "text/html")])
    assert isinstance(outcome, Failed)
    assert outcome.reason is FailedReason.PROXY_ERROR_STATUS
    assert outcome.detail.startswith("HTTP 504, text/html, ")


@each_dialect
@pytest.mark.parametrize(
    "body", [HTML, b"OK", b'{"hello":1}', b"data: {}\n\n", HTML * 5_000], ids=["page", "word", "json", "sse", "long"]
)
def test_success_that_is_no_stream_is_failed(dialect: Dialect, body: bytes) -> None:
    """A 200 with something else in it is a wrong reply, and the detail quotes its beginning."""
    outcome = consume([body], wire_format=dialect.name, headers={"content-type": "text/html"})
    assert isinstance(outcome, Failed)
    assert outcome.reason is FailedReason.WRONG_REPLY
    assert outcome.detail.startswith("HTTP 200, text/html, b'")
    assert len(outcome.detail) < 200


@each_dialect
def test_batch_reply_instead_of_a_stream_is_failed(dialect: Dialect) -> None:
    """A batch document where a stream was asked for is a wrong reply."""
    outcome = _cut(dialect.batch.encode(), dialect=dialect)
    assert isinstance(outcome, Failed)
    assert outcome.reason is FailedReason.WRONG_REPLY


def test_redirection_is_failed() -> None:
    """A redirection to a login page that the client did not follow is a wrong reply."""
    outcome = consume([HTML], status=302)
    assert isinstance(outcome, Failed)
    assert outcome.reason is FailedReason.WRONG_REPLY


@each_dialect
@pytest.mark.parametrize("body", ["", ": heartbeat\n\n", "opening"])
def test_clean_end_without_anything_is_failed(dialect: Dialect, body: str) -> None:
    """A clean end without token and marker is empty, heartbeats and opening or not."""
    outcome = _cut((dialect.opening if body == "opening" else body).encode(), dialect=dialect)
    assert isinstance(outcome, Failed)
    assert outcome.reason is FailedReason.EMPTY


@each_dialect
def test_bare_marker_is_failed(dialect: Dialect) -> None:
    """The terminal marker with no token and no finish reason is empty."""
    outcome = _cut(dialect.marker.encode(), dialect=dialect)
    assert isinstance(outcome, Failed)
    assert outcome.reason is FailedReason.EMPTY


@each_dialect
def test_broken_first_event_is_failed(dialect: Dialect) -> None:
    """A reply that begins in its format and breaks it before the first token is malformed."""
    outcome = _cut(dialect.opening.encode() + b"data: {bad\n\n", dialect=dialect)
    assert isinstance(outcome, Failed)
    assert outcome.reason is FailedReason.MALFORMED


def test_connection_that_was_never_made_is_failed() -> None:
    """Without status and body there is still exactly one outcome."""
    outcome = Consumer().close(ConnectionRefusedError(111, "refused"))
    assert outcome == Failed(FailedReason.CUT, "ConnectionRefusedError: [Errno 111] refused")


# -- batch ------------------------------------------------------------------------------------------


@each_dialect
@pytest.mark.parametrize("before", [b"", b"\n\n\n"], ids=["plain", "blank-lines-first"])
def test_batch_reply_is_complete(dialect: Dialect, before: bytes) -> None:
    """A whole batch document is complete and counts its tokens by the model's own figure."""
    chunks = [before, dialect.batch[:20].encode(), dialect.batch[20:].encode()]
    outcome = consume(chunks, wire_format=dialect.name, stream=False)
    assert outcome == Complete("one two", 2, "stop")


@each_dialect
def test_batch_reply_at_the_token_limit_is_partial(dialect: Dialect) -> None:
    """A batch reply, too, may declare itself cut short."""
    body = dialect.batch.replace(f'"{dialect.stop}"', f'"{dialect.length}"').encode()
    outcome = consume([body], wire_format=dialect.name, stream=False)
    assert isinstance(outcome, Partial)
    assert (outcome.text, outcome.tokens, outcome.reason) == ("one two", 2, PartialReason.TOKEN_LIMIT)


@each_dialect
def test_long_batch_reply_is_complete(dialect: Dialect) -> None:
    """A batch document is read whole, however long it is."""
    body = dialect.batch.replace("one two", "word " * 50_000).encode()
    assert consume([body], wire_format=dialect.name, stream=False) == Complete("word " * 50_000, 2, "stop")


@each_dialect
def test_half_a_batch_document_is_failed(dialect: Dialect) -> None:
    """Half a JSON document holds no usable text, whether its end was clean or not."""
    for size in range(1, len(dialect.batch)):
        half = dialect.batch[:size].encode()
        clean = consume([half], wire_format=dialect.name, stream=False)
        dirty = consume(_raising(half, ReadTimeout()), wire_format=dialect.name, stream=False)
        assert isinstance(clean, Failed)
        assert clean.reason in (FailedReason.MALFORMED, FailedReason.WRONG_REPLY)
        assert isinstance(dirty, Failed)
        assert dirty.reason is FailedReason.TIME_OUT


@each_dialect
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", FailedReason.EMPTY),
        (b'{"choices":[', FailedReason.MALFORMED),
        (HTML, FailedReason.WRONG_REPLY),
        (b'{"hello":1}', FailedReason.WRONG_REPLY),
        (b'{"a":' + b"[" * 200_000, FailedReason.MALFORMED),
    ],
    ids=["empty", "half", "page", "foreign", "deep"],
)
def test_batch_reply_that_is_none_is_failed(dialect: Dialect, body: bytes, reason: FailedReason) -> None:
    """Where a batch document should stand, an empty, half, foreign or hostile one are told apart."""
    outcome = consume([body], wire_format=dialect.name, stream=False)
    assert isinstance(outcome, Failed)
    assert outcome.reason is reason


def test_whole_batch_document_survives_a_dirty_close() -> None:
    """A batch document that came whole is complete, even if its last chunk did not."""
    outcome = consume(_raising(OPENAI.batch.encode(), ConnectionResetError()), stream=False)
    assert outcome == Complete("one two", 2, "stop", dirty_close=True)


def test_batch_reply_that_calls_a_tool_is_complete() -> None:
    """A batch reply without text is complete where its finish reason says why."""
    body = b'{"choices":[{"message":{"content":null},"finish_reason":"tool_calls"}]}'
    assert consume([body], stream=False) == Complete("", 0, "tool_calls")


# -- any bytes at all -------------------------------------------------------------------------------

KEYS = ["choices", "delta", "content", "finish_reason", "usage", "completion_tokens", "error", "type", "text"]

_fragments = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"data: ", b"data: {\n\n", b"\n\n", b"\r\n\r\n", b": \n", b"event: message_stop\n", HTML]),
    st.sampled_from(
        [getattr(d, part).encode() for d in DIALECTS for part in ("opening", "error", "marker", "error_document")]
    ),
    st.sampled_from([(d.token % "x").encode() for d in DIALECTS]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(KEYS),
                inner,
                max_size=3,
            )
        ),
        max_leaves=8,
    ).map(lambda document: f"data: {json.dumps(document)}\n\n".encode()),
)


@settings(max_examples=300, deadline=None)
@given(
    dialect=any_dialect,
    chunks=st.lists(_fragments, max_size=12),
    error=st.sampled_from([None, ConnectionResetError(), ReadTimeout()]),
    status=st.sampled_from([200, 200, 200, 204, 302, 429, 504]),
    stream=st.booleans(),
)
def test_any_bytes_have_exactly_one_outcome(
    dialect: Dialect, chunks: list[bytes], error: Exception | None, status: int, stream: bool
) -> None:
    """Whatever comes, nothing is raised, one outcome results, and it stays."""
    consumer = Consumer(dialect.name, stream=stream, exact_count=True)
    consumer.head(status)
    shown = "".join([consumer.feed(chunk) for chunk in chunks])
    outcome = consumer.close(error)
    assert isinstance(outcome, Complete | Partial | Refused | Failed)
    if isinstance(outcome, Complete | Partial) and stream:
        assert outcome.text == shown == consumer.text
    assert consumer.feed((dialect.token % "late").encode()) == ""
    assert consumer.close() is outcome


# -- the consumer in use ----------------------------------------------------------------------------


def test_text_is_there_as_it_comes() -> None:
    """A user interface shows each token when its bytes have come, and may leave at the marker."""
    consumer = Consumer("openai-chat")
    assert consumer.feed(OPENAI.beginning(1)) == "⟨1⟩ "
    assert (consumer.text, consumer.ended) == ("⟨1⟩ ", False)
    assert consumer.feed((OPENAI.token % "b" + OPENAI.token % "c").encode()) == "bc"
    assert consumer.feed((OPENAI.finish % ("stop", 3) + OPENAI.marker).encode()) == ""
    assert (consumer.text, consumer.ended) == ("⟨1⟩ bc", True)


def test_partial_answers_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A partial answer leaves one warning with reason, tokens and characters, and without its text."""
    with caplog.at_level(logging.DEBUG, "lab.consume"):
        _cut(OPENAI.beginning(3), ConnectionResetError("reset"), dialect=OPENAI)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == "partial answer: cut after 3 tokens, 12 characters (ConnectionResetError: reset)"


def test_other_outcomes_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Complete, refused and failed replies are for the application to log."""
    with caplog.at_level(logging.DEBUG, "lab.consume"):
        _cut(OPENAI.stream(3), dialect=OPENAI)
        _cut(OPENAI.error.encode(), dialect=OPENAI)
        _cut(b"", dialect=OPENAI)
    assert caplog.records == []


async def _alive(data: bytes, error: BaseException | None = None) -> AsyncIterator[bytes]:
    yield data
    await asyncio.sleep(0)
    if error is not None:
        raise error


@each_dialect
async def test_asynchronous_reading_gives_the_same(dialect: Dialect) -> None:
    """The asynchronous shell concludes as the other does, and shows the same text."""
    shown: list[str] = []
    whole = await aconsume(_alive(dialect.stream(3)), wire_format=dialect.name, on_text=shown.append)
    assert whole == Complete(_text(3), 3, "stop")
    assert "".join(shown) == _text(3)
    cut = await aconsume(_alive(dialect.beginning(3), ConnectionResetError("reset")), wire_format=dialect.name)
    assert cut == Partial(_text(3), 3, PartialReason.CUT, "ConnectionResetError: reset")


async def test_cancellation_is_passed_on() -> None:
    """A cancelled task is not told that its stream was cut."""
    begun = asyncio.Event()

    async def stalls() -> AsyncIterator[bytes]:
        yield OPENAI.beginning(1)
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(aconsume(stalls()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# -- the careless ones ------------------------------------------------------------------------------


def _careless() -> ModuleType:
    path = Path(__file__).parents[1] / "scenarios" / "model-dies" / "careless.py"
    spec = importlib.util.spec_from_file_location("careless", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CARELESS = _careless()
each_careless = pytest.mark.parametrize("name", ["shows_as_whole", "processes_half", "drops_silently"])


@each_careless
@each_dialect
def test_careless_consumers_take_half_an_answer_for_a_whole_one(dialect: Dialect, name: str) -> None:
    """On a cut that raises and on one that does not, each claims a whole answer or reports nothing."""
    careless: Callable[..., Answer | None] = getattr(CARELESS, name)
    for error in [None, ConnectionResetError("reset")]:
        chunks = [dialect.beginning(5)] if error is None else _raising(dialect.beginning(5), error)
        claim = careless(chunks, wire_format=dialect.name, status=200, headers={})
        assert claim is None or isinstance(claim, Complete)
        assert isinstance(_cut(dialect.beginning(5), error, dialect=dialect), Partial)


@each_careless
@each_dialect
def test_careless_consumers_read_a_whole_answer(dialect: Dialect, name: str) -> None:
    """On a whole stream nothing is wrong with them, which is why they pass for working."""
    claim = getattr(CARELESS, name)([dialect.stream(5)], wire_format=dialect.name)
    assert isinstance(claim, Complete)
    assert claim.tokens == 5
    assert all(word.strip() in claim.text for word in _words(5))


def test_careless_consumers_differ_in_what_the_user_sees() -> None:
    """After the same cut one shows the half, one has mended it into a document, one has nothing."""
    half = '[{\\"sum\\": 12}, {\\"sum\\": 3'
    body = OPENAI.opening + OPENAI.token % half
    claims = [
        getattr(CARELESS, name)(_raising(body.encode(), ConnectionResetError()))
        for name in ("shows_as_whole", "processes_half", "drops_silently")
    ]
    assert [claim and claim.text for claim in claims] == [
        '[{"sum": 12}, {"sum": 3',
        '[{"sum": 12}, {"sum": 3}]',
        None,
    ]


# -- a real client ----------------------------------------------------------------------------------


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def _httpx() -> ModuleType:
    """The httpx that is installed: the SDKs moved from the first to the second."""
    for name in ("httpx2", "httpx"):
        if importlib.util.find_spec(name):
            return importlib.import_module(name)
    pytest.skip("neither httpx2 nor httpx is installed")


@contextmanager
def _server(body: bytes, end: str, shown: threading.Event) -> Iterator[str]:
    """One chunked reply on a raw socket, ended as told once its text was shown; gives the URL."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(HEAD)
            connection.sendall(b"%x\r\n%s\r\n" % (len(body), body))
            shown.wait(10)
            if end == "rst":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if end == "last-chunk":
                connection.sendall(b"0\r\n\r\n")
            if end == "stall":
                connection.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1/chat/completions"
        thread.join(10)


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("fin", PartialReason.CUT),
        ("rst", PartialReason.CUT),
        ("last-chunk", PartialReason.NO_MARKER),
        ("stall", PartialReason.TIME_OUT),
    ],
)
def test_httpx_over_a_real_connection(end: str, reason: PartialReason) -> None:
    """A model that dies after three tokens leaves exactly three, whichever way its connection ended."""
    httpx, shown = _httpx(), threading.Event()
    with (
        _server(OPENAI.beginning(3), end, shown) as url,
        httpx.Client(timeout=2 if end == "stall" else 10, trust_env=False) as client,
        client.stream("GET", url) as reply,
    ):
        outcome = consume(
            reply.iter_bytes(), status=reply.status_code, headers=reply.headers, on_text=lambda _: shown.set()
        )
    assert isinstance(outcome, Partial)
    assert (outcome.text, outcome.tokens, outcome.reason) == (_text(3), 3, reason)
