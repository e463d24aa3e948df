"""`lab load`: many streams over a path of the lab's or of the user's, and what became of each."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from lab.catalogue import discover, shipped_scenarios
from lab.cli.out import writing_to
from lab.cli.shell import INTERRUPTED, run_until_stopped
from lab.cli.terminal import print_line
from lab.compare.own import case_named
from lab.errors import BadInput, ExitCode
from lab.files import write_whole
from lab.load.figures import Figures
from lab.load.page import PAGE, load_page
from lab.load.results import FORMAT, LoadResults
from lab.load.run import Load, generate
from lab.load.text import print_load
from lab.load.usage import ProxyProcesses
from lab.saved import write_saved
from lab.testbed.engine import Say
from lab.testbed.supply import RunnerWish, choose, started
from lab.testbed.testbed import Target, Testbed

RESULT = "load.json"

UNASKED = 200
"""Streams that an address which is not this machine's gets without being asked for by `--yes`."""


@dataclass(frozen=True)
class LoadOptions:
    """What the command was given; see `lab load --help`."""

    targets: tuple[str, ...]
    load: Load
    yes: bool = False
    wish: RunnerWish = field(default_factory=RunnerWish)

    @property
    def url(self) -> str:
        """The address, where it is one; else empty."""
        return self.targets[0] if "://" in self.targets[0] else ""


def load_and_report(options: LoadOptions, to: Path, *, out: Console, say: Say) -> int:
    """Make the load, print and save what came of it, also where it was stopped; returns the exit code.

    Raises:
        BadInput: an option.
        SetUpFault: a proxy refused its configuration.
        EnvironmentFault: the machine lacks what it needs.
    """
    options.load.check()
    if options.url and not options.yes and options.load.streams > UNASKED and not _here(options.url):
        problem = f"{options.load.streams} streams at an address that is not this machine's are a load on somebody."
        raise BadInput(problem, "If it is yours, or its owner agrees, say --yes.")
    started_at = datetime.now().astimezone()
    loads: list[Figures] = []
    interrupted = False
    try:
        run_until_stopped(_measure(options, out, say, loads))
    except KeyboardInterrupt:
        interrupted = True
        if not loads:
            # Nothing had begun.
            raise
    load = options.load
    results = LoadResults(load.streams, load.ramp, load.hold, load.interval, load.processes, tuple(loads))
    with writing_to(to):
        to.mkdir(parents=True, exist_ok=True)
        write_saved(to / RESULT, FORMAT, results, started=started_at)
        write_whole(to / PAGE, load_page(results))
    print_load(results, out)
    print_line(out, f"Report: {to / PAGE}")
    if interrupted:
        return INTERRUPTED
    lost = any(each.lost or each.doubts for each in loads)
    return ExitCode.REQUIREMENT_FAILED if lost else ExitCode.AS_REQUIRED


def _here(url: str) -> bool:
    """Whether an address is this machine's loopback."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _measure(options: LoadOptions, out: Console, say: Say, loads: list[Figures]) -> None:
    """One load after the other; each is among `loads` as soon as it is over, or stopped."""
    load = options.load
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[told]}"), TimeElapsedColumn())
    async with _addresses(options, say) as addresses:
        for target, (url, watched) in addresses.items():
            with Progress(*columns, console=out, transient=True) as progress:
                task = progress.add_task(target, total=2 * load.streams, told="")

                def on_second(second: dict[str, int], progress: Progress = progress, task: object = task) -> None:
                    asked, over = second["asked"], second["over"]
                    progress.update(task, completed=asked + over, told=f"{asked} asked, {over} over")  # type: ignore[arg-type]

                await generate(load, url, target, on_second, watched, loads.append)


@asynccontextmanager
async def _addresses(options: LoadOptions, say: Say) -> AsyncIterator[dict[str, tuple[str, ProxyProcesses | None]]]:
    """Where each target is asked, and its processes; the lab's own are up while inside."""
    if options.url:
        yield {options.url: (options.url, None)}
        return
    scenarios = discover(shipped_scenarios())
    cases = [case_named(scenarios, name) for name in options.targets]
    supply = await asyncio.to_thread(choose, say, options.wish)
    async with started([Target(each.id, each.proxy, each.config) for each in cases], supply, say) as (testbed, _):
        yield {each.id: (testbed.url(each.id), await _watched(testbed, each.id)) for each in cases}


async def _watched(testbed: Testbed, name: str) -> ProxyProcesses:
    return ProxyProcesses(tuple(await testbed.pids(name)), testbed.model_port(name))
