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
import socket
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from lab.errors import BadInput, EnvironmentFault
from lab.load.figures import Figures
from lab.load.results import FORMAT
from lab.load.terms import TERMS, RequestTerms
from lab.load.usage import ProxyProcesses, watching
from lab.plan import Plan, PlanError, StampKind, make_plan
from lab.precedence import NICE
from lab.saved import load_saved

LOCUSTFILE = Path(__file__).with_name("locustfile.py")

FILES_BESIDE = 100
"""Open files of a process beside its streams."""

MOST_PORTS = 25_000
"""Streams from one address of this machine to one address: there are some 28,000 ports for them."""

_ENDING = 20.0
"""Seconds that Locust has to write down what it knows once it was told to stop."""

_LOOPBACK = "127.0.0.1"

OnSecond = Callable[[dict[str, int]], None]
"""Is told once a second how many streams were asked for, and how many of these are over."""


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
        # Locust begins a second's users together, and they spread over it.
        tokens = round((max(self.ramp, 1.0) + self.hold) / self.interval) + 1
        return make_plan({"tokens": tokens, "interval": self.interval, "stamp": StampKind.CLOCK})

    @property
    def longest(self) -> float:
        """Seconds that it takes at most, if every stream ends as planned or its patience runs out."""
        return self.ramp + 2 * self.plan.length + 60.0

    def check(self) -> None:
        """Make sure that this machine can open so many, and that each can be planned.

        Raises:
            BadInput: there are too few ports, or open files, or a stream has too many tokens; names the limit.
        """
        try:
            self.plan  # noqa: B018  # whether it can be made
        except PlanError as error:
            raise BadInput(f"the plan of each stream: {error}", "Choose a longer --interval.") from None
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


async def generate(
    load: Load,
    url: str,
    target: str,
    on_second: OnSecond,
    terms: RequestTerms | None = None,
    watched: ProxyProcesses | None = None,
    keep: Callable[[Figures], object] = lambda _: None,
) -> Figures:
    """Have so many streams over an address.

    Args:
        load: how many.
        url: the address.
        target: its name in the figures.
        on_second: hears how it goes.
        terms: how each is asked; None for the usual.
        watched: the proxy, where it can be looked at.
        keep: is given what was learnt, also where it was stopped before its end.

    Raises:
        EnvironmentFault: Locust ended without figures; carries its last words.
    """
    figures: Figures | None = None
    with tempfile.TemporaryDirectory(prefix="token-stream-lab-load-") as folder:
        file, said, stopped = Path(folder, "load.json"), "", True
        async with watching(watched) as usage:
            try:
                command = _command(load, url, file)
                said, stopped = await _locust(command, terms or RequestTerms(), on_second, load.longest), False
            except TimeoutError:
                said = "it went on for too long, and was stopped"
            finally:
                found = _read(file)
                if found is not None:
                    figures = replace(found, target=target, usage=usage(), stopped=stopped)
                    keep(figures)
    if figures is None:
        raise EnvironmentFault(f"Locust ended without a figure: {said}", "That is a fault of the lab's own.")
    return figures


def _read(file: Path) -> Figures | None:
    return load_saved(file, FORMAT).loads[0] if file.exists() else None


def _command(load: Load, url: str, figures: Path) -> list[str]:
    several = _among(load.processes) if load.processes > 1 else []
    rate = load.streams / load.ramp if load.ramp else load.streams
    return [
        *(sys.executable, "-m", "locust", "--locustfile", str(LOCUSTFILE), "--headless", "--only-summary"),
        *("--users", str(load.streams), "--spawn-rate", str(rate), "--run-time", f"{load.longest:.0f}s"),
        *("--stop-timeout", "1", "--host", url, "--plan", load.plan.to_query(), "--figures", str(figures)),
        *several,
    ]


def _among(processes: int) -> list[str]:
    """Several processes speak with each other over loopback; Locust's own choice is one port on every address."""
    with socket.socket() as free:
        free.bind((_LOOPBACK, 0))
        port = str(free.getsockname()[1])
    place = ("--master-bind-host", _LOOPBACK, "--master-bind-port", port, "--master-port", port)
    return ["--processes", str(processes), *place]


async def _locust(command: Sequence[str], terms: RequestTerms, on_second: OnSecond, longest: float) -> str:
    """Run it to its end; returns its last words."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        env=os.environ | {TERMS: terms.to_text()},
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
    """End it and what it has started, and give it the time to write down what it knows."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.terminate()
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _ENDING)
    # Its processes are a group of their own.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
