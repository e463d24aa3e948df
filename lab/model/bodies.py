"""The body of a request: read within bounds of size, of time and of the server's room, and inflated here.

aiohttp would inflate while it parses, before anybody has asked who sends it; that is switched off. What a client may
send is gzip and deflate.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterator

from aiohttp import web

from lab.model.connections import Connection
from lab.model.room import Share

LARGEST = 64 * 2**20
"""Bytes, inflated; prompts of long conversations are megabytes."""

SECONDS = 60.0
"""Within which a body has to be there."""

_STEP = 256 * 2**10
_GZIP = ("gzip", "x-gzip")


class BodyRefused(Exception):
    """A body that is not taken.

    Args:
        status: the HTTP status that says so.
        why: in words.
    """

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


async def read_body(request: web.Request, share: Share) -> bytes:
    """The body, inflated; its bytes are taken from the share.

    Raises:
        Refused: too large, too slow, or not what its headers say.
        Full: there is no room for it.
    """
    if (request.content_length or 0) > LARGEST:
        raise BodyRefused(413, f"the body is larger than {LARGEST} bytes")
    inflater = _Inflater(request.headers.get("Content-Encoding", "").strip().lower())
    try:
        async with asyncio.timeout(SECONDS):
            body = await _read(request, inflater, share)
    except TimeoutError:
        raise BodyRefused(408, f"the body did not come within {SECONDS:g} s") from None
    except web.RequestPayloadError as error:
        raise BodyRefused(400, f"the body cannot be read: {error}") from None
    inflater.close()
    return body


async def _read(request: web.Request, inflater: _Inflater, share: Share) -> bytes:
    connection, body = request.protocol, bytearray()
    assert isinstance(connection, Connection)  # noqa: S101  # all are
    with connection.body():
        async for data in request.content.iter_any():
            for piece in inflater.feed(data):
                if len(body) + len(piece) > LARGEST:
                    raise BodyRefused(413, f"the body is larger than {LARGEST} bytes")
                share.take(len(piece))
                body += piece
                if inflater.coded:
                    # A few bytes can stand for many, and others get their turn.
                    await asyncio.sleep(0)
    return bytes(body)


class _Inflater:
    """Undoes one content coding, in small pieces; raises `BodyRefused` for what it cannot undo."""

    def __init__(self, coding: str) -> None:
        if coding not in ("", "identity", "deflate", *_GZIP):
            raise BodyRefused(415, "Content-Encoding: must be gzip, deflate or identity")
        self.coded = coding not in ("", "identity")
        self._coding = coding
        self._zlib: zlib._Decompress | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What the next bytes stand for."""
        if not self.coded:
            yield data
            return
        if self._zlib is None:
            self._zlib = zlib.decompressobj(self._window(data))
        try:
            while not self._zlib.eof:
                piece = self._zlib.decompress(data, _STEP)
                yield piece
                data = self._zlib.unconsumed_tail
                if not data and len(piece) < _STEP:
                    break
        except zlib.error:
            raise BodyRefused(400, "Content-Encoding: the body is not what this header says") from None
        # What stands behind the end is found in the one or the other.
        if data or self._zlib.unused_data:
            raise BodyRefused(400, "Content-Encoding: bytes stand behind the end of the body")

    def close(self) -> None:
        """The body has ended."""
        if self._zlib is not None and not self._zlib.eof:
            raise BodyRefused(400, "Content-Encoding: the body ends too early")

    def _window(self, data: bytes) -> int:
        """The argument to zlib: 16 + 15 for gzip's header, 15 for zlib's own, -15 for the clients that leave it out."""
        if self._coding in _GZIP:
            return 31
        return 15 if data[0] & 0x0F == zlib.DEFLATED else -15
