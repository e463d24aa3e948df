"""Ready means: it answered a request. An open port proves nothing, for docker's own forwarder accepts always.

Any HTTP status will do; what the proxy makes of the request is for the scenarios to judge.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable

from lab.testbed.certificate import certificate

HEALTH = "/lab/health"
"""The model server's own path for this question; a proxy may answer it or forward it."""

LIMIT = 60.0
"""Seconds that a process gets to answer its first request. One or two are the rule; beside two test suites on two cores
the model server was seen to take more than 20."""

LOOK = 2.0
"""Seconds from one look at where a process listens to the next. Most have answered before the first."""

_REQUEST = f"GET {HEALTH} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n".encode()
_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.5


async def await_answer(
    address: tuple[str, int] | None,
    ended: asyncio.Event,
    limit: float,
    secure: bool = False,
    deaf: Callable[[], Awaitable[bool]] | None = None,
) -> bool:
    """Ask until something answers with an HTTP status line.

    Args:
        address: host and port to ask; None where there is none, and only the end is waited for.
        ended: set when the process behind it has ended; no use asking on.
        limit: seconds.
        secure: whether to ask over TLS.
        deaf: tells whether the process listens where no question can reach it; asked now and then while there is no
            answer.

    Returns:
        Whether it answered; False when the process ended, is deaf, or the time was up.
    """
    if address is None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), limit)
        return False
    asking = asyncio.ensure_future(_ask_on(*address, limit, certificate().client if secure else None))
    over = asyncio.ensure_future(_over(ended, deaf))
    try:
        # Both, since a connection to a container that is gone may stay unanswered for the whole limit.
        await asyncio.wait((asking, over), timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        return asking.done()
    finally:
        asking.cancel()
        over.cancel()
        await asyncio.gather(asking, over, return_exceptions=True)


async def _over(ended: asyncio.Event, deaf: Callable[[], Awaitable[bool]] | None) -> None:
    """Wait until there is no use in asking on."""
    while not ended.is_set():
        try:
            await asyncio.wait_for(ended.wait(), None if deaf is None else LOOK)
        except TimeoutError:
            if deaf is not None and await deaf():
                return


async def _ask_on(host: str, port: int, limit: float, tls: ssl.SSLContext | None) -> None:
    """Ask until there is an answer."""
    pause = _FIRST_PAUSE
    while not await _answers(host, port, limit, tls):
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


async def _answers(host: str, port: int, limit: float, tls: ssl.SSLContext | None) -> bool:
    """One request."""
    writer = None
    try:
        async with asyncio.timeout(limit):
            reader, writer = await asyncio.open_connection(host, port, ssl=tls)
            writer.write(_REQUEST)
            return (await reader.readline()).startswith(b"HTTP/")
    except (OSError, ValueError, TimeoutError):
        return False
    finally:
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
