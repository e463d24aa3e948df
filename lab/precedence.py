"""Precedence: probe and model server run before the processes of others, where the lab may ask for that.

A measurement that waits for the processor measures the machine. The lab asks for the real-time class, round robin at
its lowest priority, which comes before every ordinary process and after everything that asked for more; where it may
not, for a nice value, which counts only within a session or a control group; and where it may not do that either, for
nothing.

Warnings. A real-time thread that never waits would take a processor for itself. The kernel leaves ordinary processes a
twentieth of the time even then (`sched_rt_runtime_us`); still, only what mostly waits may run so, and nothing that
computes. Nor may many: where several probes had the class on two processors, the proxies that they measured stood still
for up to a second, and were blamed for it. So one probe of this machine has it at a time; further ones get the nice
value, beside which proxies go on. The class is not passed on to what the thread starts; a nice value is. In a
container, and for a container, the kernel may refuse the class to root as well (CONFIG_RT_GROUP_SCHED). Elsewhere than
on Linux there is the nice value only.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from lab.vocabulary import Precedence

NICE = -10
"""The weight of nine ordinary processes."""

_TURN = "\0token-stream-lab/real-time"
"""In Linux's abstract namespace: no file, and free as soon as its process has ended, however that was."""

Undo = Callable[[], None]


class _Held(threading.local):
    """What the calling thread has gained, and for how many."""

    users = 0
    gained = Precedence.NONE
    undo: Undo | None = None


_HELD = _Held()


@contextmanager
def precedence() -> Iterator[Precedence]:
    """The calling thread runs before others while inside `with`; yields how, and restores what was before.

    Tasks of one event loop share a thread: the first that asks gains it for all, the last that leaves gives it back.
    """
    if not _HELD.users:
        _HELD.gained, _HELD.undo = _gain()
    _HELD.users += 1
    try:
        yield _HELD.gained
    finally:
        _HELD.users -= 1
        if not _HELD.users and _HELD.undo is not None:
            _HELD.undo()


def _gain() -> tuple[Precedence, Undo | None]:
    for gained, gain in ((Precedence.REAL_TIME, _gain_real_time), (Precedence.NICE, _gain_nice)):
        undo = gain()
        if undo is not None:
            return gained, undo
    return Precedence.NONE, None


def enter_real_time(process: int) -> bool:
    """Put a process into the real-time class for as long as it lives, or the calling thread for 0.

    Returns:
        Whether it is there: False where that needs a right that this process lacks, or the system has no such class.
    """
    if not hasattr(os, "sched_setscheduler"):
        return False
    lowest = os.sched_param(os.sched_get_priority_min(os.SCHED_RR))
    try:
        if os.sched_getscheduler(process) & ~os.SCHED_RESET_ON_FORK not in (os.SCHED_FIFO, os.SCHED_RR):
            os.sched_setscheduler(process, os.SCHED_RR | os.SCHED_RESET_ON_FORK, lowest)
    except (PermissionError, ProcessLookupError):
        return False
    return True


def prefer_process(process: int) -> Precedence:
    """Have another process of this user's run before others for as long as it lives; says how."""
    if enter_real_time(process):
        return Precedence.REAL_TIME
    try:
        os.setpriority(os.PRIO_PROCESS, process, NICE)
    except OSError:
        return Precedence.NONE
    return Precedence.NICE


def _gain_real_time() -> Undo | None:
    """Enter the class; returns what leaves it again, or None where it is not to be had."""
    if not hasattr(os, "sched_setscheduler"):
        return None
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)

    def undo() -> None:
        try:
            os.sched_setscheduler(0, policy, parameters)
        except PermissionError:
            # Only the privileged may take the mark away that keeps the class from children.
            os.sched_setscheduler(0, policy | os.SCHED_RESET_ON_FORK, parameters)

    turn = _take_turn()
    if turn is None:
        return None
    if not enter_real_time(0):
        turn.close()
        return None

    def leave() -> None:
        undo()
        turn.close()

    return leave


def _take_turn() -> socket.socket | None:
    """The right to the class, of which this machine has one: an address that nobody else has; None if it is taken."""
    turn = socket.socket(socket.AF_UNIX)
    try:
        turn.bind(_TURN)
    except OSError:
        turn.close()
        return None
    return turn


def _gain_nice() -> Undo | None:
    """Take the nice value; returns what gives it back, or None where it is not to be had."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    try:
        os.setpriority(os.PRIO_PROCESS, 0, min(before, NICE))
    except OSError:
        return None

    def undo() -> None:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, before)

    return undo
