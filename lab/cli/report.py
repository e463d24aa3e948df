"""`lab report`: makes every report again from a saved result, whichever command saved it.

The file says in its field `kind` what it is, and only the modules that this kind needs are imported. Nothing here
asks a proxy, an endpoint or a container for anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from rich.console import Console

from lab import results as runs
from lab.cli.out import writing_to
from lab.cli.shell import without_signals
from lab.cli.terminal import print_line
from lab.files import write_whole
from lab.saved import SavedFile, open_saved
from lab.vocabulary import Saved

Maker = Callable[[SavedFile, Path, Console], None]


def report_again(file: Path, to: Path, out: Console) -> None:
    """Make the reports of a saved result again, and print what its command printed.

    Args:
        file: what a command of the lab has saved.
        to: the folder for the reports; made if need be.
        out: where to print.

    Raises:
        BadInput: names the file and what is wrong in it.
        EnvironmentFault: the reports cannot be written.
    """
    saved = open_saved(file)
    _MAKERS[saved.kind](saved, to, out)


def _of_run(saved: SavedFile, to: Path, out: Console) -> None:
    with without_signals():
        from lab.reports import write_reports
        from lab.reports.terminal import print_results

    results = saved.read(runs.FORMAT)
    with writing_to(to):
        paths = write_reports(results, to)
    print_results(results, out, paths.get("html"))


def _of_audit(saved: SavedFile, to: Path, out: Console) -> None:
    with without_signals():
        from lab.audit.report.page import audit_page
        from lab.audit.report.text import print_audit
        from lab.audit.results import FORMAT
        from lab.cli.audit import PAGE

    results = saved.read(FORMAT)
    _write(to / PAGE, audit_page(results))
    print_audit(results, out, to / PAGE)


def _of_active_audit(saved: SavedFile, to: Path, out: Console) -> None:
    with without_signals():
        from lab.audit.report.active_page import active_page
        from lab.audit.report.active_text import print_active
        from lab.cli.active import FORMAT, PAGE

    findings = saved.read(FORMAT)
    _write(to / PAGE, active_page(findings))
    print_active(findings, out)
    _name(to / PAGE, out)


def _of_clients(saved: SavedFile, to: Path, out: Console) -> None:
    with without_signals():
        from lab.clients.results import FORMAT, PAGE, page, show

    grid = saved.read(FORMAT)
    _write(to / PAGE, page(grid))
    show(grid, out)
    _name(to / PAGE, out)


def _of_comparison(saved: SavedFile, to: Path, out: Console) -> None:
    with without_signals():
        from lab.cli.compare import PAGE
        from lab.compare.page import compare_page
        from lab.compare.results import FORMAT
        from lab.compare.text import print_comparison

    comparison = saved.read(FORMAT)
    _write(to / PAGE, compare_page(comparison))
    print_comparison(comparison, out)
    _name(to / PAGE, out)


def _of_load(saved: SavedFile, to: Path, out: Console) -> None:
    with without_signals():
        from lab.load.page import PAGE, load_page
        from lab.load.results import FORMAT
        from lab.load.text import print_load

    results = saved.read(FORMAT)
    _write(to / PAGE, load_page(results))
    print_load(results, out)
    _name(to / PAGE, out)


def _of_proof(saved: SavedFile, to: Path, out: Console) -> None:
    with without_signals():
        from lab.cli.prove import print_proven
        from lab.verify.proofs import page
        from lab.verify.prove import FORMAT

    proven = saved.read(FORMAT)
    _write(to / "proof.md", page(proven.files))
    print_proven(proven, out)
    _name(to / "proof.md", out)


_MAKERS: Mapping[Saved, Maker] = {
    Saved.RUN: _of_run,
    Saved.AUDIT: _of_audit,
    Saved.ACTIVE_AUDIT: _of_active_audit,
    Saved.CLIENTS: _of_clients,
    Saved.COMPARISON: _of_comparison,
    Saved.LOAD: _of_load,
    Saved.PROOF: _of_proof,
}


def _write(path: Path, page: str) -> None:
    with writing_to(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, page)


def _name(page: Path, out: Console) -> None:
    print_line(out, f"Report: {page}")
