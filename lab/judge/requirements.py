"""What a streaming path must do: a table of requirements, each one sentence and one rule.

A rule looks at exchanges over one route, by name, and says whether the path met the requirement, with
numbers. A rule that finds nothing to look at (a model server that never died, in a requirement about
dying) says so: it is inconclusive, and never met.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from lab.evidence import HttpVersion
from lab.judge import rules, sharing, slow_readers
from lab.judge.doubt import Doubt, spared
from lab.judge.exchanged import Exchanged, Exchanges
from lab.judge.rules import Checked, Reports
from lab.plan import Plan
from lab.vocabulary import Ending, Requirement, State

IN_WORDS: Mapping[State, str] = {
    State.MET: "met",
    State.NOT_MET: "not met",
    State.INCONCLUSIVE: "cannot tell",
    State.NOT_APPLICABLE: "not applicable",
}
"""What was observed, as every report says it."""


@dataclass(frozen=True)
class Observation:
    """One requirement on one target.

    Args:
        requirement: which.
        state: whether it is met.
        expected: what its rule asks for, with numbers; where it is not applicable, why.
        actual: what came, with numbers.
        up_to: the wait, in seconds, up to which it was shown; None where it is about no wait, or not met.
        doubt: why the lab's own lateness may be what was seen; empty where it cannot be.
        doubtful: the names of the exchanges of which that is so.
    """

    requirement: Requirement
    state: State
    expected: str
    actual: str
    up_to: float | None = None
    doubt: str = ""
    doubtful: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """The requirement in words."""
        return REQUIREMENTS[self.requirement].sentence

    @property
    def words(self) -> str:
        """What was observed, in a sentence."""
        up_to = f" up to {self.up_to:g} s" if self.up_to else ""
        return f"{IN_WORDS[self.state]}{up_to}: {self.evidence}"

    @property
    def evidence(self) -> str:
        """What bears the state out."""
        match self.state:
            case State.MET:
                return self.actual if self.up_to else self.sentence
            case State.INCONCLUSIVE:
                return self.doubt or self.actual
            case State.NOT_APPLICABLE:
                return self.expected
        return self.actual

    @property
    def met(self) -> bool:
        """Whether it is met."""
        return self.state is State.MET


@dataclass(frozen=True)
class Criterion:
    """A requirement in words and in code.

    Args:
        sentence: in words.
        rule: in code.
        wait: the wait in a plan, in seconds, where it is about one.
        doubt: what may have been the lab's own lateness of what the rule looks at.
        since: the revision of the suite that has it first.
    """

    sentence: str
    rule: rules.Rule
    wait: Callable[[Plan], float] | None = None
    doubt: Callable[[Doubt], str] = lambda doubt: doubt.ending
    since: str = "2026-12"


def check(requirement: Requirement, exchanges: Exchanges, reports: Reports | None = None) -> Checked:
    """Hold exchanges against a requirement, whoever was late.

    Args:
        requirement: which one.
        exchanges: by name; one rule wants the names `stream` and `batch`.
        reports: what a consumer reported of the exchanges, for the rule about consumers.
    """
    found = REQUIREMENTS[requirement].rule(exchanges, reports or {})
    return replace(found, met=found.met and found.conclusive)


def observe(requirement: Requirement, exchanges: Exchanges, reports: Reports | None = None) -> Observation:
    """The same, and where all that speaks against it may be the lab's own lateness, nothing is told."""
    criterion, found = REQUIREMENTS[requirement], check(requirement, exchanges, reports)
    if found.met:
        other = [name for name, each in exchanges.items() if _in_another_version(each)]
        if other:
            actual = f"{', '.join(other)}: asked for over HTTP/2, and answered with HTTP/1.1"
            return Observation(requirement, State.INCONCLUSIVE, found.expected, actual)
        cut_short = {name: spared(each.evidence) for name, each in exchanges.items() if criterion.wait is not None}
        if any(cut_short.values()):
            return _untold(requirement, found, cut_short)
        up_to = _longest_wait(criterion.wait, exchanges) if criterion.wait is not None else None
        return Observation(requirement, State.MET, found.expected, found.actual, up_to)
    doubts = {name: criterion.doubt(each.doubt) for name, each in exchanges.items()}
    # What is left without the doubtful ones may fail by itself.
    sound = check(requirement, {name: each for name, each in exchanges.items() if not doubts[name]}, reports)
    if sound.conclusive and not sound.met:
        return Observation(requirement, State.NOT_MET, found.expected, found.actual)
    if any(doubts.values()) or not found.conclusive:
        return _untold(requirement, found, doubts)
    return Observation(requirement, State.NOT_MET, found.expected, found.actual)


def _untold(requirement: Requirement, found: Checked, doubts: Mapping[str, str]) -> Observation:
    words = {name: why for name, why in doubts.items() if why}
    return Observation(
        requirement,
        State.INCONCLUSIVE,
        found.expected,
        found.actual,
        doubt="; ".join(f"{name}: {why}" for name, why in words.items()),
        doubtful=tuple(words),
    )


def _in_another_version(each: Exchanged) -> bool:
    """Whether client and server agreed on another version than the exchange is about."""
    return each.exchange.http is HttpVersion.HTTP_2 and each.evidence.trace.version not in ("", HttpVersion.HTTP_2)


Observations = Mapping[Requirement, Observation]
"""What was observed of each requirement that something was asked about."""


def observe_all(exchanged: Iterable[Exchanged]) -> Observations:
    """Every requirement that exchanges were made to settle, each over its own."""
    groups: dict[Requirement, dict[str, Exchanged]] = {}
    for each in exchanged:
        for requirement in each.exchange.requirements:
            groups.setdefault(requirement, {})[each.name] = each
    return {
        requirement: observe(requirement, groups[requirement]) for requirement in REQUIREMENTS if requirement in groups
    }


def _longest_wait(wait: Callable[[Plan], float], exchanges: Exchanges) -> float | None:
    """The longest wait that one of them came through, as planned; None where none is known to have waited.

    In lockstep nobody waits for the time that is planned, and without a ledger nobody knows.
    """
    waits = [
        wait(each.exchange.plan)
        for each in exchanges.values()
        if each.verdict.ending is Ending.COMPLETE and each.evidence.ledger and not each.exchange.plan.lockstep
    ]
    return max(waits, default=0.0) or None


def _first_token_of(plan: Plan) -> float:
    return plan.due(1)


def _silence_of(plan: Plan) -> float:
    return max((plan.due(number + 1) - plan.due(number) for number in range(1, plan.tokens)), default=0.0)


def _length_of(plan: Plan) -> float:
    return plan.due(max(plan.tokens, 1))


def _never(_: Doubt) -> str:
    """No lateness brings it about."""
    return ""


REQUIREMENTS: Mapping[Requirement, Criterion] = {
    Requirement.DELIVERS_TOKENS_AS_THEY_COME: Criterion(
        "The path hands on each token when it comes.", rules.incremental, doubt=lambda doubt: doubt.delivery
    ),
    Requirement.SENDS_HEADERS_AT_ONCE: Criterion(
        "A client has the headers before the first token, where the model sends them early.",
        rules.headers_at_once,
    ),
    Requirement.PASSES_HEARTBEATS_ON: Criterion(
        "Heartbeats of a silent model reach the client as they come.",
        rules.heartbeats_pass,
    ),
    Requirement.WAITS_FOR_THE_FIRST_TOKEN: Criterion(
        "The path waits as long as the model takes to begin.", rules.all_complete, _first_token_of
    ),
    Requirement.SURVIVES_SILENCE: Criterion(
        "The path keeps a stream whose model is silent for a while.", rules.all_complete, _silence_of
    ),
    Requirement.LETS_LONG_ANSWERS_FINISH: Criterion(
        "The path keeps a stream for as long as its answer takes.", rules.all_complete, _length_of
    ),
    Requirement.WAITS_FOR_BATCH_REPLIES: Criterion(
        "The path waits for a reply that comes all at once.", rules.all_complete, _length_of
    ),
    Requirement.SHOWS_A_CUT_AS_A_CUT: Criterion(
        "A client can see that the model died amid its answer.", rules.cut_visible, doubt=lambda doubt: doubt.cut
    ),
    Requirement.FORGES_NO_END: Criterion(
        "Nobody but the model says that its answer is finished.", rules.no_end_forged, doubt=_never
    ),
    Requirement.ENDS_WHEN_THE_MODEL_DIES: Criterion(
        "A client does not wait for a model that died.", rules.death_ends_it
    ),
    Requirement.DELIVERS_WHAT_WAS_SENT: Criterion(
        "What the model wrote before it died reaches the client.", rules.nothing_lost
    ),
    Requirement.PASSES_ERRORS_ON: Criterion(
        "The model's errors reach the client as the model's errors.", rules.errors_pass
    ),
    Requirement.STOPS_WHEN_THE_CLIENT_LEAVES: Criterion(
        "A client that leaves stops the model.", rules.stops, doubt=lambda doubt: doubt.stop
    ),
    Requirement.GENERATES_ONCE: Criterion("Each request is generated once.", rules.once),
    Requirement.MOVES_THE_FIRST_TOKEN_FORWARD: Criterion(
        "A stream takes as long as a batch reply, and its first token comes early.", rules.first_token_forward
    ),
    Requirement.MAKES_PARTIAL_ANSWERS_VISIBLE: Criterion(
        "A consumer tells part of an answer from the whole.", rules.partial_visible
    ),
    Requirement.SERVES_OTHERS_MEANWHILE: Criterion(
        "Streams that run keep no other client waiting.", sharing.served_at_once, doubt=lambda doubt: doubt.wait
    ),
    Requirement.TURNS_NOBODY_AWAY: Criterion("No client is turned away because others come too.", rules.all_complete),
    Requirement.SURVIVES_A_RELOAD: Criterion(
        "No answer ends because the configuration is read anew.", rules.all_complete
    ),
    Requirement.SURVIVES_A_MODEL_RESTART: Criterion(
        "No answer ends because one of several model servers is started anew.", rules.all_complete
    ),
    Requirement.REUSES_CONNECTIONS: Criterion(
        "Requests one after the other share a connection to the model.", sharing.connections_shared, doubt=_never
    ),
    Requirement.REUSES_NO_CLOSED_CONNECTION: Criterion(
        "No answer is lost because the model has closed an idle connection.", rules.all_complete
    ),
    Requirement.WAITS_FOR_SLOW_READERS: Criterion(
        "The path keeps a stream whose client stops reading for a while.", slow_readers.kept_for_slow_readers
    ),
}
"""Every requirement, in the order of the reports."""
