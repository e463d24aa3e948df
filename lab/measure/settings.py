"""What compression, HTTP/2 and a slow reader change: each way of asking beside the plain one. Pure.

Warning: compression and HTTP/2 are only offered. Where the path takes neither, the reply says so, and what came is the
plain way once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from lab.judge.endings import VISIBLE
from lab.judge.exchanged import Exchanged
from lab.measure.clusters import AGREEING, tolerance
from lab.measure.findings import Answer, Found, SettingFound, TimeoutFound
from lab.measure.lives import Life, life_of
from lab.measure.timeouts import NAMES, Timeouts
from lab.suite.exchange import Role, Setting
from lab.vocabulary import Delivery, Watched

_WORST: Sequence[Delivery] = (
    Delivery.BATCHED,
    Delivery.COALESCED,
    Delivery.INCREMENTAL,
    Delivery.UNPROVEN,
    Delivery.NONE,
)

_DISAGREE = "of two exchanges in lockstep one shows tokens held back and the other does not"

_TOLD = frozenset({Delivery.BATCHED, Delivery.COALESCED, Delivery.INCREMENTAL})


def settings_of(made: Sequence[Exchanged], timeouts: Timeouts) -> tuple[SettingFound, ...]:
    """Each way of asking; its two exchanges in lockstep must agree, or they are no proof of how tokens come."""
    found = []
    plain = [each for each in made if each.exchange.setting is Setting.PLAIN]
    for setting in Setting:
        group = [each for each in made if each.exchange.setting is setting]
        worst = _worst(group)
        if worst is not None:
            found.append(_setting(setting, worst, _delivered(group), _changes(setting, group, plain, timeouts)))
    return tuple(found)


def _worst(group: Sequence[Exchanged]) -> Exchanged | None:
    rank: Callable[[Exchanged], int] = lambda each: _WORST.index(each.verdict.delivery)  # noqa: E731 - a key
    return min((each for each in group if each.exchange.role is Role.SETTING), key=rank, default=None)


def _delivered(group: Sequence[Exchanged]) -> Delivery:
    """How tokens came in that way; unproven where the two exchanges tell different things, as on a busy machine."""
    told = {each.verdict.delivery for each in group if each.exchange.role is Role.SETTING} & _TOLD
    worst = _worst(group)
    if len(told) > 1 or worst is None:
        return Delivery.UNPROVEN
    return worst.verdict.delivery


def _setting(name: Setting, worst: Exchanged, delivery: Delivery, changes: tuple[Answer, str]) -> SettingFound:
    trace = worst.evidence.trace
    answer, words = changes
    return SettingFound(
        name=name,
        delivery=delivery,
        ending=worst.verdict.ending,
        version=trace.version,
        coding=trace.header("content-encoding"),
        changes=answer,
        change=words,
        sentence=worst.verdict.sentence if delivery is worst.verdict.delivery else _DISAGREE,
    )


def _changes(
    setting: Setting, group: Sequence[Exchanged], plain: Sequence[Exchanged], timeouts: Timeouts
) -> tuple[Answer, str]:
    """Whether a way of asking changes anything, and what."""
    if setting is Setting.PLAIN:
        return Answer.UNKNOWN, "the way that the others are compared with"
    traces = [each.evidence.trace for each in group if each.evidence.trace.status is not None]
    if setting is Setting.HTTP_2 and traces and all(trace.version != "2" for trace in traces):
        return Answer.NO, f"the path does not speak HTTP/2: every reply came over HTTP/{traces[0].version}"
    if setting is Setting.GZIP and traces and not any(trace.header("content-encoding") for trace in traces):
        return Answer.NO, "the path does not compress: every reply came without a content coding"
    told = [_delivery(group, plain), _cuts(group, plain)]
    told += _timeouts(group, timeouts) if setting is Setting.HTTP_2 else []
    changed = [words for answer, words in told if answer is Answer.YES]
    if changed:
        return Answer.YES, "; ".join(changed)
    unknown = [words for answer, words in told if answer is Answer.UNKNOWN]
    same = [words for answer, words in told if answer is Answer.NO]
    return Answer.UNKNOWN if unknown else Answer.NO, "; ".join([*same, *unknown])


def _delivery(group: Sequence[Exchanged], plain: Sequence[Exchanged]) -> tuple[Answer, str]:
    one, other = _delivered(group), _delivered(plain)
    if one not in _TOLD or other not in _TOLD:
        return Answer.UNKNOWN, f"cannot compare the delivery, {one} with {other}"
    if one is other:
        return Answer.NO, f"delivery is {one} as in the plain way"
    return Answer.YES, f"delivery is {one}, and {other} in the plain way"


def _cuts(group: Sequence[Exchanged], plain: Sequence[Exchanged]) -> tuple[Answer, str]:
    here, there = dict(_shown(group)), dict(_shown(plain))
    both = [kind for kind in here if kind in there]
    if not both:
        return Answer.UNKNOWN, "cannot compare how a cut of the model's looks"
    other = [kind for kind in both if here[kind] is not there[kind]]
    if other:
        words = [f"a cut by {kind} is {'visible' if here[kind] else 'not visible'}" for kind in other]
        return Answer.YES, f"{', '.join(words)}, other than in the plain way"
    seen = "visible" if all(here[kind] for kind in both) else "as visible or not as in the plain way"
    return Answer.NO, f"a cut by {' or '.join(both)} is {seen}"


def _shown(group: Iterable[Exchanged]) -> Iterator[tuple[str, bool]]:
    """Whether each kind of cut was visible, where the model did cut."""
    for each in group:
        if each.exchange.role is Role.SETTING_CUT and each.reading.fault is not None:
            yield each.reading.fault.upper(), each.verdict.ending in VISIBLE


def _timeouts(group: Sequence[Exchanged], timeouts: Timeouts) -> Iterator[tuple[Answer, str]]:
    """Whether timeouts strike over HTTP/2 as they do over HTTP/1.1; says nothing of those that another one hides."""
    same, unsure = [], []
    waited = [each for each in group if each.exchange.role is Role.SETTING_TIMEOUT]
    for watched in (Watched.FIRST_BYTE, Watched.IDLE, Watched.TOTAL):
        found = timeouts.of(watched)
        if found.found not in (Found.TIMEOUT, Found.NONE):
            continue
        made = [each for each in waited if each.exchange.watched is watched]
        lives = [life for each in made if (life := life_of(each)) is not None and not life.refused]
        answer, words = _timeout(lives, found)
        if answer is Answer.YES:
            yield answer, words
        elif answer is Answer.NO:
            same.append(watched.value)
        else:
            unsure.append(watched.value)
    if same:
        yield Answer.NO, f"the same timeouts ({', '.join(same)})"
    if unsure:
        yield Answer.UNKNOWN, f"cannot compare the timeouts ({', '.join(unsure)})"


def _timeout(lives: Sequence[Life], found: TimeoutFound) -> tuple[Answer, str]:
    """Whether lives over HTTP/2 show another timeout than the one that was found, or one where none was."""
    where, died = NAMES[found.watched], [life for life in lives if life.died]
    survived = max((life.survived for life in lives), default=0.0)
    # What HTTP/1.1 is known to survive, and what it does not.
    least = found.proven if found.value is None else found.value
    limit = tolerance(least)
    if found.value is not None and survived > least + limit:
        return Answer.YES, f"{survived:.1f} s were survived, so no timeout {where} at {least:.2f} s"
    if len(died) == len(lives) >= AGREEING:
        early, late = min(life.waited - life.late for life in died), max(life.waited for life in died)
        if late < least - limit or (found.value is not None and early > least + limit):
            other = f"is one at {least:.2f} s" if found.value is not None else f"survives {least:.1f} s"
            span = f"{early:.2f} s" if late - early < 0.1 else f"{early:.2f} to {late:.2f} s"
            return Answer.YES, f"every stream ended after {span}: a timeout {where}, where HTTP/1.1 {other}"
        if found.value is not None and early >= least - limit and late <= least + limit:
            return Answer.NO, ""
    if found.value is None and survived >= least - limit:
        return Answer.NO, ""
    return Answer.UNKNOWN, ""
