"""How the answer ended: a table of rules, of which the first that holds gives the ending.

The order matters. What the tokens prove comes first, then what cannot be read, then what the reply says of itself,
then what the transport saw: a marker counts even if the connection broke after it, but not after an event that may
hide text, and a clean end counts for nothing without one. Warning: `forged-complete` and `corrupt` need the plan as
the truth; of an endpoint that is not the lab's, only what the tokens say of themselves can be known, and what a reply
says twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from lab.evidence import Evidence, Trace, TransportEnd
from lab.judge.reading import Facts, read
from lab.plan import FaultKind
from lab.vocabulary import Ending
from lab.wire import format_named
from lab.wire.events import ErrorEvent, FinishReason

CLEAN_ENDS = frozenset({TransportEnd.FRAMED, TransportEnd.CLOSED})
"""Ends that a client takes for the end of the body."""

OWN_ENDS = frozenset(
    {
        TransportEnd.CONNECT_TIMEOUT,
        TransportEnd.HEADERS_TIMEOUT,
        TransportEnd.FIRST_TOKEN_TIMEOUT,
        TransportEnd.MIDDLE_TIMEOUT,
        TransportEnd.TOTAL_TIMEOUT,
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
class Reading:
    """One exchange, read: what the rules look at."""

    evidence: Evidence
    facts: Facts

    @classmethod
    def of(cls, evidence: Evidence) -> Self:
        """Read an exchange; whoever needs the reading twice keeps it, since reading takes most of the judge's time."""
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


def _corrupt(reading: Reading) -> bool:
    return reading.may_answer and bool(reading.facts.spoilt or reading.facts.contradiction)


def _error_in_stream(reading: Reading) -> bool:
    return reading.may_answer and reading.facts.error is not None


def _claims_an_end(reading: Reading) -> bool:
    return reading.may_answer and (reading.facts.finish is not None or reading.facts.marker)


def _forged(reading: Reading) -> bool:
    return _claims_an_end(reading) and not reading.facts.all_there


def _broken(reading: Reading) -> bool:
    """An event of the answer cannot be read, so that text may be missing, whatever else says that it is whole.

    Half an event is what every failed connection leaves; the failure is the ending then.
    """
    facts = reading.facts
    understood = facts.recognised > facts.heartbeats
    return reading.may_answer and understood and bool(facts.unreadable) and (facts.broken_amid or reading.clean)


def _ended_by_itself(reading: Reading) -> bool:
    """The answer said that it was over: by its marker, or by its reason on a connection that ended well."""
    return _claims_an_end(reading) and (reading.facts.marker or reading.clean)


def _declared_partial(reading: Reading) -> bool:
    finish = reading.facts.finish
    return _ended_by_itself(reading) and finish is not None and finish.reason in _PARTIAL


def _model_status(reading: Reading) -> bool:
    if not reading.is_error:
        return False
    refused = reading.evidence.refused
    if refused is not None:
        # Whatever page a hop has put in its place.
        return refused.status == reading.trace.status
    body = b"".join(piece.data for piece in reading.trace.body)
    events = format_named(reading.evidence.wire_format).read_batch(body)
    if not any(isinstance(event, ErrorEvent) for event in events):
        return False
    # With a ledger the shape is not enough: a gateway may speak the vendor's language.
    ledger = reading.evidence.ledger
    return ledger is None or ledger.fault == f"{FaultKind.STATUS}@{reading.trace.status}"


def wrong_type(reading: Reading) -> bool:
    """Whether the content type is neither missing nor what was asked for."""
    wanted = format_named(reading.evidence.wire_format).stream_type if reading.evidence.stream else "application/json"
    came = reading.trace.header("content-type")
    return bool(came) and main_type(came) != main_type(wanted)


def _wrong_reply(reading: Reading) -> bool:
    if reading.trace.status is None:
        return False
    if reading.is_redirect:
        return True
    nothing = reading.facts.recognised == reading.facts.heartbeats
    no_event = bool(reading.facts.body_bytes) and not reading.facts.recognised and not reading.facts.unreadable
    return nothing and (reading.trace.status != 200 or wrong_type(reading) or (no_event and reading.clean))


def _malformed(reading: Reading) -> bool:
    return bool(reading.facts.unreadable) or reading.trace.end is TransportEnd.NOT_HTTP


RULES: tuple[tuple[Ending, Callable[[Reading], bool]], ...] = (
    (Ending.CORRUPT, _corrupt),
    (Ending.MODEL_ERROR_IN_STREAM, _error_in_stream),
    (Ending.FORGED_COMPLETE, _forged),
    (Ending.MALFORMED, _broken),
    (Ending.DECLARED_PARTIAL, _declared_partial),
    (Ending.COMPLETE, _ended_by_itself),
    (Ending.MODEL_ERROR_STATUS, _model_status),
    (Ending.PROXY_ERROR_STATUS, lambda reading: reading.is_error),
    (Ending.WRONG_REPLY, _wrong_reply),
    (Ending.PROBE_TIMEOUT, lambda reading: reading.trace.end in OWN_ENDS),
    (Ending.CUT, lambda reading: reading.trace.end in BROKEN_ENDS),
    (Ending.MALFORMED, _malformed),
    (Ending.SILENTLY_TRUNCATED, lambda _: True),
)


def ending_of(reading: Reading) -> Ending:
    """The ending of the first rule that holds; the last one always does."""
    return next(ending for ending, holds in RULES if holds(reading))


def main_type(content_type: str) -> str:
    """A content type without its parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()
