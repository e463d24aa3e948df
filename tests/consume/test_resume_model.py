"""Going on with a background response of the model server, with OpenAI's SDK, directly and through real proxies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

import httpx
import openai
import pytest
import pytest_asyncio
from hops import HOPS
from markers import grid

from lab.catalogue import load_scenario, shipped_scenarios
from lab.consume import Answer, Complete, Failed, FailedReason, Partial, PartialReason
from lab.consume.resume import Bookmark, aread_background, read_background
from lab.consume.sdk import aread, read
from lab.products import PROXIES
from lab.testbed.containers import Containers
from lab.testbed.images import ImageInUse
from lab.testbed.testbed import Target, Testbed
from lab.vocabulary import Variant
from lab.wire.tokens import read_tokens

PLAN = "lab?tokens=5&interval=20ms&fault={fault}"
# Between the last byte and a reset, so that a proxy has read all of it.
DELAY = "&fault_delay=1s"
RESET = f"rst@3{DELAY}"


def numbers(text: str) -> list[int]:
    """The numbers of the tokens in a text."""
    return [stamp.number for stamp in read_tokens(text)]


def generated(model: str, response: str | None) -> list[int]:
    """The tokens that the model server generated for a response, over all attempts, of which there is one."""
    attempts = httpx.get(f"{model}/lab/ledger/{response}").json()
    assert len(attempts) == 1
    return [token["number"] for token in attempts[0]["tokens"]]


def go(base: str, plan: str, shown: list[str], bookmark: Bookmark, timeout: float = 120.0) -> Answer:
    """Read a background response to its end."""
    with openai.OpenAI(base_url=f"{base}/v1", api_key="none", max_retries=0, timeout=timeout) as client:
        return read_background(
            client,
            lambda: client.responses.create(model=plan, input="Count.", background=True, stream=True),
            on_text=shown.append,
            bookmark=bookmark,
        )


async def ago(base: str, plan: str, shown: list[str], bookmark: Bookmark) -> Answer:
    """The same with the asynchronous client."""
    async with openai.AsyncOpenAI(base_url=f"{base}/v1", api_key="none", max_retries=0) as client:
        call = client.responses.create(model=plan, input="Count.", background=True, stream=True)
        return await aread_background(client, call, on_text=shown.append, bookmark=bookmark)


def assert_whole(answer: Answer, shown: list[str]) -> None:
    """Complete, with every token once."""
    assert isinstance(answer, Complete), answer
    assert numbers(answer.text) == [1, 2, 3, 4, 5]
    assert "".join(shown) == answer.text


FAULTS = [
    *[f"{kind}@{at}" for kind in ("fin", "no-marker") for at in range(1, 6)],
    *[f"rst@{at}{DELAY}" for at in range(1, 6)],
    *[f"{kind}@{at}" for kind in ("cut-json", "cut-utf8") for at in range(5)],
    "fin@end",
]


@pytest.mark.parametrize("fault", grid(FAULTS, quick=["fin@3", "no-marker@3", "cut-json@3", "cut-utf8@3"]))
def test_a_cut_anywhere_becomes_a_complete_answer(model: str, fault: str) -> None:
    """Each token comes once, and was generated once, however the first connection ended."""
    shown, bookmark = list[str](), Bookmark()
    assert_whole(go(model, PLAN.format(fault=fault), shown, bookmark), shown)
    assert generated(model, bookmark.response_id) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("fault", ["fin@3", "no-marker@3", RESET, "cut-json@3"])
async def test_an_asynchronous_client_goes_on_too(model: str, fault: str) -> None:
    """The same with the call not yet awaited."""
    shown, bookmark = list[str](), Bookmark()
    assert_whole(await ago(model, PLAN.format(fault=fault), shown, bookmark), shown)


def test_a_frozen_stream_is_gone_on_from_after_the_clients_patience(model: str) -> None:
    """The model did not freeze, only the connection: the rest is there at once."""
    shown, bookmark = list[str](), Bookmark()
    assert_whole(go(model, PLAN.format(fault="freeze@3"), shown, bookmark, timeout=6.0), shown)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("fin@start", FailedReason.CUT), ("fin@0", FailedReason.CUT), ("no-marker@0", FailedReason.EMPTY)],
)
def test_without_the_first_event_nothing_can_be_asked_for(model: str, fault: str, reason: FailedReason) -> None:
    """The response runs on, but its id was in the event that never came."""
    bookmark = Bookmark()
    answer = go(model, PLAN.format(fault=fault), [], bookmark)
    assert isinstance(answer, Failed)
    assert (answer.reason, bookmark.response_id) == (reason, None)


def test_a_model_error_ends_it(model: str) -> None:
    """There is no rest of an answer that the model gave up."""
    answer = go(model, PLAN.format(fault="error@3"), [], Bookmark())
    assert isinstance(answer, Partial)
    assert (numbers(answer.text), answer.reason) == ([1, 2, 3], PartialReason.MODEL_ERROR)


def test_a_bookmark_finds_the_whole_later(model: str) -> None:
    """A reader that gave up asks for the document: while the model works it is no answer, afterwards it is."""
    with openai.OpenAI(base_url=f"{model}/v1", api_key="none", max_retries=0) as client:
        name = "lab?tokens=3&interval=0s&gaps=3@10m"
        working = client.responses.create(model=name, input="Count.", background=True)
        early = read(lambda: client.responses.retrieve(working.id))
        assert isinstance(early, Failed)
        assert early.reason is FailedReason.EMPTY
        assert "does not say that the model has finished" in early.detail
        client.responses.cancel(working.id)
        stopped = read(lambda: client.responses.retrieve(working.id))
        assert isinstance(stopped, Partial)
        assert stopped.reason is PartialReason.UNKNOWN_FINISH_REASON
    bookmark = Bookmark()
    go(model, PLAN.format(fault="fin@3"), [], bookmark)
    with openai.OpenAI(base_url=f"{model}/v1", api_key="none", max_retries=0) as client:
        late = read(lambda: client.responses.retrieve(bookmark.response_id or ""))
    assert isinstance(late, Complete)
    assert numbers(late.text) == [1, 2, 3, 4, 5]


DEFAULT, IMPATIENT = "nginx-1.26 default", "nginx-1.26 with a timeout of 2 s"
ROUTES = [DEFAULT, IMPATIENT, *sorted(HOPS)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def testbed(images_in_use: Mapping[str, ImageInUse]) -> AsyncIterator[Testbed]:
    """The recommended configuration of every proxy, nginx in its defaults, and nginx with a short idle timeout."""
    scenarios = shipped_scenarios()
    posts = [
        Target(s.proxy.id, s.proxy, s.config)
        for s in load_scenario(scenarios / "recommended").cases
        if s.label == Variant.FIXED
    ]
    for key, scenario in {DEFAULT: "death-becomes-clean-end", IMPATIENT: "silent-gap"}.items():
        posts.append(Target(key, PROXIES["nginx-1.26"], scenarios / scenario / "nginx" / "broken.conf"))
    async with Testbed(posts, Containers(images_in_use)) as testbed:
        yield testbed


async def through(testbed: Testbed, route: str, plan: str) -> tuple[Answer, Answer, str]:
    """What comes of the response in the background, and of the same plan without; what was shown of the first."""
    shown, base = list[str](), testbed.url(route)
    async with openai.AsyncOpenAI(base_url=f"{base}/v1", api_key="none", max_retries=0) as client:
        resumed, plain = await asyncio.gather(
            ago(base, plan, shown, Bookmark()),
            aread(client.responses.create(model=plan, input="Count.", stream=True)),
        )
    return resumed, plain, "".join(shown)


@pytest.mark.engine
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "fault", grid(["fin@3", f"rst@3{DELAY}", "no-marker@3", "cut-json@3"], quick=[f"rst@3{DELAY}"])
)
@pytest.mark.parametrize("route", ROUTES)
async def test_a_cut_behind_a_proxy_becomes_a_complete_answer(testbed: Testbed, route: str, fault: str) -> None:
    """The plain response is half there; the background one is whole, with each token once.

    With one exception: nginx 1.26 in its defaults throws away what it holds when the model server resets, the
    response's id included.
    """
    resumed, plain, shown = await through(testbed, route, PLAN.format(fault=fault))
    if route == DEFAULT and fault.startswith("rst"):
        assert isinstance(resumed, Failed)
        assert resumed.reason is FailedReason.CUT
        return
    assert_whole(resumed, [shown])
    assert isinstance(plain, Partial)
    assert numbers(plain.text) == [1, 2, 3]


@pytest.mark.engine
@pytest.mark.asyncio(loop_scope="module")
async def test_a_silence_longer_than_a_proxys_timeout_is_survived(testbed: Testbed) -> None:
    """The proxy cuts every connection after its two seconds, and the answer comes whole all the same."""
    resumed, plain, shown = await through(testbed, IMPATIENT, "lab?tokens=5&interval=20ms&gaps=3@5s")
    assert_whole(resumed, [shown])
    assert not isinstance(plain, Complete)
