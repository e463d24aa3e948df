"""No byte that a network may bring makes a reader raise, and none makes it call half an answer whole."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.wire import FORMATS
from lab.wire.events import Event, FinishReason, Marker, Text, Usage
from lab.wire.format import Reply, WireFormat

from .recorded import ANTHROPIC, CHAT, OLLAMA, RESPONSES, RESPONSES_END

EveryFormat = pytest.mark.parametrize("wire", FORMATS.values(), ids=FORMATS)
REPLY = Reply("reply-1", "model-1", include_usage=True)
RECORDINGS = (CHAT, ANTHROPIC, RESPONSES + RESPONSES_END, OLLAMA)

# Pieces of JSON and of both framings, from which a mutation is likely to be nearly right.
_FRAGMENTS = [
    *(b"\n", b"\r", b"\n\n", b"data: ", b"event: error\n", b"event: done\n", b":", b"[DONE]"),
    *(b"{", b"}", b"[", b"]", b'"', b",", b"null", b"true", b"1e999", b"-1", b"[[[[[[", b'{"delta":'),
    *(
        b'"type":"',
        b'"error":',
        b'"choices":',
        b'"usage":',
        b'"content":',
        b'"output":',
        b'"done":',
        b"\\ud800",
        b"\xff",
    ),
]


def written(wire: WireFormat) -> bytes:
    """A whole stream of the format, an error at its end."""
    parts = [wire.opening(REPLY), *(wire.text(REPLY, f"⟨{n}⟩ ", n) for n in (1, 2)), wire.heartbeat()]
    end = wire.finish(REPLY, FinishReason.STOP, 2, "⟨1⟩ ⟨2⟩ ") + wire.marker(REPLY)
    return b"".join(parts) + end + wire.error_event("kind", "words")


@st.composite
def mutated(draw: st.DrawFn, raw: bytes) -> bytes:
    """Bytes with some pieces left out, put in twice or put in from elsewhere."""
    data = bytearray(raw)
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(data)))
        stop = min(len(data), start + draw(st.integers(0, 40)))
        new = draw(st.one_of(st.just(b""), st.just(bytes(data[start:stop]) * 2), st.sampled_from(_FRAGMENTS)))
        data[start:stop] = new
    return bytes(data)


def read(wire: WireFormat, raw: bytes, cut: int) -> list[Event]:
    """Read bytes in two pieces, as a stream and as a batch reply."""
    reader = wire.reader()
    stream = [*reader.feed(raw[:cut]), *reader.feed(raw[cut:]), *reader.close()]
    return [*stream, *wire.read_batch(raw)]


def check(events: list[Event]) -> None:
    """What later code relies on: texts are texts and not empty, counts are whole numbers."""
    for event in events:
        match event:
            case Text(text):
                assert isinstance(text, str)
                assert text
            case Usage(tokens):
                assert type(tokens) is int


@EveryFormat
@settings(max_examples=100)
@given(data=st.data())
def test_a_mutated_stream_never_makes_a_reader_raise(wire: WireFormat, data: st.DataObject) -> None:
    """The format's own stream and every vendor's, spoilt anywhere, cut anywhere."""
    raw = data.draw(st.sampled_from([written(wire), *RECORDINGS]).flatmap(mutated))
    check(read(wire, raw, data.draw(st.integers(0, len(raw)))))


@EveryFormat
@settings(max_examples=60)
@given(data=st.data())
def test_a_document_of_any_shape_never_makes_a_reader_raise(wire: WireFormat, data: st.DataObject) -> None:
    """The format's own document with any value in any one place of it."""
    anything = st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.sampled_from(["", "x", "type", "error"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["type", "text", "error", "content", "x"]), inner, max_size=3)
        ),
        max_leaves=6,
    )
    documents = [
        json.loads(wire.batch(REPLY, "x", FinishReason.STOP, 1)),
        *(json.loads(line.removeprefix(b"data: ")) for line in written(wire).split(b"\n") if b"{" in line),
    ]
    document = data.draw(st.sampled_from(documents))
    place = document
    while isinstance(place, dict) and place:
        key = data.draw(st.sampled_from(sorted(place)))
        inner = place[key]
        if not isinstance(inner, (dict, list)) or data.draw(st.booleans()):
            place[key] = data.draw(anything)
            break
        place = inner[0] if isinstance(inner, list) and inner else inner
    line = json.dumps(document).encode()
    check(read(wire, b"data: " + line + b"\n\n", 3))
    check(read(wire, line + b"\n", 3))


@EveryFormat
@pytest.mark.parametrize("depth", [500, 5_000, 100_000])
def test_documents_nested_too_deep_are_no_exception(wire: WireFormat, depth: int) -> None:
    """A bomb of brackets is an unreadable event, or an event without text."""
    for opened, closed in ((b'{"delta":', b"}"), (b"[", b"]"), (b'{"content":[', b"]}")):
        bomb = opened * depth + b"1" + closed * depth
        events = [*read(wire, b"data: " + bomb + b"\n\n", 9), *read(wire, bomb + b"\n", 9)]
        assert Marker() not in events


@EveryFormat
@settings(max_examples=50)
@given(data=st.data())
def test_a_stream_that_is_cut_short_never_ends_by_itself(wire: WireFormat, data: st.DataObject) -> None:
    """Every proper prefix up to the last event's content is without a marker."""
    parts = [wire.opening(REPLY), *(wire.text(REPLY, f"⟨{n}⟩ ", n) for n in (1, 2)), wire.heartbeat()]
    end = wire.finish(REPLY, FinishReason.STOP, 2, "⟨1⟩ ⟨2⟩ ") + wire.marker(REPLY)
    raw = b"".join(parts) + end
    # The last event is said once its data is whole, be the line end there or not.
    last = raw.rstrip().rfind(b"\n") + 1
    cut = data.draw(st.integers(0, last))
    reader = wire.reader()
    assert Marker() not in [*reader.feed(raw[:cut]), *reader.close()]
