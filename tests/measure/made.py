"""Exchanges that are written down: what the plan says, played on paper up to the time at which something ended it."""

from __future__ import annotations

import zlib
from dataclasses import replace

from lab.evidence import Evidence, Ledger, Read, Stall, Trace, TransportEnd, Written
from lab.judge import Exchanged
from lab.model.schedule import make_schedule
from lab.plan import Headers
from lab.suite.exchange import Exchange
from lab.wire import format_named
from lab.wire.format import Asked

_GZIP = 31
"""zlib's number for gzip."""

CHAT = format_named("openai-chat")
BEGAN = 1000.0
"""When every exchange was asked, on the probe's clock, plus its own delay."""


def played(
    asking: Exchange,
    *,
    cut: float | None = None,
    seen: float | None = None,
    end: TransportEnd = TransportEnd.SHORT_FIN,
    left: float | None = None,
    faulted: bool = False,
    finished: float | None = None,
    version: str = "1.1",
    coding: str = "",
    stalls: tuple[Stall, ...] = (),
) -> Exchanged:
    """One exchange; every time is in seconds from its request.

    Args:
        asking: what was asked.
        cut: when something ended it; None for nothing, so that it came to its own end.
        seen: when the probe saw that; None for at once.
        end: how it looked to the probe.
        left: when the model server saw the other side close; None if it never did.
        faulted: whether it was the model that cut, as its plan says.
        finished: when the model came to its end; None for with the stream, or never if it was cut.
        version: of the reply.
        coding: its content coding: gzip, flushed after each token, or empty for none.
        stalls: when the probe did not run, on its own clock.
    """
    start, plan = BEGAN + asking.delay, asking.plan
    schedule = make_schedule(plan, CHAT, Asked("lab", asking.stream))
    steps = [step for step in schedule.steps if cut is None or step.offset < cut]
    early = plan.headers is Headers.EARLY
    squeeze = zlib.compressobj(wbits=_GZIP)
    reads = tuple(
        Read(
            start + step.offset,
            squeeze.compress(step.payload) + squeeze.flush(zlib.Z_SYNC_FLUSH) if coding else step.payload,
        )
        for step in steps
    )
    headers = [("content-type", schedule.content_type), *([("content-encoding", coding)] if coding else [])]
    headers_at = start if early else reads[0].at if reads else None
    own = reads[-1].at if reads else start
    ended = own if cut is None else start + (cut if seen is None else seen)
    trace = Trace(
        started=start,
        ended=ended,
        end=TransportEnd.FRAMED if cut is None else end,
        status=None if headers_at is None else 200,
        version=version,
        headers=tuple(headers),
        headers_at=headers_at,
        framing="chunked",
        reads=reads,
        body=reads,
        stalls=stalls,
    )
    ledger = Ledger(
        request="x",
        started=start,
        headers_at=headers_at,
        tokens=tuple(Written(number, start + step.offset) for step in steps for number in step.tokens),
        fault=str(plan.fault) if faulted else "",
        fault_at=start + cut if faulted and cut is not None else None,
        finished=own if cut is None else None if finished is None else start + finished,
        client_left=None if left is None else start + left,
    )
    return Exchanged.alone(asking, Evidence("openai-chat", asking.stream, trace, plan, ledger))


def later(exchanged: Exchanged, seconds: float) -> Exchanged:
    """The same, with an end that came so much later to the probe."""
    trace = replace(exchanged.evidence.trace, ended=exchanged.evidence.trace.ended + seconds)
    return Exchanged.alone(exchanged.exchange, replace(exchanged.evidence, trace=trace))
