"""The signals that end a command: Ctrl-C, `kill`, and a terminal that goes away.

The first one stops what is being done, and what was started is removed. Whatever comes after it changes nothing:
who breaks the removal off has containers left.

Only the standard library is imported here, and asyncio only where it is used: this is the first module of a command,
and until it listens a signal ends Python in Python's own way.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Coroutine, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import asyncio
    import socket

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

STILL_AT_IT = "lab: tidying up; only kill -9 breaks that off, and the next run or `lab clean` removes what it leaves"

T = TypeVar("T")


class Stop:
    """Listens to `ENDING`, and stops the work of one command."""

    def __init__(self) -> None:
        self.number: int | None = None
        """The signal that stopped the command; None while none has."""
        self._pending = False
        self._interruptible = False
        self._tell: Callable[[], None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None

    def listen(self) -> None:
        """Take the signals over from whoever had them. From here on they do nothing but wait to be heeded."""
        for number in ENDING:
            # `nohup` asks for a command that outlives its terminal. A script starts what it puts into the background
            # deaf to Ctrl-C as well, but who sends it to such a command means it.
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._heard)

    def over(self) -> int | None:
        """The command has ended, and so will the process: which signal stopped it, if any. Others are ignored now."""
        for each in ENDING:
            # Python gives up handlers of its own while it ends, but leaves this.
            signal.signal(each, signal.SIG_IGN)
        number, self.number, self._pending = self.number, None, False
        return number

    @contextlib.contextmanager
    def interruptible(self, *, yes: bool = True) -> Iterator[None]:
        """Let a signal interrupt the block, one that has come before it too; or let signals wait for its end.

        Raises:
            KeyboardInterrupt: a signal came.
        """
        before, self._interruptible = self._interruptible, yes
        try:
            self._heed()
            yield
        finally:
            self._interruptible = before
        self._heed()

    def run(self, work: Coroutine[Any, Any, T], say: Callable[[str], None]) -> T:
        """Run a coroutine to its end, as `asyncio.run` does.

        Args:
            work: the coroutine.
            say: tells the user a line.

        Raises:
            KeyboardInterrupt: a signal came; the coroutine was cancelled and has tidied up.
        """
        import asyncio

        self._tell = lambda: say(STILL_AT_IT)
        try:
            with _waking_up() as awake, asyncio.Runner() as runner:
                try:
                    return runner.run(self._watched(work, awake))
                except asyncio.CancelledError:
                    if self.number is None:
                        raise
            # Only here, since the runner still waits for threads when the coroutine has ended.
            raise KeyboardInterrupt
        finally:
            self._loop = self._task = None
            # It may never have been begun.
            work.close()

    async def _watched(self, work: Coroutine[Any, Any, T], awake: socket.socket) -> T:
        import asyncio

        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        self._loop.add_reader(awake, awake.recv, 64)
        if self.number is not None:
            raise asyncio.CancelledError
        return await work

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        first = self.number is None
        if first:
            self.number = number
        if self._loop is None:
            self._pending = self._pending or first
            self._heed()
            return
        # From the loop: an exception from here may come up in any task and end that one only, and what is printed
        # from here may come into the middle of a line.
        with contextlib.suppress(RuntimeError):  # the loop is closed: the work is over
            self._loop.call_soon_threadsafe(self._cancel if first else self._tell_once)

    def _heed(self) -> None:
        if self._pending and self._interruptible:
            self._pending = False
            raise KeyboardInterrupt

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _tell_once(self) -> None:
        tell, self._tell = self._tell, None
        if tell is not None:
            tell()


STOP = Stop()
"""Signals are the process's, and so is this."""


@contextlib.contextmanager
def _waking_up() -> Iterator[socket.socket]:
    """A socket at which every signal arrives: without it, one that comes just before a loop falls asleep is not heard.

    Python notes a signal and runs its handler at the next step; a loop that waits for nothing else takes none.
    """
    import socket

    reading, writing = socket.socketpair()
    with reading, writing:
        reading.setblocking(False)
        writing.setblocking(False)
        before = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        try:
            yield reading
        finally:
            signal.set_wakeup_fd(before)
