"""What the lab's own lateness may have brought about, so that no path is blamed for it, nor praised.

Strategy. Probe and model server both note when they did not run (`lab.pulse`), and the ledger tells by how much each
token missed its time, and how long the request was on its way. That can spoil two things: what is known of delivery
(the delivery rules say so themselves), and every ending that a wait decides, for a wait that was longer, or a silence
that was shorter, than the plan asked for may have brought it about. A reply that is corrupt, or an error that the model
itself sent, is so at any speed, and so is a client that waits on and on, for a dead model or for what was due long ago;
what the path ended before the planned wait was over, no longer wait has ended; and a clean end on half an answer hides
the death that came before it, whatever brought it about.

The bound is an upper one: lateness is added up over the whole exchange, although only that of one wait counts. It can
make too many exchanges doubtful and never too few. Where nobody was late, nothing is in doubt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf

from lab.evidence import Evidence, TransportEnd
from lab.judge.causes import DEATH_SEEN
from lab.judge.endings import WHOLE
from lab.judge.verdict import Verdict
from lab.plan import FaultKind, HeartbeatFrom
from lab.vocabulary import Delivery, Ending

MARGIN = 0.25
"""Seconds. Half of the least that the scenarios keep between a timeout and what must outlive it, or must not: whatever
keeps probe and model server from running keeps the proxy too, and of that nobody tells."""

LONGEST_WAIT = 1.0
"""Seconds that a request may be on its way to the model. A path that has room for it takes some milliseconds; one that
queues it lets it wait for the rest of an answer. A busy machine was seen to add 1.1 s to a TLS handshake, so that a
wait that is not much longer counts only where it can have been for the others."""

STARVED = 2.0
"""Seconds: what takes longer than this no proxy does for want of the processor alone."""

UNKEPT = "the connection that it was to come over had been closed"
"""Why an exchange over a new connection shows nothing, in words."""

TOLD = 0.01
"""Seconds of lateness that are worth a word."""

_AT_ANY_SPEED = frozenset(
    {
        Ending.CORRUPT,
        Ending.FORGED_COMPLETE,
        Ending.WRONG_REPLY,
        Ending.MODEL_ERROR_IN_STREAM,
        Ending.MODEL_ERROR_STATUS,
    }
)
"""Endings that no wait brings about."""

_BY_THE_PATH = frozenset({Ending.CUT, Ending.SILENTLY_TRUNCATED, Ending.PROXY_ERROR_STATUS})
"""Endings that a timeout of the path brings about."""


@dataclass(frozen=True)
class Others:
    """What the others over the same route tell of one exchange.

    Args:
        late: seconds by which the model server was late with them, where it never had this one; else 0.
        ended: whether one of them ended while this one was on its way to the model server.
    """

    late: float = 0.0
    ended: bool = False


ALONE = Others()
"""What is known of an exchange by itself."""


@dataclass(frozen=True)
class Doubt:
    """Why statements about one exchange may be the lab's own doing, in words; empty where they cannot be.

    Args:
        delivery: what is said about how its tokens came.
        ending: what is said about how and when it ended.
        cut: what is said about whether its client can see that the model died.
        stop: what is said about whether the model learnt that its client had left.
        wait: what is said about how long the request was on its way.
    """

    delivery: str = ""
    ending: str = ""
    cut: str = ""
    stop: str = ""
    wait: str = ""


def doubt_of(evidence: Evidence, verdict: Verdict, others: Others = ALONE) -> Doubt:
    """What about a verdict the lateness of probe and model server can explain.

    Args:
        evidence: of one exchange.
        verdict: on it.
        others: what those over the same route tell of it.
    """
    if evidence.trace.unkept:
        return Doubt(UNKEPT, UNKEPT, UNKEPT, UNKEPT, UNKEPT)
    left = evidence.trace.end is TransportEnd.LEFT and not evidence.trace.detail
    if left and evidence.ledger is None and evidence.plan is not None:
        why = "the request was still on its way when the client left"
        return Doubt(ending=why, cut=why, stop=why, wait=why)
    late = lateness(evidence, others.late)
    words = _in_words(evidence, others.late)
    too_soon = verdict.ending in _BY_THE_PATH and ended_too_soon(evidence, verdict.received)
    hung = verdict.ending is Ending.PROBE_TIMEOUT and _overdue(evidence) > MARGIN + late
    never_told = _after_death(evidence) > DEATH_SEEN + late
    at_any_speed = verdict.ending in _AT_ANY_SPEED or too_soon or hung or never_told
    ending = words if late > MARGIN and not at_any_speed else ""
    cut = "" if verdict.ending is Ending.SILENTLY_TRUNCATED and _after_death(evidence) > 0 else ending
    apart = words if late - _on_its_way(evidence) > MARGIN else ""
    wait = apart or _in_no_queue(evidence, verdict, others)
    # Nobody is late by the rest of an answer: a model that came to its end for nobody was never told.
    stop = "" if evidence.ledger is not None and evidence.ledger.client_left is None else (ending and apart)
    if verdict.late:
        return Doubt(
            f"nothing tells how its tokens came, for {_who(evidence)} was late itself", ending, cut, stop, wait
        )
    # What ended too early to show anything, a wait may have ended.
    early = verdict.ending not in WHOLE and verdict.delivery in (Delivery.NONE, Delivery.UNPROVEN)
    return Doubt(ending if early else "", ending, cut, stop, wait)


def _in_no_queue(evidence: Evidence, verdict: Verdict, others: Others) -> str:
    """Why a request that was long on its way waited for none of the others, in words; empty if it may have.

    What a path lets wait for others, it lets go on when one of them ends. Where none did, it was a proxy that had too
    little of the processor, say. A client tells by itself how long it had no connection.
    """
    ledger = evidence.ledger
    slow = 0.0 if ledger is None or ledger.attempts > 1 else ledger.started - evidence.trace.asked_at
    queued = others.ended or evidence.queued >= TOLD
    if verdict.ending is not Ending.COMPLETE or queued or not LONGEST_WAIT < slow <= STARVED:
        return ""
    return f"the request was on its way for {slow * 1e3:,.0f} ms, in which none of the others ended"


def lateness(evidence: Evidence, meanwhile: float = 0.0) -> float:
    """By how much a wait of the exchange may have been longer than planned, in seconds, with no path to blame.

    Args:
        evidence: of one exchange.
        meanwhile: by how much the model server was late with others over the same route, see `Others`.
    """
    ours = _probe_stalled(evidence) + max(model_late(evidence), meanwhile) + evidence.late
    return ours + _on_its_way(evidence)


def model_late(evidence: Evidence) -> float:
    """Seconds by which the model server was late in an exchange; 0 where it never had it."""
    return max(behind_schedule(evidence), _model_stalled(evidence))


def others_of(evidence: Sequence[Evidence]) -> list[Others]:
    """What exchanges over one route tell of each of them.

    What a path refuses for there being too much at once, it refuses because of those that it still carries; where these
    were late, there were more of them. No ledger of its own tells that.
    """
    return [Others(_late_with_others(each, evidence), _ended_meanwhile(each, evidence)) for each in evidence]


def _late_with_others(mine: Evidence, evidence: Sequence[Evidence]) -> float:
    if mine.ledger is not None:
        return 0.0
    late = 0.0
    for each in evidence:
        overlap = each.trace.started < mine.trace.ended and each.trace.ended > mine.trace.started
        if overlap and each.ledger is not None:
            late = max(late, model_late(each))
    return late


def _ended_meanwhile(mine: Evidence, evidence: Sequence[Evidence]) -> bool:
    if mine.ledger is None:
        return False
    for each in evidence:
        ends = [each.trace.ended]
        if each.ledger is not None:
            ends += [at for at in (each.ledger.finished, each.ledger.client_left) if at is not None]
        if each is not mine and any(mine.trace.asked_at < at <= mine.ledger.started for at in ends):
            return True
    return False


def behind_schedule(evidence: Evidence) -> float:
    """By how much the model server missed its own schedule at most, in seconds.

    0 in lockstep or without ledger, and where its client stopped reading: then the path holds it back, as it should.
    """
    plan, ledger = evidence.plan, evidence.ledger
    if plan is None or ledger is None or plan.lockstep or evidence.trace.pause is not None:
        return 0.0
    late = 0.0
    for token in ledger.tokens:
        # A batch reply leaves whole, when its last token is due.
        due = plan.due(token.number) + plan.jitter if evidence.stream else plan.length
        late = max(late, token.at - ledger.started - due)
    return late


def ended_too_soon(evidence: Evidence, received: int) -> bool:
    """Whether the path ended an exchange while the planned wait was still running, and the planned length too.

    Whatever timer of the path has run out then is shorter than the plan, or longer by no more than `MARGIN`, however
    late anybody was: the wait is counted from the last token that the path passed on. One that it had not passed on may
    have left so late that the wait before it was over by then. The end is that of either side: Envoy tells the client
    a second after it has left the model.

    Args:
        evidence: of one exchange.
        received: how many tokens its client has.
    """
    plan, ledger, began = evidence.plan, evidence.ledger, evidence.trace.started
    if plan is None or ledger is None or plan.lockstep or ledger.attempts > 1 or ledger.fault_at is not None:
        return False
    ended = evidence.trace.ended if ledger.client_left is None else min(evidence.trace.ended, ledger.client_left)
    if ended - began > plan.length + MARGIN or received >= plan.tokens or received > len(ledger.tokens):
        return False
    if not evidence.stream:
        return True
    wait = plan.due(1)
    if received:
        began, wait = ledger.tokens[received - 1].at, plan.due(received + 1) - plan.due(received)
    if plan.heartbeat and (received or plan.heartbeat_from is HeartbeatFrom.START):
        wait = min(wait, plan.heartbeat)
    return ended - began <= wait + MARGIN


def _overdue(evidence: Evidence) -> float:
    """Seconds for which the client waited beyond the planned end of a whole answer; less than 0 if there is none."""
    plan, trace = evidence.plan, evidence.trace
    if plan is None or plan.fault is not None:
        return -inf
    rested = 0.0 if trace.pause is None else trace.pause.until - trace.pause.since
    return trace.ended - trace.started - plan.longest - rested


def _after_death(evidence: Evidence) -> float:
    """Seconds after the model's death at which the reply ended; less than 0 before it, or if it did not die.

    What the probe saw as it woke may have come at any time of its sleep.
    """
    ledger, trace = evidence.ledger, evidence.trace
    if ledger is None or ledger.fault_at is None or ledger.fault.startswith(FaultKind.FREEZE):
        return -inf
    return trace.ended - trace.stalled(ledger.fault_at, trace.ended) - ledger.fault_at


def spared(evidence: Evidence) -> str:
    """Why the path was not put to the test that the plan asked for, in words; empty if it was.

    A token that leaves late shortens the silence after it, and a path that survives half of a silence has not shown
    that it survives the whole.
    """
    plan, ledger = evidence.plan, evidence.ledger
    if evidence.trace.unkept:
        return UNKEPT
    if evidence.late > MARGIN:
        return f"what it was to meet was {evidence.late:.2f} s from its time"
    if plan is None or ledger is None or plan.lockstep or not evidence.stream:
        return ""
    planned = lasted = 0.0
    for before, after in pairwise(ledger.tokens):
        planned = max(planned, plan.due(after.number) - plan.due(before.number))
        lasted = max(lasted, after.at - before.at)
    if planned - lasted <= MARGIN + plan.jitter:
        return ""
    return f"a silence of {planned:.2f} s lasted for {lasted:.2f} s only, since a token left late"


def _probe_stalled(evidence: Evidence) -> float:
    return evidence.trace.stalled(evidence.trace.started, evidence.trace.ended)


def _model_stalled(evidence: Evidence) -> float:
    trace, ledger = evidence.trace, evidence.ledger
    return 0.0 if ledger is None else ledger.stalled(trace.started, trace.ended)


def _on_its_way(evidence: Evidence) -> float:
    """How long the request took to the model server, which no path delays by more than some milliseconds on purpose."""
    ledger = evidence.ledger
    # Of a second attempt nobody knows when it left.
    return 0.0 if ledger is None or ledger.attempts > 1 else max(0.0, ledger.started - evidence.trace.started)


def _who(evidence: Evidence) -> str:
    return "the probe" if evidence.trace.stalls else "the model server"


def _in_words(evidence: Evidence, meanwhile: float) -> str:
    """Who was late, and by how much."""
    late = (
        ("the probe stopped for {} in all", _probe_stalled(evidence)),
        ("the model server stopped for {} in all", _model_stalled(evidence)),
        ("a token left {} late", behind_schedule(evidence)),
        ("the model server was {} late with others meanwhile", meanwhile),
        ("it began {} late", evidence.late),
        ("the request was on its way for {}", _on_its_way(evidence)),
    )
    return ", ".join(words.format(f"{seconds * 1e3:,.0f} ms") for words, seconds in late if seconds >= TOLD)
