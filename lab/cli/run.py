"""`lab run` and `lab up`: the commands that put scenarios on the testbed and show what happens."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn

from lab import results as saved
from lab.catalogue import Case, Scenario
from lab.cli.folders import folder_of_run, lead_to
from lab.cli.out import progress_columns, writing_to
from lab.cli.shell import RESULTS, run_until_stopped
from lab.cli.terminal import print_line
from lab.errors import EnvironmentFault, ExitCode, LabError, SetUpFault, Unavailable
from lab.measure.exchanges import Address, ask_of, headers_of
from lab.plan import PLAN_HEADER
from lab.reports import write_reports
from lab.reports.terminal import print_results
from lab.results import CaseResult, Results
from lab.scenarios.run import LeftStanding, raise_if_engine_died, raise_if_nothing_ran, run_lab
from lab.suite.exchange import Exchange
from lab.testbed.supply import Supply, started
from lab.testbed.testbed import Target, Testbed
from lab.vocabulary import Outcome


class LiveProgress:
    """A bar of cases on standard error, and a line for each that did not go as it should."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            *progress_columns(),
            console=console,
            transient=True,
            # Into a file it would write nothing but an empty line.
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("setting up", total=None)
        self._waiting: dict[str, None] = {}

    def __enter__(self) -> LiveProgress:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def say(self, line: str) -> None:
        """See `lab.scenarios.rounds.RunListener`."""
        print_line(self._progress.console, line)

    def begins(self, cases: Sequence[Case]) -> None:
        """See `lab.scenarios.rounds.RunListener`."""
        self._waiting = dict.fromkeys(case.id for case in cases)
        self._progress.update(self._task, total=len(cases), description="playing")

    def played(self, case: Case) -> None:
        """See `lab.scenarios.rounds.RunListener`."""
        if case.id not in self._waiting:
            # It is played again, after all that the bar counts.
            return
        del self._waiting[case.id]
        last = next(reversed(self._waiting), "")
        self._progress.update(self._task, advance=1, description=f"waiting for {last}" if last else "judging")

    def ends(self, case: Case, result: CaseResult) -> None:
        """See `lab.scenarios.rounds.RunListener`."""
        # What was skipped, and why, the results tell once for all.
        if result.outcome not in (Outcome.PASSED, Outcome.SKIPPED):
            self.say(f"{result.outcome}: {case.id}")


def run_and_report(
    scenarios: Sequence[Scenario], to: Path | None, supply: Supply, *, real_defaults: bool, out: Console, err: Console
) -> ExitCode:
    """Run, save, report; returns the exit code.

    Args:
        scenarios: what to run.
        to: the folder for the results; None for one of the run's own.
        supply: what to run them with.
        real_defaults: whether the products' own timeouts take part.
        out: where to print the results.
        err: where to print the progress.

    Raises:
        EnvironmentFault: also where the run itself went well and its results cannot be written; they are
            printed before.
    """
    with contextlib.ExitStack() as stack:
        with writing_to(to or RESULTS):
            folder = stack.enter_context(folder_of_run(to))
        fault: EnvironmentFault | None = None
        report: Path | None = None
        try:
            results = _run(scenarios, supply, err, real_defaults=real_defaults)
        except LeftStanding as error:
            results, fault = error.results, error
        try:
            with writing_to(folder):
                saved.save(results, folder / "results.json")
                report = write_reports(results, folder)["html"]
                if to is None:
                    lead_to(folder)
        except EnvironmentFault as error:
            fault = fault or error
    print_results(results, out, report)
    if fault is not None:
        raise fault
    raise_if_engine_died(results)
    raise_if_nothing_ran(results)
    return _exit_code(results)


def _run(scenarios: Sequence[Scenario], supply: Supply, err: Console, *, real_defaults: bool) -> Results:
    try:
        with LiveProgress(err) as progress:
            return run_until_stopped(run_lab(scenarios, progress, supply, real_defaults=real_defaults))
    except OSError as error:
        # What the run writes are temporary files; no other error of this class leaves it.
        place = error.filename or tempfile.gettempdir()
        remedy = "Free some space there, or set TMPDIR to another folder."
        raise EnvironmentFault(f"{place}: {error.strerror or error}", remedy) from error


def _exit_code(results: Results) -> ExitCode:
    outcomes = {case.outcome for _, _, case in results.cases()} - {Outcome.PASSED, Outcome.SKIPPED}
    if not outcomes:
        return ExitCode.AS_REQUIRED
    # A configuration that its proxy refuses is a bad file; a pipeline must be able to tell it from a regression.
    return ExitCode.BAD_INPUT if outcomes == {Outcome.SET_UP_FAILED} else ExitCode.REQUIREMENT_FAILED


async def keep_up(scenarios: Sequence[Scenario], supply: Supply, *, out: Console, say: Callable[[str], None]) -> None:
    """Start every case and keep them up until Ctrl-C."""
    cases = [case for scenario in scenarios for case in scenario.cases]
    async with started([Target(s.id, s.proxy, s.config) for s in cases], supply, say) as (testbed, _):
        for case in cases:
            out.print()
            print_line(out, f"{case.id}  {case.title}".rstrip(), "bold")
            for line in _curl_lines(testbed, case):
                print_line(out, line)
        lacking = [fault for case in cases if (fault := _lacking(testbed, case))]
        if len(lacking) == len(cases):
            raise lacking[0]
        out.print("\nUp until Ctrl-C; a configuration that you change meanwhile is read anew.")
        await _keep_current(testbed, [case for case in cases if not _lacking(testbed, case)], say)


_LOOKS_EVERY = 0.5
"""Seconds between two looks at whether somebody has changed a file."""


async def _keep_current(testbed: Testbed, cases: Sequence[Case], say: Callable[[str], None]) -> None:
    """Have each case whose configuration changes read it anew, until it is cancelled."""
    read = {case.id: case.config.stat().st_mtime_ns for case in cases}
    while True:
        await asyncio.sleep(_LOOKS_EVERY)
        for case in cases:
            # An editor may be about to put another file in its place.
            now = case.config.stat().st_mtime_ns if case.config.exists() else read[case.id]
            if now != read[case.id]:
                read[case.id] = now
                try:
                    await testbed.reload(case.id)
                    say(f"{case.id}: told to read {case.config} anew")
                except LabError as fault:
                    say(f"{case.id}: {fault}")


def _lacking(testbed: Testbed, case: Case) -> Unavailable | None:
    """Why a case cannot be up on this machine; None where it can."""
    try:
        testbed.url(case.id)
    except Unavailable as fault:
        return fault
    except SetUpFault:
        pass
    return None


def _curl_lines(testbed: Testbed, case: Case) -> list[str]:
    """The commands of one case, or what its proxy said when it refused the configuration."""
    try:
        url = testbed.url(case.id)
    except (SetUpFault, Unavailable) as fault:
        return str(fault).splitlines()
    return [curl_line(url, exchange) for exchange in case.exchanges[:3]]


def curl_line(url: str, exchange: Exchange) -> str:
    """The command that makes the same exchange by hand.

    Lockstep is left out, for nobody confirms tokens on a command line, and so is a long prompt.
    """
    address = Address(url, url)
    ask = ask_of(replace(exchange, body_bytes=0), address)
    plan = exchange.plan.model_copy(update={"lockstep": False})
    headers = [*ask.headers, *headers_of(exchange, address), (PLAN_HEADER, plan.to_query())]
    parts = ["curl", "-N", "--compressed"] if exchange.accept_encoding else ["curl", "-N"]
    if url.startswith("https:"):
        # The certificate is the testbed's own.
        parts += ["--insecure", f"--http{exchange.http}"]
    for name, value in headers:
        parts += ["-H", f"{name}: {value}"]
    body = ["-d", ask.body.decode()] if ask.body else []
    return shlex.join([*parts, *body, url + ask.path])
