"""Lockstep: what the probe has confirmed of one reply, and the wait for it.

The probe confirms over a direct side channel, so a confirmation says that the token has come through
the whole path. Behind a path that collects the reply it never comes; the hold then runs out, which is
itself the verdict, and the later holds are shortened so that a long answer still ends.
"""

from __future__ import annotations

import asyncio
import time

from lab.evidence import Hold

LATER = 200
"""How many times shorter a hold is once one has run out: that one is the proof, and the others only take their time."""


class Confirmations:
    """The confirmations of one reply; lives as long as its record in the ledger.

    Args:
        longest: the longest hold, in seconds; once one has run out, later ones last a two-hundredth of it.
    """

    def __init__(self, longest: float) -> None:
        self._limit = self._longest = longest
        self._confirmed = 0
        self._confirmed_at = 0.0
        self._waiter: asyncio.Future[None] | None = None
        self._awaited = 0

    def confirm(self, number: int) -> None:
        """The probe has token `number`, and so all before it."""
        if number > self._confirmed:
            self._confirmed, self._confirmed_at = number, time.monotonic()
        if self._waiter is not None and self._confirmed >= self._awaited and not self._waiter.done():
            self._waiter.set_result(None)

    async def hold(self, number: int) -> Hold:
        """Wait until token `number` is confirmed, or until the hold has run out."""
        if self._confirmed < number:
            self._awaited, self._waiter = number, asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(self._limit):
                    await self._waiter
            except TimeoutError:
                self._limit = self._longest / LATER
                return Hold(number, time.monotonic(), confirmed=False)
            finally:
                self._waiter = None
        return Hold(number, self._confirmed_at, confirmed=True)
