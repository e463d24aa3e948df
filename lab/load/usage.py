"""What a proxy's processes take while a load runs, as Linux tells it; what it does not tell is not known."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from lab.load.figures import ProxyUsage

LOOK_EVERY = 0.5
"""Seconds."""

_PROC = Path("/proc")
# The column of `/proc/PID/net/dev` that has the packets sent.
_SENT = 9
# The columns of `/proc/PID/net/tcp` that have the other side's address and the state, and the state of a connection.
_REMOTE, _STATE, _ESTABLISHED = 2, 3, "01"
# A file that has no name any more: nginx takes the names of its temporary files away as it makes them.
_NAMELESS = " (deleted)"

Files = Mapping[tuple[int, int], int]
"""The bytes of each file, by its device and number."""


@dataclass(frozen=True)
class ProxyProcesses:
    """A proxy that can be looked at.

    Args:
        pids: its processes, the one that started the others first.
        model_port: the port at which it alone asks the model server.
    """

    pids: tuple[int, ...]
    model_port: int


@dataclass
class _Peaks:
    """The most that was seen; None where it could not be. What was open `before` the load is none of its files."""

    before: Files
    memory: int = 0
    connections: int | None = None
    files: int | None = None
    file_bytes: int | None = None

    def note(self, watched: ProxyProcesses, processes: _Processes) -> None:
        processes.look()
        self.memory = max(self.memory, processes.resident)
        self.connections = _most(self.connections, connections_to(watched.pids[0], watched.model_port))
        found = temporary_files(processes.running)
        if found is not None:
            sizes = [size for file, size in found.items() if file not in self.before]
            self.files, self.file_bytes = _most(self.files, len(sizes)), _most(self.file_bytes, sum(sizes))


class _Processes:
    """All that are a proxy's, those too that it starts while it is watched.

    Args:
        pids: those that there are at first.
    """

    def __init__(self, pids: Sequence[int]) -> None:
        found = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
        self._first = found[:1]
        self._seconds = dict.fromkeys(found, 0.0)
        self.look()
        self._before = sum(self._seconds.values())

    def look(self) -> None:
        """Note who has come, and what each has taken so far: of one that has ended, nobody tells it any more."""
        for first in self._first:
            with suppress(psutil.Error):
                self._seconds |= {each: 0.0 for each in first.children(recursive=True) if each not in self._seconds}
        for each in self._seconds:
            with suppress(psutil.Error):
                times = each.cpu_times()
                self._seconds[each] = times.user + times.system

    @property
    def taken(self) -> float:
        """Seconds of processor since the first look."""
        return sum(self._seconds.values()) - self._before

    @property
    def running(self) -> list[int]:
        """The ids of those that have not ended."""
        return [each.pid for each in self._seconds if _runs(each)]

    @property
    def ended(self) -> int:
        """How many have."""
        return len(self._seconds) - len(self.running)

    @property
    def resident(self) -> int:
        """Their memory, in bytes."""
        return sum(map(_resident, self._seconds))


@asynccontextmanager
async def watching(watched: ProxyProcesses | None) -> AsyncIterator[Callable[[], ProxyUsage | None]]:
    """What processes take while inside; None where there are none to look at."""
    if watched is None or not watched.pids:
        yield lambda: None
        return
    processes = _Processes(watched.pids)
    sent, idle = _packets_sent(watched.pids[0]), processes.resident
    peaks = _Peaks(temporary_files(watched.pids) or {})

    async def look() -> None:
        while True:
            peaks.note(watched, processes)
            await asyncio.sleep(LOOK_EVERY)

    def usage() -> ProxyUsage:
        processes.look()
        now = _packets_sent(watched.pids[0])
        return ProxyUsage(
            memory=peaks.memory,
            idle=idle,
            processor=round(processes.taken, 2),
            packets=None if now is None or sent is None else now - sent,
            connections=peaks.connections,
            files=peaks.files,
            file_bytes=peaks.file_bytes,
            ended=processes.ended,
        )

    looking = asyncio.create_task(look())
    try:
        yield usage
    finally:
        looking.cancel()


def connections_to(pid: int, port: int) -> int | None:
    """How many connections lead to a port, by the network that a process is in; None where nobody tells."""
    count = 0
    try:
        for table in ("tcp", "tcp6"):
            lines = (_PROC / f"{pid}/net/{table}").read_text(encoding="ascii").splitlines()[1:]
            columns = (line.split() for line in lines)
            count += sum(each[_STATE] == _ESTABLISHED and each[_REMOTE].endswith(f":{port:04X}") for each in columns)
    except OSError:
        return None
    return count


def temporary_files(pids: Sequence[int]) -> Files | None:
    """The files without a name that processes have open; None where that is not this user's to know."""
    try:
        return dict(file for pid in pids for file in _nameless(_PROC / f"{pid}/fd"))
    except OSError:
        return None


def _nameless(folder: Path) -> Iterator[tuple[tuple[int, int], int]]:
    for file in folder.iterdir():
        # What was closed meanwhile.
        with suppress(FileNotFoundError):
            if str(file.readlink()).endswith(_NAMELESS):
                found = file.stat()
                if stat.S_ISREG(found.st_mode):
                    yield (found.st_dev, found.st_ino), found.st_size


def _most(before: int | None, now: int | None) -> int | None:
    return before if now is None else max(now, before or 0)


def _packets_sent(pid: int) -> int | None:
    """Since its start, by a container that holds this process; None where it shares this process's network."""
    try:
        if (_PROC / f"{pid}/ns/net").readlink() == (_PROC / "self/ns/net").readlink():
            return None
        devices = (_PROC / f"{pid}/net/dev").read_text(encoding="ascii").splitlines()[2:]
    except OSError:
        return None
    counts = {name.strip(): fields.split() for name, _, fields in (line.partition(":") for line in devices)}
    return sum(int(fields[_SENT]) for name, fields in counts.items() if name != "lo")


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
