"""The way to the model server that does not lead through the proxy under test.

Over it the probe confirms tokens in lockstep, reads the ledger and measures the two clocks against each
other. aiohttp does for it: it carries bookkeeping, never a measurement.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Iterable
from dataclasses import replace
from itertools import count
from types import TracebackType
from typing import Self

import aiohttp
from pydantic import TypeAdapter

from lab.evidence import Ledger, Stall

_LEDGERS = TypeAdapter(list[Ledger])
_CLOCK = TypeAdapter(dict[str, float])

# The offset is wrong by at most half the round trip. Two milliseconds is far below the 100 ms that
# separates an incremental path; a busy machine is asked up to forty times for one such moment.
_GOOD_ROUND_TRIP = 0.002
_CLOCK_TRIES = (5, 40)

_ASK_AGAIN = 0.02
# What a model server has not done when it has answered so often, it was not about to do, however slow it is.
_ASK_AT_LEAST = 5


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
        connector = aiohttp.TCPConnector(limit=0, ssl=self._tls or True)
        self._client = aiohttp.ClientSession(
            connector=connector, timeout=aiohttp.ClientTimeout(total=10), headers=self._headers
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
            async with self._open_client.post(f"{self._url}/lab/confirm/{request}/{number}") as reply:
                await reply.read()
                return reply.ok
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def attempts(self, request: str) -> list[Ledger]:
        """Every attempt that came with that id, oldest first, with times on the probe's clock.

        Raises:
            aiohttp.ClientError: the model server does not answer, which is the lab's fault.
        """
        async with self._open_client.get(f"{self._url}/lab/ledger/{request}") as reply:
            if reply.status == 404:
                return []
            reply.raise_for_status()
            document = await reply.read()
        offset = await self.offset()
        ledgers = [_moved(ledger, offset) for ledger in _LEDGERS.validate_json(document)]
        return sorted(ledgers, key=lambda ledger: ledger.attempt)

    async def settled(self, request: str, patience: float, *, arrival: float) -> list[Ledger]:
        """The attempts once the last is over, or what there is when waiting is over; both in seconds.

        Args:
            request: the id.
            patience: for the last attempt's end; a frozen model server whose proxy keeps the
                connection never comes to one.
            arrival: for the first attempt, in case the proxy never passed the request on.
        """
        began = time.monotonic()
        for asked in count(1):
            attempts = await self.attempts(request)
            if attempts and (attempts[-1].finished is not None or attempts[-1].client_left is not None):
                break
            # One answer may take all of that time on a busy machine.
            if asked >= _ASK_AT_LEAST and time.monotonic() - began >= (patience if attempts else arrival):
                break
            await asyncio.sleep(_ASK_AGAIN)
        return attempts

    async def _measure_offset(self) -> float:
        best, offset = float("inf"), 0.0
        few, many = _CLOCK_TRIES
        for attempt in range(many):
            if attempt >= few and best <= _GOOD_ROUND_TRIP:
                break
            before = time.monotonic()
            async with self._open_client.get(f"{self._url}/lab/clock") as reply:
                reply.raise_for_status()
                document = await reply.read()
            after = time.monotonic()
            if after - before < best:
                best, offset = after - before, (before + after) / 2 - _CLOCK.validate_json(document)["now"]
        return offset


def _moved(ledger: Ledger, offset: float) -> Ledger:
    """The ledger with every time on another clock."""

    def move(at: float | None) -> float | None:
        return None if at is None else at + offset

    return replace(
        ledger,
        started=ledger.started + offset,
        headers_at=move(ledger.headers_at),
        tokens=tuple(replace(token, at=token.at + offset) for token in ledger.tokens),
        heartbeats=tuple(at + offset for at in ledger.heartbeats),
        holds=tuple(replace(hold, at=hold.at + offset) for hold in ledger.holds),
        fault_at=move(ledger.fault_at),
        finished=move(ledger.finished),
        client_left=move(ledger.client_left),
        stalls=tuple(Stall(stall.since + offset, stall.until + offset) for stall in ledger.stalls),
    )
