from __future__ import annotations

import ssl
import threading
import time

import h2.config
import h2.connection
import h2.events
import pytest

from lab.evidence import HttpVersion, Trace, TransportEnd
from lab.probe.exchange import Patience, exchange
from lab.wire.format import Ask

from . import h2_peer
from .conftest import Run
from .fault_server import CHUNKED, FaultServer, Peer, Script
from .h2_peer import SENT, WHOLE, after_request, begin, data, goaway, headers, ping, reset

ASK = Ask("/v1/chat/completions", (("Content-Type", "application/json"),), b'{"stream":true}')
BRIEF = {
    TransportEnd.HEADERS_TIMEOUT: Patience(headers=0.3),
    TransportEnd.FIRST_TOKEN_TIMEOUT: Patience(first_token=0.3),
    TransportEnd.MIDDLE_TIMEOUT: Patience(middle=0.3),
    TransportEnd.TOTAL_TIMEOUT: Patience(total=3),
}


def body(trace: Trace) -> bytes:
    """All bytes of the body."""
    return b"".join(piece.data for piece in trace.body)


def half_a_frame(content: bytes) -> bytes:
    """A DATA frame that promises twice what it brings."""
    return (2 * len(content)).to_bytes(3, "big") + data(content)[3:]


# What is sent; the end, the body, and a part of the detail.
ENDS: dict[str, tuple[Script, TransportEnd, bytes, str]] = {
    "end of stream": (after_request(SENT, data(b"", end=True)), TransportEnd.FRAMED, WHOLE, ""),
    "end with the last data": (after_request(headers(), data(WHOLE, end=True)), TransportEnd.FRAMED, WHOLE, ""),
    "padded": (after_request(headers(), data(WHOLE, padding=9, end=True)), TransportEnd.FRAMED, WHOLE, ""),
    "trailers": (
        after_request(SENT, headers(first=(("grpc-status", "0"),), end=True)),
        TransportEnd.FRAMED,
        WHOLE,
        "",
    ),
    "headers alone": (after_request(headers(end=True)), TransportEnd.FRAMED, b"", ""),
    "end, then reset without error": (
        after_request(SENT, data(b"", end=True) + reset(0)),
        TransportEnd.FRAMED,
        WHOLE,
        "",
    ),
    "pings and an interim reply": (
        after_request(ping(), headers(first=((":status", "103"),)), ping(), SENT, ping(), data(b"", end=True)),
        TransportEnd.FRAMED,
        WHOLE,
        "",
    ),
    "going away, and going on": (
        after_request(headers(), goaway(1, 0), data(WHOLE), data(b"", end=True)),
        TransportEnd.FRAMED,
        WHOLE,
        "",
    ),
    "reset amid the body": (after_request(SENT, reset(2)), TransportEnd.RESET, WHOLE, "RST_STREAM with INTERNAL_ERROR"),
    "reset without error amid the body": (after_request(SENT, reset(0)), TransportEnd.RESET, WHOLE, "NO_ERROR"),
    "reset with an unknown code": (after_request(SENT, reset(99)), TransportEnd.RESET, WHOLE, "error code 99"),
    "reset after headers": (after_request(headers(), reset(8)), TransportEnd.RESET, b"", "CANCEL"),
    "reset before headers": (after_request(reset(7)), TransportEnd.RESET, b"", "REFUSED_STREAM"),
    "closed amid the body": (after_request(SENT, Peer.fin), TransportEnd.SHORT_FIN, WHOLE, ""),
    "closed amid a frame": (
        after_request(SENT, half_a_frame(b"half"), Peer.fin),
        TransportEnd.SHORT_FIN,
        WHOLE + b"half",
        "",
    ),
    "closed before headers": (after_request(Peer.fin), TransportEnd.NO_REPLY, b"", ""),
    "going away amid the body": (
        after_request(SENT, goaway(1, 11, b"too_many_pings"), Peer.fin),
        TransportEnd.SHORT_FIN,
        WHOLE,
        "GOAWAY with ENHANCE_YOUR_CALM: too_many_pings",
    ),
    "going away without the request": (
        after_request(goaway(0, 0, b"shutting down")),
        TransportEnd.NO_REPLY,
        b"",
        "GOAWAY with NO_ERROR: shutting down",
    ),
    "going away amid the body, with a reset": (
        after_request(SENT, goaway(1, 11, b"too_many_pings"), Peer.rst),
        TransportEnd.RESET,
        WHOLE,
        "Connection reset by peer; GOAWAY with ENHANCE_YOUR_CALM: too_many_pings",
    ),
    "connection reset amid the body": (after_request(SENT, Peer.rst), TransportEnd.RESET, WHOLE, "reset by peer"),
    "connection reset amid a frame": (
        after_request(SENT, half_a_frame(b"half"), Peer.rst),
        TransportEnd.RESET,
        WHOLE + b"half",
        "reset by peer",
    ),
    "connection reset before headers": (after_request(Peer.rst), TransportEnd.RESET, b"", "reset by peer"),
    "less than its length": (
        after_request(headers(("content-length", "900")), data(WHOLE, end=True)),
        TransportEnd.SHORT_FIN,
        WHOLE,
        f"END_STREAM after {len(WHOLE)} of 900 bytes",
    ),
    "a broken frame": (
        after_request(SENT, b"\0\0\1\6\0\0\0\0\0x"),
        TransportEnd.NOT_HTTP,
        WHOLE,
        "HTTP/2",
    ),
    "too large a frame": (
        after_request(SENT, b"\xff\xff\xff\0\0\0\0\0\1"),
        TransportEnd.NOT_HTTP,
        WHOLE,
        "frame",
    ),
    "silence before headers": (after_request(Peer.hang), TransportEnd.HEADERS_TIMEOUT, b"", ""),
    "silence after headers": (after_request(headers()), TransportEnd.FIRST_TOKEN_TIMEOUT, b"", ""),
    "silence amid the body": (after_request(SENT), TransportEnd.MIDDLE_TIMEOUT, WHOLE, ""),
    "no end": (after_request(SENT), TransportEnd.TOTAL_TIMEOUT, WHOLE, ""),
}


@pytest.mark.parametrize("secure", [False, True], ids=["h2c", "h2"])
@pytest.mark.parametrize("name", ENDS)
def test_every_end_is_told_with_every_byte(
    run: Run, name: str, secure: bool, certified: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """Whatever the server does to stream or connection, the trace names it and holds the whole body."""
    script, end, expected, detail = ENDS[name]
    with FaultServer(script, certified if secure else None) as server:
        trace = run(exchange(server.url, ASK, patience=BRIEF.get(end), tls=trusting, http=HttpVersion.HTTP_2))
    assert (trace.end, body(trace)) == (end, expected), trace.detail
    assert detail in trace.detail
    assert (trace.version, trace.framing) == (("2", "h2") if trace.status else ("", ""))
    assert all(trace.started <= read.at <= trace.ended for read in trace.reads)


def test_the_request_is_the_ask(run: Run) -> None:
    """Path, headers and body arrive; a header that belongs to an HTTP/1.1 connection is left out, as HTTP/2 wants."""
    seen: list[tuple[dict[str, str], bytes]] = []

    def script(peer: Peer) -> None:
        reader = h2_peer.Reader(peer)
        reader.until(h2.events.StreamEnded)
        request = reader.until(h2.events.RequestReceived)
        assert isinstance(request, h2.events.RequestReceived)
        seen.append(({str(name): str(value) for name, value in request.headers}, reader.body))
        peer.send(h2_peer.settings() + headers(end=True))

    with FaultServer(script) as server:
        given = [("X-Lab-Plan", "tokens=5"), ("Connection", "keep-alive"), ("TE", "gzip")]
        run(exchange(server.url + "/route/?a=b", ASK, headers=given, http=HttpVersion.HTTP_2))
    assert seen == [
        (
            {
                ":method": "POST",
                ":scheme": "http",
                ":authority": server.url.removeprefix("http://"),
                ":path": "/route/v1/chat/completions?a=b",
                "content-type": "application/json",
                "x-lab-plan": "tokens=5",
                "content-length": "15",
            },
            ASK.body,
        )
    ]


def test_a_request_larger_than_the_window_follows_it(run: Run) -> None:
    """A body of 300 kB is sent as the server opens its window, and arrives whole."""
    content = bytes(range(256)) * 1200
    seen: list[bytes] = []

    def script(peer: Peer) -> None:
        conn = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        conn.initiate_connection()
        got, over = b"", False
        while not over:
            for event in conn.receive_data(peer.sock.recv(65536)):
                if isinstance(event, h2.events.DataReceived):
                    got += event.data
                    conn.acknowledge_received_data(event.flow_controlled_length, 1)
                over = over or isinstance(event, h2.events.StreamEnded)
            peer.send(conn.data_to_send())
        seen.append(got)
        peer.send(headers(end=True))

    with FaultServer(script) as server:
        trace = run(exchange(server.url, Ask("/", (), content), http=HttpVersion.HTTP_2))
    assert (trace.end, seen) == (TransportEnd.FRAMED, [content])


def test_flow_control_never_holds_the_reply(run: Run) -> None:
    """Four megabytes come from a server that keeps to the windows, and the probe's were never used up."""
    size = 4 * 2**20
    least: list[int] = []

    def script(peer: Peer) -> None:
        conn = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        conn.initiate_connection()
        while not any(isinstance(event, h2.events.StreamEnded) for event in conn.receive_data(peer.sock.recv(65536))):
            pass
        conn.send_headers(1, [(":status", "200")])
        for sent in range(0, size, 16384):
            least.append(conn.local_flow_control_window(1))
            conn.send_data(1, bytes(16384), end_stream=sent + 16384 == size)
            peer.send(conn.data_to_send())
        peer.hang()

    with FaultServer(script) as server:
        trace = run(exchange(server.url, ASK, http=HttpVersion.HTTP_2))
    assert (trace.end, len(body(trace))) == (TransportEnd.FRAMED, size)
    assert min(least) > 2**30


def test_pings_are_answered_and_are_no_reads_of_the_reply(run: Run) -> None:
    """A server that asks whether the client is there gets its answer; the trace's reads are those of the reply."""
    answered = threading.Event()

    def script(peer: Peer) -> None:
        reader = h2_peer.Reader(peer)
        reader.until(h2.events.StreamEnded)
        reader.h2.initiate_connection()
        reader.h2.ping(b"are you?")
        peer.send(reader.h2.data_to_send())
        reader.until(h2.events.PingAckReceived)
        answered.set()
        peer.send(SENT + data(b"", end=True))

    with FaultServer(script) as server:
        trace = run(exchange(server.url, ASK, http=HttpVersion.HTTP_2))
    assert answered.is_set()
    assert trace.end is TransportEnd.FRAMED
    assert trace.reads[0].at == trace.headers_at
    assert b"".join(read.data for read in trace.reads).startswith(headers())


def test_pings_are_no_sign_of_the_reply(run: Run) -> None:
    """A connection that is alive does not keep a reply alive that says nothing."""

    def script(peer: Peer) -> None:
        begin(peer, SENT)
        peer.sock.settimeout(0.05)
        while not peer.over.is_set():
            try:
                peer.send(ping())
                if not peer.sock.recv(65536):
                    return
            except TimeoutError:
                continue
            except OSError:
                return

    with FaultServer(script) as server:
        trace = run(exchange(server.url, ASK, http=HttpVersion.HTTP_2, patience=Patience(middle=0.4)))
    assert (trace.end, body(trace)) == (TransportEnd.MIDDLE_TIMEOUT, WHOLE)


def test_tokens_come_while_their_frame_is_still_open(run: Run) -> None:
    """The second half of a DATA frame leaves when the first has been handed on."""
    frame = data(b"first half second half")
    came = threading.Event()

    def script(peer: Peer) -> None:
        begin(peer, headers(), frame[: 9 + 11])
        assert came.wait(20), "nothing came of the first half"
        peer.send(frame[9 + 11 :] + data(b"", end=True))
        peer.hang()

    with FaultServer(script) as server:
        trace = run(exchange(server.url, ASK, http=HttpVersion.HTTP_2, on_body=lambda *_: came.set()))
    assert [piece.data for piece in trace.body] == [b"first half ", b"second half"]
    assert trace.body[0].at < trace.body[1].at


def test_a_server_without_http_2_is_asked_in_http_1_1(
    run: Run, certified: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """What ALPN agrees on is spoken, and the trace says which it was."""
    certified.set_alpn_protocols(["http/1.1"])

    def script(peer: Peer) -> None:
        assert peer.read_request().startswith(b"POST /v1/chat/completions HTTP/1.1")
        peer.send(CHUNKED + b"2\r\nok\r\n0\r\n\r\n")

    with FaultServer(script, certified) as server:
        trace = run(exchange(server.url, ASK, tls=trusting, http=HttpVersion.HTTP_2))
    assert (trace.end, trace.version, trace.framing, body(trace)) == (TransportEnd.FRAMED, "1.1", "chunked", b"ok")


def test_http_1_1_alone_is_offered_where_it_is_asked_for(
    run: Run, certified: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """A server that would rather speak HTTP/2 is not let."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(CHUNKED + b"0\r\n\r\n")

    with FaultServer(script, certified) as server:
        trace = run(exchange(server.url, ASK, tls=trusting))
    assert (trace.end, trace.version) == (TransportEnd.FRAMED, "1.1")


def test_a_plain_server_without_http_2_is_not_http(run: Run) -> None:
    """Prior knowledge that was wrong: the server's own words are in the detail."""

    def script(peer: Peer) -> None:
        peer.sock.recv(65536)
        peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    with FaultServer(script) as server:
        trace = run(exchange(server.url, ASK, http=HttpVersion.HTTP_2))
    assert (trace.end, trace.status) == (TransportEnd.NOT_HTTP, None)
    assert "HTTP/1.1 400 Bad Request" in trace.detail


def test_headers_that_break_http_2_are_read_all_the_same(run: Run) -> None:
    """Some servers send what strict clients refuse: upper case, and headers of an HTTP/1.1 connection."""
    odd = headers(("Content-Language", "en"), ("connection", "keep-alive"), end=True)
    with FaultServer(after_request(odd)) as server:
        trace = run(exchange(server.url, ASK, http=HttpVersion.HTTP_2))
    assert (trace.end, trace.status) == (TransportEnd.FRAMED, 200)
    assert trace.headers == (
        ("content-type", "text/event-stream"),
        ("content-language", "en"),
        ("connection", "keep-alive"),
    )


def test_a_blocked_loop_loses_no_byte_to_a_reset(run: Run, certified: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    """Tokens and then RST arrive while the loop sleeps: all tokens are in the trace, and the reset too."""

    def block(_: float, content: bytes) -> None:
        if content == b"first":
            arrived.set()
            assert gone.wait(20), "the server never came to its reset"

    arrived, gone = threading.Event(), threading.Event()

    def script(peer: Peer) -> None:
        begin(peer, headers(), data(b"first"))
        arrived.wait(20)
        for _ in range(50):
            peer.send(data(b"x" * 997))
        peer.rst()
        gone.set()

    with FaultServer(script, certified) as server:
        trace = run(exchange(server.url, ASK, on_body=block, tls=trusting, http=HttpVersion.HTTP_2))
    assert (trace.end, len(body(trace))) == (TransportEnd.RESET, 5 + 50 * 997)


def test_a_reply_takes_no_longer_than_it_takes(run: Run) -> None:
    """An exchange whose reply is whole ends at once, though the server keeps the connection."""
    with FaultServer(after_request(SENT, data(b"", end=True))) as server:
        began = time.monotonic()
        trace = run(exchange(server.url, ASK, http=HttpVersion.HTTP_2))
    assert trace.end is TransportEnd.FRAMED
    assert time.monotonic() - began < 30
