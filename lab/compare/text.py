"""A comparison in the terminal: the advice first, then the rules that led to it, then the figures."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lab.compare.advice import Advice, Choice
from lab.compare.figures import LevelFigures
from lab.compare.results import Comparison
from lab.compare.rows import LEGEND, figure_rows, loss_words, pair_words, what_was_done
from lab.printable import printable

_STYLES = {Choice.MEND_THE_PATH: "bold red", Choice.CANNOT_TELL: "bold yellow"}


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print it; whatever is quoted is printed as text and never as markup."""
    if comparison.advice is not None:
        _print_advice(comparison.advice, console)
    if comparison.stopped:
        console.print(Text(printable(f"Stopped early: {comparison.stopped}. {comparison.remedy}".rstrip()), "bold"))
    if losses := loss_words(comparison.levels):
        console.print(Text(f"\n{losses}", "bold"))
    for level in comparison.levels:
        console.print()
        console.print(_table(level))
        console.print(Text(pair_words(level)))
    if comparison.growth:
        console.print()
    for growth in comparison.growth:
        console.print(Text(growth.sentence))
    for note in comparison.notes:
        console.print(Text("\n" + printable(f"Note: {note}")))
    console.print(Text(f"\n{what_was_done(comparison)}" + (f" {LEGEND}" if comparison.levels else ""), "dim"))


def _print_advice(advice: Advice, console: Console) -> None:
    console.print(Text(f"{advice.sentence}\n", _STYLES.get(advice.choice, "bold green")))
    rules = Table(box=None, show_header=False, pad_edge=False)
    for ruling in advice.rulings:
        decides = ["", "  <- decides"][ruling.choice is not None]
        rules.add_row(Text(ruling.question), Text(str(ruling.answer), "bold"), Text(ruling.because + decides))
    console.print(rules)


def _table(level: LevelFigures) -> Table:
    table = Table(f"{level.at_once} at once", "streamed", "batch", box=box.HORIZONTALS, pad_edge=False)
    for name, streamed, batch in figure_rows(level):
        table.add_row(Text(name), Text(streamed), Text(batch))
    return table
