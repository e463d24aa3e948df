"""Following the log of a container in a thread, line by line, and telling when a process has ended.

What was said is in memory when it is asked for, so attaching it to a failure costs no request and
works after the container is gone.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from lab.testbed import supervisor
from lab.testbed._faults import ENGINE_ERRORS

KEPT = 2000
"""Lines kept of each process; the oldest go first."""


GRACE = 1.0
"""Seconds in which the log of a container that is gone must have ended by itself."""


class Chunks(Protocol):
    """A log that is being followed, as docker-py opens it."""

    def __iter__(self) -> Iterator[bytes]:
        """What comes, until the container is gone."""
        ...

    def close(self) -> None:
        """Stop it; may be called from another thread."""
        ...


@dataclass
class Voice:
    """What one process has said so far.

    Attributes:
        lines: the last `KEPT` lines, without line end.
        ended: set as soon as the process, or its whole container, has ended.
        exit_code: of the process, once it ended by itself.
    """

    lines: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT))
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    exit_code: int | None = None


class LogBook:
    """The voices of one container, by slot; the slot of an unsupervised container is empty.

    Args:
        slots: the processes to expect.
        loop: the event loop that waits for `Voice.ended`.
    """

    def __init__(self, slots: Iterable[str], loop: asyncio.AbstractEventLoop) -> None:
        self.voices: dict[str, Voice] = {slot: Voice() for slot in slots}
        self._loop = loop
        self._thread: threading.Thread | None = None
        self._chunks: Chunks | None = None

    def follow(self, log: Callable[[], Chunks]) -> None:
        """Start reading; returns at once.

        Args:
            log: opens the log, whose chunks come until the container is gone.
        """
        self._thread = threading.Thread(target=self._read, args=(log,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop reading; to be called when the container is gone."""
        if self._thread is None:
            return
        self._thread.join(GRACE)
        # Docker 20.10 sometimes forgets to end the log of a container that has just died.
        if self._thread.is_alive() and self._chunks is not None:
            self._chunks.close()
            self._thread.join(GRACE)

    def take(self, line: str) -> None:
        """Take one line of the container's log."""
        slot, text = supervisor.split(line)
        if slot not in self.voices:
            slot, text = "", line
        voice = self.voices.get(slot)
        if voice is None:
            return
        ended = supervisor.EXITED.search(text)
        if ended is None:
            voice.lines.append(text)
            return
        voice.exit_code = int(ended.group(1))
        self._set(voice)

    def _read(self, log: Callable[[], Chunks]) -> None:
        try:
            self._chunks = log()
            for line in lines_of(self._chunks):
                self.take(line)
        except (*ENGINE_ERRORS, ValueError, OSError):
            # The engine or the container went away; those who wait learn it from `ended`.
            pass
        for voice in self.voices.values():
            self._set(voice)

    def _set(self, voice: Voice) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(voice.ended.set)


def lines_of(chunks: Iterable[bytes]) -> Iterator[str]:
    """Whole lines out of chunks that end anywhere, also inside a character. Pure."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode(errors="replace").rstrip("\r") for line in whole)
    if rest:
        yield rest.decode(errors="replace")
