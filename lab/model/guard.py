"""The guard: what a stranger can cost a model server that has a secret.

Without the secret every address answers 401 in the vendor's shape, known and unknown ones alike, before the body is
read, and the connection is closed; only `/lab/health` is open, for load balancers. A connection on which nobody has
shown the secret lives for a few seconds, and only so many of them at once: the oldest are dropped.

Warning: TLS is the business of what stands in front; over plain http the secret travels in clear text.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from lab.model.secret import carries
from lab.wire.format import WireFormat

OPEN = "/lab/health"
"""The one address that asks for no secret."""

STRANGER_SECONDS = 20.0
"""Seconds that a connection may last on which nobody has shown the secret."""

MOST_STRANGERS = 500
"""Such connections at once."""

_LOOK_EVERY = 1.0


class Guard:
    """Lets pass who carries the secret.

    Args:
        secret: the secret.
        formats: the wire formats by path, which know what their vendors' errors look like.
        default: the format for every other path.
    """

    def __init__(self, secret: str, formats: Mapping[str, WireFormat], default: WireFormat) -> None:
        self._secret = secret
        self._formats = formats
        self._default = default
        # Connections; both are rid of the closed ones at each look.
        self._known: set[object] = set()
        self._since: dict[object, float] = {}

    @property
    def middleware(self) -> Middleware:
        """For aiohttp's application."""

        @web.middleware
        async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path == OPEN:
                return await handler(request)
            if not carries(request.headers, self._secret):
                return self._refusal(request)
            self._known.add(request.protocol)
            return await handler(request)

        return guarded

    def _refusal(self, request: web.Request) -> web.Response:
        wire = self._formats.get(request.path, self._default)
        body = wire.error_body(wire.error_kind(401), "the key is missing or wrong")
        reply = web.Response(status=401, body=body, content_type="application/json")
        # A body that was not read would be taken for the next request, and reading it would cost.
        reply.force_close()
        # aiohttp would give its version away.
        reply.headers["Server"] = "server"
        return reply

    async def watch(self, server: web.Server) -> None:
        """Drop strangers' connections that last too long, or are too many; runs until it is cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            self.drop(server, time.monotonic())

    def drop(self, server: web.Server, now: float) -> None:
        """Drop what is too old or too much at that time."""
        connections = server.connections
        self._known.intersection_update(connections)
        strangers = [each for each in connections if each not in self._known]
        self._since = {each: self._since.get(each, now) for each in strangers}
        strangers.sort(key=lambda each: self._since[each])
        too_many = max(0, len(strangers) - MOST_STRANGERS)
        for place, each in enumerate(strangers):
            if each.transport is not None and (place < too_many or now - self._since[each] > STRANGER_SECONDS):
                each.transport.abort()
