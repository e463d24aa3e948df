"""Longer waits for the same exchanges."""

from __future__ import annotations

import pytest

from lab.catalogue import discover, shipped_scenarios, with_waits
from lab.catalogue.scenario import Case, Scenario
from lab.errors import BadInput
from lab.suite.settle import Waits
from lab.vocabulary import Variant

ALL = Waits(longest=90.0, first_token=80.0, gap=70.0)


def recommended() -> Scenario:
    """The one scenario that has an exchange for every requirement about waiting."""
    return next(each for each in discover(shipped_scenarios()) if each.id == "recommended")


def case_of(scenario: Scenario, label: str) -> Case:
    """Its first case of that label."""
    return next(case for case in scenario.cases if case.label == label)


def test_each_wait_becomes_as_long_as_is_asked() -> None:
    """First token, silence, stream and batch reply, each by its own option, and nothing else."""
    before = case_of(recommended(), "fixed")
    after = case_of(with_waits([recommended()], ALL)[0], "fixed")
    plans = {each.name: each.plan for each in after.exchanges}
    assert plans["thinking"].due(1) == 80.0
    assert plans["tool-call"].due(6) - plans["tool-call"].due(5) == pytest.approx(70.05)
    assert 90.0 <= plans["long-answer"].length < 91.0
    assert 90.0 <= plans["silent-batch"].length < 91.0
    stretched = {"thinking", "tool-call", "long-answer", "silent-batch"}
    assert {each.name for each in before.exchanges if plans[each.name] != each.plan} == stretched


def test_a_long_answer_is_never_silent() -> None:
    """Else it would meet a timeout on silence, and say nothing of one on the whole."""
    (scenario,) = with_waits([recommended()], Waits(longest=3600.0))
    plan = next(each.plan for each in case_of(scenario, "fixed").exchanges if each.name == "long-answer")
    assert plan.interval <= 0.5
    assert plan.length >= 3600.0


def test_what_is_to_break_stays_as_it_is() -> None:
    """A broken variant shows what its scenario says of just these exchanges."""
    (scenario,) = with_waits([recommended()], ALL)
    assert case_of(scenario, Variant.BROKEN) == case_of(recommended(), Variant.BROKEN)


def test_a_shorter_wait_than_the_scenarios_changes_nothing() -> None:
    """The options ask for at least so much."""
    assert with_waits([recommended()], Waits(0.1, 0.1, 0.1)) == (recommended(),)


def test_lengths_that_are_drawn_stay() -> None:
    """They stand on both sides of a timeout on purpose."""
    total = next(each for each in discover(shipped_scenarios()) if each.id == "total-timeout")
    plans = [each.plan for each in case_of(total, "fixed").exchanges if each.family == "answer"]
    after = [each.plan for each in case_of(with_waits([total], ALL)[0], "fixed").exchanges if each.family == "answer"]
    assert after == plans


def test_a_wait_that_no_answer_can_have_is_refused() -> None:
    """The message names what the plan cannot be."""
    with pytest.raises(BadInput, match="No answer can wait so long"):
        with_waits([recommended()], Waits(longest=300 * 24 * 3600.0))
