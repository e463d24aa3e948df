"""Every wire format, both ways, by one table; and bytes written by hand from the vendors' documents."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import BadInput
from lab.wire import FORMATS, format_named
from lab.wire.events import ErrorEvent, Event, Finish, FinishReason, Heartbeat, Marker, Opening, Text, Unreadable, Usage
from lab.wire.format import Asked, Reply, WireFormat

REPLY = Reply("reply-1", "model-1", include_usage=True)
TEXT = "amber ⟨9f3c:1@0ms⟩ "

EveryFormat = pytest.mark.parametrize("wire", FORMATS.values(), ids=FORMATS)

# What is written, and what must be read back: the events that any format has to be able to say.
ROUND_TRIPS: dict[str, tuple[Callable[[WireFormat], bytes], list[Event]]] = {
    "opening": (lambda wire: wire.opening(REPLY), [Opening()]),
    "text": (lambda wire: wire.text(REPLY, TEXT), [Text(TEXT)]),
    "text that JSON escapes": (lambda wire: wire.text(REPLY, '"\\\n\u2028é'), [Text('"\\\n\u2028é')]),
    "heartbeat": (lambda wire: wire.heartbeat(), [Heartbeat()]),
    "marker": (lambda wire: wire.marker(REPLY), [Marker()]),
    "error": (lambda wire: wire.error_event("kind", "words"), [ErrorEvent("kind", "words")]),
}


def read(wire: WireFormat, pieces: list[bytes]) -> list[Event]:
    """Read a stream from pieces, its end included."""
    reader = wire.reader()
    return [*(event for piece in pieces for event in reader.feed(piece)), *reader.close()]


def one_by_one(raw: bytes) -> list[bytes]:
    """The bytes of a stream, each alone."""
    return [bytes([byte]) for byte in raw]


@EveryFormat
@pytest.mark.parametrize("case", ROUND_TRIPS.values(), ids=ROUND_TRIPS)
def test_what_is_written_is_read_back(
    wire: WireFormat, case: tuple[Callable[[WireFormat], bytes], list[Event]]
) -> None:
    """Whole and byte by byte, each event comes back as what was meant."""
    write, expected = case
    raw = write(wire)
    assert read(wire, [raw]) == expected
    assert read(wire, one_by_one(raw)) == expected


@EveryFormat
@pytest.mark.parametrize("reason", FinishReason)
def test_every_finish_reason_is_read_back_with_the_count_of_tokens(wire: WireFormat, reason: FinishReason) -> None:
    """The reason survives in the lab's own words, whatever word the vendor has for it."""
    events = read(wire, [wire.finish(REPLY, reason, 7)])
    assert [event.reason for event in events if isinstance(event, Finish)] == [reason]
    assert Usage(7) in events
    assert not any(isinstance(event, (Marker, Unreadable)) for event in events)


@EveryFormat
@given(data=st.data())
def test_a_stream_is_read_alike_however_it_is_cut(wire: WireFormat, data: st.DataObject) -> None:
    """Random cuts, inside a character too, give the same events as the whole."""
    raw = b"".join(
        [
            wire.opening(REPLY),
            wire.text(REPLY, TEXT),
            wire.heartbeat(),
            wire.finish(REPLY, FinishReason.STOP, 1),
            wire.marker(REPLY),
        ]
    )
    cuts = sorted(data.draw(st.sets(st.integers(1, len(raw) - 1), max_size=30)))
    pieces = [raw[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    events = [event for event in read(wire, pieces) if not isinstance(event, Usage)]
    assert [type(event) for event in events] == [Opening, Text, Heartbeat, Finish, Marker]
    assert events[1] == Text(TEXT)


@EveryFormat
def test_an_event_cut_inside_a_character_is_unreadable(wire: WireFormat) -> None:
    """A body that ends in the middle of a bracket's three bytes leaves a tail that is no event."""
    raw = wire.text(REPLY, TEXT)
    cut = raw[: raw.index("⟨".encode()) + 1]
    events = read(wire, [wire.text(REPLY, "whole"), cut])
    assert events[0] == Text("whole")
    assert [type(event) for event in events[1:]] == [Unreadable]


@EveryFormat
def test_broken_json_in_a_whole_event_is_unreadable_and_the_stream_goes_on(wire: WireFormat) -> None:
    """One bad event does not hide those after it."""
    events = read(wire, [b'data: {"half\n\n', wire.marker(REPLY)])
    assert [type(event) for event in events] == [Unreadable, Marker]


@EveryFormat
@pytest.mark.parametrize("document", [b"", b"[]", b"null", b"{}", b"<html>", b'{"choices":[]}', b'{"content":1}'])
def test_a_foreign_batch_document_is_unreadable(wire: WireFormat, document: bytes) -> None:
    """Whatever is no reply of the format is one unreadable event, never an exception."""
    assert [type(event) for event in wire.read_batch(document)] == [Unreadable]


@EveryFormat
def test_a_batch_reply_is_read_back(wire: WireFormat) -> None:
    """Text, reason and count come back; a whole document counts as its own marker."""
    events = wire.read_batch(wire.batch(REPLY, TEXT, FinishReason.LENGTH, 1))
    assert events[0] == Text(TEXT)
    assert [event.reason for event in events if isinstance(event, Finish)] == [FinishReason.LENGTH]
    assert Marker() in events
    assert Usage(1) in events


@EveryFormat
def test_a_batch_reply_without_a_reason_has_no_end(wire: WireFormat) -> None:
    """A document that never says why it stopped gives neither reason nor marker."""
    events = wire.read_batch(wire.batch(REPLY, TEXT, None, 1))
    assert not any(isinstance(event, (Finish, Marker)) for event in events)


@EveryFormat
def test_an_error_document_is_read_back(wire: WireFormat) -> None:
    """The document of an HTTP error, and of an error in a 200, is an error event."""
    assert wire.read_batch(wire.error_body("kind", "words")) == [ErrorEvent("kind", "words")]


@EveryFormat
@pytest.mark.parametrize("stream", [True, False])
def test_the_server_reads_what_the_client_asks(wire: WireFormat, stream: bool) -> None:
    """A request written with a format is read back with the same format."""
    ask = wire.ask("lab?tokens=3", stream=stream, max_tokens=9)
    assert ask.path == wire.path
    assert wire.read_ask(ask.body) == Asked("lab?tokens=3", stream, 9)


BAD_ASKS = {
    "no JSON": (b"{", "JSON"),
    "no object": (b"[]", "object"),
    "no model": (b'{"messages":[{}],"max_tokens":1}', "model"),
    "an empty model": (b'{"model":"","messages":[{}],"max_tokens":1}', "model"),
    "no messages": (b'{"model":"m","max_tokens":1}', "messages"),
    "empty messages": (b'{"model":"m","messages":[],"max_tokens":1}', "messages"),
    "stream is a text": (b'{"model":"m","messages":[{}],"stream":"yes","max_tokens":1}', "stream"),
    "no tokens at all": (b'{"model":"m","messages":[{}],"max_tokens":0}', "max_tokens"),
    "a limit that is true": (b'{"model":"m","messages":[{}],"max_tokens":true}', "max_tokens"),
    "bytes that are no UTF-8": (b'{"model":"\xff"}', "JSON"),
}


@EveryFormat
@pytest.mark.parametrize(("body", "field"), BAD_ASKS.values(), ids=BAD_ASKS)
def test_a_bad_request_names_its_field(wire: WireFormat, body: bytes, field: str) -> None:
    """What lacks what the format requires is refused with the field's name."""
    with pytest.raises(ValueError, match=field):
        wire.read_ask(body)


def test_anthropic_requires_a_limit_and_openai_does_not() -> None:
    """The vendors differ: `max_tokens` is required by one alone."""
    body = b'{"model":"m","messages":[{}]}'
    assert format_named("openai-chat").read_ask(body).max_tokens is None
    with pytest.raises(ValueError, match="max_tokens"):
        format_named("anthropic-messages").read_ask(body)


def test_openai_prefers_the_newer_limit_and_reads_the_usage_option() -> None:
    """`max_completion_tokens` replaced `max_tokens`; `stream_options` asks for usage."""
    fields = {"model": "m", "messages": [{}], "max_tokens": 5, "max_completion_tokens": 3}
    body = json.dumps({**fields, "stream": True, "stream_options": {"include_usage": True}}).encode()
    assert format_named("openai-chat").read_ask(body) == Asked("m", stream=True, max_tokens=3, include_usage=True)


def test_an_unknown_format_names_those_that_there_are() -> None:
    """A typing error is answered with the choice."""
    with pytest.raises(BadInput, match="openai-chat"):
        format_named("openai-chta")


# Written by hand from the vendors' documents, so that writer and reader cannot be wrong together.

OPENAI = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","service_tier":"default",'
    b'"choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,'
    b'"finish_reason":null}],"usage":null}\n\n'
    b": OPENROUTER PROCESSING\n\n"
    b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}],"usage":null}\n\n'
    b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}\n\n'
    b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":10,"total_tokens":13}}\n\n'
)
ANTHROPIC = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant",'
    b'"content":[],"stop_reason":null,"usage":{"input_tokens":3,"output_tokens":1}}}\n\n'
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
    b'"content_block":{"type":"text","text":""}}\n\n'
    b'event: ping\ndata: {"type":"ping"}\n\n'
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"text_delta","text":"Hello"}}\n\n'
    b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
    b'event: something_new\ndata: {"type":"something_new"}\n\n'
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
    b'"usage":{"output_tokens":10}}\n\n'
)
STOP = Finish(FinishReason.STOP, "stop")
END_TURN = Finish(FinishReason.STOP, "end_turn")

RECORDED: dict[str, tuple[str, bytes, list[Event]]] = {
    "openai, whole": (
        "openai-chat",
        OPENAI + b"data: [DONE]\n\n",
        [Opening(), Heartbeat(), Text("Hello"), STOP, Usage(10), Marker()],
    ),
    "openai, a marker without its empty line (llama.cpp)": (
        "openai-chat",
        b"data: [DONE]",
        [Marker()],
    ),
    "openai, an error in the stream": (
        "openai-chat",
        b'data: {"error":{"message":"gone","type":"server_error","param":null,"code":null}}\n\n',
        [ErrorEvent("server_error", "gone")],
    ),
    "openai, a finish reason that the lab has no word for": (
        "openai-chat",
        b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\n\n',
        [Finish(None, "tool_calls")],
    ),
    "openai, text and reason in one chunk": (
        "openai-chat",
        b'data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"length"}]}\n\n',
        [Text("x"), Finish(FinishReason.LENGTH, "length")],
    ),
    "anthropic, whole": (
        "anthropic-messages",
        ANTHROPIC + b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
        [Opening(), Heartbeat(), Text("Hello"), END_TURN, Usage(10), Marker()],
    ),
    "anthropic, an error in the stream": (
        "anthropic-messages",
        b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n',
        [ErrorEvent("overloaded_error", "Overloaded")],
    ),
    "anthropic, a refusal": (
        "anthropic-messages",
        b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"refusal"}}\n\n',
        [Finish(FinishReason.CONTENT_FILTER, "refusal")],
    ),
}


@pytest.mark.parametrize(("name", "raw", "expected"), RECORDED.values(), ids=RECORDED)
def test_the_vendors_own_bytes_are_read(name: str, raw: bytes, expected: list[Event]) -> None:
    """Bytes as the vendors document them, whole, byte by byte, and with CRLF."""
    wire = format_named(name)
    assert read(wire, [raw]) == expected
    assert read(wire, one_by_one(raw)) == expected
    if raw.endswith(b"\n"):
        assert read(wire, [raw.replace(b"\n", b"\r\n")]) == expected


def test_every_anthropic_event_is_named() -> None:
    """The vendor's SDK drops a nameless event without a word."""
    wire = format_named("anthropic-messages")
    raw = b"".join([wire.opening(REPLY), wire.text(REPLY, "x"), wire.heartbeat(), wire.marker(REPLY)])
    raw += wire.finish(REPLY, FinishReason.STOP, 1) + wire.error_event("kind", "words")
    for block in raw.strip().split(b"\n\n"):
        name, data = block.split(b"\n")
        assert json.loads(data.removeprefix(b"data: "))["type"] == name.removeprefix(b"event: ").decode()
