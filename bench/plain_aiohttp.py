"""The peer that people write: an aiohttp handler that sleeps between tokens.

Nothing about it is slow on purpose; it is the usual tutorial, with aiohttp's own `run_app` and loop.
"""

from __future__ import annotations

import argparse
import asyncio
import json

from aiohttp import web


async def complete(request: web.Request) -> web.StreamResponse:
    """Stream `max_tokens` tokens, sleeping the app's interval after each."""
    asked = await request.json()
    reply = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await reply.prepare(request)
    for number in range(1, asked["max_tokens"] + 1):
        if number > 1:
            await asyncio.sleep(request.app["interval"])
        choice = {"index": 0, "delta": {"content": f"token {number} "}, "finish_reason": None}
        chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": asked["model"], "choices": [choice]}
        await reply.write(f"data: {json.dumps(chunk)}\n\n".encode())
    await reply.write(b"data: [DONE]\n\n")
    return reply


async def health(_request: web.Request) -> web.Response:
    """Ready."""
    return web.Response(text="ok")


def main() -> None:
    """Serve on a port, with an interval in seconds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--interval", type=float, required=True)
    options = parser.parse_args()
    app = web.Application()
    app["interval"] = options.interval
    app.router.add_post("/v1/chat/completions", complete)
    app.router.add_get("/health", health)
    web.run_app(app, host="127.0.0.1", port=options.port, access_log=None, print=None)


if __name__ == "__main__":
    main()
