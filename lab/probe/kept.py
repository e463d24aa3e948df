"""A connection that has carried a request before, as the pool of a client keeps it.

Pools hand out a connection only while the other side has not closed it, and open a new one otherwise; so does this.
"""

from __future__ import annotations

import asyncio
import socket

from lab.probe.connect import Place
from lab.probe.framing import HttpRequest
from lab.probe.http1 import Http1

_READ_SIZE = 65536


async def rested(sock: socket.socket, place: Place, seconds: float, patience: float) -> bool:
    """Have a short answer come over a plain connection, and let it rest.

    Args:
        sock: connected, and not closed here.
        place: whom it goes to; what is asked for is the model server's health.
        seconds: for how long it rests; these pass, whatever becomes of it.
        patience: seconds that the short answer may take; one that does not come counts as a closed connection.

    Returns:
        Whether the other side still keeps it.
    """
    kept = await _answered(sock, place, patience)
    rest = asyncio.create_task(asyncio.sleep(seconds))
    end = asyncio.create_task(asyncio.get_running_loop().sock_recv(sock, 1))
    try:
        if kept:
            await asyncio.wait((rest, end), return_when=asyncio.FIRST_COMPLETED)
            kept = not end.done()
        await rest
    finally:
        for task in (rest, end):
            task.cancel()
        await asyncio.gather(rest, end, return_exceptions=True)
    return kept


async def _answered(sock: socket.socket, place: Place, patience: float) -> bool:
    loop = asyncio.get_running_loop()
    parser = Http1()
    request = HttpRequest("http", place.authority, "/lab/health", method="GET")
    try:
        async with asyncio.timeout(patience):
            await loop.sock_sendall(sock, parser.write_request(request))
            while parser.ended is None:
                data = await loop.sock_recv(sock, _READ_SIZE)
                if not data:
                    return False
                parser.feed(data)
    except OSError:
        return False
    return True
