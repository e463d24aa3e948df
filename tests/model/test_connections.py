"""Connections: how many, how long without a request, and how much ahead of what is read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from lab.model import bodies, connections
from lab.model.server import ModelServer

from .raw import Connection, connect, exchange, request

_HALF = b"POST /v1/chat/completions HTTP/1.1\r\nHost: lab\r\nContent-Length: 1000\r\n\r\n{"


@pytest.fixture
async def impatient(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ModelServer]:
    """A model server that waits some tenths of a second where it would wait for many seconds."""
    monkeypatch.setattr(connections, "STRANGER_SECONDS", 0.3)
    monkeypatch.setattr(connections, "_LOOK_EVERY", 0.05)
    monkeypatch.setattr(bodies, "SECONDS", 0.3)
    async with ModelServer() as running:
        yield running


@pytest.mark.parametrize("sent", [b"", b"POST /v1/chat/com", b"GET / HTTP/1.1\r\nHost: lab\r\nX: "])
async def test_who_does_not_come_to_ask_is_dropped(impatient: ModelServer, sent: bytes) -> None:
    """Without a secret, too: a connection with no request, or with a part of one, does not last."""
    connection = await connect(impatient.base_url)
    connection.send(sent)
    assert await connection.until_end() in {"fin", "rst"}
    assert connection.data == b""


async def test_a_body_that_does_not_come_is_refused(impatient: ModelServer) -> None:
    """Half a request holds nothing for ever, and the next client has an answer meanwhile."""
    connection = await connect(impatient.base_url)
    connection.send(_HALF)
    assert (await exchange(impatient.base_url, request("tokens=1"))).status == 200
    data = await connection.until(b"\r\n\r\n")
    assert data.startswith(b"HTTP/1.1 408 ")
    connection.close()


async def test_what_is_in_use_outlives_the_bounds(impatient: ModelServer) -> None:
    """A slow stream, and a connection that a proxy keeps for its next request."""
    kept = await connect(impatient.base_url)
    kept.send(request("tokens=1", name="one"))
    await kept.until(b"0\r\n\r\n")
    stream = await exchange(impatient.base_url, request("tokens=3&interval=400ms"))
    assert stream.whole
    kept.send(request("tokens=1", name="two"))
    await kept.until(b"X-Lab-Request: two")
    kept.close()


async def test_a_kept_connection_is_found_closed_when_its_time_is_over(impatient: ModelServer) -> None:
    """The request that comes then is answered by nobody, and no ledger has it; one in time is, with a time anew."""
    kept = await connect(impatient.base_url)
    kept.send(request("tokens=1&keep_alive=10s", name="first"))
    await kept.until(b"0\r\n\r\n")
    kept.send(request("tokens=1&keep_alive=10ms", name="second"))
    await kept.until(b"X-Lab-Request: second")
    await asyncio.sleep(0.4)
    kept.send(request("tokens=1", name="third"))
    assert await kept.until_end() == "fin"
    assert b"X-Lab-Request: third" not in kept.data
    assert (await exchange(impatient.base_url, b"GET /lab/ledger/third HTTP/1.1\r\nHost: lab\r\n\r\n")).status == 404


async def test_without_a_plan_for_it_a_kept_connection_lasts(impatient: ModelServer) -> None:
    """What one reply said is over with the next one."""
    kept = await connect(impatient.base_url)
    kept.send(request("tokens=1&keep_alive=2s", name="first"))
    await kept.until(b"0\r\n\r\n")
    kept.send(request("tokens=1", name="second"))
    await kept.until(b"X-Lab-Request: second")
    await asyncio.sleep(2.2)
    kept.send(request("tokens=1", name="third"))
    await kept.until(b"X-Lab-Request: third")
    kept.close()


async def test_of_too_many_strangers_the_oldest_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once they had the time to ask."""
    monkeypatch.setattr(connections, "MOST_STRANGERS", 2)
    monkeypatch.setattr(connections, "NEW_SECONDS", 0.2)
    monkeypatch.setattr(connections, "_LOOK_EVERY", 0.05)
    async with ModelServer() as server:
        opened = [await connect(server.base_url) for _ in range(4)]
        assert [await each.until_end() in {"fin", "rst"} for each in opened[:2]] == [True, True]
        opened[3].send(request("tokens=1"))
        await opened[3].until(b"[DONE]")
        assert opened[2].end == ""
        for each in opened[2:]:
            each.close()


async def test_as_many_as_come_at_the_same_moment_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand clients that come back after a cut are no strangers, however late their requests are read."""
    monkeypatch.setattr(connections, "MOST_STRANGERS", 2)
    async with ModelServer() as server:
        herd = [await connect(server.base_url) for _ in range(20)]
        assert server._connections is not None
        server._connections.drop(time.monotonic())
        for each in herd:
            each.send(request("tokens=1"))
            await each.until(b"[DONE]")
            each.close()


async def test_a_new_connection_takes_the_place_of_the_one_that_has_been_idle_longest() -> None:
    """And never of one that is answered; where all are, the new one goes."""
    async with ModelServer(connections=3) as server:
        busy, first, second = [await connect(server.base_url) for _ in range(3)]
        busy.send(request("tokens=2&interval=1m"))
        await busy.until(b":1@")
        for each in (first, second):
            each.send(request("tokens=1"))
            await each.until(b"[DONE]")
            await _last_idle(server, each)
        third = await connect(server.base_url)
        assert await first.until_end() in {"fin", "rst"}
        for each in (second, third):
            each.send(request("tokens=2&interval=1m", name="held"))
            await each.until(b"X-Lab-Request: held")
        fourth = await connect(server.base_url)
        assert await fourth.until_end() in {"fin", "rst"}
        assert [each.end for each in (busy, second, third)] == ["", "", ""]
        for each in (busy, second, third):
            each.close()


async def _last_idle(server: ModelServer, client: Connection) -> None:
    """Wait until the server is done with a client, which is later than the client has read its last byte."""
    assert server._connections is not None
    assert client.transport is not None
    address = client.transport.get_extra_info("sockname")
    async with asyncio.timeout(10):
        while _peer([*server._connections._idle][-1]) != address:  # noqa: ASYNC110  # the server tells nobody
            await asyncio.sleep(0)


def _peer(connection: connections.Connection) -> object:
    assert connection.transport is not None
    return connection.transport.get_extra_info("peername")


async def test_there_are_never_more_connections_than_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that may open few files must not fail to accept; the ports that it listens on take some of them."""
    async with ModelServer(further_ports=[0, 0, 0]) as server:
        assert server._connections is not None
        for files, most in [(1024, 1024 - 4 - 64), (1_000_000, connections.MOST)]:
            monkeypatch.setattr("resource.getrlimit", lambda _, files=files: (files, files))
            assert server._connections.most == most


async def test_who_sends_much_more_than_is_read_is_dropped(server: ModelServer) -> None:
    """Behind a request that is being answered megabytes of further ones would be parsed and kept; they are not."""
    connection = await connect(server.base_url)
    connection.send(request("tokens=2&interval=1m"))
    await connection.until(b":1@")
    further = request("tokens=1", headers="".join(f"X-{place}: {'v' * 8_000}\r\n" for place in range(100)))
    connection.send(further * 10)
    assert await connection.until_end() in {"fin", "rst"}


async def test_a_second_request_may_be_sent_ahead(server: ModelServer) -> None:
    """Pipelining in reason: both are answered, in order."""
    connection = await connect(server.base_url)
    connection.send(request("tokens=1", name="one") + request("tokens=1", name="two", headers="Connection: close\r\n"))
    assert await connection.until_end() == "fin"
    assert connection.data.index(b"Request: one") < connection.data.index(b"Request: two")


async def test_many_small_requests_on_one_connection_are_not_too_much(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has been answered counts no more: confirmations come on one connection by the thousand."""
    monkeypatch.setattr(connections, "MOST_AHEAD", 10_000)
    connection = await connect(server.base_url)
    for number in range(200):
        connection.send(b"GET /v1/responses/no-%d HTTP/1.1\r\nHost: lab\r\nX-Filler: %b\r\n\r\n" % (number, b"x" * 99))
        await connection.until(b"'no-%d'" % number)
    assert connection.end == ""
    connection.close()
