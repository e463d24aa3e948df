"""What a case's evidence means: the outcome, and the findings that bear it out. Pure.

A broken variant passes when it shows the symptom that its scenario names, in every exchange, and so breaks the
requirement; one that is only measured passes when what is known of it beforehand is so; any other passes when its
exchanges meet their requirements. Where consumers read the exchanges, each careless one must be seen to fail, and the
careful one must not.

A case that did not go as it should is inconclusive where every finding that says so may be the doing of the probe or
the model server, because the machine did not let them run in time (`lab.judge.doubt`). One finding that no lateness
explains is enough for *failed*. And what was to be met, and was not put to the test, is inconclusive too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lab.catalogue import Case
from lab.catalogue.schema import SymptomTable
from lab.consume import Answer, Complete, Failed, Partial, Refused
from lab.durations import write_duration
from lab.judge import REQUIREMENTS, Exchanged, Reported, Verdict, check, observe, observe_all
from lab.judge.doubt import Doubt, spared
from lab.judge.rules import SHOWN
from lab.judge.sentences import never_reached
from lab.judge.timeouts import tolerance
from lab.products.remedies import TROUBLES, verified_remedy
from lab.results import FindingResult
from lab.scenarios.consumers import CAREFUL, consumer_named, replay
from lab.vocabulary import Cause, Ending, Outcome, Requirement, State, Variant

EARLY = 0.35
"""Seconds by which a timeout may fire before its time."""


@dataclass(frozen=True)
class Conclusion:
    """What became of one case.

    Args:
        outcome: of the case.
        findings: what bears it out.
        busy: what the machine was too busy for, where that leaves the case without a verdict; else empty.
    """

    outcome: Outcome
    findings: tuple[FindingResult, ...]
    busy: str = ""


@dataclass(frozen=True)
class _Found:
    """A finding, and why it may be the lab's own lateness, in words; empty where it cannot be."""

    result: FindingResult
    doubt: str = ""


def conclude(case: Case, played: Sequence[Exchanged]) -> Conclusion:
    """The outcome of one case."""
    if case.variant in (Variant.BROKEN, Variant.REAL_DEFAULTS):
        judged = [*_symptoms(case, played), *_expected(case, played)]
    elif case.variant is Variant.MEASURED:
        judged = [*_expected(case, played), *_measured(case, played)]
    else:
        judged = [*_requirements(case, played), *_twice(case, played), *_expected(case, played), *_tested(played)]
    found = [*judged, *_shown(case, played)]
    findings = tuple(each.result for each in found)
    unmet = [each for each in found if not each.result.met]
    if not unmet:
        return Conclusion(Outcome.PASSED, findings)
    findings = (*_unreached(played), *findings)
    if not all(each.doubt for each in unmet):
        return Conclusion(Outcome.FAILED, findings)
    busy = "; ".join(dict.fromkeys(each.doubt for each in unmet))
    return Conclusion(Outcome.INCONCLUSIVE, (_too_busy(busy), *findings), busy)


def _too_busy(busy: str) -> FindingResult:
    return FindingResult(
        False,
        "The probe and the model server keep up.",
        "no wait that the verdict rests on is longer or shorter because of them",
        f"{busy}: the machine is too busy to blame the proxy, or to praise it",
    )


def _unreached(played: Sequence[Exchanged]) -> Iterator[FindingResult]:
    """That the model server had none of the exchanges."""
    words = never_reached([each.evidence for each in played])
    if words:
        yield FindingResult(False, "The exchanges reach the model server.", "it answers them", words)


def _tested(played: Iterable[Exchanged]) -> Iterator[_Found]:
    """Each exchange that did not put its path to the test; nothing where all did."""
    for each in played:
        why = spared(each.evidence)
        if why:
            requirement = f"{each.exchange.name}: the path is put to the test."
            yield _Found(FindingResult(False, requirement, "silences as long as planned", why), why)


def _reasons(doubts: Mapping[str, str]) -> str:
    """The doubts about several exchanges, by name, in words."""
    return "; ".join(f"{name}: {doubt}" for name, doubt in doubts.items() if doubt)


def _requirements(case: Case, played: Sequence[Exchanged]) -> Iterator[_Found]:
    """Every requirement that the case's exchanges speak of, each over its own exchanges."""
    for requirement, exchanges in _by_requirement(played):
        if requirement in case.expects:
            continue
        for consumer in case.consumers or ("",):
            observed = observe(requirement, exchanges, _reports(case, consumer, exchanges))
            says = f"{_short(consumer)}: {observed.sentence}" if consumer else observed.sentence
            remedy = _remedy(case, requirement) if observed.state is State.NOT_MET and not consumer else ""
            yield _Found(
                FindingResult(
                    observed.met, says, observed.expected, observed.actual, observed.up_to, remedy, requirement
                ),
                observed.doubt,
            )


def _twice(case: Case, played: Sequence[Exchanged]) -> Iterator[_Found]:
    """A fix that has requests generated more than once is none, whatever its scenario asks about; else nothing."""
    once = Requirement.GENERATES_ONCE
    asked = any(once in each.exchange.requirements for each in played)
    exchanges = {each.name: each for each in played}
    found, observed = check(once, exchanges), observe(once, exchanges)
    # Where the machine was so late that this may be why, nobody knows, and it is no fix yet.
    if not asked and once not in case.expects and found.conclusive and not found.met:
        result = FindingResult(False, observed.sentence, observed.expected, observed.actual, about=once)
        yield _Found(result, observed.doubt)


def _expected(case: Case, played: Sequence[Exchanged]) -> Iterator[_Found]:
    """What the scenario knows of requirements beforehand, besides its symptoms."""
    observed = observe_all(played)
    for requirement, state in case.expects.items():
        each = observed.get(requirement)
        words = "no exchange settles it" if each is None else each.words
        met = each is not None and each.state is state
        sentence, known_unmet = REQUIREMENTS[requirement].sentence, met and state is State.NOT_MET
        result = FindingResult(met, sentence, state.value, words, about=requirement, known_unmet=known_unmet)
        doubt = REQUIREMENTS[requirement].doubt
        late = {one.name: doubt(one.doubt) for one in played if requirement in one.exchange.requirements}
        yield _Found(result, _reasons(late))


def _measured(case: Case, played: Sequence[Exchanged]) -> Iterator[_Found]:
    """What was observed of all else, whatever it is."""
    for requirement, each in observe_all(played).items():
        if requirement not in case.expects:
            result = FindingResult(not each.doubt, each.sentence, "anything", each.words, each.up_to, about=requirement)
            yield _Found(result, each.doubt)


def _remedy(case: Case, requirement: Requirement) -> str:
    """The tested lines of that product for what is not met; empty where there are none, or the case has them."""
    trouble = TROUBLES.get(requirement)
    present = case.config.read_text("utf-8")
    return "" if trouble is None else verified_remedy(case.proxy.product.title, trouble, present)


def _shown(case: Case, played: Sequence[Exchanged]) -> Iterator[_Found]:
    """Whether the exchanges are what the case claims, so that it does not pass for want of it."""
    for flag in case.shows:
        without = [each for each in played if flag not in each.verdict.flags]
        names = ", ".join(each.exchange.name for each in without)
        actual = f"not {flag}: {names}" if without else f"{flag}: all {len(played)} exchanges"
        doubts = {each.exchange.name: each.doubt.ending for each in without}
        yield _Found(
            FindingResult(not without, "The exchanges are what this case is about.", f"all {flag}", actual),
            _reasons(doubts) if all(doubts.values()) else "",
        )


def _reports(case: Case, consumer: str, exchanges: Mapping[str, Exchanged]) -> dict[str, Reported]:
    if not consumer:
        return {}
    read = consumer_named(consumer, case.config.parents[1])
    return {name: _reported(replay(read, each.evidence)) for name, each in exchanges.items()}


def _reported(answer: Answer | None) -> Reported:
    match answer:
        case Complete():
            return Reported("complete", answer.tokens)
        case Partial():
            return Reported("partial", answer.tokens)
        case Refused():
            return Reported("refused", 0)
        case Failed():
            return Reported("failed", 0)
    return Reported("nothing", 0)


def _symptoms(case: Case, played: Sequence[Exchanged]) -> Iterator[_Found]:
    """The symptom in each exchange that has one, and the requirement that these break."""
    concerned = [each for each in played if each.exchange.family in case.symptom]
    for family, symptom in case.symptom.items():
        if symptom.some:
            yield _some(family, symptom, [each for each in concerned if each.exchange.family == family])
            continue
        if not symptom.model_fields_set:
            yield from _breaking(each for each in concerned if each.exchange.family == family)
            continue
        mine = [_symptom(each, symptom) for each in concerned if each.exchange.family == family]
        yield from mine if len(mine) == 1 else _summed_up(family, symptom, mine)
    for requirement, exchanges in _by_requirement(concerned, most=1):
        criterion = REQUIREMENTS[requirement]
        for consumer in case.consumers or ("",):
            found = check(requirement, exchanges, _reports(case, consumer, exchanges))
            result = FindingResult(
                found.conclusive and not found.met,
                f"{_short(consumer) or case.proxy.id} breaks: {criterion.sentence}",
                f"not: {found.expected}",
                found.actual,
            )
            yield _Found(result, _reasons({name: criterion.doubt(each.doubt) for name, each in exchanges.items()}))


def _some(family: str, symptom: SymptomTable, exchanged: Sequence[Exchanged]) -> _Found:
    """At least one of several alike shows the symptom, or breaks its requirement, and the others are complete."""
    symptom = symptom.model_copy(update={"some": False})
    plain = not symptom.model_dump(exclude_defaults=True)
    found = _breaking(exchanged) if plain else (_symptom(each, symptom) for each in exchanged)
    pairs = list(zip(exchanged, found, strict=True))
    shown = [each for each, found in pairs if found.result.met]
    rest = [(each, found.doubt) for each, found in pairs if not found.result.met]
    failed = [(each, doubt) for each, doubt in rest if each.verdict.ending is not Ending.COMPLETE]
    told = "; ".join(
        f"{each.name}: {each.verdict.sentence}" for each in ([each for each, _ in failed] or shown)[:SHOWN]
    )
    result = FindingResult(
        bool(shown) and not failed,
        f"{family}: the symptom shows in some of {len(exchanged)}, and the others are complete.",
        f"at least 1 with {', '.join(_in_words(symptom)) or 'its requirement broken'}",
        f"{len(shown)} of {len(exchanged)} with that, {len(rest) - len(failed)} complete; {told}",
    )
    if failed:
        doubts = [doubt for _, doubt in failed]
        return _Found(result, "; ".join(doubts) if all(doubts) else "")
    # Any of those that were late might have shown it.
    return _Found(result, "; ".join(doubt for _, doubt in rest if doubt))


def _breaking(exchanged: Iterable[Exchanged]) -> Iterator[_Found]:
    """Each exchange of which nothing else is said breaks its requirement by itself."""
    for each in exchanged:
        requirement = each.exchange.requirements[0]
        criterion = REQUIREMENTS[requirement]
        found = check(requirement, {each.name: each})
        broken = found.conclusive and not found.met
        says = f"{each.name} breaks: {criterion.sentence}"
        yield _Found(FindingResult(broken, says, f"not: {found.expected}", found.actual), criterion.doubt(each.doubt))


def _summed_up(family: str, symptom: SymptomTable, found: Sequence[_Found]) -> Iterator[_Found]:
    """One finding for a batch of exchanges; those that are not as expected still speak for themselves."""
    expected = Counter(each.result.expected for each in found)
    met = Counter(each.result.expected for each in found if each.result.met)
    unmet = [each for each in found if not each.result.met]
    longer = "" if symptom.longer_than is None else f", where longer than {write_duration(symptom.longer_than)}"
    result = FindingResult(
        met == expected,
        f"{family}: the symptom shows in each of {len(found)}{longer}.",
        "; ".join(f"{count} with {what}" for what, count in expected.items()),
        "; ".join(f"{met[what]} with {what}" for what in expected),
    )
    yield _Found(result, "; ".join(each.doubt for each in unmet) if all(each.doubt for each in unmet) else "")
    yield from unmet


def _by_requirement(
    played: Iterable[Exchanged], most: int | None = None
) -> Iterator[tuple[Requirement, dict[str, Exchanged]]]:
    """The exchanges by the requirements, or the first of these, that judge them; in the order of the first of each."""
    groups: dict[Requirement, dict[str, Exchanged]] = {}
    for each in played:
        for requirement in each.exchange.requirements[:most]:
            groups.setdefault(requirement, {})[each.name] = each
    yield from groups.items()


def _symptom(each: Exchanged, symptom: SymptomTable) -> _Found:
    """Hold one exchange against what the scenario says that it shows."""
    exchange, verdict = each.exchange, each.verdict
    if symptom.longer_than is not None and exchange.plan.length < symptom.longer_than:
        symptom = SymptomTable(ending=Ending.COMPLETE)
    wrong = [name for name, expected, actual in _fields(symptom, each) if expected != actual]
    if symptom.timeout is not None and not _near(verdict.timeout, symptom.timeout):
        wrong.append("timeout")
    unproven = _unproven_timeout(symptom, verdict)
    if unproven:
        wrong.append("timeout")
    actual = [f"{name} {actual}" for name, _, actual in _fields(symptom, each)]
    if symptom.timeout is not None:
        actual.append("no timeout" if verdict.timeout is None else f"timeout {verdict.timeout:.2f} s")
    result = FindingResult(
        not wrong,
        f"{exchange.name}: the symptom shows.",
        ", ".join(_in_words(symptom)),
        f"{', '.join(actual)}; {verdict.sentence}{unproven}",
    )
    return _Found(result, _excuse(each, wrong))


def _excuse(each: Exchanged, wrong: Iterable[str]) -> str:
    """Why lateness may have made all those fields wrong, in words; empty if any of them is wrong for good."""
    doubts = [_doubt_of_field(each.doubt, name) for name in wrong]
    return _reasons({each.exchange.name: "; ".join(dict.fromkeys(doubts))}) if all(doubts) else ""


def _doubt_of_field(doubt: Doubt, name: str) -> str:
    match name:
        case "delivery":
            return doubt.delivery
        case "cause":
            # Of the ending, or where that needs none, of the delivery.
            return doubt.ending or doubt.delivery
    return doubt.ending


def _unproven_timeout(symptom: SymptomTable, verdict: Verdict) -> str:
    """Why a timeout that the scenario names is not proven; empty if it is, or if no timeout is named.

    Before the first byte a silence is both: no exchange can tell those two apart, and one directive sets both.
    """
    if symptom.cause not in verdict.timeouts:
        return ""
    allowed = {symptom.cause, Cause.IDLE_TIMEOUT} if symptom.cause is Cause.FIRST_BYTE_TIMEOUT else {symptom.cause}
    others = [kind for kind in verdict.timeouts if kind not in allowed]
    if not others:
        return ""
    return f" That proves no {symptom.cause}: it may be a {others[0]}; add an exchange that outlives it."


def _fields(symptom: SymptomTable, each: Exchanged) -> Iterator[tuple[str, object, object]]:
    verdict, trace = each.verdict, each.evidence.trace
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
    fields = symptom.model_dump(mode="json", exclude_none=True, exclude={"longer_than", "timeout", "some"})
    words = [f"{name} {value}" for name, value in fields.items()]
    return words if symptom.timeout is None else [*words, f"timeout {write_duration(symptom.timeout)}"]


def _near(measured: float | None, timeout: float) -> bool:
    """A busy machine is late; only nginx is early, which may save itself 300 ms of setting a timer anew."""
    return measured is not None and -EARLY <= measured - timeout <= tolerance(timeout)


def _short(consumer: str) -> str:
    return consumer if consumer == CAREFUL else consumer.rpartition(":")[2]
