"""What the tests of the grid share."""

from __future__ import annotations

import re
from typing import Any

import pytest

from lab.clients.environments import BROWSER
from lab.clients.grid import Cell
from lab.clients.table import CLIENTS


def row(client: str) -> Any:
    """A client as a test's parameter, marked with what it needs beside its packages."""
    environment = next(one.environment for one in CLIENTS if one.name == client)
    return pytest.param(client, marks=[pytest.mark.browser] if environment == BROWSER else [])


def tokens_of(cell: Cell) -> int:
    """How many tokens the user's code was handed, whole ones or not."""
    assert cell.seen is not None
    return len(re.findall("⟨", cell.seen.text))
