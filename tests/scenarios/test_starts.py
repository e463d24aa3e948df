from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from judge.builder import Build

from lab.catalogue import Case
from lab.scenarios import starts
from lab.scenarios.starts import APART, Starts, longest_first
from lab.vocabulary import Requirement, Variant

from .scenes import make_case


async def test_no_two_begin_in_the_same_instant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns that are asked for at once come one after the other, each once the loop has come round again."""
    told: list[str] = []
    sleep = asyncio.sleep

    async def pause(seconds: float) -> None:
        assert seconds == APART
        told.append("pause")
        await sleep(0)

    monkeypatch.setattr(starts.asyncio, "sleep", pause)
    turns = Starts()

    async def begin(name: str) -> None:
        await turns.turn()
        told.append(name)

    async with asyncio.TaskGroup() as group:
        for name in ("first", "second", "third"):
            group.create_task(begin(name))
    assert told == ["pause", "first", "pause", "second", "pause", "third"]


def test_the_longest_begin_first() -> None:
    """So that spreading the beginnings costs no wall time; in lockstep the holds may come on top."""

    def lasting(label: str, **plan: object) -> Case:
        case = make_case(Variant.FIXED, Requirement.SURVIVES_SILENCE, {"short": Build(), "it": Build(plan=plan)})
        return replace(case, label=label)

    given = [
        lasting("short"),
        lasting("silent", gaps=["2@4s"]),
        lasting("held", lockstep=True, hold="3s"),
        lasting("long", ttft="9s"),
    ]
    assert [each.label for each in longest_first(given)] == ["long", "held", "silent", "short"]
