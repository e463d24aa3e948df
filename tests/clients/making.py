"""What the tests of the grid share."""

from __future__ import annotations

import re

import pytest

from lab.clients.grid import Cell
from lab.clients.table import CLIENTS


def need_program_of(client: str) -> None:
    """Skip where what the client needs beside its packages (npm, a Chromium) is not there, with the remedy."""
    environment = next(one.environment for one in CLIENTS if one.name == client)
    program = environment and environment.program
    if program and program.find() is None:
        pytest.skip(f"there is no {program.names[0]} on this machine; try: {program.remedy}")


def tokens_of(cell: Cell) -> int:
    """How many tokens the user's code was handed, whole ones or not."""
    assert cell.seen is not None
    return len(re.findall("⟨", cell.seen.text))
