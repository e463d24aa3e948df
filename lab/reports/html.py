"""The HTML report: one file that opens offline and refers to nothing outside itself.

First stands what a person came for: what to deploy, and which line mends which failure. All else is folded, one
scenario and one proxy at a time, and opened by whoever wants it; without a script too.

Everything is laid out here, as frozen views, and only written down by the template. Two rules hold the
page together: an anchor is the id of the scenario, the proxy or the case, and nothing else; and all cases
of one proxy share one time scale, so that broken and fixed can be compared by eye. The exception is
`real-defaults`, whose timeouts are ten or a hundred times longer and would squash the others: it has its own.

Log lines, configurations and READMEs are untrusted. See `lab.reports.pages` for what becomes of them; and a
content security policy forbids every fetch and every script but the page's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment

from lab.reports import bars as bars_module
from lab.reports import phrases, timeline
from lab.reports.bars import Bars, full_lengths
from lab.reports.changes import Changes, changes
from lab.reports.deploy import cards
from lab.reports.grid import Block, Column, cell, columns
from lab.reports.pages import page_environment
from lab.reports.phrases import CellLine, Phrase, again, case_id, cell_lines, needs_attention, phrase_of, proxy_id
from lab.reports.scale import Scale, scale_for
from lab.reports.story import Story, tell
from lab.reports.style import page_script, page_style
from lab.reports.timeline import Timeline
from lab.results import CaseResult, ExchangeResult, ImageResult, ProxyResult, Results, ScenarioResult
from lab.vocabulary import Group, Variant

MOST_ALARMS = 10
"""So many cases that did not go as they should are listed at the top; the rest is one click away."""

MOST_TIMELINES = 3
"""A case with more exchanges than this is drawn as bars, one an exchange."""

_GROUPS = {
    Group.BUFFERING: "Buffering: tokens held back on the way",
    Group.TIMEOUTS: "Timeouts: a timeout shorter than the answer",
    Group.PARTIAL: "Partial answers: a prefix that looks like a whole",
    Group.CHOICE: "The choice: streaming or batch",
    Group.LOAD: "Load: many streams at once, or one after the other",
    Group.CHANGE: "Change: what a reload does to streams that are open",
    Group.RECOMMENDED: "What to deploy: all requirements at once",
}


@dataclass(frozen=True)
class Picture:
    """One exchange and its timeline; `id` names the picture's text alternative."""

    id: str
    exchange: ExchangeResult
    timeline: Timeline


@dataclass(frozen=True)
class CaseView:
    """One case as the page shows it: either `pictures` or `bars`, and `changes` where it is a fix."""

    id: str
    case: CaseResult
    phrase: Phrase
    attention: bool
    pictures: tuple[Picture, ...]
    bars: Bars | None
    changes: Changes | None


@dataclass(frozen=True)
class ProxyView:
    """One scenario behind one proxy: the pair that lies side by side, and what stands below it."""

    id: str
    proxy: ProxyResult
    lines: tuple[CellLine, ...]
    image: ImageResult | None
    pair: tuple[CaseView, ...]
    further: tuple[CaseView, ...]


@dataclass(frozen=True)
class ScenarioView:
    """One scenario's section."""

    scenario: ScenarioResult
    story: Story
    proxies: tuple[ProxyView, ...]

    def cells(self, columns: Sequence[Column]) -> list[tuple[Column, list[Block]]]:
        """A cell for each product."""
        return [(column, cell(self.scenario, column)) for column in columns]


@dataclass(frozen=True)
class GroupView:
    """The scenarios of one failure mode."""

    title: str
    scenarios: tuple[ScenarioView, ...]


def html_report(results: Results) -> str:
    """The whole page."""
    groups = _groups(results)
    every_case = [case for _, _, case in results.cases()]
    products = columns(results)
    script, script_hash = page_script("lab.reports", "report.js", "filter.js")
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            results=results,
            groups=groups,
            columns=products,
            cards=cards(results, products),
            tally=phrases.tally(every_case),
            attention=[
                (case_id(scenario, proxy, case), phrase_of(case), _why(case))
                for scenario, proxy, case in results.cases()
                if needs_attention(case)
            ],
            twice=[(case_id(scenario, proxy, case), case) for scenario, proxy, case in results.cases() if again(case)],
            style=page_style(("lab.reports", "run.css")),
            script=script,
            script_hash=script_hash,
        )
    )


@cache
def _environment() -> Environment:
    environment = page_environment("lab.reports")
    environment.filters.update(
        seconds=phrases.seconds, token_count=phrases.token_count, finding_words=phrases.finding_words
    )
    environment.globals.update(
        timeline=timeline, bars=bars_module, again=again, precedence=phrases.precedence, MOST_ALARMS=MOST_ALARMS
    )
    return environment


def _why(case: CaseResult) -> str:
    """The problem, or what came; where several requirements are not met, which they are."""
    unmet = [finding for finding in case.findings if not finding.met]
    return case.problem or " ".join(each.requirement if len(unmet) > 1 else each.actual for each in unmet)


def _groups(results: Results) -> list[GroupView]:
    ids = {scenario.id for scenario in results.scenarios}
    images = {image.key: image for image in results.images}
    views: dict[Group, list[ScenarioView]] = {}
    for scenario in results.scenarios:
        proxies = tuple(_proxy(scenario, proxy, images.get(proxy.proxy)) for proxy in scenario.proxies)
        views.setdefault(scenario.group, []).append(ScenarioView(scenario, tell(scenario.readme, ids), proxies))
    return [GroupView(_GROUPS[group], tuple(views[group])) for group in Group if group in views]


def _proxy(scenario: ScenarioResult, proxy: ProxyResult, image: ImageResult | None) -> ProxyView:
    shared = [case for case in proxy.cases if case.variant is not Variant.REAL_DEFAULTS]
    broken = next((case for case in proxy.cases if case.variant is Variant.BROKEN), None)
    views = [
        _case(case_id(scenario, proxy, case), case, broken, shared if case in shared else [case])
        for case in proxy.cases
    ]
    lines = tuple(cell_lines(proxy))
    pair = tuple(view for view in views if view.case.label in (Variant.BROKEN, Variant.FIXED))
    further = tuple(view for view in views if view not in pair)
    return ProxyView(proxy_id(scenario, proxy), proxy, lines, image, pair, further)


def _case(name: str, case: CaseResult, broken: CaseResult | None, together: Sequence[CaseResult]) -> CaseView:
    """Lay one case out on the scale that it shares with all cases of `together`, itself among them."""
    exchanges = [exchange for other in together for exchange in other.exchanges]
    scale = scale_for(exchanges)
    many = len(case.exchanges) > MOST_TIMELINES
    return CaseView(
        id=name,
        case=case,
        phrase=phrase_of(case),
        attention=needs_attention(case),
        pictures=() if many else _pictures(name, case, scale),
        bars=bars_module.bars(case.exchanges, full_lengths(exchanges), scale) if many else None,
        changes=changes(broken, case) if broken is not None and case.variant is Variant.FIXED else None,
    )


def _pictures(name: str, case: CaseResult, scale: Scale) -> tuple[Picture, ...]:
    return tuple(
        Picture(f"{name}::{number}", exchange, timeline.timeline(exchange, scale))
        for number, exchange in enumerate(case.exchanges, start=1)
    )
