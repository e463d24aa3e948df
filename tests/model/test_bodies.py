"""The bodies of requests: inflated within bounds, and refused by name where they are not what they should be."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest

from lab.model import bodies
from lab.model.server import ModelServer

from .raw import exchange, request

PLAIN = request("tokens=1").partition(b"\r\n\r\n")[2]


def coded(coding: str, body: bytes) -> bytes:
    """A request whose body has that coding."""
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n"
    return f"{head}Content-Encoding: {coding}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def deflated(body: bytes, window: int) -> bytes:
    """A body in one of the forms of deflate."""
    coder = zlib.compressobj(wbits=window)
    return coder.compress(body) + coder.flush()


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("identity", PLAIN),
        ("gzip", gzip.compress(PLAIN)),
        ("X-GZIP", gzip.compress(PLAIN)),
        ("deflate", deflated(PLAIN, 15)),
        ("deflate", deflated(PLAIN, -15)),
    ],
    ids=["identity", "gzip", "x-gzip", "deflate", "raw deflate"],
)
async def test_what_clients_send_is_inflated(server: ModelServer, coding: str, body: bytes) -> None:
    """The request is answered as if it had come plain."""
    seen = await exchange(server.base_url, coded(coding, body))
    assert (seen.status, seen.whole) == (200, True)


REFUSED = {
    "garbage": ("gzip", b"garbage", 400),
    "half": ("gzip", gzip.compress(PLAIN)[:-9], 400),
    "more behind it": ("gzip", gzip.compress(PLAIN) + b"x", 400),
    "two codings": ("gzip, gzip", PLAIN, 415),
    "a coding that no client uses": ("br", PLAIN, 415),
}


@pytest.mark.parametrize(("coding", "body", "status"), REFUSED.values(), ids=REFUSED)
async def test_what_cannot_be_inflated_names_the_header(
    server: ModelServer, coding: str, body: bytes, status: int
) -> None:
    """The client's mistake, in the vendor's shape."""
    seen = await exchange(server.base_url, coded(coding, body))
    assert seen.status == status
    assert json.loads(seen.body)["error"]["message"].startswith("Content-Encoding: ")


@pytest.mark.parametrize("coding", ["identity", "gzip"])
async def test_a_body_is_no_larger_than_it_may_be(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch, coding: str
) -> None:
    """By what it inflates to, and by what its length promises before any of it is read."""
    monkeypatch.setattr(bodies, "LARGEST", len(PLAIN) + 10)
    fits, large = PLAIN + b" " * 10, PLAIN + b" " * 11
    coder = gzip.compress if coding == "gzip" else bytes
    assert (await exchange(server.base_url, coded(coding, coder(fits)))).status == 200
    assert (await exchange(server.base_url, coded(coding, coder(large)))).status == 413


async def test_a_body_that_is_broken_off_by_its_framing_is_the_clients_mistake(server: ModelServer) -> None:
    """A chunk whose size is none."""
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: lab\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    assert (await exchange(server.base_url, head + b"ZZ\r\n")).status == 400


async def test_where_there_is_no_room_the_answer_is_429(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many large bodies at once take no more than there is; once the room is free again, the next one fits."""
    monkeypatch.setattr(server._room, "most", len(PLAIN) - 1)
    seen = await exchange(server.base_url, request("tokens=1"))
    assert (seen.status, json.loads(seen.body)["error"]["type"]) == (429, "rate_limit_exceeded")
    monkeypatch.setattr(server._room, "most", 100_000)
    assert (await exchange(server.base_url, request("tokens=1"))).status == 200
    assert server._room.held == 0
