"""`compare.html`: one file that opens offline, refers to nothing outside itself and runs no script.

It wears the clothes of the lab's report. What an endpoint said is untrusted; the template escapes it, and a content
security policy forbids every fetch and every script.
"""

from __future__ import annotations

from functools import cache

from jinja2 import Environment

from lab.compare import charts
from lab.compare.advice import Choice, RuleAnswer
from lab.compare.results import Comparison
from lab.compare.rows import LEGEND, figure_rows, loss_words, pair_words, what_was_done
from lab.reports.pages import page_environment
from lab.reports.style import page_style

_TONES = {Choice.MEND_THE_PATH: "failed", Choice.CANNOT_TELL: "unknown"}
_ANSWER_TONES = {RuleAnswer.YES: "measured", RuleAnswer.NO: "reproduced", RuleAnswer.CANNOT_TELL: "fault"}
"""No answer is good or bad by itself: that a silence outlives a timeout is no good news."""


def compare_page(comparison: Comparison) -> str:
    """The whole page."""
    advice = comparison.advice
    return (
        _environment()
        .get_template("compare.html.j2")
        .render(
            comparison=comparison,
            advice=advice,
            tone=_tone(comparison),
            tones=_ANSWER_TONES,
            losses=loss_words(comparison.levels),
            charts=charts.charts(comparison.levels),
            tables=[(level, figure_rows(level), pair_words(level)) for level in comparison.levels],
            what=what_was_done(comparison),
            legend=LEGEND,
            style=page_style(("lab.audit.report", "audit.css"), ("lab.compare", "compare.css")),
        )
    )


def _tone(comparison: Comparison) -> str:
    if comparison.advice is None:
        return "unknown"
    return _TONES.get(comparison.advice.choice, "unknown" if comparison.stopped else "good")


@cache
def _environment() -> Environment:
    environment = page_environment("lab.compare", "lab.reports")
    environment.globals.update(bar_height=charts.BAR)
    return environment
