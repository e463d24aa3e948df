from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import docker
import pytest
from own_scenario import HELD, LONG, REFUSED, TABLE, write_scenario
from processes import LIMIT, await_line, end_of, left_by
from reports.making import finding, make_case

from lab import pytest_items
from lab.catalogue import Scenario, load_scenario
from lab.errors import EnvironmentFault
from lab.results import CaseResult
from lab.scenarios.rounds import RunListener
from lab.vocabulary import Outcome

BROKEN, FIXED = "nginx-1.26::broken", "nginx-1.26::fixed"


@dataclass
class MadeUpRun:
    """Stands in for `lab.scenarios.run.run_lab`: every case ends at once, as it is told here.

    Args:
        outcomes: by label; passed where nothing is said.
        busy: labels that the machine was too busy for the first time.
        fault: raised instead.
        hangs: after the first result no other comes, until the run is stopped.
        ran: the ids of what was run, in order.
        struck: whether the testbed was struck after it was stopped, which takes its time.
    """

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    busy: Sequence[str] = ()
    fault: BaseException | None = None
    hangs: bool = False
    ran: list[str] = field(default_factory=list)
    struck: bool = False

    async def __call__(self, scenarios: Sequence[Scenario], listener: RunListener) -> None:
        """Part of the run's interface that the plugin uses."""
        cases = [case for scenario in scenarios for case in scenario.cases]
        self.ran += [case.id for case in cases]
        if self.fault:
            raise self.fault
        listener.begins(cases)
        for case in cases:
            listener.ends(case, self._result(case.label))
            if self.hangs:
                await self._hang()

    async def _hang(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.to_thread(time.sleep, 0.5)
            self.struck = True

    def _result(self, label: str) -> CaseResult:
        outcome = self.outcomes.get(label, Outcome.PASSED)
        met = outcome is Outcome.PASSED
        result = make_case(
            label,
            ("held/nginx/fixed.conf", "events {}"),
            findings=(finding("The path hands on each token.", "every stream incremental", "batched", met=met),),
            outcome=outcome,
            log=("nginx: its last words",),
            problem="no room on the testbed" if outcome is Outcome.SKIPPED else "",
        )
        return replace(result, measured=2, busy="half asleep") if label in self.busy else result


@pytest.fixture(autouse=True)
def _quiet(pytester: pytest.Pytester) -> None:
    """What another plugin warns of is not what is tested here."""
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> MadeUpRun:
    """A run without containers."""
    run = MadeUpRun()
    monkeypatch.setattr(pytest_items, "run_lab", run)
    return run


@pytest.fixture
def scenarios(pytester: pytest.Pytester) -> Path:
    """A folder with two scenarios of a user's own, outside the repository."""
    write_scenario(pytester.path / "scenarios" / "held")
    write_scenario(pytester.path / "scenarios" / "kept")
    return pytester.path / "scenarios"


class TestCollection:
    def test_ids_are_the_stagings_ids(self, pytester: pytest.Pytester, scenarios: Path) -> None:
        """Folder, proxy and case name an item as they name it everywhere else."""
        items, _ = pytester.inline_genitems(scenarios)
        assert [item.nodeid for item in items] == [
            f"scenarios/{name}/scenario.toml::{name}::{end}" for name in ("held", "kept") for end in (BROKEN, FIXED)
        ]

    def test_collecting_starts_nothing(self, pytester: pytest.Pytester, scenarios: Path, made_up: MadeUpRun) -> None:
        """`--collect-only` lists what there is, on a machine without engine too."""
        result = pytester.runpytest_inprocess("--collect-only", "-q", scenarios)
        result.stdout.fnmatch_lines(["*held::nginx-1.26::broken", "*kept::nginx-1.26::fixed"])
        assert result.ret == pytest.ExitCode.OK
        assert made_up.ran == []

    @pytest.mark.parametrize(
        ("arguments", "ran"),
        [
            (["-k", "kept"], ["kept::nginx-1.26::broken", "kept::nginx-1.26::fixed"]),
            (["-k", "fixed"], ["held::nginx-1.26::fixed", "kept::nginx-1.26::fixed"]),
            (["--deselect", "scenarios/held"], ["kept::nginx-1.26::broken", "kept::nginx-1.26::fixed"]),
            (["scenarios/held/scenario.toml::held::nginx-1.26::fixed"], ["held::nginx-1.26::fixed"]),
        ],
        ids=["name", "case", "deselect", "node id"],
    )
    @pytest.mark.usefixtures("scenarios")
    def test_what_is_not_chosen_is_not_run(
        self, pytester: pytest.Pytester, made_up: MadeUpRun, arguments: list[str], ran: list[str]
    ) -> None:
        """Pytest's own ways of choosing decide what is put on the testbed at all."""
        pytester.runpytest_inprocess(*arguments).assert_outcomes(
            passed=len(ran), deselected=0 if "::" in arguments[0] else 4 - len(ran)
        )
        assert made_up.ran == ran

    def test_real_defaults_are_collected_if_asked_for(self, pytester: pytest.Pytester, made_up: MadeUpRun) -> None:
        """Cases that take more than a minute are no part of a usual run."""
        folder = write_scenario(pytester.path / "held", table=TABLE + "[real_defaults.exchanges]\nstream = {}\n")
        with (folder / "nginx" / "expected.toml").open("a") as expected:
            expected.write("[real_defaults.symptom.stream]\nreceived = 3\n")
        (folder / "nginx" / "real-defaults.conf").write_text((folder / "nginx" / "broken.conf").read_text())
        pytester.runpytest_inprocess(folder).assert_outcomes(passed=2)
        pytester.runpytest_inprocess(folder, "--real-defaults").assert_outcomes(passed=3)
        assert made_up.ran[-1] == "held::nginx-1.26::real-defaults"

    def test_a_faulty_scenario_is_an_error_with_the_labs_own_message(
        self, pytester: pytest.Pytester, scenarios: Path, made_up: MadeUpRun
    ) -> None:
        """File, key and remedy are there and no traceback is; nothing is started for the others either."""
        write_scenario(scenarios / "faulty", table=TABLE.replace("title =", "titel ="))
        result = pytester.runpytest_inprocess(scenarios)
        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines(
            [f"{scenarios}/faulty/scenario.toml: unknown key titel", "CONTRIBUTING.md lists the keys of a scenario."]
        )
        result.stdout.no_fnmatch_line("*Traceback*")
        result.stdout.no_fnmatch_line("*loader.py*")
        assert made_up.ran == []

    def test_the_others_can_be_run_all_the_same(
        self, pytester: pytest.Pytester, scenarios: Path, made_up: MadeUpRun
    ) -> None:
        """Where pytest is told to go on, the good scenarios are run."""
        write_scenario(scenarios / "faulty", table=TABLE.replace("title =", "titel ="))
        result = pytester.runpytest_inprocess("--continue-on-collection-errors", scenarios)
        result.assert_outcomes(errors=1, passed=4)
        assert len(made_up.ran) == 4


class TestItems:
    def test_one_run_for_all(self, pytester: pytest.Pytester, scenarios: Path, made_up: MadeUpRun) -> None:
        """All items wait for the same run, so they take as long as the longest and not as their sum."""
        pytester.runpytest_inprocess(scenarios).assert_outcomes(passed=4)
        assert len(made_up.ran) == len(set(made_up.ran)) == 4

    def test_a_failure_is_told_in_words(self, pytester: pytest.Pytester, scenarios: Path, made_up: MadeUpRun) -> None:
        """Requirement, Expected, Actual and the proxy's log; a traceback of the lab would help nobody."""
        made_up.outcomes = {"fixed": Outcome.FAILED}
        result = pytester.runpytest_inprocess(scenarios / "held")
        result.assert_outcomes(passed=1, failed=1)
        result.stdout.fnmatch_lines(
            [
                "held::nginx-1.26::fixed: *",
                "*Requirement*The path hands on each token.",
                "*Expected*every stream incremental",
                "*Actual*batched",
                "*nginx: its last words",
            ]
        )
        result.stdout.no_fnmatch_line("*Traceback*")
        result.stdout.no_fnmatch_line("*pytest_items.py*")

    @pytest.mark.parametrize("outcome", sorted(set(Outcome) - {Outcome.PASSED, Outcome.SKIPPED}))
    def test_only_passed_passes(
        self, pytester: pytest.Pytester, scenarios: Path, made_up: MadeUpRun, outcome: Outcome
    ) -> None:
        """What could not be set up, judged or decided is not green."""
        made_up.outcomes = {"fixed": outcome}
        pytester.runpytest_inprocess(scenarios / "held").assert_outcomes(passed=1, failed=1)

    def test_what_was_measured_twice_says_so(
        self, pytester: pytest.Pytester, scenarios: Path, made_up: MadeUpRun
    ) -> None:
        """A repetition is told even where all is well, in the file that CI servers read."""
        made_up.busy = ["fixed"]
        pytester.runpytest_inprocess("--junitxml=out.xml", scenarios / "held").assert_outcomes(passed=2)
        told = (pytester.path / "out.xml").read_text()
        assert told.count("measured twice: the machine was busy (half asleep)") == 1

    def test_a_skip_has_its_reason(self, pytester: pytest.Pytester, scenarios: Path, made_up: MadeUpRun) -> None:
        """No skip is silent."""
        made_up.outcomes = {"fixed": Outcome.SKIPPED}
        result = pytester.runpytest_inprocess("-rs", scenarios / "held")
        result.assert_outcomes(passed=1, skipped=1)
        result.stdout.fnmatch_lines(["SKIPPED*no room on the testbed"])

    def test_a_run_that_cannot_begin_fails_every_item(
        self, pytester: pytest.Pytester, scenarios: Path, made_up: MadeUpRun
    ) -> None:
        """Nobody waits for ever for a result that cannot come."""
        made_up.fault = EnvironmentFault("No container engine answers.", "Start it.")
        result = pytester.runpytest_inprocess(scenarios)
        result.assert_outcomes(failed=4)
        result.stdout.fnmatch_lines(["No container engine answers.", "Start it."])
        result.stdout.no_fnmatch_line("*Traceback*")

    def test_a_fault_of_ours_keeps_its_traceback(
        self, pytester: pytest.Pytester, scenarios: Path, made_up: MadeUpRun
    ) -> None:
        """Whoever mends the lab needs to see where it broke."""
        made_up.fault = ZeroDivisionError("a fault of ours")
        result = pytester.runpytest_inprocess(scenarios / "held")
        result.assert_outcomes(failed=2)
        result.stdout.fnmatch_lines(["*ZeroDivisionError: a fault of ours"])

    def test_pytest_ends_only_when_the_stage_is_struck(
        self, pytester: pytest.Pytester, scenarios: Path, made_up: MadeUpRun
    ) -> None:
        """`-x` stops a run that still goes on; its containers are gone before pytest is."""
        made_up.outcomes = {"broken": Outcome.FAILED}
        made_up.hangs = True
        pytester.runpytest_inprocess("-x", scenarios).assert_outcomes(failed=1)
        assert made_up.struck

    def test_a_run_is_stopped_before_it_began(
        self, request: pytest.FixtureRequest, scenarios: Path, made_up: MadeUpRun, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever presses Ctrl-C that early does not wait for a whole run."""
        made_up.hangs = True
        asked = threading.Event()
        work = pytest_items.ScenarioRun._work

        def late(run: pytest_items.ScenarioRun) -> None:
            asked.wait()
            work(run)

        monkeypatch.setattr(pytest_items.ScenarioRun, "_work", late)
        scenario = load_scenario(scenarios / "held")
        run = pytest_items.ScenarioRun(request.session, [(scenario, case) for case in scenario.cases])
        queue = run._loop.call_soon_threadsafe

        def queue_and_tell(*given: Any) -> object:
            handle = queue(*given)
            asked.set()
            return handle

        monkeypatch.setattr(run._loop, "call_soon_threadsafe", queue_and_tell)
        run.start()
        run.close()
        assert made_up.struck

    def test_a_run_that_is_over_can_be_stopped(
        self, request: pytest.FixtureRequest, scenarios: Path, made_up: MadeUpRun
    ) -> None:
        """Its thread and its event loop are gone by then."""
        scenario = load_scenario(scenarios / "held")
        run = pytest_items.ScenarioRun(request.session, [(scenario, case) for case in scenario.cases])
        run.start()
        run.close()
        run.close()
        assert len(made_up.ran) == 2

    def test_no_thread_outlives_the_tests(self, pytester: pytest.Pytester, scenarios: Path, made_up: MadeUpRun) -> None:
        """The run's thread is gone when pytest is, whether all items were asked for or `-x` stopped at the first."""
        made_up.outcomes = {"broken": Outcome.FAILED}
        pytester.runpytest_inprocess("-x", scenarios).assert_outcomes(failed=1)
        assert [thread.name for thread in threading.enumerate() if thread.name == "token-stream-lab"] == []


class TestOtherPeoplesTests:
    def test_without_scenarios_nothing_is_imported(self, pytester: pytest.Pytester) -> None:
        """The plugin is in every pytest run of the machine; it must cost the others nothing."""
        pytester.makepyfile(
            """
            import sys

            def test_it():
                heavy = {"docker", "testcontainers", "aiohttp", "pydantic", "lab.catalogue", "lab.pytest_items"}
                assert "lab.pytest_plugin" in sys.modules
                assert heavy & set(sys.modules) == set()
            """
        )
        # Other plugins import what they please, so ours is alone here.
        command = [sys.executable, "-m", "pytest", "-p", "lab.pytest_plugin"]
        environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        done = subprocess.run(
            command, cwd=pytester.path, env=environment, capture_output=True, text=True, check=False, timeout=LIMIT
        )
        assert "1 passed" in done.stdout


NOISY = """
from lab import pytest_items

def begins(self, cases):
    print("\\n-- play", flush=True)

pytest_items.ScenarioRun.begins = begins
"""
"""A conftest that tells when the testbed stands."""


@contextmanager
def running_pytest(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Pytest in a process of its own, which listens to Ctrl-C; killed if the block leaves it running."""
    program = "import signal, pytest, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    command = [sys.executable, "-c", f"{program} sys.exit(pytest.main())", *arguments]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.engine
@pytest.mark.usefixtures("images_in_use")
class TestWithContainers:
    def test_a_users_own_folder_is_run(self, tmp_path: Path, engine: docker.DockerClient) -> None:
        """One is good, the remedy of one is none, and nginx refuses one; each failure tells its own story."""
        write_scenario(tmp_path / "good")
        write_scenario(tmp_path / "wrong", fixed=HELD)
        write_scenario(tmp_path / "refused", fixed=REFUSED)
        with running_pytest(tmp_path) as process:
            code, out, _ = end_of(process)
        assert code == pytest.ExitCode.TESTS_FAILED
        assert re.search(r"2 failed, 4 passed", out)
        for told in (
            r"wrong::nginx-1\.26::fixed: ",
            r"Requirement +The path hands on each token when it comes\.",
            r"Expected +every stream in lockstep incremental",
            r"Actual +stream: batched",
            r"POST /v1/chat/completions",
            r"refused::nginx-1\.26::fixed: ",
            r'unknown directive "no_such_directive"',
        ):
            assert re.search(told, out), told
        assert "Traceback" not in out
        assert left_by(engine, process.pid) == []

    def test_ctrl_c_leaves_nothing(self, tmp_path: Path, engine: docker.DockerClient) -> None:
        """Whoever stops pytest in the middle of a run finds no container afterwards."""
        write_scenario(tmp_path / "long", table=LONG)
        (tmp_path / "conftest.py").write_text(NOISY)
        with running_pytest(tmp_path, "-s") as process:
            await_line(process, "-- play")
            assert left_by(engine, process.pid)
            code, _, _ = end_of(process, signal.SIGINT)
        assert code == pytest.ExitCode.INTERRUPTED
        assert left_by(engine, process.pid) == []
