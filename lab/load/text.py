"""What `lab load` prints: a column for each target, and what makes its figures doubtful."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rich.console import Console
from rich.table import Table

from lab.load.figures import Figures, Spread
from lab.load.results import LoadResults

NOT_KNOWN = "not known"
"""Said of what nobody could look at."""


def print_load(results: LoadResults, out: Console) -> None:
    """Print the results."""
    table = Table(show_header=True, box=None, pad_edge=False)
    table.add_column("")
    for each in results.loads:
        table.add_column(each.target, overflow="fold")
    for name, words in rows_of(results.loads):
        table.add_row(name, *words)
    out.print(table)
    for each in results.loads:
        for what, count in each.failures.items():
            out.print(f"  {each.target}: {count} times {what}", style="red", highlight=False)
        for doubt in each.doubts:
            out.print(f"  {each.target}: inconclusive: {doubt}", style="yellow", highlight=False)


def _spread(spread: Spread) -> str:
    if not spread.count:
        return "none"
    return f"{spread.p50:,.0f}  {spread.p99:,.0f}  {spread.p999:,.0f}  {spread.longest:,.0f} ms"


def _endings(each: Figures) -> str:
    ends = [f"{count} {ending}" for ending, count in each.endings.items()]
    if each.not_opened:
        ends.append(f"{each.not_opened} not opened")
    if each.unended:
        ends.append(f"{each.unended} of which no end is known")
    return ", ".join(ends) or "none"


def _processor(each: Figures) -> str:
    if each.usage is None or not each.late.count:
        return NOT_KNOWN
    return f"{1e6 * each.usage.processor / each.late.count:,.0f} ms for 1,000 tokens"


def _packets(each: Figures) -> str:
    if each.usage is None or each.usage.packets is None or not each.late.count:
        return NOT_KNOWN
    return f"{1e3 * each.usage.packets / each.late.count:,.0f} for 1,000 tokens"


def _memory(each: Figures) -> str:
    if each.usage is None:
        return NOT_KNOWN
    grown = (each.usage.memory - each.usage.idle) / max(each.asked, 1)
    return f"{each.usage.memory / 2**20:,.1f} MiB, {grown / 2**10:,.1f} KiB of it for each stream"


def _connections(each: Figures) -> str:
    if each.usage is None or each.usage.connections is None:
        return NOT_KNOWN
    return f"{each.usage.connections:,} at once"


def _files(each: Figures) -> str:
    if each.usage is None or each.usage.files is None or each.usage.file_bytes is None:
        return NOT_KNOWN
    return f"{each.usage.files:,} at once, {each.usage.file_bytes / 2**20:,.1f} MiB" if each.usage.files else "none"


def _ended(each: Figures) -> str:
    if each.usage is None:
        return NOT_KNOWN
    return str(each.usage.ended) if each.usage.ended else "none"


ROWS: dict[str, Callable[[Figures], str]] = {
    "streams asked for": lambda each: f"{each.asked} of {each.streams}",
    "that had a first token": lambda each: f"{each.begun}, {each.queued} queued on the way",
    "that were refused": lambda each: str(each.refused),
    "how they ended": _endings,
    "with a content coding": lambda each: str(each.coded),
    "first token (p50 p99 p99.9 max)": lambda each: _spread(each.first),
    "token late": lambda each: _spread(each.late),
    "from token to token": lambda each: _spread(each.gaps),
    "the model server itself": lambda each: _spread(each.model_late),
    "the load itself": lambda each: _spread(each.load_late),
    "proxy's memory": _memory,
    "proxy's processor": _processor,
    "packets that it sent": _packets,
    "its connections to the model": _connections,
    "its temporary files": _files,
    "its processes that ended": _ended,
}
"""What is told of each target, by its name."""


def rows_of(loads: Sequence[Figures]) -> Iterator[tuple[str, list[str]]]:
    """The rows of a table of them; without those that say nothing of any."""
    for name, words in ROWS.items():
        told = [words(each) for each in loads]
        if set(told) != {NOT_KNOWN}:
            yield name, told
