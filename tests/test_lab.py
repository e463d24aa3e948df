"""The whole lab, once, as a user runs it, with nothing beside it; each test reads what that one run has left.

Beside busy processes it runs in `tests/scenarios/test_busy_machine.py`.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
from processes import LAB, end_of, left_by

from lab import results
from lab.catalogue import discover, shipped_scenarios
from lab.results import CaseResult, ExchangeResult, Results
from lab.vocabulary import Delivery, Ending, Outcome, Variant

pytestmark = [pytest.mark.engine, pytest.mark.alone]


@dataclass(frozen=True)
class WholeRun:
    """What one run of everything left behind.

    Args:
        code: the exit code.
        out: what it printed.
        err: the same on standard error.
        pid: of the process that is gone.
        folder: of the reports.
        results: as saved.
    """

    code: int
    out: str
    err: str
    pid: int
    folder: Path
    results: Results

    def exchange(self, name: str, scenario: str, proxy: str, label: str) -> ExchangeResult:
        """One exchange of one case."""
        (found,) = [
            exchange
            for each, behind, case in self.results.cases()
            if (each.id, behind.proxy, case.label) == (scenario, proxy, label)
            for exchange in case.exchanges
            if exchange.name == name
        ]
        return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, images_in_use: object, engine: docker.DockerClient) -> WholeRun:
    """`lab run` in a process of its own."""
    folder = tmp_path_factory.mktemp("lab") / "out"
    assert images_in_use
    assert engine.ping()
    command = [str(LAB), "run", "--out", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        code, out, err = end_of(process)
    assert (folder / "results.json").is_file(), err
    return WholeRun(code, out, err, process.pid, folder, results.load(folder / "results.json"))


def _told(case: CaseResult) -> str:
    return "; ".join(f"{each.requirement}: {each.actual}" for each in case.findings if not each.met)


def test_all_is_as_required(run: WholeRun) -> None:
    """Every broken variant shows its symptom, every fixed and not affected variant meets its requirement."""
    wrong = [
        f"{scenario.id}::{proxy.proxy}::{case.label}: {case.outcome}, {case.problem or case.busy or _told(case)}"
        for scenario, proxy, case in run.results.cases()
        if case.outcome is not Outcome.PASSED
    ]
    assert wrong == []
    assert run.code == 0, run.err


def test_every_shipped_side_is_in_the_results(run: WholeRun) -> None:
    """Nothing is left out in silence: scenarios, proxies, releases and cases are those of the folders."""
    shipped = [case.id for scenario in discover(shipped_scenarios()) for case in scenario.cases]
    wanted = [case for case in shipped if not case.endswith(f"::{Variant.REAL_DEFAULTS}")]
    ran = [f"{scenario.id}::{proxy.proxy}::{case.label}" for scenario, proxy, case in run.results.cases()]
    assert sorted(ran) == sorted(wanted)


def test_it_takes_about_as_long_as_its_longest_case(run: WholeRun) -> None:
    """Nearly all of a run is waiting, and all of it waits at the same time; a busy machine lengthens both."""
    one_after_the_other = sum(case.seconds for _, _, case in run.results.cases())
    assert run.results.wall_seconds < one_after_the_other / 4


def test_the_reports_are_there(run: WholeRun) -> None:
    """Three files, each whole: nothing of a half-written one is left."""
    assert {path.name for path in run.folder.iterdir()} == {"results.json", "report.html", "junit.xml"}
    # On a busy machine some cases are measured again, which is said; nothing else is.
    assert [line for line in run.err.splitlines() if not line.startswith("measuring again, by itself")] == []
    assert "Cases" in run.out


def test_nothing_is_left_behind(run: WholeRun, engine: docker.DockerClient) -> None:
    """No container, no network and no temporary file outlives the run."""
    assert left_by(engine, run.pid) == []


def test_every_image_tells_its_version(run: WholeRun) -> None:
    """A measurement of a product is worth nothing without its version, as the binary itself prints it."""
    versions = {image.key: image.version for image in run.results.images}
    assert versions.pop("model")
    assert {key: version for key, version in versions.items() if not version.startswith(key.rpartition("-")[2])} == {}


class TestNginxDefaults:
    """nginx asks with HTTP/1.1 since 1.29.7; before, it asked with HTTP/1.0, and all of this followed."""

    @pytest.mark.parametrize(
        ("proxy", "label", "ending", "flagged"),
        [
            ("nginx-1.26", "broken", Ending.SILENTLY_TRUNCATED, True),
            ("nginx-1.30", "not-affected", Ending.CUT, False),
        ],
    )
    def test_a_dead_model_server(self, run: WholeRun, proxy: str, label: str, ending: Ending, *, flagged: bool) -> None:
        """Ten of twenty tokens and FIN: the older one makes a clean end of it, the newer one shows the cut."""
        exchange = run.exchange("fin", "death-becomes-clean-end", proxy, label)
        assert (exchange.ending, exchange.received, exchange.written) == (ending, 10, 10)
        assert ("asked-with-http-1.0" in exchange.flags) is flagged

    @pytest.mark.parametrize(
        ("proxy", "label", "delivery"),
        [("nginx-1.26", "broken", Delivery.BATCHED), ("nginx-1.30", "not-affected", Delivery.INCREMENTAL)],
    )
    def test_a_stream_in_lockstep(self, run: WholeRun, proxy: str, label: str, delivery: Delivery) -> None:
        """The older one holds the whole stream back, the newer one hands each token on."""
        assert run.exchange("lockstep", "close-delimited-upstream", proxy, label).delivery is delivery

    @pytest.mark.parametrize(
        ("proxy", "label", "received"), [("nginx-1.26", "broken", 0), ("nginx-1.30", "not-affected", 10)]
    )
    def test_a_reset(self, run: WholeRun, proxy: str, label: str, received: int) -> None:
        """Ten tokens and, a second later, RST: the older one throws all ten away, the newer one had passed them on."""
        exchange = run.exchange("rst", "lost-in-the-buffer", proxy, label)
        assert (exchange.written, exchange.received) == (10, received)
