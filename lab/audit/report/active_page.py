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
    plain_sentence,
    reply_words,
    timeout_cell,
    timeout_words,
)
from lab.measure.findings import ActiveFindings, Answer
from lab.printable import printable
from lab.reports.pages import page_environment
from lab.reports.phrases import seconds
from lab.reports.style import page_style

_WORDS = {Answer.YES: "met", Answer.NO: "not met", Answer.UNKNOWN: "cannot tell"}
_TONES = {Answer.YES: "good", Answer.NO: "failed", Answer.UNKNOWN: "fault"}


def active_page(findings: ActiveFindings) -> str:
    """The whole page."""
    answers = {each.met for each in findings.requirements}
    tone = "failed" if Answer.NO in answers else "good"
    template = _environment().get_template("active.html.j2")
    return template.render(
        found=findings,
        tone=tone,
        bars="\n".join(histogram(findings.deaths)),
        style=page_style(("lab.audit.report", "audit.css")),
        words=_WORDS,
        tones=_TONES,
    )


@cache
def _environment() -> Environment:
    environment = page_environment("lab.audit.report")
    environment.filters.update(
        seconds=seconds,
        printable=printable,
        sentence=plain_sentence,
        cell=timeout_cell,
        timeout=timeout_words,
        looked_for=looked_for,
        reply=reply_words,
        change=change_words,
        died=deaths_words,
    )
    environment.globals.update(answers=ANSWERS)
    return environment
