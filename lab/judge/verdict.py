"""The verdict on an exchange: what the evidence proves, in words of closed sets and in one sentence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from lab.evidence import Evidence
from lab.judge.causes import cause_of, lost
from lab.judge.delivery import Delivered, delivery_of
from lab.judge.endings import Reading, ending_of, wrong_type
from lab.judge.reading import longest_silence
from lab.judge.sentences import sentence_of
from lab.judge.timeouts import Exposure, TimeoutFinding, blame, exposure_of
from lab.vocabulary import Cause, Delivery, Ending, Flag
from lab.wire import format_named
from lab.wire.events import Finish
from lab.wire.tools import CALLED_A_TOOL


@dataclass(frozen=True)
class Verdict:
    """What the evidence of one exchange proves.

    Args:
        delivery: how the tokens came.
        ending: how the answer ended.
        cause: what brought that about; None where nothing tells.
        received: distinct right tokens that came.
        written: distinct tokens that the model server wrote; None without a ledger.
        sentence: the evidence in one sentence, with numbers.
        flags: what else it shows.
        first_byte: seconds from the request to the first byte; None if none came.
        first_token: seconds from the request to the first token; None if none came.
        last_token: seconds from the request to the last new token; None if none came.
        total: seconds from the request to the end.
        longest_silence: the longest time without a byte, in seconds.
        timeout: the value of the path's timeout that ended the exchange, in seconds; None if none did, or if the
            request came to the model server more than once, so that nobody knows when that timeout began.
        timeouts: every kind of timeout that the evidence leaves possible, the likeliest first.
        late: whether the delivery is unproven only because the probe or the model server was late itself.
    """

    delivery: Delivery
    ending: Ending
    cause: Cause | None
    received: int
    written: int | None
    sentence: str
    flags: frozenset[Flag]
    first_byte: float | None
    first_token: float | None
    last_token: float | None
    total: float
    longest_silence: float
    timeout: float | None = None
    timeouts: tuple[Cause, ...] = ()
    late: bool = False


def judge(evidence: Evidence) -> Verdict:
    """Judge one exchange by itself; which timeout cut it, one exchange can often not tell."""
    return judge_all([evidence])[0]


def judge_all(evidences: Sequence[Evidence]) -> list[Verdict]:
    """Judge exchanges over one route together, so that each is a control for the timeouts of the others."""
    return judge_readings([Reading.of(evidence) for evidence in evidences])


def judge_readings(readings: Sequence[Reading]) -> list[Verdict]:
    """The same for exchanges that have been read already."""
    exposures = [exposure_of(reading) for reading in readings]
    joint = blame(exposures)
    return [_verdict(reading, _timeout_of(place, exposures, joint)) for place, reading in enumerate(readings)]


def _timeout_of(place: int, exposures: Sequence[Exposure], joint: TimeoutFinding) -> TimeoutFinding:
    """The one timeout of the route, or where several are at work, this exchange's own.

    What the others survived before they ended is a control for it, however they ended.
    """
    if not exposures[place].died:
        return blame([])
    others = [replace(other, died=False) for number, other in enumerate(exposures) if number != place]
    return joint if joint.kinds else blame([exposures[place], *others])


def _verdict(reading: Reading, timeout: TimeoutFinding) -> Verdict:
    trace, facts, ledger = reading.trace, reading.facts, reading.evidence.ledger
    ending, delivered = ending_of(reading), delivery_of(reading)
    cause = cause_of(reading, ending, delivered.delivery, timeout)
    return Verdict(
        delivery=delivered.delivery,
        ending=ending,
        cause=cause,
        received=facts.received,
        written=None if ledger is None else len({token.number for token in ledger.tokens}),
        sentence=sentence_of(reading, ending, cause, delivered.sentence, timeout.sentence),
        flags=frozenset(_flags(reading, ending, delivered)),
        first_byte=trace.reads[0].at - trace.started if trace.reads else None,
        first_token=facts.right[0].at - trace.started if facts.right else None,
        last_token=facts.right[-1].at - trace.started if facts.right else None,
        total=trace.ended - trace.started,
        longest_silence=longest_silence(trace),
        timeout=None if ledger is not None and ledger.attempts > 1 else timeout.value,
        timeouts=timeout.kinds,
        late=delivered.late,
    )


def _is_unknown(finish: Finish | None) -> bool:
    """Whether the model gave a reason that is no promise of a whole answer."""
    return finish is not None and finish.reason is None and finish.raw not in CALLED_A_TOOL


def _flags(reading: Reading, ending: Ending, delivered: Delivered) -> Iterable[Flag]:
    trace, facts, ledger = reading.trace, reading.facts, reading.evidence.ledger
    whole = ending in (Ending.COMPLETE, Ending.DECLARED_PARTIAL)
    shown: tuple[tuple[Flag, bool], ...] = (
        (Flag.DIRTY_CLOSE, whole and not reading.clean),
        (Flag.MARKER_MISSING, whole and not facts.marker and format_named(reading.evidence.wire_format).has_marker),
        (Flag.FINISH_MISSING, whole and facts.finish is None),
        (Flag.FINISH_UNKNOWN, whole and _is_unknown(facts.finish)),
        (Flag.CALL_BROKEN, whole and bool(facts.call_flaw)),
        (Flag.ALSO_ENDED, facts.error is not None and (facts.marker or facts.finish is not None)),
        (Flag.RETRIED, ledger is not None and ledger.attempts > 1),
        (Flag.LOST_TOKENS, bool(lost(reading))),
        (Flag.HEARTBEATS_ONLY, delivered.delivery is Delivery.NONE and facts.heartbeats > 0),
        (Flag.UNREADABLE_EVENT, not reading.is_error and bool(facts.unreadable)),
        (Flag.WRONG_TYPE, not reading.is_error and wrong_type(reading)),
        (Flag.COMPRESSED, trace.header("content-encoding").strip().lower() not in ("", "identity")),
        (Flag.SEVERAL_MEMBERS, facts.lost_to_members),
        (Flag.ASKED_WITH_HTTP_1_0, ledger is not None and ledger.http_version == "1.0"),
        (Flag.TRAILING_BYTES, trace.detail.endswith("after the end")),
    )
    return (flag for flag, holds in shown if holds)
