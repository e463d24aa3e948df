from __future__ import annotations

import os
import threading

import pytest

import lab.precedence
from lab.precedence import NICE, enter_real_time, precedence
from lab.vocabulary import Precedence

REAL_TIME = (os.SCHED_FIFO, os.SCHED_RR)


def standing() -> tuple[int, int, int]:
    """Policy, priority and nice value of the calling thread."""
    return os.sched_getscheduler(0), os.sched_getparam(0).sched_priority, os.getpriority(os.PRIO_PROCESS, 0)


def refused(*_: object) -> None:
    """What the system says to those who lack the right."""
    raise PermissionError


def test_the_thread_has_what_it_was_told_and_gives_it_back() -> None:
    """As much as this machine grants: the class, the nice value, or nothing; and afterwards all is as it was."""
    before = standing()
    with precedence() as gained:
        policy, priority, nice = standing()
    assert (policy & ~os.SCHED_RESET_ON_FORK in REAL_TIME) is (gained is Precedence.REAL_TIME)
    assert (priority == 1) is (gained is Precedence.REAL_TIME)
    assert (nice <= NICE) is (gained is Precedence.NICE)
    assert standing() == before


def test_one_at_a_time_has_the_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two probes that never wait would leave two processors to nobody, and the proxies between them stand still."""
    monkeypatch.setattr(lab.precedence, "_TURN", f"\0token-stream-lab/test-{os.getpid()}")
    monkeypatch.setattr(lab.precedence, "enter_real_time", lambda _: True)
    gained: list[Precedence] = []

    def further() -> None:
        with precedence() as what:
            gained.append(what)

    with precedence() as first:
        thread = threading.Thread(target=further)
        thread.start()
        thread.join()
    further()
    assert first is gained[1] is Precedence.REAL_TIME
    assert gained[0] is not Precedence.REAL_TIME


def test_it_is_given_back_whatever_happens() -> None:
    """A run that is stopped leaves no thread behind that comes before others."""
    before = standing()
    with pytest.raises(ZeroDivisionError), precedence():
        _ = 1 / 0
    assert standing() == before


def test_what_the_thread_starts_does_not_come_before_others() -> None:
    """The class is for what mostly waits, and nobody knows what a child does."""
    seen: list[int] = []
    with precedence():
        child = threading.Thread(target=lambda: seen.append(os.sched_getscheduler(0)))
        child.start()
        child.join()
    assert seen[0] not in REAL_TIME


def test_without_the_right_to_the_class_there_is_the_nice_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second best, where the system grants that."""
    values: list[int] = []
    monkeypatch.setattr(os, "sched_setscheduler", refused)
    monkeypatch.setattr(os, "setpriority", lambda _which, _who, value: values.append(value))
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with precedence() as gained:
        assert gained is Precedence.NICE
    assert values == [min(before, NICE), before]


def test_without_any_right_it_runs_like_every_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silently: the report tells it, and no run fails for it."""
    monkeypatch.setattr(os, "sched_setscheduler", refused)
    monkeypatch.setattr(os, "setpriority", refused)
    before = standing()
    with precedence() as gained:
        assert gained is Precedence.NONE
        assert standing() == before


def test_a_system_without_classes_has_the_nice_value_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere than on Linux, Python knows no such function."""
    monkeypatch.delattr(os, "sched_setscheduler")
    monkeypatch.setattr(os, "setpriority", refused)
    assert not enter_real_time(0)
    with precedence() as gained:
        assert gained is Precedence.NONE


def test_who_has_a_class_of_their_own_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who started the lab with a priority of their choice knows why."""
    set_to: list[int] = []
    monkeypatch.setattr(os, "sched_getscheduler", lambda _: os.SCHED_FIFO | os.SCHED_RESET_ON_FORK)
    monkeypatch.setattr(os, "sched_setscheduler", lambda _process, policy, _priority: set_to.append(policy))
    assert enter_real_time(0)
    assert set_to == []


def test_a_process_that_is_gone_is_not_there_to_be_preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may have died since its number was asked for."""

    def gone(_: int) -> int:
        raise ProcessLookupError

    monkeypatch.setattr(os, "sched_getscheduler", gone)
    assert not enter_real_time(4)


def test_tasks_that_overlap_give_it_back_together() -> None:
    """The first to leave takes it from nobody, and the last leaves nothing behind."""
    before = os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)
    first, second = precedence(), precedence()
    gained = first.__enter__()
    assert second.__enter__() is gained
    during = os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)
    first.__exit__(None, None, None)
    assert (os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)) == during
    second.__exit__(None, None, None)
    policy, nice = os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)
    assert (policy & ~os.SCHED_RESET_ON_FORK, nice) == (before[0] & ~os.SCHED_RESET_ON_FORK, before[1])
