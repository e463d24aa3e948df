"""The metrics of one sample: times, bursts, sizes and grids."""

from __future__ import annotations

import pytest

from lab.audit.conclude.metrics import Metrics, measure_metrics, sticky_size, time_grid

from ..foreign import Path, batching, holding, paging, sample, steady, straight, writes


def metrics(path: Path, times: list[float]) -> Metrics:
    """The metrics of a path to a model that writes at those times."""
    return measure_metrics(sample(path(writes(times)))).metrics


def test_times_of_a_steady_stream() -> None:
    """First token, gaps and bursts are those of the writing."""
    found = metrics(straight, steady(60, 0.04))
    assert found.first_token == pytest.approx(0.5)
    assert (found.largest_gap, found.gap_between_bursts) == (pytest.approx(0.04), pytest.approx(0.04))
    assert (found.tokens, found.bursts, found.events_a_read) == (60, 60, ((1, 60),))
    assert found.whole == 1.0


def test_bursts_show_in_events_a_read_and_not_in_a_mean() -> None:
    """Five or six events a read, and the gaps are those of the hold."""
    found = metrics(holding(0.21), steady(60, 0.04))
    assert {count for count, _ in found.events_a_read} <= {1, 2, 3, 4, 5, 6}
    assert found.largest_gap >= found.gap_between_bursts >= 0.2


def test_a_buffer_brings_one_burst() -> None:
    """The first token is late and the others come with it."""
    found = metrics(batching, steady(60, 0.04))
    assert (found.tokens, found.bursts, found.gap_between_bursts) == (60, 1, 0.0)


@pytest.mark.parametrize("size", [4096, 8192])
def test_pages_stick_to_their_size(size: int) -> None:
    """A path that hands on whole pages shows their size, and bursts that end inside an event."""
    found = metrics(paging(size), steady(400, 0.04))
    assert found.sticky == size
    assert found.whole < 0.5


@pytest.mark.parametrize(("bursts", "size"), [([16384] * 4, 16384), ([4096, 8192, 4096, 7], 4096), ([900] * 9, None)])
def test_sticky_sizes(bursts: list[int], size: int | None) -> None:
    """The largest size of which most bursts are multiples; the last burst is the rest."""
    assert sticky_size(bursts) == size


@pytest.mark.parametrize(
    ("gaps", "grid"),
    [
        ([0.2, 0.201, 0.4, 0.2, 0.199, 0.2], 0.2),
        ([0.2, 0.31, 0.09, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2], 0.2),
        ([0.13, 0.21, 0.17, 0.29, 0.33, 0.25], None),
        ([0.2, 0.2], None),
    ],
)
def test_time_grids(gaps: list[float], grid: float | None) -> None:
    """One late burst does not hide a grid, and scatter makes none."""
    assert time_grid(gaps) == grid
