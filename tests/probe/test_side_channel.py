"""The side channel against somebody who is no model server of the lab's: what leaves, what is read, what is told."""

from __future__ import annotations

import gzip
import json
import ssl
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack

import aiohttp
import pytest

from lab.errors import EnvironmentFault
from lab.plan import Plan
from lab.probe.side_channel import MOST_ATTEMPTS, SideChannel, ledger_room

from .fault_server import FaultServer, Peer, Script

SECRET = "correct-horse-battery"
PLAN = Plan(tokens=3)
CLOCK = b'{"now": 1.0}'

Use = Callable[[SideChannel], Awaitable[object]]


def reply(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """One whole reply."""
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]).encode() + body


def answering(ledger: bytes, clock: bytes = reply(CLOCK)) -> Script:
    """Answers questions for the clock with one reply, and all others with another."""

    def script(peer: Peer) -> None:
        while True:
            peer.send(clock if b"/lab/clock" in peer.read_head() else ledger)

    return script


def always(answer: bytes) -> Script:
    """Answers every question with the same."""
    return answering(answer, answer)


def endless(peer: Peer) -> None:
    """A body without end, in chunks."""
    peer.read_head()
    peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not peer.over.is_set():
        peer.send(b"10000\r\n" + b" " * 65536 + b"\r\n")


async def offset(channel: SideChannel) -> object:
    """Measure the clocks."""
    return await channel.offset()


async def attempts(channel: SideChannel) -> object:
    """Read a ledger."""
    return await channel.attempts("x", PLAN)


async def confirm(channel: SideChannel) -> object:
    """Confirm a token."""
    return await channel.confirm("x", 1)


async def fault_of(use: Use, url: str, **options: object) -> str:
    """What the user is told when the channel is used on that address."""
    async with SideChannel(url, **options) as channel:  # type: ignore[arg-type]
        with pytest.raises(EnvironmentFault) as caught:
            await use(channel)
    assert caught.value.remedy
    assert url in caught.value.problem
    return caught.value.problem


class TestRedirects:
    @pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See", "307 Temporary", "308 Permanent"])
    @pytest.mark.parametrize("use", [offset, attempts])
    async def test_the_secret_goes_to_no_other_host(
        self, use: Use, status: str, certified: ssl.SSLContext, trusting: ssl.SSLContext
    ) -> None:
        """A redirect from https to http on another host is told with where it pointed, and nobody is asked there."""
        asked: list[bytes] = []
        with ExitStack() as stack:
            other = stack.enter_context(FaultServer(lambda peer: asked.append(peer.read_head())))
            script = always(reply(b"", status, f"Location: {other.url}/lab/clock"))
            here = stack.enter_context(FaultServer(script, certified))
            told = await fault_of(use, here.url, headers=[("X-Lab-Secret", SECRET)], tls=trusting)
        assert asked == []
        assert status[:3] in told
        assert f"redirected to '{other.url}/lab/clock'" in told
        assert SECRET not in told

    async def test_a_confirmation_that_is_sent_elsewhere_was_not_taken(self) -> None:
        """Neither is it made there, nor is the token counted as confirmed."""
        asked: list[bytes] = []
        with ExitStack() as stack:
            other = stack.enter_context(FaultServer(lambda peer: asked.append(peer.read_head())))
            here = stack.enter_context(FaultServer(always(reply(b"", "307 Temporary", f"Location: {other.url}/"))))
            async with SideChannel(here.url, headers=[("X-Lab-Secret", SECRET)]) as channel:
                assert await confirm(channel) is False
        assert asked == []

    async def test_no_proxy_of_the_environment_gets_the_secret(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A variable that is meant for browsers sends no request of the lab's elsewhere."""
        asked: list[bytes] = []
        with ExitStack() as stack:
            other = stack.enter_context(FaultServer(lambda peer: asked.append(peer.read_head())))
            here = stack.enter_context(FaultServer(always(reply(CLOCK))))
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
                monkeypatch.setenv(name, other.url)
            async with SideChannel(here.url, headers=[("X-Lab-Secret", SECRET)]) as channel:
                await channel.offset()
        assert asked == []

    async def test_where_it_points_moves_no_terminal(self) -> None:
        """What stands in a Location may be anything; only printable characters of it are told, and not too many."""
        script = always(reply(b"", "302 Found", "Location: http://x/\x1b]0;owned\x07\x9b2J" + "y" * 5000))
        with FaultServer(script) as server:
            told = await fault_of(offset, server.url)
        assert told.isprintable()
        assert "redirected to 'http://x/" in told
        assert len(told) < 1000


LEDGER = {"request": "x", "started": 1.0, "finished": 2.0}


def a_ledger(**fields: object) -> Script:
    """Answers with a ledger in which these fields stand."""
    return answering(reply(json.dumps([{**LEDGER, **fields}]).encode()))


NO_ANSWERS: dict[str, tuple[Script, Use, str]] = {
    "a ledger without end": (endless, attempts, f"more than {ledger_room(PLAN):,} bytes came"),
    "a clock without end": (endless, offset, "more than 4,096 bytes came"),
    "too many attempts": (
        answering(reply(json.dumps([LEDGER] * (MOST_ATTEMPTS + 1)).encode())),
        attempts,
        f"at most {MOST_ATTEMPTS} items",
    ),
    "nested": (answering(reply(b"[" * 5000 + b"]" * 5000)), attempts, "recursion limit"),
    "no JSON": (answering(reply(b"<html>")), attempts, "Invalid JSON"),
    "no clock": (always(reply(b'{"later": 1}')), offset, "now: Field required"),
    "an endless clock": (always(reply(b'{"now": Infinity}')), offset, "a clock that shows inf s"),
    "no number": (a_ledger(started=float("nan")), attempts, "nan s is no time"),
    "no time": (a_ledger(heartbeats=[1e300]), attempts, "1e+300 s is no time"),
    "no stall": (a_ledger(stalls=[{"since": 1.0, "until": 1e11}]), attempts, "100000000000.0 s is no time"),
    "too many tokens": (a_ledger(tokens=[{"number": 1, "at": 1.0}] * 107), attempts, "more than 106 tokens"),
    "too many heartbeats": (a_ledger(heartbeats=[1.0] * 101), attempts, "more than 100 heartbeats for a plan of 3"),
    "too many stalls": (a_ledger(stalls=[{"since": 1, "until": 2}] * 6100), attempts, "stalls for a plan of 3 tokens"),
    "no fault": (a_ledger(fault="own@1"), attempts, "a fault that no plan"),
    "an unknown coding": (always(reply(CLOCK, "200 OK", "Content-Encoding: x-own")), offset, "unknown content coding"),
}


@pytest.mark.parametrize("name", NO_ANSWERS)
async def test_what_is_no_answer_of_a_model_server_is_told(name: str) -> None:
    """One fault that names the place and what is wrong there, and never an error of ours."""
    script, use, words = NO_ANSWERS[name]
    with FaultServer(script) as server:
        told = await fault_of(use, server.url)
    assert words in told
    assert ("/lab/clock" if use is offset else "/lab/ledger/x") in told


async def test_a_connection_that_lay_idle_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its server may close it just then: lighttpd does after 5 s, and a confirmation was lost (measured)."""

    def closes(peer: Peer) -> None:
        peer.read_head()
        peer.send(reply(CLOCK))
        peer.read_head()

    with FaultServer(closes) as server:
        async with SideChannel(server.url) as channel:
            assert await channel.confirm("x", 1)
            monkeypatch.setattr(aiohttp.connector, "monotonic", lambda: time.monotonic() + 1.9)
            assert await channel.confirm("x", 2)


async def test_a_compressed_answer_is_read_all_the_same() -> None:
    """A gateway that compresses unasked breaks nothing."""
    script = always(reply(gzip.compress(CLOCK), "200 OK", "Content-Encoding: gzip"))
    with FaultServer(script) as server:
        async with SideChannel(server.url) as channel:
            assert isinstance(await channel.offset(), float)


@pytest.mark.parametrize(("plan", "least"), [
    (Plan(tokens=2000, lockstep=True), 2000 * 100),
    (Plan(tokens=2, ttft=3600, heartbeat=0.5), 7200 * 20),
])  # fmt: skip
def test_there_is_room_for_every_true_ledger(plan: Plan, least: int) -> None:
    """Sixteen attempts with all their tokens, holds and heartbeats, of a model server that was late all the time."""
    assert ledger_room(plan) > 16 * least + plan.longest / 0.05 * len(
        '{"since":1234567.123456789,"until":1234567.123456789},'
    )


_BOMBED = """
import asyncio, re, sys
from pathlib import Path
from lab.errors import EnvironmentFault
from lab.plan import Plan
from lab.probe.side_channel import SideChannel

async def main():
    async with SideChannel(sys.argv[1]) as channel:
        for use in (channel.offset, lambda: channel.attempts("x", Plan(tokens=300))):
            try:
                await use()
            except EnvironmentFault as fault:
                print(fault.problem)

asyncio.run(main())
print(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def test_a_bomb_on_the_side_channel_costs_no_memory() -> None:
    """A hundred megabytes that were packed into some kilobytes are left after the first of them."""
    script = always(reply(gzip.compress(b" " * (128 * 2**20)), "200 OK", "Content-Encoding: gzip"))
    with FaultServer(script) as server:
        words = [sys.executable, "-c", _BOMBED, server.url]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
    clock, ledger, peak = done.stdout.splitlines()
    assert "/lab/clock: the body decodes to more than 4,096 bytes" in clock
    assert "/lab/ledger/x: the body decodes to more than" in ledger
    assert int(peak) < 100 * 1024, f"{peak} KiB"
