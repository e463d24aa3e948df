"""Runs Locust beside the lab, and brings back the figures.

Locust replaces the standard library's sockets, so it has processes of its own. However it ends, what was learnt till
then is kept: it writes its file when it is told to stop, too.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from lab.errors import BadInput, EnvironmentFault
from lab.load.figures import Figures, ProxyUsage, figures_of
from lab.plan import Plan, StampKind
from lab.precedence import NICE

LOCUSTFILE = Path(__file__).with_name("locustfile.py")

FILES_BESIDE = 100
"""Open files of a process beside its streams."""

MOST_PORTS = 25_000
"""Streams from one address of this machine to one address: there are some 28,000 ports for them."""

_ENDING = 20.0
"""Seconds that Locust has to write down what it knows once it was told to stop."""

# The column of `/proc/PID/net/dev` that has the packets sent.
_SENT = 9

OnSecond = Callable[[dict[str, int]], None]
"""Is told once a second how many streams were asked for, are open, and are over."""


@dataclass(frozen=True)
class Load:
    """How much, and how fast.

    Args:
        streams: how many; each is one request.
        ramp: seconds over which they begin.
        hold: seconds for which all of them are open.
        interval: seconds from one token to the next.
        processes: of this machine, among which they are shared.
    """

    streams: int
    ramp: float = 10.0
    hold: float = 60.0
    interval: float = 1.0
    processes: int = 1

    @property
    def plan(self) -> Plan:
        """Of each stream: the first is still open when the last has been held for long enough."""
        tokens = round((self.ramp + self.hold) / self.interval) + 1
        return Plan(tokens=tokens, interval=self.interval, stamp=StampKind.CLOCK)

    @property
    def longest(self) -> float:
        """Seconds that it takes at most, if every stream ends as planned or its patience runs out."""
        return self.ramp + 2 * self.plan.length + 60.0

    def check(self) -> None:
        """Make sure that this machine can open so many.

        Raises:
            BadInput: there are too few ports, or open files; names the limit.
        """
        if self.streams > MOST_PORTS:
            problem = f"--streams {self.streams}: one address has ports for {MOST_PORTS} connections to another."
            raise BadInput(problem, "Use several machines, see docs/load.md.")
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        needed = self.streams // self.processes + FILES_BESIDE
        if hard != resource.RLIM_INFINITY and needed > hard:
            problem = (
                f"--streams {self.streams}: a process may open {hard} files (ulimit -Hn), and {needed} are needed."
            )
            raise BadInput(problem, "Raise the limit, or use more --processes.")


async def generate(load: Load, url: str, target: str, on_second: OnSecond, pids: Sequence[int] = ()) -> Figures:
    """Have so many streams over an address.

    Args:
        load: how many.
        url: the address.
        target: its name in the figures.
        on_second: hears how it goes.
        pids: the proxy's processes, where they can be looked at.

    Raises:
        EnvironmentFault: Locust ended without figures; carries its last words.
    """
    with tempfile.NamedTemporaryFile(prefix="token-stream-lab-load-") as figures:
        async with _watching(pids) as usage:
            said = await _locust(_command(load, url, figures.name), on_second, load.longest)
        found = figures.read()
    if not found:
        raise EnvironmentFault(f"Locust ended without a figure: {said}", "That is a fault of the lab's own.")
    return figures_of(json.loads(found), target, load.streams, usage() if pids else None)


def _command(load: Load, url: str, figures: str) -> list[str]:
    several = ["--processes", str(load.processes)] if load.processes > 1 else []
    rate = load.streams / load.ramp if load.ramp else load.streams
    return [
        *(sys.executable, "-m", "locust", "--locustfile", str(LOCUSTFILE), "--headless", "--only-summary"),
        *("--users", str(load.streams), "--spawn-rate", str(rate), "--run-time", f"{load.longest:.0f}s"),
        *("--stop-timeout", "1", "--host", url, "--plan", load.plan.to_query(), "--figures", figures),
        *several,
    ]


async def _locust(command: Sequence[str], on_second: OnSecond, longest: float) -> str:
    """Run it to its end; returns its last words."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, start_new_session=True
    )
    said = ""
    # Before other processes where it may, and what it starts too; in the real-time class nothing else would run.
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
    assert process.stdout is not None  # noqa: S101  # it was asked for
    try:
        async with asyncio.timeout(longest + _ENDING):
            async for line in process.stdout:
                text = line.decode(errors="replace").strip()
                if text.startswith('{"at"'):
                    on_second(json.loads(text))
                else:
                    said = text or said
            await process.wait()
    finally:
        await _stop(process)
    return said


async def _stop(process: asyncio.subprocess.Process) -> None:
    """End it, and give it the time to write down what it knows."""
    for sent in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.send_signal(sent)
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _ENDING)


@asynccontextmanager
async def _watching(pids: Sequence[int]) -> AsyncIterator[Callable[[], ProxyUsage]]:
    """What processes take while inside."""
    processes = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            processes.append(psutil.Process(pid))
    before, sent = _seconds(processes), _packets_sent(pids)
    memory = [0.0]

    async def look() -> None:
        while True:
            memory.append(sum(_of(each, lambda one: float(one.memory_info().rss)) for each in processes))
            await asyncio.sleep(0.5)

    def usage() -> ProxyUsage:
        now = _packets_sent(pids)
        packets = None if now is None or sent is None else now - sent
        return ProxyUsage(int(max(memory)), round(_seconds(processes) - before, 2), packets)

    looking = asyncio.create_task(look())
    try:
        yield usage
    finally:
        looking.cancel()


def _packets_sent(pids: Sequence[int]) -> int | None:
    """Since its start, by a container that holds these processes; None where they share this process's network."""
    try:
        of = Path(f"/proc/{pids[0]}")
        if (of / "ns/net").readlink() == Path("/proc/self/ns/net").readlink():
            return None
        devices = (of / "net/dev").read_text(encoding="ascii").splitlines()[2:]
    except (OSError, IndexError):
        return None
    counts = {name.strip(): fields.split() for name, _, fields in (line.partition(":") for line in devices)}
    return sum(int(fields[_SENT]) for name, fields in counts.items() if name != "lo")


def _seconds(processes: Sequence[psutil.Process]) -> float:
    return sum(_of(each, lambda one: one.cpu_times().user + one.cpu_times().system) for each in processes)


def _of(process: psutil.Process, value: Callable[[psutil.Process], float]) -> float:
    try:
        return value(process)
    except psutil.Error:
        return 0.0
