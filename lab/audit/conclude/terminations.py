"""What the terminations of several answers on one route have in common: a timeout, a number of tokens, or nothing.

Strategy. Terminations at one time, or in the interval of somebody who looks now and then, are a timeout's; those after
one number of events are the model's, or a limit on size. Where both agree, only the model's own address can tell. A
longer life contradicts a timeout, unless the shorter ones end as closely together as no faults do: some hops have a
timeout on some of their connections only. And nobody sets a timeout of less than a second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lab.audit.conclude.ending import is_markered
from lab.judge.agreement import COARSE_DEATHS, agreement_of, tight
from lab.judge.endings import Reading, ending_of
from lab.judge.gaps import FEW
from lab.judge.timeouts import Exposure, TimeoutFinding, blame, exposure_of, tolerance
from lab.vocabulary import Cause, Ending

SOONEST_TIMEOUT = 1.0
"""Seconds. An answer that dies sooner than that dies of no timeout that anybody sets."""

TERMINATIONS = 2
"""Terminations without which nothing looks like a timeout: one alone lies on a timeout of any value."""

SAME_COUNT = 2
"""Events by which numbers may differ and be one: a path may lose the last ones before the end (Varnish: in 17 of 100
deaths, measured)."""

SHARED: Mapping[int, float] = {3: 0.03, 4: 0.1}
"""Deaths, and the seconds within which so many must lie, for a timeout that other answers outlived."""

_ONE_TIME = 0.02
"""Seconds that no reader can see in a list of times."""

_MOMENT = 0.5
"""Seconds within which deaths may be of one event, whatever their ages."""


@dataclass(frozen=True)
class TimeoutGuess:
    """What the terminations on one route have in common.

    Args:
        route: the route's name.
        terminations: seconds from the request at which answers died.
        cause: the kind of timeout that fits; None where none does or they are too few.
        value: the timeout's value in seconds; of one that is looked at now and then, the lower end.
        sentence: the finding in words.
    """

    route: str
    terminations: tuple[float, ...]
    cause: Cause | None
    value: float | None
    sentence: str


@dataclass(frozen=True)
class _Dead:
    """One answer that was ended, with what it tells about timeouts."""

    reading: Reading
    exposure: Exposure

    @property
    def events(self) -> int:
        return len(self.reading.facts.right)


def timeout_guess(route: str, readings: Sequence[Reading], own: Sequence[Reading] = ()) -> TimeoutGuess | None:
    """What the terminations on one route have in common; None where nothing died.

    Args:
        route: its name.
        readings: all answers on it, read as a foreign endpoint's.
        own: those of the model's own address; empty where there are none, or where it is the route itself.
    """
    exposures = [_exposure(reading) for reading in readings]
    dead = [_Dead(reading, each) for reading, each in zip(readings, exposures, strict=True) if each.died]
    if not dead:
        return None
    times = tuple(sorted(each.exposure.total for each in dead))
    cause, value, words = _found(dead, exposures, own)
    return TimeoutGuess(route, times, cause, value, words)


def _found(
    dead: Sequence[_Dead], exposures: Sequence[Exposure], own: Sequence[Reading]
) -> tuple[Cause | None, float | None, str]:
    after = f"after {_listed([each.exposure.total for each in dead])} s"
    if len(dead) < TERMINATIONS:
        return None, None, f"one answer died, {after}: a timeout or a fault, one alone tells nothing"
    died = f"{len(dead)} answers died {after}"
    found = blame(exposures, tight)
    shared = "" if found.kinds else _shared(dead, exposures)
    if shared:
        found = blame([each.exposure for each in dead], tight)
    if found.cause in (None, Cause.TOTAL_TIMEOUT):
        if counted := _counted(dead, own):
            told = found.cause if _longer(dead, own) and _at_one_time(dead) else None
            return told, found.value if told else None, f"{died}, {counted}"
        if _ends_there_too(dead, own):
            return None, None, f"{died}, and those of the model's own address die alike: no timeout of the path's"
    if found.cause is None or found.value is None or _often_survived(found, exposures):
        return None, None, f"{died}{_scattered(dead)}"
    if found.value < SOONEST_TIMEOUT:
        return None, None, f"{died}: sooner than any timeout that somebody sets, so these look like faults"
    return found.cause, found.value, f"{died}: looks like {_in_words(found)}{shared}"


def _often_survived(found: TimeoutFinding, exposures: Sequence[Exposure]) -> bool:
    """Whether the silence at death is the model's own pace, which other silences show that nobody minds."""
    longest = max(each.survived_idle for each in exposures)
    value = found.value or 0.0
    return found.cause is Cause.IDLE_TIMEOUT and longest >= value - tight(value)


def _in_words(found: TimeoutFinding) -> str:
    coarse = found.agreement is not None and found.agreement.coarse
    worker = ", such as a worker's timeout (gunicorn: --timeout)"
    example = worker if coarse and found.cause is Cause.TOTAL_TIMEOUT else ""
    return f"{found.sentence}{example}; a model that always dies there would look the same"


def _shared(dead: Sequence[_Dead], exposures: Sequence[Exposure]) -> str:
    """Words on those that outlived deaths which agree as closely as no faults do; empty where they do not."""
    times = [each.exposure.total for each in dead]
    apart = max(times) - min(times)
    close = any(len(dead) >= number and apart <= width for number, width in SHARED.items())
    moments = {round(each.reading.trace.ended / _MOMENT) for each in dead}
    if not close or len(moments) < TERMINATIONS:
        return ""
    return (
        f"; {len(exposures) - len(dead)} of {len(exposures)} answers did not, so that it may hold on some connections "
        "only, such as fresh ones, or on one of several ways behind the address"
    )


def _scattered(dead: Sequence[_Dead]) -> str:
    counts = [each.events for each in dead]
    if all(ending_of(each.reading) is Ending.SILENTLY_TRUNCATED for each in dead):
        many = f"{min(counts)} to {max(counts)}" if min(counts) < max(counts) else f"{counts[0]}"
        return f", after {many} events and at no one time: the model or a limit on tokens, not a timeout"
    wide = agreement_of([(each.exposure.total, each.exposure.late) for each in dead] * COARSE_DEATHS, 0.0)
    if len(dead) < COARSE_DEATHS and wide is not None:
        return ": too few to tell a timeout that is looked at now and then from faults"
    return ": no one timeout fits, so these look like faults"


def _counted(dead: Sequence[_Dead], own: Sequence[Reading]) -> str:
    """What terminations after one number of events, or of bytes, are due to; empty where both differ.

    A timeout cuts wherever the model happens to be, so that its answers differ by some events unless they are written
    evenly to the millisecond; then a constant number says as little as a constant time.
    """
    counts, sizes = [each.events for each in dead], [each.reading.facts.body_bytes for each in dead]
    if min(counts) < FEW or (max(counts) - min(counts) > SAME_COUNT and max(sizes) > min(sizes)):
        return ""
    many = f"{counts[0]} events" if max(counts) == min(counts) else f"{min(counts)} to {max(counts)} events"
    same = f"{sizes[0]:,} bytes" if max(sizes) == min(sizes) and max(counts) > min(counts) else many
    if _ends_there_too(dead, own):
        return f"each time after {same}, and so do those of the model's own address: the model, and no timeout"
    longer = _longer(dead, own)
    beyond = ", beyond which the model's own address goes" if longer else ""
    if not _at_one_time(dead):
        what = "a limit on size" if longer else "no timeout, but a model that dies there or a limit on size"
        return f"each time after {same} and not at one time{beyond}: {what}"
    where = "" if own else "; the model's own address would tell (--direct URL)"
    theirs = "or a limit on size" if longer else f"a limit on size, or a model that dies there{where}"
    what = f"a timeout, {theirs}"
    return f"each time after {same} and at one time{beyond}: {what}"


def _at_one_time(dead: Sequence[_Dead]) -> bool:
    """Whether the times scatter by no more than the pace of the events explains."""
    times = [each.exposure.total - each.exposure.late for each in dead]
    return max(times) - min(times) <= max(_ONE_TIME, min(_pace(each.reading) for each in dead))


def _longer(dead: Sequence[_Dead], own: Sequence[Reading]) -> bool:
    """Whether all answers of the model's own address have more events than those that died."""
    counts = [len(reading.facts.right) for reading in own]
    return bool(counts) and min(counts) > max(each.events for each in dead) + SAME_COUNT


def _ends_there_too(dead: Sequence[_Dead], own: Sequence[Reading]) -> bool:
    """Whether the model's own address ends answers at that number of events or at that time."""
    theirs = [_Dead(reading, each) for reading in own if (each := _exposure(reading)).died]
    counts, times = [each.events for each in dead], [each.exposure.total for each in dead]
    return any(
        min(counts) - SAME_COUNT <= each.events <= max(counts) + SAME_COUNT
        or abs(each.exposure.total - min(times)) <= tolerance(min(times))
        for each in theirs
    )


def _listed(times: Sequence[float]) -> str:
    """Times for a reader: one where they are one, first and last where they are close, else the first six."""
    first, *rest = sorted(times)
    if not rest or rest[-1] - first < _ONE_TIME:
        return f"{first:.2f}"
    if rest[-1] - first <= tight(first):
        return f"{first:.2f} to {rest[-1]:.2f}"
    return ", ".join(f"{time:.2f}" for time in (first, *rest[:5])) + (", ..." if len(rest) > 5 else "")


def _pace(reading: Reading) -> float:
    """Seconds from one event to the next, on the average."""
    times = [arrival.at for arrival in reading.facts.right]
    return (max(times) - min(times)) / max(len(times) - 1, 1)


def _exposure(reading: Reading) -> Exposure:
    """A clean end in the middle of an answer is a termination too; with a ledger it would be known whose."""
    exposure = exposure_of(reading)
    if exposure.died or ending_of(reading) is not Ending.SILENTLY_TRUNCATED or not is_markered(reading.evidence):
        return exposure
    return replace(exposure, died=True, survived_total=exposure.total - exposure.idle)
