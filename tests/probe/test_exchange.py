from __future__ import annotations

import asyncio
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from lab.evidence import HttpVersion, Trace, TransportEnd
from lab.probe.conversation import Conversation
from lab.probe.exchange import Patience, exchange
from lab.probe.framing import HttpRequest
from lab.probe.terms import Terms
from lab.wire.format import Ask

from .conftest import Run
from .fault_server import CHUNKED, CLOSE, FaultServer, Peer, Script, chunk, length

ASK = Ask("/v1/chat/completions", (("Content-Type", "application/json"),), b'{"stream":true}')
TOKENS = [b"data: token %d\n\n" % number for number in range(1, 6)]
WHOLE = b"".join(TOKENS)
# Only the patience that a case is about is short: the others must not be what ends the wait.
PATIENCE = {
    TransportEnd.HEADERS_TIMEOUT: Patience(headers=0.3),
    TransportEnd.FIRST_TOKEN_TIMEOUT: Patience(first_token=0.3),
    TransportEnd.MIDDLE_TIMEOUT: Patience(middle=0.3),
}


def body(trace: Trace) -> bytes:
    """All bytes of the body."""
    return b"".join(piece.data for piece in trace.body)


def after_request(*steps: bytes | Callable[[Peer], None]) -> Script:
    """A script that reads the request, then sends bytes and does things."""

    def script(peer: Peer) -> None:
        peer.read_request()
        for step in steps:
            if isinstance(step, bytes):
                peer.send(step)
            else:
                step(peer)

    return script


ALL_CHUNKS = b"".join(map(chunk, TOKENS))

ENDS: dict[str, tuple[Script, TransportEnd, bytes, str]] = {
    "last chunk": (after_request(CHUNKED, ALL_CHUNKS, b"0\r\n\r\n"), TransportEnd.FRAMED, WHOLE, "chunked"),
    "length": (after_request(length(len(WHOLE)), WHOLE, Peer.hang), TransportEnd.FRAMED, WHOLE, "length"),
    "close-delimited": (after_request(CLOSE, WHOLE), TransportEnd.CLOSED, WHOLE, "close"),
    "no last chunk": (after_request(CHUNKED, ALL_CHUNKS), TransportEnd.SHORT_FIN, WHOLE, "chunked"),
    "half a chunk": (after_request(CHUNKED, b"20\r\nhalf"), TransportEnd.SHORT_FIN, b"half", "chunked"),
    "half a chunk size": (after_request(CHUNKED, ALL_CHUNKS, b"2"), TransportEnd.SHORT_FIN, WHOLE, "chunked"),
    "short length": (after_request(length(900), WHOLE), TransportEnd.SHORT_FIN, WHOLE, "length"),
    "half-closed": (after_request(CHUNKED, ALL_CHUNKS, Peer.fin, Peer.hang), TransportEnd.SHORT_FIN, WHOLE, "chunked"),
    "reset amid chunks": (after_request(CHUNKED, ALL_CHUNKS, Peer.rst), TransportEnd.RESET, WHOLE, "chunked"),
    "reset of length": (after_request(length(900), WHOLE, Peer.rst), TransportEnd.RESET, WHOLE, "length"),
    "reset of close-delimited": (after_request(CLOSE, WHOLE, Peer.rst), TransportEnd.RESET, WHOLE, "close"),
    "reset after headers": (after_request(CHUNKED, Peer.rst), TransportEnd.RESET, b"", "chunked"),
    "reset before headers": (after_request(Peer.rst), TransportEnd.RESET, b"", ""),
    "closed before headers": (after_request(), TransportEnd.NO_REPLY, b"", ""),
    "half a head": (after_request(b"HTTP/1.1 200 OK\r\nConte"), TransportEnd.NO_REPLY, b"", ""),
    "no http": (after_request(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", Peer.hang), TransportEnd.NOT_HTTP, b"", ""),
    "bad chunk": (
        after_request(CHUNKED, ALL_CHUNKS, b"zz\r\nmore", Peer.hang),
        TransportEnd.NOT_HTTP,
        WHOLE,
        "chunked",
    ),
    "silence before headers": (after_request(Peer.hang), TransportEnd.HEADERS_TIMEOUT, b"", ""),
    "silence after headers": (after_request(CHUNKED, Peer.hang), TransportEnd.FIRST_TOKEN_TIMEOUT, b"", "chunked"),
    "silence amid the body": (
        after_request(CHUNKED, ALL_CHUNKS, Peer.hang),
        TransportEnd.MIDDLE_TIMEOUT,
        WHOLE,
        "chunked",
    ),
    "no body": (after_request(b"HTTP/1.1 204 No Content\r\n\r\n", Peer.hang), TransportEnd.FRAMED, b"", "length"),
}


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("name", ENDS)
def test_every_end_is_told_with_every_byte(
    run: Run, name: str, secure: bool, certified: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """Whatever the server does to the connection, the trace names it and holds the whole body; TLS changes nothing."""
    script, end, expected, framing = ENDS[name]
    with FaultServer(script, certified if secure else None) as server:
        trace = run(exchange(server.url, ASK, patience=PATIENCE.get(end), tls=trusting))
    assert (trace.end, body(trace), trace.framing) == (end, expected, framing), trace.detail
    assert trace.started <= trace.ended <= trace.started + 60, "a patience of two minutes ended a wait of 0.3 s"
    assert all(trace.started <= read.at <= trace.ended for read in trace.reads)


def test_the_request_is_the_ask(run: Run) -> None:
    """Path below the route's own, headers and body arrive as asked, with Host and Content-Length."""
    seen: list[bytes] = []

    def script(peer: Peer) -> None:
        seen.append(peer.read_request())
        peer.send(length(0))

    with FaultServer(script) as server:
        run(exchange(server.url + "/route/", ASK, headers=[("X-Lab-Plan", "tokens=5")]))
    lines = seen[0].split(b"\r\n")
    assert lines[0] == b"POST /route/v1/chat/completions HTTP/1.1"
    assert {b"X-Lab-Plan: tokens=5", b"Content-Length: 15", b"Content-Type: application/json"} <= set(lines)
    assert f"Host: {urlsplit(server.url).netloc}".encode() in lines
    assert lines[-1] == ASK.body


def test_nobody_listens_is_refused(run: Run) -> None:
    """A closed port is an end like any other."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    trace = run(exchange(f"http://127.0.0.1:{port}", ASK))
    assert (trace.end, trace.reads, trace.status) == (TransportEnd.REFUSED, (), None)
    assert "refused" in trace.detail.lower()


@pytest.mark.parametrize(
    "name", ["no-such-host.invalid", "a" * 70 + ".invalid", "b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.invalid"]
)
def test_a_name_that_is_not_found_is_unresolved(run: Run, name: str) -> None:
    """A name that does not exist, that no name can be, or that is written with letters beyond ASCII."""
    trace = run(exchange(f"http://{name}", ASK))
    assert (trace.end, trace.status, trace.reads) == (TransportEnd.UNRESOLVED, None, ())
    assert trace.detail


def test_a_connection_that_is_never_accepted_runs_out_of_patience(run: Run) -> None:
    """A full backlog leaves the connection half open; only the probe's patience ends the wait."""
    fillers = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            fillers.append(filler)
        port = listener.getsockname()[1]
        trace = run(exchange(f"http://127.0.0.1:{port}", ASK, patience=Patience(connect=0.3)))
        for filler in fillers:
            filler.close()
    assert trace.end is TransportEnd.CONNECT_TIMEOUT


def test_interim_replies_are_skipped(run: Run) -> None:
    """A 1xx reply before the real one is no reply."""
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    with FaultServer(after_request(interim, length(2), b"ok")) as server:
        trace = run(exchange(server.url, ASK))
    assert (trace.end, trace.status, body(trace)) == (TransportEnd.FRAMED, 200, b"ok")
    assert trace.reads[0].data.startswith(b"HTTP/1.1 100")


def test_bytes_after_the_end_are_noted(run: Run) -> None:
    """A longer body than its length promised is framed, and the surplus is told."""
    with FaultServer(after_request(length(2) + b"okSURPLUS", Peer.hang)) as server:
        trace = run(exchange(server.url, ASK))
    assert (trace.end, body(trace), trace.detail) == (TransportEnd.FRAMED, b"ok", "7 bytes after the end")


def test_http_1_0_is_told(run: Run) -> None:
    """The version of the reply stands in the trace; its header names are in lower case."""
    with FaultServer(after_request(CLOSE, WHOLE)) as server:
        trace = run(exchange(server.url, ASK))
    assert (trace.version, trace.header("content-type")) == ("1.0", "text/event-stream")


def test_the_probe_leaves_when_told_to(run: Run) -> None:
    """`leave_after` closes the connection, and the server sees it."""
    left: list[float] = []

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(CHUNKED + ALL_CHUNKS)
        peer.hang()
        left.append(time.monotonic())

    with FaultServer(script) as server:
        trace = run(exchange(server.url, ASK, leave_after=1.0))
    assert (trace.end, body(trace)) == (TransportEnd.LEFT, WHOLE)
    assert left[0] - trace.started >= 1


def test_a_cancelled_exchange_closes_its_connection(run: Run) -> None:
    """Whoever gives up on an exchange leaves no connection behind."""
    seen: list[str] = []
    asked = threading.Event()

    def script(peer: Peer) -> None:
        peer.read_request()
        asked.set()
        peer.hang()
        seen.append("left" if not peer.over.is_set() else "closed down")

    async def give_up() -> None:
        asking = asyncio.create_task(exchange(server.url, ASK))
        await asyncio.to_thread(asked.wait, 10)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    with FaultServer(script) as server:
        run(give_up())
        deadline = time.monotonic() + 10
        while not seen and time.monotonic() < deadline:
            time.sleep(0.005)
    assert seen == ["left"]


def test_what_on_body_raises_is_raised(run: Run) -> None:
    """A fault of the caller's own is not taken for one of the network's."""

    def spoil(_: float, data: bytes) -> None:
        raise ZeroDivisionError(data)

    with FaultServer(after_request(CHUNKED, ALL_CHUNKS, Peer.hang)) as server, pytest.raises(ZeroDivisionError):
        run(exchange(server.url, ASK, on_body=spoil))


def test_on_body_gets_each_piece_with_its_time(run: Run) -> None:
    """The pieces that the caller was given are those of the trace."""
    pieces: list[tuple[float, bytes]] = []
    heads: list[int] = []
    with FaultServer(after_request(CHUNKED, ALL_CHUNKS, b"0\r\n\r\n")) as server:
        trace = run(
            exchange(
                server.url,
                ASK,
                on_head=lambda head: heads.append(head.status),
                on_body=lambda at, data: pieces.append((at, data)),
            )
        )
    assert pieces == [(piece.at, piece.data) for piece in trace.body]
    assert heads == [200]


def test_a_blocked_loop_loses_no_byte_to_a_reset(run: Run) -> None:
    """Tokens and then RST arrive while the loop sleeps: all tokens are in the trace, and the reset too."""
    rest = b"".join(chunk(b"x" * 997) for _ in range(50))

    def block(_: float, data: bytes) -> None:
        if data == b"first":
            arrived.set()
            assert reset.wait(20), "the server never came to its reset"

    arrived, reset = threading.Event(), threading.Event()

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(CHUNKED + chunk(b"first"))
        arrived.wait(20)
        peer.send(rest)
        peer.rst()
        reset.set()

    with FaultServer(script) as server:
        trace = run(exchange(server.url, ASK, on_body=block))
    assert (trace.end, len(body(trace))) == (TransportEnd.RESET, 5 + 50 * 997)


@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_megabytes_and_then_a_reset_are_all_kept(run: Run, framing: str) -> None:
    """Five megabytes through a loop that is slow to read, RST right behind the last byte."""
    size = 5 * 2**20
    parts = (CHUNKED, chunk(b"y" * size)) if framing == "chunked" else (CLOSE, b"y" * size)

    def slow(_: float, __: bytes) -> None:
        # A busy loop, not a wait: this is what the test is about.
        time.sleep(0.002)

    with FaultServer(after_request(*parts, Peer.rst)) as server:
        trace = run(exchange(server.url, ASK, on_body=slow))
    assert (trace.end, len(body(trace))) == (TransportEnd.RESET, size)


def test_what_came_before_the_request_met_the_reset_is_kept(run: Run) -> None:
    """The server answers without reading and resets; the probe's write fails, and the answer is still there."""
    answer = CHUNKED + ALL_CHUNKS

    async def talk() -> Trace:
        place = urlsplit(server.url)
        sock = socket.create_connection((place.hostname or "", place.port or 0))
        poll = select.poll()
        poll.register(sock, 0)
        assert poll.poll(20_000), "the reset never came"
        sock.setblocking(False)
        conversation = Conversation(HttpRequest("http", "x", "/"), Terms(), HttpVersion.HTTP_1_1)
        await asyncio.get_running_loop().create_connection(lambda: conversation, sock=sock)
        await conversation.run()
        return conversation.trace()

    def script(peer: Peer) -> None:
        peer.send(answer)
        peer.rst()

    with FaultServer(script) as server:
        trace = run(talk())
    assert (trace.end, body(trace)) == (TransportEnd.RESET, WHOLE)


def test_a_server_that_answers_and_resets_at_once_is_read_whenever_it_strikes(run: Run) -> None:
    """Data and RST may come before connecting has returned; no attempt of forty loses a byte."""

    def script(peer: Peer) -> None:
        peer.send(CHUNKED + ALL_CHUNKS)
        peer.rst()

    async def talk() -> list[Trace]:
        return [await exchange(server.url, ASK) for _ in range(40)]

    with FaultServer(script) as server:
        traces = run(talk())
    assert {(trace.end, body(trace)) for trace in traces} == {(TransportEnd.RESET, WHOLE)}


def test_an_end_of_file_that_hides_a_reset_is_a_reset() -> None:
    """Should a loop report end of file where the socket holds ECONNRESET, the socket is believed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
        Peer(theirs, threading.Event()).rst()
        poll = select.poll()
        poll.register(ours, 0)
        assert poll.poll(20_000)
        trace = _end_of_file(ours)
        ours.close()
    assert (trace.end, trace.detail) == (TransportEnd.RESET, "Connection reset by peer")


def _end_of_file(sock: socket.socket) -> Trace:
    """The trace of a conversation that is told of an end of file on that socket."""

    class Transport(asyncio.Transport):
        def get_extra_info(self, name: str, default: object = None) -> object:
            return sock if name == "socket" else default

    conversation = Conversation(HttpRequest("http", "x", "/"), Terms(), HttpVersion.HTTP_1_1)
    conversation.connection_made(Transport())
    conversation.eof_received()
    return conversation.trace()


def test_patience_does_not_run_out_while_bytes_wait_in_the_socket(run: Run) -> None:
    """The loop is held up for longer than the patience while more of the body has long come."""
    came = threading.Event()

    def hold_up(_: float, data: bytes) -> None:
        if data == TOKENS[0]:
            time.sleep(0.5)
            came.wait(10)

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(CHUNKED + chunk(TOKENS[0]))
        peer.over.wait(0.1)
        peer.send(ALL_CHUNKS + b"0\r\n\r\n")
        came.set()
        peer.hang()

    with FaultServer(script) as server:
        trace = run(exchange(server.url, ASK, on_body=hold_up, patience=Patience(middle=0.3)))
    assert trace.end is TransportEnd.FRAMED
