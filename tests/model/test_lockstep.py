"""Lockstep: no token before the one ahead of it is confirmed, and no hold without an end."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from lab.evidence import Hold
from lab.model.lockstep import Confirmations
from lab.model.server import ModelServer

from .raw import connect, exchange, request
from .test_server import ledgers


async def confirm(server: ModelServer, name: str, number: int) -> None:
    """Tell the model server that a token has come."""
    url = f"{server.base_url}/lab/confirm/{name}/{number}"
    async with aiohttp.ClientSession() as client, client.post(url) as reply:
        assert reply.status == 204


async def test_each_token_waits_for_the_confirmation_of_the_one_before(server: ModelServer) -> None:
    """Without a confirmation nothing comes, with it the next token does; the finish waits for the last."""
    connection = await connect(server.base_url)
    connection.send(request("tokens=3&interval=0s&lockstep=yes&hold=1m", name="step"))
    for number in (1, 2, 3):
        data = await connection.until(b":%d@" % number)
        # A whole other stream passes; the held one must not have moved.
        assert (await exchange(server.base_url, request("tokens=3&interval=5ms"))).whole
        assert b":%d@" % (number + 1) not in connection.data
        assert b"[DONE]" not in data
        await confirm(server, "step", number)
    await connection.until(b"[DONE]")
    (ledger,) = await ledgers(server, "step")
    assert [(hold.number, hold.confirmed) for hold in ledger.holds] == [(1, True), (2, True), (3, True)]
    # Token i+1 was written after token i's hold had ended.
    assert all(hold.at <= token.at for hold, token in zip(ledger.holds, ledger.tokens[1:], strict=False))
    connection.close()


async def test_a_hold_runs_out_and_later_ones_are_far_shorter(server: ModelServer) -> None:
    """Behind a path that collects the reply, the answer still ends: one second, then 5 ms each."""
    seen = await exchange(server.base_url, request("tokens=4&interval=0s&lockstep=yes&hold=1s", name="stuck"))
    assert seen.whole
    (ledger,) = await ledgers(server, "stuck")
    assert [(hold.number, hold.confirmed) for hold in ledger.holds] == [(n, False) for n in (1, 2, 3, 4)]
    first = ledger.holds[0].at - ledger.tokens[0].at
    assert first >= 0.999
    rest = [hold.at - token.at for hold, token in zip(ledger.holds[1:], ledger.tokens[1:], strict=True)]
    assert all(length >= 0.004 for length in rest)
    # Nominally 15 ms, with full-length holds 3 s: a busy machine may be late by more than a second.
    assert sum(rest) < 2.0


async def test_a_hold_never_shortens_a_planned_silence(server: ModelServer) -> None:
    """The gap before token 3 is whole, although the hold before token 2 had made the answer late."""
    plan = "tokens=3&interval=0s&gaps=3@100ms&lockstep=yes&hold=300ms"
    await exchange(server.base_url, request(plan, name="gap"))
    (ledger,) = await ledgers(server, "gap")
    # Timers tick in milliseconds, so a wait may fall short by one.
    assert ledger.tokens[1].at - ledger.tokens[0].at >= 0.299
    assert ledger.tokens[2].at - ledger.tokens[1].at >= 0.099


@pytest.mark.parametrize("fault", ["fin@2", "error@2", "no-marker@2"])
async def test_a_fault_too_waits_for_the_last_tokens_confirmation(server: ModelServer, fault: str) -> None:
    """Two tokens, two holds: the cut cannot overtake what was confirmed before it."""
    plan = f"tokens=4&interval=0s&lockstep=yes&hold=50ms&fault={fault}"
    await exchange(server.base_url, request(plan, name="fault"))
    (ledger,) = await ledgers(server, "fault")
    assert [hold.number for hold in ledger.holds] == [1, 2]
    assert ledger.fault_at is not None
    assert ledger.fault_at >= ledger.holds[-1].at


async def test_a_batch_reply_has_nothing_to_hold(server: ModelServer) -> None:
    """One write: lockstep changes nothing."""
    seen = await exchange(server.base_url, request("tokens=2&lockstep=yes&hold=1m", name="batch", stream=False))
    assert seen.whole
    assert (await ledgers(server, "batch"))[0].holds == ()


async def test_a_confirmation_that_came_early_is_no_wait() -> None:
    """The hold says when the confirmation came, which is before it was asked for."""
    lockstep = Confirmations(60)
    lockstep.confirm(3)
    first, second = await lockstep.hold(2), await lockstep.hold(3)
    assert first.confirmed
    assert first == Hold(2, second.at, confirmed=True)


async def test_a_confirmation_of_an_earlier_token_releases_nothing() -> None:
    """Token 1 is no answer to the hold for token 2."""
    lockstep = Confirmations(60)
    waiting = asyncio.ensure_future(lockstep.hold(2))
    await asyncio.sleep(0)
    lockstep.confirm(1)
    await asyncio.sleep(0)
    assert not waiting.done()
    lockstep.confirm(2)
    assert (await waiting).confirmed


async def test_after_a_hold_that_ran_out_a_confirmation_counts_again() -> None:
    """A path that delivers late is late, not dead."""
    lockstep = Confirmations(0.01)
    assert not (await lockstep.hold(1)).confirmed
    lockstep.confirm(2)
    assert (await lockstep.hold(2)).confirmed
