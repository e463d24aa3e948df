"""The grid of the page: which line mends which failure, in the failure's own cell."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.reports import html_report
from lab.reports.grid import Block, Mend, cell, columns
from lab.results import CaseResult, ProxyResult, Results
from lab.vocabulary import Outcome

from .making import finding, make_case
from .markup import Element, parse

BROKEN = "proxy {\n    # Two seconds.\n    wait 2s\n    harm on\n}\n"


def failing(*fixes: CaseResult) -> tuple[CaseResult, ...]:
    """A broken case that showed its symptom, and what was tried against it."""
    return (make_case("broken", ("a/nginx/broken.conf", BROKEN)), *fixes)


def fixed(config: str, label: str = "fixed", title: str = "", outcome: Outcome = Outcome.PASSED) -> CaseResult:
    """A fix with this configuration."""
    return make_case(label, (f"a/nginx/{label}.conf", config), title=title, outcome=outcome)


def blocks(results: Results, *proxies: ProxyResult) -> list[Block]:
    """The blocks of the one cell of a run with one scenario behind versions of nginx."""
    scenario = replace(results.scenarios[0], id="a", proxies=proxies)
    (column,) = columns(replace(results, scenarios=(scenario,)))
    return cell(scenario, column)


def mends(results: Results, *cases: CaseResult) -> tuple[Mend, ...]:
    """What mends the failure of these cases behind one proxy."""
    (block,) = blocks(results, ProxyResult("nginx-1.26", "nginx", cases))
    return block.mends


WAITS = BROKEN.replace("2s", "600s").replace("Two", "Six hundred")
MANY = "".join(f"line {number}\n" for number in range(4)) + BROKEN


@pytest.mark.parametrize(
    ("fixes", "case", "lines", "words", "further"),
    [
        ((fixed(WAITS),), "fixed", ["+    wait 600s"], "", 0),
        ((fixed(MANY), fixed(WAITS, "fixed-b")), "fixed-b", ["+    wait 600s"], "", 1),
        ((fixed(BROKEN.replace("    harm on\n", "")),), "fixed", ["-    harm on"], "", 0),
        ((fixed(MANY),), "fixed", [], "4 lines", 0),
        ((fixed(BROKEN, title="the model beats; the proxy as it was"),), "fixed", [], "the model beats", 0),
        ((fixed(BROKEN, "fixed-a", "the model beats"), fixed(WAITS)), "fixed", ["+    wait 600s"], "", 1),
        ((fixed(WAITS, outcome=Outcome.FAILED), fixed(MANY, "fixed-b")), "fixed-b", [], "4 lines", 0),
    ],
    ids=["changed", "shortest", "taken-out", "many", "outside", "inside-first", "only-verified"],
)
def test_a_cell_names_the_shortest_way_that_was_verified(
    results: Results, fixes: tuple[CaseResult, ...], case: str, lines: list[str], words: str, further: int
) -> None:
    """New lines without comments, else those taken out, else a number or the way's own title."""
    (mend,) = mends(results, *failing(*fixes))
    assert (mend.case, [line.text for line in mend.lines], mend.words, mend.further) == (
        f"a::nginx-1.26::{case}",
        lines,
        words,
        further,
    )


def test_nothing_mends_what_was_not_verified(results: Results) -> None:
    """A fix that failed is no advice, and neither is one of a failure that did not show."""
    assert mends(results, *failing(fixed(WAITS, outcome=Outcome.FAILED))) == ()
    unshown = replace(failing()[0], outcome=Outcome.FAILED)
    assert mends(results, unshown, fixed(WAITS)) == ()


def test_a_configuration_that_failed_has_its_remedy_in_its_cell(results: Results) -> None:
    """A user's own file that does not meet a requirement: the tested lines stand where the failure does."""
    remedy = "nginx: `proxy_read_timeout 600s;` (tested, from nginx/streaming.conf)."
    unmet = replace(finding("It waits.", "complete", "504 after 2 s", met=False), remedy=remedy)
    case = make_case("not-affected", ("a/nginx/not-affected.conf", BROKEN), findings=[unmet], outcome=Outcome.FAILED)
    scenario = replace(results.scenarios[0], proxies=(ProxyResult("nginx-1.26", "nginx", (case,)),))
    page = parse(html_report(replace(results, scenarios=(scenario,))))
    told = _grid(page).find("td")[0]
    assert [code.text for code in told.find("code")] == ["proxy_read_timeout 600s;"]
    assert remedy.replace("`", "") in told.text


def test_versions_that_showed_the_same_share_a_block(results: Results) -> None:
    """Two alike need no label; one that differs stands apart, and each says which it is."""
    alike = [ProxyResult(name, "nginx", failing(fixed(WAITS))) for name in ("nginx-1.26", "nginx-1.30")]
    (block,) = blocks(results, *alike)
    assert (block.proxies, block.versions) == (("nginx-1.26", "nginx-1.30"), "")
    other = ProxyResult("nginx-1.31", "nginx", failing(fixed(MANY)))
    assert [block.versions for block in blocks(results, *alike, other)] == ["1.26, 1.30", "1.31"]


def _grid(page: Element) -> Element:
    (grid,) = page.find("table", class_="matrix")
    return grid


def test_the_line_stands_below_its_symptom_and_leads_to_its_evidence(results: Results) -> None:
    """In the page: the first scenario behind nginx 1.26, whose fix has three lines."""
    block = _grid(parse(html_report(results))).find(class_="block")[0]
    assert [code.text for code in block.find("code")] == [
        "proxy_buffering off;",
        "proxy_http_version 1.1;",
        'proxy_set_header Connection "";',
    ]
    case = "#holds-the-answer-back::nginx-1.26"
    links = [link.attributes["href"] for link in block.find("a")]
    assert links == [f"{case}::broken", f"{case}::fixed", f"{case}::fixed"]


def test_each_row_and_cell_can_be_told_by_a_filter(results: Results) -> None:
    """Rows by scenario; headings, cells and blocks by their proxies."""
    grid = _grid(parse(html_report(results)))
    rows = [row.attributes["data-scenario"] for row in grid.find("tr") if "data-scenario" in row.attributes]
    assert rows == ["holds-the-answer-back", "idle-timeout", "total-timeout", "died-in-the-middle"]
    assert [head.attributes["data-proxies"] for head in grid.find("th") if "data-proxies" in head.attributes] == [
        "nginx-1.26 nginx-1.30",
        "haproxy-3.2",
        "envoy-1.40",
    ]


def test_a_cell_that_was_not_tried_says_so(results: Results) -> None:
    """No cell is empty."""
    cells = _grid(parse(html_report(results))).find("td")
    assert len(cells) == 4 * 3
    assert all(each.text.strip() for each in cells)
    assert "not tried" in cells[2].text
