"""One of several ports ends as a server does that is started anew, and is there again; the others never notice."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest

from lab.model.server import ModelServer

from .raw import Seen, connect, exchange, parse, request

LONG = "tokens=20&interval=50ms"


@pytest.fixture
async def two() -> AsyncIterator[tuple[ModelServer, str]]:
    """A model server, and the address of a further port of it."""
    async with ModelServer(further_ports=[0]) as server:
        assert server._connections is not None
        (port,) = server._connections._further
        yield server, f"http://127.0.0.1:{port}"


async def restart(server: ModelServer, address: str, query: str) -> Seen:
    """Ask for it, over the model server's own port."""
    head = f"POST /lab/restart/{address.rpartition(':')[2]}?{query} HTTP/1.1\r\nHost: lab\r\n"
    return await exchange(server.base_url, f"{head}Content-Length: 0\r\n\r\n".encode())


async def ledger(server: ModelServer, name: str) -> dict[str, object]:
    """What it did for the only request of that name."""
    seen = await exchange(server.base_url, f"GET /lab/ledger/{name} HTTP/1.1\r\nHost: lab\r\n\r\n".encode())
    (attempt,) = json.loads(seen.body)
    assert isinstance(attempt, dict)
    return attempt


async def back(address: str) -> None:
    """Wait until somebody listens there again."""
    async with asyncio.timeout(10):
        while True:
            try:
                (await connect(address)).close()
            except ConnectionRefusedError:
                await asyncio.sleep(0.01)
            else:
                return


async def test_a_server_that_ends_cuts_its_streams_and_refuses_the_next(two: tuple[ModelServer, str]) -> None:
    """The ledger tells it as the model's death, and a stream on another port goes on."""
    server, address = two
    here, there = await connect(address), await connect(server.base_url)
    here.send(request(LONG, name="here"))
    there.send(request(LONG, name="there"))
    await here.until(b":3@")
    began = time.monotonic()
    assert (await restart(server, address, "down=500ms")).status == 204
    assert await here.until_end() in {"fin", "rst"}
    assert not parse(here.data, here.end).whole
    with pytest.raises(ConnectionRefusedError):
        await connect(address)
    died = await ledger(server, "here")
    assert str(died["fault"]).startswith("fin@")
    assert died["fault_at"] is not None
    assert died["client_left"] is None
    await there.until(b"0\r\n\r\n")
    await back(address)
    assert time.monotonic() - began >= 0.45
    assert (await exchange(address, request("tokens=1"))).whole


async def test_one_before_its_first_byte_dies_at_the_start(two: tuple[ModelServer, str]) -> None:
    """No byte of a reply had left."""
    server, address = two
    waiting = await connect(address)
    waiting.send(request("ttft=9s&tokens=1", name="waiting"))
    async with asyncio.timeout(10):
        while not server.answering:  # noqa: ASYNC110  # there is no event to await
            await asyncio.sleep(0.01)
    await restart(server, address, "down=0s")
    await waiting.until_end()
    assert waiting.data == b""
    assert (await ledger(server, "waiting"))["fault"] == "fin@start"


async def test_a_server_that_drains_ends_its_answers_first(two: tuple[ModelServer, str]) -> None:
    """Who comes meanwhile is refused, and no connection is kept for a next request."""
    server, address = two
    stream, idle = await connect(address), await connect(address)
    idle.send(request("tokens=1"))
    await idle.until(b"0\r\n\r\n")
    stream.send(request(LONG, name="drained"))
    await stream.until(b":3@")
    assert (await restart(server, address, "down=300ms&drain=yes")).status == 204
    with pytest.raises(ConnectionRefusedError):
        await connect(address)
    assert await idle.until_end() == "fin"
    assert await stream.until_end() == "fin"
    seen = parse(stream.data, stream.end)
    assert (seen.whole, seen.numbers) == (True, list(range(1, 21)))
    drained = await ledger(server, "drained")
    assert (drained["fault"], drained["client_left"]) == ("", None)
    await back(address)


@pytest.mark.parametrize(("place", "status"), [("1?down=1s", 404), ("PORT?down=soon", 400), ("OWN?down=0s", 404)])
async def test_what_cannot_be_started_anew_is_refused(two: tuple[ModelServer, str], place: str, status: int) -> None:
    """A port that it has not, a time that is none, and the port of the ledger itself."""
    server, address = two
    own, port = (each.rpartition(":")[2] for each in (server.base_url, address))
    path = place.replace("PORT", port).replace("OWN", own)
    asked = f"POST /lab/restart/{path} HTTP/1.1\r\nHost: lab\r\nContent-Length: 0\r\n\r\n"
    assert (await exchange(server.base_url, asked.encode())).status == status
