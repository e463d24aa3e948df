"""Ten minutes of streams: what each of them leaves behind is nothing."""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest

from .attacked import Attacked, attacked
from .raw import connect, request

AT_ONCE = 500
QUERY = "tokens=9&interval=500ms"
"""A stream of four seconds: 500 of them at once are more than 100 new ones in each second."""

FULL, END = 180.0, 600.0
"""Seconds at which the ledger has been full for a minute, which keeps 10,000 requests, and until the end."""

WINDOW = 60.0
"""Seconds before each in which the server has tidied up at least once."""

LEFT_BEHIND = 250
"""Bytes of each stream that are a leak: the server tidies up only now and then, and memory comes in pages."""


async def _ask_again_and_again(server: Attacked, until: float, counted: itertools.count[int]) -> None:
    while time.monotonic() < until:
        connection = await connect(server.base_url)
        connection.send(request(QUERY))
        await connection.until(b"[DONE]")
        connection.close()
        next(counted)


async def _least(server: Attacked, since: float, until: float) -> int:
    """KiB that it takes at least, in a span of time in which it has tidied up."""
    await asyncio.sleep(since - time.monotonic())
    least = server.resident
    while time.monotonic() < until:
        await asyncio.sleep(1.0)
        least = min(least, server.resident)
    return least


async def _grown(full: float, end: float) -> tuple[int, int]:
    """By how many bytes the server grew between two times, and over how many streams.

    At each it is the least of some time before, for what is to be collected comes and goes.
    """
    counted, began = itertools.count(), time.monotonic()
    with attacked() as server:
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(_ask_again_and_again(server, began + end, counted))
            before = await _least(server, began + full - WINDOW, began + full)
            streams = next(counted)
            after = await _least(server, began + end - WINDOW, began + end)
            streams = next(counted) - streams
    return 1024 * (after - before), streams


@pytest.mark.soak
async def test_memory_is_flat_over_ten_minutes() -> None:
    """Of minute three and of minute ten, with some 50,000 streams between."""
    grown, streams = await _grown(FULL, END)
    assert streams > 100 * (END - FULL) / 2
    assert grown / streams < LEFT_BEHIND
