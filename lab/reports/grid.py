"""The grid: a row a scenario, a column a product, and in each cell what came and which line mends it.

Versions of a product that showed the same stand together in one block of their cell, and where all of them did, the
block needs no label. The way to mend that a block names is the one with the fewest lines among those that were
verified; where every way lies outside the product, it is that way's own title.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lab.reports.changes import Kind, Line, changes
from lab.reports.phrases import CellLine, case_id, cell_lines, proxies_of
from lab.results import CaseResult, ProxyResult, Results, ScenarioResult
from lab.vocabulary import Outcome, Variant

MOST_LINES = 3
"""A way to mend with more lines than this is told by their number; its difference stands with its case."""


@dataclass(frozen=True)
class Column:
    """One product, and the ids of its proxies, older versions first."""

    product: str
    title: str
    proxies: tuple[str, ...]

    def versions(self, proxies: Iterable[str]) -> str:
        """`1.26, 1.30` for those proxies."""
        return ", ".join(proxy.removeprefix(f"{self.product}-") for proxy in proxies)


@dataclass(frozen=True)
class Mend:
    """What mends a failure.

    Args:
        case: the anchor of the case that was verified; empty where the remedy is only known from other runs.
        lines: what is to be written into the configuration, or taken out where there is nothing to write.
        words: the same in words, where it is no line of the configuration, or too many.
        further: how many other ways were verified.
    """

    case: str
    lines: tuple[Line, ...]
    words: str
    further: int


@dataclass(frozen=True)
class Block:
    """What came behind some versions of a product, all alike: lines with the anchor of the first case of each."""

    proxies: tuple[str, ...]
    versions: str
    lines: tuple[tuple[str, CellLine], ...]
    mends: tuple[Mend, ...]


def columns(results: Results) -> list[Column]:
    """A column for each product that took part anywhere, in the order of the first scenarios."""
    titles = {product.name: product.title for product in results.products}
    product_of = {proxy.proxy: proxy.product for scenario in results.scenarios for proxy in scenario.proxies}
    proxies: dict[str, list[str]] = {}
    for proxy in proxies_of(results):
        proxies.setdefault(product_of[proxy], []).append(proxy)
    return [Column(name, titles.get(name, name), tuple(ids)) for name, ids in proxies.items()]


def cell(scenario: ScenarioResult, column: Column) -> list[Block]:
    """The blocks of one cell; none where the scenario was not tried behind that product."""
    here = {proxy.proxy: proxy for proxy in scenario.proxies if proxy.proxy in column.proxies}
    alike: dict[object, list[ProxyResult]] = {}
    for name in column.proxies:
        if name in here:
            proxy = here[name]
            kinds = tuple((line.phrase, line.cases[0].variant, len(line.cases)) for line in cell_lines(proxy))
            told = tuple((mend.lines, mend.words, mend.further) for mend in _mends(scenario, proxy))
            alike.setdefault((kinds, told), []).append(proxy)
    return [_block(scenario, column, proxies) for proxies in alike.values()]


def _block(scenario: ScenarioResult, column: Column, proxies: Sequence[ProxyResult]) -> Block:
    ids = tuple(proxy.proxy for proxy in proxies)
    first = proxies[0]
    together = zip(*(cell_lines(proxy) for proxy in proxies), strict=True)
    lines = [CellLine(each[0].phrase, tuple(case for line in each for case in line.cases)) for each in together]
    return Block(
        proxies=ids,
        versions="" if ids == column.proxies else column.versions(ids),
        lines=tuple((case_id(scenario, first, line.cases[0]), line) for line in lines),
        mends=_mends(scenario, first),
    )


def _mends(scenario: ScenarioResult, proxy: ProxyResult) -> tuple[Mend, ...]:
    """The way that was verified, or where something failed, the tested lines that its findings name."""
    broken = next((case for case in proxy.cases if case.variant is Variant.BROKEN), None)
    if broken is not None and broken.outcome is Outcome.PASSED:
        ways = [case for case in proxy.cases if case.variant is Variant.FIXED and case.outcome is Outcome.PASSED]
        return (_shortest(scenario, proxy, broken, ways),) if ways else ()
    remedies = dict.fromkeys(finding.remedy for case in proxy.cases for finding in case.findings if finding.remedy)
    return tuple(Mend("", (), remedy, 0) for remedy in remedies)


def _shortest(scenario: ScenarioResult, proxy: ProxyResult, broken: CaseResult, ways: Sequence[CaseResult]) -> Mend:
    told = {way.label: telling_lines(changes(broken, way).lines) for way in ways}
    best = min(ways, key=lambda way: len(told[way.label]) or MOST_LINES + len(ways))
    lines = told[best.label]
    words = ""
    if not lines:
        words = best.title.partition(";")[0] or best.label
    elif len(lines) > MOST_LINES:
        words = f"{len(lines)} lines"
    return Mend(case_id(scenario, proxy, best), lines if not words else (), words, len(ways) - 1)


def telling_lines(lines: Iterable[Line]) -> tuple[Line, ...]:
    """What a difference comes down to: its new lines, or those taken away where there is no new one; no comments."""
    spoken = [line for line in lines if line.text[1:].strip() and not line.text[1:].lstrip().startswith("#")]
    added = tuple(line for line in spoken if line.kind is Kind.ADDED)
    return added or tuple(line for line in spoken if line.kind is Kind.REMOVED)
