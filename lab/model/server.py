"""The model server over HTTP: the vendors' endpoints, and the lab's own side channel.

    POST /v1/chat/completions, /v1/responses, /v1/messages, /api/chat, /v1/sse, /v1/ndjson
                                                each wire format's path, streaming and batch
    GET  /v1/sse?PLAN                           a stream for a browser's EventSource, which cannot post
    GET  /v1/responses/{id}                     a background response; with ?stream=true&starting_after=N its events
    POST /v1/responses/{id}/cancel              stop generating it
    POST /v1/embeddings, /api/embed             vectors, at once (`lab.model.embeddings`)
    GET  /v1/models, /health, /api/tags, ...    for clients and load balancers that ask first (`lab.model.lookups`)
    GET  /lab/health                            ready
    GET  /lab/clock                             the ledger's clock: {"now": seconds}
    GET  /lab/ledger/{request}                  every attempt of a request, as `lab.evidence.Ledger`; under the id of a
                                                background response what was generated
    GET  /lab/refusals/{request}                what was asked for, by that request or by none, and is not served
    POST /lab/confirm/{request}/{number}        the probe has that token (lockstep); answers 204
    POST /lab/restart/{port}?down=&drain=       the server at that further port ends, and is there again

But for the lab's own, each stands under any prefix: configurations put the model below one, and take it off again.

The plan and the request's id come in headers, in the model's name or in the user's message (`lab.directive`); an id is
made up where there is none, and echoed. Nothing else is remembered but the ledger and, within
bounds, the background responses (`lab.model.background`). Who is let in: see `lab.model.guard`.

Whatever a client sends costs a bounded part of the memory: of connections (`lab.model.connections`), bodies and replies
(`lab.model.room`), shared schedules (`lab.model.schedule`), the ledger. Where there is no room, the answer is 429. What
takes long is worked out beside the event loop (`lab.model.aside`) or some steps at a time.

Warning: a side channel that leads through a proxy takes that proxy's time and meets its limits.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from lab.model.aside import Aside
from lab.model.background import Background
from lab.model.bodies import BodyRefused, read_body
from lab.model.connections import MOST, Connection, Connections
from lab.model.documents import error_reply, never_kept, text_reply, write_document
from lab.model.embeddings import embed
from lab.model.guard import Guard
from lab.model.ledger import BEAT_BYTES, HOLD_BYTES, MOST_ATTEMPTS, TOKEN_BYTES, Book, Record
from lab.model.lookups import look_up, show
from lab.model.refusals import Refusals
from lab.model.reply import ReplyWriter, WrittenReply, running_task
from lab.model.requests import Incoming, RequestReader
from lab.model.room import Full, Room, Share
from lab.model.schedule import Shelf, compose, make_script
from lab.model.side_routes import SideRoutes
from lab.model.steps import Schedule, Script
from lab.plan import FaultKind
from lab.pulse import Pulse
from lab.wire import format_for_url
from lab.wire.format import WireFormat
from lab.wire.ollama_chat import FORMAT as OLLAMA_CHAT
from lab.wire.openai_chat import FORMAT as OPENAI_CHAT
from lab.wire.openai_responses import FORMAT as RESPONSES
from lab.wire.plain_sse import FORMAT as PLAIN_SSE

_CLOSING_SECONDS = 1.0

_BACKGROUND = re.compile(r"/responses/(?P<name>[^/]+)(?P<verb>/cancel)?/?$")
_MADE: Mapping[str, Callable[[bytes], dict[str, Any]]] = {
    "/api/show": lambda body: show(OLLAMA_CHAT.read_ask(body, planned=True).model),
    "/api/embed": partial(embed, ollama=True),
    "/embeddings": partial(embed, ollama=False),
}
"""What is made from a request's body, by how its path ends."""
_LOOKED_UP = ("GET", "HEAD", "OPTIONS")

# A ledger that is an answer's text: its pieces, the text, its JSON, and the body.
_COPIES = 4

# One made, the same as a chunk, and what the transport still has of the one before.
_STEPS_AT_ONCE = 4


class ModelServer:
    """A model server in this event loop; `async with` or `start` and `aclose`.

    Args:
        host: the address to listen on.
        port: the port; 0 takes a free one, which `base_url` then names.
        secret: what requests must carry; None obeys everybody.
        further_ports: further ports to listen on; the ledger tells at which a request came.
        connections: how many there may be at once.
        attempts: how many the ledger keeps.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        secret: str | None = None,
        further_ports: Sequence[int] = (),
        connections: int = MOST,
        attempts: int = MOST_ATTEMPTS,
    ) -> None:
        self._host = host
        self._port = port
        self._further_ports = tuple(further_ports)
        self._most_connections = connections
        self._guard = Guard(secret, host)
        self._book = Book(attempts)
        self._room = Room()
        self._shelf = Shelf()
        self._aside = Aside()
        self._background = Background(self._book, self._aside)
        self._written: dict[Record, asyncio.Task[object]] = {}
        self._reader = RequestReader(self._aside)
        self._refusals = Refusals()
        self._runner: web.AppRunner | None = None
        self._connections: Connections | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def base_url(self) -> str:
        """Where it listens, without a path, such as `http://127.0.0.1:8080`."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    @property
    def answering(self) -> bool:
        """Whether a reply is under way."""
        return bool(self._written)

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: an address cannot be had.
        """
        # Cancelling a handler is how a reply learns that its client has left.
        # Replies are cut when it closes, and nothing else is worth waiting for.
        self._runner = web.AppRunner(
            self._application(), handler_cancellation=True, access_log=None, shutdown_timeout=_CLOSING_SECONDS
        )
        await self._runner.setup()
        self._connections = Connections(self._runner, self._guard, self._most_connections, self._refusals.note_no_http)
        try:
            _, self._port = await self._connections.start(self._host, self._port, self._further_ports)
        except OSError:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Stop listening and cut every reply that still runs; harmless if it never started."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        if self._connections is not None:
            self._connections.close()
        self._background.close()
        self._aside.close()
        for reply in self._written.values():
            reply.cancel()
        await runner.cleanup()

    def _application(self) -> web.Application:
        app = web.Application()
        app.on_response_prepare.append(never_kept)
        SideRoutes(self._book, self._refusals, self._written, self._listening).add_to(app)
        app.router.add_route("*", "/{path:.*}", self._any)
        return app

    def _listening(self) -> Connections:
        if self._connections is None:
            raise RuntimeError("the server does not listen")
        return self._connections

    async def _any(self, request: web.Request) -> web.StreamResponse:
        """Whatever is asked for under whichever prefix: an answer, something that is looked up, or nothing that is."""
        method, path = request.method, request.path
        wire, background = format_for_url(path), _BACKGROUND.search(path)
        if wire is not None:
            # Not HEAD too: it would generate an answer for nobody.
            served = ("GET", "POST") if wire is PLAIN_SSE else ("POST",)
            if method in served:
                return await self._answer(wire, request)
            return self._not_served(request, wire, served)
        if background is not None:
            cancelled = background["verb"] is not None
            if method == ("POST" if cancelled else "GET"):
                read = self._cancel_response if cancelled else self._read_response
                return await read(request, background["name"])
        made = next((make for end, make in _MADE.items() if path.rstrip("/").endswith(end)), None)
        if made is not None and method == "POST":
            return await self._make(request, made)
        document = look_up(path)
        if document is None:
            return self._not_served(request, OPENAI_CHAT, ())
        if method in _LOOKED_UP:
            return web.json_response(document, headers={"Allow": ", ".join(_LOOKED_UP)})
        return self._not_served(request, OPENAI_CHAT, _LOOKED_UP)

    def _not_served(self, request: web.Request, wire: WireFormat, allowed: Sequence[str]) -> web.Response:
        if allowed and request.method == "OPTIONS":
            return web.Response(headers={"Allow": ", ".join((*allowed, "OPTIONS"))})
        what = f"{request.method} {request.path[:200]}"
        if allowed:
            why = f"the lab's model server was asked for {what}, and serves it for {' and '.join(allowed)}"
            return self._refuse(wire, request, 405, why)
        return self._refuse(wire, request, 404, f"the lab's model server was asked for {what}, which it does not serve")

    def _refuse(self, wire: WireFormat, request: web.Request, status: int, why: str) -> web.Response:
        """An error of the model server's own, which its ledger remembers."""
        self._refusals.note(request, status, why)
        return error_reply(wire, status, why)

    def _refuse_for(
        self, error: BodyRefused | ValueError | Full, wire: WireFormat, request: web.Request
    ) -> web.Response:
        """The answer to a request that cannot be taken, for whatever reading it raised."""
        if isinstance(error, BodyRefused):
            reply = self._refuse(wire, request, error.status, str(error))
            reply.force_close()
            return reply
        return self._refuse(wire, request, 429 if isinstance(error, Full) else 400, str(error))

    async def _make(self, request: web.Request, make: Callable[[bytes], dict[str, Any]]) -> web.StreamResponse:
        """A document that is made from a request's body, at once."""
        with self._room.share() as share:
            try:
                body = await read_body(request, share)
                document = await self._aside.work(partial(make, body))
            except (BodyRefused, ValueError, Full) as error:
                return self._refuse_for(error, OPENAI_CHAT, request)
            return web.json_response(document)

    async def _answer(self, wire: WireFormat, request: web.Request) -> web.StreamResponse:
        with self._room.share() as share:
            try:
                incoming = await self._reader.read(wire, request, share)
                if incoming.ledger:
                    return await self._answer_with_ledger(wire, incoming, share)
                if incoming.confirm:
                    return self._answer_with_clock(wire, incoming)
                name, arrived = incoming.name, incoming.arrived
                planned = await self._plan(wire, request, incoming, share)
            except (BodyRefused, ValueError, Full) as error:
                return self._refuse_for(error, wire, request)
            # Ten thousand streams would each keep what their requests said, and nobody reads it any more.
            del incoming
            with planned as schedule:
                return await self._write(request, name, schedule, arrived)

    async def _plan(
        self, wire: WireFormat, request: web.Request, incoming: Incoming, share: Share
    ) -> AbstractContextManager[Schedule]:
        """What a request is to be answered with, and the context in which that is written.

        Raises:
            ValueError: the plan makes no sense for such a request; names the field.
            Full: there is no room for it.
        """
        asked, plan = incoming.asked, incoming.plan
        refused = plan.fault is not None and plan.fault.kind is FaultKind.STATUS
        background = asked.background and not refused
        script = self._background.script(plan, asked) if background else make_script(plan, wire, asked)
        share.take(_weight(script))
        if background:
            opened = self._background.open(script, _version(request), incoming.arrived, stream=asked.stream)
            response, schedule = await opened
            return response.streaming(schedule)
        if script.short:
            return self._shelf.lend(script, stream=asked.stream)
        work = partial(compose, script, stream=asked.stream)
        return nullcontext(work() if script.quick(stream=asked.stream) else await self._aside.work(work))

    async def _answer_with_ledger(self, wire: WireFormat, incoming: Incoming, share: Share) -> web.Response:
        """A ledger as the answer's text: a path that passes nothing but questions shows by it what came.

        Raises:
            Full: there is no room for it.
        """
        pieces = list[bytes]()
        for piece in self._book.read(incoming.ledger) or (b"[]",):
            share.take(_COPIES * len(piece))
            pieces.append(piece)
            await asyncio.sleep(0)
        text = b"".join(pieces).decode()
        return await self._aside.work(partial(text_reply, wire, incoming.asked, text))

    def _answer_with_clock(self, wire: WireFormat, incoming: Incoming) -> web.Response:
        """A token has arrived; what the clock says is the answer's text."""
        name, _, number = incoming.confirm.rpartition(":")
        known = self._book.confirm(name, int(number))
        return text_reply(wire, incoming.asked, json.dumps({"now": time.monotonic(), "known": known}))

    async def _write(
        self, request: web.Request, name: str, schedule: Schedule, arrived: float, origin: float | None = None
    ) -> WrittenReply:
        """Write a reply, with a record of it in the ledger."""
        record = self._book.open(name, _version(request), schedule.plan.hold, arrived)
        try:
            if request.transport is None:
                record.client_left = arrived
                return WrittenReply(survives=False)
            record.port = request.transport.get_extra_info("sockname")[1]
            record.reused = isinstance(request.protocol, Connection) and request.protocol.used
            record.pulse = Pulse.of_running_loop()
            # `aclose` has to cut it.
            self._written[record] = running_task()
            with record.pulse:
                reply = await ReplyWriter(request, request.transport, schedule, record, origin).run()
            if schedule.plan.keep_alive and isinstance(request.protocol, Connection):
                request.protocol.closed_at = time.monotonic() + schedule.plan.keep_alive
            return reply
        finally:
            self._written.pop(record, None)
            self._book.close(record)

    async def _read_response(self, request: web.Request, known: str) -> web.StreamResponse:
        """The state of a background response, or its events from a place on."""
        arrived = time.monotonic()
        response = self._background.find(known)
        if response is None:
            return _no_response(known)
        try:
            name, after = self._reader.name(request), _read_place(request)
        except ValueError as error:
            return self._refuse(RESPONSES, request, 400, str(error))
        if after is None:
            return await write_document(request, response.document())
        if not response.streamed:
            why = "stream: the response was created without a stream, so it has none"
            return self._refuse(RESPONSES, request, 400, why)
        with self._room.share() as share:
            try:
                share.take(_weight(response.script))
            except Full as error:
                return self._refuse(RESPONSES, request, 429, str(error))
            rest = partial(response.rest, after, arrived)
            schedule = rest() if response.script.short else await self._aside.work(rest)
            with response.streaming(schedule):
                return await self._write(request, name, schedule, arrived, response.record.started)

    async def _cancel_response(self, request: web.Request, known: str) -> web.StreamResponse:
        response = self._background.find(known)
        if response is None:
            return _no_response(known)
        await response.cancel()
        return await write_document(request, response.document())


def _weight(script: Script) -> int:
    """Bytes that a reply may take while it is written: what is noted of it, and the steps that are on their way."""
    noted = TOKEN_BYTES + (HOLD_BYTES if script.plan.lockstep else 0)
    return noted * script.tokens + BEAT_BYTES * script.beats + _STEPS_AT_ONCE * script.event


def _read_place(request: web.Request) -> int | None:
    """After which event's number a stream is wanted, -1 for all of them; None where none is wanted.

    Raises:
        ValueError: names the parameter that makes no sense.
    """
    stream, after = request.query.get("stream", "false"), request.query.get("starting_after", "-1")
    if stream not in ("true", "false"):
        raise ValueError("stream: must be true or false")
    if not re.fullmatch(r"-1|\d{1,9}", after):
        raise ValueError("starting_after: must be an event's number")
    return int(after) if stream == "true" else None


def _version(request: web.Request) -> str:
    return f"{request.version.major}.{request.version.minor}"


def _no_response(name: str) -> web.Response:
    return error_reply(RESPONSES, 404, f"Response with id '{name[:100]}' not found.")
