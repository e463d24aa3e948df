"""Who is let in by a running server, and what a refusal costs it."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import zlib
from collections.abc import AsyncIterator

import pytest

from lab.model import connections
from lab.model.server import ModelServer
from lab.wire import FORMATS
from lab.wire.format import WireFormat

from .raw import connect, exchange, request

SECRET = "correct-horse-battery"
EVIL = "Origin: https://evil.example\r\n"


@pytest.fixture
async def guarded(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ModelServer]:
    """A model server with a secret, which waits less for those who are refused."""
    monkeypatch.setattr(connections, "LAST_WORDS_SECONDS", 0.2)
    async with ModelServer(secret=SECRET) as running:
        yield running


def port_of(server: ModelServer) -> int:
    """The server's own port."""
    return int(server.base_url.rpartition(":")[2])


@pytest.mark.parametrize("wire", FORMATS.values(), ids=FORMATS)
async def test_another_sites_page_is_refused_in_the_vendors_shape(server: ModelServer, wire: WireFormat) -> None:
    """A simple request, which a browser sends without asking first: 403, and nothing is generated."""
    data = request("tokens=2", name="evil", path=wire.path, headers=EVIL, max_tokens=9)
    seen = await exchange(server.base_url, data.replace(b"application/json", b"text/plain"))
    assert (seen.status, seen.end) == (403, "fin")
    (error,) = wire.read_batch(seen.body)
    assert "Origin" in str(error)
    assert (await exchange(server.base_url, ask("/lab/ledger/evil"))).status == 404


def ask(path: str, host: str = "lab", headers: str = "", method: str = "GET") -> bytes:
    """A request without a body."""
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n".encode()


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/v1/models", "GET"),
        ("/v1/sse?tokens=1", "GET"),
        ("/lab/clock", "GET"),
        ("/lab/ledger/one", "GET"),
        ("/lab/confirm/one/1", "POST"),
        ("/v1/responses/resp_lab-1", "GET"),
        ("/v1/responses/resp_lab-1/cancel", "POST"),
        ("/no/such/thing", "GET"),
    ],
)
async def test_a_name_that_was_pointed_here_gets_nothing(server: ModelServer, path: str, method: str) -> None:
    """DNS rebinding: the page is of the asked host's own origin, and only the name shows it; no address answers."""
    host = f"evil.example:{port_of(server)}"
    seen = await exchange(server.base_url, ask(path, host, method=method))
    assert (seen.status, b"Host" in seen.body) == (403, True)


async def test_load_balancers_are_answered_whatever_they_ask_by(server: ModelServer) -> None:
    """The health check says nothing but that the server is up."""
    seen = await exchange(server.base_url, ask("/lab/health", f"evil.example:{port_of(server)}", EVIL))
    assert seen.status == 200


async def test_an_event_source_of_another_port_is_answered(server: ModelServer) -> None:
    """A page that is developed on this machine stands at another origin."""
    host = f"127.0.0.1:{port_of(server)}"
    seen = await exchange(
        server.base_url, ask("/v1/sse?tokens=2&interval=0s", host, "Origin: http://localhost:3000\r\n")
    )
    assert (seen.status, seen.numbers) == (200, [1, 2])


async def test_with_a_secret_nobody_asks_for_host_and_origin() -> None:
    """Whoever carries it is let in by any name and from any page, as through a gateway with an application's page."""
    async with ModelServer(secret=SECRET) as server:
        headers = f"{EVIL}x-api-key: {SECRET}\r\n"
        seen = await exchange(server.base_url, ask("/v1/models", f"evil.example:{port_of(server)}", headers))
        assert seen.status == 200


async def test_an_open_address_without_a_secret_obeys_everybody() -> None:
    """That is what it is started for, and what its warning says: in the lab's containers any name is asked for."""
    async with ModelServer("0.0.0.0") as server:  # noqa: S104 - the point
        url = f"http://127.0.0.1:{port_of(server)}"
        seen = await exchange(url, ask("/v1/models", f"model.example:{port_of(server)}", EVIL))
        assert seen.status == 200


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/no/such/thing"])
async def test_expect_is_not_answered_before_the_refusal(guarded: ModelServer, path: str) -> None:
    """A stranger is not asked to send a body that nobody will read, on known and unknown addresses alike."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n"
    seen = await exchange(guarded.base_url, f"{head}Connection: close\r\n\r\n".encode())
    assert seen.status == 401
    allowed = await connect(guarded.base_url)
    allowed.send(f"{head}x-api-key: {SECRET}\r\n\r\n".encode())
    assert (await allowed.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 " if "v1" in path else b"HTTP/1.1 ")
    allowed.close()


async def test_a_refused_body_is_neither_read_nor_inflated(
    guarded: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger's bomb is left where it is: nothing inflates a byte, and the kernel keeps what is not read."""

    def inflate(*_: object) -> None:
        raise AssertionError("a stranger's body was inflated")

    monkeypatch.setattr(zlib, "decompressobj", inflate)
    connection = await connect(guarded.base_url)
    bomb = gzip.compress(b"a" * 2**20) * 2_000
    head = f"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: {2 * len(bomb)}\r\n\r\n"
    connection.send(head.encode() + bomb)
    assert (await connection.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 401 ")
    await connection.until_end()


async def test_the_refusal_arrives_although_the_client_still_sends(guarded: ModelServer) -> None:
    """Closing with unread bytes would reset the connection, and take the 401 with it: the answer comes first."""
    place = guarded.base_url.removeprefix("http://").split(":")
    client = socket.create_connection((place[0], int(place[1])))
    client.settimeout(10)
    await asyncio.to_thread(client.sendall, b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n")
    await asyncio.to_thread(client.sendall, b"a" * 10_000)
    assert (await asyncio.to_thread(client.recv, 65_536)).startswith(b"HTTP/1.1 401 ")
    client.close()


async def test_the_refusal_is_a_document_that_clients_can_read(guarded: ModelServer) -> None:
    """Length, type and JSON, and no word of what answers."""
    seen = await exchange(guarded.base_url, request("tokens=1"))
    assert (seen.status, seen.whole, seen.headers["content-type"]) == (401, True, "application/json")
    assert json.loads(seen.body)["error"]["type"] == "invalid_api_key"
    assert seen.headers["server"] == "server"


async def test_what_is_no_http_is_refused_without_a_word_in_the_log(
    guarded: ModelServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A traceback for each would fill the disk of whoever serves, and the version is nobody's business."""
    seen = await exchange(guarded.base_url, b"\x16\x03\x01\x00\xa5\r\n\r\n")
    assert (seen.status, seen.headers["server"]) == (400, "server")
    assert caplog.records == []
