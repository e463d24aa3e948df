from __future__ import annotations

import asyncio
import gzip
import ssl
import time
import zlib
from collections.abc import Callable
from itertools import chain, cycle

import brotli  # type: ignore[import-untyped]  # it has no stubs
import h2.config
import h2.connection
import h2.events
import pytest
import zstandard

from lab.evidence import HttpVersion, Trace, TransportEnd
from lab.probe.codings import ContentDecoder
from lab.probe.conversation import Conversation
from lab.probe.exchange import Enough, Patience, exchange
from lab.probe.framing import HttpRequest
from lab.probe.terms import Terms
from lab.wire.format import Ask

from . import h2_peer
from .conftest import Run
from .fault_server import CHUNKED, CLOSE, HEAD, FaultServer, Peer, Script, chunk, length

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


def bomb_over_http_1(coding: str, packed: bytes) -> Script:
    """Sends a packed body as one chunk, and its end."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(HEAD + f"Content-Encoding: {coding}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        peer.send(chunk(packed) + b"0\r\n\r\n")

    return script


def bomb_over_http_2(coding: str, packed: bytes) -> Script:
    """The same in frames."""
    frames = [h2_peer.data(packed[start : start + 2**14]) for start in range(0, len(packed), 2**14)]
    return h2_peer.after_request(h2_peer.headers(("content-encoding", coding)), *frames, h2_peer.data(b"", end=True))


BOMBS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
}
SCRIPTS = {HttpVersion.HTTP_1_1: bomb_over_http_1, HttpVersion.HTTP_2: bomb_over_http_2}


@pytest.mark.parametrize("http", HttpVersion)
@pytest.mark.parametrize("coding", BOMBS)
def test_a_bomb_is_left_and_what_is_kept_decodes_to_no_more_than_the_limit(coding: str, http: HttpVersion) -> None:
    """An ending of its own: the probe left, for that reason, although the reply had come to its end."""
    packed = BOMBS[coding](b"data: first\n\n" + b"x" * (4 * 2**20))
    with FaultServer(SCRIPTS[http](coding, packed)) as server:
        trace = asyncio.run(exchange(server.url, ASK, http=http, limit=SIZE))
    assert (trace.end, trace.detail) == (TransportEnd.LEFT, f"more than {SIZE:,} bytes of decoded body")
    assert trace.status == 200
    assert len(ContentDecoder(coding).feed(body(trace))) <= SIZE


@pytest.mark.parametrize("piece", [b":\n", b"\n", b"data:\r\n\r\n"], ids=["comments", "nothing", "empty events"])
def test_tiny_events_are_left_at_the_limit_of_lines(piece: bytes) -> None:
    """Millions of them are no answer, and reading them would take longer than the exchange."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(CHUNKED)
        while not peer.over.is_set():
            peer.send(chunk(piece * 5000))

    with FaultServer(script) as server:
        trace = asyncio.run(exchange(server.url, ASK, most_lines=2000))
    assert (trace.end, trace.detail) == (TransportEnd.LEFT, "more than 2,000 lines of body")
    assert body(trace).count(b"\n") <= 2000


async def test_a_byte_at_a_time_is_left_before_it_fills_the_memory() -> None:
    """What a read costs beside its bytes counts too, so that their number has a bound."""
    conversation = Conversation(HttpRequest("http", "x", "/"), Terms(limit=SIZE), HttpVersion.HTTP_1_1)
    sent = chain(CHUNKED, cycle(chunk(b"x")))
    most = (2 * SIZE + 2**20) // 128 + 1
    for _ in range(most):
        conversation.get_buffer(-1)[0] = next(sent)
        conversation.buffer_updated(1)
    trace = conversation.trace()
    assert (trace.end, trace.detail[:10]) == (TransportEnd.LEFT, "more than ")
    assert len(trace.body) < len(trace.reads) < most


def test_what_one_read_brings_is_one_piece() -> None:
    """A piece costs more than its bytes, however small the chunks are."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(CHUNKED + chunk(b"x") * 10_000 + b"0\r\n\r\n")

    with FaultServer(script) as server:
        trace = asyncio.run(exchange(server.url, ASK))
    assert body(trace) == b"x" * 10_000
    assert len(trace.body) <= len(trace.reads)


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
    assert trace.end is TransportEnd.TOTAL_TIMEOUT
    assert trace.body
    assert trace.ended - trace.started < 30


@pytest.mark.parametrize(("patience", "leave", "end"), [
    (Patience(total=0.4), None, TransportEnd.TOTAL_TIMEOUT),
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


def test_a_reader_that_pauses_reads_nothing_until_it_goes_on(run: Run) -> None:
    """The server's sending stands still meanwhile; what came before and after is all there."""
    took: list[float] = []

    def script(peer: Peer) -> None:
        peer.sock.setsockopt(1, 7, 4096)  # SO_SNDBUF: what a kernel would take at once
        peer.read_request()
        began = time.monotonic()
        peer.send(CLOSE + b"x" * 200_000)
        took.append(time.monotonic() - began)

    with FaultServer(script) as server:
        trace = run(exchange(server.url, ASK, pause=0.6))
    pause = trace.pause
    assert pause is not None
    assert (trace.end, len(body(trace))) == (TransportEnd.CLOSED, 200_000)
    assert pause.until - pause.since == pytest.approx(0.6)
    before = [read for read in trace.body if read.at <= pause.since]
    assert before
    assert [read for read in trace.body if read.at < pause.until - 0.01] == before
    assert took[0] > 0.5


def test_a_reader_that_pauses_finds_what_was_cut_meanwhile(run: Run) -> None:
    """What had come before the other side gave up is read, and then its end."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(CHUNKED + chunk(b"x" * 1000))

    with FaultServer(script) as server:
        trace = run(exchange(server.url, ASK, pause=0.3))
    assert (trace.end, len(body(trace))) == (TransportEnd.SHORT_FIN, 1000)
    assert trace.pause is not None
    assert trace.ended >= trace.pause.until - 0.01


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
