from __future__ import annotations

import socket

import pytest

from lab.errors import BadInput
from lab.evidence import TransportEnd
from lab.probe.connect import Place, place_of
from lab.probe.exchange import exchange
from lab.wire.format import Ask

from .conftest import Run
from .fault_server import FaultServer, Peer, length

PLACES = {
    ("http://host", "/v1/x"): Place(False, "host", 80, "host", "/v1/x"),
    ("https://host", "/v1/x"): Place(True, "host", 443, "host", "/v1/x"),
    ("https://host:8443/base/", "/v1/x"): Place(True, "host", 8443, "host:8443", "/base/v1/x"),
    ("http://host/base", "/v1/x"): Place(False, "host", 80, "host", "/base/v1/x"),
    ("http://host/v1/chat", ""): Place(False, "host", 80, "host", "/v1/chat"),
    ("http://host/v1/chat/", ""): Place(False, "host", 80, "host", "/v1/chat/"),
    ("http://host", ""): Place(False, "host", 80, "host", "/"),
    ("http://host?a=1", ""): Place(False, "host", 80, "host", "/?a=1"),
    ("http://host/x?a=1&b=%20c", "/y"): Place(False, "host", 80, "host", "/x/y?a=1&b=%20c"),
    ("http://host/x?a=1", "/y?c=2"): Place(False, "host", 80, "host", "/x/y?c=2&a=1"),
    ("http://host/x#part", ""): Place(False, "host", 80, "host", "/x"),
    ("http://host/a b/\N{LATIN SMALL LETTER E WITH ACUTE}", ""): Place(False, "host", 80, "host", "/a%20b/%C3%A9"),
    ("http://user:pa%40ss@host:81/", "/x"): Place(False, "host", 81, "host:81", "/x"),
    ("HTTP://HOST/X", ""): Place(False, "host", 80, "host", "/X"),
    ("http://[::1]:8080", "/x"): Place(False, "::1", 8080, "[::1]:8080", "/x"),
    ("http://[fe80::1%25eth0]", "/x"): Place(False, "fe80::1%25eth0", 80, "[fe80::1]", "/x"),
    ("https://b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example", "/x"): Place(
        True, "xn--bcher-kva.example", 443, "xn--bcher-kva.example", "/x"
    ),
}


@pytest.mark.parametrize(("url", "path"), PLACES)
def test_an_address_is_read(url: str, path: str) -> None:
    """Where to connect, the name to use there and the target; never the user's name and password."""
    assert place_of(url, path) == PLACES[url, path]


@pytest.mark.parametrize(
    "url",
    ["", "host/path", "ftp://host", "http://", "http://u:secret@host:port", "http://[::1", "http://u:secret@\udc80"],
)
def test_an_address_that_makes_no_sense_is_refused_without_its_secrets(url: str) -> None:
    """It is the caller's mistake, and the message holds no password."""
    with pytest.raises(BadInput) as told:
        place_of(url, "/x")
    assert "secret" not in str(told.value)


def test_user_name_and_password_are_never_sent(run: Run) -> None:
    """Neither as a header nor in the target, and the trace does not hold them."""
    seen: list[bytes] = []

    def script(peer: Peer) -> None:
        seen.append(peer.read_request())
        peer.send(length(2) + b"ok")

    with FaultServer(script) as server:
        trace = run(exchange(server.url.replace("//", "//somebody:hunter2@"), Ask("/x", (), b"")))
    assert trace.end is TransportEnd.FRAMED
    assert b"hunter2" not in seen[0]
    assert b"somebody" not in seen[0]
    assert b"uthorization" not in seen[0]
    assert "hunter2" not in repr(trace)


def test_an_ipv6_address_is_reached(run: Run) -> None:
    """The literal stands in brackets in the URL and in Host, and nowhere else."""
    seen: list[bytes] = []

    def script(peer: Peer) -> None:
        seen.append(peer.read_request())
        peer.send(length(2) + b"ok")

    with FaultServer(script, family=socket.AF_INET6) as server:
        trace = run(exchange(server.url, Ask("/x", (), b"")))
    assert trace.end is TransportEnd.FRAMED
    assert f"Host: {server.url.removeprefix('http://')}\r\n".encode() in seen[0]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_reply_and_is_not_followed(run: Run, status: int) -> None:
    """Nobody asks at the other place: a key would go there too."""
    asked: list[bytes] = []

    def elsewhere(peer: Peer) -> None:
        asked.append(peer.read_request())

    with FaultServer(elsewhere) as other:

        def script(peer: Peer) -> None:
            peer.read_request()
            peer.send(f"HTTP/1.1 {status} Elsewhere\r\nLocation: {other.url}/x\r\nContent-Length: 0\r\n\r\n".encode())

        with FaultServer(script) as server:
            trace = run(exchange(server.url, Ask("/x", (("Authorization", "Bearer k"),), b"")))
    assert (trace.end, trace.status, trace.header("location")) == (TransportEnd.FRAMED, status, f"{other.url}/x")
    assert asked == []
