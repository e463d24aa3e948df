"""Notes when the probe or the model server itself was late, so that no path is blamed for it.

While any exchange runs, a timer of its event loop beats every 20 ms. A beat that comes clearly late means that the
loop, or the whole machine, did something else meanwhile. In the probe, what lay in the sockets then was read late, and
tokens that had come one by one look as if they had come together; in the model server, what was due then left late, and
a silence was longer than planned. All exchanges of a loop share one pulse.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from types import TracebackType
from typing import ClassVar, Self
from weakref import WeakKeyDictionary

from lab.evidence import Stall

BEAT = 0.02
"""Seconds from one beat to the next."""
LATE = 0.03
"""Seconds by which a beat must be late to count; uvloop's timers are exact to a millisecond or two."""

# An hour of nothing but stalls; older ones belong to exchanges that are over.
_MOST = 100_000


class Pulse:
    """The pulse of the running loop, as a context manager; it beats while at least one is entered."""

    _of_loop: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, Pulse]] = WeakKeyDictionary()

    def __init__(self) -> None:
        self._users = 0
        self._last = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._stalls: deque[Stall] = deque(maxlen=_MOST)

    @classmethod
    def of_running_loop(cls) -> Pulse:
        """The one that the exchanges of this loop share."""
        return cls._of_loop.setdefault(asyncio.get_running_loop(), cls())

    def __enter__(self) -> Self:
        self._users += 1
        if self._users == 1:
            self._last = time.monotonic()
            self._beat_again()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._note(time.monotonic())
        self._users -= 1
        if not self._users and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def between(self, since: float, until: float) -> tuple[Stall, ...]:
        """The stalls that touch a span of time, in order, up to now."""
        if self._users:
            # Who asks may run before the beat that is overdue.
            self._note(time.monotonic())
        found: list[Stall] = []
        for stall in reversed(self._stalls):
            if stall.until <= since:
                break
            if stall.since < until:
                found.append(stall)
        return tuple(reversed(found))

    def _beat_again(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(BEAT, self._beat)

    def _beat(self) -> None:
        self._note(time.monotonic())
        self._beat_again()

    def _note(self, now: float) -> None:
        """Keep the time since the last beat if it was too long."""
        if now - self._last > BEAT + LATE:
            self._stalls.append(Stall(self._last, now))
        self._last = now
