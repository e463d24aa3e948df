"""The guard: who is let in, by nothing but the head of a request.

With a secret, whoever carries it; every address answers everybody else 401 in the vendor's shape, known and unknown
ones alike. Without one, on an address of this machine alone, whoever is on this machine; other sites' web pages, which
an open browser lets in, get 403 (`lab.model.browsers`). Without one, on an address that other machines reach,
everybody. Only health checks are always open, for load balancers (`lab.model.lookups`).

Warning: TLS is the business of what stands in front; over plain http the secret travels in clear text.
"""

from __future__ import annotations

from aiohttp import web

from lab.model.browsers import is_loopback, refusal
from lab.model.lookups import is_health
from lab.model.secret import carries
from lab.wire import format_for_url
from lab.wire.openai_chat import FORMAT as OPENAI_CHAT


class Guard:
    """Lets pass who may; see `lab.model.connections.Doorkeeper`.

    Args:
        secret: the secret; None for none.
        host: the address on which the server listens.
    """

    def __init__(self, secret: str | None, host: str) -> None:
        self._secret = secret
        self._asks_pages = secret is None and is_loopback(host)

    def refusal(self, request: web.BaseRequest, port: int) -> web.Response | None:
        """The answer to a request that is not let in; None for one that is."""
        if is_health(request.path):
            return None
        if self._secret is not None:
            return (
                None
                if carries(request.headers, self._secret)
                else self._no(request, 401, "the key is missing or wrong")
            )
        why = refusal(request.headers, port) if self._asks_pages else ""
        return self._no(request, 403, why) if why else None

    def vouches(self, request: web.BaseRequest) -> bool:
        """Whether who was let in may stay."""
        return self._secret is None or not is_health(request.path)

    def _no(self, request: web.BaseRequest, status: int, why: str) -> web.Response:
        wire = format_for_url(request.path) or OPENAI_CHAT
        body = wire.error_body(wire.error_kind(status), why)
        # aiohttp would give its version away.
        return web.Response(status=status, body=body, content_type="application/json", headers={"Server": "server"})
