from __future__ import annotations

import time

import pytest

from lab.errors import BadInput
from lab.evidence import HttpVersion, Trace, TransportEnd
from lab.probe.exchange import exchange
from lab.wire.format import Ask

from .conftest import Run
from .fault_server import HEAD, FaultServer, Peer, length

ASK = Ask("/v1/chat/completions", (), b"{}")
REST = 0.3


class Seen:
    """A server that keeps its connections, and what it was asked over each of them."""

    def __init__(self) -> None:
        self.connections: list[list[tuple[float, bytes]]] = []

    def __call__(self, peer: Peer) -> None:
        """Answer whatever comes."""
        asked: list[tuple[float, bytes]] = []
        self.connections.append(asked)
        while not peer.over.is_set():
            try:
                head = peer.read_head()
            except ConnectionError:
                return
            asked.append((time.monotonic(), head))
            peer.send(length(2) + b"ok")


def ask(run: Run, server: FaultServer) -> Trace:
    """Ask over a connection that has rested."""
    made = run(exchange(server.url, ASK, kept=REST))
    assert isinstance(made, Trace)
    return made


def test_the_request_comes_over_a_connection_that_has_carried_another(run: Run) -> None:
    """The short answer and the rest are no part of the exchange."""
    seen = Seen()
    with FaultServer(seen) as server:
        trace = ask(run, server)
    ((first, health), (second, asked)) = seen.connections[0]
    assert len(seen.connections) == 1
    assert health.startswith(b"GET /lab/health HTTP/1.1\r\n")
    assert asked.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert second - first >= REST
    assert trace.started - first >= REST
    assert trace.asked_at >= first + REST
    assert (trace.end, trace.body[0].data) == (TransportEnd.FRAMED, b"ok")
    assert len(trace.reads) == 1
    assert not trace.unkept


def close_after_the_first(peer: Peer) -> None:
    """A server that keeps no connection."""
    peer.read_head()
    peer.send(length(2) + b"ok")
    peer.fin()


def reset_after_the_first(peer: Peer) -> None:
    """One that is done with it at once."""
    peer.read_head()
    peer.send(length(2) + b"ok")
    peer.rst()


def never_answer(peer: Peer) -> None:
    """One that leaves before the short answer has come."""
    peer.read_head()
    peer.fin()


@pytest.mark.parametrize("first", [close_after_the_first, reset_after_the_first, never_answer])
def test_a_connection_that_is_closed_meanwhile_is_not_used(run: Run, first: object) -> None:
    """A client's pool sees that and opens another one, when it needs it."""
    assert callable(first)
    seen, connections, began = Seen(), 0, time.monotonic()

    def script(peer: Peer) -> None:
        nonlocal connections
        connections += 1
        if connections == 1:
            first(peer)
        else:
            seen(peer)

    with FaultServer(script) as server:
        trace = ask(run, server)
    assert trace.end is TransportEnd.FRAMED
    ((at, asked),) = seen.connections[0]
    assert at - began >= REST
    assert asked.startswith(b"POST ")
    assert trace.unkept


def test_a_server_that_says_so_keeps_no_connection(run: Run) -> None:
    """That it is closed is no chance then, but what the path does."""

    def script(peer: Peer) -> None:
        peer.read_head()
        peer.send(HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\nok")
        peer.fin()

    with FaultServer(script) as server:
        trace = ask(run, server)
    assert (trace.end, trace.unkept) == (TransportEnd.FRAMED, False)


def test_a_connection_that_the_client_is_to_close_is_not_used(run: Run) -> None:
    """The other side said that it takes nothing more over it, and leaves the end to the client."""
    heads: list[bytes] = []

    def script(peer: Peer) -> None:
        heads.append(peer.read_head())
        peer.send(HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\nok")
        peer.hang()

    with FaultServer(script) as server:
        assert ask(run, server).end is TransportEnd.FRAMED
    assert [head.split()[0] for head in heads] == [b"GET", b"POST"]


@pytest.mark.parametrize(
    ("url", "http"), [("https://[::1]:9", HttpVersion.HTTP_1_1), ("http://[::1]:9", HttpVersion.HTTP_2)]
)
def test_only_a_plain_connection_is_kept(run: Run, url: str, http: HttpVersion) -> None:
    """What the probe cannot do it does not do otherwise."""
    with pytest.raises(BadInput, match="only a plain connection"):
        run(exchange(url, ASK, kept=REST, http=http))


def test_a_server_that_drops_the_request_is_seen_to(run: Run) -> None:
    """It is on its way when the connection ends, and no client may ask again by itself."""

    def script(peer: Peer) -> None:
        peer.read_head()
        peer.send(length(2) + b"ok")
        peer.read_head()
        peer.fin()

    with FaultServer(script) as server:
        assert ask(run, server).end is TransportEnd.NO_REPLY
