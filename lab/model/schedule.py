"""The schedule: a plan, a wire format and a request, turned into the bytes to write and when.

Each step has its payload serialised and its offset from the request, so that the writing side does nothing but wait
and write, and lateness never adds up. Pure: no clock, no socket. The same plan and request give the same steps, byte
for byte.

What a short reply needs is made before it starts and kept for the streams of a load test, which share a plan; a long
one is made as it leaves, some steps at a time. So what a client asks for costs no memory of its length.

Warnings: a heartbeat is planned into the silences of the schedule, not into those that lockstep adds. And where the end
of a long reply must be known beforehand (its length in bytes, its last moment under jitter) that takes some 2
microseconds a token: two seconds for a million.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from types import TracebackType

from lab.model.faults import batch_schedule, generated_schedule, stream_schedule
from lab.model.steps import End, Schedule, Script, Step
from lab.plan import FaultKind, Framing, HeartbeatFrom, Plan, PlanError
from lab.wire.events import FinishReason
from lab.wire.format import Asked, Reply, WireFormat

_MOST_SHARED = 64 * 2**20

_IN_TOKENS = frozenset({FaultKind.CUT_JSON, FaultKind.CUT_UTF8, FaultKind.FOREIGN})
"""Faults that strike inside a token of the lab's own."""

# Two offsets closer than this are the same time; it only absorbs the rounding of sums.
_SAME = 1e-6


@dataclass
class _Lent:
    """A schedule that is kept; a context manager for whoever uses it."""

    schedule: Schedule
    size: int
    users: int = 0

    def __enter__(self) -> Schedule:
        self.users += 1
        return self.schedule

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.users -= 1


class Shelf:
    """Short schedules that are kept, by what they were made from, as long as there is room; the least used go first.

    Args:
        most: bytes that they may take together, those in use included.
    """

    def __init__(self, most: int = _MOST_SHARED) -> None:
        self._most = most
        self._held = 0
        self._lent: OrderedDict[tuple[Script, bool], _Lent] = OrderedDict()

    def lend(self, script: Script, *, stream: bool) -> AbstractContextManager[Schedule]:
        """The schedule, kept while it is in use; one that finds no room is made as it leaves, like a long one."""
        return self._find(script, stream) or nullcontext(compose(script, stream=stream))

    def _find(self, script: Script, stream: bool) -> _Lent | None:
        key = script, stream
        lent = self._lent.get(key)
        if lent is None:
            if not self._make_room(script.size):
                return None
            self._held += script.size
            lent = self._lent[key] = _Lent(replace(compose(script, stream=stream), kept=True), script.size)
        self._lent.move_to_end(key)
        return lent

    def _make_room(self, wanted: int) -> bool:
        if self._held + wanted > self._most:
            for key in [key for key, lent in self._lent.items() if not lent.users]:
                self._held -= self._lent.pop(key).size
                if self._held + wanted <= self._most:
                    break
        return self._held + wanted <= self._most


def make_schedule(plan: Plan, wire: WireFormat, asked: Asked) -> Schedule:
    """The schedule for one request; raises as `make_script`."""
    return compose(make_script(plan, wire, asked), stream=asked.stream)


def make_streams(script: Script) -> tuple[Schedule, Schedule]:
    """A background response's first stream, with its faults, and what the model generates behind it."""
    return (
        _with_heartbeats(script, stream_schedule(script)),
        _with_heartbeats(script, generated_schedule(script)),
    )


def make_script(plan: Plan, wire: WireFormat, asked: Asked, name: str = "") -> Script:
    """Join a plan to a request.

    Args:
        plan: the plan.
        wire: the wire format.
        asked: the request.
        name: is added to the reply's id, so that two replies to one plan can be told apart.

    Raises:
        PlanError: the plan makes no sense for such a request; names the field.
    """
    if asked.stream and plan.framing is Framing.LENGTH:
        raise PlanError("framing", "length is for batch replies; a stream's length is not known before its end")
    if not asked.stream and plan.heartbeat:
        raise PlanError("heartbeat", "a batch reply has no place for heartbeats")
    if asked.wanted.json and plan.fault is not None and plan.fault.kind in _IN_TOKENS:
        raise PlanError("fault", f"{plan.fault} spoils a token, and an answer of JSON has none")
    tokens, reason = plan.tokens, plan.finish
    if asked.max_tokens is not None and asked.max_tokens < tokens:
        tokens, reason = asked.max_tokens, FinishReason.LENGTH
    digest = hashlib.sha256(f"{wire.name} {plan.to_query()}".encode()).hexdigest()
    reply = Reply(
        f"lab-{digest[:16]}{name}",
        asked.model,
        include_usage=asked.include_usage,
        background=asked.background,
        wanted=asked.wanted,
    )
    return _stopped(Script(plan, wire, reply, tokens, reason))


def _stopped(script: Script) -> Script:
    """The script of an answer that ends before the token which would have one of the request's stop texts in it."""
    stops = script.reply.wanted.stop
    if not stops or script.reply.wanted.json:
        return script
    if not script.short:
        raise PlanError("stop", "an answer that is so long is not searched for a text")
    longest, text = max(map(len, stops)), ""
    for before, token in enumerate(script.texts()):
        text = text[-longest:] + token
        if any(stop in text for stop in stops):
            return replace(script, tokens=before, reason=FinishReason.STOP)
    return script


def compose(script: Script, *, stream: bool) -> Schedule:
    """The schedule of a streamed or a batch reply."""
    return _with_heartbeats(script, stream_schedule(script)) if stream else batch_schedule(script)


def _with_heartbeats(script: Script, schedule: Schedule) -> Schedule:
    """Fill every silence of a streamed schedule that is longer than the plan's heartbeat."""
    if not script.plan.heartbeat or not schedule.stream or schedule.silent:
        return schedule
    return replace(schedule, make=lambda: _beating(script, schedule))


def _beating(script: Script, schedule: Schedule) -> Iterator[Step]:
    beat = Step(0.0, script.wire.heartbeat(), heartbeat=True)
    begun, since = script.plan.heartbeat_from is HeartbeatFrom.START, 0.0
    for step in schedule.make():
        if begun:
            yield from _beats(beat, since, step.offset, script.plan.heartbeat)
        yield step
        begun, since = begun or bool(step.tokens), step.offset
    # The end bounds the last silence; behind it nothing beats.
    if begun:
        yield from _beats(beat, since, schedule.end_at, script.plan.heartbeat)


def _beats(beat: Step, since: float, until: float, every: float) -> Iterator[Step]:
    """The heartbeats in one silence; none at its very end, where something else leaves."""
    count = 1
    while (offset := since + count * every) < until - _SAME:
        yield beat._replace(offset=offset)
        count += 1


__all__ = ["End", "Schedule", "Script", "Shelf", "Step", "compose", "make_schedule", "make_script", "make_streams"]
