"""The scenarios as pytest items: `pytest scenarios/`, or any folder of scenarios.

Each `scenario.toml` is a file, each staging an item `<proxy>::<label>` in it. Once collection is over, one
run of the lab starts in a thread with all selected stagings at once, and each item waits for its own
result; so the whole takes about as long as the longest staging, and `-k` and `--deselect` choose what
is run at all.

Warning: under pytest-xdist each worker would start a stage of its own; run the scenarios in one process.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.catalogue import Scenario, Staging, load_scenario
from lab.catalogue.loader import FILE
from lab.errors import LabError
from lab.results import SideResult
from lab.words import Outcome, Side

_RUN = pytest.StashKey["ScenarioRun"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer the sides that take more than a minute."""
    group = parser.getgroup("token-stream-lab")
    group.addoption("--real-defaults", action="store_true", help="run the products' own, unshortened clocks as well")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect every `scenario.toml`."""
    if file_path.name != FILE:
        return None
    file: ScenarioFile = ScenarioFile.from_parent(parent, path=file_path)
    return file


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start all selected stagings at once."""
    items = [item for item in session.items if isinstance(item, StagingItem)]
    if items and not session.config.option.collectonly:
        session.config.stash[_RUN] = ScenarioRun([(item.scenario, item.staging) for item in items])


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Leave nothing behind, however the session ends."""
    run = session.config.stash.get(_RUN, None)
    if run is not None:
        run.close()


class ScenarioFile(pytest.File):
    """One `scenario.toml`."""

    def collect(self) -> Iterator[pytest.Item]:
        """One item a staging; a faulty file is an error of collection with its own message."""
        scenario = load_scenario(self.path.parent)
        for staging in scenario.stagings:
            if staging.side is not Side.REAL_DEFAULTS or self.config.option.real_defaults:
                name = f"{staging.proxy.id}::{staging.label}"
                yield StagingItem.from_parent(self, name=name, scenario=scenario, staging=staging)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *_: Any) -> Any:
        """The lab's own message instead of a traceback."""
        if isinstance(excinfo.value, LabError):
            return str(excinfo.value)
        return super().repr_failure(excinfo)


class StagingItem(pytest.Item):
    """One staging; waits for the run that all of them share."""

    def __init__(self, *, scenario: Scenario, staging: Staging, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scenario = scenario
        self.staging = staging
        self._nodeid = staging.id

    def runtest(self) -> None:
        """Wait for the result, and fail unless it is as the scenario says."""
        result = self.config.stash[_RUN].result(self.staging)
        if result.outcome is Outcome.SKIPPED:
            pytest.skip(result.problem)
        if result.outcome is not Outcome.PASSED:
            raise NotAsRequired(self.staging, result)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *_: Any) -> Any:
        """Requirement, Expected, Actual and the proxy's last log lines; a traceback only for faults of ours."""
        from lab.reports.terminal import describe_side

        if isinstance(excinfo.value, NotAsRequired):
            return describe_side(excinfo.value.staging.id, excinfo.value.result)
        if isinstance(excinfo.value, LabError):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, None, str]:
        """The id under which the command line and the report know this staging."""
        return self.path, None, self.staging.id


class NotAsRequired(Exception):
    """A staging did not go as its scenario says."""

    def __init__(self, staging: Staging, result: SideResult) -> None:
        super().__init__(staging.id)
        self.staging = staging
        self.result = result


class ScenarioRun:
    """One run of the lab in a thread, which items wait for; lives as long as the pytest session."""

    def __init__(self, chosen: Sequence[tuple[Scenario, Staging]]) -> None:
        self._futures: dict[str, Future[SideResult]] = {staging.id: Future() for _, staging in chosen}
        self._scenarios = tuple(_only_chosen(chosen))
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._work, name="token-stream-lab", daemon=True)
        self._thread.start()

    def result(self, staging: Staging) -> SideResult:
        """The staging's result, as soon as it is there; raises what stopped the run, if anything did."""
        return self._futures[staging.id].result()

    def close(self) -> None:
        """Stop the run if it still goes on, and wait until its containers are gone."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(lambda: self._task and self._task.cancel())
        self._thread.join()

    def say(self, line: str) -> None:
        """Part of `lab.run.lab.Listener`; pytest has no place for progress."""

    def begins(self, stagings: Sequence[Staging]) -> None:
        """Part of `lab.run.lab.Listener`."""

    def ends(self, staging: Staging, result: SideResult) -> None:
        """Part of `lab.run.lab.Listener`."""
        self._futures[staging.id].set_result(result)

    def _work(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._run())

    async def _run(self) -> None:
        from lab.run.lab import run_lab

        self._task = asyncio.current_task()
        try:
            await run_lab(self._scenarios, self)
        except BaseException as error:  # whatever it was, nobody may wait for ever
            for future in self._futures.values():
                if not future.done():
                    future.set_exception(error)
            if not isinstance(error, (Exception, asyncio.CancelledError)):
                raise


def _only_chosen(chosen: Iterable[tuple[Scenario, Staging]]) -> Iterator[Scenario]:
    by_scenario: dict[Scenario, list[Staging]] = {}
    for scenario, staging in chosen:
        by_scenario.setdefault(scenario, []).append(staging)
    for scenario, stagings in by_scenario.items():
        yield replace(scenario, stagings=tuple(stagings))
