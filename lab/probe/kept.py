"""A connection that has carried a request before, as the pool of a client keeps it.

Pools hand out a connection only while the other side has not closed it, and open a new one otherwise.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass

from lab.evidence import TransportEnd
from lab.probe.connect import EarlyReset, Place, connected
from lab.probe.framing import HttpRequest
from lab.probe.http1 import Http1

_HEALTH = "/lab/health"
_READ_SIZE = 65536


@dataclass(frozen=True)
class Rested:
    """What became of a connection while it rested.

    Args:
        sock: the connection; None where the other side keeps it no more.
        announced: whether that had said so with its short answer.
    """

    sock: socket.socket | None
    announced: bool


async def rested(place: Place, seconds: float, patience: float, receive_buffer: int | None = None) -> Rested:
    """Open a plain connection, have a short answer come over it, and let it rest.

    Args:
        place: whom it goes to; what is asked for is the model server's health.
        seconds: for how long it rests; these pass, whatever becomes of it.
        patience: seconds that connection and short answer may take; without them it counts as closed.
        receive_buffer: as for `connected`.
    """
    sock: socket.socket | None = None
    announced = kept = False
    try:
        async with asyncio.timeout(patience):
            sock = await connected(place, receive_buffer)
            announced = await _answered(sock, place)
        kept = not await _ends(sock, seconds) and not announced
    except (OSError, EarlyReset):
        # Without an answer there is nothing to rest.
        await asyncio.sleep(seconds)
    finally:
        if sock is not None and not kept:
            sock.close()
    return Rested(sock if kept else None, announced)


async def _answered(sock: socket.socket, place: Place) -> bool:
    """Have a short answer come; whether it says that the connection is closed after it.

    Raises:
        OSError: none came.
    """
    loop = asyncio.get_running_loop()
    parser = Http1()
    await loop.sock_sendall(sock, parser.write_request(HttpRequest("http", place.authority, _HEALTH, method="GET")))
    while parser.ended is None:
        data = await loop.sock_recv(sock, _READ_SIZE)
        if not data:
            raise ConnectionResetError
        parser.feed(data)
    if parser.ended.end is not TransportEnd.FRAMED:
        raise ConnectionResetError
    return parser.closes


async def _ends(sock: socket.socket, seconds: float) -> bool:
    """Wait for so long; whether the other side has ended the connection by then."""
    rest = asyncio.create_task(asyncio.sleep(seconds))
    # Nothing is to come but its end.
    end = asyncio.create_task(asyncio.get_running_loop().sock_recv(sock, 1))
    try:
        await rest
        return end.done()
    finally:
        for task in (rest, end):
            task.cancel()
        await asyncio.gather(rest, end, return_exceptions=True)
