"""What a staging's evidence means: the outcome, and the findings that bear it out. Pure.

A broken side passes when it shows the symptom that its scenario names, in every exchange, and so breaks the
requirement; any other side passes when its exchanges meet their requirements. Where consumers read the
exchanges, each careless one must be seen to fail, and the careful one must not.

A side that did not go as it should, on a machine that could not keep the model server's own schedule or let the
probe run, is inconclusive: the tokens were late before they came to the proxy, or after they had left it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lab.catalogue import Exchange, Staging
from lab.catalogue.schema import SymptomTable
from lab.consume import Answer, Complete, Failed, Partial, Refused
from lab.durations import write_duration
from lab.evidence import Evidence
from lab.judge import Exchanged, Told, Verdict, check, judge_all
from lab.judge.clocks import tolerance
from lab.results import FindingResult
from lab.run.consumers import CAREFUL, consumer_named, replay
from lab.words import Cause, Delivery, Ending, Outcome, Requirement, Side

EARLY = 0.35
"""Seconds by which a clock may fire before its time."""

LATENESS = 0.5
"""Seconds. A model server that is this late has lost its processor for so long; the scenarios' margins are
wider, so it spoils a verdict only if the proxy lost it as well."""


@dataclass(frozen=True)
class Played:
    """One exchange of a staging, with its evidence and its verdict."""

    exchange: Exchange
    exchanged: Exchanged

    @staticmethod
    def judged(exchanges: Sequence[Exchange], evidence: Sequence[Evidence]) -> tuple[Played, ...]:
        """Judge the exchanges of one staging together."""
        pairs = zip(exchanges, evidence, judge_all(evidence), strict=True)
        return tuple(Played(exchange, Exchanged(each, verdict)) for exchange, each, verdict in pairs)


def conclude(staging: Staging, played: Sequence[Played]) -> tuple[Outcome, tuple[FindingResult, ...]]:
    """The outcome of one staging."""
    expected_to_fail = staging.side in (Side.BROKEN, Side.REAL_DEFAULTS)
    judged = _symptoms(staging, played) if expected_to_fail else _requirements(staging, played)
    findings = (*judged, *_shown(staging, played))
    if all(finding.met for finding in findings):
        return Outcome.PASSED, findings
    busy = tuple(_too_busy(played))
    return (Outcome.INCONCLUSIVE if busy else Outcome.FAILED), (*busy, *findings)


def _too_busy(played: Sequence[Played]) -> Iterator[FindingResult]:
    """What the machine was too busy for; whatever came of it, the proxy cannot be blamed."""
    late = max((lateness(each.exchanged.evidence) for each in played), default=0.0)
    if late > LATENESS:
        yield FindingResult(
            False,
            "The model server keeps its schedule.",
            f"no token more than {LATENESS * 1e3:.0f} ms late",
            f"a token left {late * 1e3:.0f} ms late: the machine is too busy to blame the proxy",
        )
    asleep = [each.exchange.name for each in played if _slept_through(each)]
    if asleep:
        yield FindingResult(
            False,
            "The probe keeps up.",
            "it runs while tokens are on their way",
            f"it was late for most of them: {', '.join(asleep)}: the machine is too busy to blame the proxy",
        )
    stalls = [stall.until - stall.since for each in played for stall in each.exchanged.evidence.trace.stalls]
    if max(stalls, default=0.0) > LATENESS:
        yield FindingResult(
            False,
            "The probe keeps up.",
            f"it never stops for more than {LATENESS * 1e3:.0f} ms",
            f"it stopped for {max(stalls) * 1e3:.0f} ms: the machine is too busy to blame the proxy",
        )


def _slept_through(each: Played) -> bool:
    """Whether an exchange in lockstep proves nothing because the probe did not run."""
    evidence, unproven = each.exchanged.evidence, each.exchanged.verdict.delivery is Delivery.UNPROVEN
    return each.exchange.plan.lockstep and unproven and bool(evidence.trace.stalls)


def lateness(evidence: Evidence) -> float:
    """By how much the model server missed its own schedule at most, in seconds; 0 in lockstep or without ledger."""
    plan, ledger = evidence.plan, evidence.ledger
    if plan is None or ledger is None or plan.lockstep or not evidence.stream:
        return 0.0
    return max(
        (token.at - ledger.started - plan.due(token.number) - plan.jitter for token in ledger.tokens), default=0.0
    )


def _requirements(staging: Staging, played: Sequence[Played]) -> Iterator[FindingResult]:
    """Every requirement that the staging's exchanges speak of, each over its own exchanges."""
    for requirement, exchanges in _by_requirement(played):
        for consumer in staging.consumers or ("",):
            finding = check(requirement, exchanges, _told(staging, consumer, exchanges))
            says = f"{_short(consumer)}: {finding.requirement}" if consumer else finding.requirement
            yield FindingResult(finding.met, says, finding.expected, finding.actual)


def _shown(staging: Staging, played: Sequence[Played]) -> Iterator[FindingResult]:
    """Whether the exchanges are what the side claims, so that it does not pass for want of it."""
    for flag in staging.shows:
        without = [each.exchange.name for each in played if flag not in each.exchanged.verdict.flags]
        actual = f"not {flag}: {', '.join(without)}" if without else f"{flag}: all {len(played)} exchanges"
        yield FindingResult(not without, "The exchanges are what this side is about.", f"all {flag}", actual)


def _told(staging: Staging, consumer: str, exchanges: Mapping[str, Exchanged]) -> dict[str, Told]:
    if not consumer:
        return {}
    read = consumer_named(consumer, staging.config.parents[1])
    return {name: _tell(replay(read, each.evidence)) for name, each in exchanges.items()}


def _tell(answer: Answer | None) -> Told:
    match answer:
        case Complete():
            return Told("complete", answer.tokens)
        case Partial():
            return Told("partial", answer.tokens)
        case Refused():
            return Told("refused", 0)
        case Failed():
            return Told("failed", 0)
    return Told("nothing", 0)


def _symptoms(staging: Staging, played: Sequence[Played]) -> Iterator[FindingResult]:
    """The symptom in each exchange that has one, and the requirement that these break."""
    concerned = [each for each in played if each.exchange.family in staging.symptom]
    for family, symptom in staging.symptom.items():
        mine = [_symptom(each, symptom) for each in concerned if each.exchange.family == family]
        yield from mine if len(mine) == 1 else _summed_up(family, symptom, mine)
    for requirement, exchanges in _by_requirement(concerned):
        for consumer in staging.consumers or ("",):
            finding = check(requirement, exchanges, _told(staging, consumer, exchanges))
            yield FindingResult(
                finding.conclusive and not finding.met,
                f"{_short(consumer) or staging.proxy.id} breaks: {finding.requirement}",
                f"not: {finding.expected}",
                finding.actual,
            )


def _summed_up(family: str, symptom: SymptomTable, findings: Sequence[FindingResult]) -> Iterator[FindingResult]:
    """One finding for a batch of exchanges; those that are not as expected still speak for themselves."""
    expected = Counter(finding.expected for finding in findings)
    met = Counter(finding.expected for finding in findings if finding.met)
    longer = "" if symptom.longer_than is None else f", where longer than {write_duration(symptom.longer_than)}"
    yield FindingResult(
        met == expected,
        f"{family}: the symptom shows in each of {len(findings)}{longer}.",
        "; ".join(f"{count} with {what}" for what, count in expected.items()),
        "; ".join(f"{met[what]} with {what}" for what in expected),
    )
    yield from (finding for finding in findings if not finding.met)


def _by_requirement(played: Iterable[Played]) -> Iterator[tuple[Requirement, dict[str, Exchanged]]]:
    """The exchanges by the requirement that judges them, in the order of the first of each."""
    groups: dict[Requirement, dict[str, Exchanged]] = {}
    for each in played:
        groups.setdefault(each.exchange.requirement, {})[each.exchange.name] = each.exchanged
    yield from groups.items()


def _symptom(each: Played, symptom: SymptomTable) -> FindingResult:
    """Hold one exchange against what the scenario says that it shows."""
    exchange, verdict = each.exchange, each.exchanged.verdict
    if symptom.longer_than is not None and exchange.plan.length < symptom.longer_than:
        symptom = SymptomTable(ending=Ending.COMPLETE)
    wrong = [name for name, expected, actual in _fields(symptom, each) if expected != actual]
    if symptom.clock is not None and not _near(verdict.clock, symptom.clock):
        wrong.append("clock")
    doubt = _doubt(symptom, verdict)
    actual = [f"{name} {actual}" for name, _, actual in _fields(symptom, each)]
    if symptom.clock is not None:
        actual.append("no clock" if verdict.clock is None else f"clock {verdict.clock:.2f} s")
    return FindingResult(
        not wrong and not doubt,
        f"{exchange.name}: the symptom shows.",
        ", ".join(_in_words(symptom)),
        f"{', '.join(actual)}; {verdict.sentence}{doubt}",
    )


def _doubt(symptom: SymptomTable, verdict: Verdict) -> str:
    """Why a clock that the scenario names is not proven; empty if it is, or if no clock is named.

    Before the first byte a silence is both: no exchange can tell those two apart, and one directive sets both.
    """
    if symptom.cause not in verdict.clocks:
        return ""
    allowed = {symptom.cause, Cause.IDLE_CLOCK} if symptom.cause is Cause.FIRST_BYTE_CLOCK else {symptom.cause}
    others = [kind for kind in verdict.clocks if kind not in allowed]
    if not others:
        return ""
    return f" That proves no {symptom.cause}: it may be a {others[0]}; add an exchange that outlives it."


def _fields(symptom: SymptomTable, each: Played) -> Iterator[tuple[str, object, object]]:
    verdict, trace = each.exchanged.verdict, each.exchanged.evidence.trace
    actual = {
        "delivery": verdict.delivery,
        "ending": verdict.ending,
        "cause": verdict.cause,
        "status": trace.status,
        "received": verdict.received,
    }
    for name, value in actual.items():
        expected = getattr(symptom, name)
        if expected is not None:
            yield name, expected, value


def _in_words(symptom: SymptomTable) -> Iterable[str]:
    fields = symptom.model_dump(mode="json", exclude_none=True, exclude={"longer_than", "clock"})
    words = [f"{name} {value}" for name, value in fields.items()]
    return words if symptom.clock is None else [*words, f"clock {write_duration(symptom.clock)}"]


def _near(measured: float | None, clock: float) -> bool:
    """A busy machine is late; only nginx is early, which may save itself 300 ms of setting a timer anew."""
    return measured is not None and -EARLY <= measured - clock <= tolerance(clock)


def _short(consumer: str) -> str:
    return consumer if consumer == CAREFUL else consumer.rpartition(":")[2]
