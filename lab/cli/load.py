"""`lab load`: many streams over a path of the lab's or of the user's, and what became of each."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from lab.catalogue import discover, shipped_scenarios
from lab.cli.audit import tls_of
from lab.cli.load_targets import LoadTarget, own_targets
from lab.cli.out import writing_to
from lab.cli.shell import INTERRUPTED, run_until_stopped
from lab.cli.terminal import print_line
from lab.cli.verify import VerifyOptions
from lab.compare.own import case_named
from lab.endpoint.address import endpoint_of
from lab.endpoint.keys import read_keys
from lab.endpoint.samples import PATH
from lab.errors import BadInput, ExitCode, LabError
from lab.files import write_whole
from lab.load.figures import Figures
from lab.load.page import PAGE, load_page
from lab.load.results import FORMAT, LoadResults
from lab.load.run import Load, generate
from lab.load.terms import RequestTerms
from lab.load.text import print_load
from lab.saved import write_saved
from lab.testbed.engine import Say
from lab.testbed.supply import RunnerWish
from lab.wire import format_for_url
from lab.wire.openai_chat import FORMAT as OPENAI_CHAT

RESULT = "load.json"

UNASKED = 200
"""Streams that an address which is not this machine's gets without being asked for by `--yes`."""


@dataclass(frozen=True)
class LoadOptions:
    """What the command was given; see `lab load --help`.

    Args:
        load: how much.
        url: the address; empty where paths of the lab's own are asked.
        targets: cases and files, by their names.
        files: which of these are files, and how they are run.
        terms: how each is asked.
        yes: whether a large load on somebody is meant.
        wish: what runs cases.
    """

    load: Load
    url: str = ""
    targets: tuple[str, ...] = ()
    files: Mapping[str, VerifyOptions] = field(default_factory=dict)
    terms: RequestTerms = field(default_factory=RequestTerms)
    yes: bool = False
    wish: RunnerWish = field(default_factory=RunnerWish)


def terms_for(
    url: str, terms: RequestTerms, key_env: str, ca_file: Path | None, environment: Mapping[str, str], say: Say
) -> tuple[str, RequestTerms]:
    """The whole address, and how it is asked, with the user's key and authorities.

    Raises:
        BadInput: the address, the format, the key or the file makes no sense.
    """
    chosen = terms.wire_format or ("" if format_for_url(url) else OPENAI_CHAT.name)
    endpoint = endpoint_of(PATH, url, chosen or None)
    whole, dialect = endpoint.route.url, endpoint.wire_format.name
    # Read here, so that what is wrong with the file is said before anything begins.
    tls_of(ca_file)
    keys = read_keys(dialect, {PATH: whole}, key_env=(key_env,) if key_env else (), environment=environment).of(PATH)
    say(f"POST {whole} ({dialect}), secrets sent: {', '.join(each.source for each in keys) or 'none'}")
    headers = (*terms.headers, *(each.plain() for each in keys))
    return whole, replace(terms, wire_format=dialect, headers=headers, ca_file=str(ca_file or ""))


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
    ended_by: KeyboardInterrupt | LabError | None = None
    try:
        run_until_stopped(_measure(options, out, say, loads))
    except (KeyboardInterrupt, LabError) as error:
        if not loads:
            # Nothing had begun.
            raise
        ended_by = error
    load = options.load
    results = LoadResults(load.streams, load.ramp, load.hold, load.interval, load.processes, tuple(loads))
    with writing_to(to):
        to.mkdir(parents=True, exist_ok=True)
        write_saved(to / RESULT, FORMAT, results, started=started_at)
        write_whole(to / PAGE, load_page(results))
    print_load(results, out)
    print_line(out, f"Report: {to / PAGE}")
    if isinstance(ended_by, LabError):
        raise ended_by
    if ended_by is not None:
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
    async with _targets(options, say) as targets:
        for name, target in targets.items():
            with Progress(*columns, console=out, transient=True) as progress:
                task = progress.add_task(name, total=2 * load.streams, told="")

                def on_second(second: dict[str, int], progress: Progress = progress, task: object = task) -> None:
                    asked, over = second["asked"], second["over"]
                    progress.update(task, completed=asked + over, told=f"{asked} asked, {over} over")  # type: ignore[arg-type]

                await generate(load, target.url, name, on_second, target.terms, target.watched, loads.append)


@asynccontextmanager
async def _targets(options: LoadOptions, say: Say) -> AsyncIterator[dict[str, LoadTarget]]:
    """What is asked, by name; the lab's own are up while inside."""
    if options.url:
        yield {options.url: LoadTarget(options.url, options.terms)}
        return
    scenarios = discover(shipped_scenarios())
    cases = [case_named(scenarios, name) for name in options.targets if name not in options.files]
    async with own_targets(cases, options.files, options.terms, options.wish, say) as found:
        yield {name: found[name] for name in options.targets}
