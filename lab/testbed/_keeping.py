"""The lab's side of the keeper: orders go out, events come in, and logs are read from their files.

A process writes into a file of its own, which is only read when somebody asks: the event loop that measures has nothing
to do with what the products write.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

import lab
from lab.errors import EnvironmentFault
from lab.testbed import keeper
from lab.testbed.keeper import Event, Order
from lab.testbed.runner import Started

KEPT = 2000
"""Lines of a log that can still be read when its file is gone: the last ones."""
_READ_AT_ONCE = 1 << 20
"""Bytes of a log that are looked at: its end."""
_END_LIMIT = 20.0
"""Seconds that the keeper gets to end everything; it takes one, if a process does not heed being asked."""


@dataclass
class Process:
    """One process of the testbed.

    Attributes:
        slot: its name.
        log: the file with all that it wrote.
        pid: its number; 0 where it could not be started.
        ended: set when it has ended.
        background: it ended well, and left a process behind.
        why: why it could not be started.
        kept: the end of the log, once its file is gone.
    """

    slot: str
    log: Path
    pid: int = 0
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    background: bool = False
    why: str = ""
    kept: list[str] | None = None

    def is_alive(self) -> bool:
        """Whether it runs at this moment, whatever the keeper has told so far."""
        try:
            return self.pid > 0 and psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    def place(self, port: int, *, secure: bool = False) -> Started:
        """Where it listens on loopback, for the testbed."""
        return Started(("127.0.0.1", port), self.ended, self.tail, secure)

    def tail(self, count: int) -> list[str]:
        """The last lines that it wrote."""
        return (self._read() if self.kept is None else self.kept)[-count:]

    def keep(self) -> None:
        """Read the log for the last time."""
        self.kept = self._read()[-KEPT:]

    def _read(self) -> list[str]:
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _READ_AT_ONCE))
                lines = file.read().decode(errors="replace").splitlines()
        except OSError:
            lines = []
        return [*lines, *([self.why] if self.why else [])]


class Keeping:
    """A keeper and its processes; `begin`, and at the end `end`.

    Args:
        folder: of the testbed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: dict[str, Process] = {}
        self._keeper: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Start the keeper. It dies with the thread that calls this, so that one has to live as long as the testbed."""
        path = os.pathsep.join(filter(None, (str(Path(lab.__file__).parents[1]), os.environ.get("PYTHONPATH"))))
        self._keeper = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", keeper.__name__, str(self._folder), str(os.getpid())),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            # Ctrl-C in a terminal reaches the lab, which then ends the keeper.
            start_new_session=True,
        )
        self._listening = asyncio.create_task(self._listen(self._keeper))

    async def start(self, order: Order) -> Process:
        """Have a process started; one that could not be has ended, and its log says why.

        Raises:
            EnvironmentFault: the keeper is gone.
        """
        process = self._processes[order.slot] = Process(order.slot, Path(order.log))
        self._tell(order)
        await process.begun.wait()
        if not (process.pid or process.why):
            raise _gone()
        return process

    async def end(self) -> None:
        """End all of them, and keep what they wrote."""
        if self._keeper is None or self._keeper.stdin is None:
            return
        self._keeper.stdin.close()
        try:
            await asyncio.wait_for(self._keeper.wait(), _END_LIMIT)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._keeper.kill()
            await self._keeper.wait()
        if self._listening is not None:
            await self._listening
        # Nothing is left as a rule; unless the keeper was killed.
        await asyncio.to_thread(keeper.end_recorded, self._folder)
        for process in self._processes.values():
            process.keep()

    def _tell(self, order: Order) -> None:
        if self._keeper is None or self._keeper.stdin is None or self._keeper.returncode is not None:
            raise _gone()
        self._keeper.stdin.write(json.dumps(asdict(order)).encode() + b"\n")

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        stdout = process.stdout
        while stdout is not None and (line := await stdout.readline()):
            self._hear(Event(**json.loads(line)))
        for each in self._processes.values():
            each.begun.set()
            each.ended.set()

    def _hear(self, event: Event) -> None:
        process = self._processes[event.slot]
        process.pid, process.background, process.why = event.pid, event.background, event.why
        process.begun.set()
        if event.exit_code is not None:
            process.ended.set()


def _gone() -> EnvironmentFault:
    return EnvironmentFault("The process that keeps the lab's others has ended.", "Run the lab again.")
