"""A model server in a thread of its own, so that synchronous clients can be run against it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future

import pytest
import uvloop

from lab.model.server import ModelServer


@pytest.fixture(scope="package")
def model() -> Iterator[str]:
    """The base URL of a model server."""
    started: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        async with ModelServer() as server:
            stop = asyncio.Event()
            started.set_result((server.base_url, asyncio.get_running_loop(), stop))
            await stop.wait()

    def run() -> None:
        try:
            uvloop.run(serve())
        except BaseException as error:
            if not started.done():
                started.set_exception(error)
            raise

    thread = threading.Thread(target=run)
    thread.start()
    url, loop, stop = started.result(60)
    yield url
    loop.call_soon_threadsafe(stop.set)
    thread.join(60)
