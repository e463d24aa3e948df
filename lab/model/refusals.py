"""What the model server was asked for and did not serve: the other half of the ledger.

A configuration that rewrites a path, a health check of something that is not there, a hop that spoils a body, or one
that speaks TLS where clear text is spoken: the proxy then answers with an error, or passes on the model server's, and
only the model server knows whose it was. Alike ones are counted, and the last thousand kinds are kept. Whoever is not
let in (`lab.model.guard`) leaves no trace.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace

from aiohttp import web

from lab.directive import REQUEST_ID
from lab.evidence import Refusal
from lab.plan import REQUEST_HEADER

_MOST = 1_000
_LONGEST = 300

_TLS, _HTTP_2 = b"\x16\x03", b"PRI "


class Refusals:
    """The last of them, oldest first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, str, str, int, str], Refusal] = OrderedDict()

    def note(self, request: web.BaseRequest, status: int, why: str) -> None:
        """A request was answered with an error of the model server's own."""
        name = request.headers.get(REQUEST_HEADER, "")
        known = name if REQUEST_ID.fullmatch(name) else ""
        transport = request.transport
        port = 0 if transport is None else transport.get_extra_info("sockname")[1]
        self._keep(
            Refusal(request.method[:20], _plain(request.path), status, _plain(why), time.monotonic(), known, port)
        )

    def note_no_http(self, begin: bytes, port: int) -> None:
        """What came on a connection was no request of HTTP/1; `begin` is how it began."""
        why = "bytes that are no HTTP"
        if begin.startswith(_TLS):
            why = "a TLS handshake"
        elif begin.startswith(_HTTP_2):
            why = "HTTP/2"
        self._keep(Refusal("", "", 400, why, time.monotonic(), port=port))

    def read(self, request: str) -> Iterable[Refusal]:
        """Those of one request, and those that belong to none."""
        return [refusal for refusal in self._kept.values() if refusal.request in (request, "")]

    def _keep(self, refusal: Refusal) -> None:
        key = refusal.port, refusal.method, refusal.path, refusal.status, refusal.request
        before = self._kept.pop(key, None)
        self._kept[key] = refusal if before is None else replace(refusal, count=before.count + 1)
        while len(self._kept) > _MOST:
            self._kept.popitem(last=False)


def _plain(words: str) -> str:
    return words[:_LONGEST].encode("ascii", "backslashreplace").decode()
