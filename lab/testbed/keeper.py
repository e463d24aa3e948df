"""The keeper: a small process that starts the processes of one testbed, and sees to it that none of them outlives it.

    python -m lab.testbed.keeper FOLDER PARENT

Each line on standard input starts a process (`Order`); each line on standard output tells what became of one
(`Event`). The end of standard input is the end of all of them: it comes when the lab closes it, and also when the lab
is killed, whichever way. Four nets lie below each other:

- the end of standard input, and the kernel's signal at the death of the parent (PR_SET_PDEATHSIG);
- every process has a session of its own, which is killed as a whole;
- on Linux the keeper inherits whatever leaves its session and loses its parent (PR_SET_CHILD_SUBREAPER), so that it
  can kill what put itself into the background as well;
- it writes down whom it has started, in a file of the folder, for the sweep (`end_recorded`), should the keeper
  itself be killed.

Warning: a process that changes its user loses the kernel's signal, and what nginx starts outlives a killed nginx; so
no single one of the nets is enough.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from lab.testbed._owner import Owner

RECORD = "processes"
"""The file that says whom the keeper has started: one owner a line."""
GRACE = 1.0
"""Seconds between asking a process to end and killing it."""

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_NOT_STARTED = 127
_ORDERS = 0
"""Standard input."""


@dataclass(frozen=True)
class Order:
    """Start a process.

    Attributes:
        slot: its name, which no other has.
        command: with its arguments.
        folder: where it runs.
        log: the file that its outputs are added to.
        environment: variables beside the keeper's own.
    """

    slot: str
    command: tuple[str, ...]
    folder: str
    log: str
    environment: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Event:
    """A process has started, or has ended.

    Attributes:
        slot: which.
        pid: its number; 0 if it could not be started.
        exit_code: None while it runs; negative for a signal.
        background: it ended well and left a process of its own behind.
        why: why it could not be started.
    """

    slot: str
    pid: int = 0
    exit_code: int | None = None
    background: bool = False
    why: str = ""


class Keeper:
    """See the module.

    Args:
        folder: of the testbed.
    """

    def __init__(self, folder: Path) -> None:
        self._record = folder / RECORD
        self._slots: dict[int, str] = {}
        self._over = False
        self._libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def serve(self, parent: int) -> None:
        """Start and report until standard input or the parent ends; then end all."""
        woken, waking = socket.socketpair()
        waking.setblocking(False)
        signal.set_wakeup_fd(waking.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._heard)
        self._prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        self._prctl(_PR_SET_CHILD_SUBREAPER, 1)
        rest = b""
        # The parent may have ended before it could be noticed.
        while os.getppid() == parent and not self._over:
            ready, _, _ = select.select([_ORDERS, woken.fileno()], [], [])
            if woken.fileno() in ready:
                woken.recv(4096)
                self._reap()
            if _ORDERS in ready:
                read = os.read(_ORDERS, 1 << 16)
                if not read:
                    break
                *lines, rest = (rest + read).split(b"\n")
                for line in lines:
                    self._obey(Order(**json.loads(line)))
        self._end_all()

    def _heard(self, *_: object) -> None:
        """It was asked to end, by the kernel as a rule: its parent has ended."""
        self._over = True

    def _obey(self, order: Order) -> None:
        try:
            with Path(order.log).open("ab") as log:
                process = subprocess.Popen(  # noqa: S603  # the lab's own orders
                    order.command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=order.folder,
                    env={**os.environ, **dict(order.environment)},
                    start_new_session=True,
                    preexec_fn=self._before_exec,  # this process has one thread
                )
        except OSError as error:
            _tell(Event(order.slot, exit_code=_NOT_STARTED, why=f"{order.command[0]}: {error.strerror}"))
            return
        # Reaped here, by its number.
        process.returncode = 0
        self._slots[process.pid] = order.slot
        with self._record.open("a") as record:
            record.write(f"{Owner.of(process.pid)}\n")
        _tell(Event(order.slot, process.pid))

    def _before_exec(self) -> None:
        """In the new process: the keeper's death is its own."""
        self._prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def _prctl(self, option: int, value: int) -> None:
        if self._libc is not None:
            self._libc.prctl(option, value, 0, 0, 0)

    def _reap(self) -> None:
        for pid, code in _ended():
            slot = self._slots.pop(pid, None)
            if slot is not None:
                _tell(Event(slot, pid, code, background=code == 0 and self._left_behind()))

    def _left_behind(self) -> bool:
        """Whether the keeper has a child that it did not start: its parent has left it."""
        return any(
            child.pid not in self._slots and child.status() != psutil.STATUS_ZOMBIE
            for child in psutil.Process().children()
        )

    def _end_all(self) -> None:
        for pid in self._slots:
            _kill_session(pid, signal.SIGTERM)
        limit = time.monotonic() + GRACE
        while self._alive() and time.monotonic() < limit:
            time.sleep(0.005)
        for pid in self._slots:
            _kill_session(pid, signal.SIGKILL)
        # What loses its parent now becomes the keeper's child, so that the next round finds it.
        while alive := self._alive():
            for process in alive:
                with suppress(psutil.Error):
                    process.kill()
            time.sleep(0.005)

    @staticmethod
    def _alive() -> list[psutil.Process]:
        for _ in _ended():
            pass
        return psutil.Process().children(recursive=True)


def end_recorded(folder: Path) -> None:
    """Kill what a keeper of that folder has started and could not end itself.

    Of a session whose first process is gone, only those are killed that still stand in the folder: the number may
    have become somebody else's.
    """
    try:
        lines = (folder / RECORD).read_text().split()
    except OSError:
        return
    owners = [owner for owner in map(Owner.parse, lines) if owner is not None and owner.is_of_this_boot()]
    for owner in owners:
        if owner.is_alive_here():
            _kill_session(owner.pid, signal.SIGKILL)
    begun = {owner.pid for owner in owners}
    for process in psutil.process_iter() if begun else ():
        with suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) in begun and Path(process.cwd()).is_relative_to(folder):
                process.kill()


def _ended() -> Iterator[tuple[int, int]]:
    """The children that have ended, with their exit codes; of each once."""
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            yield pid, os.waitstatus_to_exitcode(status)


def _kill_session(pid: int, number: int) -> None:
    """Send a signal to a process and to all that have stayed in its group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _tell(event: Event) -> None:
    # Nobody may be listening any more.
    with suppress(OSError):
        os.write(1, json.dumps(asdict(event)).encode() + b"\n")


if __name__ == "__main__":
    Keeper(Path(sys.argv[1])).serve(int(sys.argv[2]))
