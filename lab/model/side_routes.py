"""The side channel: what the probe asks of the model server beside the answers, and nobody else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict

from aiohttp import web

from lab.model.connections import Connections
from lab.model.documents import write_document
from lab.model.ledger import Book, Record
from lab.model.refusals import Refusals
from lab.model.restarts import restart


class SideRoutes:
    """Its routes, under `/lab/`; `lab.model.server` lists them.

    Args:
        book: the ledger.
        refusals: what was asked for and is not served.
        written: the records of the replies that are under way.
        connections: those of the server, once it listens.
    """

    def __init__(
        self, book: Book, refusals: Refusals, written: Iterable[Record], connections: Callable[[], Connections]
    ) -> None:
        self._book = book
        self._refusals = refusals
        self._written = written
        self._connections = connections

    def add_to(self, app: web.Application) -> None:
        """Have an application serve them."""
        app.router.add_get("/lab/clock", self._clock)
        app.router.add_get("/lab/ledger/{request}", self._ledger)
        app.router.add_get("/lab/refusals/{request}", self._refused)
        app.router.add_post(r"/lab/confirm/{request}/{number:\d{1,9}}", self._confirm)
        app.router.add_post(r"/lab/restart/{port:\d{1,5}}", self._restart)

    async def _clock(self, _request: web.Request) -> web.Response:
        return web.json_response({"now": time.monotonic()})

    async def _ledger(self, request: web.Request) -> web.StreamResponse:
        attempts = self._book.read(request.match_info["request"])
        if attempts is None:
            return web.json_response({"error": "no such request in the ledger"}, status=404)
        return await write_document(request, attempts)

    async def _refused(self, request: web.Request) -> web.Response:
        return web.json_response([asdict(each) for each in self._refusals.read(request.match_info["request"])])

    async def _confirm(self, request: web.Request) -> web.Response:
        known = self._book.confirm(request.match_info["request"], int(request.match_info["number"]))
        return web.Response(status=204 if known else 404)

    async def _restart(self, request: web.Request) -> web.Response:
        return restart(request, self._connections(), self._written)
