"""How the answer ended: a table of rules, of which the first that holds gives the ending.

The order matters. What the tokens prove comes first, then what the reply says of itself, then what the
transport saw: a marker counts even if the connection broke after it, and a clean end counts for
nothing without one. Warning: `forged-complete` and `corrupt` need the plan as the truth; of an endpoint
that is not the lab's, only what the tokens say of themselves can be known, and what a reply says twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from lab.evidence import Evidence, Trace, TransportEnd
from lab.judge.reading import Facts, read
from lab.plan import FaultKind
from lab.wire import format_named
from lab.wire.events import ErrorEvent, FinishReason
from lab.words import Ending

CLEAN_ENDS = frozenset({TransportEnd.FRAMED, TransportEnd.CLOSED})
"""Ends that a client takes for the end of the body."""

OWN_ENDS = frozenset(
    {
        TransportEnd.CONNECT_TIME_OUT,
        TransportEnd.HEADERS_TIME_OUT,
        TransportEnd.FIRST_TOKEN_TIME_OUT,
        TransportEnd.MIDDLE_TIME_OUT,
        TransportEnd.TOTAL_TIME_OUT,
        TransportEnd.LEFT,
    }
)
"""Ends that the probe brought about itself."""

NEVER_OPENED = frozenset({TransportEnd.UNRESOLVED, TransportEnd.REFUSED, TransportEnd.TLS_FAILED})
"""Ends before any request was made: the endpoint's address is at fault, and nothing on a path of tokens."""

BROKEN_ENDS = frozenset({TransportEnd.SHORT_FIN, TransportEnd.RESET, TransportEnd.NO_REPLY, *NEVER_OPENED})
"""Ends that every client can see to be wrong."""

WHOLE = frozenset({Ending.COMPLETE, Ending.DECLARED_PARTIAL})
"""Endings of an answer that came as far as the model meant it to."""

VISIBLE = frozenset({Ending.CUT, Ending.MODEL_ERROR_IN_STREAM, Ending.MODEL_ERROR_STATUS, Ending.PROXY_ERROR_STATUS})
"""Endings by which every client sees that something went wrong."""

_PARTIAL = frozenset({FinishReason.LENGTH, FinishReason.CONTENT_FILTER})


@dataclass(frozen=True)
class Case:
    """One exchange, read: what the rules look at."""

    evidence: Evidence
    facts: Facts

    @classmethod
    def of(cls, evidence: Evidence) -> Self:
        """Read an exchange; whoever needs the case twice keeps it, since reading takes most of the judge's time."""
        return cls(evidence, read(evidence))

    @property
    def trace(self) -> Trace:
        """What the probe saw."""
        return self.evidence.trace

    @property
    def clean(self) -> bool:
        """Whether the transport ended as a whole body does."""
        return self.trace.end in CLEAN_ENDS

    @property
    def fault(self) -> FaultKind | None:
        """The fault that the model server injected before the exchange ended; None if it did not."""
        ledger = self.evidence.ledger
        if ledger is None or not ledger.fault or ledger.fault_at is None:
            return None
        return FaultKind(ledger.fault.partition("@")[0])

    @property
    def is_error(self) -> bool:
        """Whether the status alone says that there is no answer."""
        return (self.trace.status or 0) >= 400

    @property
    def is_redirect(self) -> bool:
        """Whether the answer, if there is one, is somewhere else; no client reads the body of such a reply."""
        return 300 <= (self.trace.status or 0) < 400

    @property
    def may_answer(self) -> bool:
        """Whether the status lets the body be an answer; without one, nothing speaks against it."""
        return not self.is_error and not self.is_redirect


def _corrupt(case: Case) -> bool:
    return case.may_answer and bool(case.facts.spoilt or case.facts.contradiction)


def _error_in_stream(case: Case) -> bool:
    return case.may_answer and case.facts.error is not None


def _claims_an_end(case: Case) -> bool:
    return case.may_answer and (case.facts.finish is not None or case.facts.marker)


def _forged(case: Case) -> bool:
    return _claims_an_end(case) and not case.facts.all_there


def _ended_by_itself(case: Case) -> bool:
    """The answer said that it was over: by its marker, or by its reason on a connection that ended well."""
    return _claims_an_end(case) and (case.facts.marker or case.clean)


def _declared_partial(case: Case) -> bool:
    finish = case.facts.finish
    return _ended_by_itself(case) and finish is not None and finish.reason in _PARTIAL


def _model_status(case: Case) -> bool:
    if not case.is_error:
        return False
    body = b"".join(piece.data for piece in case.trace.body)
    events = format_named(case.evidence.wire_format).read_batch(body)
    if not any(isinstance(event, ErrorEvent) for event in events):
        return False
    # With a ledger the shape is not enough: a gateway may speak the vendor's language.
    ledger = case.evidence.ledger
    return ledger is None or ledger.fault == f"{FaultKind.STATUS}@{case.trace.status}"


def wrong_type(case: Case) -> bool:
    """Whether the content type is neither missing nor what was asked for."""
    wanted = format_named(case.evidence.wire_format).stream_type if case.evidence.stream else "application/json"
    came = case.trace.header("content-type")
    return bool(came) and main_type(came) != main_type(wanted)


def _wrong_reply(case: Case) -> bool:
    if case.trace.status is None:
        return False
    if case.is_redirect:
        return True
    nothing = case.facts.recognised == case.facts.heartbeats
    no_event = bool(case.facts.body_bytes) and not case.facts.recognised and not case.facts.unreadable
    return nothing and (case.trace.status != 200 or wrong_type(case) or (no_event and case.clean))


def _malformed(case: Case) -> bool:
    return bool(case.facts.unreadable) or case.trace.end is TransportEnd.NOT_HTTP


RULES: tuple[tuple[Ending, Callable[[Case], bool]], ...] = (
    (Ending.CORRUPT, _corrupt),
    (Ending.MODEL_ERROR_IN_STREAM, _error_in_stream),
    (Ending.FORGED_COMPLETE, _forged),
    (Ending.DECLARED_PARTIAL, _declared_partial),
    (Ending.COMPLETE, _ended_by_itself),
    (Ending.MODEL_ERROR_STATUS, _model_status),
    (Ending.PROXY_ERROR_STATUS, lambda case: case.is_error),
    (Ending.WRONG_REPLY, _wrong_reply),
    (Ending.TIME_OUT, lambda case: case.trace.end in OWN_ENDS),
    (Ending.CUT, lambda case: case.trace.end in BROKEN_ENDS),
    (Ending.MALFORMED, _malformed),
    (Ending.SILENTLY_TRUNCATED, lambda _: True),
)


def ending_of(case: Case) -> Ending:
    """The ending of the first rule that holds; the last one always does."""
    return next(ending for ending, holds in RULES if holds(case))


def main_type(content_type: str) -> str:
    """A content type without its parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()
