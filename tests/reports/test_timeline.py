"""Timelines: what is drawn stands where its time says."""

from __future__ import annotations

import re

import pytest

from lab.reports.scale import Scale, scale_for
from lab.reports.timeline import EndMark, timeline
from lab.results import TokenTimes
from lab.vocabulary import Ending

from .making import at_once, cut_after, exchange, in_bursts, prompt, steady

FOUR_SECONDS = Scale(4.0)
"""A thousand places for four seconds: 250 for each, which is easy to work out in the head."""


def starts(path: str) -> list[float]:
    """The horizontal places at which a path's pieces begin."""
    return [float(x) for x in re.findall(r"M([\d.]+) ", path)]


def test_ticks_and_joins_stand_at_their_times() -> None:
    """Left at 1 s and arrived at 2 s, on an axis of 4 s: a line from a quarter to a half of the width."""
    drawn = timeline(exchange((TokenTimes(1, 1.0, 2.0),), ""), FOUR_SECONDS)
    assert starts(drawn.left) == [250]
    assert starts(drawn.arrived) == [500]
    assert re.fullmatch(r"M250 \d+L500 \d+", drawn.joins)


def test_the_lanes_lie_above_each_other() -> None:
    """The model server's ticks end above the place where the client's begin."""
    drawn = timeline(exchange((TokenTimes(1, 1.0, 2.0),), ""), FOUR_SECONDS)
    upper, lower = (re.fullmatch(r"M\S+ (\d+)v(\d+)", path) for path in (drawn.left, drawn.arrived))
    assert upper is not None
    assert lower is not None
    assert int(upper[1]) + int(upper[2]) < int(lower[1])


def test_a_token_that_never_arrived_is_a_stub() -> None:
    """Six tokens come before the cut at 2 s, ten are lost; each lost one hangs from its departure."""
    drawn = timeline(exchange(cut_after([*steady(6, 0.12), *steady(10, 0.12, start=2.5)], 2.0), ""), FOUR_SECONDS)
    assert len(starts(drawn.arrived)) == 6
    assert starts(drawn.lost)[0] == 625
    assert len(starts(drawn.lost)) == 10


def test_a_token_of_unknown_departure_is_drawn_at_its_arrival_only() -> None:
    """Behind an endpoint that we do not own nothing is known of the upper lane."""
    drawn = timeline(exchange((TokenTimes(1, None, 1.0),), ""), FOUR_SECONDS)
    assert (drawn.left, drawn.joins, drawn.lost) == ("", "", "")
    assert starts(drawn.arrived) == [250]


def test_heartbeats_and_the_end_stand_at_their_times() -> None:
    """Marks are placed in per cent: 1 s and 3 s of 4 s are 25 and 75."""
    drawn = timeline(exchange((), "", heartbeats=(1.0,), total=3.0), FOUR_SECONDS)
    assert drawn.heartbeats == (25.0,)
    assert drawn.end == 75.0


def test_a_batch_is_one_burst_with_its_number() -> None:
    """Twenty tokens that left over two seconds and arrived together are counted."""
    drawn = timeline(exchange(at_once(steady(20, 0.1)), ""), FOUR_SECONDS)
    assert [(burst.count, burst.words) for burst in drawn.bursts] == [(20, "20 at once")]


def test_many_bursts_have_numbers_only() -> None:
    """Handed over every 0.5 s, tokens 0.1 s apart come in fives; words would run into each other."""
    drawn = timeline(exchange(in_bursts([0.05 + 0.1 * index for index in range(15)], 0.5), ""), FOUR_SECONDS)
    assert [burst.words for burst in drawn.bursts] == ["5", "5", "5"]


def test_a_prompt_stream_has_no_bursts() -> None:
    """Neither a slow stream nor one so fast that its ticks touch is called a burst."""
    for every in (0.2, 0.002):
        assert timeline(exchange(prompt(steady(15, every)), ""), FOUR_SECONDS).bursts == ()


@pytest.mark.parametrize(
    ("ending", "mark"),
    [
        (Ending.COMPLETE, EndMark.WHOLE),
        (Ending.DECLARED_PARTIAL, EndMark.PART),
        (Ending.CUT, EndMark.BAD),
        (Ending.PROBE_TIMEOUT, EndMark.BAD),
        (Ending.SILENTLY_TRUNCATED, EndMark.HIDDEN),
        (Ending.FORGED_COMPLETE, EndMark.HIDDEN),
    ],
)
def test_the_end_is_marked_by_what_the_client_can_know(ending: Ending, mark: EndMark) -> None:
    """An end that looks good and is not has a mark of its own."""
    assert timeline(exchange((), "", ending=ending, total=1.0), FOUR_SECONDS).end_mark is mark


def test_the_text_alternative_has_the_figures() -> None:
    """Who does not see the picture reads the same facts."""
    drawn = timeline(exchange(cut_after(steady(4, 1.0), 2.0), "", ending=Ending.CUT, total=2.5), FOUR_SECONDS)
    assert "2 of 4 tokens" in drawn.description
    assert "ending cut after 2.50 s" in drawn.description


def test_a_scale_holds_every_event() -> None:
    """The latest of arrival, departure, heartbeat and end decides, with a little room."""
    late_departure = exchange((TokenTimes(1, 5.0, None),), "", total=1.0)
    late_beat = exchange((), "", total=1.0, heartbeats=(6.0,))
    assert 5.0 < scale_for([late_departure]).span < 5.5
    assert 6.0 < scale_for([late_departure, late_beat]).span < 6.6


@pytest.mark.parametrize(
    ("span", "labels"),
    [
        (0.1, ["0", "0.02", "0.04", "0.06", "0.08", "0.1 s"]),
        (4.0, ["0", "1", "2", "3", "4 s"]),
        (63.0, ["0", "20", "40", "60 s"]),
        (950.0, ["0", "200", "400", "600", "800 s"]),
    ],
)
def test_axes_have_round_times(span: float, labels: list[str]) -> None:
    """Steps are 1, 2 or 5 times a power of ten, six labels at most."""
    assert [tick.label for tick in Scale(span).ticks()] == labels


def test_an_exchange_of_no_time_has_an_axis() -> None:
    """A refused connection ends at once; the axis is short, not empty."""
    assert scale_for([]).span > 0
    assert scale_for([exchange((), "", total=0.0)]).span > 0
