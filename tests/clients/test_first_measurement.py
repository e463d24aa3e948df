"""The grid beside the first measurement of the same clients: every difference has its explanation."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab.clients.grid import Cell

from .making import row, tokens_of

HERE = Path(__file__).parent
RECORD: Mapping[str, Any] = tomllib.loads((HERE / "first_measurement.toml").read_text(encoding="utf-8"))
DOCUMENT = HERE.parents[1] / "docs" / "clients.md"

Cells = Mapping[tuple[str, str], Cell]


@dataclass(frozen=True)
class Outcome:
    """What a cell is compared by; an exception's name may lack its module, and causes may be left out."""

    tokens: int = 0
    at_most: int | None = None
    finish: str | None = None
    error: Sequence[str] = ()

    def fits(self, cell: Cell) -> bool:
        """Whether the cell shows this outcome."""
        assert cell.seen is not None
        came = tokens_of(cell)
        seen = cell.seen.error
        return (
            (came == self.tokens if self.at_most is None else came <= self.at_most)
            and cell.seen.finish == self.finish
            and bool(seen) == bool(self.error)
            and len(seen) >= len(self.error)
            and all(name == told or name.endswith(f".{told}") for name, told in zip(seen, self.error, strict=False))
        )


@dataclass(frozen=True)
class Difference:
    """A cell in which the grid differs from the first measurement, and why."""

    why: str
    now: tuple[Outcome, ...]


def explained() -> dict[tuple[str, str], Difference]:
    """Every explained difference by client and ending."""
    return {
        (client, ending): Difference(entry["why"], tuple(Outcome(**now) for now in entry["now"]))
        for entry in RECORD["differences"]
        for client in entry["clients"]
        for ending in entry["endings"]
    }


def first(client: str, ending: str) -> Outcome:
    """What the first measurement saw, loosened where the number of tokens is a matter of the machine's load."""
    outcome = Outcome(**RECORD["first"][client][ending])
    unsteady = any(one["client"] == client and ending in one["endings"] for one in RECORD["unsteady"])
    return Outcome(0, outcome.tokens, outcome.finish, outcome.error) if unsteady else outcome


def shown(cell: Cell) -> str:
    """The cell in words, for a failure."""
    assert cell.seen is not None
    return f"{cell.client}, {cell.ending}: {tokens_of(cell)} tokens, {cell.seen.finish}, {cell.seen.error}"


@pytest.mark.grid
@pytest.mark.parametrize("client", [row(name) for name in RECORD["first"]])
def test_every_difference_is_explained(client: str, cells: Cells) -> None:
    """A cell is as the first measurement saw it, or as the explanation of its difference says."""
    differences = explained()
    unexplained = []
    for ending in RECORD["first"][client]:
        cell, difference = cells[client, ending], differences.get((client, ending))
        outcomes = difference.now if difference else (first(client, ending),)
        if not any(outcome.fits(cell) for outcome in outcomes):
            unexplained.append(shown(cell))
    assert unexplained == []


@pytest.mark.grid
@pytest.mark.parametrize(("client", "ending"), [pytest.param(*key, marks=row(key[0]).marks) for key in explained()])
def test_no_explanation_has_outlived_its_difference(client: str, ending: str, cells: Cells) -> None:
    """What is explained still differs from what the first measurement saw."""
    assert not first(client, ending).fits(cells[client, ending]), shown(cells[client, ending])


def test_the_document_tells_every_explanation() -> None:
    """docs/clients.md has each explanation word by word."""
    told = " ".join(DOCUMENT.read_text(encoding="utf-8").split())
    assert {
        difference.why for difference in explained().values() if " ".join(difference.why.split()) not in told
    } == set()


def test_much_was_measured_by_both() -> None:
    """The record holds the cells that both measurements have: ten clients, fourteen endings."""
    assert [len(endings) for endings in RECORD["first"].values()] == [14] * 10
