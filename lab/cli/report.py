"""`lab report`: makes every report again from a saved result, whichever command saved it.

The file says in its field `kind` what it is, and only the modules that this kind needs are imported. Nothing here
asks a proxy, an endpoint or a container for anything.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError
from rich.console import Console

from lab import results as runs
from lab.cli.out import writing_to
from lab.cli.shell import without_signals
from lab.cli.terminal import print_line
from lab.errors import BadInput
from lab.files import LONGEST_RESULT, read_whole, write_whole
from lab.vocabulary import Saved

T = TypeVar("T")

Maker = Callable[[Path, Path, Console], None]


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
    _MAKERS[kind_of(file)](file, to, out)


def kind_of(file: Path) -> Saved:
    """What a file says that it is; one that says nothing is a run's, whose files once had no such field.

    Raises:
        BadInput: it is no saved result.
    """
    try:
        document = json.loads(read_whole(file, LONGEST_RESULT))
        kind = document.get("kind", Saved.RUN)
    except OSError as error:
        remedy = "Run `lab run` first, or name what another command saved."
        raise BadInput(f"{file}: {error.strerror}", remedy) from None
    except (ValueError, AttributeError, RecursionError):
        raise BadInput(f"{file}: no JSON document", "Give the path of a file that a lab command wrote.") from None
    try:
        return Saved(kind)
    except ValueError:
        raise BadInput(f"{file}: kind is {kind!r}", f"There are: {', '.join(Saved)}.") from None


def _of_run(file: Path, to: Path, out: Console) -> None:
    with without_signals():
        from lab.reports import write_reports
        from lab.reports.terminal import print_results

    results = runs.load(file)
    with writing_to(to):
        paths = write_reports(results, to)
    print_results(results, out, paths.get("html"))


def _of_audit(file: Path, to: Path, out: Console) -> None:
    with without_signals():
        from lab.audit.report.page import audit_page
        from lab.audit.report.text import print_audit
        from lab.audit.results import load
        from lab.cli.audit import PAGE

    results = load(file)
    _write(to / PAGE, audit_page(results))
    print_audit(results, out, to / PAGE)


def _of_active_audit(file: Path, to: Path, out: Console) -> None:
    with without_signals():
        from lab.audit.report.active_page import active_page
        from lab.audit.report.active_text import print_active
        from lab.cli.active import PAGE
        from lab.measure.findings import ActiveFindings

    findings = _loaded(lambda path: TypeAdapter(ActiveFindings).validate_json(read_whole(path, LONGEST_RESULT)), file)
    _write(to / PAGE, active_page(findings))
    print_active(findings, out)
    _name(to / PAGE, out)


def _of_clients(file: Path, to: Path, out: Console) -> None:
    with without_signals():
        from lab.clients.results import PAGE, load, page, show

    grid = _loaded(load, file)
    _write(to / PAGE, page(grid))
    show(grid, out)
    _name(to / PAGE, out)


def _of_comparison(file: Path, to: Path, out: Console) -> None:
    with without_signals():
        from lab.cli.compare import PAGE
        from lab.compare.page import compare_page
        from lab.compare.results import load
        from lab.compare.text import print_comparison

    comparison = _loaded(load, file)
    _write(to / PAGE, compare_page(comparison))
    print_comparison(comparison, out)
    _name(to / PAGE, out)


_MAKERS: Mapping[Saved, Maker] = {
    Saved.RUN: _of_run,
    Saved.AUDIT: _of_audit,
    Saved.ACTIVE_AUDIT: _of_active_audit,
    Saved.CLIENTS: _of_clients,
    Saved.COMPARISON: _of_comparison,
}


def _loaded(load: Callable[[Path], T], file: Path) -> T:
    try:
        return load(file)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BadInput(f"{file}: {place}: {first['msg']}", "Measure again with this version.") from None


def _write(path: Path, page: str) -> None:
    with writing_to(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, page)


def _name(page: Path, out: Console) -> None:
    print_line(out, f"Report: {page}")
