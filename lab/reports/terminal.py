"""The summary that ends a run in the terminal, and the text of a failed pytest item.

The grid has a column a proxy as long as that is readable: with full words if they fit, else with short
ones, else the grid becomes a list with a line a proxy. Whatever comes from outside (log lines, problems)
is printed as text and never as Rich markup, and is made printable before it is laid out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from lab.printable import printable
from lab.reports.phrases import (
    CellLine,
    Tone,
    again,
    case_id,
    cell_lines,
    finding_words,
    needs_attention,
    phrase_of,
    precedence,
    proxies_of,
    seconds,
    tally,
)
from lab.results import CaseResult, ProxyResult, Results
from lab.vocabulary import Outcome

LOG_LINES = 12
"""How many of a proxy's last log lines a failure shows; the page has all that were kept."""

_SKIPS_SHOWN = 6
"""For each reason; the overview marks all of them."""

_SCENARIO_WIDTH = 24
_COLUMN_EXTRA = 3  # the space on both sides of a column, and the divider behind it
_EDGE = 1

_STYLES = {
    Tone.REPRODUCED: "default",
    Tone.GOOD: "green",
    Tone.MEASURED: "cyan",
    Tone.FAILED: "bold red",
    Tone.FAULT: "bold magenta",
    Tone.SKIPPED: "dim",
}


def print_results(results: Results, console: Console, report: Path | None = None) -> None:
    """Print the grid, the failures, the skips and the times of a run, and where its HTML report lies, if anywhere."""
    console.print(_overview(results, console.width))
    for scenario, proxy, case in results.cases():
        if needs_attention(case):
            console.print()
            heading = printable(f"{case_id(scenario, proxy, case)}: {phrase_of(case).words}")
            console.print(Text(heading, _style(case)))
            console.print(_rows_as_table(_facts(case)))
    for line in (*_skips(results), *_again(results)):
        console.print(line)
    console.print()
    console.print(_rows_as_table(_closing(results, report)))


def describe_case(name: str, case: CaseResult) -> str:
    """What a failed test item says: id and outcome, Requirement, Expected and Actual, and the log's tail.

    Args:
        name: the case's id, `<scenario>::<proxy>::<case>`.
        case: the case.
    """
    lines = [printable(f"{name}: {phrase_of(case).words}")]
    facts = list(_facts(case))
    gutter = max((len(label) for label, _ in facts), default=0)
    lines += [f"  {label:<{gutter}}  {text}".rstrip() for label, text in facts]
    return "\n".join(lines)


def _style(case: CaseResult) -> str:
    return _STYLES[phrase_of(case).tone]


def _facts(case: CaseResult) -> Iterator[tuple[str, str]]:
    """Label and text of everything that explains a case; findings that were met only say so where all were.

    Each text is one line and printable, whoever shows it.
    """
    for place, line in enumerate(case.problem.splitlines()):
        yield "" if place else "Problem", printable(line)
    unmet = [finding for finding in case.findings if not finding.met]
    for finding in unmet or case.findings:
        yield "Requirement", printable(finding.requirement)
        yield "Expected", printable(finding.expected)
        yield "Actual", printable(finding_words(finding))
        if finding.remedy:
            yield "Remedy", printable(finding.remedy)
    if again(case):
        yield "Note", printable(again(case))
    log = case.log[-LOG_LINES:]
    if log:
        yield "Log", f"the proxy's last {'line' if len(log) == 1 else f'{len(log)} lines'}:"
        yield from (("", printable(line)) for line in log)


def _overview(results: Results, width: int) -> RenderableType:
    proxies = proxies_of(results)
    for short in (False, True):
        columns = [_column_width(results, name, short=short) for name in proxies]
        if _SCENARIO_WIDTH + sum(columns) + _COLUMN_EXTRA * (len(columns) + 1) + _EDGE <= width:
            return _grid(results, proxies, short=short)
    longest = max(len(_side_by_side(proxy, short=False)) for s in results.scenarios for proxy in s.proxies)
    taken = max(map(len, proxies)) + max(len(scenario.id) for scenario in results.scenarios)
    return _list(results, short=longest + taken + 3 * _COLUMN_EXTRA + _EDGE > width)


def _column_width(results: Results, name: str, *, short: bool) -> int:
    """How wide a proxy's column must be for no line to break."""
    cells = (proxy for scenario in results.scenarios for proxy in scenario.proxies if proxy.proxy == name)
    return max(len(name), *(len(line.text(short=short)) for cell in cells for line in cell_lines(cell)))


def _grid(results: Results, proxies: list[str], *, short: bool) -> Table:
    table = Table(box=box.HORIZONTALS, show_lines=True, header_style="bold", expand=False)
    table.add_column("Scenario", min_width=_SCENARIO_WIDTH, overflow="fold")
    for name in proxies:
        table.add_column(name, no_wrap=True)
    for scenario in results.scenarios:
        cells = {proxy.proxy: proxy for proxy in scenario.proxies}
        table.add_row(
            Text(scenario.id),
            *(_cell(cell_lines(cells[name]), "\n", short=short) if name in cells else "" for name in proxies),
        )
    return table


def _side_by_side(proxy: ProxyResult, *, short: bool) -> str:
    return ", ".join(line.text(short=short) for line in cell_lines(proxy))


def _list(results: Results, *, short: bool) -> Table:
    table = Table(box=box.HORIZONTALS, header_style="bold")
    table.add_column("Scenario", overflow="fold")
    table.add_column("Proxy", no_wrap=True)
    table.add_column("Outcome")
    for scenario in results.scenarios:
        for position, proxy in enumerate(scenario.proxies):
            table.add_row(
                Text("" if position else scenario.id),
                Text(proxy.proxy),
                _cell(cell_lines(proxy), ", ", short=short),
                end_section=position == len(scenario.proxies) - 1,
            )
    return table


def _cell(lines: list[CellLine], separator: str, *, short: bool) -> Text:
    return Text(separator).join(Text(line.text(short=short), _STYLES[line.phrase.tone]) for line in lines)


def _rows_as_table(rows: Iterator[tuple[str, str]]) -> Table:
    """Labels in a gutter, texts folded beside them, so that a long log line cannot leave its place."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in rows:
        table.add_row(Text(f"  {label}"), Text(text))
    return table


def _skips(results: Results) -> Iterator[RenderableType]:
    """How many cases were skipped, and which ones for each reason: no skip is silent."""
    reasons: dict[str, list[str]] = {}
    for scenario, proxy, case in results.cases():
        if case.outcome is Outcome.SKIPPED:
            reasons.setdefault(printable(case.problem) or "no reason given", []).append(case_id(scenario, proxy, case))
    if not reasons:
        return
    yield Text()
    yield Text(f"{sum(map(len, reasons.values()))} skipped", _STYLES[Tone.SKIPPED])
    for reason, names in reasons.items():
        more = [f"and {len(names) - _SKIPS_SHOWN} more"] if len(names) > _SKIPS_SHOWN else []
        shown = [("", name) for name in (*names[:_SKIPS_SHOWN], *more)]
        yield _rows_as_table(iter([(f"{len(names)} x", reason), *shown]))


def _again(results: Results) -> Iterator[RenderableType]:
    """Which cases were measured more than once, and why: no repetition is silent either."""
    cases = [(case_id(scenario, proxy, case), case) for scenario, proxy, case in results.cases() if again(case)]
    if cases:
        yield Text()
        yield Text(f"{len(cases)} measured again: the machine was busy", _STYLES[Tone.FAULT])
        yield _rows_as_table(row for name, case in cases for row in ((name, ""), ("", case.busy)))


def _closing(results: Results, report: Path | None) -> Iterator[tuple[str, str]]:
    counts = ", ".join(f"{count} {phrase.short}" for phrase, count in tally(case for _, _, case in results.cases()))
    yield "Cases", f"{len(results.cases())}: {counts}" if counts else "none"
    yield "Wall time", seconds(results.wall_seconds)
    yield "Precedence", precedence(results)
    if results.longest:
        yield "Longest", f"{seconds(results.longest_seconds)}, {results.longest}"
    if report is not None:
        yield "Report", str(report)
