"""What brought an ending or a delivery about, where the evidence carries it.

The ledger speaks first: what the model server did itself is nobody else's fault. Then the route's timeouts,
then what collected the tokens.
"""

from __future__ import annotations

from collections.abc import Mapping

from lab.judge.endings import Reading
from lab.judge.timeouts import TimeoutFinding
from lab.plan import FaultKind
from lab.vocabulary import Cause, Delivery, Ending
from lab.wire.events import FinishReason

DEATH_SEEN = 5.0
"""Seconds after a model's death by which the client must have been told; Envoy takes one (`delayed_close_timeout`)."""

WELL_BEFORE = 0.5
"""Seconds. What the model wrote so long before its death had the time to get through any path that hands
tokens on at once, on the busiest machine; what it wrote later may be lost with nobody to blame."""

DEADLY = frozenset(
    {FaultKind.FIN, FaultKind.RST, FaultKind.NO_MARKER, FaultKind.FORGE, FaultKind.CUT_JSON, FaultKind.CUT_UTF8}
)
"""Faults by which the model breaks its answer off."""

_BY_ENDING: Mapping[Ending, Cause] = {
    Ending.MODEL_ERROR_IN_STREAM: Cause.MODEL_ERROR,
    Ending.MODEL_ERROR_STATUS: Cause.MODEL_ERROR,
}

_BY_REASON: Mapping[FinishReason, Cause] = {
    FinishReason.LENGTH: Cause.TOKEN_LIMIT,
    FinishReason.CONTENT_FILTER: Cause.CONTENT_FILTER,
}


def cause_of(reading: Reading, ending: Ending, delivery: Delivery, timeout: TimeoutFinding) -> Cause | None:
    """The cause of the ending, or of the delivery where the ending needs none; None if nothing tells."""
    finish = reading.facts.finish
    if ending is Ending.DECLARED_PARTIAL and finish is not None and finish.reason is not None:
        return _BY_REASON[finish.reason]
    if ending in _BY_ENDING:
        return _BY_ENDING[ending]
    if ending is not Ending.COMPLETE:
        cause = _by_model(reading) or _by_path(ending, timeout)
        if cause is not None:
            return cause
    return _by_delivery(reading, delivery)


def lost(reading: Reading) -> tuple[int, ...]:
    """Numbers of the tokens that the model wrote and that never came."""
    ledger = reading.evidence.ledger
    came = {arrival.number for arrival in reading.facts.right}
    return () if ledger is None else tuple(token.number for token in ledger.tokens if token.number not in came)


def well_before(reading: Reading) -> tuple[int, ...]:
    """Numbers of the tokens that the model wrote well before its death; empty if it did not die."""
    ledger = reading.evidence.ledger
    if ledger is None or ledger.fault_at is None or reading.fault not in DEADLY:
        return ()
    limit = ledger.fault_at - WELL_BEFORE
    return tuple(token.number for token in ledger.tokens if token.at <= limit)


def model_died(reading: Reading) -> bool:
    """Whether the model server broke the answer off itself."""
    return reading.fault in DEADLY


def _by_model(reading: Reading) -> Cause | None:
    fault = reading.fault
    if fault in DEADLY:
        return Cause.LOST_IN_BUFFER if set(lost(reading)) & set(well_before(reading)) else Cause.MODEL_DIED
    # A frozen model explains nothing by itself: somebody's timeout ended the wait.
    return None if fault is None or fault is FaultKind.FREEZE else Cause.MODEL_ERROR


def _by_path(ending: Ending, timeout: TimeoutFinding) -> Cause | None:
    return Cause.PROBE_TIMEOUT if ending is Ending.PROBE_TIMEOUT else timeout.cause


def _by_delivery(reading: Reading, delivery: Delivery) -> Cause | None:
    if not reading.evidence.stream or delivery not in (Delivery.BATCHED, Delivery.COALESCED):
        return None
    coding = reading.trace.header("content-encoding").strip().lower()
    return Cause.BUFFER if coding in ("", "identity") else Cause.COMPRESSION
