"""The consumer with a real client, behind real proxies: a cut after any token is seen as a cut there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

import httpx
import pytest
import pytest_asyncio
from hops import HOPS
from markers import grid

from lab.catalogue import load_scenario, shipped_scenarios
from lab.consume import Answer, Complete, Consumer, Partial, PartialReason
from lab.plan import PLAN_HEADER
from lab.testbed.containers import Containers
from lab.testbed.images import ImageInUse
from lab.testbed.testbed import Target, Testbed
from lab.vocabulary import Variant
from lab.wire import FORMATS

TOKENS = 12

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def testbed(images_in_use: Mapping[str, ImageInUse]) -> AsyncIterator[Testbed]:
    """The recommended configuration of every proxy."""
    recommended = load_scenario(shipped_scenarios() / "recommended")
    posts = [Target(s.proxy.id, s.proxy, s.config) for s in recommended.cases if s.label == Variant.FIXED]
    async with Testbed(posts, Containers(images_in_use)) as testbed:
        yield testbed


async def ask(client: httpx.AsyncClient, url: str, wire_format: str, plan: str) -> Answer:
    """One answer by way of httpx and the consumer, as the consumer's documentation shows it."""
    question = FORMATS[wire_format].ask("lab", stream=True, max_tokens=TOKENS)
    headers = {**dict(question.headers), PLAN_HEADER: plan}
    consumer = Consumer(wire_format)
    error: Exception | None = None
    try:
        async with client.stream("POST", url + question.path, content=question.body, headers=headers) as reply:
            consumer.head(reply.status_code, reply.headers)
            async for data in reply.aiter_bytes():
                consumer.feed(data)
    except httpx.HTTPError as failure:
        error = failure
    return consumer.close(error)


@pytest.mark.parametrize("wire_format", grid(sorted(FORMATS), quick=["openai-chat"]))
@pytest.mark.parametrize("fault", ["fin", "rst"])
@pytest.mark.parametrize("proxy", sorted(HOPS))
async def test_a_cut_after_k_tokens_is_partial_with_k_tokens(
    testbed: Testbed, proxy: str, fault: str, wire_format: str
) -> None:
    """Whichever token was the last, the consumer has just the tokens that were sent, and says that there are more."""
    async with httpx.AsyncClient(timeout=60) as client:
        plans = {k: f"tokens={TOKENS}&interval=10ms&fault={fault}@{k}&fault_delay=3s" for k in range(1, TOKENS)}
        answers = await asyncio.gather(*(ask(client, testbed.url(proxy), wire_format, plan) for plan in plans.values()))
    seen = dict(zip(plans, answers, strict=True))
    assert {k: type(answer) for k, answer in seen.items()} == dict.fromkeys(plans, Partial)
    assert {k: answer.tokens for k, answer in seen.items() if isinstance(answer, Partial)} == {k: k for k in plans}
    assert {answer.reason for answer in seen.values() if isinstance(answer, Partial)} == {PartialReason.CUT}


@pytest.mark.parametrize("wire_format", grid(sorted(FORMATS), quick=["openai-chat"]))
@pytest.mark.parametrize("proxy", sorted(HOPS))
async def test_a_whole_answer_is_complete(testbed: Testbed, proxy: str, wire_format: str) -> None:
    """The control: behind the same proxies, an answer that was not cut is whole."""
    async with httpx.AsyncClient(timeout=60) as client:
        answer = await ask(client, testbed.url(proxy), wire_format, f"tokens={TOKENS}&interval=10ms")
    assert isinstance(answer, Complete)
    assert answer.tokens == TOKENS
