"""Where a path shows cuts late: what is asked once more, and what its answer does to a timeout. All numbers by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lab.evidence import Stall, TransportEnd
from lab.judge import Exchanged
from lab.measure.findings import Found, Termination, TerminationKind, TimeoutFound
from lab.measure.refine import delay_of, follow_ups, refined
from lab.measure.timeouts import Timeouts
from lab.plan import make_plan
from lab.suite.exchange import Exchange, Role
from lab.suite.search import refining
from lab.vocabulary import Ending, Requirement, Watched

from .made import BEGAN, played

CUT = (Requirement.SHOWS_A_CUT_AS_A_CUT,)
SILENT = [
    Exchange(
        f"silent-{n}",
        make_plan({"tokens": 3, "interval": 0.25, "gaps": "2@8s"}),
        role=Role.SEARCH,
        watched=Watched.IDLE,
    )
    for n in (1, 2, 3)
]


def cut_by_the_model(seen: Sequence[float], stalls: tuple[Stall, ...] = ()) -> list[Exchanged]:
    """Streams that the model cuts 1.25 s after the request, and that the probe sees end at those times."""
    plan = make_plan({"tokens": 20, "interval": 0.05, "fault": "fin@10", "fault_delay": 0.8})
    askings = [Exchange(f"fin-amid-{n}", plan, requirements=CUT) for n in range(len(seen))]
    return [
        played(each, cut=1.25, seen=at, faulted=True, stalls=stalls) for each, at in zip(askings, seen, strict=True)
    ]


def silences(*, seen: float, left: float | None = None) -> list[Exchanged]:
    """Three streams that a timeout ended amid their silence, as the probe saw it and as the model server did."""
    return [played(each, cut=seen, left=left) for each in SILENT]


def timeouts(watched: Watched = Watched.IDLE, value: float = 3.0, found: Found = Found.TIMEOUT) -> Timeouts:
    """One timeout that three streams died of, and nothing else."""
    others = [
        TimeoutFound(each, Found.NONE, None, 0.0, 9.0, 0, 6, 0, (), "none") for each in Watched if each is not watched
    ]
    one = TimeoutFound(watched, found, value, 0.05, 2.0, 3, 6, 3, ("cut",), "a timeout")
    terminations = tuple(
        Termination(each.name, watched, value, value, value, TerminationKind.TIMEOUT, Ending.CUT) for each in SILENT
    )
    return Timeouts((one, *others), terminations)


def idle(found: Timeouts) -> TimeoutFound:
    """The timeout on silence."""
    return found.of(Watched.IDLE)


def test_the_paths_delay_is_the_least_that_two_cuts_show() -> None:
    """1.25 s is when the model cut: seen at 2.30, 2.25 and 2.60 s, the path adds one second."""
    assert delay_of(cut_by_the_model([2.30, 2.25, 2.60])) == pytest.approx(1.0)


def test_one_late_cut_alone_shows_nothing() -> None:
    """It may be the machine that was late."""
    assert delay_of(cut_by_the_model([2.25])) == 0.0
    assert delay_of([]) == 0.0


def test_a_cut_that_the_probe_may_have_seen_late_tells_no_delay() -> None:
    """Asleep until 2.25 s, it saw two cuts of 1.25 s then, and two more in time 1.1 s after they were made."""
    asleep = (Stall(BEGAN + 1.35, BEGAN + 2.25),)
    made = [*cut_by_the_model([2.25, 2.25], asleep), *cut_by_the_model([2.35, 2.45])]
    assert delay_of(made) == pytest.approx(1.1)


def test_a_nap_before_a_late_cut_makes_its_delay_no_shorter() -> None:
    """Asleep from 1.35 to 1.85 s and awake when it saw the cut at 2.25 s: the path took its second all the same."""
    asleep = (Stall(BEGAN + 1.35, BEGAN + 1.85),)
    assert delay_of(cut_by_the_model([2.25, 2.25], asleep)) == pytest.approx(1.0)


def test_an_end_of_the_probes_own_tells_no_delay() -> None:
    """A cut that the path never showed ended by the probe's patience."""
    plan = make_plan({"tokens": 20, "interval": 0.05, "fault": "fin@10", "fault_delay": 0.8})
    made = [
        played(
            Exchange(f"fin-{n}", plan, requirements=CUT),
            cut=1.25,
            seen=31.0,
            faulted=True,
            end=TransportEnd.MIDDLE_TIMEOUT,
        )
        for n in range(2)
    ]
    assert delay_of(made) == 0.0


def test_half_the_delay_below_the_timeout_is_asked_once_more() -> None:
    """Deaths at 3 s that may have been seen a second late: three silences of 2.5 s."""
    made = [*cut_by_the_model([2.25, 2.25]), *silences(seen=3.0)]
    again = follow_ups(made, timeouts())
    assert [each.name for each in again] == ["refine-idle-1", "refine-idle-2", "refine-idle-3"]
    assert {each.role for each in again} == {Role.REFINE}
    assert {round(each.plan.due(2) - each.plan.due(1), 6) for each in again} == {2.5}


@pytest.mark.parametrize(
    ("made", "found"),
    [
        ([*cut_by_the_model([1.3, 1.3]), *silences(seen=3.0)], timeouts()),
        ([*cut_by_the_model([2.25, 2.25]), *silences(seen=3.0, left=2.0)], timeouts()),
        ([*cut_by_the_model([2.25, 2.25]), *silences(seen=3.0)], timeouts(found=Found.UNKNOWN)),
        ([*cut_by_the_model([2.25, 2.25]), *silences(seen=3.0)], timeouts(Watched.TOTAL)),
    ],
    ids=["no-delay", "the-model-saw-it-sooner", "no-timeout", "not-a-silence"],
)
def test_nothing_is_asked_where_nothing_is_in_doubt(made: list[Exchanged], found: Timeouts) -> None:
    """No delay; a ledger that tells the time by itself; no timeout; a timeout that lateness does not move."""
    assert follow_ups(made, found) == []
    assert refined(made, found) == found


@pytest.mark.parametrize(
    ("died", "value", "uncertainty"),
    [(3, 2.0, 0.1), (2, 2.0, 0.1), (1, 3.0, 0.05), (0, 3.0, 0.05)],
    ids=["all-died", "two-died", "two-survived", "all-survived"],
)
def test_what_a_silence_between_both_values_says(died: int, value: float, uncertainty: float) -> None:
    """The timeout is at 3 s, or at 2 s and seen late: 2.5 s of silence are survived by a timeout of 3 s only."""
    asked = refining(Watched.IDLE, 2.5)
    again = [played(each, cut=2.25, seen=3.25) if n < died else played(each) for n, each in enumerate(asked)]
    made = [*cut_by_the_model([2.25, 2.25]), *silences(seen=3.0), *again]
    found = idle(refined(made, timeouts()))
    assert found.value == pytest.approx(value)
    assert found.uncertainty == pytest.approx(uncertainty)
    assert ("seen that late" in found.sentence) is (died > 1)


def test_answers_that_are_missing_leave_the_value_between_both() -> None:
    """Between 2 s and 3 s: 2.5 s, give or take half a second."""
    found = idle(refined([*cut_by_the_model([2.25, 2.25]), *silences(seen=3.0)], timeouts()))
    assert (found.value, found.uncertainty) == (pytest.approx(2.5), pytest.approx(0.5))
    assert "may be seen that late" in found.sentence
