"""The web application behind the page: its files, what can be raced, the relays and their verdicts.

    GET  /                 the page; what it needs stands below /static/, and the reports' colours in /palette.css
    GET  /races        the pairs and crashes with their configuration files, as JSON
    POST /race/streamed    {"run": "...", "route": "..."}: the proxy's own reply, see `lab.race.relay`
    POST /race/batch       the same answer in one piece
    POST /race/crash       a stream of which the model server writes only the first part
    POST /race/again       the same stream with a model server that lives
    GET  /verdict/RUN      what the lab's consumer made of that reply, once it is over

Nothing is fetched from anywhere else, and the policy of contents says so to the browser. On an address of this machine
alone, no other site's page is answered (`lab.model.browsers`).
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from lab.consume import Answer, Complete, Failed, Partial, Refused
from lab.errors import EnvironmentFault, LabError
from lab.model.browsers import is_loopback, refusal
from lab.model.connections import Connections, why_not_listening
from lab.model.reply import WrittenReply
from lab.plan import Plan
from lab.race.panes import ANSWER, DIES_AFTER, Races
from lab.race.relay import relay
from lab.reports.style import PALETTE

STATIC = Path(__file__).parent / "static"
AddressOf = Callable[[str], str]
"""From a route's key to the URL at which its proxy listens; raises `LabError` where the proxy is not up."""

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_RUN = re.compile(r"[0-9a-zA-Z-]{1,64}")
_KEPT = 64
"""Verdicts that are kept; the page asks for one as soon as its reply is over."""
_ASK_SECONDS = 10.0
"""Within which a request's body, some hundred bytes, has to be there."""


class _Door:
    """Lets pass whoever is on this machine, and everybody where other machines are to reach the page."""

    def __init__(self, host: str) -> None:
        self._asks = is_loopback(host)

    def refusal(self, request: web.BaseRequest, port: int) -> web.Response | None:
        """See `lab.model.connections.Doorkeeper`."""
        why = refusal(request.headers, port) if self._asks else ""
        return web.json_response({"problem": why}, status=403, headers=_HEADERS) if why else None

    def vouches(self, request: web.BaseRequest) -> bool:
        """See `lab.model.connections.Doorkeeper`."""
        return True


class RaceServer:
    """Serves the page inside `async with`.

    Args:
        offered: what can be raced.
        address_of: where each route's proxy listens.
        host: the address to listen on.
        port: the port; 0 takes a free one.
    """

    def __init__(self, offered: Races, address_of: AddressOf, host: str = "127.0.0.1", port: int = 0) -> None:
        self._offered = offered
        self._address_of = address_of
        self._host, self._port = host, port
        self._verdicts: OrderedDict[str, asyncio.Future[Answer]] = OrderedDict()
        self._answers = {route.key: pair.plan for pair in offered.pairs for route in (pair.broken, pair.fixed)}
        self._crashes = {crash.route.key: crash.plan for crash in offered.crashes}
        self._runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=1.0)
        self._connections: Connections | None = None

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        self._connections = Connections(self._runner, _Door(self._host))
        try:
            self._host, self._port = await self._connections.start(self._host, self._port)
        except OSError as error:
            await self._runner.cleanup()
            problem = f"cannot listen on {self._host}:{self._port}: {why_not_listening(error)}"
            raise EnvironmentFault(problem, "Choose another port with --port; 0 takes a free one.") from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connections is not None:
            self._connections.close()
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """The page's address."""
        return f"http://[{self._host}]:{self._port}/" if ":" in self._host else f"http://{self._host}:{self._port}/"

    def _application(self) -> web.Application:
        app = web.Application(client_max_size=4096)
        app.on_response_prepare.append(_add_headers)
        app.router.add_get("/", _page)
        app.router.add_get("/palette.css", _palette)
        app.router.add_static("/static/", STATIC)
        app.router.add_get("/races", self._races)
        again = dict.fromkeys(self._crashes, ANSWER)
        app.router.add_post("/race/streamed", self._racing(self._answers, stream=True))
        app.router.add_post("/race/batch", self._racing(self._answers, stream=False))
        app.router.add_post("/race/crash", self._racing(self._crashes, stream=True))
        app.router.add_post("/race/again", self._racing(again, stream=True))
        app.router.add_get("/verdict/{run}", self._verdict)
        return app

    async def _races(self, _: web.Request) -> web.Response:
        pairs = [asdict(pair) | {"plan": _facts(pair.plan)} for pair in self._offered.pairs]
        crashes = [asdict(crash) | {"plan": _facts(crash.plan)} for crash in self._offered.crashes]
        return web.json_response({"pairs": pairs, "crashes": crashes, "diesAfter": DIES_AFTER})

    def _racing(
        self, plans: Mapping[str, Plan], *, stream: bool
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """A handler that relays one reply, to the plan of the route that the request names."""

        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                async with asyncio.timeout(_ASK_SECONDS):
                    body = await request.text()
                run, route = _read_ask(body)
                plan, url = plans[route], self._address_of(route)
            except TimeoutError:
                return web.json_response({"problem": "the request never came to its end"}, status=408)
            except (ValueError, LookupError) as error:
                return web.json_response({"problem": f"no such race: {error}"}, status=400)
            except LabError as error:
                return web.json_response({"problem": str(error)}, status=502)
            return await self._relay(request, run, url, plan, stream=stream)

        return handle

    async def _relay(self, request: web.Request, run: str, url: str, plan: Plan, *, stream: bool) -> web.StreamResponse:
        browser = request.transport
        if browser is None:
            return WrittenReply(survives=False)
        verdict = self._keep(run)
        try:
            answer = await relay(url, plan, browser, stream=stream)
        except OSError as error:
            verdict.cancel()
            return web.json_response({"problem": f"the proxy cannot be reached: {error}"}, status=502)
        except asyncio.CancelledError:
            verdict.cancel()
            raise
        verdict.set_result(answer)
        return WrittenReply(survives=False)

    def _keep(self, run: str) -> asyncio.Future[Answer]:
        self._verdicts[run] = verdict = asyncio.get_running_loop().create_future()
        while len(self._verdicts) > _KEPT:
            self._verdicts.popitem(last=False)
        return verdict

    async def _verdict(self, request: web.Request) -> web.Response:
        verdict = self._verdicts.get(request.match_info["run"])
        if verdict is None or verdict.cancelled():
            return web.json_response({"problem": "no such run, or it was given up"}, status=404)
        return web.json_response(in_json(await asyncio.shield(verdict)))


def in_json(answer: Answer) -> dict[str, Any]:
    """A verdict of `lab.consume` as the page reads it."""
    match answer:
        case Complete():
            return {"kind": "complete", "tokens": answer.tokens, "reason": answer.reason, "detail": ""}
        case Partial():
            told = {"kind": "partial", "tokens": answer.tokens, "reason": answer.reason, "detail": answer.detail}
            return told | {"retry": answer.retry}
        case Refused():
            return {"kind": "refused", "tokens": 0, "reason": answer.kind, "detail": answer.message}
        case Failed():
            return {"kind": "failed", "tokens": 0, "reason": answer.reason, "detail": answer.detail}


def _facts(plan: Plan) -> dict[str, Any]:
    """What the page says of a plan; times in seconds."""
    return {"tokens": plan.tokens, "first": plan.ttft, "interval": plan.interval, "seconds": plan.length}


def _read_ask(body: str) -> tuple[str, str]:
    """The run and the route that a request names.

    Raises:
        ValueError: it names none, or not as the page does.
    """
    try:
        fields = json.loads(body)
    except RecursionError:
        raise ValueError("the body is nested too deep") from None
    if not isinstance(fields, dict) or not isinstance(fields.get("route"), str):
        raise ValueError("route: a key from /races is required")
    run = fields.get("run")
    if not isinstance(run, str) or not _RUN.fullmatch(run):
        raise ValueError("run: letters, digits and hyphens are required")
    return run, fields["route"]


async def _page(_: web.Request) -> web.FileResponse:
    return web.FileResponse(STATIC / "race.html")


async def _palette(_: web.Request) -> web.Response:
    return web.Response(text=PALETTE.read_text(encoding="utf-8"), content_type="text/css")


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
