"""A comparison in the terminal: the advice first, then the rules that led to it, then the figures."""

from __future__ import annotations

from collections.abc import Callable

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lab.compare.advice import Advice, Choice
from lab.compare.figures import LevelFigures, WayFigures
from lab.compare.intervals import Interval
from lab.compare.results import Comparison

_ROWS: tuple[tuple[str, Callable[[WayFigures], str]], ...] = (
    ("Total", lambda way: _interval(way.total, "{:.2f}", " s")),
    ("First text", lambda way: _interval(way.first_text, "{:.2f}", " s")),
    ("Connection held", lambda way: _interval(way.held, "{:.2f}", " s")),
    ("Whole answers a second", lambda way: _interval(way.rate, "{:.2f}")),
    ("Bytes on the wire", lambda way: _interval(way.wire_bytes, "{:,.0f}")),
    ("Lost", lambda way: _lost(way)),
)


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print it; whatever is quoted is printed as text and never as markup."""
    if comparison.advice is not None:
        _print_advice(comparison.advice, console)
    if comparison.stopped:
        console.print(Text(f"Stopped early: {comparison.stopped}", "bold"))
    for level in comparison.levels:
        console.print()
        console.print(_table(level))
    what = f"{comparison.over}: {comparison.generations}, {comparison.rounds} rounds."
    legend = (
        "Medians of the whole answers, the last line pair by pair; with 95 % confidence intervals, "
        "where there are enough for one."
    )
    console.print(Text(f"\n{what} {legend}", "dim"))


def _print_advice(advice: Advice, console: Console) -> None:
    style = "bold red" if advice.choice is Choice.MEND_THE_PATH else "bold green"
    console.print(Text(f"{advice.sentence}\n", style))
    rules = Table(box=None, show_header=False, pad_edge=False)
    for ruling in advice.rulings:
        decides = ["", "  <- decides"][ruling.choice is not None]
        rules.add_row(Text(ruling.question), Text(str(ruling.answer), "bold"), Text(ruling.because + decides))
    console.print(rules)


def _table(level: LevelFigures) -> Table:
    table = Table(f"{level.at_once} at once", "streamed", "batch", box=box.HORIZONTALS, pad_edge=False)
    for name, cell in _ROWS:
        table.add_row(name, *(Text(cell(way)) for way in (level.stream, level.batch)))
    if level.difference is not None:
        table.add_row("Stream less batch", _interval(level.difference, "{:+.2f}", " s"))
    return table


def _interval(interval: Interval | None, form: str, unit: str = "") -> str:
    if interval is None:
        return "-"
    value = form.format(interval.value) + unit
    if interval.low is None or interval.high is None:
        return value
    return f"{value}  ({form.format(interval.low)} to {form.format(interval.high)})"


def _lost(way: WayFigures) -> str:
    if way.lost is None or way.lost.low is None or way.lost.high is None:
        return "-"
    count = sum(loss.count for loss in way.losses)
    lines = [f"{count} of {way.lost.count}  ({way.lost.low:.0%} to {way.lost.high:.0%})"]
    for loss in way.losses:
        lines.append(f"{loss.count} to {loss.to}" + (f" at {loss.clock:.2f} s" if loss.clock is not None else ""))
    return "\n".join(lines)
