from __future__ import annotations

import itertools
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from lab.evidence import EndReason, TransportEnd
from lab.probe.framing import HttpRequest, ReplyEnd
from lab.probe.http2 import Http2

from . import h2_peer
from .h2_peer import SENT, WHOLE, data, headers, ping, reset


def parser() -> Http2:
    """A parser whose request has been sent."""
    fresh = Http2()
    fresh.write_request(HttpRequest("http", "x", "/", (), b"{}"))
    return fresh


HELLO = h2_peer.settings()
STREAMS = {
    "whole": (HELLO + SENT + data(b"", end=True), WHOLE, TransportEnd.FRAMED),
    "padded": (
        HELLO + headers() + data(WHOLE, padding=30) + data(b"", end=True),
        WHOLE,
        TransportEnd.FRAMED,
    ),
    "with the end": (HELLO + headers() + data(WHOLE, end=True), WHOLE, TransportEnd.FRAMED),
    "reset": (HELLO + SENT + reset(2) + data(b"late"), WHOLE, TransportEnd.RESET),
    "open": (HELLO + SENT + ping(), WHOLE, TransportEnd.SHORT_FIN),
    "broken": (HELLO + SENT + b"\0\0\1\6\0\0\0\0\0x", WHOLE, TransportEnd.NOT_HTTP),
}


@given(name=st.sampled_from(sorted(STREAMS)), seed=st.integers(0, 2**32), cuts=st.integers(0, 60))
@settings(max_examples=200)
def test_where_reads_are_cut_changes_nothing(name: str, seed: int, cuts: int) -> None:
    """Any chunking of a reply gives the same head, body and end."""
    sent, expected, end = STREAMS[name]
    draw = random.Random(seed)
    edges = [0, *sorted(draw.randrange(len(sent) + 1) for _ in range(cuts)), len(sent)]
    reply = parser()
    pieces = [
        piece for start, stop in itertools.pairwise(edges) if start < stop for piece in reply.feed(sent[start:stop])
    ]
    assert reply.head is not None
    assert (reply.head.status, b"".join(pieces), reply.closed().end) == (200, expected, end)


@given(st.binary(max_size=200), st.booleans())
@settings(max_examples=300)
def test_no_bytes_make_it_raise(noise: bytes, begun: bool) -> None:
    """What is no HTTP/2 is an end with words, and a FIN after it has a name."""
    reply = parser()
    reply.feed((h2_peer.settings() if begun else b"") + noise)
    reply.feed(b"more")
    reply.to_send()
    assert isinstance(reply.closed(), ReplyEnd)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=300)
def test_no_mutation_of_a_reply_makes_it_raise(seed: int) -> None:
    """A few wrong bytes anywhere in a good reply give an end like any other."""
    draw = random.Random(seed)
    sent = bytearray(STREAMS["padded"][0])
    for _ in range(draw.randrange(1, 6)):
        sent[draw.randrange(len(sent))] = draw.randrange(256)
    reply = parser()
    reply.feed(bytes(sent))
    reply.to_send()
    assert isinstance(reply.closed(), ReplyEnd)


def test_an_end_tells_whether_the_other_side_ever_spoke_http_2() -> None:
    """Closed before its SETTINGS, or other bytes in their place: it may not speak it at all; after them it does."""
    assert parser().closed() == ReplyEnd(TransportEnd.NO_REPLY, "no frame of HTTP/2 came", EndReason.NO_HTTP_2)
    greeted = parser()
    greeted.feed(HELLO)
    assert greeted.closed() == ReplyEnd(TransportEnd.NO_REPLY, "")
    other = parser()
    other.feed(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert other.ended is not None
    assert other.ended.end is TransportEnd.NOT_HTTP
    assert other.ended.reason is EndReason.NO_HTTP_2
