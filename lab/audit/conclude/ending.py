"""How each answer ended, as far as its client can know, and what the terminations of several have in common.

The judge's table of endings gives the word; this module says how far it can be trusted where there is no plan and
no ledger. Three things no client can see: a marker that was put on a prefix, text that was changed on the
way, and, in a format without a marker, the difference between an end and a clean cut. So `complete` is never certain
by itself; what the model's own address shows of it is for `lab.audit.conclude.compare`. A reply that repeats itself
(OpenAI's Responses) can contradict itself, and then it is `corrupt` for certain.

Terminations at one time are a timeout's; those after one number of events are the model's, or a limit on size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from lab.audit.conclude.confidence import Confidence, EndingFinding
from lab.endpoint.allowance import ignores_limit
from lab.evidence import Evidence, TransportEnd
from lab.judge.endings import Reading, ending_of
from lab.judge.gaps import FEW
from lab.judge.reading import read
from lab.judge.sentences import TRANSPORT
from lab.judge.timeouts import Exposure, blame, exposure_of
from lab.vocabulary import Cause, Ending
from lab.wire import format_named

TIMEOUT_SLACK = (0.5, 0.02)
"""Seconds, and part of the value, whichever is more, within which terminations by one timeout lie."""

TERMINATIONS = 2
"""Terminations without which nothing looks like a timeout: one alone lies on a timeout of any value."""

_QUOTED = 120
"""Characters of an error's message that are shown."""

_UNSEEN = "a marker put on a prefix and a changed text are not excluded, for no client can see them in a reply"

_REASONS: Mapping[Ending, tuple[Confidence, str]] = {
    Ending.COMPLETE: (Confidence.LIKELY, _UNSEEN),
    Ending.DECLARED_PARTIAL: (Confidence.CERTAIN, "the model says that it stopped early"),
    Ending.MODEL_ERROR_IN_STREAM: (
        Confidence.LIKELY,
        "an error event in the wire format's own shape; a gateway can write one too",
    ),
    Ending.MODEL_ERROR_STATUS: (
        Confidence.LIKELY,
        "an error document in the wire format's own shape; a gateway can write one too",
    ),
    Ending.PROXY_ERROR_STATUS: (
        Confidence.LIKELY,
        "the body is no error document of the wire format; a model server can send such a page too",
    ),
    Ending.WRONG_REPLY: (Confidence.CERTAIN, "nothing in it is an event of the wire format"),
    Ending.PROBE_TIMEOUT: (Confidence.CERTAIN, "the probe's own patience ended it"),
    Ending.CUT: (Confidence.CERTAIN, "every client can see this cut"),
    Ending.MALFORMED: (Confidence.CERTAIN, "what came breaks the wire format"),
    Ending.SILENTLY_TRUNCATED: (Confidence.CERTAIN, "a clean end with neither reason nor marker"),
    Ending.CORRUPT: (Confidence.CERTAIN, "the reply contradicts itself"),
}


@dataclass(frozen=True)
class TimeoutGuess:
    """What the terminations on one route have in common.

    Args:
        route: the route's name.
        terminations: seconds from the request at which answers died.
        cause: the kind of timeout that fits; None where none does or they are too few.
        value: the timeout's value in seconds.
        sentence: the finding in words.
    """

    route: str
    terminations: tuple[float, ...]
    cause: Cause | None
    value: float | None
    sentence: str


def read_as_foreign(evidence: Evidence) -> Reading:
    """The evidence as that of a foreign endpoint: no plan, no ledger, no faith in numbers in the text."""
    bare = replace(evidence, plan=None, ledger=None, confirmed={})
    return Reading(bare, replace(read(bare), spoilt="", whole=None))


def ending_finding(evidence: Evidence) -> EndingFinding:
    """How one answer ended, and how sure that is."""
    return ending_of_reading(read_as_foreign(evidence))


def ending_of_reading(reading: Reading) -> EndingFinding:
    """The same for an answer that has been read as a foreign endpoint's."""
    evidence = reading.evidence
    ending = ending_of(reading)
    seconds = max(reading.trace.ended - reading.trace.started, 0)
    after = f"after {seconds:.2f} s {TRANSPORT[reading.trace.end]}"
    if ending is Ending.SILENTLY_TRUNCATED and not _markered(evidence):
        reason = f"{after}; this wire format has no terminal marker, so an end and a clean cut look the same"
        return EndingFinding(None, Confidence.CANNOT_TELL, reason, seconds, reading.trace.status)
    confidence, why = _REASONS[ending]
    if ending is Ending.COMPLETE and not reading.facts.marker:
        why = f"a reason and a clean end, but no terminal marker; {_UNSEEN}"
    if ending is Ending.PROBE_TIMEOUT and reading.trace.end is TransportEnd.LEFT:
        # That the limit on tokens is ignored is a problem of its own, with its figures.
        why = "" if ignores_limit(evidence) or not reading.trace.detail else f": {reading.trace.detail}"
        reason = f"the audit itself stopped reading after {seconds:.2f} s{why}"
        return EndingFinding(None, Confidence.CANNOT_TELL, reason, seconds, reading.trace.status)
    if ending is Ending.SILENTLY_TRUNCATED and not reading.facts.body_bytes:
        confidence, why = (
            Confidence.LIKELY,
            "an empty body: cut before its first token, or from a server that sends none",
        )
    if ending is Ending.CORRUPT:
        why = f"{why}: {reading.facts.contradiction}"
    if ending is Ending.MODEL_ERROR_IN_STREAM and reading.facts.error is not None:
        why = f"{why}; it says: {' '.join(reading.facts.error.message.split())[:_QUOTED]}"
    status = f"status {reading.trace.status}; " if (reading.trace.status or 200) != 200 else ""
    return EndingFinding(ending, confidence, f"{status}{after}; {why}", seconds, reading.trace.status)


def timeout_guess(route: str, readings: Sequence[Reading]) -> TimeoutGuess | None:
    """What the terminations on one route have in common; None where nothing died."""
    exposures = [_exposure(reading) for reading in readings]
    terminations = [exposure for exposure in exposures if exposure.died]
    if not terminations:
        return None
    times = tuple(sorted(termination.total for termination in terminations))
    listed = ", ".join(f"{time:.2f}" for time in times[:6]) + (", ..." if len(times) > 6 else "")
    if len(terminations) < TERMINATIONS:
        sentence = f"one answer died, after {listed} s: a timeout or a fault, one alone tells nothing"
        return TimeoutGuess(route, times, None, None, sentence)
    found = blame(exposures)
    counted = _counted([reading for reading, each in zip(readings, exposures, strict=True) if each.died], terminations)
    if counted and found.cause in (None, Cause.TOTAL_TIMEOUT):
        return TimeoutGuess(route, times, None, None, f"{len(times)} answers died after {listed} s, {counted}")
    if found.cause is None or not _agree(found.cause, terminations):
        sentence = f"{len(times)} answers died after {listed} s: no one timeout fits, so these look like faults"
        return TimeoutGuess(route, times, None, None, sentence)
    sentence = (
        f"{len(times)} answers died after {listed} s: looks like {found.sentence}; "
        "a model that always dies there would look the same"
    )
    return TimeoutGuess(route, times, found.cause, found.value, sentence)


def _counted(dead: Sequence[Reading], terminations: Sequence[Exposure]) -> str:
    """What terminations after one number of events, or of bytes, are due to; empty where both differ.

    A timeout cuts wherever the model happens to be, so that its answers differ by some events unless they are written
    evenly to the millisecond; then a constant number says as little as a constant time.
    """
    counts, sizes = [len(reading.facts.right) for reading in dead], [reading.facts.body_bytes for reading in dead]
    if min(counts) < FEW or (max(counts) > min(counts) and max(sizes) > min(sizes)):
        return ""
    same = f"{counts[0]} events" if max(counts) == min(counts) else f"{sizes[0]:,} bytes"
    times = [termination.total for termination in terminations]
    scatter = max(times) - min(times)
    each = min(_pace(reading) for reading in dead)
    if scatter > each:
        return f"each time after {same} and not at one time: no timeout, but a model that dies there or a limit on size"
    return f"each time after {same} and at one time: a timeout, a limit on size, or a model that dies there"


def _pace(reading: Reading) -> float:
    """Seconds from one event to the next, on the average."""
    times = [arrival.at for arrival in reading.facts.right]
    return (max(times) - min(times)) / max(len(times) - 1, 1)


def _exposure(reading: Reading) -> Exposure:
    """A clean end in the middle of an answer is a termination too; with a ledger it would be known whose."""
    exposure = exposure_of(reading)
    if exposure.died or ending_of(reading) is not Ending.SILENTLY_TRUNCATED or not _markered(reading.evidence):
        return exposure
    return replace(exposure, died=True, survived_total=exposure.total - exposure.idle)


def _agree(cause: Cause, terminations: Sequence[Exposure]) -> bool:
    """Whether they lie as close together as those by one timeout do, which is closer than the judge asks."""
    values = [value for termination in terminations if (value := termination.at_death(cause)) is not None]
    least, part = TIMEOUT_SLACK
    return len(values) == len(terminations) and max(values) - min(values) <= max(least, part * min(values))


def _markered(evidence: Evidence) -> bool:
    return not evidence.stream or format_named(evidence.wire_format).has_marker


def survived(reading: Reading) -> tuple[float, float]:
    """How long after the request a token still came, and the longest time without a byte before one, in seconds."""
    if not reading.may_answer or not reading.facts.right:
        return 0.0, 0.0
    # That a connection stood open proves nothing: only what a token came after was survived.
    start, last = reading.trace.started, reading.facts.right[-1].at
    times = [start, *(read.at for read in reading.trace.reads if read.at < last), last]
    return last - start, max(later - earlier for earlier, later in pairwise(times))
