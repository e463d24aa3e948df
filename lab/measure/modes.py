"""What compression, HTTP/2 and a slow reader change: each way of asking beside the plain one. Pure.

Warning: compression and HTTP/2 are only offered. Where the path takes neither, the reply says so, and what came is the
plain way once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from lab.judge.endings import VISIBLE
from lab.judge.exchanged import Exchanged
from lab.measure.clusters import AGREEING, tolerance
from lab.measure.findings import Found, Holds, ModeFound, TimeoutFound
from lab.measure.streams import Stream, stream_of
from lab.measure.tally import NAMES
from lab.measure.timeouts import Timeouts
from lab.suite.exchange import Exchange, Mode, Role
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


def modes_of(made: Sequence[Exchanged], timeouts: Timeouts) -> tuple[ModeFound, ...]:
    """Each way of asking; its two exchanges in lockstep must agree, or they are no proof of how tokens come."""
    found = []
    plain = [each for each in made if each.exchange.mode is Mode.PLAIN]
    for mode in Mode:
        group = [each for each in made if each.exchange.mode is mode]
        worst = _worst(group)
        if worst is not None:
            found.append(_mode(mode, worst, _delivered(group), _changes(mode, group, plain, timeouts)))
    return tuple(found)


def _worst(group: Sequence[Exchanged]) -> Exchanged | None:
    rank: Callable[[Exchanged], int] = lambda each: _WORST.index(each.verdict.delivery)  # noqa: E731 - a key
    return min((each for each in group if each.exchange.role is Role.MODE), key=rank, default=None)


def _delivered(group: Sequence[Exchanged]) -> Delivery:
    """How tokens came in that way; unproven where the two exchanges tell different things, as on a busy machine."""
    told = {each.verdict.delivery for each in group if each.exchange.role is Role.MODE} & _TOLD
    worst = _worst(group)
    if len(told) > 1 or worst is None:
        return Delivery.UNPROVEN
    return worst.verdict.delivery


def at_odds(made: Iterable[Exchanged]) -> bool:
    """Whether of exchanges in lockstep that were asked alike one shows tokens held back and the other does not.

    A path that holds tokens back holds them each time; a relay that is kept from running is late with some (LiteLLM on
    a busy machine with one token in a hundred, by more than 2 s, measured).
    """
    came: dict[Exchange, set[bool]] = {}
    for each in made:
        if each.exchange.plan.lockstep and each.verdict.delivery in _TOLD:
            at_once = each.verdict.delivery is Delivery.INCREMENTAL
            came.setdefault(_as_asked(each.exchange), set()).add(at_once)
    return any(len(each) > 1 for each in came.values())


def _as_asked(exchange: Exchange) -> Exchange:
    """What the path sees of it."""
    plan = exchange.plan.model_copy(update={"seed": 0, "hold": 0.0})
    return replace(exchange, name="", plan=plan, requirements=(), role=Role.SETTLE, mode=None, delay=0.0)


def _mode(name: Mode, worst: Exchanged, delivery: Delivery, changes: tuple[Holds, str]) -> ModeFound:
    trace = worst.evidence.trace
    answer, words = changes
    return ModeFound(
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
    mode: Mode, group: Sequence[Exchanged], plain: Sequence[Exchanged], timeouts: Timeouts
) -> tuple[Holds, str]:
    """Whether a way of asking changes anything, and what."""
    if mode is Mode.PLAIN:
        return Holds.UNKNOWN, "the way that the others are compared with"
    traces = [each.evidence.trace for each in group if each.evidence.trace.status is not None]
    if mode is Mode.HTTP_2 and traces and all(trace.version != "2" for trace in traces):
        return Holds.NO, f"the path does not speak HTTP/2: every reply came over HTTP/{traces[0].version}"
    if mode is Mode.GZIP and traces and not any(trace.header("content-encoding") for trace in traces):
        return Holds.NO, "the path does not compress: every reply came without a content coding"
    told = [_delivery(group, plain), _cuts(group, plain)]
    told += _timeouts(group, timeouts) if mode is Mode.HTTP_2 else []
    changed = [words for answer, words in told if answer is Holds.YES]
    if changed:
        return Holds.YES, "; ".join(changed)
    unknown = [words for answer, words in told if answer is Holds.UNKNOWN]
    same = [words for answer, words in told if answer is Holds.NO]
    return Holds.UNKNOWN if unknown else Holds.NO, "; ".join([*same, *unknown])


def _delivery(group: Sequence[Exchanged], plain: Sequence[Exchanged]) -> tuple[Holds, str]:
    one, other = _delivered(group), _delivered(plain)
    if one not in _TOLD or other not in _TOLD:
        return Holds.UNKNOWN, f"cannot compare the delivery, {one} with {other}"
    if one is other:
        return Holds.NO, f"delivery is {one} as in the plain way"
    return Holds.YES, f"delivery is {one}, and {other} in the plain way"


def _cuts(group: Sequence[Exchanged], plain: Sequence[Exchanged]) -> tuple[Holds, str]:
    here, there = dict(_shown(group)), dict(_shown(plain))
    both = sorted(here.keys() & there.keys())
    if not both:
        return Holds.UNKNOWN, "cannot compare how a cut of the model's looks"
    other = [kind for kind in both if here[kind] is not there[kind]]
    if other:
        words = [f"a cut by {kind} is {'visible' if here[kind] else 'not visible'}" for kind in other]
        return Holds.YES, f"{', '.join(words)}, other than in the plain way"
    seen = "visible" if all(here[kind] for kind in both) else "as visible or not as in the plain way"
    return Holds.NO, f"a cut by {' or '.join(both)} is {seen}"


def _shown(group: Iterable[Exchanged]) -> Iterator[tuple[str, bool]]:
    """Whether each kind of cut was visible, where the model did cut."""
    for each in group:
        if each.exchange.role is Role.MODE_CUT and each.reading.fault is not None:
            yield each.reading.fault.upper(), each.verdict.ending in VISIBLE


def _timeouts(group: Sequence[Exchanged], timeouts: Timeouts) -> Iterator[tuple[Holds, str]]:
    """Whether timeouts strike over HTTP/2 as they do over HTTP/1.1; says nothing of those that another one hides."""
    same, unsure = [], []
    waited = [each for each in group if each.exchange.role is Role.MODE_TIMEOUT]
    for watched in (Watched.FIRST_BYTE, Watched.IDLE, Watched.TOTAL):
        found = timeouts.of(watched)
        if found.found not in (Found.TIMEOUT, Found.NONE):
            continue
        made = [each for each in waited if each.exchange.watched is watched]
        streams = [stream for each in made if (stream := stream_of(each)) is not None and not stream.refused]
        answer, words = _timeout(streams, found)
        if answer is Holds.YES:
            yield answer, words
        elif answer is Holds.NO:
            same.append(watched.value)
        else:
            unsure.append(watched.value)
    if same:
        yield Holds.NO, f"the same timeouts ({', '.join(same)})"
    if unsure:
        yield Holds.UNKNOWN, f"cannot compare the timeouts ({', '.join(unsure)})"


def _timeout(streams: Sequence[Stream], found: TimeoutFound) -> tuple[Holds, str]:
    """Whether streams over HTTP/2 show another timeout than the one that was found, or one where none was."""
    where, died = NAMES[found.watched], [stream for stream in streams if stream.died]
    survived = max((stream.survived for stream in streams), default=0.0)
    # What HTTP/1.1 is known to survive, and what it does not.
    least = found.proven if found.value is None else found.value
    limit = tolerance(least)
    if found.value is not None and not found.outlived and survived > least + limit:
        return Holds.YES, f"{survived:.1f} s were survived, so no timeout {where} {found.when}"
    if len(died) == len(streams) >= AGREEING:
        early, late = min(stream.surely_waited for stream in died), max(stream.waited for stream in died)
        if late < least - limit or (found.value is not None and early > least + limit):
            other = f"is one {found.when}" if found.value is not None else f"survives {least:.1f} s"
            span = f"{early:.2f} s" if late - early < 0.1 else f"{early:.2f} to {late:.2f} s"
            return Holds.YES, f"every stream ended after {span}: a timeout {where}, where HTTP/1.1 {other}"
        if found.value is not None and early >= least - limit and late <= least + limit:
            return Holds.NO, ""
    if found.value is None and survived >= least - limit:
        return Holds.NO, ""
    return Holds.UNKNOWN, ""
