"""From exchanges to findings: a sentence for each requirement, and the smallest timeout beside the longest answer.

Pure. What is about timeouts is decided by the search, what is about deaths and errors by the judge's own rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median_low

from lab.evidence import TransportEnd
from lab.judge.endings import NEVER_OPENED
from lab.judge.exchanged import Exchanged
from lab.judge.requirements import Observation, observe_all
from lab.measure.clusters import AGREEING
from lab.measure.effects import effects_of, ended_anyway
from lab.measure.findings import ActiveFindings, Effect, Found, Holds, StreamResult
from lab.measure.modes import at_odds, modes_of
from lab.measure.outage import Outage
from lab.measure.refine import follow_ups, refined
from lab.measure.streams import LATE_MODEL, model_was_late, streams_of
from lab.measure.timeouts import Timeouts, find_timeouts
from lab.measure.width import Width
from lab.suite.exchange import Exchange, Role
from lab.suite.search import SETTLED_BY, SHORTEST_TIMEOUT, once_more
from lab.suite.settle import EVERY_ONE_SETTLES
from lab.vocabulary import Ending, Requirement, State

_UNSEEN = frozenset({Ending.SILENTLY_TRUNCATED, Ending.FORGED_COMPLETE, Ending.PROBE_TIMEOUT})
"""Endings of a stream that the path ended which its client takes for the answer's own, or goes on to wait for."""

_SLOW = 0.5
"""Seconds that a path takes with most replies by which it is said to be slow. One that is idle takes milliseconds;
Starlette on two cores with a load of twenty took several seconds, and let holds of three run out (measured)."""

_TIMED = frozenset(
    {
        Requirement.DELIVERS_TOKENS_AS_THEY_COME,
        Requirement.SENDS_HEADERS_AT_ONCE,
        Requirement.PASSES_HEARTBEATS_ON,
        Requirement.ENDS_WHEN_THE_MODEL_DIES,
        Requirement.DELIVERS_WHAT_WAS_SENT,
        Requirement.PASSES_ERRORS_ON,
        Requirement.STOPS_WHEN_THE_CLIENT_LEAVES,
    }
)
"""Requirements that a path breaks by being late, so that one asks again with fewer at a time before it is blamed: also
what it had not yet read when the model died (LiteLLM), and an error that waits for its third try."""


_AT_ODDS = "the path was slow with most replies, and of two that were asked alike only one shows tokens held back"


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
    lost: tuple[Exchange, ...] = ()
    """Exchanges of which nothing came: lost, or not over."""
    width: Width | None = None
    """How many requests the path takes at a time; None where no limit was found."""
    outage: Outage | None = None
    """The time for which the path had taken its server out; None without one."""


def conclude(audited: Audited, made: Sequence[Exchanged], again: Sequence[Exchanged] = ()) -> ActiveFindings:
    """Everything that follows from the exchanges of one active audit.

    Args:
        audited: what was audited.
        made: its exchanges.
        again: those that `in_doubt` named, once more.
    """
    streams = streams_of(made, narrow=audited.width is not None, slow=was_slow(made))
    latest = list({each.name: each for each in (*made, *again)}.values())
    late = sum(model_was_late(each) for each in made if each.exchange.watched is not None)
    timeouts = refined(made, find_timeouts(streams, audited.longest, audited.began))
    observations = _observations(made, again, timeouts, audited)
    refused = [stream for stream in streams if stream.refused]
    never = sum(each.evidence.ledger is None and each.evidence.trace.end is not TransportEnd.LEFT for each in made)
    notes = [each.words for each in (audited.outage, audited.width) if each is not None]
    notes += audited.notes
    notes += _shut(made, audited.began)
    if late:
        notes.append(f"{late} streams of the search are not counted: the model server itself was late with a token")
    if refused:
        looks = ", ".join(sorted({stream.looks for stream in refused}))
        notes.append(f"{len(refused)} of {len(streams)} streams of the search never came to the model server: {looks}")
    return ActiveFindings(
        url=audited.url,
        model_url=audited.model_url,
        through_path=audited.through_path,
        wire_format=audited.wire_format,
        longest=audited.longest,
        shortest=SHORTEST_TIMEOUT,
        seconds=round(audited.seconds, 3),
        requests=len(made) + len(again),
        timeouts=timeouts.found,
        smallest=timeouts.smallest,
        terminations=timeouts.terminations,
        effects=(*_takes(audited), *effects_of(latest, streams, timeouts)),
        modes=modes_of(latest, timeouts),
        observations=observations,
        summary=_summary(timeouts, observations, audited),
        never_came=never,
        still_out=audited.outage is not None and not audited.outage.over,
        notes=tuple(notes),
        exchanges=(*(_result(each) for each in made), *(_result(each, " again") for each in again)),
    )


def doubts(made: Sequence[Exchanged], longest: float, *, narrow: bool = False) -> list[Exchange]:
    """What is to be asked once more before anything is concluded; mostly nothing."""
    timeouts = find_timeouts(streams_of(made, narrow=narrow), longest, 0.0)
    late = [each.watched for each in timeouts.found if each.too_late]
    return [*follow_ups(made, timeouts), *once_more(longest, late)]


def in_doubt(made: Sequence[Exchanged]) -> list[Exchange]:
    """The exchanges of what the machine was too busy to tell, waits apart; mostly none.

    Ways of asking are compared, so that all of them are asked again or none: LiteLLM, slow with everything, was told
    to hold tokens back from a slow reader, who alone had not been asked again (measured).
    """
    unsure = {
        requirement
        for requirement, each in _by_rule(made).items()
        if each.doubt and requirement not in SETTLED_BY and requirement not in EVERY_ONE_SETTLES
    }
    again = {each.name for each in made if unsure.intersection(each.exchange.requirements)}
    ways = {each.name for each in made if each.exchange.role is Role.MODE}
    again |= ways if ways & again else set()
    return [each.exchange for each in made if each.name in again]


def was_slow(made: Sequence[Exchanged]) -> bool:
    """Whether the path was slow with most of what was asked for at the same time."""
    return _slowness(made) >= _SLOW


def _by_rule(made: Sequence[Exchanged], again: Sequence[Exchanged] = ()) -> dict[Requirement, Observation]:
    """What the rules say; where that is in doubt, what they say of the second time, if all of it was made again.

    What is not met the second time is not met, whatever it was made again for.
    """
    found = _in_the_crowd(made, _told(made))
    starved = was_slow(made) and at_odds(again)
    for requirement, second in _told(again).items() if again else ():
        if starved and requirement is Requirement.DELIVERS_TOKENS_AS_THEY_COME and second.state is State.NOT_MET:
            found[requirement] = replace(second, state=State.INCONCLUSIVE, doubt=_AT_ODDS)
            continue
        told = found[requirement].doubt and _asked(again, requirement) == _asked(made, requirement)
        if told or second.state is State.NOT_MET:
            found[requirement] = second
    return found


def _told(made: Sequence[Exchanged]) -> dict[Requirement, Observation]:
    found = dict(observe_all(made))
    found.update({each.requirement: each for each in (_incomparable(made), _hidden_cuts(made)) if each is not None})
    return found


def _in_the_crowd(made: Sequence[Exchanged], told: Mapping[Requirement, Observation]) -> dict[Requirement, Observation]:
    """The same, with a doubt where a path that was slow with everything was late with what a requirement asks for.

    The audit's own requests, or a busy machine, keep a relay from running, and of that nobody tells but the replies.
    """
    if not was_slow(made):
        return dict(told)
    doubt = (
        f"the path took {_slowness(made):.1f} s longer than the model with most replies, which were asked for at once"
    )
    return {
        requirement: replace(each, state=State.INCONCLUSIVE, doubt=doubt)
        if each.state is State.NOT_MET and requirement in _TIMED
        else each
        for requirement, each in told.items()
    }


def _slowness(made: Sequence[Exchanged]) -> float:
    """Seconds that the path itself took with half of the whole replies at least; 0 where none tells."""
    took = []
    for each in made:
        trace, ledger = each.evidence.trace, each.evidence.ledger
        if _complete(each) and not each.exchange.plan.lockstep and ledger is not None and ledger.finished is not None:
            took.append((trace.ended - trace.started) - (ledger.finished - ledger.started))
    return median_low(took) if took else 0.0


def _asked(made: Sequence[Exchanged], requirement: Requirement) -> set[str]:
    return {each.name for each in made if requirement in each.exchange.requirements}


def _observations(
    made: Sequence[Exchanged], again: Sequence[Exchanged], timeouts: Timeouts, audited: Audited
) -> tuple[Observation, ...]:
    """One for each requirement: about waits the search decides, about all else the judge's rules."""
    lost = {each for exchange in audited.lost for each in exchange.requirements}
    lost |= {each for each, watched in SETTLED_BY.items() if any(one.watched in watched for one in audited.lost)}
    by_rule = _by_rule(made, again)
    by_rule.update({each.requirement: each for each in _stopped_anyway(by_rule, [*made, *again], timeouts)})
    found = []
    for requirement in Requirement:
        if requirement in SETTLED_BY:
            found.append(_by_timeout(requirement, timeouts, audited.longest))
        else:
            found.append(by_rule.get(requirement) or _not_asked(requirement))
    return tuple(_without(each) if each.met and each.requirement in lost else each for each in found)


def _without(met: Observation) -> Observation:
    """What is met as far as was seen, where exchanges are missing of which nobody knows."""
    actual = f"{met.evidence}, but some exchanges were lost, or not over"
    return Observation(met.requirement, State.INCONCLUSIVE, met.expected, actual)


_ELSEWHERE = {
    Requirement.MAKES_PARTIAL_ANSWERS_VISIBLE: "it is about the client and not about the path: see lab clients",
    Requirement.SERVES_OTHERS_MEANWHILE: "it is about many streams at once: see lab load",
    Requirement.TURNS_NOBODY_AWAY: "it is about many clients at once: see lab load",
    Requirement.SURVIVES_A_RELOAD: "nothing on the path is reloaded by an audit",
    Requirement.SURVIVES_A_MODEL_RESTART: "no model server behind the path is started anew by an audit",
    Requirement.REUSES_CONNECTIONS: "it is about requests one after the other, and these are made at once",
    Requirement.REUSES_NO_CLOSED_CONNECTION: "no model server behind the path closes idle connections in an audit",
    Requirement.WAITS_FOR_SLOW_READERS: "it takes answers of megabytes: see the scenario one-slow-reader",
}
"""Why an audit does not ask what would settle them."""


def _not_asked(requirement: Requirement) -> Observation:
    if requirement in _ELSEWHERE:
        return Observation(requirement, State.NOT_APPLICABLE, _ELSEWHERE[requirement], "")
    return Observation(requirement, State.INCONCLUSIVE, "an exchange that shows it", "no such exchange was over")


def _by_timeout(requirement: Requirement, timeouts: Timeouts, longest: float) -> Observation:
    found = [timeouts.of(watched) for watched in SETTLED_BY[requirement]]
    expected = f"no timeout up to {longest:g} s"
    # A timeout of just that length ends some answers of that length; and what ends every one need not have a name.
    broken = [each for each in found if each.ended_at is not None and each.ended_at <= longest]
    if broken:
        worst = min(broken, key=lambda each: each.ended_at or 0.0)
        return Observation(requirement, State.NOT_MET, expected, worst.sentence)
    # Whatever it was, nobody can rely on a path that loses most of them.
    most = [each for each in found if 2 * each.lost > each.asked and each.lost >= AGREEING]
    if most:
        actual = f"{most[0].lost} of {most[0].asked} streams did not last so long; {most[0].sentence}"
        return Observation(requirement, State.NOT_MET, expected, actual)
    unsure = [each for each in found if each.found in (Found.UNKNOWN, Found.HIDDEN) and each.proven < longest]
    if unsure:
        return Observation(requirement, State.INCONCLUSIVE, expected, unsure[0].sentence)
    ended = [each for each in found if each.ended]
    if ended:
        actual = f"{ended[0].sentence}; {ended[0].ended} of the streams did not last so long"
        return Observation(requirement, State.INCONCLUSIVE, expected, actual)
    least = min(found, key=lambda each: each.proven)
    return Observation(requirement, State.MET, expected, least.sentence, up_to=longest)


def _hidden_cuts(made: Sequence[Exchanged]) -> Observation | None:
    """Streams that the path itself ended as if they were over: no client sees that; None without one."""
    ended = [each for each in made if each.exchange.role is Role.SEARCH and each.exposure.died]
    hidden = [each for each in ended if each.verdict.ending in _UNSEEN]
    if not hidden:
        return None
    looks = " or ".join(sorted({each.verdict.ending.value for each in hidden}))
    actual = f"{len(hidden)} of the {len(ended)} streams that the path ended are {looks} to the client"
    expected = "a stream that the path ends is one that a client can see"
    return Observation(Requirement.SHOWS_A_CUT_AS_A_CUT, State.NOT_MET, expected, actual)


def _stopped_anyway(
    by_rule: Mapping[Requirement, Observation], made: Sequence[Exchanged], timeouts: Timeouts
) -> Iterator[Observation]:
    """Nobody knows whether its client's leaving stopped a model where a timeout of the path struck just then."""
    stops = by_rule.get(Requirement.STOPS_WHEN_THE_CLIENT_LEAVES)
    anyway = [(each.name, found) for each in made if (found := ended_anyway(each, timeouts)) is not None]
    if stops is not None and stops.met and anyway:
        actual = "; ".join(
            f"{name}: the model's side was closed when the timeout {found.when} struck" for name, found in anyway
        )
        yield Observation(stops.requirement, State.INCONCLUSIVE, stops.expected, actual)


def _incomparable(made: Sequence[Exchanged]) -> Observation | None:
    """Why stream and batch cannot be compared: what ended one of them is another requirement's; None if they can."""
    forward = Requirement.MOVES_THE_FIRST_TOKEN_FORWARD
    choice = [each for each in made if forward in each.exchange.requirements]
    words = [f"the {each.name} ended as {each.verdict.ending}" for each in choice if not _complete(each)]
    late = "the machine was late by itself" if any(_lateness(each) > LATE_MODEL for each in choice) else ""
    if not words and not late:
        return None
    actual = f"{', '.join(filter(None, [*words, late]))}, so that the totals cannot be compared"
    return Observation(forward, State.INCONCLUSIVE, "both come whole", actual, doubt=late)


def _complete(made: Exchanged) -> bool:
    return made.verdict.ending is Ending.COMPLETE


def _lateness(made: Exchanged) -> float:
    """Seconds by which the model server was late with a first token, and either end with everything."""
    trace, ledger = made.evidence.trace, made.evidence.ledger
    first = ledger.tokens[0].at - trace.started - made.exchange.plan.due(1) if ledger and ledger.tokens else 0.0
    return (first if made.exchange.stream else 0.0) + made.evidence.stalled(trace.started, trace.ended)


def _shut(made: Sequence[Exchanged], began: float) -> Iterator[str]:
    """What is told where the path took no connection any more: a server that a provoked death ended, as a rule."""
    out = [each.evidence.trace.started for each in made if each.evidence.trace.end in NEVER_OPENED]
    if out:
        yield (
            f"for {len(out)} of {len(made)} requests no connection to the path could be opened, from "
            f"{max(min(out) - began, 0.0):.0f} s on: they tell nothing, and so will your users fare; look into the "
            "log of what listens there"
        )


def _takes(audited: Audited) -> Iterator[Effect]:
    """The path's width, which users meet as the audit did."""
    if audited.width is not None:
        yield Effect("takes-every-request-at-once", Holds.NO, audited.width.words, audited.width.at_once)


def _summary(timeouts: Timeouts, observations: Sequence[Observation], audited: Audited) -> str:
    smallest, longest = timeouts.smallest, audited.longest
    if smallest is not None:
        place = "shorter" if smallest < longest else "longer"
        coarse = any(each.coarse and each.least == smallest for each in timeouts.found)
        value = f"strikes from {smallest:.1f} s on" if coarse else f"is {smallest:.2f} s"
        first = f"The smallest timeout on the path {value}, {place} than the longest answer of {longest:g} s"
    elif all(each.found is Found.NONE for each in timeouts.found):
        first = f"No timeout on the path up to {longest:g} s"
    else:
        first = f"No timeout was found, and not every one is excluded up to {longest:g} s"
    failed = [each.requirement.value for each in observations if each.state is State.NOT_MET]
    met = sum(each.met for each in observations)
    asked = sum(each.state is not State.NOT_APPLICABLE for each in observations)
    told = f"not met: {', '.join(failed)}" if failed else f"{met} of {asked} requirements are met"
    told += "" if failed or met == asked else ", and none is not met"
    if audited.outage is not None:
        told += f"; {audited.outage.refused} of {audited.outage.of} requests met a path that had taken its server out"
    if audited.width is not None:
        told += f"; {audited.width.taken}"
    return f"{first}; {told}."


def _result(made: Exchanged, which: str = "") -> StreamResult:
    verdict, trace, ledger = made.verdict, made.evidence.trace, made.evidence.ledger
    left = None if ledger is None or ledger.client_left is None else round(ledger.client_left - trace.started, 3)
    return StreamResult(
        name=f"{made.exchange.name}{which}",
        plan=made.exchange.plan.to_query(),
        stream=made.exchange.stream,
        status=trace.status,
        delivery=verdict.delivery,
        ending=verdict.ending,
        total=round(verdict.total, 3),
        received=verdict.received,
        written=verdict.written,
        attempts=0 if ledger is None else ledger.attempts,
        client_left=left,
    )
