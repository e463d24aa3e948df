"""What becomes of results; the run itself is made up: it is over at once, with the reports' sample or a fault."""

from __future__ import annotations

import errno
import io
import itertools
import os
import resource
import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from processes import messages
from reports.sample import sample
from rich.console import Console
from rich.progress import Progress

from lab import results
from lab.catalogue import discover, shipped_scenarios
from lab.cli import main
from lab.cli import run as cli_run
from lab.cli.out import progress_columns
from lab.cli.run import curl_line
from lab.errors import EnvironmentFault, ExitCode
from lab.results import Results
from lab.scenarios.run import LeftStanding
from lab.vocabulary import Outcome

pytestmark = pytest.mark.usefixtures("own_signals")


def run_that(outcome: Results | BaseException) -> Callable[..., Any]:
    """A run that comes to an end without having played."""

    async def run_lab(*_: object, **__: object) -> Results:
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    return run_lab


@pytest.fixture
def no_room() -> Iterator[None]:
    """No file may become as large as a report: its writing breaks off amid it, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 2**10, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_failed_side_is_exit_code_1(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The sample has failed cases; what it has lost of cases is taken out, since that is another code."""
    monkeypatch.setattr(cli_run, "run_lab", run_that(_without(Outcome.HARNESS_FAILED)))
    assert main(["run", "--out", str(tmp_path / "new")]) == ExitCode.REQUIREMENT_FAILED
    assert results.load(tmp_path / "new" / "results.json") == _without(Outcome.HARNESS_FAILED)


def test_passed_and_skipped_sides_are_exit_code_0(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A skip has its reason in the report and fails nothing."""
    fine = {Outcome.PASSED, Outcome.SKIPPED}
    monkeypatch.setattr(cli_run, "run_lab", run_that(_without(*(set(Outcome) - fine))))
    assert main(["run", "--out", str(tmp_path)]) == ExitCode.AS_REQUIRED


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ({Outcome.FAILED}, ExitCode.REQUIREMENT_FAILED),
        ({Outcome.INCONCLUSIVE}, ExitCode.REQUIREMENT_FAILED),
        ({Outcome.SET_UP_FAILED}, ExitCode.BAD_INPUT),
        ({Outcome.SET_UP_FAILED, Outcome.FAILED}, ExitCode.REQUIREMENT_FAILED),
    ],
    ids=lambda value: " and ".join(sorted(value)) if isinstance(value, set) else "",
)
def test_any_other_outcome_has_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, outcomes: set[Outcome], code: ExitCode
) -> None:
    """A CI job must not stay green when nothing is proved, and may tell a refused file from a regression."""
    only = _without(*(set(Outcome) - {Outcome.PASSED} - outcomes))
    assert outcomes <= {case.outcome for _, _, case in only.cases()}
    monkeypatch.setattr(cli_run, "run_lab", run_that(only))
    assert main(["run", "--out", str(tmp_path)]) == code


def test_lost_sides_are_exit_code_3_and_the_others_are_saved(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An engine that died in the middle costs what it cost, and nothing that was finished before."""
    monkeypatch.setattr(cli_run, "run_lab", run_that(sample()))
    assert main(["run", "--out", str(tmp_path)]) == ExitCode.NO_ENVIRONMENT
    assert results.load(tmp_path / "results.json") == sample()
    (message,) = messages(capsys.readouterr().err)
    assert "ended without a verdict" in message


def test_an_engine_that_fails_at_the_end_costs_no_result(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The reports are written, and the message says what may still stand."""
    fault = LeftStanding(EnvironmentFault("The engine is gone."), sample())
    monkeypatch.setattr(cli_run, "run_lab", run_that(fault))
    assert main(["run", "--out", str(tmp_path)]) == ExitCode.NO_ENVIRONMENT
    assert {path.name for path in tmp_path.iterdir()} == {"results.json", "report.html", "junit.xml"}
    told = capsys.readouterr()
    assert messages(told.err) == ["lab: The engine is gone."]
    assert "Cases" in told.out


@pytest.mark.usefixtures("no_room")
def test_a_disk_without_room_is_named_and_the_results_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a minute's run has found is at least in the terminal."""
    monkeypatch.setattr(cli_run, "run_lab", run_that(_without(Outcome.HARNESS_FAILED)))
    assert main(["run", "--out", str(tmp_path)]) == ExitCode.NO_ENVIRONMENT
    told = capsys.readouterr()
    (message,) = messages(told.err)
    assert str(tmp_path) in message
    assert os.strerror(errno.EFBIG) in message
    assert "--out" in told.err
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []
    assert "Cases" in told.out


def test_a_full_disk_for_temporary_files_is_not_blamed_on_the_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another `--out` would not help."""
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/elsewhere/start.sh")
    monkeypatch.setattr(cli_run, "run_lab", run_that(full))
    assert main(["run", "--out", str(tmp_path)]) == ExitCode.NO_ENVIRONMENT
    told = capsys.readouterr().err
    (message,) = messages(told)
    assert "/elsewhere/start.sh" in message
    assert "TMPDIR" in told
    assert "--out" not in told


def test_ctrl_c_ends_as_shells_expect(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """130 is what a shell itself tells of a command that Ctrl-C ended."""
    monkeypatch.setattr(cli_run, "run_lab", run_that(KeyboardInterrupt()))
    assert main(["run", "--out", str(tmp_path)]) == 130
    assert messages(capsys.readouterr().err) == ["lab: stopped"]


class TestFolderOfARun:
    @pytest.fixture(autouse=True)
    def _here(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(cli_run, "run_lab", run_that(_without(Outcome.HARNESS_FAILED)))

    def folders(self) -> list[Path]:
        """The folders of runs, links apart, the older first."""
        return sorted(path for path in Path("lab-results").iterdir() if not path.is_symlink())

    def test_no_run_takes_another_ones_place(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Two runs, even of one second, have a folder each; `latest` leads to the last, and the terminal names it."""
        main(["run"])
        (first,) = self.folders()
        before = (first / "report.html").stat().st_mtime_ns
        capsys.readouterr()
        main(["run"])
        (second,) = set(self.folders()) - {first}
        assert {path.name for path in second.iterdir()} == {"results.json", "report.html", "junit.xml"}
        assert (first / "report.html").stat().st_mtime_ns == before
        assert Path("lab-results/latest").resolve() == second.resolve()
        assert str(second / "report.html") in capsys.readouterr().out

    def test_the_reports_of_the_last_run_can_be_made_again(self) -> None:
        """`lab report` by itself means the last run."""
        main(["run"])
        (folder,) = self.folders()
        (folder / "report.html").unlink()
        assert main(["report"]) == ExitCode.AS_REQUIRED
        assert (folder / "report.html").is_file()

    def test_a_run_that_was_stopped_leaves_no_folder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """And `latest` still leads to the one before."""
        main(["run"])
        before = self.folders()
        monkeypatch.setattr(cli_run, "run_lab", run_that(KeyboardInterrupt()))
        main(["run"])
        assert self.folders() == before
        assert Path("lab-results/latest/results.json").is_file()

    def test_a_folder_that_is_named_is_the_runs_own(self) -> None:
        """With `--out` nothing else is made, and no link."""
        main(["run", "--out", "here"])
        assert [path.name for path in Path().iterdir()] == ["here"]
        assert {path.name for path in Path("here").iterdir()} == {"results.json", "report.html", "junit.xml"}

    @pytest.mark.parametrize("kind", ["file", "dangling link"])
    def test_a_place_where_no_folder_can_be_made_is_named(self, capsys: pytest.CaptureFixture[str], kind: str) -> None:
        """Before anything is started."""
        if kind == "file":
            Path("lab-results").write_text("mine")
        else:
            Path("lab-results").symlink_to("nowhere/at/all")
        assert main(["run"]) == ExitCode.NO_ENVIRONMENT
        told = capsys.readouterr()
        assert "lab-results" in told.err
        assert "--out" in told.err
        assert told.out == ""

    def test_something_else_called_latest_costs_no_result(self, capsys: pytest.CaptureFixture[str]) -> None:
        """The run's files are there all the same, and the message names what is in the way."""
        Path("lab-results/latest").mkdir(parents=True)
        assert main(["run"]) == ExitCode.NO_ENVIRONMENT
        assert "lab-results/latest" in capsys.readouterr().err
        run, latest = self.folders()
        assert (run / "results.json").is_file()
        assert list(latest.iterdir()) == []


def _without(*outcomes: Outcome) -> Results:
    """The sample without the cases of those outcomes."""
    whole = sample()
    scenarios = [
        replace(
            scenario,
            proxies=tuple(
                replace(proxy, cases=tuple(case for case in proxy.cases if case.outcome not in outcomes))
                for proxy in scenario.proxies
            ),
        )
        for scenario in whole.scenarios
    ]
    return replace(whole, scenarios=tuple(scenarios))


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_every_exchange_can_be_made_by_hand(scheme: str) -> None:
    """`lab up` prints a command for exchanges of all shipped scenarios, those of the suite among them."""
    exchanges = {
        each for scenario in discover(shipped_scenarios()) for case in scenario.cases for each in case.exchanges
    }
    assert {each.method for each in exchanges} == {"GET", "POST"}
    for each in exchanges:
        words = shlex.split(curl_line(f"{scheme}://host:1", each))
        headers = [word for flag, word in itertools.pairwise(words) if flag == "-H"]
        assert ("-d" in words) is (each.method == "POST")
        assert words[-1].startswith(f"{scheme}://host:1{each.path or '/'}")
        assert (f"Accept-Encoding: {each.accept_encoding}" in headers) is bool(each.accept_encoding)
        assert {f"{name}: {value}" for name, value in each.headers} <= set(headers)
        assert ("--insecure" in words) is (scheme == "https")
        assert len(shlex.join(words)) < 2000


def test_a_bar_of_long_work_shows_the_time_that_is_left() -> None:
    """Whoever waits sees how long: at two of four after ten seconds, as long again."""
    clock = iter([0.0, 0.0, 10.0])
    out = io.StringIO()
    progress = Progress(*progress_columns(), console=Console(file=out, width=120), get_time=lambda: next(clock, 10.0))
    task = progress.add_task("measuring", total=4)
    progress.advance(task, 1)
    progress.advance(task, 1)
    progress.print(progress.get_renderable())
    assert "2/4" in out.getvalue()
    assert "left 0:0" in out.getvalue()


def test_the_bar_of_a_run_shows_the_time_that_is_left() -> None:
    """`lab run` has the bar of the other long commands, with its own words and count."""
    out = io.StringIO()
    case, other = discover(shipped_scenarios())[0].cases[:2]
    with cli_run.LiveProgress(Console(file=out, width=160, force_terminal=True, color_system=None)) as progress:
        progress.begins([case, other])
        progress.played(case)
    assert f"waiting for {other.id}" in out.getvalue()
    assert "1/2" in out.getvalue()
    assert " left " in out.getvalue()
