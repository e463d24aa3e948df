"""What to deploy: for each product the configuration that was held against all requirements, ready to be copied.

It is the case `fixed` of a scenario of the group `recommended`. Versions for which the same file came out the same
share a card. A line that includes a snippet is told by the snippet's own lines, for those are what a reader needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import dedent

from lab.reports.changes import Kind, lines_between
from lab.reports.grid import Column, telling_lines
from lab.reports.phrases import CellLine, case_id, phrase_of, plural
from lab.results import CaseResult, ProductResult, ProxyResult, Results, ScenarioResult, SnippetResult
from lab.vocabulary import Group, Outcome, Variant


@dataclass(frozen=True)
class File:
    """A file to copy: the id of its text on the page, what it is, the name that it is known by, and the text."""

    id: str
    title: str
    name: str
    text: str


@dataclass(frozen=True)
class Card:
    """What to deploy for some versions of one product.

    Args:
        column: the product.
        proxies: the ids of the versions.
        versions: the same as a reader knows them.
        case: the anchor of the evidence.
        line: what came, of all these versions.
        met: how many requirements were met, of how many.
        unmet: sentences of the requirements that no configuration of the product meets.
        lines: what the configuration says beyond the product's own.
        files: to be copied, the first first.
    """

    column: Column
    proxies: tuple[str, ...]
    versions: str
    case: str
    line: CellLine
    met: str
    unmet: tuple[str, ...]
    lines: str
    files: tuple[File, ...]


def cards(results: Results, columns: list[Column]) -> list[Card]:
    """A card for each product, and for each way in which its versions differ."""
    products = {product.name: product for product in results.products}
    return [
        card
        for scenario in results.scenarios
        if scenario.group is Group.RECOMMENDED
        for column in columns
        for card in _cards(scenario, column, products[column.product])
    ]


def _cards(scenario: ScenarioResult, column: Column, product: ProductResult) -> Iterator[Card]:
    alike: dict[object, list[tuple[ProxyResult, CaseResult]]] = {}
    here = {proxy.proxy: proxy for proxy in scenario.proxies}
    for name in column.proxies:
        for case in here[name].cases if name in here else ():
            if case.label == Variant.FIXED:
                unmet = tuple(finding.requirement for finding in case.findings if finding.known_unmet)
                alike.setdefault((case.config, case.outcome, unmet), []).append((here[name], case))
    for together in alike.values():
        yield _card(scenario, column, product, together)


def _card(
    scenario: ScenarioResult, column: Column, product: ProductResult, together: list[tuple[ProxyResult, CaseResult]]
) -> Card:
    proxy, case = together[0]
    proxies = tuple(each.proxy for each, _ in together)
    about = [finding for finding in case.findings if finding.about is not None]
    unmet = tuple(finding.requirement for finding in about if finding.known_unmet)
    anchor = case_id(scenario, proxy, case)
    return Card(
        column=column,
        proxies=proxies,
        versions=column.versions(proxies),
        case=anchor,
        line=CellLine(phrase_of(case), tuple(each for _, each in together)),
        met=f"{sum(f.met and not f.known_unmet for f in about)} of {plural(len(about), 'requirement')} met",
        unmet=unmet,
        lines=dedent("\n".join(_lines(product, case))),
        files=tuple(_files(scenario, proxy, case, product)),
    )


def _included(product: ProductResult, text: str) -> list[SnippetResult]:
    return [snippet for snippet in product.snippets if snippet.path in text]


def _lines(product: ProductResult, case: CaseResult) -> Iterator[str]:
    for line in telling_lines(lines_between(product.installed, case.config)):
        if line.kind is Kind.ADDED:
            snippets = _included(product, line.text)
            yield from (each for snippet in snippets for each in _spoken(snippet.text))
            if not snippets:
                yield line.text[1:]


def _spoken(text: str) -> Iterator[str]:
    return (line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))


def _files(scenario: ScenarioResult, proxy: ProxyResult, case: CaseResult, product: ProductResult) -> Iterator[File]:
    anchor = case_id(scenario, proxy, case)
    for snippet in _included(product, case.config):
        yield File(f"{anchor}::{snippet.path}", "The lines above, to be included", snippet.path, snippet.text)
    yield File(f"{anchor}::file", "The whole configuration", case.config_name, case.config)
    for other in proxy.cases:
        if other.variant is Variant.FIXED and other.outcome is Outcome.PASSED and other is not case:
            title = other.title[:1].upper() + other.title[1:] or other.label
            yield File(f"{case_id(scenario, proxy, other)}::file", title, other.config_name, other.config)
