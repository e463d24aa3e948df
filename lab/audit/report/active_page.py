"""`active.html`: the active audit as one page that opens offline; it wears the clothes of the passive audit's page."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment

from lab.audit.report.active_text import (
    ANSWERS,
    change_words,
    deaths_words,
    histogram,
    looked_for,
    remedies_of,
    reply_words,
    timeout_cell,
    timeout_words,
)
from lab.judge.requirements import IN_WORDS
from lab.measure.findings import ActiveFindings
from lab.printable import printable
from lab.reports.pages import page_environment
from lab.reports.phrases import seconds
from lab.reports.style import page_style
from lab.vocabulary import State

_TONES = {State.MET: "good", State.NOT_MET: "failed", State.INCONCLUSIVE: "fault", State.NOT_APPLICABLE: "skipped"}


def active_page(findings: ActiveFindings) -> str:
    """The whole page."""
    states = {each.state for each in findings.observations}
    tone = "failed" if State.NOT_MET in states else "good"
    template = _environment().get_template("active.html.j2")
    return template.render(
        found=findings,
        tone=tone,
        bars=histogram(findings.terminations),
        remedies=remedies_of(findings),
        style=page_style(("lab.audit.report", "audit.css")),
        words=IN_WORDS,
        tones=_TONES,
    )


@cache
def _environment() -> Environment:
    environment = page_environment("lab.audit.report")
    environment.filters.update(
        seconds=seconds,
        printable=printable,
        cell=timeout_cell,
        timeout=timeout_words,
        looked_for=looked_for,
        reply=reply_words,
        change=change_words,
        died=deaths_words,
    )
    environment.globals.update(answers=ANSWERS)
    return environment
