"""Ready means: it answered a request. An open port proves nothing, for docker's own forwarder accepts always.

Any HTTP status will do; what the proxy makes of the request is for the scenarios to judge. But a listener that speaks
TLS answers clear text with an error, a redirect or nothing at all, and is asked once more with a handshake. And a
product may answer before it has read all of its configuration: what it says then is an answer only if it says so on.
So is an error of a gateway that first tried to reach the model server for a while. On a machine that is busy starting
everything that has failed, and some products then take the model server out for a time, from whoever comes next.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import Awaitable, Callable
from enum import StrEnum

from lab.testbed import _machine
from lab.testbed.certificate import certificate

HEALTH = "/lab/health"
"""The model server's own path for this question; a proxy may answer it or forward it."""

LIMIT = 60.0
"""Seconds that a process gets to answer its first request. One or two are the rule; beside two test suites on two cores
the model server was seen to take more than 20."""

LOOK = 2.0
"""Seconds from one look at where a process listens to the next. Most have answered before the first."""

SETTLED = 5.0
"""Seconds for which a product has to say what it says at its start, until that is what its configuration says."""

_REQUEST = f"GET {HEALTH} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n".encode()
UNREACHED = 1.0
"""Seconds after which a gateway's error says that it has tried: a connection on one machine takes milliseconds."""

TAKEN_BACK = 40.0
"""Seconds within which a product takes a server back that it has taken out: nginx 10, a scenario's Caddy 30."""

_OF_A_GATEWAY = frozenset({502, 503, 504})
# nginx, Apache and Caddy say 400 to clear text where they speak TLS, unless a redirect is configured; others close.
_MAY_BE_TLS = re.compile(rb"(?!HTTP/\d\S* (?!400|30[1278])\d)")
_HANDSHAKE = 2.0
_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.5


class Spoken(StrEnum):
    """What a listener speaks."""

    AS_ASKED = "as-asked"
    TLS = "tls"
    """TLS, where it was asked in clear text."""


async def await_answer(
    address: tuple[str, int] | None,
    ended: asyncio.Event,
    limit: float,
    secure: bool = False,
    deaf: Callable[[], Awaitable[bool]] | None = None,
    starting: int = 0,
) -> Spoken | None:
    """Ask until something answers with an HTTP status line, or shows by a handshake that it speaks TLS.

    Args:
        address: host and port to ask; None where there is none, and only the end is waited for.
        ended: set when the process behind it has ended; no use asking on.
        limit: seconds.
        secure: whether to ask over TLS.
        deaf: tells whether the process listens where no question can reach it; asked now and then while there is no
            answer.
        starting: a status that is no answer yet, unless it is one for long; see `lab.products.Product`.

    Returns:
        What it speaks; None when the process ended, is deaf, or the time was up.
    """
    if address is None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), limit)
        return None
    asking = asyncio.ensure_future(_ask_on(*address, limit, certificate().plain if secure else None, starting))
    over = asyncio.ensure_future(_over(ended, deaf))
    try:
        # Both, since a connection to a container that is gone may stay unanswered for the whole limit.
        await asyncio.wait((asking, over), timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        return asking.result() if asking.done() else None
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


async def _ask_on(host: str, port: int, limit: float, tls: ssl.SSLContext | None, starting: int) -> Spoken:
    """Ask until there is an answer."""
    pause, clock = _FIRST_PAUSE, asyncio.get_running_loop().time
    settled = taken_back = 0.0
    while True:
        asked = clock()
        said = await _begin_of_answer(host, port, limit, tls)
        if said is not None and tls is None and _MAY_BE_TLS.match(said) and await _shakes_hands(host, port):
            return Spoken.TLS
        if said is not None and said.startswith(b"HTTP/"):
            status, now = _status_of(said), clock()
            settled = settled or now + _machine.patience(SETTLED)
            if status in _OF_A_GATEWAY and now - asked > UNREACHED:
                taken_back = taken_back or now + TAKEN_BACK
            is_out = status in _OF_A_GATEWAY and now < taken_back
            is_starting = status == starting and now < settled
            if not is_out and not is_starting:
                return Spoken.AS_ASKED
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def _status_of(said: bytes) -> int:
    """The status in the first line of an answer; -1 where it has none."""
    status = said.split()[1:2]
    return int(status[0]) if status and status[0].isdigit() else -1


async def _begin_of_answer(host: str, port: int, limit: float, tls: ssl.SSLContext | None) -> bytes | None:
    """The first line of the answer to one request; None where no connection was made."""
    writer = None
    try:
        async with asyncio.timeout(limit):
            reader, writer = await asyncio.open_connection(host, port, ssl=tls)
            writer.write(_REQUEST)
            return await reader.readline()
    except (OSError, ValueError, TimeoutError):
        return None if writer is None else b""
    finally:
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def _shakes_hands(host: str, port: int) -> bool:
    """Whether there is somebody who has a certificate to show, whichever it is."""
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(_HANDSHAKE):
            _, writer = await asyncio.open_connection(host, port, ssl=tls, server_hostname="localhost")
    except (OSError, ValueError, TimeoutError):
        return False
    writer.transport.abort()
    return True
