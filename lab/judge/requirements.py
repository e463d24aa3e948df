"""What a streaming path must do: a table of requirements, each one sentence and one rule.

A rule looks at the exchanges of one case, by name, and says whether the path met the requirement, with
numbers. A rule that finds nothing to look at (a model server that never died, in a requirement about
dying) says so: the finding is not conclusive, and never met.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from lab.evidence import Evidence
from lab.judge.causes import WELL_BEFORE, lost, model_died, well_before
from lab.judge.endings import VISIBLE, Reading
from lab.judge.verdict import Verdict
from lab.plan import FaultKind, Plan
from lab.vocabulary import Delivery, Ending, Flag, Requirement


@dataclass(frozen=True)
class Exchanged:
    """One exchange, as the judge's rules look at it, with its verdict."""

    reading: Reading
    verdict: Verdict

    @property
    def evidence(self) -> Evidence:
        """Both ends' account of it."""
        return self.reading.evidence


Exchanges = Mapping[str, Exchanged]
"""The exchanges of one case, by name."""


@dataclass(frozen=True)
class Told:
    """What a consumer told its application of one exchange.

    Args:
        kind: `complete`, `partial`, `refused`, `failed`, or `nothing`.
        tokens: the pieces of text that it counted.
    """

    kind: str
    tokens: int


Outcomes = Mapping[str, Told]
"""What one consumer told, by the exchange's name; often empty."""


@dataclass(frozen=True)
class Finding:
    """Whether a requirement was met.

    Args:
        met: whether it was.
        requirement: its sentence.
        expected: what the rule asks for, with numbers.
        actual: what came, with numbers.
        conclusive: False where the exchanges show nothing either way; `met` is then False.
        up_to: the wait, in seconds, up to which it was shown; None where it is about no wait, or not met.
    """

    met: bool
    requirement: str
    expected: str
    actual: str
    conclusive: bool = True
    up_to: float | None = None


@dataclass(frozen=True)
class Checked:
    """What a rule found; the requirement's own sentence is added to make a `Finding`."""

    expected: str
    actual: str
    met: bool
    conclusive: bool = True


Rule = Callable[[Exchanges, Outcomes], Checked]


@dataclass(frozen=True)
class Row:
    """A requirement in words and in code; `wait` is the wait in a plan, in seconds, where it is about one."""

    sentence: str
    rule: Rule
    wait: Callable[[Plan], float] | None = None


def check(requirement: Requirement, exchanges: Exchanges, outcomes: Outcomes | None = None) -> Finding:
    """Hold the exchanges of one case against a requirement.

    Args:
        requirement: which one.
        exchanges: by name; one rule wants the names `stream` and `batch`.
        outcomes: what a consumer told of the exchanges, for the rule about consumers.
    """
    row = REQUIREMENTS[requirement]
    found = row.rule(exchanges, outcomes or {})
    met = found.met and found.conclusive
    up_to = _longest_wait(row.wait, exchanges) if met and row.wait is not None else None
    return Finding(met, row.sentence, found.expected, found.actual, found.conclusive, up_to)


def _longest_wait(wait: Callable[[Plan], float], exchanges: Exchanges) -> float | None:
    """The longest wait that one of them came through; None where none waited."""
    plans = [each.evidence.plan for each in exchanges.values() if each.verdict.ending is Ending.COMPLETE]
    return max((wait(plan) for plan in plans if plan is not None), default=0.0) or None


SHOWN = 2
"""How many exchanges a finding quotes; the report has all of them in figures."""


def _each(
    exchanges: Exchanges, expected: str, concerns: Callable[[Exchanged], bool], holds: Callable[[Exchanged], bool]
) -> Checked:
    """Every exchange that the rule concerns must hold; `actual` tells of those that do not, or else of all."""
    concerned = {name: each for name, each in exchanges.items() if concerns(each)}
    if not concerned:
        return Checked(expected, f"none of {len(exchanges)} exchanges shows it either way", False, conclusive=False)
    bad = {name: each for name, each in concerned.items() if not holds(each)}
    shown = list((bad or concerned).items())
    told = "; ".join(f"{name}: {_tell(each.verdict)}" for name, each in shown[:SHOWN])
    if len(shown) > SHOWN:
        told = f"{'not' if bad else 'all'} {len(shown)} of {len(concerned)}, such as {told}"
    return Checked(expected, told, met=not bad)


def _tell(verdict: Verdict) -> str:
    return f"{verdict.delivery}, {verdict.ending}: {verdict.sentence.removesuffix('.')}"


def _all_complete(exchanges: Exchanges, _: Outcomes) -> Checked:
    return _each(
        exchanges, "every exchange complete", lambda _: True, lambda each: each.verdict.ending is Ending.COMPLETE
    )


def _in_lockstep(each: Exchanged) -> bool:
    """Whether the exchange can prove anything about delivery."""
    plan = each.evidence.plan
    return each.evidence.stream and plan is not None and plan.lockstep


_HELD = frozenset({Delivery.BATCHED, Delivery.COALESCED, Delivery.NONE})


def _incremental(exchanges: Exchanges, _: Outcomes) -> Checked:
    checked = _each(
        exchanges,
        "every stream in lockstep incremental: each token comes before the next is written, at least one within 100 ms",
        _in_lockstep,
        lambda each: each.verdict.delivery is Delivery.INCREMENTAL,
    )
    # Where the probe itself was late, nothing is shown, unless another exchange shows that tokens are held.
    missed = [each for each in exchanges.values() if _in_lockstep(each) and each.verdict.delivery in _HELD]
    return checked if checked.met or missed else replace(checked, conclusive=False)


def _cut_visible(exchanges: Exchanges, _: Outcomes) -> Checked:
    return _each(
        exchanges,
        "where the model died amid its answer, the reply ends as cut or as an error",
        lambda each: model_died(each.reading) and each.verdict.ending is not Ending.COMPLETE,
        lambda each: each.verdict.ending in VISIBLE,
    )


def _nothing_lost(exchanges: Exchanges, _: Outcomes) -> Checked:
    return _each(
        exchanges,
        f"every token that the model wrote {WELL_BEFORE * 1e3:.0f} ms or more before it died has come",
        lambda each: bool(well_before(each.reading)),
        lambda each: not set(lost(each.reading)) & set(well_before(each.reading)),
    )


_ERRORS: Mapping[FaultKind, Ending] = {
    FaultKind.ERROR: Ending.MODEL_ERROR_IN_STREAM,
    FaultKind.STATUS: Ending.MODEL_ERROR_STATUS,
}


def _errors_pass(exchanges: Exchanges, _: Outcomes) -> Checked:
    return _each(
        exchanges,
        "an error event comes as model-error-in-stream, an error status as model-error-status",
        lambda each: each.reading.fault in _ERRORS,
        lambda each: each.reading.fault is not None and each.verdict.ending is _ERRORS[each.reading.fault],
    )


SAME_TOTAL = (0.5, 0.2)
"""Seconds, and part of the longer total: how far a stream and a batch reply may lie apart. The scenarios
last seconds, so a factor between the two would still stand out on a busy machine."""


def _first_token_forward(exchanges: Exchanges, _: Outcomes) -> Checked:
    least, part = SAME_TOTAL
    expected = f"same total within {part:.0%} + {least * 1e3:.0f} ms, the stream's first token before half of it"
    stream, batch = exchanges.get("stream"), exchanges.get("batch")
    if stream is None or batch is None:
        return Checked(expected, "there is no exchange named stream, or none named batch", False, conclusive=False)
    totals = stream.verdict.total, batch.verdict.total
    first = stream.verdict.first_token
    actual = f"stream {totals[0]:.2f} s, batch {totals[1]:.2f} s, first token " + (
        "never" if first is None else f"at {first:.2f} s"
    )
    complete = all(each.verdict.ending is Ending.COMPLETE for each in (stream, batch))
    if not complete:
        return Checked(
            "both complete; " + expected, f"{actual}; {_tell(stream.verdict)}; {_tell(batch.verdict)}", False
        )
    same = abs(totals[0] - totals[1]) <= least + part * max(totals)
    return Checked(expected, actual, met=same and first is not None and first < totals[0] / 2)


def _either(verdict: Verdict, told: Told) -> bool:
    """A whole answer whose reason or marker is missing: calling it partial is caution, not a mistake."""
    unsure = verdict.flags & {Flag.MARKER_MISSING, Flag.FINISH_MISSING}
    return bool(unsure) and told == Told("partial", verdict.received)


def _partial_visible(exchanges: Exchanges, outcomes: Outcomes) -> Checked:
    expected = "a consumer calls a whole answer complete, any part of one partial, and counts its tokens right"
    # What was forged or corrupted on the way, no consumer can know.
    unknowable = (Ending.FORGED_COMPLETE, Ending.CORRUPT)
    known = {
        name: each.verdict
        for name, each in exchanges.items()
        if name in outcomes and each.verdict.received and each.verdict.ending not in unknowable
    }
    if not known:
        return Checked(expected, f"no consumer read any of {len(exchanges)} answers", False, conclusive=False)
    right = {
        name: Told("complete" if verdict.ending is Ending.COMPLETE else "partial", verdict.received)
        for name, verdict in known.items()
    }
    wrong = [name for name in known if outcomes[name] != right[name] and not _either(known[name], outcomes[name])]
    told = "; ".join(
        f"{name}: told {outcomes[name].kind} with {outcomes[name].tokens} tokens, "
        f"the answer was {known[name].ending} with {known[name].received}"
        for name in wrong or known
    )
    return Checked(expected, told, met=not wrong)


def _first_token_of(plan: Plan) -> float:
    return plan.due(1)


def _silence_of(plan: Plan) -> float:
    return max((plan.due(number + 1) - plan.due(number) for number in range(1, plan.tokens)), default=0.0)


def _length_of(plan: Plan) -> float:
    return plan.due(max(plan.tokens, 1))


REQUIREMENTS: Mapping[Requirement, Row] = {
    Requirement.DELIVERS_TOKENS_AS_THEY_COME: Row("The path hands on each token when it comes.", _incremental),
    Requirement.WAITS_FOR_THE_FIRST_TOKEN: Row(
        "The path waits as long as the model takes to begin.", _all_complete, _first_token_of
    ),
    Requirement.SURVIVES_SILENCE: Row(
        "The path keeps a stream whose model is silent for a while.", _all_complete, _silence_of
    ),
    Requirement.LETS_LONG_ANSWERS_FINISH: Row(
        "The path keeps a stream for as long as its answer takes.", _all_complete, _length_of
    ),
    Requirement.WAITS_FOR_BATCH_REPLIES: Row(
        "The path waits for a reply that comes all at once.", _all_complete, _length_of
    ),
    Requirement.SHOWS_A_CUT_AS_A_CUT: Row("A client can see that the model died amid its answer.", _cut_visible),
    Requirement.DELIVERS_WHAT_WAS_SENT: Row("What the model wrote before it died reaches the client.", _nothing_lost),
    Requirement.PASSES_ERRORS_ON: Row("The model's errors reach the client as the model's errors.", _errors_pass),
    Requirement.MOVES_THE_FIRST_TOKEN_FORWARD: Row(
        "A stream takes as long as a batch reply, and its first token comes early.", _first_token_forward
    ),
    Requirement.MAKES_PARTIAL_ANSWERS_VISIBLE: Row(
        "A consumer tells part of an answer from the whole.", _partial_visible
    ),
}
"""Every requirement, in the order of the reports."""
