from __future__ import annotations

from dataclasses import replace

import pytest
from judge.builder import Build

from lab.catalogue import Staging
from lab.run import starts
from lab.run.starts import Starts, longest_first
from lab.words import Requirement, Side

from .scenes import staging


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long each turn is waited for, on a clock that the waits alone move."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(round(seconds, 6))

    monkeypatch.setattr(starts.asyncio, "sleep", sleep)
    monkeypatch.setattr(starts.time, "monotonic", lambda: 50.0)
    return waited


async def test_no_two_begin_in_the_same_instant(waits: list[float]) -> None:
    """Turns that are asked for at once come one after the other."""
    turns = Starts(0.25)
    for _ in range(4):
        await turns.turn()
    assert waits == [0.0, 0.25, 0.5, 0.75]


async def test_who_comes_when_nobody_else_does_begins_at_once(
    waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Turns that nobody took are not saved up."""
    turns = Starts(0.25)
    await turns.turn()
    monkeypatch.setattr(starts.time, "monotonic", lambda: 60.0)
    await turns.turn()
    await turns.turn()
    assert waits == [0.0, 0.0, 0.25]


def test_the_longest_begin_first() -> None:
    """So that spreading the beginnings costs no wall time; in lockstep the holds may come on top."""

    def lasting(label: str, **plan: object) -> Staging:
        side = staging(Side.FIXED, Requirement.SURVIVES_SILENCE, {"short": Build(), "it": Build(plan=plan)})
        return replace(side, label=label)

    given = [
        lasting("short"),
        lasting("silent", gaps=["2@4s"]),
        lasting("held", lockstep=True, hold="3s"),
        lasting("long", ttft="9s"),
    ]
    assert [each.label for each in longest_first(given)] == ["long", "held", "silent", "short"]
