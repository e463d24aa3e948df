"""Every ending of the model server through every way to read an SDK's stream: no silent loss in any cell.

The cells are asked for together before the first test, and those that freeze after all others, so that nothing
keeps their tokens waiting; each test then looks at one cell.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from lab.consume import Answer, Complete, Failed, FailedReason, Partial, PartialReason, Refused, Retry
from lab.wire.tokens import read_tokens

from .ways import ASYNC, SYNC, Clients, Request, Told, gather

# Long enough for a busy machine to send the tokens before a freeze, short enough to wait for.
IMPATIENT = 6.0


@dataclass(frozen=True)
class Truth:
    """What an application must be told of a plan of five tokens."""

    kind: type[Answer]
    reason: str = ""
    tokens: int = 0
    retry: Retry | None = None


def _whole(tokens: int = 5) -> Truth:
    return Truth(Complete, tokens=tokens)


def _partial(reason: PartialReason, tokens: int, retry: Retry = Retry.COSTS) -> Truth:
    return Truth(Partial, reason, tokens, retry)


def _failed(reason: FailedReason) -> Truth:
    return Truth(Failed, reason, retry=Retry.COSTS)


def _refused(status: int, retry: Retry) -> Truth:
    return Truth(Refused, str(status), retry=retry)


TRUTHS: Mapping[str, Truth] = {
    "seed=1": _whole(),
    "tokens=0": _whole(0),
    "heartbeat=1ms&gaps=3@20ms": _whole(),
    "framing=close": _whole(),
    "finish=length": _partial(PartialReason.TOKEN_LIMIT, 5, Retry.POINTLESS),
    "finish=content-filter": _partial(PartialReason.CONTENT_FILTER, 5, Retry.POINTLESS),
    "fault=fin@start": _failed(FailedReason.CUT),
    "fault=fin@0": _failed(FailedReason.CUT),
    "fault=fin@2": _partial(PartialReason.CUT, 2),
    "fault=fin@5": _partial(PartialReason.CUT, 5),
    "fault=fin@end": _whole(),
    "fault=fin@2&framing=close": _partial(PartialReason.NO_MARKER, 2),
    "fault=rst@start": _failed(FailedReason.CUT),
    "fault=rst@0": _failed(FailedReason.CUT),
    "fault=rst@2&fault_delay=3s": _partial(PartialReason.CUT, 2),
    "fault=rst@5&fault_delay=3s": _partial(PartialReason.CUT, 5),
    "fault=rst@end&fault_delay=3s": _whole(),
    "fault=freeze@start": _failed(FailedReason.TIMEOUT),
    "fault=freeze@0": _failed(FailedReason.TIMEOUT),
    "fault=freeze@2": _partial(PartialReason.TIMEOUT, 2),
    "fault=freeze@5": _partial(PartialReason.TIMEOUT, 5),
    "fault=freeze@end": _whole(),
    "fault=error@0": _refused(200, Retry.COSTS),
    "fault=error@2": _partial(PartialReason.MODEL_ERROR, 2),
    "fault=error@5": _partial(PartialReason.MODEL_ERROR, 5),
    "fault=no-marker@0": _failed(FailedReason.EMPTY),
    "fault=no-marker@2": _partial(PartialReason.NO_MARKER, 2),
    "fault=no-marker@5": _partial(PartialReason.NO_MARKER, 5),
    "fault=cut-json@0": _failed(FailedReason.MALFORMED),
    "fault=cut-json@2": _partial(PartialReason.MALFORMED, 2),
    "fault=cut-utf8@0": _failed(FailedReason.MALFORMED),
    "fault=cut-utf8@2": _partial(PartialReason.MALFORMED, 2),
    "fault=status@400": _refused(400, Retry.POINTLESS),
    "fault=status@401": _refused(401, Retry.POINTLESS),
    "fault=status@404": _refused(404, Retry.POINTLESS),
    "fault=status@429&retry_after=7s": _refused(429, Retry.SAFE),
    "fault=status@500": _refused(500, Retry.COSTS),
    "fault=status@503&retry_after=7s": _refused(503, Retry.SAFE),
    "fault=status@529": _refused(529, Retry.SAFE),
}

WAYS = [*SYNC, *ASYNC]


@pytest.fixture(scope="module")
def grid(model: str) -> dict[tuple[str, str], Told]:
    """What each way told of each plan."""
    waits = {plan for plan, truth in TRUTHS.items() if truth.reason in (FailedReason.TIMEOUT, PartialReason.TIMEOUT)}
    return _ask(Clients(model), TRUTHS.keys() - waits) | _ask(Clients(model, IMPATIENT), waits)


def _ask(clients: Clients, plans: Set[str]) -> dict[tuple[str, str], Told]:
    """Send each of the plans each way, all at once."""

    async def ask() -> dict[tuple[str, str], Told]:
        try:
            return await gather(
                {(way, plan): go(clients, _request(plan)) for way, go in ASYNC.items() for plan in plans}
            )
        finally:
            await clients.aclose()

    with ThreadPoolExecutor(64) as pool:
        others = pool.submit(asyncio.run, ask())
        futures = {(way, plan): pool.submit(go, clients, _request(plan)) for plan in plans for way, go in SYNC.items()}
        told = {cell: future.result() for cell, future in futures.items()} | others.result()
    clients.close()
    return told


def _request(plan: str) -> Request:
    return Request(f"lab?{plan}" if "tokens=" in plan else f"lab?tokens=5&interval=1ms&{plan}")


def _numbers(text: str) -> list[int]:
    return [stamp.number for stamp in read_tokens(text)]


@pytest.mark.parametrize("plan", TRUTHS)
@pytest.mark.parametrize("way", WAYS)
def test_the_application_is_told_the_truth(grid: dict[tuple[str, str], Told], way: str, plan: str) -> None:
    """Complete, partial with just what was sent, refused or failed: as the model server did, in every cell."""
    truth, told = TRUTHS[plan], grid[way, plan]
    answer = told.answer
    assert isinstance(answer, truth.kind), answer
    text = answer.text if isinstance(answer, Complete | Partial) else ""
    assert _numbers(text) == list(range(1, truth.tokens + 1))
    assert told.shown == text
    if isinstance(answer, Partial | Failed):
        assert answer.reason == truth.reason
    if isinstance(answer, Refused):
        assert str(answer.status) == truth.reason
        assert answer.retry_after == (7.0 if "retry_after" in plan else None)
    if not isinstance(answer, Complete):
        assert answer.retry is truth.retry
