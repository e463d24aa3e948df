"""What counts as told, and what as a silent loss."""

from __future__ import annotations

import pytest

from lab.clients.grid import Cell
from lab.clients.outcome import ClientReport, Seen, judge
from lab.clients.results import Count, counts
from lab.plan import plan_from_query
from lab.wire.tokens import write_token

PLAN = plan_from_query("tokens=3")
LIMITED = plan_from_query("tokens=3&finish=length")


def text_of(*numbers: int, tag: str = PLAN.tag) -> str:
    """Write these tokens of an answer."""
    return "".join(write_token(tag, number, due=0.0, word="oak") for number in numbers)


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (Seen(text_of(1, 2, 3), "stop"), ClientReport.COMPLETE),
        (Seen(text_of(1, 2, 3), "stop", ("httpx.ReadError",)), ClientReport.FALSE_ALARM),
        (Seen(text_of(1, 2), None, ("httpx.ReadError",)), ClientReport.ERROR),
        (Seen("", answer="refused"), ClientReport.ERROR),
        (Seen(text_of(1, 2, 3), late=("AbortError",)), ClientReport.FALSE_ALARM),
        (Seen(text_of(1, 2), late=("AbortError",)), ClientReport.ON_ASKING),
        (Seen(text_of(1, 2), unending=True), ClientReport.UNENDING),
        (Seen(text_of(1, 2, 3, 1, 2, 3), "stop", unending=True), ClientReport.UNENDING),
        (Seen(text_of(1, 2), "interrupted"), ClientReport.REASON_ONLY),
        (Seen(text_of(1, 2), "no-marker", answer="partial"), ClientReport.PARTIAL),
        (Seen(text_of(1, 2)), ClientReport.NO_REASON),
        (Seen(text_of(1, 2), "stop"), ClientReport.SILENT),
        (Seen(text_of(1, 3), "end_turn"), ClientReport.SILENT),
        (Seen(text_of(1, 2, 2, 3), "stop"), ClientReport.SILENT),
        (Seen(text_of(1, 2) + text_of(3, tag="0000"), "stop"), ClientReport.SILENT),
    ],
)
def test_what_the_user_is_told(seen: Seen, told: ClientReport) -> None:
    """An exception, a reason or silence, beside the tokens that came, give one outcome."""
    assert judge(PLAN, seen) is told


def test_a_limit_is_told_by_its_reason() -> None:
    """An answer that the model itself stopped is partial though all its tokens came."""
    assert judge(LIMITED, Seen(text_of(1, 2, 3, tag=LIMITED.tag), "length")) is ClientReport.PARTIAL


def test_counts_keep_apart_what_nobody_can_know() -> None:
    """A forged end is counted apart, and what only the reason tells is silent to loops."""

    def cell(told: ClientReport | None, *, knowable: bool = True) -> Cell:
        return Cell("one", "ending", "direct", knowable, Seen(""), told, 1)

    cells = [
        cell(ClientReport.REASON_ONLY),
        cell(ClientReport.NO_REASON),
        cell(ClientReport.SILENT),
        cell(ClientReport.ERROR),
        cell(ClientReport.ON_ASKING),
        cell(ClientReport.UNENDING),
        cell(None),
        cell(ClientReport.SILENT, knowable=False),
    ]
    assert counts(cells) == (Count("one", measured=6, to_loops=5, to_checks=2, unknowable=1),)
