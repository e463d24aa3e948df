"""A path or a model server that means harm to an active audit: what is taken of it, and that it ends."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest
from probe.fault_server import CHUNKED, FaultServer, Peer, Script, chunk

from lab.cli.active import LONGEST
from lab.endpoint.address import endpoint_of
from lab.endpoint.bounds import planned_bytes, planned_lines
from lab.endpoint.mask import Mask
from lab.errors import EnvironmentFault
from lab.measure import exchanges
from lab.measure import run as module
from lab.measure.run import ActiveRun, at_most
from lab.measure.target import AuditTarget
from lab.plan import Plan, make_plan
from lab.suite.exchange import Exchange, Role
from lab.suite.search import search
from lab.wire import FORMATS
from lab.wire.format import Reply

from .auditing import audit_actively

SECRET = "correct-horse-battery"
TIMEOUT = b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"now": 1.0}'
UNKNOWN = b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"


def model_with(answer: Callable[[Peer], None]) -> Script:
    """A model server that has a timeout and an empty ledger, and answers questions to the model like this."""

    def script(peer: Peer) -> None:
        while True:
            head = peer.read_head()
            if head.startswith(b"POST /v1"):
                answer(peer)
                return
            peer.send(TIMEOUT if b"/lab/clock" in head else UNKNOWN)

    return script


def target_of(url: str) -> AuditTarget:
    """The endpoint there, and its side channel."""
    return AuditTarget(endpoint_of("path", f"{url}/v1/chat/completions", None))


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """An audit that has hardly any patience beyond what it planned."""
    monkeypatch.setattr(module, "_ANSWERING", 0.2)
    for name in ("SPARE", "SETTLING"):
        monkeypatch.setattr(module, name, 0.2)
        monkeypatch.setattr(exchanges, name, 0.2)


@pytest.mark.usefixtures("hasty")
async def test_a_path_that_dribbles_is_left_when_the_reply_is_overdue() -> None:
    """A byte now and then is no reason to wait for ever."""

    def dribble(peer: Peer) -> None:
        peer.send(CHUNKED)
        while not peer.over.wait(0.02):
            peer.send(chunk(b":\n"))

    with FaultServer(model_with(dribble)) as server:
        async with asyncio.timeout(60):
            with pytest.raises(EnvironmentFault, match="an answer came, but the ledger"):
                await audit_actively(target_of(server.url), longest=1.5)


async def test_what_is_not_over_by_the_stated_time_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever holds exchanges up: the bound that was stated ends them, and the findings say how many were not over."""
    said: list[str] = []
    run = ActiveRun(target_of("http://127.0.0.1:1"), 1.5, said.append)
    askings = [Exchange(f"own-{number}", Plan(tokens=1), role=Role.SEARCH) for number in range(3)]
    run._planned = askings

    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(module, "_make", never)
    monkeypatch.setattr(module, "at_most", lambda *_: 0.05)
    async with asyncio.timeout(30):
        await run._ask(None, askings, "three exchanges")  # type: ignore[arg-type]
    assert said == ["three exchanges, for some 6 s, and at most 0 s"]
    assert "stopped early: 3 of 3 exchanges were not over" in run.findings().notes


def test_the_bound_leaves_every_exchange_its_time() -> None:
    """The last one asked, with all its patience, and its ledger."""
    askings = search(LONGEST)
    last = max(askings, key=lambda each: each.delay + each.plan.length)
    assert at_most(askings) > last.delay + last.plan.length + module.SPARE + module.SETTLING


_AUDITED = """
import asyncio, re, sys
from pathlib import Path
from lab.measure.run import ActiveRun
from lab.measure.target import AuditTarget
from lab.endpoint.address import endpoint_of
from lab.endpoint.mask import Mask
from lab.errors import EnvironmentFault
try:
    target = AuditTarget(endpoint_of("path", sys.argv[1] + "/v1/chat/completions", None))
    asyncio.run(ActiveRun(target, 1.5).run())
except EnvironmentFault as fault:
    print(fault.problem)
print(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def test_a_flood_on_the_path_costs_no_memory() -> None:
    """The first eight exchanges run at once; each takes what a reply to its plan can have and no more."""

    def flood(peer: Peer) -> None:
        peer.send(CHUNKED)
        while not peer.over.is_set():
            peer.send(chunk(b"x" * 2**18))

    with FaultServer(model_with(flood)) as server:
        words = [sys.executable, "-c", _AUDITED, server.url]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
    told, peak = done.stdout.splitlines()
    assert "the ledger at" in told
    assert int(peak) < 150 * 1024, f"{peak} KiB"


async def test_a_side_channel_that_redirects_is_told_and_nobody_else_asked() -> None:
    """The secret goes nowhere else, and the message has neither it nor anything that moves a terminal."""
    asked: list[bytes] = []

    def redirect(peer: Peer) -> None:
        peer.read_head()
        place = f"Location: {other.url}/{SECRET}\x1b[2J"
        peer.send(f"HTTP/1.1 307 There\r\n{place}\r\nContent-Length: 0\r\n\r\n".encode())

    with FaultServer(lambda peer: asked.append(peer.read_head())) as other, FaultServer(redirect) as here:
        secret = (("X-Lab-Secret", SECRET),)
        target = replace(target_of(here.url), headers=secret, model_headers=secret, mask=Mask.of([SECRET]))
        with pytest.raises(EnvironmentFault, match=": 307, redirected to") as caught:
            await audit_actively(target, longest=1.5)
    assert asked == []
    assert other.url in caught.value.problem
    assert SECRET not in str(caught.value)
    assert caught.value.problem.isprintable()
    assert "--model-url" in caught.value.remedy


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_there_is_room_for_every_reply_to_a_plan(name: str) -> None:
    """The longest stream of an hour's search, and one of heartbeats alone, in every format."""
    wire = FORMATS[name]
    event = wire.text(Reply("lab-0123456789abcdef", "a-model?" + "x" * 200), "word ⟨abcd:10000@3600000ms⟩ ", 10_000)
    steady, beating = make_plan({"tokens": 14_000}), make_plan({"tokens": 2, "ttft": 3600.0, "heartbeat": 0.5})
    assert planned_bytes(steady) > 2 * len(event) * steady.tokens
    assert planned_lines(steady) > 2 * event.count(b"\n") * steady.tokens
    assert planned_bytes(beating) > 2 * len(wire.heartbeat()) * 7200
    assert planned_lines(beating) > 2 * wire.heartbeat().count(b"\n") * 7200
