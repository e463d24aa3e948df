"""clients.json, the counts, the terminal table and the page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import TypeAdapter
from rich.console import Console
from rich.table import Column, Table

from lab.clients.grid import Cell, Grid
from lab.clients.outcome import MEANINGS, ClientReport
from lab.clients.table import THROUGH_CONSUME
from lab.files import write_whole
from lab.printable import printable
from lab.reports.pages import page_environment
from lab.reports.style import page_script, page_style
from lab.saved import Format, load_saved, write_saved
from lab.vocabulary import Saved
from lab.wire.tokens import read_tokens

FORMAT_VERSION = 2

PAGE = "clients.html"

NOT_RAISED = frozenset(
    {
        ClientReport.SILENT,
        ClientReport.NO_REASON,
        ClientReport.REASON_ONLY,
        ClientReport.ON_ASKING,
        ClientReport.UNENDING,
    }
)
"""Losses that code which only loops over the text does not notice."""

_NOT_REPORTED = frozenset({ClientReport.SILENT, ClientReport.UNENDING})
"""Those that nothing which the client hands over reports."""

_SIGNS = {
    ClientReport.COMPLETE: ("✓", "good"),
    ClientReport.FALSE_ALARM: ("?", "fault"),
    ClientReport.ERROR: ("!", "measured"),
    ClientReport.PARTIAL: ("½", "measured"),
    ClientReport.ON_ASKING: ("a", "shown"),
    ClientReport.REASON_ONLY: ("r", "shown"),
    ClientReport.NO_REASON: ("0", "shown"),
    ClientReport.UNENDING: ("∞", "failed"),
    ClientReport.SILENT: ("✗", "failed"),
}
"""Each outcome's sign and tone on the page, the better ones first; columns are sorted by this order."""


@dataclass(frozen=True)
class Count:
    """What one client lost silently.

    Args:
        measured: cells that were measured, without the unknowable.
        to_loops: of these, silent to code that only loops.
        to_checks: of these, silent to code that checks the finish reason as well.
        unknowable: silent losses in replies that claim to be whole.
    """

    client: str
    measured: int
    to_loops: int
    to_checks: int
    unknowable: int


def counts(cells: Sequence[Cell]) -> tuple[Count, ...]:
    """Count per client, in the order of the cells."""
    by_client: dict[str, Counter[str]] = {}
    for cell in cells:
        count = by_client.setdefault(cell.client, Counter())
        if cell.reported is None:
            continue
        count["measured"] += cell.knowable
        count["to_loops"] += cell.knowable and cell.reported in NOT_RAISED
        count["to_checks"] += cell.knowable and cell.reported in _NOT_REPORTED
        count["unknowable"] += cell.reported is ClientReport.SILENT and not cell.knowable
    names = ("measured", "to_loops", "to_checks", "unknowable")
    return tuple(Count(client, *(count[name] for name in names)) for client, count in by_client.items())


@dataclass(frozen=True)
class ClientsResult(Grid):
    """A grid as it is saved, with its counts beside it."""

    counts: tuple[Count, ...] = ()


FORMAT = Format(Saved.CLIENTS, FORMAT_VERSION, TypeAdapter(ClientsResult))


def save(grid: Grid, to: Path, started: datetime | None = None) -> None:
    """Write clients.json and clients.html into an existing folder.

    Raises:
        OSError: they cannot be written.
    """
    result = ClientsResult(grid.cells, grid.skipped, grid.releases, counts(grid.cells))
    write_saved(to / "clients.json", FORMAT, result, started=started)
    write_whole(to / PAGE, page(grid))


def load(path: Path) -> Grid:
    """Read clients.json back.

    Raises:
        BadInput: names the file and what is wrong in it.
    """
    return load_saved(path, FORMAT)


def page(grid: Grid) -> str:
    """The page: self-contained, with the counts first and every cell after them."""
    template = page_environment("lab.clients").get_template("clients.html.j2")
    script, script_hash = page_script("lab.clients", "clients.js")
    every = counts(grid.cells)
    return template.render(
        style=page_style(("lab.clients", "clients.css")),
        script=script,
        script_hash=script_hash,
        counts=every,
        cured=[count for count in every if count.client.endswith(THROUGH_CONSUME)],
        signs={report: sign for report, (sign, _) in _SIGNS.items()},
        tones={report: tone for report, (_, tone) in _SIGNS.items()},
        order=list(_SIGNS),
        skipped=grid.skipped,
        releases=grid.releases,
        measured={cell.client for cell in grid.cells},
        words=MEANINGS,
        not_raised=NOT_RAISED,
        routes=list(dict.fromkeys(cell.route for cell in grid.cells)),
        endings=list(dict.fromkeys(cell.ending for cell in grid.cells)),
        cells={(cell.client, cell.ending, cell.route): cell for cell in grid.cells},
        tokens=lambda cell: len(read_tokens(cell.seen.text)),
    )


def show(grid: Grid, out: Console) -> None:
    """Print the counts and what was skipped."""
    table = Table(Column("Client", no_wrap=True), "Cells", "Silent to loops", "Silent to checks", "Claims to be whole")
    for count in counts(grid.cells):
        figures = (count.measured, count.to_loops, count.to_checks, count.unknowable)
        table.add_row(count.client, *map(str, figures))
    out.print(table)
    for client, why in grid.skipped.items():
        out.print(printable(f"{client}: not measured in full, {why}"), markup=False, highlight=False)
