"""A path that takes its only server out after a failure: told, waited for, and asked again one at a time."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from aiohttp import ClientSession, ClientTimeout, web

from lab.cli.active import exit_code
from lab.errors import EnvironmentFault, ExitCode
from lab.evidence import Evidence, Trace, TransportEnd
from lab.judge import Exchanged
from lab.measure.faults import not_in_the_ledger, stopped_answering
from lab.measure.findings import Found
from lab.measure.outage import ENOUGH, Outage, outage_of, still_to_ask
from lab.measure.run import ActiveRun
from lab.measure.target import AuditTarget
from lab.model.server import ModelServer
from lab.plan import make_plan
from lab.suite.exchange import Exchange
from lab.suite.search import search
from lab.suite.settle import one_format
from lab.vocabulary import Ending, Requirement, State, Watched

from . import made
from .auditing import audit_actively
from .test_run import endpoint

LONGEST = 5.0


def turned_away(exchange: Exchange, status: int = 502, took: float = 0.01) -> Exchanged:
    """What a path answers by itself that has no server."""
    start = made.BEGAN + exchange.delay
    trace = Trace(start, start + took, TransportEnd.FRAMED, status=status, headers_at=start + took)
    return Exchanged.alone(exchange, Evidence("openai-chat", exchange.stream, trace, exchange.plan))


def by_watched(exchanges: list[Exchange], watched: Watched) -> list[Exchange]:
    """Those that wait in that way."""
    return [each for each in exchanges if each.watched is watched]


def test_an_outage_is_told_with_what_came_before_it() -> None:
    """A timeout of 2 s, and then nothing but 502 at once."""
    late = by_watched(search(LONGEST), Watched.FIRST_BYTE)
    first = made.played(late[0], cut=2.0, left=2.0, end=TransportEnd.NO_REPLY)
    later = [replace(each, delay=each.delay + 2.0) for each in by_watched(search(LONGEST), Watched.TOTAL)]
    seen = [first, *map(turned_away, later)]
    outage = outage_of(seen)
    assert outage is not None
    assert (outage.refused, outage.of, outage.looks) == (6, 7, "502")
    assert "answers 502 at once, after it ended late-1 after 2.00 s" in outage.words
    assert "max_fails" in outage.words


@pytest.mark.parametrize(("status", "took", "count"), [(502, 0.01, 2), (504, 3.0, 6), (404, 0.01, 6)])
def test_what_is_no_outage(status: int, took: float, count: int) -> None:
    """One or two refused requests, a timeout's own answer, and a wrong address."""
    steady = by_watched(search(LONGEST), Watched.TOTAL)[:count]
    assert outage_of([turned_away(each, status, took) for each in steady]) is None


def test_what_came_back_late_is_said() -> None:
    """How long the outage lasted, or for how long nobody came back."""
    outage = Outage(6, 7, "502", "")
    assert "back after 10 s" in replace(outage, seconds=10.2, over=True).words
    assert "not back after 60 s" in replace(outage, seconds=60.0).words


def test_only_what_is_needed_is_asked_again() -> None:
    """Each long wait may cost an outage: three of a kind, without those that came through, and whatever settles."""
    searched = search(LONGEST)
    batch, steady = by_watched(searched, Watched.BATCH_REPLY), by_watched(searched, Watched.TOTAL)
    tokens = [each for each in one_format(made.CHAT, http_2=False) if each.name == "tokens"]
    seen = [*map(made.played, batch[:2]), *map(turned_away, [*batch[2:], *steady, *tokens])]
    again = [each.name for each in still_to_ask(seen, LONGEST)]
    assert again == [batch[2].name, *(each.name for each in steady[:ENOUGH]), "tokens"]


class Balancer:
    """Passes requests to one server and gives up after a second of silence, which takes that server out for two."""

    def __init__(self, upstream: str, out_for: float) -> None:
        self._upstream, self._out_for, self._out_until = upstream, out_for, 0.0

    async def __aenter__(self) -> Balancer:
        self._client = ClientSession(timeout=ClientTimeout(total=None, sock_read=1.2))
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._pass)
        self._runner = web.AppRunner(app, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._client.close()

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        if time.monotonic() < self._out_until:
            return web.Response(status=502, text="no live upstreams")
        headers = {key: value for key, value in request.headers.items() if key not in ("Host", "Content-Length")}
        answer: web.StreamResponse | None = None
        try:
            body = await request.read()
            async with self._client.request(
                request.method, self._upstream + request.path_qs, data=body, headers=headers
            ) as reply:
                answer = web.StreamResponse(status=reply.status, headers={"Content-Type": reply.content_type})
                await answer.prepare(request)
                async for piece in reply.content.iter_any():
                    await answer.write(piece)
        except TimeoutError:
            if answer is None:
                self._out_until = time.monotonic() + self._out_for
                return web.Response(status=504, text="late")
            raise
        return answer


class Tried(Balancer):
    """One that took its server out before, and tries it with two requests until one of them is over."""

    tried = 0
    back = False

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        if "/lab/" in request.path:
            return await super()._pass(request)
        self.tried += 1
        if self.tried > 2 and not self.back:
            return web.Response(status=502, text="no live upstreams")
        answer = await super()._pass(request)
        self.back = True
        return answer


async def test_a_path_that_tries_its_server_again_is_audited(monkeypatch: pytest.MonkeyPatch) -> None:
    """The audit before took it out, and of the first eight requests most are turned away (nginx, measured)."""
    monkeypatch.setattr(ActiveRun, "_exchanges", lambda _: [Exchange("one", make_plan({"tokens": 3}))])
    async with ModelServer() as model, Tried(model.base_url, out_for=0.0) as balancer:
        run = ActiveRun(AuditTarget(endpoint(balancer.url), model_url=model.base_url), 2.0, at_once=8)
        await run.run()
    assert balancer.tried > 9, "nothing was turned away"
    assert [each.verdict.ending for each in run.made] == [Ending.COMPLETE]


def test_what_came_through_is_not_said_to_have_missed_the_model_server() -> None:
    """Of eight requests three were turned away, twice: the others reached it."""
    away = turned_away(Exchange("first-0", make_plan({"tokens": 3}))).evidence
    fault = not_in_the_ledger(AuditTarget(endpoint("http://127.0.0.1:9")), away, 3, 8)
    assert "3 of 8 exchanges did not reach the model server" in fault.problem
    assert "no exchange" not in fault.problem
    assert "max_fails" in fault.remedy


@pytest.mark.grid
async def test_the_search_goes_on_one_at_a_time() -> None:
    """Behind a balancer that takes its server out for a while, the timeout is found all the same."""
    async with ModelServer() as model, Balancer(model.base_url, out_for=2.0) as balancer:
        target = AuditTarget(endpoint(balancer.url), model_url=model.base_url)
        findings = await audit_actively(target, longest=2.0)
    found = {each.watched: each for each in findings.timeouts}[Watched.FIRST_BYTE]
    # Where lateness of the machine has cost the lively streams, it may be one on the whole, but at that time.
    value = found.value if found.found is Found.TIMEOUT else found.ended_at
    assert value == pytest.approx(1.2, abs=0.5), found.sentence
    assert any("it takes the server out for a while" in note for note in findings.notes)
    told = {each.requirement: each.state for each in findings.observations}
    assert told[Requirement.WAITS_FOR_BATCH_REPLIES] is State.NOT_MET
    assert exit_code(findings) is ExitCode.REQUIREMENT_FAILED


@pytest.mark.grid
async def test_a_server_that_stays_out_is_no_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where most exchanges met nobody, the audit says so and does not end with 0."""
    monkeypatch.setattr("lab.measure.run._MOST_OUTAGE", 3.0)
    async with ModelServer() as model, Balancer(model.base_url, out_for=1000.0) as balancer:
        target = AuditTarget(endpoint(balancer.url), model_url=model.base_url)
        findings = await audit_actively(target, longest=2.0)
    assert any("it was not back after 3 s" in note for note in findings.notes)
    assert exit_code(findings) is not ExitCode.AS_REQUIRED


@pytest.mark.grid
async def test_where_only_the_path_could_tell_its_health_check_is_named() -> None:
    """Without the model server's own address nothing can be read while the path refuses."""
    async with ModelServer() as model, Balancer(model.base_url, out_for=1000.0) as balancer:
        with pytest.raises(EnvironmentFault) as told:
            await audit_actively(AuditTarget(endpoint(balancer.url)), longest=2.0)
    assert "max_fails" in told.value.remedy
    assert "--model-url" in told.value.remedy


def test_exchanges_that_were_lost_while_the_path_refused_name_its_health_check() -> None:
    """Some of the ledger could not be read through the path: the note says what may have been, and what to do."""
    run = ActiveRun(AuditTarget(endpoint("http://127.0.0.1:9")), 2.0)
    run.failed.append(stopped_answering(run.target, TimeoutError()))
    (note,) = [note for note in run.findings().notes if "1 exchanges were lost" in note]
    assert "max_fails" in note
    assert "--model-url" in note
