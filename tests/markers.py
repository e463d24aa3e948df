"""What a test needs and how long it takes, told by its markers.

`make test` leaves out `grid`, `busy` and `soak`; `make test-all` runs them after it.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterable
from typing import Any

import pytest

NEEDS = {"engine": "engine", "images_in_use": "engine", "busy_cores": "busy"}
"""Fixtures, and the marker of a test that uses one."""


def without_browser() -> bool:
    """Whether the user does without the tests that need a browser (`LAB_BROWSER=0`)."""
    return os.environ.get("LAB_BROWSER") == "0"


def mark(item: pytest.Item) -> None:
    """Mark a test by the fixtures that it uses."""
    for name in getattr(item, "fixturenames", ()):
        if name in NEEDS:
            item.add_marker(NEEDS[name])


def minutes_of(item: pytest.Item) -> float:
    """For how long a soak goes on by the clock; 0 where that is not what it takes."""
    soak = item.get_closest_marker("soak")
    return 0.0 if soak is None else float(soak.kwargs.get("minutes", 0.0))


def grid(cells: Iterable[Any], *, quick: Container[Any]) -> list[Any]:
    """The cells of a table as a test's parameters: those that are quick are tested always, the others in the grid."""
    return [cell if cell in quick else _in_grid(cell) for cell in cells]


def _in_grid(cell: Any) -> Any:
    values = cell if isinstance(cell, tuple) else (cell,)
    return pytest.param(*values, marks=pytest.mark.grid)
