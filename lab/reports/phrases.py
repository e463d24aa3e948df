"""What every report says about a case, and how: its id, its words, its tone and its numbers.

The words stand in two tables, one for cases that went as the scenario says and one for the others, so
that the terminal, the page and the XML cannot drift apart. Reports never compare words: they ask for the
tone. A broken variant that *passed* is not good news about the proxy; it says that the symptom was reproduced.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from math import floor

from lab.results import CaseResult, ExchangeResult, FindingResult, ProxyResult, Results, ScenarioResult
from lab.vocabulary import Outcome, Variant


class Tone(StrEnum):
    """How a phrase is coloured; each report maps these to colours of its own, never without the words."""

    REPRODUCED = "reproduced"
    GOOD = "good"
    MEASURED = "measured"
    FAILED = "failed"
    FAULT = "fault"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Phrase:
    """What became of a case, in full words, in words for a narrow column, and as one character."""

    words: str
    short: str
    mark: str
    tone: Tone


_AS_REQUIRED = {
    Variant.BROKEN: Phrase("symptom reproduced", "reproduced", "↺", Tone.REPRODUCED),
    Variant.FIXED: Phrase("verified", "verified", "✓", Tone.GOOD),
    Variant.NOT_AFFECTED: Phrase("not affected, shown", "not affected", "✓", Tone.GOOD),
    Variant.REAL_DEFAULTS: Phrase("measured", "measured", "●", Tone.MEASURED),
    Variant.MEASURED: Phrase("measured", "measured", "●", Tone.MEASURED),
}

_OTHERWISE = {
    Outcome.FAILED: Phrase("FAILED", "FAILED", "✗", Tone.FAILED),
    Outcome.SET_UP_FAILED: Phrase("set-up failed", "set-up failed", "!", Tone.FAULT),
    Outcome.HARNESS_FAILED: Phrase("harness failed", "harness failed", "!", Tone.FAULT),
    Outcome.INCONCLUSIVE: Phrase("inconclusive", "inconclusive", "?", Tone.FAULT),
    Outcome.SKIPPED: Phrase("skipped", "skipped", "–", Tone.SKIPPED),
}


def phrase_of(case: CaseResult) -> Phrase:
    """The words for what became of this case."""
    if case.outcome is Outcome.PASSED:
        return _AS_REQUIRED[case.variant]
    return _OTHERWISE[case.outcome]


def needs_attention(case: CaseResult) -> bool:
    """Whether a reader has to look at this case: it neither went as the scenario says nor was skipped."""
    return case.outcome not in (Outcome.PASSED, Outcome.SKIPPED)


def again(case: CaseResult) -> str:
    """How often the case was measured, and what the machine was too busy for; empty if it was measured once."""
    times = "twice" if case.measured == 2 else f"{case.measured} times"
    return f"measured {times}: the machine was busy ({case.busy})" if case.measured > 1 else ""


def up_to(case: CaseResult) -> float | None:
    """The wait, in seconds, up to which all that it met about waiting was shown; None where it is about no wait."""
    if case.outcome is not Outcome.PASSED:
        return None
    return min((finding.up_to for finding in case.findings if finding.up_to is not None), default=None)


def least(waits: Iterable[float]) -> str:
    """The shortest of some waits, rounded down so that nothing is said of what was not shown: `4 s`, `4.1 s`."""
    return f"{floor(min(waits) * 10) / 10:g} s"


def finding_words(finding: FindingResult) -> str:
    """What came, in words, with the wait up to which it holds."""
    shown = "" if finding.up_to is None else f"met up to {least([finding.up_to])}: "
    return f"{shown}{finding.actual}"


def precedence(results: Results) -> str:
    """How probe and model server came to run before other processes."""
    return f"probe: {results.probe}, model server: {results.model_server}"


def proxy_id(scenario: ScenarioResult, proxy: ProxyResult) -> str:
    """The name of one scenario behind one proxy: a page's anchor and a test's prefix."""
    return f"{scenario.id}::{proxy.proxy}"


def case_id(scenario: ScenarioResult, proxy: ProxyResult, case: CaseResult) -> str:
    """The one name of a case: its test id, its anchor in the page, its name in JUnit."""
    return f"{scenario.id}::{proxy.proxy}::{case.label}"


def tally(cases: Iterable[CaseResult]) -> list[tuple[Phrase, int]]:
    """How often each phrase occurs, in the order of the tables, without those that never do."""
    counts = Counter(phrase_of(case) for case in cases)
    order = dict.fromkeys([*_AS_REQUIRED.values(), *_OTHERWISE.values()])
    return [(phrase, counts[phrase]) for phrase in order if counts[phrase]]


@dataclass(frozen=True)
class CellLine:
    """One line of a cell of the grid: cases of one kind and one phrase, in their order."""

    phrase: Phrase
    cases: tuple[CaseResult, ...]

    def text(self, *, short: bool = False) -> str:
        """`verified up to 4.0 s x3` for three, `FAILED` for one; the short form fits a narrow column."""
        words = f"{self.phrase.short}{self._shown(' ')}" if short else f"{self.phrase.words}{self._shown(' up to ')}"
        return f"{words} x{len(self.cases)}" if len(self.cases) > 1 else words

    @property
    def brief(self) -> str:
        """`verified up to 4.0 s`, whatever their number."""
        return f"{self.phrase.short}{self._shown(' up to ')}"

    def _shown(self, before: str) -> str:
        """The shortest of the waits that were shown, with what is to stand before it; empty where there is none."""
        shown = [each for case in self.cases if (each := up_to(case)) is not None]
        return f"{before}{least(shown)}" if shown else ""


def cell_lines(proxy: ProxyResult) -> list[CellLine]:
    """The cases of a cell, those condensed to one line that are of one kind and had one outcome."""
    kinds: dict[tuple[Variant, Outcome], list[CaseResult]] = {}
    for case in proxy.cases:
        kinds.setdefault((case.variant, case.outcome), []).append(case)
    return [CellLine(phrase_of(cases[0]), tuple(cases)) for cases in kinds.values()]


def proxies_of(results: Results) -> list[str]:
    """The ids of all proxies that took part anywhere: the columns of a grid.

    Products stand in the order of their first scenario, and the releases of one product side by side.
    """
    products: dict[str, list[str]] = {}
    for scenario in results.scenarios:
        for proxy in scenario.proxies:
            releases = products.setdefault(proxy.product, [])
            if proxy.proxy not in releases:
                releases.append(proxy.proxy)
    return [release for releases in products.values() for release in sorted(releases, key=_by_number)]


def _by_number(proxy: str) -> list[tuple[int, str]]:
    """The older version first: 2.8 before 2.11."""
    return [(int(part) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", proxy)]


def seconds(value: float) -> str:
    """A time with three significant figures or so: `0.04 s`, `12.3 s`, `140 s`."""
    places = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{places}f} s"


def plural(count: int, noun: str) -> str:
    """A number and its noun: `1 moment`, `2 moments`, `1,200 events`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def token_count(exchange: ExchangeResult) -> str:
    """How many tokens came of how many that the whole answer has: `10 of 24`."""
    return f"{exchange.received} of {exchange.planned}"
