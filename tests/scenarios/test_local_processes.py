"""`lab run` with processes: the verdicts of the containers, and nothing left whichever way the lab ends."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from markers import grid
from own_scenario import LONG, write_scenario
from processes import PLAY, await_line, end_of, messages, running

from lab import results
from lab.errors import ExitCode
from lab.products import PRODUCTS
from lab.testbed._owner import folders
from lab.testbed.binaries import Binary, on_path
from lab.testbed.sweep import sweep_folders
from lab.vocabulary import Outcome

LIMIT = 30.0
"""Seconds that processes get to be gone."""


@pytest.fixture
def nginx() -> Binary:
    """The machine's own; `tests/set_up.py` brings it."""
    found = {binary.proxy.product.name: binary for binary in on_path(PRODUCTS.values())}
    assert "nginx" in found, "run tests/set_up.py"
    return found["nginx"]


def verdicts(out: Path) -> dict[str, Any]:
    """What was found, without the times and without the product's version, by the case's label."""
    return {
        case.label: (
            case.outcome,
            [(finding.met, finding.requirement.replace(proxy.proxy, "it")) for finding in case.findings],
            [(each.delivery, each.ending, each.cause, each.flags, each.received) for each in case.exchanges],
        )
        for _, proxy, case in results.load(out / "results.json").cases()
    }


@pytest.mark.engine
@pytest.mark.usefixtures("images_in_use")
def test_both_runners_give_the_same_verdicts(tmp_path: Path, nginx: Binary) -> None:
    """The nginx of this machine as a process, and the container whose nginx has the same defaults."""
    scenario = write_scenario(tmp_path / "held")
    # Since 1.29.7 its defaults hold no stream, and the scenario says so.
    number = next(each.number for each in PRODUCTS["nginx"].versions if each.order < (1, 29, 7))
    assert nginx.proxy.version.order < (1, 29, 7), "this test is about an nginx whose defaults hold a stream"
    options = {"process": ["--binary", nginx.path], "container": ["--proxy", f"nginx-{number}"]}
    for name, chosen in options.items():
        with running("run", scenario, *chosen, "--out", tmp_path / name) as process:
            code, told, err = end_of(process)
        assert code == ExitCode.AS_REQUIRED, told + err
    assert verdicts(tmp_path / "process") == verdicts(tmp_path / "container")
    used = {each.key: each for each in results.load(tmp_path / "process" / "results.json").images}
    assert used[nginx.proxy.id].version == nginx.version
    assert used[nginx.proxy.id].reference == str(nginx.path)


@pytest.mark.parametrize("keeper_too", [False, True])
def test_a_killed_lab_leaves_no_process(tmp_path: Path, nginx: Binary, keeper_too: bool) -> None:
    """Kill -9: all of them end with the lab; should the keeper be killed as well, the next sweep ends the rest."""
    scenario = write_scenario(tmp_path / "long", table=LONG)
    with running("run", scenario, "--binary", nginx.path, "--out", tmp_path / "out") as process:
        await_line(process, PLAY)
        begun = started(process.pid)
        (keeper,) = psutil.Process(process.pid).children()
        if keeper_too:
            keeper.kill()
        process.kill()
    if keeper_too:
        sweep_folders()
    _, alive = psutil.wait_procs(begun, timeout=LIMIT)
    assert alive == []
    sweep_folders()
    assert [folder.path for folder in folders() if folder.owner.pid == process.pid] == []


@pytest.mark.parametrize("number", grid([signal.SIGINT, signal.SIGTERM, signal.SIGHUP], quick=[signal.SIGTERM]))
def test_a_stopped_lab_leaves_nothing(tmp_path: Path, nginx: Binary, number: signal.Signals) -> None:
    """A signal ends it with one message; processes and folders are gone before it is."""
    scenario = write_scenario(tmp_path / "long", table=LONG)
    with running("run", scenario, "--binary", nginx.path, "--out", tmp_path / "out") as process:
        await_line(process, PLAY)
        begun = started(process.pid)
        code, _, err = end_of(process, number)
    assert code == 128 + number
    assert messages(err) == ["lab: stopped"]
    assert [each for each in begun if each.is_running()] == []
    assert [folder.path for folder in folders() if folder.owner.pid == process.pid] == []


def started(pid: int) -> list[psutil.Process]:
    """All processes of a lab, as soon as its two nginx have a worker each."""
    while True:
        found = psutil.Process(pid).children(recursive=True)
        with suppress(psutil.NoSuchProcess):
            if [each.name() for each in found].count("nginx") == 4:
                return found


class TestNoEngine:
    @pytest.fixture
    def bare(self, tmp_path: Path) -> dict[str, str]:
        """A machine without an engine, without the right to have one, and without an index of packages."""
        return {
            "DOCKER_HOST": f"unix://{tmp_path}/dead.sock",
            "LAB_INSTALL_ENGINE": "0",
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": "",
            "PIP_CONFIG_FILE": os.devnull,
        }

    def test_what_can_run_is_run_and_the_rest_is_skipped_with_its_remedy(
        self, tmp_path: Path, nginx: Binary, bare: dict[str, str]
    ) -> None:
        """Exit code 0; terminal, results and JUnit have each case, and how to have what it lacks."""
        scenario = write_scenario(tmp_path / "held")
        with running("run", scenario, "--out", tmp_path / "out", env=bare) as process:
            code, told, err = end_of(process)
        assert code == ExitCode.AS_REQUIRED, told + err
        cases = {
            (proxy.proxy, case.label): case
            for _, proxy, case in results.load(tmp_path / "out" / "results.json").cases()
        }
        assert {cases[nginx.proxy.id, label].outcome for label in ("broken", "fixed")} == {Outcome.PASSED}
        skipped = [case for (proxy, _), case in cases.items() if proxy != nginx.proxy.id]
        assert {case.outcome for case in skipped} == {Outcome.SKIPPED}
        assert all("apt-get install nginx" in case.problem for case in skipped)
        assert "apt-get install nginx" in " ".join(told.split())
        assert "binaries of this machine instead" in err
        assert "skipped: nginx-" in err
        junit = (tmp_path / "out" / "junit.xml").read_text()
        assert junit.count("<skipped ") == len(skipped) > 0
        assert "apt-get install nginx" in junit

    def test_where_nothing_can_be_run_the_table_says_what_is_missing(
        self, tmp_path: Path, bare: dict[str, str]
    ) -> None:
        """Exit code 3, one message, and results all the same."""
        scenario = write_scenario(tmp_path / "held")
        number = PRODUCTS["nginx"].versions[0].number
        with running("run", scenario, "--proxy", f"nginx-{number}", "--out", tmp_path / "out", env=bare) as process:
            code, told, err = end_of(process)
        assert code == ExitCode.NO_ENVIRONMENT
        assert messages(err) == ["lab: Nothing could be run: this machine has none of the binaries."]
        assert "2 skipped" in told
        outcomes = [
            case["outcome"]
            for each in json.loads((tmp_path / "out" / "results.json").read_text())["scenarios"][0]["proxies"]
            for case in each["cases"]
        ]
        assert outcomes == [Outcome.SKIPPED] * 2

    def test_nothing_is_kept_up_for_nobody(self, tmp_path: Path, bare: dict[str, str]) -> None:
        """Where none of the cases can be had, `lab up` says so and ends."""
        scenario = write_scenario(tmp_path / "held")
        number = PRODUCTS["nginx"].versions[0].number
        with running("up", scenario, f"nginx-{number}", env=bare) as process:
            code, _, err = end_of(process)
        assert code == ExitCode.NO_ENVIRONMENT
        (message,) = messages(err)
        assert f"nginx {number} is not on this machine" in message

    def test_containers_that_are_asked_for_cannot_be_had(self, tmp_path: Path, bare: dict[str, str]) -> None:
        """Exit code 3 and one message; nothing is run in their place."""
        scenario = write_scenario(tmp_path / "held")
        with running("run", scenario, "--runner", "containers", "--out", tmp_path / "out", env=bare) as process:
            code, told, err = end_of(process)
        assert code == ExitCode.NO_ENVIRONMENT
        (message,) = messages(err)
        assert "dead.sock" in message
        assert told.replace("--", "").split() in ([], ["images"])
        assert not (tmp_path / "out" / "results.json").exists()
