"""The connections of a client that opens only so many to a host, as browsers do: six over HTTP/1.1, one over HTTP/2.

A browser keeps a further request to itself until one of its connections is free. Over HTTP/2 there is no such limit,
for one connection carries them all; the probe then has one for each exchange.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from lab.evidence import HttpVersion
from lab.measure.exchanges import Address
from lab.probe import connect
from lab.probe.tls import Tls, default_context
from lab.suite.exchange import Exchange


class Browsers:
    """The clients of one case, one for all exchanges of a family; lives as long as these run.

    Args:
        address: whom they ask.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._free: dict[str, asyncio.Semaphore] = {}
        self._agreed: asyncio.Task[HttpVersion] | None = None

    @asynccontextmanager
    async def connection(self, exchange: Exchange) -> AsyncIterator[float]:
        """A connection for an exchange: yields the seconds for which its client had none."""
        if exchange.connections is None or await self._version(exchange.http) is HttpVersion.HTTP_2:
            yield 0.0
            return
        since = time.monotonic()
        async with self._free.setdefault(exchange.family, asyncio.Semaphore(exchange.connections)):
            yield time.monotonic() - since

    async def _version(self, offered: HttpVersion) -> HttpVersion:
        if self._agreed is None:
            self._agreed = asyncio.create_task(agreed_version(self._address, offered))
        return await self._agreed


async def agreed_version(address: Address, offered: HttpVersion) -> HttpVersion:
    """What client and server agree on, by a handshake of its own; HTTP/1.1 where there is no TLS, or it fails."""
    if not address.secure or offered is not HttpVersion.HTTP_2:
        return HttpVersion.HTTP_1_1
    place = connect.place_of(address.url, "")
    tls = Tls(address.tls or default_context(), place.host, offered)
    loop = asyncio.get_running_loop()
    # What is wrong there, the exchanges tell.
    with suppress(OSError, ssl.SSLError, connect.EarlyReset), await connect.connected(place, None) as sock:
        tls.feed(b"")
        while not tls.established and not tls.trouble:
            await loop.sock_sendall(sock, tls.to_send())
            data = await loop.sock_recv(sock, 2**16)
            if not data:
                break
            tls.feed(data)
    return tls.http
