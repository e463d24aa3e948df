"""The server-sent-event parser: every line end, every way to cut the bytes."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.wire.sse import BOM, Comment, EventParser, ServerSentEvent, write_comment, write_event

# What the standard says of each text; the expected side is derived by hand from its section 9.2.6.
CASES = {
    "one event": ("data: a\n\n", [("message", b"a")], None),
    "no space after the colon": ("data:a\n\n", [("message", b"a")], None),
    "only one space is dropped": ("data:  a\n\n", [("message", b" a")], None),
    "several data lines are joined by a line feed": ("data: a\ndata: b\n\n", [("message", b"a\nb")], None),
    "a name": ("event: ping\ndata: {}\n\n", [("ping", b"{}")], None),
    "a name lasts for one event": ("event: x\ndata: a\n\ndata: b\n\n", [("x", b"a"), ("message", b"b")], None),
    "a name without data is an empty event": ("event: x\n\ndata: b\n\n", [("x", b""), ("message", b"b")], None),
    "a field named error": ("error: {}\n\n", [("error", b"{}")], None),
    "an empty data line is an event with no data": ("data:\n\n", [("message", b"")], None),
    "a field without a colon": ("data\n\n", [("message", b"")], None),
    "unknown fields are ignored": ("id: 1\nretry: 5\nfoo: bar\ndata: a\n\n", [("message", b"a")], None),
    "a comment": (": hello\n\n", [b" hello"], None),
    "a bare colon is a comment": (":\n\n", [b""], None),
    "a comment inside an event": ("data: a\n: c\ndata: b\n\n", [b" c", ("message", b"a\nb")], None),
    "spare empty lines": ("\n\ndata: a\n\n\n\n", [("message", b"a")], None),
    "characters beyond ASCII": ("data: ⟨é⟩\n\n", [("message", "⟨é⟩".encode())], None),
    "a tail without its empty line": ("data: a\n\ndata: b\n", [("message", b"a")], b"b"),
    "a tail without its line end": ("data: a\n\ndata: [DONE]", [("message", b"a")], b"[DONE]"),
    "half a field name": ("data: a\n\nda", [("message", b"a")], b"da"),
    "a tail that is a comment is no tail": ("data: a\n\n: bye", [("message", b"a")], None),
}

LINE_ENDS = {"LF": b"\n", "CRLF": b"\r\n", "CR": b"\r"}


def read(pieces: list[bytes]) -> tuple[list[object], EventParser]:
    """Feed the pieces in order; comments as bytes, events as pairs."""
    parser = EventParser()
    found: list[object] = []
    for piece in pieces:
        for item in parser.feed(piece):
            found.append(item.text if isinstance(item, Comment) else (item.name, item.data))
    return found, parser


@pytest.mark.parametrize("end", LINE_ENDS.values(), ids=LINE_ENDS)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_text_is_read_alike_whole_and_byte_by_byte(case: tuple[str, list[object], bytes | None], end: bytes) -> None:
    """Whatever the line end, and however the bytes are cut, the standard's events come out."""
    text, expected, tail = case
    raw = text.encode().replace(b"\n", end)
    # A CR at the very end may be half a CRLF: what it completes is only known with the next byte.
    closing = b": end" if end == b"\r" and raw.endswith(end) else b""
    for pieces in ([raw, closing], [*(bytes([byte]) for byte in raw), closing]):
        found, parser = read(pieces)
        assert found == expected
        rest = parser.tail
        assert (None if rest is None else rest.data) == tail


@given(st.data())
def test_a_text_is_read_alike_however_it_is_cut(data: st.DataObject) -> None:
    """Random cuts, those inside a character or a CRLF among them, change nothing."""
    raw = BOM + 'event: a\r\ndata: {"x":"⟨é⟩"}\r\n\r\n: beat\n\ndata: b\ndata: c\n\n'.encode()
    cuts = sorted(data.draw(st.sets(st.integers(1, len(raw) - 1))))
    pieces = [raw[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    found, _ = read(pieces)
    assert found == [("a", '{"x":"⟨é⟩"}'.encode()), b" beat", ("message", b"b\nc")]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_byte_order_mark_is_dropped_only_at_the_start(size: int) -> None:
    """A BOM before the first line is no part of it; one later is part of its line."""
    raw = BOM + b"data: a\n\n" + BOM + b"data: b\n\ndata: c\n\n"
    found, _ = read([raw[start : start + size] for start in range(0, len(raw), size)])
    assert found == [("message", b"a"), ("message", b"c")]


def test_what_is_written_is_what_the_standard_asks_for() -> None:
    """Written by hand: the bytes of an event with a name, one without, and a comment."""
    assert write_event("{}", "ping") == b"event: ping\ndata: {}\n\n"
    assert write_event("[DONE]") == b"data: [DONE]\n\n"
    assert write_comment("beat") == b": beat\n\n"
    assert EventParser().feed(write_event("x", "y")) == [ServerSentEvent("y", b"x")]


def test_a_long_line_in_small_pieces_takes_no_more_than_its_length() -> None:
    """Eight megabytes in pieces of 8 bytes are searched once; for each piece anew, that would take over a minute."""
    parser, piece = EventParser(), b"x" * 8
    begun = time.process_time()
    parser.feed(b"data: ")
    for _ in range(1_048_576):
        parser.feed(piece)
    (event,) = parser.feed(b"\n\n")
    assert time.process_time() - begun < 20
    assert event == ServerSentEvent("message", piece * 1_048_576)
