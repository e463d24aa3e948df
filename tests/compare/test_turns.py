from __future__ import annotations

import asyncio

import pytest
from judge.builder import Build

from lab.compare.turns import MakeAgain, Turn, count_requests, make_all
from lab.evidence import Evidence


async def test_each_generation_is_made_both_ways_and_the_first_way_alternates() -> None:
    """Levels one after another, rounds within them, and no generation's number twice."""
    asked: list[tuple[int, bool]] = []
    turns: list[Turn] = []

    async def ask(generation: int, stream: bool, _: int) -> Evidence:
        asked.append((generation, stream))
        return Build(stream=stream).evidence()

    await make_all(ask, (1, 2), 2, turns.append)
    assert asked == [
        *[(0, True), (0, False), (1, False), (1, True)],
        *[(2, True), (3, True), (2, False), (3, False)],
        *[(4, False), (5, False), (4, True), (5, True)],
    ]
    assert len(asked) == count_requests((1, 2), 2)
    assert [len(turn.generations) for turn in turns] == [1] * 4 + [2] * 4


async def test_all_of_a_turn_run_at_once() -> None:
    """Each of three waits until all three have been asked, which would never end one after another."""
    together = asyncio.Barrier(3)

    async def ask(_: int, stream: bool, at_once: int) -> Evidence:
        assert at_once == 3
        async with asyncio.timeout(30):
            await together.wait()
        return Build(stream=stream).evidence()

    turns: list[Turn] = []
    await make_all(ask, (3,), 1, turns.append)
    assert [each.at_once for turn in turns for each in turn.generations] == [3] * 6


async def test_turns_that_are_over_are_kept_when_a_later_one_fails() -> None:
    """What stops a comparison does not take what was measured."""
    turns: list[Turn] = []

    async def ask(generation: int, stream: bool, _: int) -> Evidence:
        if generation == 1:
            raise OSError("gone")
        return Build(stream=stream).evidence()

    with pytest.raises(OSError, match="gone"):
        await make_all(ask, (1,), 2, turns.append)
    assert len(turns) == 2


async def test_a_turn_that_says_nothing_is_made_again_as_a_whole() -> None:
    """One of three is refused for now: all three are asked once more, and only the second time counts."""
    asked: list[int] = []
    turns: list[Turn] = []

    async def ask(generation: int, stream: bool, _: int) -> Evidence:
        asked.append(generation)
        if len(asked) == 3:
            raise MakeAgain(0.0)
        return Build(stream=stream).evidence()

    await make_all(ask, (3,), 1, turns.append)
    assert asked == [0, 1, 2] * 3
    assert [len(turn.generations) for turn in turns] == [3, 3]
