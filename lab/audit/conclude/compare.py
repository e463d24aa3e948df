"""How the answers of a path ended, held against those of the model's own address.

A marker can be put on a prefix, and no client sees that in the reply. What a control shows is whether the path's
answers are of the same lengths as the model's own: where they all end at one time or with one number of events while
all of the model's are longer, something may end them, and `complete` is nothing that can be told. Where the lengths
are alike, the marker is the model's. A single event more or less is no proof, since models differ by more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from lab.audit.conclude.confidence import Confidence, EndingFinding
from lab.audit.conclude.control import SAMPLES, other_lengths
from lab.audit.conclude.metrics import Measured
from lab.judge.agreement import agreement_of, tight
from lab.judge.endings import Reading, main_type
from lab.vocabulary import Ending
from lab.wire import format_named

_OWN = "the model's own address"


@dataclass(frozen=True)
class Ended:
    """One answer: its metrics, how it was read, and how it ended by itself."""

    measured: Measured
    reading: Reading
    finding: EndingFinding

    @property
    def whole(self) -> bool:
        """Whether it reads as a complete stream."""
        return self.reading.evidence.stream and self.finding.ending is Ending.COMPLETE


def against_control(group: Sequence[Ended], direct: Sequence[Ended]) -> list[EndingFinding]:
    """The endings of one setting, each as sure as the comparison with the model's own address leaves it.

    Args:
        group: the answers of one route and setting.
        direct: those of the model's own address, asked alike; empty where there are none.
    """
    own = [one for one in direct if one.whole]
    whole = [one for one in group if one.whole]
    if not own or not whole:
        return [one.finding for one in group]
    limit = _limit(whole, own)
    lengths = other_lengths([one.measured for one in whole], [one.measured for one in own])
    alike = not lengths and min(len(whole), len(own)) >= SAMPLES
    return [_weighed(one, limit, lengths, alike=alike) if one.whole else one.finding for one in group]


def _weighed(one: Ended, limit: str, lengths: str, *, alike: bool) -> EndingFinding:
    finding = one.finding
    if limit:
        reason = f"{finding.reason}; {limit}, as a marker that something puts on a prefix would make it"
        return replace(finding, ending=None, confidence=Confidence.CANNOT_TELL, reason=reason)
    if lengths:
        return replace(finding, confidence=Confidence.LIKELY, reason=f"{finding.reason}; {lengths}")
    if not one.reading.facts.marker:
        reason = f"{finding.reason}; {_OWN} sends the marker"
        return replace(finding, reason=reason)
    if alike:
        reason = f"{finding.reason}; answers from {_OWN} are as long, so a prefix is excluded"
        return replace(finding, confidence=Confidence.CERTAIN, reason=reason)
    return finding


def _limit(whole: Sequence[Ended], own: Sequence[Ended]) -> str:
    """What ends all answers of the path before all of the model's own; empty if nothing is seen to."""
    if len(whole) < SAMPLES:
        return ""
    times, counts = [one.measured.metrics.total for one in whole], [one.measured.metrics.tokens for one in whole]
    all_times, all_counts = [one.measured.metrics.total for one in own], [one.measured.metrics.tokens for one in own]
    at_one_time = agreement_of([(time, 0.0) for time in times], tight(min(times))) is not None
    if max(counts) >= min(all_counts) - 1:
        return ""
    longer = f"while all from {_OWN} are longer ({min(all_counts)} events or more, {min(all_times):.2f} s or more)"
    if at_one_time and max(times) < min(all_times):
        return f"all {len(whole)} answers end after {min(times):.2f} to {max(times):.2f} s, {longer}"
    if max(counts) - min(counts) <= 1:
        return f"all {len(whole)} answers end after {min(counts)} to {max(counts)} events, {longer}"
    return ""


def differences(group: Sequence[Ended], direct: Sequence[Ended]) -> Iterable[str]:
    """What the path changes in the replies, in sentences for a reader, with no verdict on delivery or ending."""
    streams = [one for one in group if one.reading.evidence.stream and one.measured.metrics.tokens]
    own = [one for one in direct if one.reading.evidence.stream and one.measured.metrics.tokens]
    for one in streams:
        yield from _wrong_type(one, own)
    whole, theirs = [one for one in streams if one.whole], [one for one in own if one.whole]
    limit = _limit(whole, theirs) if whole and theirs else ""
    if limit:
        yield f"whether answers are whole cannot be told: {limit}"
    unmarked = any(not one.reading.facts.marker for one in whole)
    if unmarked and theirs and all(one.reading.facts.marker for one in theirs):
        yield f"answers come without the terminal marker, which {_OWN} sends; clients that wait for it hang or fail"


def _wrong_type(one: Ended, own: Sequence[Ended]) -> Iterable[str]:
    wanted = main_type(format_named(one.reading.evidence.wire_format).stream_type)
    came = main_type(one.reading.trace.header("content-type"))
    theirs = {main_type(each.reading.trace.header("content-type")) for each in own}
    if came == wanted or came in theirs:
        return
    what = f"the Content-Type {came}" if came else "no Content-Type"
    there = f", where {_OWN} sends {wanted}" if wanted in theirs else ""
    who = "EventSource and some SDKs refuse" if "event-stream" in wanted else "some clients refuse"
    yield f"the stream comes with {what}{there}; {who} what is not {wanted}"
