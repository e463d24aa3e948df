from __future__ import annotations

import datetime
import socket
import ssl
import threading
import time
from collections.abc import Callable

import pytest
import trustme

from lab.evidence import EndReason, HttpVersion, Trace, TransportEnd
from lab.probe.conversation import NO_CLOSE_NOTIFY
from lab.probe.exchange import Patience, exchange
from lab.probe.tls import reason_of
from lab.wire.format import Ask

from .conftest import Run, server_context
from .fault_server import CHUNKED, CLOSE, FaultServer, Peer, chunk, length

ASK = Ask("/v1/chat/completions", (("Content-Type", "application/json"),), b'{"stream":true}')
TOKENS = [b"data: token %d\n\n" % number for number in range(1, 6)]
WHOLE = b"".join(TOKENS)
NOW = datetime.datetime.now(datetime.UTC)
LONG_AGO = NOW - datetime.timedelta(days=2)


def body(trace: Trace) -> bytes:
    """All bytes of the body."""
    return b"".join(piece.data for piece in trace.body)


def expired(authority: trustme.CA) -> trustme.LeafCert:
    """A certificate that was good until the day before yesterday."""
    return authority.issue_cert("127.0.0.1", not_before=LONG_AGO - datetime.timedelta(days=9), not_after=LONG_AGO)


BAD: dict[str, tuple[Callable[[trustme.CA], trustme.LeafCert], str, EndReason]] = {
    "expired": (expired, "certificate has expired", EndReason.CERTIFICATE_EXPIRED),
    "for another host": (
        lambda authority: authority.issue_cert("example.org"),
        "IP address mismatch",
        EndReason.CERTIFICATE_NAME,
    ),
    "of an unknown authority": (
        lambda _: trustme.CA().issue_cert("127.0.0.1"),
        "unable to get local issuer certificate",
        EndReason.CERTIFICATE,
    ),
}


@pytest.mark.parametrize("http", HttpVersion)
@pytest.mark.parametrize("name", BAD)
def test_a_certificate_that_does_not_verify_gets_no_request(
    run: Run, name: str, http: HttpVersion, authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    """The words are those of the verification, and the server never saw what would have been asked."""
    make, words, reason = BAD[name]
    seen: list[bytes] = []
    with FaultServer(lambda peer: seen.append(peer.read_request()), server_context(make(authority))) as server:
        trace = run(exchange(server.url, ASK, headers=[("Authorization", "Bearer k")], tls=trusting, http=http))
    assert (trace.end, trace.status, trace.reads, seen) == (TransportEnd.TLS_FAILED, None, (), [])
    assert words in trace.detail
    assert trace.reason is reason
    assert server.failures, "the server was not told"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        # Python 3.11's own for what OpenSSL 3 answers to `openssl s_server -alpn h2`, and to plain HTTP.
        ("[SSL] tlsv1 alert no application protocol (_ssl.c:1006)", EndReason.NO_COMMON_PROTOCOL),
        ("[SSL] record layer failure (_ssl.c:1006)", EndReason.NO_TLS),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)", EndReason.NO_TLS),
        ("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required", EndReason.CERTIFICATE),
        ("[SSL] unsupported protocol (_ssl.c:1006)", None),
    ],
)
def test_what_openssl_says_is_known_by_its_name(words: str, reason: EndReason | None) -> None:
    """Also where Python has no name for it, so that it stands in the message alone."""
    error = ssl.SSLError(1, words)
    error.reason = None  # type: ignore[assignment]  # as it is there
    assert reason_of(error) is reason


def test_a_certificate_is_verified_unless_something_else_is_said(run: Run, certified: ssl.SSLContext) -> None:
    """Without a context the system's authorities decide, and they know nothing of the tests'."""
    with FaultServer(Peer.hang, certified) as server:
        trace = run(exchange(server.url, ASK))
    assert trace.end is TransportEnd.TLS_FAILED
    assert "certificate" in trace.detail


def test_the_environment_names_further_authorities(
    run: Run, authority: trustme.CA, certified: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSL_CERT_FILE is honoured as everywhere in Python."""
    with authority.cert_pem.tempfile() as file, FaultServer(_whole, certified) as server:
        monkeypatch.setenv("SSL_CERT_FILE", file)
        trace = run(exchange(server.url, ASK))
    assert (trace.end, body(trace)) == (TransportEnd.FRAMED, WHOLE)


def _whole(peer: Peer) -> None:
    peer.read_request()
    peer.send(length(len(WHOLE)) + WHOLE)


def test_a_name_is_sent_and_verified(run: Run, authority: trustme.CA, trusting: ssl.SSLContext) -> None:
    """The server learns which host is meant, and a certificate for that name is good."""
    context = server_context(authority.issue_cert("localhost"))
    names: list[str | None] = []
    context.sni_callback = lambda _, name, __: names.append(name)
    with FaultServer(_whole, context) as server:
        trace = run(exchange(server.url.replace("127.0.0.1", "localhost"), ASK, tls=trusting))
    assert (trace.end, names) == (TransportEnd.FRAMED, ["localhost"])


def plain(peer: Peer) -> None:
    """A server of plain HTTP, to whom a handshake is a bad request."""
    peer.sock.recv(65536)
    peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    peer.hang()


def after_hello(step: Callable[[Peer], None]) -> Callable[[Peer], None]:
    """Take the first handshake message, then do that."""

    def script(peer: Peer) -> None:
        peer.sock.recv(65536)
        step(peer)

    return script


HANDSHAKES: dict[str, tuple[Callable[[Peer], None], TransportEnd, str]] = {
    "plain http": (plain, TransportEnd.TLS_FAILED, "wrong version number"),
    "fin": (after_hello(Peer.fin), TransportEnd.NO_REPLY, "amid the TLS handshake"),
    "rst": (after_hello(Peer.rst), TransportEnd.RESET, "Connection reset by peer amid the TLS handshake"),
    "silence": (after_hello(Peer.hang), TransportEnd.CONNECT_TIMEOUT, "amid the TLS handshake"),
    "alert": (
        after_hello(lambda peer: peer.send(b"\x15\x03\x03\x00\x02\x02\x28")),
        TransportEnd.TLS_FAILED,
        "handshake failure",
    ),
}


@pytest.mark.parametrize("name", HANDSHAKES)
def test_each_way_in_which_a_handshake_fails_is_told(run: Run, name: str, trusting: ssl.SSLContext) -> None:
    """What the transport did is told as such; only what TLS itself objects to is a failure of TLS."""
    script, end, words = HANDSHAKES[name]
    with FaultServer(script) as server:
        url = server.url.replace("http:", "https:")
        trace = run(exchange(url, ASK, tls=trusting, patience=Patience(connect=2 if name == "silence" else 30)))
    assert (trace.end, trace.reads) == (end, ())
    assert words in trace.detail


def test_a_server_that_wants_a_certificate_of_the_client_fails_tls(
    run: Run, authority: trustme.CA, certified: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """With TLS 1.3 the refusal comes after the handshake, when the request has been sent."""
    certified.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(certified)
    with FaultServer(Peer.hang, certified) as server:
        trace = run(exchange(server.url, ASK, tls=trusting))
    assert trace.end is TransportEnd.TLS_FAILED
    assert "certificate required" in trace.detail


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("announced", [True, False])
def test_an_announced_close_is_told_from_a_bare_fin(
    run: Run, announced: bool, version: ssl.TLSVersion, certified: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """Of a body that is delimited by close, close_notify is the true end; without it a client can see a truncation."""
    certified.maximum_version = version

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(CLOSE + WHOLE)
        (Peer.notify if announced else Peer.fin)(peer)
        peer.hang()

    with FaultServer(script, certified) as server:
        trace = run(exchange(server.url, ASK, tls=trusting))
    assert (trace.end, body(trace)) == (TransportEnd.CLOSED, WHOLE)
    assert trace.detail == ("" if announced else NO_CLOSE_NOTIFY)


@pytest.mark.parametrize("announced", [True, False])
def test_an_announced_close_amid_chunks_is_short_all_the_same(
    run: Run, announced: bool, certified: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """The body's own framing promised more."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(CHUNKED + chunk(WHOLE))
        (Peer.notify if announced else Peer.fin)(peer)
        peer.hang()

    with FaultServer(script, certified) as server:
        trace = run(exchange(server.url, ASK, tls=trusting))
    assert (trace.end, body(trace)) == (TransportEnd.SHORT_FIN, WHOLE)
    assert trace.detail == ("" if announced else NO_CLOSE_NOTIFY)


def test_a_record_that_was_tampered_with_breaks_the_reply(
    run: Run, certified: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """What came before it is kept, and the words say what is wrong."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(CHUNKED + chunk(WHOLE))
        # Below TLS: a record that no key has made.
        with socket.socket(fileno=peer.sock.detach()) as bare:
            bare.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
            Peer(bare, peer.over).hang()

    with FaultServer(script, certified) as server:
        trace = run(exchange(server.url, ASK, tls=trusting))
    assert (trace.end, body(trace)) == (TransportEnd.RESET, WHOLE)
    assert trace.detail


@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_megabytes_and_then_a_reset_are_all_kept(
    run: Run, framing: str, certified: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """Five megabytes through a loop that is slow to read, RST right behind the last byte."""
    size = 5 * 2**20
    sent = CHUNKED + chunk(b"y" * size) if framing == "chunked" else CLOSE + b"y" * size

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(sent)
        peer.rst()

    def slow(_: float, __: bytes) -> None:
        # A busy loop, not a wait: this is what the test is about.
        time.sleep(0.002)

    with FaultServer(script, certified) as server:
        trace = run(exchange(server.url, ASK, on_body=slow, tls=trusting))
    assert (trace.end, len(body(trace))) == (TransportEnd.RESET, size)


@pytest.mark.parametrize("count", [0, 1, 5, 50])
def test_a_blocked_loop_loses_no_token_to_a_reset(
    run: Run, count: int, certified: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """Tokens and then RST arrive while the loop sleeps: all tokens are in the trace, and the reset too."""

    def block(_: float, content: bytes) -> None:
        if content == b"first":
            arrived.set()
            assert gone.wait(20), "the server never came to its reset"

    arrived, gone = threading.Event(), threading.Event()

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(CHUNKED + chunk(b"first"))
        arrived.wait(20)
        for _ in range(count):
            peer.send(chunk(b"x" * 997))
        peer.rst()
        gone.set()

    with FaultServer(script, certified) as server:
        trace = run(exchange(server.url, ASK, on_body=block, tls=trusting))
    assert (trace.end, len(body(trace))) == (TransportEnd.RESET, 5 + count * 997)


def test_reads_hold_what_was_sent_with_its_time(run: Run, certified: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    """The reads are plaintext, of the reply alone; each token that left after the last had come has a read."""
    came = threading.Semaphore(0)

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(CHUNKED)
        for token in TOKENS:
            peer.send(chunk(token))
            assert came.acquire(timeout=20), "a token was not handed on"
        peer.send(b"0\r\n\r\n")
        peer.hang()

    with FaultServer(script, certified) as server:
        trace = run(exchange(server.url, ASK, tls=trusting, on_body=lambda *_: came.release()))
    assert b"".join(read.data for read in trace.reads) == CHUNKED + b"".join(map(chunk, TOKENS)) + b"0\r\n\r\n"
    assert [piece.data for piece in trace.body] == TOKENS
    times = [piece.at for piece in trace.body]
    assert len(set(times)) == len(TOKENS)
    assert set(times) <= {read.at for read in trace.reads}
    assert trace.started <= trace.reads[0].at


def test_a_handshake_that_waits_for_the_server_is_a_wait_for_it(run: Run, authority: trustme.CA) -> None:
    """The kernel takes the connection, and nobody has the time for more: the client has asked already."""
    context = server_context(authority.issue_cert("127.0.0.1"), "http/1.1")
    trusting = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
    with socket.create_server(("127.0.0.1", 0)) as listening:
        taken: list[float] = []

        def serve() -> None:
            sock, _ = listening.accept()
            sock.recv(1, socket.MSG_PEEK)
            threading.Event().wait(0.5)
            taken.append(time.monotonic())
            with context.wrap_socket(sock, server_side=True) as secure:
                Peer(secure, threading.Event()).read_request()
                secure.sendall(length(len(WHOLE)) + WHOLE)

        thread = threading.Thread(target=serve)
        thread.start()
        trace = run(exchange(f"https://127.0.0.1:{listening.getsockname()[1]}", ASK, tls=trusting))
        thread.join()
    assert trace.end is TransportEnd.FRAMED
    assert trace.asked_at < taken[0] - 0.4
    assert trace.started > taken[0]
