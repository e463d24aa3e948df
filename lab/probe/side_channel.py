"""The way to the model server that does not lead through the proxy under test.

Over it the probe confirms tokens in lockstep, reads the ledger and measures the two clocks against each
other. aiohttp does for it: it carries bookkeeping, never a measurement.

Whoever answers there may not be a model server of the lab's, and may mean harm. So a redirect is never followed, for
the secret would go along; no more is read than a true answer can have, before its coding is undone and after; and
what is no answer of a model server's is a fault that names the place.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from http import HTTPStatus
from itertools import count
from types import TracebackType
from typing import Annotated, Self, TypeVar

import aiohttp
from pydantic import Field, TypeAdapter, ValidationError

from lab.durations import write_duration
from lab.errors import EnvironmentFault
from lab.evidence import Ledger, Refusal, Stall
from lab.plan import FaultKind, Plan
from lab.probe.codings import ContentDecoder
from lab.pulse import BEAT, LATE

T = TypeVar("T")

# Seconds for an answer, and for a connection. A machine that is busy with other things lets the model server wait;
# what that spoils, both ends' notes of their lateness tell, and no answer at all would leave nothing to be told.
_PATIENCE, _CONNECT = 30.0, 10.0

# Seconds for which a connection that nobody uses is kept. Servers close it after 2 s (gunicorn), 5 s (lighttpd) or
# later, perhaps just when the next question is sent, which is lost then.
_KEPT = 1.0

MOST_ATTEMPTS = 100
"""Attempts of one request that are read; a gateway that asks more often has lost its mind."""

_ATTEMPTS_IN_FULL, _STALLED_IN_FULL = 16, 4
# What stands in the JSON of a ledger: the record itself, a token with its hold, a heartbeat and a stall, with room to
# spare.
_RECORD_BYTES, _TOKEN_BYTES, _BEAT_BYTES, _STALL_BYTES = 2048, 160, 32, 80
# Seconds for which what freezes or is late stays open beyond all that was planned.
_BEYOND = 300.0
# How many more tokens, holds or heartbeats there may be than were planned: a fault may repeat some.
_SPARE = 100
_MOST_BYTES = 256 * 2**20
_SMALL_REPLY = 4096
# A thousand refusals of some hundred characters each.
_REFUSALS_ROOM = 2 * 2**20
_STEP = 64 * 1024
# The head of a Location that a message quotes.
_QUOTED = 200
# Seconds. No clock of a machine shows more than three hundred years.
_LATEST = 1e10


@dataclass(frozen=True)
class _Clock:
    """What the model server's clock says, in seconds."""

    now: float


_LEDGERS: TypeAdapter[list[Ledger]] = TypeAdapter(Annotated[list[Ledger], Field(max_length=MOST_ATTEMPTS)])
_CLOCK = TypeAdapter(_Clock)
_REFUSALS: TypeAdapter[list[Refusal]] = TypeAdapter(Annotated[list[Refusal], Field(max_length=1_000)])

# The offset is wrong by at most half the round trip. Two milliseconds is far below the 100 ms that
# separates an incremental path; a busy machine is asked up to forty times for one such moment.
_GOOD_ROUND_TRIP = 0.002
_CLOCK_TRIES = (5, 40)
# Seconds after which a slow way is not asked again for a better moment.
_CLOCK_PATIENCE = 10.0

# Seconds from one question to the next, ever longer: hundreds of exchanges may wait for a model that goes on for a
# client that has left, and what is asked costs the processor that it needs.
_ASK_AGAIN, _ASK_AGAIN_AT_LAST = 0.02, 0.25
# What a model server has not done when it has answered so often, it was not about to do, however slow it is.
_ASK_AT_LEAST = 5


class SideChannelFault(EnvironmentFault):
    """What answers on the side channel is no model server of the lab's, or sends the probe elsewhere."""


def ledger_room(plan: Plan) -> int:
    """Bytes of JSON that the ledger of a request with this plan can have at most."""
    attempt = _RECORD_BYTES + plan.tokens * _TOKEN_BYTES + plan.most_heartbeats * _BEAT_BYTES
    stalls = _most_stalls(plan) * _STALL_BYTES
    return min(_ATTEMPTS_IN_FULL * attempt + _STALLED_IN_FULL * stalls, _MOST_BYTES)


def _most_stalls(plan: Plan) -> int:
    """How often the model server can have been late in one attempt."""
    return round((plan.longest + _BEYOND) / (BEAT + LATE))


class SideChannel:
    """A keep-alive connection to one model server; an asynchronous context manager.

    Args:
        model_url: the model server's own address, such as `http://127.0.0.1:9000`; with a path where
            it stands below one.
        headers: request headers that it wants, such as its secret.
        tls: for an https address; None verifies against the system's authorities.
    """

    def __init__(
        self, model_url: str, *, headers: Iterable[tuple[str, str]] = (), tls: ssl.SSLContext | None = None
    ) -> None:
        self._url = model_url.rstrip("/")
        self._headers = tuple(headers)
        self._tls = tls
        self._client: aiohttp.ClientSession | None = None
        self._offset: float | None = None
        self._offset_lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        # No limit on connections: one that waits for another would hold a token in lockstep.
        connector = aiohttp.TCPConnector(limit=0, ssl=self._tls or True, keepalive_timeout=_KEPT)
        self._client = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=_PATIENCE, sock_connect=_CONNECT),
            headers=(*self._headers, ("Accept-Encoding", "identity")),
            # aiohttp would inflate without a limit.
            auto_decompress=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open_client.close()

    @property
    def _open_client(self) -> aiohttp.ClientSession:
        if self._client is None:
            raise RuntimeError("the side channel is used outside its `async with`")
        return self._client

    async def offset(self) -> float:
        """Seconds to add to the model server's clock to have the probe's; measured once."""
        async with self._offset_lock:
            if self._offset is None:
                self._offset = await self._measure_offset()
        return self._offset

    async def confirm(self, request: str, number: int) -> bool:
        """Tell the model server that token `number` has arrived; False if it could not be told."""
        try:
            await self._ask("POST", f"/lab/confirm/{request}/{number}", _SMALL_REPLY)
        except (SideChannelFault, aiohttp.ClientError, TimeoutError, OSError):
            return False
        return True

    async def restart(self, port: int, down: float, *, drain: bool) -> None:
        """Have the model server at one of its further ports end, and be there again after `down` seconds.

        Args:
            port: which.
            down: seconds.
            drain: whether the answers that are under way go on to their end.

        Raises:
            aiohttp.ClientError: the model server does not answer, or has no such port.
            SideChannelFault: what answers is none.
        """
        query = f"down={write_duration(down)}&drain={'yes' if drain else 'no'}"
        await self._ask("POST", f"/lab/restart/{port}?{query}", _SMALL_REPLY)

    async def attempts(self, request: str, plan: Plan) -> list[Ledger]:
        """Every attempt that came with that id, oldest first, with times on the probe's clock.

        Args:
            request: the id.
            plan: what came with it, which says how much can be in a ledger.

        Raises:
            aiohttp.ClientError: the model server does not answer, which is the lab's fault.
            SideChannelFault: what answers is none.
        """
        path = f"/lab/ledger/{request}"
        try:
            document = await self._ask("GET", path, ledger_room(plan))
        except aiohttp.ClientResponseError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            return []
        ledgers = self._read(_LEDGERS, document, path)
        offset = await self.offset()
        try:
            for ledger in ledgers:
                _refuse_too_much(ledger, plan)
            moved = [_moved(ledger, offset) for ledger in ledgers]
        except ValueError as error:
            raise self._fault(path, f"no ledger of a model server of the lab's: {error}") from None
        return sorted(moved, key=lambda ledger: ledger.attempt)

    async def settled(self, request: str, plan: Plan, patience: float, *, arrival: float) -> list[Ledger]:
        """The attempts once the last is over, or what there is when waiting is over; both in seconds.

        Args:
            request: the id.
            plan: as for `attempts`.
            patience: for the last attempt's end; a frozen model server whose proxy keeps the
                connection never comes to one.
            arrival: for the first attempt, in case the proxy never passed the request on.
        """
        began = time.monotonic()
        for asked in count(1):
            attempts = await self.attempts(request, plan)
            if attempts and (attempts[-1].finished is not None or attempts[-1].client_left is not None):
                break
            # One answer may take all of that time on a busy machine.
            if asked >= _ASK_AT_LEAST and time.monotonic() - began >= (patience if attempts else arrival):
                break
            await asyncio.sleep(min(asked * _ASK_AGAIN, _ASK_AGAIN_AT_LAST))
        return attempts

    async def refusals(self, request: str) -> tuple[Refusal, ...]:
        """What the model server was asked for and did not serve, by that request or by none; oldest first.

        Raises:
            aiohttp.ClientError: the model server does not answer.
            SideChannelFault: what answers is none.
        """
        path = f"/lab/refusals/{request}"
        try:
            document = await self._ask("GET", path, _REFUSALS_ROOM)
        except aiohttp.ClientResponseError as error:
            # A model server that keeps no such record has served all the same.
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            return ()
        offset = await self.offset()
        return tuple(replace(each, at=each.at + offset) for each in self._read(_REFUSALS, document, path))

    async def _measure_offset(self) -> float:
        best, offset = float("inf"), 0.0
        few, many = _CLOCK_TRIES
        began, path = time.monotonic(), "/lab/clock"
        for attempt in range(many):
            if attempt >= few and best <= _GOOD_ROUND_TRIP:
                break
            if attempt and time.monotonic() - began > _CLOCK_PATIENCE:
                break
            before = time.monotonic()
            document = await self._ask("GET", path, _SMALL_REPLY)
            after = time.monotonic()
            now = self._read(_CLOCK, document, path).now
            if not abs(now) < _LATEST:
                raise self._fault(path, f"a clock that shows {now} s")
            if after - before < best:
                best, offset = after - before, (before + after) / 2 - now
        return offset

    async def _ask(self, method: str, path: str, most: int) -> bytes:
        """The document at one of the side channel's addresses; as for `_exchange`."""
        return await self._exchange(method, path, most)

    async def _exchange(
        self, method: str, path: str, most: int, headers: Iterable[tuple[str, str]] = (), data: bytes | None = None
    ) -> bytes:
        """The body of one reply, of which no more than `most` bytes are read.

        Raises:
            aiohttp.ClientError: nobody answers, or with an error.
            SideChannelFault: a redirect, or more than that.
        """
        async with self._open_client.request(
            method, self._url + path, allow_redirects=False, headers=tuple(headers), data=data
        ) as reply:
            if 300 <= reply.status < 400:
                place = reply.headers.get("Location", "nowhere")[:_QUOTED]
                raise self._fault(path, f"{reply.status}, redirected to {place!r}", _NOT_FOLLOWED)
            reply.raise_for_status()
            decoder = ContentDecoder(reply.headers.get("Content-Encoding", ""), most)
            body, came = bytearray(), 0
            async for data in reply.content.iter_chunked(_STEP):
                came += len(data)
                body += decoder.feed(data)
                if came > most or decoder.trouble:
                    raise self._fault(path, decoder.trouble or f"more than {most:,} bytes came")
        return bytes(body)

    def _read(self, adapter: TypeAdapter[T], document: bytes, path: str) -> T:
        """What the document says; how deep JSON may be nested, pydantic limits.

        Raises:
            SideChannelFault: it is no such document; its own words are not repeated.
        """
        try:
            return adapter.validate_json(document)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False, include_context=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            words = f"{place}: {first['msg']}" if place else first["msg"]
            raise self._fault(path, f"no answer of a model server of the lab's: {words}") from None

    def _fault(self, path: str, problem: str, remedy: str = "") -> SideChannelFault:
        remedy = remedy or "Check what answers there: lab serve must, of the same version as this lab."
        return SideChannelFault(f"the model server's side channel at {self._url}{path}: {problem}", remedy)


_NOT_FOLLOWED = (
    "Redirects are not followed, so that no secret goes to another host. Give the model server's own address, "
    "to which nothing redirects, with --model-url."
)


def _refuse_too_much(ledger: Ledger, plan: Plan) -> None:
    """Many ledgers are kept at once, so that none may be larger than its plan allows.

    Raises:
        ValueError: this one is.
    """
    most = {
        "tokens": 2 * plan.tokens + _SPARE,
        "holds": 2 * plan.tokens + _SPARE,
        "heartbeats": 2 * plan.most_heartbeats + _SPARE,
        "stalls": _most_stalls(plan),
    }
    for name, number in most.items():
        if len(getattr(ledger, name)) > number:
            raise ValueError(f"more than {number:,} {name} for a plan of {plan.tokens:,} tokens")


def _moved(ledger: Ledger, offset: float) -> Ledger:
    """The ledger with every time on another clock.

    Raises:
        ValueError: a time is none, or the fault is not among those that a plan can have.
    """
    if ledger.fault and ledger.fault.partition("@")[0] not in set(FaultKind):
        raise ValueError("a fault that no plan can have")

    def there(at: float) -> float:
        if not abs(at) < _LATEST:
            raise ValueError(f"{at} s is no time")
        return at + offset

    def move(at: float | None) -> float | None:
        return None if at is None else there(at)

    return replace(
        ledger,
        started=there(ledger.started),
        headers_at=move(ledger.headers_at),
        tokens=tuple(replace(token, at=there(token.at)) for token in ledger.tokens),
        heartbeats=tuple(there(at) for at in ledger.heartbeats),
        holds=tuple(replace(hold, at=there(hold.at)) for hold in ledger.holds),
        fault_at=move(ledger.fault_at),
        finished=move(ledger.finished),
        client_left=move(ledger.client_left),
        stalls=tuple(Stall(there(stall.since), there(stall.until)) for stall in ledger.stalls),
    )
