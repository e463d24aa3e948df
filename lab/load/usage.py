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
        pids: its processes.
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

    def note(self, watched: ProxyProcesses, processes: Sequence[psutil.Process]) -> None:
        self.memory = max(self.memory, _resident(processes))
        self.connections = _most(self.connections, connections_to(watched.pids[0], watched.model_port))
        found = temporary_files(watched.pids)
        if found is not None:
            sizes = [size for file, size in found.items() if file not in self.before]
            self.files, self.file_bytes = _most(self.files, len(sizes)), _most(self.file_bytes, sum(sizes))


@asynccontextmanager
async def watching(watched: ProxyProcesses | None) -> AsyncIterator[Callable[[], ProxyUsage | None]]:
    """What processes take while inside; None where there are none to look at."""
    if watched is None or not watched.pids:
        yield lambda: None
        return
    processes = []
    for pid in watched.pids:
        with suppress(psutil.NoSuchProcess):
            processes.append(psutil.Process(pid))
    before, sent, idle = _seconds(processes), _packets_sent(watched.pids[0]), _resident(processes)
    peaks = _Peaks(temporary_files(watched.pids) or {})

    async def look() -> None:
        while True:
            peaks.note(watched, processes)
            await asyncio.sleep(LOOK_EVERY)

    def usage() -> ProxyUsage:
        now = _packets_sent(watched.pids[0])
        packets = None if now is None or sent is None else now - sent
        seconds = round(_seconds(processes) - before, 2)
        ended = len(processes) - sum(_of(each, _runs) for each in processes)
        return ProxyUsage(
            peaks.memory, idle, seconds, packets, peaks.connections, peaks.files, peaks.file_bytes, round(ended)
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


def _resident(processes: Sequence[psutil.Process]) -> int:
    return round(sum(_of(each, lambda one: float(one.memory_info().rss)) for each in processes))


def _seconds(processes: Sequence[psutil.Process]) -> float:
    return sum(_of(each, lambda one: one.cpu_times().user + one.cpu_times().system) for each in processes)


def _runs(process: psutil.Process) -> float:
    """1 of a process that is there and no zombie, else 0."""
    return float(process.status() != psutil.STATUS_ZOMBIE)


def _of(process: psutil.Process, value: Callable[[psutil.Process], float]) -> float:
    try:
        return value(process)
    except psutil.Error:
        return 0.0
