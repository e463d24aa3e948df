"""How each answer ended, as far as its client can know, and what the deaths of several have in common.

The judge's table of endings gives the word; this module says how far it can be trusted where there is no plan and
no ledger. Three things no client can see: a marker that was put on a prefix, text that was changed on the
way, and, in a format without a marker, the difference between an end and a clean cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lab.audit.confidence import Confidence, EndingFinding
from lab.evidence import Evidence, TransportEnd
from lab.judge.clocks import Exposure, blame, exposure_of
from lab.judge.endings import Case, ending_of
from lab.judge.reading import read
from lab.judge.sentences import TRANSPORT
from lab.wire import format_named
from lab.words import Cause, Ending

CLOCK_SLACK = (0.5, 0.02)
"""Seconds, and part of the value, whichever is more, within which deaths by one clock lie."""

DEATHS = 2
"""Deaths without which nothing looks like a clock: one alone lies on a clock of any value."""

_UNSEEN = "a marker put on a prefix and a changed text are not excluded, for no client can see them"

_REASONS: Mapping[Ending, tuple[Confidence, str]] = {
    Ending.COMPLETE: (Confidence.CERTAIN, _UNSEEN),
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
    Ending.TIME_OUT: (Confidence.CERTAIN, "the probe's own patience ended it"),
    Ending.CUT: (Confidence.CERTAIN, "every client can see this cut"),
    Ending.MALFORMED: (Confidence.CERTAIN, "what came breaks the wire format"),
    Ending.SILENTLY_TRUNCATED: (Confidence.CERTAIN, "a clean end with neither reason nor marker"),
}


@dataclass(frozen=True)
class ClockGuess:
    """What the deaths on one way have in common.

    Args:
        way: the way's name.
        deaths: seconds from the request at which answers died.
        cause: the kind of clock that fits; None where none does or they are too few.
        value: the clock's value in seconds.
        sentence: the finding in words.
    """

    way: str
    deaths: tuple[float, ...]
    cause: Cause | None
    value: float | None
    sentence: str


def strangers(evidence: Evidence) -> Case:
    """The evidence as that of a stranger's endpoint: no plan, no ledger, no faith in numbers in the text."""
    bare = replace(evidence, plan=None, ledger=None, confirmed={})
    return Case(bare, replace(read(bare), spoilt="", whole=None))


def ending_finding(evidence: Evidence) -> EndingFinding:
    """How one answer ended, and how sure that is."""
    return ending_of_case(strangers(evidence))


def ending_of_case(case: Case) -> EndingFinding:
    """The same for an answer that has been read as a stranger's."""
    evidence = case.evidence
    ending = ending_of(case)
    after = f"{TRANSPORT[case.trace.end]} after {max(case.trace.ended - case.trace.started, 0):.2f} s"
    if ending is Ending.SILENTLY_TRUNCATED and not _markered(evidence):
        reason = f"{after}; this wire format has no terminal marker, so an end and a clean cut look the same"
        return EndingFinding(None, Confidence.CANNOT_TELL, reason)
    confidence, why = _REASONS[ending]
    if ending is Ending.COMPLETE and not case.facts.marker:
        confidence, why = Confidence.LIKELY, f"a reason and a clean end, but no terminal marker; {_UNSEEN}"
    if ending is Ending.COMPLETE and case.trace.end is TransportEnd.CLOSED and not _markered(evidence):
        confidence = Confidence.LIKELY
    status = f"status {case.trace.status}; " if (case.trace.status or 200) != 200 else ""
    return EndingFinding(ending, confidence, f"{status}{after}; {why}")


def clock_guess(way: str, cases: Sequence[Case]) -> ClockGuess | None:
    """What the deaths on one way have in common; None where nothing died."""
    exposures = [_exposure(case) for case in cases]
    deaths = [exposure for exposure in exposures if exposure.died]
    if not deaths:
        return None
    times = tuple(sorted(death.total for death in deaths))
    listed = ", ".join(f"{time:.2f}" for time in times[:6]) + (", ..." if len(times) > 6 else "")
    if len(deaths) < DEATHS:
        sentence = f"one answer died, after {listed} s: a clock or a fault, one alone tells nothing"
        return ClockGuess(way, times, None, None, sentence)
    found = blame(exposures)
    if found.cause is None or not _agree(found.cause, deaths):
        sentence = f"{len(times)} answers died after {listed} s: no one clock fits, so these look like faults"
        return ClockGuess(way, times, None, None, sentence)
    sentence = (
        f"{len(times)} answers died after {listed} s: looks like {found.sentence}; "
        "a model that always dies there would look the same"
    )
    return ClockGuess(way, times, found.cause, found.value, sentence)


def _exposure(case: Case) -> Exposure:
    """A clean end in the middle of an answer is a death too; with a ledger it would be known whose."""
    exposure = exposure_of(case)
    if exposure.died or ending_of(case) is not Ending.SILENTLY_TRUNCATED or not _markered(case.evidence):
        return exposure
    return replace(exposure, died=True, survived_total=exposure.total - exposure.idle)


def _agree(cause: Cause, deaths: Sequence[Exposure]) -> bool:
    """Whether the deaths lie as close together as those by one clock do, which is closer than the judge asks."""
    values = [value for death in deaths if (value := death.at_death(cause)) is not None]
    least, part = CLOCK_SLACK
    return len(values) == len(deaths) and max(values) - min(values) <= max(least, part * min(values))


def _markered(evidence: Evidence) -> bool:
    return not evidence.stream or format_named(evidence.wire_format).has_marker


def survived(case: Case) -> tuple[float, float]:
    """How long the answer is known to have lived, and the longest silence that it survived, in seconds."""
    exposure = _exposure(case)
    if not case.may_answer:
        return 0.0, 0.0
    return exposure.survived_total, max(exposure.survived_first_byte, exposure.survived_idle)
