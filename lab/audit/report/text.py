"""The audit in the terminal: the verdict first, then the figures, what is wrong with its remedy, and the hops."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from lab.audit.conclude.confidence import Severity
from lab.audit.report.rows import COLUMNS, GroupRow, headline, only_direct, problems, reasons_why_not, rows
from lab.audit.results import AuditResults
from lab.errors import ExitCode
from lab.printable import printable

_MARKS = {Severity.FAILURE: "FAILURE", Severity.WARNING: "warning"}


def print_audit(results: AuditResults, out: Console, page: Path | None = None) -> None:
    """Print the whole report.

    Args:
        results: the audit.
        out: where to.
        page: the HTML report, to be named at the end; None where there is none.
    """
    _line(out, headline(results))
    for reason in reasons_why_not(results):
        _line(out, reason)
    if results.stopped:
        # Where it is the verdict itself, the first line has said it.
        why = "" if results.stopped_by is ExitCode.REQUIREMENT_FAILED else f": {results.stopped}"
        _line(out, f"\nEnded early, after {results.requests} of {results.planned} requests{why}")
        if results.remedy:
            _line(out, f"  {results.remedy}")
    found = rows(results)
    if found:
        _figures(found, out)
    _conclusions(results, out)
    _reasons(results, found, out)
    for note in results.notes:
        _line(out, f"Note: {note}")
    if page is not None:
        _line(out, f"\nReport: {page}")


def _figures(found: Sequence[GroupRow], out: Console) -> None:
    """A table where the terminal holds it, else a paragraph for each row: a table of folded words is hard to read."""
    texts = [[name, *(row.cells[place] for row in found)] for place, name in enumerate(COLUMNS)]
    out.print()
    if sum(max(map(len, column)) + 1 for column in texts) > out.width:
        for row in found:
            _paragraph(row, out)
        return
    table = Table(*(Column(name, no_wrap=True) for name in COLUMNS), box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for row in found:
        table.add_row(*(escape(printable(cell)) for cell in row.cells))
    out.print(table)


def _paragraph(row: GroupRow, out: Console) -> None:
    """A heading and the figures, as many a line as fit."""
    _line(out, f"{row.route} over HTTP/{row.http}, {'a' if row.offered else 'no'} content coding offered")
    line = ""
    for name, cell in row.named[3:]:
        words = f"{name.lower()}: {cell}"
        if line and len(line) + len(words) + 2 > out.width:
            _line(out, line)
            line = ""
        line += f"; {words}" if line else f"  {words}"
    _line(out, line)


def _conclusions(results: AuditResults, out: Console) -> None:
    found = results.conclusions
    if found is None:
        return
    for problem in problems(results):
        _line(out, f"\n{_MARKS[problem.severity]}: {problem.whole_sentence}")
        for line in problem.remedy.splitlines():
            _line(out, f"  {line}")
    if found.added:
        _line(out, "")
        for step in found.added:
            _line(out, f"{step.sentence[0].upper()}{step.sentence[1:]}")
    if found.hops:
        _line(out, "\nWhat the headers give away:")
        for clue in found.hops:
            _line(out, f"  {clue.route}: {clue.product} {clue.version}".rstrip() + f" ({clue.evidence})")


def _reasons(results: AuditResults, found: Sequence[GroupRow], out: Console) -> None:
    """The reasons that stand nowhere above, one for each verdict of a route, and what was proven."""
    if results.conclusions is None:
        return
    above = " ".join([*(problem.sentence for problem in problems(results)), *reasons_why_not(results)])
    _line(out, "\nIn detail:")
    seen: set[tuple[str, str, str]] = set()
    for row in found:
        coding = " with a content coding offered" if row.offered else ""
        for name, verdict, reason in row.reasons:
            if reason not in above and (row.route, name, verdict) not in seen:
                _line(out, f"  {row.route} over HTTP/{row.http}{coding}. {name} {verdict}: {reason}")
            seen.add((row.route, name, verdict))
    if unasked := only_direct(results):
        _line(out, f"  {unasked}")
    proven = results.conclusions.proven.sentence
    if proven not in above:
        _line(out, f"  {proven[0].upper()}{proven[1:]}.")


def _line(out: Console, text: str) -> None:
    """One line that nothing in it can colour, fold or move."""
    lines = [printable(line) for line in text.split("\n")]
    out.print("\n".join(lines), soft_wrap=True, highlight=False, markup=False)
