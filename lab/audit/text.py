"""The audit in the terminal: the verdict first, then the figures, what is wrong with its remedy, and the hops."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from lab.audit.confidence import Severity
from lab.audit.results import AuditResults
from lab.audit.rows import COLUMNS, Row, headline, rows
from lab.reports.phrases import printable

_MARKS = {Severity.FAILURE: "FAILURE", Severity.WARNING: "warning"}


def print_audit(results: AuditResults, out: Console, page: Path | None = None) -> None:
    """Print the whole report.

    Args:
        results: the audit.
        out: where to.
        page: the HTML report, to be named at the end; None where there is none.
    """
    _line(out, headline(results))
    if results.stopped:
        _line(out, f"\nEnded early, after {results.requests} of {results.planned} requests: {results.stopped}")
        if results.remedy:
            _line(out, f"  {results.remedy}")
    found = rows(results)
    if found:
        _table(found, out)
    _conclusions(results, out)
    for note in results.notes:
        _line(out, f"Note: {note}")
    if page is not None:
        _line(out, f"\nReport: {page}")


def _table(found: Sequence[Row], out: Console) -> None:
    texts = [[name, *(row.cells[place] for row in found)] for place, name in enumerate(COLUMNS)]
    whole = sum(max(map(len, column)) + 1 for column in texts)
    # On a narrow terminal cells fold at their spaces: half a word is hard to read.
    widths = [None if whole <= out.width else _longest_word(c) for c in texts]
    columns = [Column(name, width=width) for name, width in zip(COLUMNS, widths, strict=True)]
    table = Table(*columns, box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for row in found:
        table.add_row(*(escape(printable(cell)) for cell in row.cells))
    out.print()
    out.print(table)


def _longest_word(texts: Sequence[str]) -> int:
    """Characters of the longest word; a number and its unit are one."""
    return max(len(word) for text in texts for word in re.split(r" (?!s$)", text))


def _conclusions(results: AuditResults, out: Console) -> None:
    found = results.conclusions
    if found is None:
        return
    for problem in found.problems:
        way = "" if problem.sentence.startswith(problem.way) else f"{problem.way}: "
        _line(out, f"\n{_MARKS[problem.severity]}: {way}{problem.sentence}")
        for line in problem.remedy.splitlines():
            _line(out, f"  {line}")
    if found.added:
        _line(out, "")
        for step in found.added:
            _line(out, step.sentence)
    if found.hops:
        _line(out, "\nWhat the headers give away:")
        for clue in found.hops:
            _line(out, f"  {clue.way}: {clue.product.value} {clue.version}".rstrip() + f" ({clue.evidence})")
    _line(out, f"\nIn detail: {found.verdict}")


def _line(out: Console, text: str) -> None:
    """One line that nothing in it can colour, fold or move."""
    lines = [printable(line) for line in text.split("\n")]
    out.print("\n".join(lines), soft_wrap=True, highlight=False, markup=False)
