"""What counts as told, and what as a silent loss."""

from __future__ import annotations

import pytest

from lab.clients.grid import Cell
from lab.clients.outcome import Seen, Told, judge
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
        (Seen(text_of(1, 2, 3), "stop"), Told.COMPLETE),
        (Seen(text_of(1, 2, 3), "stop", ("httpx.ReadError",)), Told.FALSE_ALARM),
        (Seen(text_of(1, 2), None, ("httpx.ReadError",)), Told.ERROR),
        (Seen("", answer="refused"), Told.ERROR),
        (Seen(text_of(1, 2, 3), late=("AbortError",)), Told.FALSE_ALARM),
        (Seen(text_of(1, 2), late=("AbortError",)), Told.ON_ASKING),
        (Seen(text_of(1, 2), unending=True), Told.UNENDING),
        (Seen(text_of(1, 2, 3, 1, 2, 3), "stop", unending=True), Told.UNENDING),
        (Seen(text_of(1, 2), "interrupted"), Told.REASON_ONLY),
        (Seen(text_of(1, 2), "no-marker", answer="partial"), Told.PARTIAL),
        (Seen(text_of(1, 2)), Told.NO_REASON),
        (Seen(text_of(1, 2), "stop"), Told.SILENT),
        (Seen(text_of(1, 3), "end_turn"), Told.SILENT),
        (Seen(text_of(1, 2, 2, 3), "stop"), Told.SILENT),
        (Seen(text_of(1, 2) + text_of(3, tag="0000"), "stop"), Told.SILENT),
    ],
)
def test_what_the_user_is_told(seen: Seen, told: Told) -> None:
    """An exception, a reason or silence, beside the tokens that came, give one outcome."""
    assert judge(PLAN, seen) is told


def test_a_limit_is_told_by_its_reason() -> None:
    """An answer that the model itself stopped is partial though all its tokens came."""
    assert judge(LIMITED, Seen(text_of(1, 2, 3, tag=LIMITED.tag), "length")) is Told.PARTIAL


def test_counts_keep_apart_what_nobody_can_know() -> None:
    """A forged end is counted apart, and what only the reason tells is silent to loops."""

    def cell(told: Told | None, *, knowable: bool = True) -> Cell:
        return Cell("one", "ending", "direct", knowable, Seen(""), told, 1)

    cells = [
        cell(Told.REASON_ONLY),
        cell(Told.NO_REASON),
        cell(Told.SILENT),
        cell(Told.ERROR),
        cell(Told.ON_ASKING),
        cell(Told.UNENDING),
        cell(None),
        cell(Told.SILENT, knowable=False),
    ]
    assert counts(cells) == (Count("one", measured=6, to_loops=5, to_checks=2, unknowable=1),)
