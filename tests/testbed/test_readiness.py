from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lab.evidence import HttpVersion
from lab.probe.tls import Tls
from lab.testbed import readiness
from lab.testbed.certificate import FILE, certificate
from lab.testbed.readiness import Spoken, await_answer

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def served(answers: list[bytes], tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A port, with TLS or without, whose connections get the answers one after another; handshakes get none."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readexactly(1) != b"\x16":
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answers.pop(0) if len(answers) > 1 else answers[0])
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("status", [b"200 OK", b"404 Not Found", b"502 Bad Gateway"])
async def test_any_status_is_an_answer(status: bytes) -> None:
    """A proxy that answers at all is ready; what it answers is not judged here."""
    async with served([b"HTTP/1.1 " + status + b"\r\n\r\n"]) as port:
        assert await await_answer(("127.0.0.1", port), asyncio.Event(), 5)


GATEWAY = b"HTTP/1.1 502 Bad Gateway\r\n\r\n", b"HTTP/1.1 503 Service Unavailable\r\n\r\n"


@pytest.mark.parametrize(("taken_back", "asked"), [(30.0, 4), (0.1, 2)], ids=["for a time", "for ever"])
async def test_a_gateway_that_could_not_reach_the_model_is_asked_until_it_can(
    monkeypatch: pytest.MonkeyPatch, taken_back: float, asked: int
) -> None:
    """It tried for a while, and takes the model out for its next clients; it is ready once it has taken it back."""
    monkeypatch.setattr(readiness, "UNREACHED", 0.2)
    monkeypatch.setattr(readiness, "TAKEN_BACK", taken_back)
    requests = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        await reader.readuntil(b"\r\n\r\n")
        requests += 1
        if requests == 1:
            await asyncio.sleep(0.3)
        if requests == 2 and taken_back < 1:
            await asyncio.sleep(taken_back)
        writer.write(GATEWAY[requests > 1] if requests < 4 else b"HTTP/1.1 200 OK\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        assert await await_answer(("127.0.0.1", server.sockets[0].getsockname()[1]), asyncio.Event(), 30)
    assert requests == asked


async def test_a_listener_that_speaks_tls_is_asked_over_tls(tmp_path: Path) -> None:
    """With the testbed's certificate it answers; in clear text it never does, and is known by its handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (tmp_path / FILE).write_bytes(certificate().pem)
    context.load_cert_chain(tmp_path / FILE)
    async with served([b"HTTP/1.1 200 OK\r\n\r\n"], context) as port:
        assert await await_answer(("127.0.0.1", port), asyncio.Event(), 30, secure=True)
        assert await await_answer(("127.0.0.1", port), asyncio.Event(), 30) is Spoken.TLS


async def test_what_a_probe_offered_before_is_not_offered_to_the_next_target(tmp_path: Path) -> None:
    """A target that prefers HTTP/2 is asked in HTTP/1.1, also by a process that has asked others in HTTP/2."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (tmp_path / FILE).write_bytes(certificate().pem)
    context.load_cert_chain(tmp_path / FILE)
    context.set_alpn_protocols(["h2", "http/1.1"])
    Tls(certificate().client, "localhost", HttpVersion.HTTP_2)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if writer.get_extra_info("ssl_object").selected_alpn_protocol() != "h2":
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        assert await await_answer(("127.0.0.1", port), asyncio.Event(), 5, secure=True) is Spoken.AS_ASKED


async def test_a_port_that_only_accepts_is_not_ready_yet() -> None:
    """An accepted and closed connection, as the engine's forwarder makes it, is asked again."""
    async with served([b"", b"garbage\r\n", b"HTTP/1.1 200 OK\r\n\r\n"]) as port:
        assert await await_answer(("127.0.0.1", port), asyncio.Event(), 5)


async def test_what_a_product_says_before_it_has_read_its_file_is_no_answer() -> None:
    """It is asked until it says something else."""
    answers = [b"HTTP/1.1 404 Not Found\r\n\r\n"] * 3 + [b"HTTP/1.1 200 OK\r\n\r\n"]
    async with served(answers) as port:
        assert await await_answer(("127.0.0.1", port), asyncio.Event(), 30, starting=404)
        assert len(answers) == 1


async def test_what_a_product_goes_on_to_say_is_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration may have nothing at the path that is asked for."""
    monkeypatch.setattr(readiness, "SETTLED", 0.2)
    async with served([b"HTTP/1.1 404 Not Found\r\n\r\n"]) as port:
        before = time.monotonic()
        assert await await_answer(("127.0.0.1", port), asyncio.Event(), 30, starting=404)
        assert time.monotonic() - before >= 0.2


async def test_a_process_that_ended_is_not_waited_for() -> None:
    """As soon as the process is known to have ended, waiting stops."""
    ended = asyncio.Event()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        asyncio.get_running_loop().call_later(0.1, ended.set)
        began = time.monotonic()
        assert not await await_answer(unused.getsockname(), ended, 60)
    assert time.monotonic() - began < 30


async def test_a_connection_that_stays_unanswered_is_left_when_the_process_has_ended() -> None:
    """A container that is gone resets nothing: whoever connects to it learns of its end by its log."""
    ended = asyncio.Event()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        asyncio.get_running_loop().call_later(0.1, ended.set)
        async with asyncio.timeout(30):
            assert not await await_answer(silent.getsockname(), ended, 600)


async def test_waiting_is_bounded() -> None:
    """Something that never answers is given up after the limit."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert not await await_answer(silent.getsockname(), asyncio.Event(), 0.2)


async def test_who_listens_where_nobody_can_ask_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """As soon as that is known, waiting stops; it is looked at again as long as it is not so."""
    monkeypatch.setattr(readiness, "LOOK", 0.01)
    told = iter([False, False, True])

    async def deaf() -> bool:
        return next(told)

    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with asyncio.timeout(30):
            assert not await await_answer(silent.getsockname(), asyncio.Event(), 600, deaf=deaf)
    assert list(told) == []


@pytest.mark.parametrize("status", [b"400 Bad Request", b"301 Moved Permanently"])
async def test_a_page_that_a_tls_listener_would_give_may_be_a_clear_ones_own(status: bytes) -> None:
    """No handshake, no TLS: the scenarios judge what it makes of requests."""
    async with served([b"HTTP/1.1 " + status + b"\r\n\r\n"]) as port:
        assert await await_answer(("127.0.0.1", port), asyncio.Event(), 30) is Spoken.AS_ASKED
