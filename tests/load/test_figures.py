"""From what Locust counted to figures, and when these say nothing of the path."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lab.load.figures import Figures, ProxyUsage, Spread, figures_of
from lab.load.page import Curve, charts, load_page
from lab.load.results import LoadResults
from lab.load.text import rows_of
from lab.vocabulary import Ending


@pytest.mark.parametrize(
    ("times", "longest", "spread"),
    [
        ({}, 0, Spread()),
        ({7: 1}, 7, Spread(1, 7, 7, 7, 7)),
        ({1: 50, 9: 50}, 9, Spread(100, 1, 9, 9, 9)),
        ({1: 989, 40: 10, 900: 1}, 904, Spread(1000, 1, 40, 40, 904)),
        ({1: 9990, 40: 9, 900: 1}, 904, Spread(10000, 1, 1, 1, 904)),
        # Locust rounds what is long to two digits.
        ({240: 2}, 235, Spread(2, 235, 235, 235, 235)),
    ],
    ids=["none", "one", "halves", "one in a hundred", "one in a thousand", "rounded"],
)
def test_how_times_lie(times: dict[int, int], longest: int, spread: Spread) -> None:
    """So many of them are no longer."""
    assert Spread.of(times, longest) == spread


def raw(**late: int) -> dict[str, Any]:
    """What the locustfile writes of ten streams of which nine were complete; each kind of lateness as given."""

    def entry(count: int, most: int) -> dict[str, Any]:
        return {"count": count, "max": most, "times": {str(most): count}}

    times = {"token": 3, "model": 1, "load": 2, **late}
    return {
        "entries": {
            "STREAM asked": entry(10, 0),
            "STREAM complete": entry(9, 2000),
            "STREAM cut": entry(1, 900),
            "TOKEN first": entry(10, 12),
            **{f"{name.upper()} late": entry(100, most) for name, most in times.items()},
        },
        "failures": [{"what": "cut: closed", "count": 1}],
        "seconds": [
            {"at": 1.0, "open": 10, "tokens": 60, "late": 3, "streaming": 8},
            {"at": 2.0, "open": 0, "tokens": 40, "late": 5},
        ],
        "lost_workers": 0,
    }


def test_what_was_counted_comes_through() -> None:
    """Each stream by its ending, what failed in words, and the lateness of each by its own name."""
    found = figures_of(raw(), "it", 12)
    assert found.endings == {Ending.COMPLETE: 9, Ending.CUT: 1}
    assert found.failures == {"cut: closed": 1}
    assert (found.asked, found.lost) == (10, 3)
    assert (found.first.p50, found.late.p99, found.model_late.p99, found.load_late.p99) == (12, 3, 1, 2)


@pytest.mark.parametrize(
    ("late", "doubted"), [({}, ""), ({"token": 900}, ""), ({"load": 51}, "the load itself"), ({"model": 51}, "model")]
)
def test_only_our_own_lateness_makes_it_doubtful(late: dict[str, int], doubted: str) -> None:
    """A late path is the finding; where load or model server were late, there is none."""
    doubts = figures_of(raw(**late), "it", 10).doubts
    assert bool(doubts) is bool(doubted)
    assert all(doubted in doubt for doubt in doubts)


def test_a_lost_worker_makes_it_doubtful() -> None:
    """What it had seen last is not in the figures."""
    assert any("lost" in doubt for doubt in figures_of(raw() | {"lost_workers": 1}, "it", 10).doubts)


def test_the_page_has_the_figures_the_failures_and_the_curves() -> None:
    """Whatever the target is called, it is text."""
    found = figures_of(raw(), "<b>", 10)
    page = load_page(LoadResults(10, 1.0, 1.0, 0.1, 1, (found,)))
    assert "<b>" not in page
    assert "1 times cut: closed" in page
    assert [curve.most for chart in charts([found]) for curve in chart.curves] == [10, 8, 60, 5]
    # Four in the charts, and one each beside its name.
    assert page.count("<polyline") == 8


def test_the_memory_of_a_stream_is_what_the_load_has_brought() -> None:
    """Shared out among those that were asked for, which are ten here."""
    found = replace(figures_of(raw(), "it", 10), usage=ProxyUsage(memory=30 * 2**20, idle=20 * 2**20, processor=1.0))
    assert dict(rows_of([found]))["proxy's memory"] == ["30.0 MiB, 1,024.0 KiB of it for each stream"]


def test_a_load_without_seconds_has_no_curves() -> None:
    """One that was stopped at once."""
    empty = Figures("it", 1, 0, 0, 0, 0, {}, {}, Spread(), Spread(), Spread(), Spread(), Spread())
    assert list(charts([empty])) == []


def test_curves_of_one_page_have_one_scale() -> None:
    """Half as high is half as late: else the better of two would look as bad as the worse."""
    late = figures_of(raw(), "late", 10)
    better = replace(late, target="better", seconds=[replace(second, late=second.late // 2) for second in late.seconds])
    (chart,) = (each for each in charts([late, better]) if each.unit)
    one, other = chart.curves
    assert (chart.top, one.most, other.most) == (5, 5, 2)
    assert (one.target, other.target) == ("late", "better")

    def lowest(curve: Curve) -> float:
        return min(float(point.partition(",")[2]) for point in curve.points.split())

    # Counted from above, in a frame of 120 of which 10 stay free.
    assert (lowest(one), lowest(other)) == (10.0, 120 - 110 * 2 / 5)
