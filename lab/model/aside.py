"""Beside the event loop: one thread for what takes long, one thing after the other, while every stream goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Result = TypeVar("_Result")


class Aside:
    """The thread; it begins with the first work."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lab-aside")

    async def work(self, work: Callable[[], _Result]) -> _Result:
        """Do the work; whoever leaves meanwhile gives up his place."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        """Begin no more work."""
        self._thread.shutdown(wait=False, cancel_futures=True)
