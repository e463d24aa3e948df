"""Who is measured a second time, and with whom: the rounds, with performances and verdicts that a test writes down."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from judge.builder import Build

from lab.catalogue import Case
from lab.catalogue.scenario import Restart
from lab.measure import many
from lab.probe.side_channel import SideChannel
from lab.results import CaseResult
from lab.scenarios import rounds
from lab.scenarios.play import Performance, perform
from lab.scenarios.rounds import Rounds
from lab.testbed.testbed import Testbed
from lab.vocabulary import Outcome, Precedence, Requirement, Variant

from .scenes import make_case

PASSED, FAILED, INCONCLUSIVE = Outcome.PASSED, Outcome.FAILED, Outcome.INCONCLUSIVE
OTHERS = [outcome for outcome in Outcome if outcome is not INCONCLUSIVE]


@dataclass
class Theatre:
    """What becomes of each case at each of its performances, and what was seen of them.

    Args:
        outcomes: by label, one for each time; more performances than that are a mistake.
    """

    outcomes: dict[str, list[Outcome]]
    model_url: str = "http://127.0.0.1:9"
    running: int = 0
    preferred: bool = False
    waits: bool = False
    """Whether a harness that fails does so since the model server does not answer in time."""
    performed: list[tuple[str, int]] = field(default_factory=list)
    """Each performance, and how many were on at its end, itself among them."""
    said: list[str] = field(default_factory=list)

    async def perform(self, case: Case, *_: object) -> Performance:
        """Run until all that began at the same time are."""
        assert self.preferred
        self.running += 1
        await asyncio.sleep(0)
        self.performed.append((case.label, self.running))
        await asyncio.sleep(0)
        self.running -= 1
        waited = self.waits and self.outcomes[case.label][0] is Outcome.HARNESS_FAILED
        return Performance(case, 1.0, (), waited=waited)

    def judged(self, performance: Performance) -> CaseResult:
        """The next outcome of that case."""
        assert not self.running
        assert not self.preferred
        label, count = performance.case.label, len(self.performed)
        outcome = self.outcomes[label].pop(0)
        busy = f"busy at {count}" if outcome is INCONCLUSIVE else ""
        return CaseResult(label, Variant.FIXED, "", outcome, (), (), 1.0, "", "", busy=busy)

    @contextmanager
    def precedence(self) -> Iterator[Precedence]:
        """Before all others."""
        self.preferred = True
        yield Precedence.REAL_TIME
        self.preferred = False

    def say(self, line: str) -> None:
        """Each line."""
        self.said.append(line)

    def begins(self, cases: Sequence[Case]) -> None:
        """Not of the rounds."""

    def played(self, case: Case) -> None:
        """Not of interest here."""

    def ends(self, case: Case, result: CaseResult) -> None:
        """Not of the rounds."""


async def play(
    monkeypatch: pytest.MonkeyPatch, *, waits: bool = False, **outcomes: list[Outcome]
) -> tuple[Theatre, dict[str, CaseResult]]:
    """Both rounds over cases with these outcomes; the results by label."""
    theatre = Theatre(outcomes, waits=waits)
    for module, name in ((rounds, "perform"), (rounds, "judged"), (many, "precedence")):
        monkeypatch.setattr(module, name, getattr(theatre, name))
    one = make_case(Variant.FIXED, Requirement.SURVIVES_SILENCE, {"gap": Build()})
    both = Rounds(cast(Testbed, theatre), theatre)
    await both.play([replace(one, label=label) for label in outcomes])
    assert not any(theatre.outcomes.values())
    assert both.precedence is Precedence.REAL_TIME
    results = {result.label: result for result in both.results.values()}
    assert set(results) == set(outcomes)
    return theatre, results


async def test_where_the_time_matters_the_others_are_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload, a restart, and exchanges that meet each other have the machine to themselves."""
    theatre = Theatre({name: [PASSED] for name in ("reload", "plain", "later", "alone", "restart")})
    for module, name in ((rounds, "perform"), (rounds, "judged"), (many, "precedence")):
        monkeypatch.setattr(module, name, getattr(theatre, name))
    one = make_case(Variant.FIXED, Requirement.SURVIVES_SILENCE, {"gap": Build()})
    two = make_case(Variant.FIXED, Requirement.SURVIVES_SILENCE, {"gap": Build(), "next": Build()})
    first, second = two.exchanges
    cases = [
        replace(one, label="reload", reload=1.0),
        replace(two, label="plain"),
        replace(two, label="later", exchanges=(first, replace(second, delay=1.0))),
        replace(one, label="alone"),
        replace(one, label="restart", restart=Restart(1.0, 1.0, drain=False)),
    ]
    await Rounds(cast(Testbed, theatre), theatre).play(cases)
    performed = [label for label, _ in theatre.performed]
    assert sorted(performed[:2]) == ["alone", "plain"]
    assert sorted(performed[2:]) == ["later", "reload", "restart"]


@pytest.mark.parametrize("outcome", OTHERS)
async def test_what_is_not_inconclusive_is_never_measured_again(
    monkeypatch: pytest.MonkeyPatch, outcome: Outcome
) -> None:
    """A second try of what failed would hide what goes wrong from time to time."""
    theatre, results = await play(monkeypatch, one=[outcome], two=[PASSED])
    assert sorted(label for label, _ in theatre.performed) == ["one", "two"]
    assert (results["one"].outcome, results["one"].measured) == (outcome, 1)
    assert theatre.said == []


@pytest.mark.parametrize("second", OTHERS)
async def test_what_is_inconclusive_is_measured_once_more_and_that_counts(
    monkeypatch: pytest.MonkeyPatch, second: Outcome
) -> None:
    """Whatever else comes of the second time stands, and there is no third."""
    theatre, results = await play(monkeypatch, one=[INCONCLUSIVE, second], two=[FAILED])
    assert sorted(label for label, _ in theatre.performed) == ["one", "one", "two"]
    assert (results["one"].outcome, results["one"].measured) == (second, 2)
    assert (results["two"].outcome, results["two"].measured) == (FAILED, 1)
    assert results["one"].busy == "busy at 2"
    assert len(theatre.said) == 1


@pytest.mark.parametrize("last", [PASSED, FAILED, INCONCLUSIVE])
async def test_a_machine_is_busy_for_a_while(monkeypatch: pytest.MonkeyPatch, last: Outcome) -> None:
    """Three times more at most, and the last one counts."""
    theatre, results = await play(monkeypatch, one=[*[INCONCLUSIVE] * 3, last], two=[PASSED])
    assert len(theatre.performed) == 5
    assert (results["one"].outcome, results["one"].measured) == (last, 4)
    assert len(theatre.said) == 3


async def test_a_model_server_that_let_questions_wait_is_asked_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was told, so nothing is hidden; and what came then is told to have been measured twice."""
    theatre, results = await play(monkeypatch, waits=True, one=[Outcome.HARNESS_FAILED, PASSED], two=[PASSED])
    assert sorted(label for label, _ in theatre.performed) == ["one", "one", "two"]
    assert (results["one"].outcome, results["one"].measured) == (PASSED, 2)


async def test_a_model_server_that_answers_nobody_is_not_waited_for_by_everybody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One by one, hundreds of cases would wait for half a minute each."""
    dead = Outcome.HARNESS_FAILED
    theatre, results = await play(monkeypatch, waits=True, one=[dead, dead], two=[dead], three=[dead])
    assert len(theatre.performed) == 4
    assert {label: (each.outcome, each.measured) for label, each in results.items()} == {
        "one": (dead, 2),
        "two": (dead, 1),
        "three": (dead, 1),
    }


async def test_an_answer_that_does_not_come_is_not_a_fault_of_the_case() -> None:
    """It is told from a model server that is not there."""

    class Slow:
        """A testbed of which nothing comes."""

        def url(self, _: str) -> str:
            """Where the case is."""
            raise TimeoutError

    case = make_case(Variant.FIXED, Requirement.SURVIVES_SILENCE, {"gap": Build()})
    found = await perform(case, cast(Testbed, Slow()), cast(SideChannel, None), many.Starts())
    assert (found.fault, found.waited) == (Outcome.HARNESS_FAILED, True)


async def test_each_is_measured_again_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """All at once the first time; then one after the other, with nothing beside it."""
    again = [INCONCLUSIVE, PASSED]
    theatre, _ = await play(monkeypatch, one=list(again), two=list(again), three=[PASSED], four=list(again))
    assert sorted(theatre.performed[:4]) == [("four", 4), ("one", 4), ("three", 4), ("two", 4)]
    assert sorted(theatre.performed[4:]) == [("four", 1), ("one", 1), ("two", 1)]


async def test_an_outsider_can_stop_it_between_two_verdicts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judging computes, and a user who presses Ctrl-C meanwhile is heard before it is through."""
    task: asyncio.Task[Any] | None = None

    def stop(self: Theatre, performance: Performance) -> CaseResult:
        assert task is not None
        task.cancel()
        return judged(self, performance)

    judged = Theatre.judged
    monkeypatch.setattr(Theatre, "judged", stop)
    task = asyncio.create_task(play(monkeypatch, one=[PASSED], two=[PASSED]))
    with pytest.raises(asyncio.CancelledError):
        await task
