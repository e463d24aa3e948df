"""Which of several tries of one request answered: hops ask again, and some take whichever answer comes first. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lab.evidence import Ledger, Trace
from lab.plan import FaultKind
from lab.probe.body import BodyReader
from lab.wire.format import WireFormat

_CLOCKS = 0.05
"""Seconds by which the probe's clock and the model server's may differ, at most."""


def that_answered(tries: Sequence[Ledger], trace: Trace, wire: WireFormat, *, stream: bool) -> Ledger | None:
    """The try whose writing came, with the number of all tries; None without any.

    Nothing comes before it was written: it is the last try that had written every token by the time it came, or, where
    none had or none came, the last of all.

    Args:
        tries: what the model server did, oldest first.
        trace: what the probe saw.
        wire: the dialect.
        stream: whether a stream was asked for.
    """
    if not tries:
        return None
    came = _came(trace, wire, stream=stream) if len(tries) > 1 else {}
    wrote = [each for each in tries if came and _explains(each, came)]
    refused = [each for each in tries if each.fault.partition("@")[0] == FaultKind.STATUS]
    return replace((wrote or tries)[-1], attempts=len(tries), refused=len(refused))


def _came(trace: Trace, wire: WireFormat, *, stream: bool) -> dict[int, float]:
    """When each token came first, by its number."""
    body = BodyReader(wire, stream=stream, coding=trace.header("content-encoding"))
    pieces = [(read.at, body.feed(read.data)) for read in trace.body]
    pieces.append((trace.ended, body.close()))
    came: dict[int, float] = {}
    for at, piece in pieces:
        for stamp in piece.tokens:
            came.setdefault(stamp.number, at)
    return came


def _explains(attempt: Ledger, came: dict[int, float]) -> bool:
    written = {token.number: token.at for token in reversed(attempt.tokens)}
    return all(number in written and written[number] <= at + _CLOCKS for number, at in came.items())
