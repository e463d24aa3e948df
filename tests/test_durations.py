from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.durations import parse_duration, write_duration


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("2s", 2.0), ("1.5s", 1.5), ("10m", 600.0), ("1h", 3600.0), (3, 3.0)]
)
def test_people_write_durations_with_a_unit(text: object, seconds: float) -> None:
    """A plain number counts as seconds, as in every proxy's configuration."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1s", "1 day", "1e3s", "nan", True, None, -1, [1]])
def test_what_is_no_duration_is_refused(text: object) -> None:
    """The message shows how to write one."""
    with pytest.raises(ValueError, match="500ms"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["9" * 400 + "s", "1" + "0" * 300 + "h", "8761h", float("inf"), 10**400])
def test_nothing_lasts_longer_than_a_year(text: object) -> None:
    """What no timeout can wait for, and no float can hold, is refused where it is read."""
    assert parse_duration("8760h") == 365 * 24 * 3600
    with pytest.raises(ValueError, match="longer than a year"):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=10**13))
def test_every_duration_reads_back_as_written(microseconds: int) -> None:
    """A plan travels as text; nothing may be rounded away on the way."""
    seconds = microseconds / 1e6
    assert parse_duration(write_duration(seconds)) == pytest.approx(seconds, abs=1e-6)
