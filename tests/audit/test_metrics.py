"""The metrics of one sample: times, bursts, sizes and grids."""

from __future__ import annotations

import pytest

from lab.audit.conclude.metrics import Metrics, measure_metrics, sticky_size, time_grid

from .foreign import Path, batching, holding, paging, sample, steady, straight, writes


def metrics(path: Path, times: list[float]) -> Metrics:
    """The metrics of a path to a model that writes at those times."""
    return measure_metrics(sample(path(writes(times)))).metrics


def test_times_of_a_steady_stream() -> None:
    """First and last token, gaps and bursts are those of the writing."""
    found = metrics(straight, steady(60, 0.04))
    assert (found.first_token, found.last_token) == (pytest.approx(0.5), pytest.approx(2.86))
    assert found.gaps.median == pytest.approx(0.04)
    assert (found.tokens, found.bursts, found.events_a_read) == (60, 60, ((1, 60),))
    assert found.quiet == 0.0
    assert found.whole == 1.0


def test_bursts_show_in_events_a_read_and_not_in_a_mean() -> None:
    """Five or six events a read, the largest gap that of the hold, and nearly all the time without events."""
    found = metrics(holding(0.21), steady(60, 0.04))
    assert {count for count, _ in found.events_a_read} <= {1, 2, 3, 4, 5, 6}
    assert found.gaps.median == 0.0
    assert found.gaps.largest >= 0.2
    assert found.quiet == pytest.approx(1.0)


def test_a_buffers_signature() -> None:
    """The first token is late and the others come with it."""
    assert metrics(batching, steady(60, 0.04)).buffer_signature
    assert not metrics(straight, steady(60, 0.04)).buffer_signature


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
