from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.evidence import TransportEnd
from lab.probe.framing import HttpRequest, ReplyEnd
from lab.probe.http1 import Http1

from .fault_server import CHUNKED, CLOSE, chunk, length

BODY = "data: ⟨9f3c:1@0ms⟩\n\n".encode() * 3

REPLIES = {
    "chunked": (CHUNKED + chunk(BODY) + b"0\r\n\r\n", "chunked", BODY, True, TransportEnd.FRAMED),
    "chunked with trailers": (CHUNKED + chunk(BODY) + b"0\r\nX: y\r\n\r\n", "chunked", BODY, True, TransportEnd.FRAMED),
    "chunk extension": (CHUNKED + b"2;a=b\r\nok\r\n0\r\n\r\n", "chunked", b"ok", True, TransportEnd.FRAMED),
    "chunked, open": (CHUNKED + chunk(BODY), "chunked", BODY, False, TransportEnd.SHORT_FIN),
    "length": (length(len(BODY)) + BODY, "length", BODY, True, TransportEnd.FRAMED),
    "length, short": (length(len(BODY) + 1) + BODY, "length", BODY, False, TransportEnd.SHORT_FIN),
    "close": (CLOSE + BODY, "close", BODY, False, TransportEnd.CLOSED),
    "interim first": (b"HTTP/1.1 100 Continue\r\n\r\n" + length(2) + b"ok", "length", b"ok", True, TransportEnd.FRAMED),
}


def parser() -> Http1:
    """A parser whose request has been sent."""
    fresh = Http1()
    fresh.write_request(HttpRequest("http", "x", "/"))
    return fresh


@given(name=st.sampled_from(sorted(REPLIES)), seed=st.integers(0, 2**32), cuts=st.integers(0, 60))
@settings(max_examples=200)
def test_where_reads_are_cut_changes_nothing(name: str, seed: int, cuts: int) -> None:
    """Any chunking of a reply gives the same head, body and end."""
    data, framing, body, done, fin = REPLIES[name]
    draw = random.Random(seed)
    edges = [0, *sorted(draw.randrange(len(data) + 1) for _ in range(cuts)), len(data)]
    reply, pieces = parser(), []
    for start, end in itertools.pairwise(edges):
        if start < end:
            pieces += reply.feed(data[start:end])
    assert reply.head is not None
    assert (reply.head.status, reply.head.framing, b"".join(pieces)) == (200, framing, body)
    assert reply.ended == (ReplyEnd(TransportEnd.FRAMED) if done else None)
    assert reply.closed() == ReplyEnd(fin)


@given(st.binary(max_size=200))
@settings(max_examples=200)
def test_no_bytes_make_it_raise(data: bytes) -> None:
    """What is no HTTP is trouble in words, and a FIN after it has a name."""
    reply = parser()
    reply.feed(data)
    reply.feed(b"more")
    assert reply.closed().end in (TransportEnd.NO_REPLY, TransportEnd.NOT_HTTP)


@pytest.mark.parametrize("size", [60_000, 200_000])
def test_long_headers_are_read(size: int) -> None:
    """Headers of tens of kilobytes, as gateways with many cookies send, are no trouble."""
    reply = parser()
    reply.feed(b"HTTP/1.1 200 OK\r\nX: " + b"y" * size + b"\r\nContent-Length: 0\r\n\r\n")
    assert reply.ended == ReplyEnd(TransportEnd.FRAMED)


def test_bytes_after_the_end_are_counted_over_all_reads() -> None:
    """The surplus is counted whether it came with the end or after it."""
    reply = parser()
    reply.feed(length(2) + b"ok123")
    reply.feed(b"45")
    assert reply.ended == ReplyEnd(TransportEnd.FRAMED, "5 bytes after the end")
