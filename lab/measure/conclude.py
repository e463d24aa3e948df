"""From exchanges to findings: a sentence for each requirement, and the smallest timeout beside the longest answer.

Pure. What is about timeouts is decided by the search, what is about deaths and errors by the judge's own rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab.judge.requirements import Exchanged, check
from lab.measure.effects import effects_of
from lab.measure.findings import ActiveFindings, Answer, Found, RequirementFound, StreamResult
from lab.measure.lives import LATE_MODEL, Made, lives_of, model_was_late
from lab.measure.refine import follow_ups, refined
from lab.measure.settings import settings_of
from lab.measure.timeouts import Timeouts, find_timeouts
from lab.suite.requests import PLAIN, SHORTEST_TIMEOUT, Asking, Role, once_more
from lab.vocabulary import Ending, Requirement, Watched

_BY_TIMEOUT: Mapping[Requirement, tuple[Watched, ...]] = {
    Requirement.WAITS_FOR_THE_FIRST_TOKEN: (Watched.FIRST_BYTE, Watched.FIRST_TOKEN),
    Requirement.SURVIVES_SILENCE: (Watched.IDLE,),
    Requirement.LETS_LONG_ANSWERS_FINISH: (Watched.TOTAL,),
    Requirement.WAITS_FOR_BATCH_REPLIES: (Watched.BATCH_REPLY,),
}

_BY_RULE: Mapping[Requirement, tuple[Role, ...]] = {
    Requirement.DELIVERS_TOKENS_AS_THEY_COME: (Role.SETTING,),
    Requirement.SHOWS_A_CUT_AS_A_CUT: (Role.CUT,),
    Requirement.DELIVERS_WHAT_WAS_SENT: (Role.CUT,),
    Requirement.PASSES_ERRORS_ON: (Role.ERROR,),
    Requirement.MOVES_THE_FIRST_TOKEN_FORWARD: (Role.CHOICE,),
}

_UNSEEN = frozenset({Ending.SILENTLY_TRUNCATED, Ending.FORGED_COMPLETE})
"""Endings that a client takes for the answer's own."""


@dataclass(frozen=True)
class Audited:
    """What was audited, beside the exchanges; the fields are those of `ActiveFindings`."""

    url: str
    model_url: str
    through_path: bool
    wire_format: str
    longest: float
    began: float
    seconds: float
    notes: tuple[str, ...] = ()


def conclude(audited: Audited, made: Sequence[Made]) -> ActiveFindings:
    """Everything that follows from the exchanges of one active audit."""
    lives = lives_of(made)
    late = sum(model_was_late(each) for each in made if each.asking.watched is not None)
    timeouts = refined(made, find_timeouts(lives, audited.longest, audited.began))
    requirements = tuple(_requirement(each, made, timeouts, audited.longest) for each in Requirement)
    refused = [life for life in lives if life.refused]
    notes = list(audited.notes)
    if late:
        notes.append(f"{late} streams of the search are not counted: the model server itself was late with a token")
    if refused:
        looks = ", ".join(sorted({life.looks for life in refused}))
        notes.append(f"{len(refused)} of {len(lives)} streams of the search never came to the model server: {looks}")
    return ActiveFindings(
        url=audited.url,
        model_url=audited.model_url,
        through_path=audited.through_path,
        wire_format=audited.wire_format,
        longest=audited.longest,
        shortest=SHORTEST_TIMEOUT,
        seconds=round(audited.seconds, 3),
        requests=len(made),
        timeouts=timeouts.found,
        smallest=timeouts.smallest,
        deaths=timeouts.deaths,
        effects=effects_of(made, lives, timeouts),
        settings=settings_of(made, timeouts),
        requirements=requirements,
        summary=_summary(timeouts, requirements, audited.longest),
        notes=tuple(notes),
        exchanges=tuple(_result(each) for each in made),
    )


def doubts(made: Sequence[Made], longest: float) -> list[Asking]:
    """What is to be asked once more before anything is concluded; mostly nothing."""
    timeouts = find_timeouts(lives_of(made), longest, 0.0)
    late = [each.watched for each in timeouts.found if each.too_late]
    return [*follow_ups(made, timeouts), *once_more(longest, late)]


def _requirement(
    requirement: Requirement, made: Sequence[Made], timeouts: Timeouts, longest: float
) -> RequirementFound:
    if requirement in _BY_TIMEOUT:
        return _by_timeout(requirement, timeouts, longest)
    if requirement is Requirement.MOVES_THE_FIRST_TOKEN_FORWARD and (unlike := _incomparable(made)) is not None:
        return unlike
    if requirement is Requirement.SHOWS_A_CUT_AS_A_CUT and (hidden := _hidden_cuts(made)) is not None:
        return hidden
    if requirement in _BY_RULE:
        return _by_rule(requirement, made)
    why = "is about the client and not about the path: see lab clients"
    return RequirementFound(requirement, Answer.UNKNOWN, f"cannot tell: {requirement} {why}")


def _by_timeout(requirement: Requirement, timeouts: Timeouts, longest: float) -> RequirementFound:
    found = [timeouts.of(watched) for watched in _BY_TIMEOUT[requirement]]
    # A timeout of just that length ends some answers of that length; and what ends every one need not have a name.
    broken = [each for each in found if each.value is not None and each.value - each.uncertainty <= longest]
    if broken:
        worst = min(broken, key=lambda each: each.value or 0.0)
        return RequirementFound(requirement, Answer.NO, f"not met for {longest:g} s: {worst.sentence}")
    unsure = [each for each in found if each.found in (Found.UNKNOWN, Found.HIDDEN) and each.proven < longest]
    if unsure:
        return RequirementFound(requirement, Answer.UNKNOWN, f"cannot tell: {unsure[0].sentence}")
    least = min(found, key=lambda each: each.proven)
    return RequirementFound(requirement, Answer.YES, f"met for {longest:g} s: {least.sentence}")


def _by_rule(requirement: Requirement, made: Sequence[Made]) -> RequirementFound:
    roles = _BY_RULE[requirement]
    exchanges = {
        each.asking.name: Exchanged(each.reading, each.verdict)
        for each in made
        # Other ways of asking than the plain one are told beside it, as settings.
        if each.asking.role in roles and (each.asking.role is not Role.SETTING or each.asking.name.startswith(PLAIN))
    }
    finding = check(requirement, exchanges)
    met = Answer.UNKNOWN if not finding.conclusive else Answer.YES if finding.met else Answer.NO
    words = {Answer.YES: "met", Answer.NO: "not met", Answer.UNKNOWN: "cannot tell"}
    told = finding.requirement if met is Answer.YES else finding.actual
    return RequirementFound(requirement, met, f"{words[met]}: {told}")


def _hidden_cuts(made: Sequence[Made]) -> RequirementFound | None:
    """Streams that the path itself ended as if they were over: no client sees that; None without one."""
    ended = [each for each in made if each.asking.role is Role.SEARCH and each.exposure.died]
    hidden = [each for each in ended if each.verdict.ending in _UNSEEN]
    if not hidden:
        return None
    looks = " or ".join(sorted({each.verdict.ending.value for each in hidden}))
    sentence = f"not met: {len(hidden)} of the {len(ended)} streams that the path ended are {looks} to the client"
    return RequirementFound(Requirement.SHOWS_A_CUT_AS_A_CUT, Answer.NO, sentence)


def _incomparable(made: Sequence[Made]) -> RequirementFound | None:
    """Why stream and batch cannot be compared: what ended one of them is another requirement's; None if they can."""
    choice = [each for each in made if each.asking.role is Role.CHOICE]
    words = [f"the {each.asking.name} ended as {each.verdict.ending}" for each in choice if not _complete(each)]
    words += ["the machine was late by itself" for each in choice if _lateness(each) > LATE_MODEL]
    if not words:
        return None
    sentence = f"cannot tell: {', '.join(dict.fromkeys(words))}, so that the totals cannot be compared"
    return RequirementFound(Requirement.MOVES_THE_FIRST_TOKEN_FORWARD, Answer.UNKNOWN, sentence)


def _complete(made: Made) -> bool:
    return made.verdict.ending is Ending.COMPLETE


def _lateness(made: Made) -> float:
    """Seconds by which the model server was late with a first token, and either end with everything."""
    trace, ledger = made.evidence.trace, made.evidence.ledger
    first = ledger.tokens[0].at - trace.started - made.asking.plan.due(1) if ledger and ledger.tokens else 0.0
    return (first if made.asking.stream else 0.0) + made.evidence.stalled(trace.started, trace.ended)


def _summary(timeouts: Timeouts, requirements: Sequence[RequirementFound], longest: float) -> str:
    smallest = timeouts.smallest
    if smallest is not None:
        place = "shorter" if smallest < longest else "longer"
        first = (
            f"The smallest timeout on the path is {smallest:.2f} s, {place} than the longest answer of {longest:g} s"
        )
    elif all(each.found is Found.NONE for each in timeouts.found):
        first = f"No timeout on the path up to {longest:g} s"
    else:
        first = f"No timeout was found, and not every one is excluded up to {longest:g} s"
    failed = [each.requirement.value for each in requirements if each.met is Answer.NO]
    met = sum(each.met is Answer.YES for each in requirements)
    told = f"not met: {', '.join(failed)}" if failed else f"{met} of {len(requirements)} requirements are met"
    told += "" if failed or met == len(requirements) else ", and none is not met"
    return f"{first}; {told}."


def _result(made: Made) -> StreamResult:
    verdict, trace, ledger = made.verdict, made.evidence.trace, made.evidence.ledger
    left = None if ledger is None or ledger.client_left is None else round(ledger.client_left - trace.started, 3)
    return StreamResult(
        name=made.asking.name,
        plan=made.asking.plan.to_query(),
        stream=made.asking.stream,
        status=trace.status,
        delivery=verdict.delivery,
        ending=verdict.ending,
        total=round(verdict.total, 3),
        received=verdict.received,
        written=verdict.written,
        attempts=0 if ledger is None else ledger.attempts,
        client_left=left,
    )
