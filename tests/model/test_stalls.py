"""The model server's own lateness: noted while a reply runs, and told with it."""

from __future__ import annotations

import time

from lab.evidence import Stall
from lab.model.server import ModelServer

from .raw import connect, request
from .test_lockstep import confirm
from .test_server import ledgers, settled


def block(seconds: float) -> Stall:
    """Keep the server's event loop from running, as a busy machine does."""
    since = time.monotonic()
    time.sleep(seconds)
    return Stall(since, time.monotonic())


async def test_the_ledger_tells_when_the_server_itself_did_not_run(server: ModelServer) -> None:
    """What the path did in that time, it may have done because the server was silent."""
    connection = await connect(server.base_url)
    connection.send(request("tokens=1&interval=0s&lockstep=yes&hold=1m", name="asleep"))
    await connection.until(b":1@")
    blocked = block(0.2)
    (running,) = await ledgers(server, "asleep")
    assert any(stall.since <= blocked.since and stall.until >= blocked.until for stall in running.stalls)
    await confirm(server, "asleep", 1)
    await connection.until(b"[DONE]")
    ended = await settled(server, "asleep", lambda ledger: ledger.finished is not None)
    assert set(running.stalls) <= set(ended.stalls)
    connection.close()


async def test_the_ledger_tells_of_a_stop_in_which_the_request_lay_at_the_door(server: ModelServer) -> None:
    """It was on its way for so long because the server did not run, while it answered others."""
    other, connection = await connect(server.base_url), await connect(server.base_url)
    other.send(request("tokens=2&interval=1m"))
    await other.until(b":1@")
    connection.send(request("tokens=1&interval=0s", name="waited"))
    blocked = block(0.2)
    await connection.until(b"[DONE]")
    ended = await settled(server, "waited", lambda ledger: ledger.finished is not None)
    assert ended.started >= blocked.until
    assert any(stall.since <= blocked.since and stall.until >= blocked.until for stall in ended.stalls)
    for each in (other, connection):
        each.close()


async def test_what_came_after_a_reply_is_not_its_own(server: ModelServer) -> None:
    """Nobody waits for a server that has nothing to write."""
    connection = await connect(server.base_url)
    connection.send(request("tokens=1&interval=0s", name="quick"))
    await connection.until(b"[DONE]")
    ended = await settled(server, "quick", lambda ledger: ledger.finished is not None)
    block(0.2)
    assert (await ledgers(server, "quick"))[0].stalls == ended.stalls
    connection.close()
