"""The run: what it asks, in which order, what it keeps, and what ends it early."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from aiohttp import web

from lab.audit.programme import MOST_TOKENS, OFFERED, Wish, make_programme
from lab.audit.run import Run
from lab.endpoint.address import endpoints_of
from lab.endpoint.keys import Keys, read_keys
from lab.errors import ExitCode
from lab.evidence import HttpVersion
from lab.judge.reading import read
from lab.model.server import ModelServer

MODEL = "lab?tokens=8&interval=5ms"
CLEAR = endpoints_of("http://127.0.0.1:1/v1/chat/completions")
SECURE = endpoints_of("https://h/v1/chat/completions")
THREE = endpoints_of(
    "https://h/v1/chat/completions", hops=["gate=https://g/v1"], direct="http://127.0.0.1:1/v1/chat/completions"
)


class TestProgramme:
    def test_the_first_round_is_one_plain_request(self) -> None:
        """The check costs one answer, over the route that was asked about."""
        (check,) = make_programme(THREE, Wish()).rounds[0]
        assert check.endpoint.route.name == "path"
        assert (check.setting.http, check.setting.accept_encoding, check.setting.at_once) == (
            HttpVersion.HTTP_1_1,
            "",
            1,
        )

    @pytest.mark.parametrize(("endpoints", "requests"), [(CLEAR, 3 * 2 + 3), (SECURE, 3 * 4 + 2 * 3)])
    def test_the_defaults(self, endpoints: tuple, requests: int) -> None:  # type: ignore[type-arg]
        """Three runs with and without Accept-Encoding, over TLS in both versions, and three at once in each."""
        programme = make_programme(endpoints, Wish())
        assert programme.requests == requests
        assert programme.tokens == requests * 600
        assert f"at most {requests * 600:,} tokens" in programme.cost()
        assert not programme.left_out

    def test_every_setting_is_asked_as_often_as_wished(self) -> None:
        """Versions and codings in all combinations."""
        rounds = make_programme(SECURE, Wish(runs=2, at_once=1)).rounds
        asked = Counter((one.setting.http, one.setting.accept_encoding) for requests in rounds for one in requests)
        assert asked == {(version, coding): 2 for version in HttpVersion for coding in ("", OFFERED)}

    def test_the_routes_take_turns(self) -> None:
        """A model that is slow for an hour is slow for all routes."""
        rounds = make_programme(THREE, Wish(runs=2, at_once=1)).rounds
        assert [requests[0].endpoint.route.name for requests in rounds[:6]] == ["path", "gate", "direct"] * 2

    def test_a_version_can_be_chosen(self) -> None:
        """--http 2 asks in HTTP/2 only, in clear text too."""
        rounds = make_programme(CLEAR, Wish(http=(HttpVersion.HTTP_2,))).rounds
        assert {one.setting.http for requests in rounds for one in requests} == {HttpVersion.HTTP_2}

    @pytest.mark.parametrize("max_tokens", [1500, 4000, 12_000])
    def test_an_expensive_wish_is_reduced_and_says_so(self, max_tokens: int) -> None:
        """Settings are left out, the audited route's last, until the bound holds."""
        programme = make_programme(THREE, Wish(max_tokens=max_tokens))
        assert programme.tokens <= MOST_TOKENS
        assert programme.left_out
        assert programme.rounds[0][0].endpoint.route.name == "path"

    def test_the_least_programme_is_one_request_a_way(self) -> None:
        """One answer longer than the bound is asked for nevertheless: the user named its length."""
        programme = make_programme(CLEAR, Wish(max_tokens=MOST_TOKENS * 2))
        assert programme.requests == 1
        assert "1 request of at most 100,000 tokens" in programme.cost()


@pytest_asyncio.fixture
async def model() -> AsyncIterator[ModelServer]:
    """The lab's own model server, as a foreign endpoint."""
    async with ModelServer() as server:
        yield server


@pytest_asyncio.fixture(name="said")
async def _said() -> list[str]:
    return []


def run_of(url: str, said: list[str], *, model: str = MODEL, keys: Keys | None = None, **more: object) -> Run:
    """A run over one route, and more of the same as `hops` and `direct`."""
    wish = more.pop("wish", Wish(runs=2, at_once=3))
    endpoints = endpoints_of(url, **more)  # type: ignore[arg-type]
    programme = make_programme(endpoints, wish)  # type: ignore[arg-type]
    return Run(programme, keys or Keys(), model, 30.0, None, said.append)


class TestRun:
    async def test_every_request_gives_a_sample(self, model: ModelServer, said: list[str]) -> None:
        """All settings, each with the whole answer, and a line of progress for each round."""
        run = run_of(f"{model.base_url}/v1/chat/completions", said)
        await run.run()
        assert run.stop is None
        assert len(run.samples) == run.made == run.programme.requests == 2 * 2 + 3
        assert {read(sample.evidence).received for sample in run.samples} == {8}
        assert [sample.setting.at_once for sample in run.samples[-3:]] == [3, 3, 3]
        assert said[-1] == "request 5 to 7 of at most 7: path, HTTP/1.1, 3 at once"

    @pytest.mark.parametrize("path", ["/v1/messages", "/v1/responses", "/api/chat"])
    async def test_every_format_is_recognised_by_its_path(self, model: ModelServer, said: list[str], path: str) -> None:
        """The address is enough."""
        run = run_of(model.base_url + path, said, wish=Wish(runs=1, at_once=1))
        await run.run()
        assert run.stop is None
        assert {read(sample.evidence).received for sample in run.samples} == {8}

    async def test_a_dead_hop_is_left_out(self, model: ModelServer, said: list[str]) -> None:
        """The other routes go on, and it is said why that one is missing."""
        url = f"{model.base_url}/v1/chat/completions"
        run = run_of(url, said, hops=["gone=http://127.0.0.1:1/v1"], direct=url)
        await run.run()
        assert run.stop is None
        assert len(run.unmeasured) == 1
        assert run.unmeasured[0].startswith("gone could not be measured: 127.0.0.1:1: the connection cannot be opened")
        routes = Counter(sample.setting.route.name for sample in run.samples)
        assert routes == {"path": 7, "direct": 7, "gone": 1}

    async def test_what_was_learnt_survives_cancelling(self, model: ModelServer, said: list[str]) -> None:
        """Whoever stops the run in the middle has every finished sample."""
        begun = asyncio.Event()

        def say(line: str) -> None:
            if line.startswith("request 3"):
                begun.set()

        run = run_of(f"{model.base_url}/v1/chat/completions", said)
        run.say = say
        task = asyncio.create_task(run.run())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(run.samples) == 2


@asynccontextmanager
async def serving(handler: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[str]:
    """A server that answers every POST with the handler; gives the endpoint's address."""
    app = web.Application()
    app.router.add_post("/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1/chat/completions"
    finally:
        await runner.cleanup()


STREAM = b'data: {"choices":[{"index":0,"delta":{"content":"one"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


class Limited:
    """Streams, but answers with a rate limit to the requests of these numbers (from 1)."""

    def __init__(self, *refused: int, retry_after: str = "") -> None:
        self.refused, self.retry_after, self.count = refused, retry_after, 0

    async def answer(self, _request: web.Request) -> web.Response:
        """Answer one request."""
        self.count += 1
        if self.count in self.refused:
            headers = {"Retry-After": self.retry_after} if self.retry_after else {}
            return web.json_response({"error": {"message": "slow down"}}, status=429, headers=headers)
        return web.Response(body=STREAM, content_type="text/event-stream")


class TestRateLimits:
    async def test_a_limit_in_the_middle_ends_the_run(self, said: list[str]) -> None:
        """What came before is kept; nothing more is asked."""
        limited = Limited(3)
        async with serving(limited.answer) as url:
            run = run_of(url, said)
            await run.run()
        assert run.stop is not None
        assert run.stop.code is ExitCode.NO_ENVIRONMENT
        assert "429, rate limit" in run.stop.problem
        assert [sample.evidence.trace.status for sample in run.samples] == [200, 200, 429]
        assert limited.count == 3

    async def test_a_short_wait_is_waited_once(self, said: list[str]) -> None:
        """Retry-After of no time at all: the request is made again, and the run goes on."""
        limited = Limited(3, retry_after="0")
        async with serving(limited.answer) as url:
            run = run_of(url, said)
            await run.run()
        assert run.stop is None
        assert {sample.evidence.trace.status for sample in run.samples} == {200}
        assert limited.count == 8

    @pytest.mark.parametrize("retry_after", ["3600", "Wed, 21 Oct 2026 07:28:00 GMT"])
    async def test_a_long_wait_is_not_waited(self, said: list[str], retry_after: str) -> None:
        """An hour, or a date on somebody else's timeout, ends the run."""
        limited = Limited(2, retry_after=retry_after)
        async with serving(limited.answer) as url:
            run = run_of(url, said)
            await run.run()
        assert run.stop is not None
        assert limited.count == 2


async def test_a_redirect_is_not_followed(said: list[str]) -> None:
    """The key stays with the host that it was meant for; the message names the place."""
    asked: list[str] = []

    async def other(request: web.Request) -> web.Response:
        asked.append(request.headers.get("Authorization", ""))
        return web.Response(body=STREAM, content_type="text/event-stream")

    async with serving(other) as elsewhere:

        async def redirect(_request: web.Request) -> web.Response:
            return web.Response(status=307, headers={"Location": elsewhere})

        async with serving(redirect) as url:
            keys = read_keys("openai-chat", {"path": url}, key_env=["K"], environment={"K": "sk-0123456789"})
            run = run_of(url, said, keys=keys)
            await run.run()
    assert asked == []
    assert run.stop is not None
    assert run.stop.code is ExitCode.BAD_INPUT
    assert f"307, redirected to {elsewhere}" in run.stop.problem


async def test_an_echoed_key_is_masked_before_anything_reads_it(said: list[str]) -> None:
    """Headers and bodies of a server that repeats what it was sent."""
    key = "sk-proj-0123456789abcdef"
    seen: list[str] = []

    async def echo(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        body = f'{{"error": {{"message": "bad key {seen[-1]}"}}}}'
        return web.Response(status=401, text=body, headers={"X-Echo": seen[-1]})

    async with serving(echo) as url:
        keys = read_keys("openai-chat", {"path": url}, key_env=["K"], environment={"K": key})
        run = run_of(url, said, keys=keys)
        await run.run()
    assert seen == [f"Bearer {key}"]
    assert run.stop is not None
    assert key not in repr(run.samples) + repr(run.stop) + repr(run) + "".join(said)
