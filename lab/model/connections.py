"""The connections of a server: who is let in, how many there may be, how long one may take, what it may send ahead.

aiohttp reads requests and owns the connections. What it leaves open is closed here, since a client that sends half a
request, or nothing, or much more than is read, pays nothing for a connection and memory of the server:

- who is not let in (`Doorkeeper`) is answered by the head alone, before aiohttp's application, which answers `Expect`
  before any middleware is asked; what else comes is neither read nor inflated, and the connection is closed;
- a connection on which nobody has been let in lives for some seconds, and only so many of them at once, unless they
  have only just come;
- there may be so many connections; for a new one, that which has had nothing to do for the longest is closed, and
  where all have, the new one is;
- what comes while nobody reads a body (heads, and the requests behind one that is being answered) is bounded.

Warning: a proxy keeps connections for its next request, and one that is closed while it takes it for usable costs an
answer. So what has been used is never closed for being idle, only for there being too many, and where a plan says so.
"""

from __future__ import annotations

import asyncio
import errno
import resource
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Protocol

from aiohttp import web

STRANGER_SECONDS = 20.0
"""Seconds that a connection may last on which nobody has been let in."""

MOST_STRANGERS = 500
"""Such connections at once that had the time to ask."""

NEW_SECONDS = 5.0
"""Seconds in which nobody is dropped for the number of others: after a cut, or at the beginning of a load, a thousand
may come at the same moment, and a server that is late reads their requests late."""

MOST = 4096
"""Connections at once unless the server is told otherwise, where the process may have as many files."""

MOST_AHEAD = 512 * 2**10
"""Bytes that may come on a connection while nobody reads a body: more than any head and a body's first reads have."""

MOST_AHEAD_TOGETHER = 64 * 2**20
"""Such bytes on all connections."""

LAST_WORDS_SECONDS = 1.0
"""For which a refused connection stays open whose client still sends: closing at once would reset it, and the answer
be lost."""

# Beside the connections and the ports that are listened on.
_SPARE_FILES = 64
# Bytes of a connection that show what is spoken.
_BEGIN = 8
_READ_BYTES = 64 * 2**10
_LOOK_EVERY = 1.0
_BACKLOG = 4096

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Doorkeeper(Protocol):
    """Decides by a request's head who is let in."""

    def refusal(self, request: web.BaseRequest, port: int) -> web.Response | None:
        """The answer to a request that is not let in; None for one that is."""
        ...

    def vouches(self, request: web.BaseRequest) -> bool:
        """Whether who was let in may stay."""
        ...


class Connection(web.RequestHandler):
    """One connection.

    `reading` is True while a handler reads a body, which is then bounded elsewhere, and `used` once a request on it has
    been answered. From `closed_at` on what comes next is not read, and the connection closed: a server has closed it
    already, and that had not yet been seen where the request came from. So a race that lasts as long as a packet's way
    is met each time. None where there is none.
    """

    __slots__ = ("_ahead", "_all", "_begin", "closed_at", "reading", "since", "used")

    def __init__(self, everyone: Connections, server: web.Server) -> None:
        # Inflating comes after asking who sends it: see `lab.model.bodies`.
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # how aiohttp is told that there is none
            read_bufsize=_READ_BYTES,
            auto_decompress=False,
        )
        self._all = everyone
        self._ahead = 0
        self._begin = b""
        self.reading = self.used = False
        self.closed_at: float | None = None
        self.since = time.monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it."""
        super().connection_made(transport)
        self._all.came(self)

    def connection_lost(self, error: BaseException | None) -> None:
        """Count it no more."""
        super().connection_lost(error)
        self.caught_up()
        self._all.went(self)

    def data_received(self, data: bytes) -> None:
        """Parse, unless too much has come that nobody reads, or nobody reads it any more."""
        if self.closed_at is not None:
            if time.monotonic() >= self.closed_at:
                self.abort()
                return
            self.closed_at = None
        self._begin = self._begin or data[:_BEGIN]
        if not self.reading:
            self._ahead += len(data)
            self._all.ahead += len(data)
            if self._ahead > MOST_AHEAD or self._all.ahead > MOST_AHEAD_TOGETHER:
                self.abort()
                return
        super().data_received(data)

    def caught_up(self, *, reading: bool = False) -> None:
        """Nothing that has come waits to be read, and, with `reading`, nothing that comes."""
        self._all.ahead -= self._ahead
        self._ahead, self.reading = 0, reading

    @contextmanager
    def body(self) -> Iterator[None]:
        """A handler reads a body."""
        self.caught_up(reading=True)
        try:
            yield
        finally:
            self.caught_up()

    @property
    def port(self) -> int:
        """The port at which it came; 0 once it is gone."""
        return 0 if self.transport is None else int(self.transport.get_extra_info("sockname")[1])

    def abort(self) -> None:
        """Close at once."""
        if self.transport is not None:
            self.transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is no HTTP is the client's mistake, and fills nobody's log."""
        if status != 400:
            return super().handle_error(request, status, exc, message)
        self._all.no_http(self._begin, self.port)
        reply = web.Response(status=400, text=message, headers={"Server": "server"})
        reply.force_close()
        return reply


def _unnoted(_begin: bytes, _port: int) -> None:
    """For a server that keeps no record."""


class Connections:
    """All connections of one server; `start` listens.

    Args:
        runner: the application's, which has been set up.
        guard: who is let in.
        most: how many there may be, where the process may have as many files.
        no_http: is told how a connection began that is no HTTP, and at which port.
    """

    def __init__(
        self,
        runner: web.AppRunner,
        guard: Doorkeeper,
        most: int = MOST,
        no_http: Callable[[bytes, int], object] = _unnoted,
    ) -> None:
        assert runner.server is not None  # noqa: S101  # it has been set up
        self._server = runner.server
        self._guard = guard
        self._wanted = most
        self.no_http = no_http
        self._port = self.ahead = 0
        # Both in the order of time.
        self._strangers: dict[Connection, None] = {}
        self._idle: dict[Connection, None] = {}
        self._open: set[Connection] = set()
        self._further: dict[int, asyncio.Server] = {}
        self._returning: set[asyncio.Task[None]] = set()
        self._listening: list[asyncio.Server] = []
        self._watch: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int, further_ports: Iterable[int] = ()) -> tuple[str, int]:
        """Listen, on further ports as well; returns address and port.

        Raises:
            OSError: an address cannot be had.
        """
        self._listening.append(await self._listen(host, port))
        for each in further_ports:
            self._listening.append(await self._listen(host, each))
        self._further = {each.sockets[0].getsockname()[1]: each for each in self._listening[1:]}
        address, self._port = self._listening[0].sockets[0].getsockname()[:2]
        self._server.request_handler = partial(self._answer, self._server.request_handler)
        for listening in self._listening:
            await listening.start_serving()
        self._watch = asyncio.create_task(self._look())
        return address, self._port

    async def _listen(self, host: str, port: int) -> asyncio.Server:
        loop, connection = asyncio.get_running_loop(), partial(Connection, self, self._server)
        return await loop.create_server(connection, host, port, backlog=_BACKLOG, start_serving=False)

    def restart(self, port: int, down: float, *, drain: bool) -> bool:
        """Have the server at one of the further ports end, and be there again; False where there is no such port.

        Args:
            port: which.
            down: seconds in which connecting to it is refused.
            drain: whether what is being answered goes on to its end; else every connection is closed at once.
        """
        listening = self._further.get(port)
        if listening is None or not listening.is_serving():
            return False
        host = listening.sockets[0].getsockname()[0]
        listening.close()
        for connection in [each for each in self._open if each.port == port]:
            if drain and connection not in self._idle:
                # Once its answer is over.
                connection.close()
            else:
                connection.abort()
        self._returning.add(returning := asyncio.create_task(self._come_back(host, port, down)))
        returning.add_done_callback(self._returning.discard)
        return True

    async def _come_back(self, host: str, port: int, down: float) -> None:
        await asyncio.sleep(down)
        self._further[port] = await self._listen(host, port)
        self._listening.append(self._further[port])
        await self._further[port].start_serving()

    def close(self) -> None:
        """Listen no more; the runner closes what is open."""
        for returning in self._returning:
            returning.cancel()
        for listening in self._listening:
            listening.close()
        if self._watch is not None:
            self._watch.cancel()

    @property
    def most(self) -> int:
        """How many there may be at once."""
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if files == resource.RLIM_INFINITY:
            return self._wanted
        return min(self._wanted, files - len(self._listening) - _SPARE_FILES)

    def came(self, connection: Connection) -> None:
        """A connection is there."""
        self._open.add(connection)
        self._strangers[connection] = None
        if len(self._open) > self.most:
            next(iter(self._idle), connection).abort()
        self._idle[connection] = None

    def went(self, connection: Connection) -> None:
        """A connection is gone."""
        self._open.discard(connection)
        self._strangers.pop(connection, None)
        self._idle.pop(connection, None)

    def drop(self, now: float) -> None:
        """Drop the strangers that are too old or too many at that time."""
        too_many = len(self._strangers) - MOST_STRANGERS
        for place, connection in enumerate([*self._strangers]):
            if now - connection.since <= (NEW_SECONDS if place < too_many else STRANGER_SECONDS):
                break
            connection.abort()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            self.drop(time.monotonic())

    async def _answer(self, handler: Handler, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, Connection)  # noqa: S101  # what `start` makes
        self._idle.pop(connection, None)
        connection.caught_up()
        try:
            refusal = self._guard.refusal(request, self._port)
            if refusal is not None:
                return await _refuse(connection, request, refusal)
            if self._guard.vouches(request):
                self._strangers.pop(connection, None)
            return await handler(request)
        finally:
            # aiohttp reads on for a while where a body has not come to its end.
            connection.caught_up(reading=not request.content.is_eof())
            connection.used = True
            if connection.transport is not None:
                self._idle[connection] = None


def why_not_listening(error: OSError) -> str:
    """Why an address cannot be listened on, in words; asyncio's own have the address and the number in them."""
    if isinstance(error, socket.gaierror):
        return "there is no such host"
    return _WHY_NOT.get(error.errno or 0, error.strerror or str(error))


_WHY_NOT: Mapping[int, str] = {
    errno.EADDRINUSE: "another program listens there already",
    errno.EADDRNOTAVAIL: "that is no address of this machine",
    errno.EACCES: "this user may not; ports below 1024 are for the machine's administrator",
}


async def _refuse(connection: Connection, request: web.BaseRequest, refusal: web.Response) -> web.Response:
    refusal.force_close()
    if not request.content.is_eof():
        connection.pause_reading()
        await refusal.prepare(request)
        await refusal.write_eof()
        await asyncio.sleep(LAST_WORDS_SECONDS)
        connection.force_close()
    return refusal
