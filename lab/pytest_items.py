"""What the pytest plugin collects and waits for; imported only where there is a `scenario.toml`.

Once collection is over, one run of the lab starts in a thread with all selected cases at once, and each
item waits for its own result; so the whole takes about as long as the longest case, and `-k`,
`--deselect` and node ids choose what is run at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.catalogue import Case, Scenario, load_scenario
from lab.errors import LabError
from lab.open_files import allow_most
from lab.printable import printable, printable_text
from lab.reports.phrases import again, up_to
from lab.reports.terminal import describe_case
from lab.results import CaseResult
from lab.scenarios.run import run_lab
from lab.signals import ENDING
from lab.vocabulary import Outcome, Variant

RUN = pytest.StashKey["ScenarioRun"]()
"""Where a pytest session keeps its run of the lab."""

MOST_DEAF = 0.5
"""Seconds for which a signal may go unheard."""


def start_run(session: pytest.Session) -> None:
    """Start all selected cases at once."""
    items = [item for item in session.items if isinstance(item, StagingItem)]
    if items:
        allow_most()
        run = session.config.stash[RUN] = ScenarioRun(session, [(item.scenario, item.case) for item in items])
        run.start()


def stop_run(session: pytest.Session) -> None:
    """Leave nothing behind, however the session ends."""
    run = session.config.stash.get(RUN, None)
    if run is not None:
        run.close()


class ScenarioFile(pytest.File):
    """One `scenario.toml`; collects one level for the scenario, below it one a proxy, below that the items."""

    def collect(self) -> Iterator[pytest.Collector]:
        """A faulty file is an error of collection with its own message."""
        yield ScenarioLevel.from_parent(self, name=self.path.parent.name, scenario=load_scenario(self.path.parent))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *_: Any) -> Any:
        """The lab's own message instead of a traceback."""
        return _words(excinfo) or super().repr_failure(excinfo)


class ScenarioLevel(pytest.Collector):
    """The scenario's own name in an item's id."""

    def __init__(self, *, scenario: Scenario, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scenario = scenario

    def collect(self) -> Iterator[pytest.Collector]:
        """One level a proxy."""
        for proxy in dict.fromkeys(case.proxy.id for case in self.scenario.cases):
            yield ProxyLevel.from_parent(self, name=proxy, scenario=self.scenario)


class ProxyLevel(pytest.Collector):
    """The proxy's name in an item's id."""

    def __init__(self, *, scenario: Scenario, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scenario = scenario

    def collect(self) -> Iterator[pytest.Item]:
        """One item a case."""
        for case in self.scenario.cases:
            wanted = case.variant is not Variant.REAL_DEFAULTS or self.config.option.real_defaults
            if case.proxy.id == self.name and wanted:
                yield StagingItem.from_parent(self, name=case.label, scenario=self.scenario, case=case)


class StagingItem(pytest.Item):
    """One case; waits for the run that all of them share."""

    def __init__(self, *, scenario: Scenario, case: Case, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scenario = scenario
        self.case = case

    def runtest(self) -> None:
        """Wait for the result, and fail unless it is as the scenario says."""
        result = self.config.stash[RUN].result(self.case)
        if again(result):
            self.user_properties.append(("note", again(result)))
        if up_to(result) is not None:
            self.user_properties.append(("up_to", up_to(result)))
        if result.outcome is Outcome.SKIPPED:
            pytest.skip(printable(result.problem))
        if result.outcome is not Outcome.PASSED:
            raise NotAsRequired(self.case, result)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *_: Any) -> Any:
        """Requirement, Expected, Actual and the proxy's last log lines; a traceback only for faults of ours."""
        return _words(excinfo) or super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, None, str]:
        """A headline; pytest takes a dot in it, as in a proxy's release, for a module's."""
        return self.path, None, self.case.id.replace("::", " ")


class NotAsRequired(Exception):
    """A case did not go as its scenario says."""

    def __init__(self, case: Case, result: CaseResult) -> None:
        super().__init__(case.id)
        self.case = case
        self.result = result


def _words(excinfo: pytest.ExceptionInfo[BaseException]) -> str | None:
    """What an error of the lab says; None for any other."""
    if isinstance(excinfo.value, NotAsRequired):
        return describe_case(excinfo.value.case.id, excinfo.value.result)
    return printable_text(str(excinfo.value)) if isinstance(excinfo.value, LabError) else None


class ScenarioRun:
    """One run of the lab in a thread, which items wait for; lives as long as the pytest session."""

    def __init__(self, session: pytest.Session, chosen: Sequence[tuple[Scenario, Case]]) -> None:
        self._session = session
        self._futures: dict[str, Future[CaseResult]] = {case.id: Future() for _, case in chosen}
        self._scenarios = tuple(_only_chosen(chosen))
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._work, name="token-stream-lab", daemon=True)
        self._interrupted = False
        self._handlers: dict[int, Any] = {}

    def start(self) -> None:
        """Begin; from here on `close` has something to wait for."""
        with contextlib.suppress(ValueError):  # this is not the first thread, which alone hears signals
            self._handlers.update(self._listen())
        self._thread.start()

    def result(self, case: Case) -> CaseResult:
        """The case's result, as soon as it is there; raises what stopped the run, if anything did."""
        future = self._futures[case.id]
        while not self._interrupted and not wait([future], timeout=MOST_DEAF).done:
            pass
        if self._interrupted:
            raise KeyboardInterrupt
        return future.result()

    def close(self) -> None:
        """Stop the run if it still goes on, and wait until its containers are gone."""
        self._ask_to_stop()
        if self._thread.ident is not None:
            self._thread.join()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _listen(self) -> Iterator[tuple[int, Any]]:
        """Take over the signals that would end the session, and some of them the process at once; give who had them."""
        for number in ENDING:
            handler = signal.getsignal(number)
            if handler in (signal.SIG_DFL, signal.default_int_handler):
                signal.signal(number, self._heard)
                yield number, handler

    def _heard(self, *_: object) -> None:
        """The first signal ends the session; another one would leave it before the containers are gone.

        Only a test of somebody else's is interrupted from here. What interrupts pytest's own code while it enters a
        function has no line there, and pytest's report of that ends in a traceback.
        """
        if self._interrupted:
            return
        self._interrupted = True
        self._ask_to_stop()
        self._session.shouldstop = "stopped by a signal"
        running = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]
        if running and running not in {item.nodeid for item in self._session.items if isinstance(item, StagingItem)}:
            raise KeyboardInterrupt

    def _ask_to_stop(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the run is over
            self._loop.call_soon_threadsafe(self._stop)

    def say(self, line: str) -> None:
        """Part of `lab.scenarios.rounds.RunListener`; pytest has no place for progress."""

    def begins(self, cases: Sequence[Case]) -> None:
        """Part of `lab.scenarios.rounds.RunListener`."""

    def played(self, case: Case) -> None:
        """Part of `lab.scenarios.rounds.RunListener`."""

    def ends(self, case: Case, result: CaseResult) -> None:
        """Part of `lab.scenarios.rounds.RunListener`."""
        self._futures[case.id].set_result(result)

    def _work(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._run())

    def _stop(self) -> None:
        if self._stopped:
            return  # a second time would only disturb the removal
        self._stopped = True
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        self._task = asyncio.current_task()
        try:
            if self._stopped and self._task is not None:
                # Stopped before it began: the first wait in the run ends it.
                self._task.cancel()
            await run_lab(self._scenarios, self)
        except BaseException as error:  # whatever it was, nobody may wait for ever
            for future in self._futures.values():
                if not future.done():
                    future.set_exception(error)
            if not isinstance(error, (Exception, asyncio.CancelledError)):
                raise


def _only_chosen(chosen: Sequence[tuple[Scenario, Case]]) -> Iterator[Scenario]:
    """Each scenario once, with just the cases that were chosen."""
    scenarios = {scenario.folder: scenario for scenario, _ in chosen}
    for folder, scenario in scenarios.items():
        yield replace(scenario, cases=tuple(case for other, case in chosen if other.folder == folder))
