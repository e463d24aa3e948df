"""Every kind of fault, many times, on real sockets, while both cores are kept busy: no verdict may be wrong.

`LAB_REPEAT` multiplies the number of rounds, for long runs.
"""

from __future__ import annotations

import asyncio
import os
import random
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from busy import busy_processes

from lab.evidence import Evidence, HttpVersion, TransportEnd
from lab.judge import Verdict, judge
from lab.model.server import ModelServer
from lab.plan import Plan, plan_from_query
from lab.probe.exchange import Patience, exchange
from lab.probe.observe import observe
from lab.probe.side_channel import SideChannel
from lab.vocabulary import Delivery, Ending
from lab.wire import FORMATS, format_named
from lab.wire.events import FinishReason
from lab.wire.format import Reply
from lab.wire.tokens import write_token

from . import h2_peer
from .conftest import Run
from .fault_server import CHUNKED, CLOSE, FaultServer, Peer, chunk

ROUNDS = int(os.environ.get("LAB_REPEAT", "1"))
AT_ONCE = 16
TOKENS = 12


@pytest.fixture
def busy_cores() -> Iterator[None]:
    """Two computing processes for each core while the test runs."""
    with busy_processes(2 * (os.cpu_count() or 1)):
        yield


@dataclass(frozen=True)
class Fault:
    """What a plan asks for and what must be seen; `k` in the query is drawn from 1 to 11."""

    query: str
    ending: Ending
    received: Callable[[int], int | None] = lambda k: k


ALL: Callable[[int], int | None] = lambda _: TOKENS  # noqa: E731 - a table entry
SOME: Callable[[int], int | None] = lambda _: None  # noqa: E731 - same

STREAMS = [
    Fault("", Ending.COMPLETE, ALL),
    Fault("fault=fin@{k}", Ending.CUT),
    Fault("fault=rst@{k}", Ending.CUT),
    Fault("fault=fin@start", Ending.CUT, lambda _: 0),
    Fault("fault=rst@start", Ending.CUT, lambda _: 0),
    Fault("fault=fin@end", Ending.COMPLETE, ALL),
    Fault("fault=rst@end", Ending.COMPLETE, ALL),
    Fault("fault=rst@{k}&framing=close", Ending.CUT),
    Fault("fault=fin@{k}&framing=close", Ending.SILENTLY_TRUNCATED),
    Fault("framing=close", Ending.COMPLETE, ALL),
    Fault("fault=error@{k}", Ending.MODEL_ERROR_IN_STREAM),
    Fault("fault=no-marker@{k}", Ending.SILENTLY_TRUNCATED),
    Fault("fault=forge@{k}", Ending.FORGED_COMPLETE),
    Fault("fault=cut-json@{k}", Ending.MALFORMED),
    Fault("fault=cut-utf8@{k}", Ending.MALFORMED),
    Fault("fault=repeat@{k}", Ending.CORRUPT, ALL),
    Fault("fault=foreign@{k}", Ending.CORRUPT, lambda _: TOKENS - 1),
    Fault("fault=status@503", Ending.MODEL_ERROR_STATUS, lambda _: 0),
    Fault("fault=freeze@{k}", Ending.PROBE_TIMEOUT, SOME),
    Fault("finish=length", Ending.DECLARED_PARTIAL, ALL),
    Fault("finish=content-filter", Ending.DECLARED_PARTIAL, ALL),
    Fault("lockstep=yes", Ending.COMPLETE, ALL),
    Fault("lockstep=yes&fault=rst@{k}", Ending.CUT),
]

BATCHES = [
    Fault("", Ending.COMPLETE, ALL),
    Fault("fault=fin@{k}", Ending.CUT, lambda _: 0),
    Fault("fault=rst@{k}", Ending.CUT, lambda _: 0),
    Fault("fault=error@{k}", Ending.MODEL_ERROR_IN_STREAM, lambda _: 0),
    Fault("fault=forge@{k}", Ending.FORGED_COMPLETE),
    Fault("fault=cut-json@{k}", Ending.MALFORMED, lambda _: 0),
    Fault("fault=status@429", Ending.MODEL_ERROR_STATUS, lambda _: 0),
]


def wrong(fault: Fault, k: int, evidence: Evidence) -> str:
    """What is wrong with the verdict, in words; empty if nothing is."""
    verdict = judge(evidence)
    received = fault.received(k)
    told = f"{fault.query.format(k=k)} {evidence.wire_format} stream={evidence.stream}: {verdict}"
    if verdict.ending is not fault.ending or (received is not None and verdict.received != received):
        return told
    if evidence.plan is not None and evidence.plan.lockstep and verdict.delivery is not Delivery.INCREMENTAL:
        return told
    return ""


async def one_round(seed: int) -> list[str]:
    """Every fault in every wire format, so many at once, in random order."""
    draw = random.Random(seed)
    jobs = [(fault, stream, name) for stream in (True, False) for fault in (STREAMS if stream else BATCHES)
            for name in FORMATS]  # fmt: skip
    draw.shuffle(jobs)
    gate = asyncio.Semaphore(AT_ONCE)
    patience = Patience(headers=60, first_token=60, middle=60)

    async def run_one(model: str, channel: SideChannel, fault: Fault, stream: bool, name: str) -> str:
        k = draw.randrange(1, TOKENS - 1)
        query = fault.query.format(k=k)
        plan: Plan = plan_from_query(f"tokens={TOKENS}&interval={draw.randrange(1, 15)}ms&{query}".rstrip("&"))
        # A frozen model is waited for briefly; how much had come by then is the machine's business.
        brief = Patience(headers=0.5, first_token=0.5, middle=0.5) if "freeze" in query else patience
        async with gate:
            evidence = await observe(
                model, model, format_named(name), plan, stream=stream, patience=brief, channel=channel
            )
        return wrong(fault, k, evidence)

    async with ModelServer() as model, SideChannel(model.base_url) as channel:
        return await asyncio.gather(*(run_one(model.base_url, channel, *job) for job in jobs))


@pytest.mark.usefixtures("busy_cores")
def test_no_fault_of_the_model_server_is_misjudged_on_a_busy_machine(run: Run) -> None:
    """Thirty faults in each wire format through real sockets: each verdict and each token count is right."""
    found = [told for seed in range(3 * ROUNDS) for told in run(one_round(seed))]
    mistakes = [told for told in found if told]
    assert not mistakes, f"{len(mistakes)} of {len(found)}:\n" + "\n".join(mistakes)
    assert len(found) == 3 * ROUNDS * len(FORMATS) * (len(STREAMS) + len(BATCHES))


CHAT = format_named("openai-chat")
REPLY = Reply("r", "lab")
SENT = [CHAT.text(REPLY, write_token("abcd", number, due=0.0, word="oak")) for number in range(1, TOKENS + 1)]
END = CHAT.finish(REPLY, FinishReason.STOP, TOKENS) + CHAT.marker(REPLY)

RAW: dict[str, tuple[Callable[[Peer], None], bool, bool, TransportEnd, Ending]] = {
    "fin amid chunks": (lambda _: None, True, False, TransportEnd.SHORT_FIN, Ending.CUT),
    "rst amid chunks": (Peer.rst, True, False, TransportEnd.RESET, Ending.CUT),
    "fin close-delimited": (lambda _: None, False, False, TransportEnd.CLOSED, Ending.SILENTLY_TRUNCATED),
    "rst close-delimited": (Peer.rst, False, False, TransportEnd.RESET, Ending.CUT),
    "whole": (lambda peer: peer.send(b"0\r\n\r\n"), True, True, TransportEnd.FRAMED, Ending.COMPLETE),
    "whole then rst": (Peer.rst, True, True, TransportEnd.RESET, Ending.COMPLETE),
    "whole close-delimited": (lambda _: None, False, True, TransportEnd.CLOSED, Ending.COMPLETE),
}


async def raw(
    name: str, k: int, certified: ssl.SSLContext | None = None, trusting: ssl.SSLContext | None = None
) -> tuple[TransportEnd, Verdict]:
    """One exchange with the tests' own server: `k` tokens, the end of an answer or not, and what the case does."""
    finally_, chunked, whole, _, _ = RAW[name]
    wrap = chunk if chunked else bytes

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(CHUNKED if chunked else CLOSE)
        for event in SENT[:k]:
            peer.send(wrap(event))
        if whole:
            peer.send(wrap(END))
        finally_(peer)

    with FaultServer(script, certified) as server:
        trace = await exchange(server.url, CHAT.ask("lab", stream=True, max_tokens=TOKENS), tls=trusting)
    return trace.end, judge(Evidence(CHAT.name, True, trace))


@pytest.mark.usefixtures("busy_cores")
def test_no_fault_of_a_plain_socket_server_is_misjudged_on_a_busy_machine(run: Run) -> None:
    """The same against a server that shares no code with the lab, without plan or ledger."""
    draw = random.Random(1)
    for _ in range(6 * ROUNDS):
        for name, (*_, end, ending) in RAW.items():
            k = draw.randrange(1, TOKENS)
            seen, verdict = run(raw(name, k))
            assert (seen, verdict.ending, verdict.received) == (end, ending, k), f"{name}: {verdict}"


@pytest.mark.usefixtures("busy_cores")
def test_no_fault_is_misjudged_over_tls_on_a_busy_machine(
    run: Run, certified: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """The same with every byte encrypted: each token that came before a reset is there."""
    draw = random.Random(2)
    for _ in range(6 * ROUNDS):
        for name, (*_, end, ending) in RAW.items():
            k = draw.randrange(1, TOKENS)
            seen, verdict = run(raw(name, k, certified, trusting))
            assert (seen, verdict.ending, verdict.received) == (end, ending, k), f"{name}: {verdict}"


# What comes after the tokens, and what must be seen.
FRAMES: dict[str, tuple[tuple[h2_peer.Step, ...], TransportEnd, Ending]] = {
    "whole": ((h2_peer.data(END, end=True),), TransportEnd.FRAMED, Ending.COMPLETE),
    "whole, reset": ((h2_peer.data(END), h2_peer.reset(2)), TransportEnd.RESET, Ending.COMPLETE),
    "end of stream": ((h2_peer.data(b"", end=True),), TransportEnd.FRAMED, Ending.SILENTLY_TRUNCATED),
    "stream reset": ((h2_peer.reset(2),), TransportEnd.RESET, Ending.CUT),
    "going away, fin": ((h2_peer.goaway(1, 0), Peer.fin), TransportEnd.SHORT_FIN, Ending.CUT),
    "fin": ((Peer.fin,), TransportEnd.SHORT_FIN, Ending.CUT),
    "rst": ((Peer.rst,), TransportEnd.RESET, Ending.CUT),
}


@pytest.mark.parametrize("secure", [False, True], ids=["h2c", "h2"])
@pytest.mark.usefixtures("busy_cores")
def test_no_fault_is_misjudged_in_http_2_on_a_busy_machine(
    run: Run, secure: bool, certified: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """Resets of stream and connection at every place: each verdict and each token count is right."""
    draw = random.Random(3)
    ask = CHAT.ask("lab", stream=True, max_tokens=TOKENS)
    for _ in range(6 * ROUNDS):
        for name, (after, end, ending) in FRAMES.items():
            k = draw.randrange(1, TOKENS)
            script = h2_peer.after_request(h2_peer.headers(), *map(h2_peer.data, SENT[:k]), *after)
            with FaultServer(script, certified if secure else None) as server:
                trace = run(exchange(server.url, ask, tls=trusting, http=HttpVersion.HTTP_2))
            verdict = judge(Evidence(CHAT.name, True, trace))
            assert (trace.end, verdict.ending, verdict.received) == (end, ending, k), f"{name}: {verdict}"
