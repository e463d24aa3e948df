"""`lab report` on what each command saves: the file says what it is, and the same reports come of it again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from audit.test_report import STEADY, results_of, sample
from odd_files import disk_with, make_long, make_pipe
from reports.sample import sample as sample_run

from lab import results as runs
from lab.audit import results as audits
from lab.audit.report.active_page import active_page
from lab.audit.report.page import audit_page
from lab.cli import main
from lab.cli.active import save as save_active
from lab.clients import results as grids
from lab.clients.grid import Cell, Grid
from lab.clients.outcome import ClientReport, Seen
from lab.compare import results as comparisons
from lab.compare.advice import Need
from lab.compare.page import compare_page
from lab.errors import ExitCode
from lab.files import LONGEST_RESULT
from lab.load.figures import Figures, Spread
from lab.load.page import load_page
from lab.load.results import FORMAT as LOAD
from lab.load.results import LoadResults
from lab.measure.findings import ActiveFindings
from lab.saved import write_saved
from lab.verify.proofs import page as proof_page
from lab.verify.prove import FORMAT as PROOF
from lab.verify.prove import FileProof, LineEffect, LineProof, Proofs
from lab.vocabulary import Ending, Saved

pytestmark = pytest.mark.usefixtures("own_signals")


def saved_run(to: Path) -> tuple[Path, str, str | None]:
    """A run of the lab; its page names its own time and is not compared."""
    runs.save(sample_run(), to / "results.json")
    return to / "results.json", "report.html", None


def saved_audit(to: Path) -> tuple[Path, str, str | None]:
    """An audit of three whole answers."""
    results = results_of([sample("path", STEADY)] * 3)
    audits.save(results, to / "audit.json")
    return to / "audit.json", "audit.html", audit_page(results)


def saved_active_audit(to: Path) -> tuple[Path, str, str | None]:
    """An active audit that found nothing."""
    found = ActiveFindings(
        url="https://h/v1",
        model_url="https://h",
        through_path=True,
        wire_format="openai-chat",
        longest=60.0,
        shortest=1.0,
        seconds=61.0,
        requests=0,
        timeouts=(),
        smallest=None,
        terminations=(),
        effects=(),
        modes=(),
        observations=(),
        summary="Nothing was found.",
        notes=(),
        exchanges=(),
    )
    save_active(found, to / "active.json")
    return to / "active.json", "active.html", active_page(found)


def saved_grid(to: Path) -> tuple[Path, str, str | None]:
    """One client that lost the end of an answer silently."""
    cell = Cell(
        "httpx", "fin", "direct", knowable=True, seen=Seen("word", None), reported=ClientReport.NO_REASON, attempts=1
    )
    grid = Grid((cell,), {"aiohttp": "not installed"}, {"own": ("httpx 0.28.1",)})
    grids.save(grid, to)
    return to / "clients.json", "clients.html", grids.page(grid)


def saved_comparison(to: Path) -> tuple[Path, str, str | None]:
    """A comparison that was stopped before anything was measured."""
    found = comparisons.Comparison(
        format_version=comparisons.FORMAT_VERSION,
        lab_version="0",
        over="recommended::nginx-1.30::fixed",
        wire_format="openai-chat",
        generations="one",
        rounds=6,
        started="2026-11-24T10:00:00+00:00",
        need=Need(True, True, None),
        levels=(),
        growth=(),
        advice=None,
        stopped="by the user",
    )
    comparisons.save(found, to / "compare.json")
    return to / "compare.json", "compare.html", compare_page(found)


def saved_proof(to: Path) -> tuple[Path, str, str | None]:
    """Twenty lines without which nothing was broken."""
    line = LineProof("gzip off;", "nginx.conf", 3, {"1.30": LineEffect({}, {}, {})})
    found = Proofs((FileProof("nginx", "nginx.conf", False, {"1.30": {}}, (line,) * 20),))
    write_saved(to / "proof.json", PROOF, found)
    return to / "proof.json", "proof.md", proof_page(found.files)


def saved_load(to: Path) -> tuple[Path, str, str | None]:
    """One stream that was complete."""
    one = Spread(1, 1, 1, 1, 1)
    figures = Figures(
        "http://here",
        streams=1,
        asked=1,
        begun=1,
        refused=0,
        queued=0,
        endings={Ending.COMPLETE: 1},
        failures={},
        **dict.fromkeys(("first", "gaps", "late", "model_late", "load_late"), one),
    )
    found = LoadResults(1, 0.0, 1.0, 1.0, 1, (figures,))
    write_saved(to / "load.json", LOAD, found)
    return to / "load.json", "load.html", load_page(found)


BEGINS = {".html": "<!doctype html>", ".md": "# "}
"""How a page begins, by its suffix."""

KINDS: dict[Saved, Callable[[Path], tuple[Path, str, str | None]]] = {
    Saved.RUN: saved_run,
    Saved.AUDIT: saved_audit,
    Saved.ACTIVE_AUDIT: saved_active_audit,
    Saved.CLIENTS: saved_grid,
    Saved.COMPARISON: saved_comparison,
    Saved.PROOF: saved_proof,
    Saved.LOAD: saved_load,
}


@pytest.mark.parametrize("kind", Saved)
def test_the_reports_are_made_again(kind: Saved, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever the file is called, its kind says what it is; the page is that of the data, and the text names it."""
    file, page, expected = KINDS[kind](tmp_path)
    renamed = file.rename(tmp_path / "renamed.json")
    assert json.loads(renamed.read_bytes())["kind"] == kind
    assert main(["report", str(renamed), "--out", str(tmp_path / "again")]) == ExitCode.AS_REQUIRED
    again = (tmp_path / "again" / page).read_text()
    assert again.startswith(BEGINS[Path(page).suffix])
    assert expected is None or again == expected
    assert str(tmp_path / "again" / page) in "".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("kind", [kind for kind in Saved if kind is not Saved.RUN])
def test_a_damaged_file_is_named(kind: Saved, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One message with the file and the place in it, and no page of half a result."""
    file, page, _ = KINDS[kind](tmp_path)
    document = json.loads(file.read_bytes())
    for field in ("samples", "exchanges", "levels", "cells", "files", "loads"):
        document.pop(field, None)
    file.write_text(json.dumps(document))
    (tmp_path / page).unlink(missing_ok=True)
    assert main(["report", str(file)]) == ExitCode.BAD_INPUT
    said = capsys.readouterr().err
    assert str(file) in said
    assert "Traceback" not in said
    assert not (tmp_path / page).exists()


def test_an_unknown_kind_names_those_there_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file of something else is no run with missing fields."""
    (tmp_path / "other.json").write_text('{"kind": "shopping-list"}')
    assert main(["report", str(tmp_path / "other.json")]) == ExitCode.BAD_INPUT
    said = capsys.readouterr().err
    assert "kind is 'shopping-list'" in said
    assert "active-audit" in said


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("kind", Saved)
def test_a_full_disk_costs_no_report_that_was_there(
    kind: Saved, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither the saved file nor a page is ever half written, nothing is left beside them, and the file is named."""
    file, page, _ = KINDS[kind](tmp_path)
    assert main(["report", str(file)]) == ExitCode.AS_REQUIRED
    before = contents(tmp_path)
    with disk_with(100):
        assert main(["report", str(file)]) == ExitCode.NO_ENVIRONMENT
        with pytest.raises(OSError, match="too large"):
            KINDS[kind](tmp_path)
    assert contents(tmp_path) == before
    assert f"{tmp_path / page}: File too large" in capsys.readouterr().err


@pytest.mark.parametrize("kind", Saved)
def test_a_link_in_the_folder_is_no_way_to_another_file(kind: Saved, tmp_path: Path) -> None:
    """Who plants one where a report will be has no say in what is overwritten."""
    file, page, _ = KINDS[kind](tmp_path)
    (tmp_path / "precious").write_text("precious")
    (tmp_path / page).unlink(missing_ok=True)
    (tmp_path / page).symlink_to("precious")
    assert main(["report", str(file)]) == ExitCode.AS_REQUIRED
    assert (tmp_path / "precious").read_text() == "precious"
    assert (tmp_path / page).read_text().startswith(BEGINS[Path(page).suffix])


def test_what_cannot_be_read_to_its_end_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pipe, a device and a file without end are no saved result, and nobody waits for them."""
    for file, why in (
        (make_pipe(tmp_path / "pipe"), "not a regular file"),
        (Path("/dev/null"), "not a regular file"),
        (make_long(tmp_path / "long", LONGEST_RESULT + 1), "longer than"),
    ):
        assert main(["report", str(file), "--out", str(tmp_path)]) == ExitCode.BAD_INPUT
        assert f"lab: {file}: {why}" in capsys.readouterr().err
