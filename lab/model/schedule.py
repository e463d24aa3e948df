"""The schedule: a plan, a wire format and a request, turned into the bytes to write and when.

Everything is worked out before the reply starts: each step has its payload serialised and its offset
from the request, so that the writing side does nothing but wait and write, and lateness never adds up.
Pure: no clock, no socket. The same plan and request give the same steps, byte for byte.

Warnings: a heartbeat is planned into the silences of the schedule, not into those that lockstep adds. And
working a schedule out takes some 2 microseconds a token, during which no other reply of the process moves:
nothing for a thousand tokens, two seconds for a million.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

from lab.model.faults import batch_schedule, generated_schedule, stream_schedule
from lab.model.steps import End, Schedule, Script, Step
from lab.plan import Framing, HeartbeatFrom, Plan, PlanError
from lab.wire.events import FinishReason
from lab.wire.format import Asked, Reply, WireFormat

# The streams of one load test share a plan; a longer schedule is not worth the memory.
_CACHED_TOKENS = 5_000
_CACHED_PADDING = 200

# Two offsets closer than this are the same time; it only absorbs the rounding of sums.
_SAME = 1e-6


def make_schedule(plan: Plan, wire: WireFormat, asked: Asked) -> Schedule:
    """The schedule for one request.

    Raises:
        PlanError: the plan makes no sense for such a request; names the field.
    """
    script = make_script(plan, wire, asked)
    if script.tokens > _CACHED_TOKENS or plan.padding > _CACHED_PADDING:
        return _compose(script, asked.stream)
    return _compose_cached(script, asked.stream)


def make_streams(script: Script) -> tuple[Schedule, Schedule]:
    """A background response's first stream, with its faults, and what the model generates behind it."""
    return (
        _with_heartbeats(script, stream_schedule(script)),
        _with_heartbeats(script, generated_schedule(script)),
    )


def make_script(plan: Plan, wire: WireFormat, asked: Asked, name: str = "") -> Script:
    """Join a plan to a request; raises as `make_schedule`.

    Args:
        plan: the plan.
        wire: the wire format.
        asked: the request.
        name: is added to the reply's id, so that two replies to one plan can be told apart.
    """
    if asked.stream and plan.framing is Framing.LENGTH:
        raise PlanError("framing", "length is for batch replies; a stream's length is not known before its end")
    if not asked.stream and plan.heartbeat:
        raise PlanError("heartbeat", "a batch reply has no place for heartbeats")
    tokens, reason = plan.tokens, plan.finish
    if asked.max_tokens is not None and asked.max_tokens < tokens:
        tokens, reason = asked.max_tokens, FinishReason.LENGTH
    digest = hashlib.sha256(f"{wire.name} {plan.to_query()}".encode()).hexdigest()
    reply = Reply(
        f"lab-{digest[:16]}{name}", asked.model, include_usage=asked.include_usage, background=asked.background
    )
    return Script(plan, wire, reply, tokens, reason)


def _compose(script: Script, stream: bool) -> Schedule:
    return _with_heartbeats(script, stream_schedule(script)) if stream else batch_schedule(script)


_compose_cached = lru_cache(maxsize=64)(_compose)


def _with_heartbeats(script: Script, schedule: Schedule) -> Schedule:
    """Fill every silence of a streamed schedule that is longer than the plan's heartbeat."""
    every = script.plan.heartbeat
    if not every or not schedule.stream or schedule.silent:
        return schedule
    begun = script.plan.heartbeat_from is HeartbeatFrom.START
    beat = Step(0.0, script.wire.heartbeat(), heartbeat=True)
    steps: list[Step] = []
    fault_step = schedule.fault_step
    # The end bounds the last silence; behind it nothing beats.
    ends = [0.0, *(step.offset for step in schedule.steps), schedule.end_at]
    for index, (since, until) in enumerate(pairwise(ends)):
        beats = [beat._replace(offset=offset) for offset in _beats(since, until, every)] if begun else []
        steps += [*beats, *schedule.steps[index : index + 1]]
        begun = begun or bool(steps and steps[-1].tokens)
        if index <= schedule.fault_step:
            fault_step += len(beats)
    return replace(schedule, steps=tuple(steps), fault_step=fault_step)


def _beats(since: float, until: float, every: float) -> Iterator[float]:
    """Offsets of the heartbeats in one silence; none at its very end, where something else leaves."""
    count = 1
    while (offset := since + count * every) < until - _SAME:
        yield offset
        count += 1


__all__ = ["End", "Schedule", "Script", "Step", "make_schedule", "make_script", "make_streams"]
