"""Every wire format, both ways, by one table; and bytes written by hand from the vendors' documents."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import BadInput
from lab.wire import FORMATS, format_for_url, format_named
from lab.wire.events import ErrorEvent, Event, Finish, FinishReason, Heartbeat, Marker, Opening, Text, Unreadable, Usage
from lab.wire.format import Asked, Reply, WireFormat

REPLY = Reply("reply-1", "model-1", include_usage=True)
TEXT = "amber ⟨9f3c:1@0ms⟩ "

EveryFormat = pytest.mark.parametrize("wire", FORMATS.values(), ids=FORMATS)

NO_OPENING = {"openai-completions", "ollama-chat", "ollama-generate", "sse", "ndjson"}
"""Formats in which the first event has text already."""
ONE_END = {"ollama-chat", "ollama-generate", "openai-responses"}
"""Formats in which one event is reason and marker."""

ALONE: dict[str, list[Event]] = {
    **{name: [] for name in ONE_END},
    **{name: [Finish(FinishReason.STOP, "done"), Marker()] for name in ("sse", "ndjson")},
}
"""What the marker alone says: in the plain formats, where no reason was to be expected, that the answer is whole."""

# What is written, and what must be read back: the events that any format has to be able to say.
ROUND_TRIPS: dict[str, tuple[Callable[[WireFormat], bytes], Callable[[WireFormat], list[Event]]]] = {
    "opening": (lambda wire: wire.opening(REPLY), lambda wire: [] if wire.name in NO_OPENING else [Opening()]),
    "text": (lambda wire: wire.text(REPLY, TEXT), lambda _: [Text(TEXT)]),
    "text that JSON escapes": (lambda wire: wire.text(REPLY, '"\\\n\u2028é'), lambda _: [Text('"\\\n\u2028é')]),
    "heartbeat": (lambda wire: wire.heartbeat(), lambda _: [Heartbeat()]),
    "marker": (lambda wire: wire.marker(REPLY), lambda wire: ALONE.get(wire.name, [Marker()])),
    # Ollama's errors have no kind but one.
    "error": (
        lambda wire: wire.error_event(wire.error_kind(500), "words"),
        lambda wire: [ErrorEvent(wire.error_kind(500), "words")],
    ),
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
    wire: WireFormat, case: tuple[Callable[[WireFormat], bytes], Callable[[WireFormat], list[Event]]]
) -> None:
    """Whole and byte by byte, each event comes back as what was meant."""
    write, expected = case
    raw = write(wire)
    assert read(wire, [raw]) == expected(wire)
    assert read(wire, one_by_one(raw)) == expected(wire)


@EveryFormat
@pytest.mark.parametrize("reason", FinishReason)
def test_every_finish_reason_is_read_back_with_the_count_of_tokens(wire: WireFormat, reason: FinishReason) -> None:
    """The reason survives in the lab's own words, whatever word the vendor has for it."""
    events = read(wire, [wire.finish(REPLY, reason, 7)])
    assert [event.reason for event in events if isinstance(event, Finish)] == [reason]
    assert Usage(7) in events
    assert not any(isinstance(event, Unreadable) for event in events)
    assert (Marker() in events) is (wire.name in ONE_END)


@EveryFormat
@given(data=st.data())
def test_a_stream_is_read_alike_however_it_is_cut(wire: WireFormat, data: st.DataObject) -> None:
    """Random cuts, inside a character too, give the same events as the whole."""
    raw = b"".join(
        [
            wire.opening(REPLY),
            wire.text(REPLY, TEXT),
            wire.heartbeat(),
            wire.finish(REPLY, FinishReason.STOP, 1, TEXT),
            wire.marker(REPLY),
        ]
    )
    cuts = sorted(data.draw(st.sets(st.integers(1, len(raw) - 1), max_size=30)))
    pieces = [raw[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    events = [event for event in read(wire, pieces) if not isinstance(event, Usage)]
    opening = [] if wire.name in NO_OPENING else [Opening()]
    assert events[:-2] == [*opening, Text(TEXT), Heartbeat()]
    assert [type(event) for event in events[-2:]] == [Finish, Marker]


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
    bad = b'data: {"half\n\n' if "event-stream" in wire.stream_type else b'{"half\n'
    events = read(wire, [wire.text(REPLY, "one"), bad, wire.text(REPLY, "two", 2)])
    assert [type(event) for event in events] == [Text, Unreadable, Text]


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
    kind = wire.error_kind(429)
    assert wire.read_batch(wire.error_body(kind, "words")) == [ErrorEvent(kind, "words")]


@EveryFormat
@pytest.mark.parametrize("stream", [True, False])
def test_the_server_reads_what_the_client_asks(wire: WireFormat, stream: bool) -> None:
    """A request written with a format is read back with the same format."""
    ask = wire.ask("lab?tokens=3", stream=stream, max_tokens=9)
    assert ask.path == wire.path
    assert wire.read_ask(ask.body) == Asked("lab?tokens=3", stream, 9)


QUESTION = {"messages": [{}], "input": "x", "prompt": "x"}
LIMIT_FIELDS = {"openai-responses": "max_output_tokens", "ollama-chat": "num_predict", "ollama-generate": "num_predict"}


def bad_ask(**fields: object) -> bytes:
    """A request with a question and a limit for every format, but for what is given."""
    limit = fields.pop("limit", 1)
    limits = {"max_tokens": limit, "max_output_tokens": limit, "options": {"num_predict": limit}}
    return json.dumps({"model": "m", **QUESTION, **limits, **fields}).encode()


BAD_ASKS = {
    "no JSON": (b"{", "JSON"),
    "no object": (b"[]", "object"),
    "no model": (bad_ask(model=None), "model"),
    "an empty model": (bad_ask(model=""), "model"),
    "no question": (bad_ask(messages=None, input=None, prompt=None), "at least one is required"),
    "empty questions": (bad_ask(messages=[], input="", prompt=[]), "at least one is required"),
    "stream is a text": (bad_ask(stream="yes"), "stream"),
    "no tokens at all": (bad_ask(limit=0), "limit"),
    "a limit that is true": (bad_ask(limit=True), "limit"),
    "bytes that are no UTF-8": (b'{"model":"\xff"}', "JSON"),
}


@EveryFormat
@pytest.mark.parametrize(("body", "field"), BAD_ASKS.values(), ids=BAD_ASKS)
def test_a_bad_request_names_its_field(wire: WireFormat, body: bytes, field: str) -> None:
    """What lacks what the format requires is refused with the field's name."""
    with pytest.raises(ValueError, match=LIMIT_FIELDS.get(wire.name, "max_tokens") if field == "limit" else field):
        wire.read_ask(body)


ASKS: dict[str, tuple[str, dict[str, object], Asked]] = {
    "responses, a conversation": ("openai-responses", {"input": [{}]}, Asked("m", stream=False)),
    "ollama streams unless told otherwise": ("ollama-chat", {"messages": [{}]}, Asked("m", stream=True)),
    "ollama, batch": ("ollama-chat", {"messages": [{}], "stream": False}, Asked("m", stream=False)),
    "ollama, no limit": (
        "ollama-chat",
        {"messages": [{}], "options": {"num_predict": -1}},
        Asked("m", stream=True),
    ),
    "completions, a prompt in parts": ("openai-completions", {"prompt": ["x"]}, Asked("m", stream=False)),
    "completions ask for usage as chat does": (
        "openai-completions",
        {"prompt": "x", "stream": True, "stream_options": {"include_usage": True}},
        Asked("m", stream=True, include_usage=True),
    ),
    "generate streams unless told otherwise": ("ollama-generate", {"prompt": "x"}, Asked("m", stream=True)),
    "sse, a prompt": ("sse", {"prompt": "x"}, Asked("m", stream=True)),
    "sse, an input": ("sse", {"input": "x", "max_tokens": 3}, Asked("m", stream=True, max_tokens=3)),
    "ndjson, messages": ("ndjson", {"messages": [{}], "stream": False}, Asked("m", stream=False)),
}


@pytest.mark.parametrize(("name", "fields", "asked"), ASKS.values(), ids=ASKS)
def test_each_format_has_its_own_defaults(name: str, fields: dict[str, object], asked: Asked) -> None:
    """Where the question and the limit stand, and whether silence about `stream` means a stream."""
    assert format_named(name).read_ask(json.dumps({"model": "m", **fields}).encode()) == asked


def test_messages_that_are_a_text_are_refused() -> None:
    """A conversation is a list, whatever a prompt may be."""
    with pytest.raises(ValueError, match="messages"):
        format_named("openai-chat").read_ask(b'{"model":"m","messages":"x"}')


# What each vendor's documentation requires of a request, headers in lower case.
REQUIRED: dict[str, tuple[dict[str, object], dict[str, str]]] = {
    "openai-chat": (
        {"messages": [{"role": "user", "content": "Go on."}], "max_completion_tokens": 16},
        {"authorization": "Bearer k"},
    ),
    "openai-responses": ({"input": "Go on.", "max_output_tokens": 16}, {"authorization": "Bearer k"}),
    "anthropic-messages": (
        {"messages": [{"role": "user", "content": "Go on."}], "max_tokens": 16},
        {"anthropic-version": "2023-06-01", "x-api-key": "k"},
    ),
    "ollama-chat": (
        {"messages": [{"role": "user", "content": "Go on."}], "options": {"num_predict": 16}},
        {"authorization": "Bearer k"},
    ),
    "openai-completions": ({"prompt": "Go on.", "max_tokens": 16}, {"authorization": "Bearer k"}),
    "ollama-generate": ({"prompt": "Go on.", "options": {"num_predict": 16}}, {"authorization": "Bearer k"}),
    "sse": ({"prompt": "Go on.", "max_tokens": 16}, {"authorization": "Bearer k"}),
    "ndjson": ({"prompt": "Go on.", "max_tokens": 16}, {"authorization": "Bearer k"}),
}


@EveryFormat
@pytest.mark.parametrize("stream", [True, False])
def test_a_request_is_what_the_vendor_accepts(wire: WireFormat, stream: bool) -> None:
    """Nothing is missing that the vendor requires, and no field is sent that it does not document."""
    fields, headers = REQUIRED[wire.name]
    ask = wire.ask("m", stream=stream, max_tokens=16, prompt="Go on.")
    assert json.loads(ask.body) == {"model": "m", "stream": stream, **fields}
    sent = {name.lower(): value for name, value in [*ask.headers, wire.key_header("k")]}
    assert sent.items() >= {**headers, "content-type": "application/json"}.items()
    assert sent["accept"] in wire.stream_type if stream else sent["accept"] == "application/json"


URLS = {
    "https://api.openai.com/v1/chat/completions": "openai-chat",
    "https://x.openai.azure.com/openai/deployments/d/chat/completions?api-version=2025-01-01": "openai-chat",
    "https://openrouter.ai/api/v1/chat/completions": "openai-chat",
    "https://api.openai.com/v1/responses": "openai-responses",
    "https://api.anthropic.com/v1/messages": "anthropic-messages",
    "http://localhost:11434/api/chat": "ollama-chat",
    "http://localhost:11434/api/generate": "ollama-generate",
    "http://localhost:8000/v1/completions": "openai-completions",
    "https://x.openai.azure.com/openai/deployments/d/completions?api-version=2024-10-21": "openai-completions",
    "http://localhost:8080/v1/sse/": "sse",
    "http://localhost:8080/v1/ndjson": "ndjson",
    "https://example.com/": None,
    "https://example.com/api/messages": None,
    "https://example.com/?next=/v1/messages": None,
    "http://[": None,
}


@pytest.mark.parametrize(("url", "name"), URLS.items(), ids=URLS)
def test_a_url_names_its_format_by_its_path(url: str, name: str | None) -> None:
    """A gateway's prefix and a query change nothing; an unknown path names none."""
    found = format_for_url(url)
    assert (found.name if found else None) == name


def test_every_path_of_the_model_server_names_its_format() -> None:
    """The lab's own URLs need no further word."""
    assert [format_for_url(f"http://127.0.0.1:1{wire.path}") for wire in FORMATS.values()] == [*FORMATS.values()]


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


def test_every_anthropic_event_is_named() -> None:
    """The vendor's SDK drops a nameless event without a word."""
    wire = format_named("anthropic-messages")
    raw = b"".join([wire.opening(REPLY), wire.text(REPLY, "x"), wire.heartbeat(), wire.marker(REPLY)])
    raw += wire.finish(REPLY, FinishReason.STOP, 1) + wire.error_event("kind", "words")
    for block in raw.strip().split(b"\n\n"):
        name, data = block.split(b"\n")
        assert json.loads(data.removeprefix(b"data: "))["type"] == name.removeprefix(b"event: ").decode()
