"""Hand-written parsers over httpx, aiohttp and requests: the loop over lines that tutorials show.

And httpx with `lab.consume` in the place of that loop.
"""

# Runs where other packages are installed than the lab's, so types cannot be checked; names say what is asked.
# mypy: ignore-errors
# ruff: noqa: D103

import asyncio
import json

import _cells

BODY = {"model": "lab", "stream": True, "messages": [{"role": "user", "content": "Count."}]}


def _line(line, seen):
    """Read one line; true at the terminal marker."""
    if not line.startswith("data: "):
        return False
    if line == "data: [DONE]":
        return True
    for choice in json.loads(line[6:])["choices"]:
        seen.text.append(choice["delta"].get("content") or "")
        seen.finish = choice["finish_reason"] or seen.finish
    return False


def _url(cell):
    return cell["base"] + "/v1/chat/completions"


def httpx_lines(cell, seen):
    import httpx

    with httpx.stream("POST", _url(cell), json=BODY, headers=_cells.headers(cell), timeout=cell["timeout"]) as reply:
        reply.raise_for_status()
        for line in reply.iter_lines():
            if _line(line, seen):
                return


def httpx_consume(cell, seen):
    import httpx

    from lab.consume import Consumer

    consumer, error = Consumer("openai-chat"), None
    try:
        with httpx.stream(
            "POST", _url(cell), json=BODY, headers=_cells.headers(cell), timeout=cell["timeout"]
        ) as reply:
            consumer.head(reply.status_code, reply.headers)
            for data in reply.iter_bytes():
                consumer.feed(data)
    except httpx.HTTPError as failure:
        error = failure
    _cells.consumed(consumer.close(error), seen)


def requests_lines(cell, seen):
    import requests

    with requests.post(
        _url(cell), json=BODY, headers=_cells.headers(cell), timeout=cell["timeout"], stream=True
    ) as reply:
        reply.raise_for_status()
        for line in reply.iter_lines():
            if _line(line.decode(), seen):
                return


def aiohttp_lines(cell, seen):
    asyncio.run(_aiohttp(cell, seen))


async def _aiohttp(cell, seen):
    import aiohttp

    limits = aiohttp.ClientTimeout(total=None, sock_read=cell["timeout"])
    async with (
        aiohttp.ClientSession(timeout=limits, headers=_cells.headers(cell)) as session,
        session.post(_url(cell), json=BODY) as reply,
    ):
        reply.raise_for_status()
        async for line in reply.content:
            if _line(line.decode().rstrip(), seen):
                return


if __name__ == "__main__":
    _cells.main(
        {
            "httpx": httpx_lines,
            "requests": requests_lines,
            "aiohttp": aiohttp_lines,
            "httpx_consume": httpx_consume,
        },
        ("httpx", "requests", "aiohttp", "lab.consume"),
    )
