from __future__ import annotations

import ssl
import time

import h2.config
import h2.connection
import h2.events
import pytest

from lab.evidence import HttpVersion, Trace, TransportEnd
from lab.probe.exchange import Enough, Patience, exchange
from lab.wire.format import Ask

from . import h2_peer
from .conftest import Run
from .fault_server import CHUNKED, CLOSE, FaultServer, Peer, chunk, length

ASK = Ask("/", (), b"{}")
SIZE = 100_000


def body(trace: Trace) -> bytes:
    """All bytes of the body."""
    return b"".join(piece.data for piece in trace.body)


def endless(peer: Peer) -> None:
    """Send chunks for as long as somebody takes them."""
    peer.read_request()
    peer.send(CHUNKED)
    part = chunk(b"x" * 1000) * 50
    while not peer.over.is_set():
        peer.send(part)


def endless_headers(peer: Peer) -> None:
    """Interim replies without end."""
    peer.read_request()
    while not peer.over.is_set():
        peer.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000)


def endless_pings(peer: Peer) -> None:
    """HTTP/2 that never comes to its reply."""
    h2_peer.begin(peer, h2_peer.settings())
    while not peer.over.is_set():
        peer.send(h2_peer.ping() * 1000)


def endless_frames(peer: Peer) -> None:
    """The same with DATA."""
    h2_peer.begin(peer, h2_peer.headers())
    while not peer.over.is_set():
        peer.send(h2_peer.data(b"x" * 1000) * 50)


ENDLESS = {
    "chunks": (endless, HttpVersion.HTTP_1_1, SIZE),
    "frames": (endless_frames, HttpVersion.HTTP_2, SIZE),
    "interim replies": (endless_headers, HttpVersion.HTTP_1_1, 0),
    "pings": (endless_pings, HttpVersion.HTTP_2, 0),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_a_reply_without_end_is_left_at_the_limit(run: Run, name: str) -> None:
    """So much is kept and no more, and the detail says why the probe left."""
    script, http, kept = ENDLESS[name]
    with FaultServer(script) as server:
        trace = run(exchange(server.url, ASK, http=http, limit=SIZE))
    assert (trace.end, len(body(trace))) == (TransportEnd.LEFT, kept)
    assert trace.detail.startswith("more than ")


def test_a_body_of_just_the_limit_is_whole(run: Run) -> None:
    """The limit is what may come, not what may not."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(length(SIZE) + b"x" * SIZE)

    with FaultServer(script) as server:
        trace = run(exchange(server.url, ASK, limit=SIZE))
    assert (trace.end, len(body(trace)), trace.detail) == (TransportEnd.FRAMED, SIZE, "")


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_a_reply_that_goes_on_and_on_is_given_up_in_the_end(
    run: Run, secure: bool, certified: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """Every single wait is short, so only the patience for the whole exchange ends it."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(CHUNKED)
        while not peer.over.wait(0.02):
            peer.send(chunk(b"data: more\n\n"))

    with FaultServer(script, certified if secure else None) as server:
        trace = run(exchange(server.url, ASK, tls=trusting, patience=Patience(total=2)))
    assert trace.end is TransportEnd.TOTAL_TIME_OUT
    assert trace.body
    assert trace.ended - trace.started < 30


@pytest.mark.parametrize(("patience", "leave", "end"), [
    (Patience(total=0.4), None, TransportEnd.TOTAL_TIME_OUT),
    (Patience(), 0.4, TransportEnd.LEFT),
])  # fmt: skip
def test_a_flood_does_not_keep_the_probe_from_leaving(
    run: Run, patience: Patience, leave: float | None, end: TransportEnd
) -> None:
    """Bytes always wait in the socket, and the probe still goes when it is time."""
    with FaultServer(endless) as server:
        trace = run(exchange(server.url, ASK, patience=patience, leave_after=leave, pace=50_000))
    assert trace.end is end
    assert trace.ended - trace.started < 30


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_a_slow_reader_reads_at_its_pace(
    run: Run, secure: bool, certified: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """Forty kilobytes at forty thousand bytes a second take a second, and none is lost."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(CLOSE + b"x" * 40_000)

    with FaultServer(script, certified if secure else None) as server:
        trace = run(exchange(server.url, ASK, tls=trusting, pace=40_000))
    assert (trace.end, len(body(trace))) == (TransportEnd.CLOSED, 40_000)
    assert trace.ended - trace.started > 0.8
    # Of TLS a record is read whole or not at all.
    assert max(len(read.data) for read in trace.reads) <= (2**14 if secure else 2000)


def test_a_slow_reader_is_felt_by_the_server(run: Run) -> None:
    """What the probe does not read stays with the server, whose own sending is held up."""
    took: list[float] = []

    def script(peer: Peer) -> None:
        peer.sock.setsockopt(1, 7, 4096)  # SO_SNDBUF: what a kernel would take at once
        peer.read_request()
        began = time.monotonic()
        peer.send(CLOSE + b"x" * 60_000)
        took.append(time.monotonic() - began)

    with FaultServer(script) as server:
        trace = run(exchange(server.url, ASK, pace=40_000))
    assert len(body(trace)) == 60_000
    assert took[0] > 0.5


def test_a_slow_reader_of_http_2_holds_the_window_back(run: Run) -> None:
    """The server is let send about a second's worth ahead, and no more, however much the kernels would take."""
    most: list[int] = []

    def script(peer: Peer) -> None:
        conn = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        conn.initiate_connection()
        while not any(isinstance(event, h2.events.StreamEnded) for event in conn.receive_data(peer.sock.recv(65536))):
            pass
        conn.send_headers(1, [(":status", "200")])
        most.append(conn.local_flow_control_window(1))
        left = 30_000
        while left:
            room = min(conn.local_flow_control_window(1), 1000, left)
            if room > 0:
                left -= room
                conn.send_data(1, bytes(room), end_stream=not left)
                peer.send(conn.data_to_send())
            else:
                conn.receive_data(peer.sock.recv(65536))
        peer.hang()

    with FaultServer(script) as server:
        trace = run(exchange(server.url, ASK, http=HttpVersion.HTTP_2, pace=20_000))
    assert (trace.end, len(body(trace)), most) == (TransportEnd.FRAMED, 30_000, [20_000])
    assert trace.ended - trace.started > 1.0


def test_patience_is_not_used_up_by_the_probes_own_slowness(run: Run) -> None:
    """A pause that the pace demands is longer than the patience, and what waits in the socket is still read."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(length(600) + b"x" * 600)
        peer.hang()

    with FaultServer(script) as server:
        trace = run(exchange(server.url, ASK, pace=600, patience=Patience(middle=0.02)))
    assert (trace.end, len(body(trace))) == (TransportEnd.FRAMED, 600)


@pytest.mark.parametrize("name", ["chunks", "frames"])
async def test_who_listens_can_have_enough(name: str) -> None:
    """The probe leaves at once, keeps what had come, and says why in the listener's words."""
    send, http, _ = ENDLESS[name]
    heard = 0

    def listen(_at: float, data: bytes) -> None:
        nonlocal heard
        heard += len(data)
        if heard > SIZE:
            raise Enough("that will do")

    with FaultServer(send) as server:
        trace = await exchange(server.url, ASK, http=http, on_body=listen)
    assert (trace.end, trace.detail) == (TransportEnd.LEFT, "that will do")
    assert SIZE < len(body(trace)) == heard < 10 * SIZE
