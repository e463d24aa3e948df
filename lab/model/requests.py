"""What a request says, from its headers, the model's name and its body; read once, before anything is answered."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from itertools import count

from aiohttp import web

from lab.directive import REQUEST_ID, Directive, join, read_directive
from lab.model.aside import Aside
from lab.model.bodies import read_body
from lab.model.room import Share
from lab.plan import PLAN_HEADER, REQUEST_HEADER, Plan, PlanError
from lab.wire.format import DEFAULT_MODEL, Asked, WireFormat

_READ_AT_ONCE = 64 * 1024
"""Bytes of JSON that are read in the event loop: some milliseconds at worst, while others wait."""


@dataclass(frozen=True)
class Incoming:
    """One request.

    Args:
        name: its id.
        arrived: when its last byte had come, on the ledger's clock.
        asked: what its body asks for.
        plan: what the model server is to do.
        ledger: the id of the request whose ledger is to be the answer; empty for none.
        confirm: the id of a request and the number of its token that has arrived; empty for none.
    """

    name: str
    arrived: float
    asked: Asked
    plan: Plan
    ledger: str
    confirm: str


class RequestReader:
    """Reads requests, and makes up ids for those that have none.

    Args:
        aside: for bodies that take long to read.
    """

    def __init__(self, aside: Aside) -> None:
        self._aside = aside
        self._names = (f"unnamed-{number}" for number in count(1))

    async def read(self, wire: WireFormat, request: web.Request, share: Share) -> Incoming:
        """What a request to a wire format's endpoint says.

        Raises:
            BodyRefused: its body is not taken.
            ValueError: it makes no sense; names the field.
            Full: there is no room for its body.
        """
        body = await read_body(request, share)
        arrived = time.monotonic()
        planned = PLAN_HEADER in request.headers
        if request.method == "GET":
            # Beside a plan in the header, the query is the page's own.
            asked = Asked(DEFAULT_MODEL if planned else f"{DEFAULT_MODEL}?{request.query_string}", stream=True)
        elif len(body) <= _READ_AT_ONCE:
            asked = wire.read_ask(body, planned=planned)
        else:
            asked = await self._aside.work(partial(wire.read_ask, body, planned=planned))
        # The body is needed no more.
        share.give_back()
        said = join(
            {
                "message": _read("message", asked.directive),
                "model": _read("model", asked.model.partition("?")[2]),
                PLAN_HEADER: _read(PLAN_HEADER, request.headers.get(PLAN_HEADER, "")),
                REQUEST_HEADER: Directive(request=_id_in_header(request)),
            }
        )
        return Incoming(
            said.request or next(self._names), arrived, asked, said.plan or Plan(), said.ledger, said.confirm
        )

    def name(self, request: web.Request) -> str:
        """The id of a request that has nothing but headers; raises `ValueError` for one that is none."""
        return _id_in_header(request) or next(self._names)


def _id_in_header(request: web.Request) -> str:
    name = request.headers.get(REQUEST_HEADER, "")
    if name and not REQUEST_ID.fullmatch(name):
        raise ValueError(f"{REQUEST_HEADER}: {name[:40]!r} does not match {REQUEST_ID.pattern}")
    return name


def _read(place: str, query: str) -> Directive:
    """What one place of a request says; raises `ValueError` that names the place and the field at fault."""
    try:
        return read_directive(query)
    except PlanError as error:
        raise ValueError(f"{place}: {error}") from None
