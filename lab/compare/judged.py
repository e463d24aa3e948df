"""What became of each generation: whole, or lost to what. Pure.

Over the lab's own paths the judge knows the plan and the ledger. Of a foreign endpoint nobody knows either, so
that the audit's rules hold there: a timeout is named only where several replies died at one age or after one
silence, and nothing outlived it. All exchanges are judged together, each as a control for the others' timeouts.

Warning: streams that died at one time and after one count of events name no timeout, as a model that dies there looks
the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lab.audit.conclude.ending import ending_of_reading, read_as_foreign
from lab.audit.conclude.terminations import timeout_guess
from lab.compare.answers import ReplyContent, read_content
from lab.compare.turns import Generation
from lab.judge.endings import WHOLE, Reading
from lab.judge.reading import longest_silence
from lab.judge.timeouts import TIMEOUT_STATUSES, Exposure, exposure_of, tolerance
from lab.judge.verdict import judge_all
from lab.vocabulary import Cause, Ending

TIMEOUTS = frozenset({Cause.FIRST_BYTE_TIMEOUT, Cause.IDLE_TIMEOUT, Cause.TOTAL_TIMEOUT})

_REFUSALS = frozenset({503, 529})
"""Statuses that say that the endpoint has too much to do; 529 is usage, not standard."""

_Timeout = tuple[Cause | None, float | None]
_NO_TIMEOUT: _Timeout = (None, None)


@dataclass(frozen=True)
class Judged:
    """One generation, judged; times in seconds.

    Args:
        generation: what was made.
        answer: what came of it.
        lost_to: the cause, or the ending where no cause can be told; empty if the answer is whole.
        timeout: the value of the timeout that it was lost to; None if it was none.
        refused: whether the endpoint itself said no, which has nothing to do with the way it was asked.
    """

    generation: Generation
    answer: ReplyContent
    lost_to: str = ""
    timeout: float | None = None
    refused: bool = False

    @property
    def whole(self) -> bool:
        """Whether it came as far as the model meant it to."""
        return not self.lost_to

    @property
    def total(self) -> float:
        """From the request to the end."""
        trace = self.generation.evidence.trace
        return trace.ended - trace.started

    @property
    def silence(self) -> float:
        """The longest time without a byte."""
        return longest_silence(self.generation.evidence.trace)


def judge_generations(generations: Sequence[Generation]) -> list[Judged]:
    """Judge the generations of one comparison, in their order."""
    if any(one.evidence.plan is None for one in generations):
        return _without_truth(generations)
    return [
        _judged(
            one, verdict.ending, verdict.cause if verdict.cause in TIMEOUTS else None, verdict.timeout, verdict.cause
        )
        for one, verdict in zip(generations, judge_all([one.evidence for one in generations]), strict=True)
    ]


def _judged(
    generation: Generation,
    ending: Ending | None,
    timeout: Cause | None,
    value: float | None,
    cause: Cause | None = None,
) -> Judged:
    # Without a marker in the wire format an end and a clean cut look the same; the page says so.
    if ending is None or ending in WHOLE:
        return Judged(generation, read_content(generation.evidence))
    status = generation.evidence.trace.status or 0
    spoken = ending in (Ending.MODEL_ERROR_STATUS, Ending.MODEL_ERROR_IN_STREAM) and status not in TIMEOUT_STATUSES
    return Judged(
        generation,
        read_content(generation.evidence),
        lost_to=str(timeout or cause or ending) + (f" {status}" if status >= 400 and timeout is None else ""),
        timeout=value if timeout is not None else None,
        refused=spoken or status in _REFUSALS,
    )


def _without_truth(generations: Sequence[Generation]) -> list[Judged]:
    readings = [read_as_foreign(one.evidence) for one in generations]
    endings = [ending_of_reading(reading).ending for reading in readings]
    joint = _timeout(readings)
    timeouts = _timeouts_of_groups(readings, endings) if joint[0] is None else [joint] * len(readings)
    return [
        _judged(one, ending, *(timeout if timeout_guess("", [reading]) is not None else _NO_TIMEOUT))
        for one, reading, ending, timeout in zip(generations, readings, endings, timeouts, strict=True)
    ]


def _timeouts_of_groups(readings: Sequence[Reading], endings: Sequence[Ending | None]) -> list[_Timeout]:
    """Where no one timeout explains every termination, that of the replies that were asked and died alike."""
    whole = [reading for reading, ending in zip(readings, endings, strict=True) if ending is None or ending in WHOLE]
    kinds = [
        (reading.evidence.stream, reading.trace.status, ending)
        for reading, ending in zip(readings, endings, strict=True)
    ]
    found = {
        kind: _timeout([*(reading for reading, its in zip(readings, kinds, strict=True) if its == kind), *whole])
        for kind in dict.fromkeys(kinds)
    }
    return [found[kind] for kind in kinds]


def _timeout(readings: Sequence[Reading]) -> _Timeout:
    """The timeout that all terminations among these fit, and its value."""
    guess = timeout_guess("", readings)
    if guess is None or guess.cause is None or guess.value is None:
        return _NO_TIMEOUT
    if guess.cause is Cause.IDLE_TIMEOUT and _outlived([exposure_of(reading) for reading in readings], guess.value):
        return _NO_TIMEOUT
    return guess.cause, guess.value


def _outlived(exposures: Sequence[Exposure], idle: float) -> bool:
    """Whether replies without a byte are put down to a silence, and another reply's first byte took longer to come."""
    silent = all(exposure.first_byte is not None for exposure in exposures if exposure.died)
    waited = max(exposure.survived_first_byte for exposure in exposures)
    return silent and waited > idle + tolerance(idle)
