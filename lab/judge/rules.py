"""The rules of the requirements: each looks at exchanges over one route, and says with numbers what it found. Pure.

A rule that finds nothing to look at (a model server that never died, for a rule about dying) says so: what it found is
not conclusive, and never met. Rules take lateness into account only where they measure times themselves; for the rest
see `lab.judge.doubt`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from lab.evidence import Evidence, Ledger, TransportEnd
from lab.judge.causes import DEADLY, DEATH_SEEN, WELL_BEFORE, lost, model_died, well_before
from lab.judge.endings import OWN_ENDS, VISIBLE
from lab.judge.exchanged import Exchanged, Exchanges
from lab.judge.sentences import NOT_SERVED, refused_in_words
from lab.judge.verdict import Verdict
from lab.plan import FaultKind, Headers
from lab.vocabulary import Delivery, Ending, Flag


@dataclass(frozen=True)
class Reported:
    """What a consumer reported to its application of one exchange.

    Args:
        kind: `complete`, `partial`, `refused`, `failed`, or `nothing`.
        tokens: the pieces of text that it counted.
    """

    kind: str
    tokens: int


Reports = Mapping[str, Reported]
"""What one consumer reported, by the exchange's name; often empty."""


@dataclass(frozen=True)
class Checked:
    """What a rule found; not `conclusive` where the exchanges show nothing either way, and `met` is then False."""

    expected: str
    actual: str
    met: bool
    conclusive: bool = True


Rule = Callable[[Exchanges, Reports], Checked]


SHOWN = 2
"""Exchanges that a finding quotes; the report has all."""


def each_of(
    exchanges: Exchanges,
    expected: str,
    concerns: Callable[[Exchanged], bool],
    holds: Callable[[Exchanged], bool],
    tell: Callable[[Exchanged], str] | None = None,
    planned: Callable[[Exchanged], bool] | None = None,
    needs: str = "",
) -> Checked:
    """Every exchange that the rule concerns must hold; `actual` tells of those that do not, or else of all.

    What was `planned` to be one of them, and came to be none, forbids "met": it was lost, or refused, or cut before.
    `needs` is what an exchange must have for the rule to concern it, where its plan may lack that.
    """
    concerned = {name: each for name, each in exchanges.items() if concerns(each)}
    if not concerned and exchanges and all(map(_not_served, exchanges.values())):
        return _nothing_served(expected, exchanges)
    if not concerned:
        one = "the exchange does not show it" if len(exchanges) == 1 else f"none of {len(exchanges)} exchanges shows it"
        return Checked(expected, f"{one} either way{f': {needs}' if needs else ''}", False, conclusive=False)
    bad = {name: each for name, each in concerned.items() if not holds(each)}
    silent = [name for name, each in exchanges.items() if planned and planned(each) and name not in concerned]
    if silent and not bad:
        told = f"{', '.join(silent[:SHOWN])}: {tell_of(exchanges[silent[0]])}"
        return Checked(expected, f"{len(silent)} of {len(exchanges)} show nothing, such as {told}", False, False)
    shown = list((bad or concerned).items())
    told = "; ".join(f"{name}: {(tell or tell_of)(each)}" for name, each in shown[:SHOWN])
    if len(shown) > SHOWN:
        told = f"{'not' if bad else 'all'} {len(shown)} of {len(concerned)}, such as {told}"
    return Checked(expected, told, met=not bad)


def _not_served(each: Exchanged) -> bool:
    """Whether the model server has nothing at what it was asked for: that is no answer of the path's."""
    return each.evidence.refused is not None and each.evidence.refused.status in NOT_SERVED


def _nothing_served(expected: str, exchanges: Exchanges) -> Checked:
    words = {refused_in_words(each.evidence): None for each in exchanges.values()}
    return Checked(expected, "; ".join(words), False, False)


def tell_of(each: Exchanged) -> str:
    """What came of an exchange, in words."""
    verdict = each.verdict
    return f"{verdict.delivery}, {verdict.ending}: {verdict.sentence.removesuffix('.')}"


def all_complete(exchanges: Exchanges, _: Reports) -> Checked:
    """Every exchange comes to its end."""
    return each_of(
        exchanges,
        "every exchange complete",
        lambda each: not _not_served(each),
        lambda each: each.verdict.ending is Ending.COMPLETE and _for_every_client(each),
        planned=lambda _: True,
    )


def _for_every_client(each: Exchanged) -> bool:
    """Whether clients that stop after the first member of gzip, which most do, read all of it too."""
    return Flag.SEVERAL_MEMBERS not in each.verdict.flags


def _in_lockstep(each: Exchanged) -> bool:
    """Whether the exchange can prove anything about delivery."""
    plan = each.evidence.plan
    return each.evidence.stream and plan is not None and plan.lockstep


def _tells_of_delivery(each: Exchanged) -> bool:
    """The same, where the model wrote: what never came to it proves nothing about how the path delivers."""
    ledger = each.evidence.ledger
    return _in_lockstep(each) and ledger is not None and bool(ledger.tokens)


_HELD = frozenset({Delivery.BATCHED, Delivery.COALESCED, Delivery.NONE})


def incremental(exchanges: Exchanges, _: Reports) -> Checked:
    """Every stream in lockstep comes token by token."""
    checked = each_of(
        exchanges,
        "every stream in lockstep incremental: each token comes before the next is written, at least one within 100 ms",
        _tells_of_delivery,
        lambda each: each.verdict.delivery is Delivery.INCREMENTAL and _for_every_client(each),
        planned=_in_lockstep,
    )
    # Where the probe itself was late, nothing is shown, unless another exchange shows that tokens are held.
    asked = [each for each in exchanges.values() if _tells_of_delivery(each)]
    missed = [each for each in asked if each.verdict.delivery in _HELD or not _for_every_client(each)]
    return checked if checked.met or missed else replace(checked, conclusive=False)


def _to_die(each: Exchanged) -> bool:
    """Whether the model was to break the answer off."""
    fault = each.exchange.plan.fault
    return fault is not None and fault.kind in DEADLY


def cut_visible(exchanges: Exchanges, _: Reports) -> Checked:
    """A death amid the answer is one that a client can see."""
    return each_of(
        exchanges,
        "where the model died amid its answer, the reply ends as cut or as an error",
        lambda each: model_died(each.reading) and each.verdict.ending is not Ending.COMPLETE,
        lambda each: each.verdict.ending in VISIBLE,
        planned=_to_die,
    )


def nothing_lost(exchanges: Exchanges, _: Reports) -> Checked:
    """What was written well before a death has come."""
    return each_of(
        exchanges,
        f"every token that the model wrote {WELL_BEFORE * 1e3:.0f} ms or more before it died has come",
        lambda each: bool(well_before(each.reading)),
        lambda each: not set(lost(each.reading)) & set(well_before(each.reading)),
        planned=lambda each: _to_die(each) and each.exchange.plan.fault_delay >= WELL_BEFORE,
        needs=(
            f"a model must die {WELL_BEFORE * 1e3:.0f} ms or more after a token (fault_delay = "
            f'"{WELL_BEFORE * 1e3:.0f}ms" in the plan), since what it writes sooner before may be lost by nobody'
        ),
    )


_ERRORS: Mapping[FaultKind, Ending] = {
    FaultKind.ERROR: Ending.MODEL_ERROR_IN_STREAM,
    FaultKind.STATUS: Ending.MODEL_ERROR_STATUS,
}


def errors_pass(exchanges: Exchanges, _: Reports) -> Checked:
    """An error of the model's comes as what it is."""
    return each_of(
        exchanges,
        "an error event comes as model-error-in-stream, an error status as model-error-status",
        lambda each: each.reading.fault in _ERRORS,
        lambda each: each.reading.fault is not None and each.verdict.ending is _ERRORS[each.reading.fault],
        planned=lambda each: each.exchange.plan.fault is not None and each.exchange.plan.fault.kind in _ERRORS,
    )


SAME_TOTAL = (0.5, 0.2)
"""Seconds, and part of the longer total, by which stream and batch may differ: a factor still stands out when busy."""


def first_token_forward(exchanges: Exchanges, _: Reports) -> Checked:
    """A stream and a batch reply take as long, and the stream's first token comes early."""
    least, part = SAME_TOTAL
    expected = f"same total within {part:.0%} + {least * 1e3:.0f} ms, the stream's first token before half of it"
    stream, batch = exchanges.get("stream"), exchanges.get("batch")
    if stream is None or batch is None:
        return Checked(expected, "there is no exchange named stream, or none named batch", False, False)
    if _not_served(stream) and _not_served(batch):
        return _nothing_served(expected, exchanges)
    totals = stream.verdict.total, batch.verdict.total
    first = stream.verdict.first_token
    actual = f"stream {totals[0]:.2f} s, batch {totals[1]:.2f} s, first token " + (
        "never" if first is None else f"at {first:.2f} s"
    )
    complete = all(each.verdict.ending is Ending.COMPLETE for each in (stream, batch))
    if not complete:
        return Checked("both complete; " + expected, f"{actual}; {tell_of(stream)}; {tell_of(batch)}", False)
    same = abs(totals[0] - totals[1]) <= least + part * max(totals)
    return Checked(expected, actual, met=same and first is not None and first < totals[0] / 2)


UNSURE = frozenset({Flag.MARKER_MISSING, Flag.FINISH_MISSING, Flag.FINISH_UNKNOWN, Flag.CALL_BROKEN})
"""Flags of an answer that came to its end and may not be whole for all that."""


def _either(verdict: Verdict, told: Reported) -> bool:
    """A whole answer whose reason, marker or call is not: calling it partial is no mistake."""
    return bool(verdict.flags & UNSURE) and told == Reported("partial", verdict.received)


def partial_visible(exchanges: Exchanges, reports: Reports) -> Checked:
    """A consumer reports a part as a part, and the whole as the whole."""
    expected = "a consumer calls a whole answer complete, any part of one partial, and counts its tokens right"
    # What was forged or corrupted on the way, no consumer can know.
    unknowable = (Ending.FORGED_COMPLETE, Ending.CORRUPT)
    known = {
        name: each.verdict
        for name, each in exchanges.items()
        if name in reports and each.verdict.received and each.verdict.ending not in unknowable
    }
    if not known:
        return Checked(expected, f"no consumer read any of {len(exchanges)} answers", False, conclusive=False)
    right = {
        name: Reported("complete" if verdict.ending is Ending.COMPLETE else "partial", verdict.received)
        for name, verdict in known.items()
    }
    wrong = [name for name in known if reports[name] != right[name] and not _either(known[name], reports[name])]
    told = "; ".join(
        f"{name}: told {reports[name].kind} with {reports[name].tokens} tokens, "
        f"the answer was {known[name].ending} with {known[name].received}"
        for name in wrong or known
    )
    return Checked(expected, told, met=not wrong)


ALWAYS_SOON = 2.0
"""Seconds within which a hop must have told the other side that one of them has gone."""


def headers_at_once(exchanges: Exchanges, _: Reports) -> Checked:
    """Headers that the model sends early come early."""
    return each_of(
        exchanges,
        "headers that the model sends before its first token reach the client before that token leaves",
        lambda each: lead(each) is not None,
        lambda each: (lead(each) or 0.0) > min(LEAST_LEAD, each.exchange.plan.due(1) / 2),
        lambda each: f"headers {lead_in_words(lead(each) or 0.0)} the first token left",
        planned=lambda each: each.exchange.plan.headers is Headers.EARLY,
    )


LEAST_LEAD = 0.1
"""Seconds: by less, the two ends' clocks differ that a round trip compares, on a busy machine."""


def lead_in_words(seconds: float) -> str:
    """How long before something headers came, or how long after it."""
    return f"{seconds:.2f} s before" if seconds > 0 else f"{-seconds:.2f} s after"


def lead(each: Exchanged) -> float | None:
    """Seconds by which headers came before the first token left; None where that shows nothing."""
    plan, trace, ledger = each.evidence.plan, each.evidence.trace, each.evidence.ledger
    early = plan is not None and plan.headers is Headers.EARLY
    if not early or ledger is None or not ledger.tokens or trace.headers_at is None:
        return None
    first = ledger.tokens[0].at
    return first - trace.headers_at + (trace.stalled(first, trace.headers_at) if trace.headers_at > first else 0.0)


TIME_TO_COME = 0.5
"""Seconds that a heartbeat may take: a silent model sends one by the second, and a proxy that waits for the processor
holds it for a while."""


def heartbeats_pass(exchanges: Exchanges, _: Reports) -> Checked:
    """Heartbeats come while the model is silent."""
    return each_of(
        exchanges,
        f"each heartbeat of a silent model comes within {TIME_TO_COME:g} s",
        lambda each: bool(_beats(each)),
        lambda each: all(_beats(each)),
        lambda each: f"{sum(_beats(each))} of {len(_beats(each))} heartbeats did",
        planned=lambda each: bool(each.exchange.plan.heartbeat),
    )


def _beats(each: Exchanged) -> list[bool]:
    """Of each heartbeat of the model's, whether it came in time; without those that the exchange left no time for."""
    trace, ledger = each.evidence.trace, each.evidence.ledger
    came = list(each.reading.facts.beats)
    found = []
    for sent in ledger.heartbeats if ledger else ():
        # In the order of sending, each its own: one that comes late stands for one of those before it.
        while came and came[0] < sent:
            came.pop(0)
        at = came.pop(0) if came else math.inf
        until = min(at, trace.ended)
        took = until - sent - trace.stalled(sent, until)
        if took > TIME_TO_COME or until == at:
            found.append(took <= TIME_TO_COME)
    return found


def stops(exchanges: Exchanges, _: Reports) -> Checked:
    """The model learns that its client has left."""
    return each_of(
        exchanges,
        f"when the client leaves, the model learns of it within {ALWAYS_SOON:g} s",
        lambda each: went_on(each) is not None,
        lambda each: (went_on(each) or 0.0) <= ALWAYS_SOON,
        lambda each: f"the model went on for {went_on(each) or 0.0:.1f} s",
        planned=lambda each: each.exchange.leave_after is not None,
    )


def went_on(each: Exchanged) -> float | None:
    """Seconds for which the model went on after its client had left; None where nobody left, or nobody knows."""
    trace, ledger = each.evidence.trace, each.evidence.ledger
    if trace.end is not TransportEnd.LEFT or ledger is None:
        return None
    # A model that has the request later goes on from then; whoever asks again then has not heard of the leaving.
    since = max(trace.ended, ledger.started) if ledger.attempts == 1 else trace.ended
    if ledger.client_left is not None:
        return max(0.0, ledger.client_left - since - each.evidence.stalled(since, ledger.client_left))
    # A model that came to its end so soon shows nothing: it might have gone on.
    after = 0.0 if ledger.finished is None else ledger.finished - since
    return after if after > ALWAYS_SOON else None


def once(exchanges: Exchanges, _: Reports) -> Checked:
    """No request is generated twice."""
    return each_of(
        exchanges,
        "each request is generated once; what the model server refuses by a status is no generation",
        lambda each: each.evidence.ledger is not None,
        lambda each: generations(each.evidence.ledger) <= 1,
        lambda each: f"generated {generations(each.evidence.ledger)} times",
        # One that was left before its request came shows nothing, by the probe's own doing.
        planned=lambda each: each.evidence.trace.end is not TransportEnd.LEFT,
    )


def generations(ledger: Ledger | None) -> int:
    """How often a request was generated, as far as the ledger knows."""
    return 0 if ledger is None else ledger.generations


def no_end_forged(exchanges: Exchanges, _: Reports) -> Checked:
    """No answer of a model that died says that it is finished."""
    return each_of(
        exchanges,
        "where the model died amid its answer, or the path ended it, nobody says that it was finished",
        lambda each: model_died(each.reading) or each.verdict.ending is Ending.FORGED_COMPLETE,
        lambda each: each.verdict.ending not in (Ending.FORGED_COMPLETE, Ending.COMPLETE),
        planned=_to_die,
    )


def death_ends_it(exchanges: Exchanges, _: Reports) -> Checked:
    """The client learns that the model has died."""
    return each_of(
        exchanges,
        f"when the model died, the client learns of it within {DEATH_SEEN:g} s",
        lambda each: model_died(each.reading),
        lambda each: each.evidence.trace.end not in OWN_ENDS and _hung(each.evidence) <= DEATH_SEEN,
        lambda each: f"{each.evidence.trace.end} {_hung(each.evidence):.1f} s after it",
        planned=_to_die,
    )


def _hung(evidence: Evidence) -> float:
    """Seconds from the model's death to the end that the client saw."""
    ledger = evidence.ledger
    return 0.0 if ledger is None or ledger.fault_at is None else max(0.0, evidence.trace.ended - ledger.fault_at)
