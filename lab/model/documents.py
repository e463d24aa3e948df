"""Documents that the model server answers with beside its planned replies: the vendors' errors, and JSON in pieces."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice

from aiohttp import web

from lab.wire.events import FinishReason
from lab.wire.format import Asked, Reply, WireFormat

_JSON = "application/json"
_PIECE = 64 * 2**10
_LONGEST_MESSAGE = 500


def error_reply(wire: WireFormat, status: int, message: str) -> web.Response:
    """An error in the vendor's shape; the message may repeat whatever a client sent."""
    printable = message[:_LONGEST_MESSAGE].encode("utf-8", "backslashreplace").decode()
    body = wire.error_body(wire.error_kind(status), printable)
    return web.Response(status=status, body=body, content_type=_JSON)


def text_reply(wire: WireFormat, asked: Asked, text: str) -> web.Response:
    """A text as the whole answer, in the format and the way that were asked for, at once."""
    reply = Reply("lab-text", asked.model, include_usage=asked.include_usage)
    if not asked.stream:
        return web.Response(body=wire.batch(reply, text, FinishReason.STOP, 1), content_type=_JSON)
    events = (
        wire.opening(reply),
        wire.text(reply, text),
        wire.finish(reply, FinishReason.STOP, 1, text),
        wire.marker(reply),
    )
    return web.Response(body=b"".join(events), headers={"Content-Type": wire.stream_type})


async def never_kept(request: web.Request, reply: web.StreamResponse) -> None:
    """Tell caches on the way that what the side channel says now it says once: Varnish keeps a clock's time else."""
    if request.path.startswith("/lab/"):
        reply.headers["Cache-Control"] = "no-store"


async def write_document(request: web.Request, pieces: Iterator[bytes]) -> web.StreamResponse:
    """Answer with a document of JSON; one that is long is made as it leaves, and others get their turn meanwhile."""
    blocks = _gathered(pieces)
    begin = [*islice(blocks, 2)]
    if len(begin) == 1:
        return web.Response(body=begin[0], content_type=_JSON)
    reply = web.StreamResponse(headers={"Content-Type": _JSON})
    await reply.prepare(request)
    for block in begin:
        await reply.write(block)
    for block in blocks:
        await reply.write(block)
        await asyncio.sleep(0)
    await reply.write_eof()
    return reply


def _gathered(pieces: Iterator[bytes]) -> Iterator[bytes]:
    block = bytearray()
    for piece in pieces:
        block += piece
        if len(block) >= _PIECE:
            yield bytes(block)
            block.clear()
    if block:
        yield bytes(block)
