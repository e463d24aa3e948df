"""The measuring side, against a model server in this process: what is refused, found, and never shown."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
import trustme
from aiohttp import ClientSession, ClientTimeout, web
from pydantic import TypeAdapter
from rich.console import Console

from lab.audit.report.active_page import active_page
from lab.audit.report.active_text import lines_of, print_active
from lab.cli.active import Active, target_of
from lab.endpoint.address import Endpoint, endpoint_of
from lab.endpoint.keys import Keys
from lab.errors import BadInput, EnvironmentFault
from lab.evidence import Stall
from lab.measure.findings import ActiveFindings, Found, Holds
from lab.measure.run import ActiveRun
from lab.measure.target import AuditTarget, side_url_of
from lab.model.server import ModelServer
from lab.probe.side_channel import SideChannel
from lab.suite.settle import one_format
from lab.vocabulary import Delivery, Requirement, State, Watched

from . import made
from .auditing import audit_actively

SECRET = "correct-horse-battery"
LONGEST = 1.5
NO_TLS = (None, None)


def endpoint(url: str, path: str = "/v1/chat/completions") -> Endpoint:
    """The endpoint at that address."""
    return endpoint_of("path", url + path, None)


@pytest.fixture
async def model() -> AsyncIterator[ModelServer]:
    """A model server that obeys everybody."""
    async with ModelServer() as running:
        yield running


class Gateway:
    """A small gateway: posts what it gets to one of several model servers, and may repeat, strip or swallow things."""

    def __init__(
        self,
        upstreams: list[str],
        *,
        twice: bool = False,
        strips: bool = False,
        stays: bool = False,
        timeout: float | None = None,
        base: str = "",
        only: str = "",
        width: int | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._upstreams = upstreams
        self._turn = 0
        self._twice, self._strips, self._stays = twice, strips, stays
        self._base, self._tls, self._only = base, tls, only
        self._places = asyncio.Semaphore(width or 1000)
        self._timeout = ClientTimeout(total=None, sock_read=timeout)

    async def __aenter__(self) -> Gateway:
        self._client = ClientSession(timeout=self._timeout)
        app = web.Application()
        app.router.add_route("*", self._base + "/{path:.*}", self._pass)
        self._runner = web.AppRunner(app, handler_cancellation=not self._stays)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls).start()
        self.url = f"http{'s' if self._tls else ''}://127.0.0.1:{self._runner.addresses[0][1]}{self._base}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._client.close()

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        async with self._places:
            return await self._passed(request)

    async def _passed(self, request: web.Request) -> web.StreamResponse:
        self._turn += 1
        upstream = self._upstreams[self._turn % len(self._upstreams)]
        body = await request.read()
        headers = {key: value for key, value in request.headers.items() if key not in ("Host", "Content-Length")}
        if self._only:
            named = json.loads(body)["model"] if request.path == "/v1/chat/completions" else ""
            if named != self._only:
                return web.Response(status=404, text=f"no model named {named!r} here")
        if self._strips:
            headers = {key: value for key, value in headers.items() if not key.startswith("X-Lab")}
        answer: web.StreamResponse | None = None
        for _ in range(2 if self._twice and request.method == "POST" and "/lab/" not in request.path else 1):
            async with self._client.request(
                request.method, upstream + request.path_qs.removeprefix(self._base), data=body, headers=headers
            ) as reply:
                if answer is None:
                    answer = web.StreamResponse(status=reply.status, headers={"Content-Type": reply.content_type})
                    # Who stays reads on for a client that has left before the headers, too.
                    with suppress(ConnectionError):
                        await answer.prepare(request)
                async for piece in reply.content.iter_any():
                    with suppress(ConnectionError):
                        await answer.write(piece)
        assert answer is not None
        return answer


async def test_a_clear_path_meets_everything(model: ModelServer) -> None:
    """No timeout up to the longest answer, every token as it comes, and one sentence for each requirement."""
    findings = await audit_actively(AuditTarget(endpoint(model.base_url)), longest=LONGEST)
    assert {found.found for found in findings.timeouts} == {Found.NONE}
    assert all(found.proven >= LONGEST for found in findings.timeouts)
    assert [each.requirement for each in findings.observations] == list(Requirement)
    not_met = {each.requirement: each.state for each in findings.observations if each.state is not State.MET}
    elsewhere = (
        Requirement.MAKES_PARTIAL_ANSWERS_VISIBLE,
        Requirement.SERVES_OTHERS_MEANWHILE,
        Requirement.TURNS_NOBODY_AWAY,
        Requirement.SURVIVES_A_RELOAD,
        Requirement.SURVIVES_A_MODEL_RESTART,
        Requirement.REUSES_CONNECTIONS,
        Requirement.REUSES_NO_CLOSED_CONNECTION,
        Requirement.WAITS_FOR_SLOW_READERS,
    )
    assert not_met == dict.fromkeys(elsewhere, State.NOT_APPLICABLE)
    assert {each.delivery for each in findings.modes} == {Delivery.INCREMENTAL}
    assert findings.through_path
    # Plain data: what is saved can be read again.
    adapter = TypeAdapter(ActiveFindings)
    assert adapter.validate_json(adapter.dump_json(findings)) == findings
    assert lines_of(findings)[0] == findings.summary


@pytest.mark.grid
async def test_a_gateway_that_asks_twice_and_stays_is_found_out(model: ModelServer) -> None:
    """A POST that is generated twice, and a model that is not stopped when the client leaves."""
    async with Gateway([model.base_url], twice=True, stays=True) as gateway:
        findings = await audit_actively(AuditTarget(endpoint(gateway.url), model_url=model.base_url), longest=LONGEST)
    answers = {each.name: each.answer for each in findings.effects}
    assert answers["generates-once"] is Holds.NO
    assert answers["leaving-stops-the-model-before-the-first-token"] is Holds.NO


async def test_a_ledger_that_lacks_requests_is_a_clear_error() -> None:
    """Replicas behind the path: said before anything is measured."""
    servers = [ModelServer() for _ in range(2)]
    for server in servers:
        await server.start()
    try:
        async with Gateway([server.base_url for server in servers]) as gateway:
            with pytest.raises(EnvironmentFault, match="several model servers") as caught:
                await audit_actively(AuditTarget(endpoint(gateway.url), model_url=servers[0].base_url), longest=LONGEST)
        assert caught.value.remedy
    finally:
        for server in servers:
            await server.aclose()


async def test_a_gateway_that_passes_nothing_but_questions_is_audited(model: ModelServer) -> None:
    """It takes the lab's headers out, wants its own model's name and passes no /lab/: the message says it all."""
    async with Gateway([model.base_url], strips=True, only="house-model") as gateway:
        target = AuditTarget(endpoint(gateway.url), model="house-model")
        findings = await audit_actively(target, longest=LONGEST)
    assert {found.found for found in findings.timeouts} == {Found.NONE}
    told = {each.requirement: each.state for each in findings.observations}
    assert told[Requirement.DELIVERS_TOKENS_AS_THEY_COME] is State.MET
    assert told[Requirement.GENERATES_ONCE] is State.MET
    assert any("by questions in the user's message" in note and "--model-url" in note for note in findings.notes)


async def test_the_gateways_own_words_are_quoted(model: ModelServer) -> None:
    """Which model's names it knows, nobody else can tell."""
    async with Gateway([model.base_url], strips=True, only="house-model") as gateway:
        with pytest.raises(EnvironmentFault, match="no model named 'lab' here"):
            await audit_actively(AuditTarget(endpoint(gateway.url), model_url=model.base_url), longest=LONGEST)


async def test_nobody_there_is_a_clear_error() -> None:
    """No model server behind the address: the address and the remedy."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(EnvironmentFault, match=f"127.0.0.1:{port}") as caught:
            await audit_actively(AuditTarget(endpoint(f"http://127.0.0.1:{port}")), longest=LONGEST)
    assert "lab serve" in caught.value.remedy


async def test_the_wrong_secret_is_a_clear_error_and_the_right_one_is_shown_nowhere(tmp_path: Path) -> None:
    """401 names what to give; with the secret the audit runs, and nothing that it finds or prints contains it."""
    file = tmp_path / "secret"
    file.write_text(SECRET)
    async with ModelServer(secret=SECRET) as server:
        place = endpoint(server.base_url, "/v1/messages")
        wrong = target_of(place, Active(), Keys(), NO_TLS, {"LAB_SECRET": "another-secret-of-mine"})
        with pytest.raises(EnvironmentFault, match="401") as caught:
            await audit_actively(wrong, longest=LONGEST)
        assert "--secret-file" in caught.value.remedy
        target = target_of(place, Active(secret_file=file), Keys(), NO_TLS, {})
        findings = await audit_actively(target, longest=LONGEST)
    shown = TypeAdapter(ActiveFindings).dump_json(findings).decode() + "\n".join(lines_of(findings)) + repr(target)
    assert SECRET not in shown
    assert json.loads(TypeAdapter(ActiveFindings).dump_json(findings))["wire_format"] == "anthropic-messages"


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8000",
        "ftp://127.0.0.1",
        "http://[::1",
        "http://me:correct-horse@127.0.0.1:8000",
        "http://127.0.0.1:8000?api_key=correct-horse",
        "http://127.0.0.1:8000?team=correct-horse",
    ],
)
def test_the_model_servers_own_address_is_checked_like_any_other(url: str) -> None:
    """Addresses are printed and saved: what is none is refused, and so is one with a secret, which is not repeated."""
    with pytest.raises(BadInput, match="--model-url") as caught:
        target_of(endpoint("http://127.0.0.1:1"), Active(model_url=url), Keys(), NO_TLS, {"LAB_SECRET": SECRET})
    assert caught.value.remedy
    assert "correct-horse" not in str(caught.value)


async def test_everything_may_go_over_tls_and_below_a_base_path() -> None:
    """Exchanges, confirmations and ledger go over https through the path, with the secret; HTTP/2 is offered."""
    authority = trustme.CA()
    certified = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    contexts = ssl.create_default_context(), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(certified)
    for context in contexts:
        authority.configure_trust(context)
    async with (
        ModelServer(secret=SECRET) as server,
        Gateway([server.base_url], base="/gate", tls=certified) as gateway,
    ):
        place = endpoint(gateway.url)
        target = target_of(place, Active(), Keys(), contexts, {"LAB_SECRET": SECRET})
        findings = await audit_actively(target, longest=LONGEST)
    assert findings.model_url == gateway.url
    deliveries = {each.name: each.delivery for each in findings.modes}
    assert deliveries.keys() == {"plain", "gzip", "http-2", "slow-reader"}
    assert deliveries["plain"] is Delivery.INCREMENTAL
    changes = {each.name: (each.changes, each.change) for each in findings.modes}
    assert changes["http-2"] == (Holds.NO, "the path does not speak HTTP/2: every reply came over HTTP/1.1")
    assert changes["gzip"] == (Holds.NO, "the path does not compress: every reply came without a content coding")


async def test_what_was_learnt_is_kept_when_it_is_stopped(model: ModelServer) -> None:
    """A run that is cancelled has findings on the exchanges that were over, and says how many were not."""
    begun = asyncio.Event()

    def say(_: str) -> None:
        begun.set()

    run = ActiveRun(AuditTarget(endpoint(model.base_url)), 30.0, say)
    task = asyncio.create_task(run.run())
    await begun.wait()
    async with asyncio.timeout(30):
        while not any(made.exchange.name == "plain-1" for made in run.made):  # noqa: ASYNC110 - a list tells nobody
            await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    findings = run.findings()
    assert findings.modes
    assert any(note.startswith("stopped early") for note in findings.notes)
    assert all(found.found is not Found.NONE for found in findings.timeouts)


@pytest.mark.parametrize("longest", [0.0, 0.5, 1e6])
def test_a_length_that_makes_no_sense_is_bad_input(longest: float) -> None:
    """Too short to tell timeouts apart, or longer than anybody would wait."""
    with pytest.raises(BadInput, match="--longest"):
        ActiveRun(AuditTarget(endpoint("http://127.0.0.1:1")), longest)


@pytest.mark.parametrize(
    ("url", "side"),
    [
        ("https://host/v1/chat/completions", "https://host"),
        ("https://host/gate/v1/messages?team=a", "https://host/gate"),
    ],
)
def test_the_side_channel_is_below_the_same_base(url: str, side: str) -> None:
    """What stands before the wire format's own path stands before the ledger's too."""
    assert side_url_of(endpoint_of("path", url, None)) == side


def test_a_path_without_a_known_base_is_asked_by_questions() -> None:
    """Nobody could know where the ledger is."""
    place = endpoint_of("path", "https://host/ask", "openai-chat")
    assert side_url_of(place) is None
    assert AuditTarget(place).side_url == "https://host/ask"


async def test_the_histogram_the_timeouts_and_what_mends_them_are_printed(model: ModelServer) -> None:
    """A gateway with a first-byte timeout: its value stands in the text, with a bar of terminations."""
    async with Gateway([model.base_url], timeout=1.2) as gateway:
        findings = await audit_actively(AuditTarget(endpoint(gateway.url), model_url=model.base_url), longest=2.0)
    first = next(each for each in findings.timeouts if each.watched is Watched.FIRST_BYTE)
    assert first.found is Found.TIMEOUT
    assert first.value == pytest.approx(1.2, abs=0.5)
    out = StringIO()
    print_active(findings, Console(file=out, width=400))
    assert "██ " in out.getvalue()
    assert first.sentence in out.getvalue()
    assert "Remedy for waits-for-the-first-token" in out.getvalue()
    assert "Raise every timeout on this route" in out.getvalue()
    known = replace(findings, products=("nginx",), started="2026-11-28T16:00:00+00:00")
    page = active_page(known)
    assert "nginx: `proxy_" in page
    assert "2026-11-28 16:00:00" in page
    assert 'class="bar"' in page


@pytest.mark.parametrize(("slow", "places"), [(0.0, None), (3.0, 2)])
async def test_a_path_that_was_slow_with_everything_is_asked_again_with_few_at_a_time(
    monkeypatch: pytest.MonkeyPatch, slow: float, places: int | None
) -> None:
    """Forty at a time kept it from running; thirty might again."""
    asked = {each.name: each for each in one_format(made.CHAT, http_2=False)}
    asleep = (Stall(made.BEGAN + 0.2, made.BEGAN + 1.2),)
    run = ActiveRun(AuditTarget(endpoint("http://127.0.0.1:1"), model_url="http://127.0.0.1:1"), 2.0)
    run.made = [made.later(made.played(asked[name], stalls=asleep), slow) for name in ("stream", "batch")]
    at_a_time = []

    async def note(self: ActiveRun, *_: object) -> None:
        at_a_time.append(self._places)

    monkeypatch.setattr(ActiveRun, "_ask", note)
    async with SideChannel("http://127.0.0.1:1") as channel:
        await run._ask_again(channel)
    assert at_a_time == [places]
