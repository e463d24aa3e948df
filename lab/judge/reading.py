"""From evidence to facts: what came, in which order and when; no conclusion is drawn here.

The body is read again from the trace with the same reader that the lockstep driver uses, so the verdict rests
on the log alone. A token's time is that of the read which completed its event; where reads are cut makes no
difference, for tokens are grouped by time and never by read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from lab.evidence import Evidence, Trace
from lab.plan import Plan
from lab.probe.body import BodyReader, Piece
from lab.wire import format_named
from lab.wire.events import PROGRESS, CallPiece, Contradiction, ErrorEvent, Finish, Heartbeat, Marker, Unreadable
from lab.wire.tokens import Stamp
from lab.wire.tools import Calls


@dataclass(frozen=True)
class Arrival:
    """One token as it arrived.

    Args:
        number: its place in the answer, from 1.
        at: when the read that completed it came.
        tag: the plan's tag that it carries; empty for text that is not the lab's.
        left: when it says that it left, on a timeout of the model server's (due time or epoch); None if
            it does not say.
    """

    number: int
    at: float
    tag: str = ""
    left: float | None = None


@dataclass(frozen=True)
class Facts:
    """What the body amounts to.

    Args:
        arrivals: every token in the order of arrival, right or not.
        right: for each right token its first arrival, in the order of arrival.
        spoilt: how the sequence differs from 1, 2, 3, ... in words; empty if it does not.
        whole: tokens in the whole answer; None where nobody knows.
        finish: the reason the model gave; None if none came.
        marker: whether the terminal marker came.
        call_flaw: what is wrong with the first call of a tool that could not be carried out, in words; empty without.
        error: the first error event.
        contradiction: the first place at which the reply contradicts itself, in words; empty if it does not.
        unreadable: the first event before the marker that broke the wire format, quoted, or what could not be decoded.
        broken_amid: whether more came after that event than half an event, which any cut leaves.
        recognised: events of the wire format other than unreadable ones.
        beats: when those came that were heartbeats.
        body_bytes: length of the body.
        members: of gzip, or frames of zstd, that the body is made of; 1 for most bodies.
        in_first_member: events that can be read in the first of them, which is all that most clients read.
    """

    arrivals: tuple[Arrival, ...] = ()
    right: tuple[Arrival, ...] = ()
    spoilt: str = ""
    whole: int | None = None
    finish: Finish | None = None
    marker: bool = False
    call_flaw: str = ""
    error: ErrorEvent | None = None
    contradiction: str = ""
    unreadable: str = ""
    broken_amid: bool = False
    recognised: int = 0
    beats: tuple[float, ...] = ()
    body_bytes: int = 0
    members: int = 1
    in_first_member: int = 0

    @property
    def lost_to_members(self) -> bool:
        """Whether a client that stops after the first member of gzip or frame of zstd misses anything."""
        return self.members > 1 and self.in_first_member < self.recognised

    @property
    def heartbeats(self) -> int:
        """How many of the events were heartbeats."""
        return len(self.beats)

    @property
    def received(self) -> int:
        """Distinct right tokens."""
        return len(self.right)

    @property
    def all_there(self) -> bool:
        """Whether every token of the answer came; True where nobody knows how many there are."""
        return self.whole is None or self.received >= self.whole


@dataclass
class _Gathering:
    """Facts while the body is being read."""

    arrivals: list[Arrival] = field(default_factory=list)
    piece_times: list[float] = field(default_factory=list)
    beats: list[float] = field(default_factory=list)
    finish: Finish | None = None
    marker: bool = False
    error: ErrorEvent | None = None
    contradiction: str = ""
    unreadable: str = ""
    calls: Calls = field(default_factory=Calls)
    counts: Counter[type] = field(default_factory=Counter)

    @property
    def recognised(self) -> int:
        """Events of the wire format other than unreadable ones."""
        return self.counts.total() - self.counts[Unreadable] - self.counts[Contradiction]

    def take(self, at: float, piece: Piece) -> None:
        """Add what one piece of the body brought."""
        self.arrivals += [_arrival(stamp, at) for stamp in piece.tokens]
        for event in piece.events:
            self.counts[type(event)] += 1
            if isinstance(event, PROGRESS):
                self.piece_times.append(at)
            match event:
                case Heartbeat():
                    self.beats.append(at)
                case CallPiece():
                    self.calls.take(event)
                case Finish():
                    self.finish = self.finish or event
                case Marker():
                    self.marker = True
                case ErrorEvent():
                    self.error = self.error or event
                case Contradiction():
                    self.contradiction = self.contradiction or event.why
                case Unreadable() if not self.marker:
                    self.unreadable = self.unreadable or event.quoted


def read(evidence: Evidence) -> Facts:
    """Read the body of an exchange."""
    trace = evidence.trace
    body = BodyReader(format_named(evidence.wire_format), evidence.stream, trace.header("content-encoding"))
    gathering = _Gathering()
    for piece in trace.body:
        gathering.take(piece.at, body.feed(piece.data))
    broken_amid = bool(gathering.unreadable)
    # What the end completes came with the last byte; the end itself may have been long after.
    gathering.take(trace.body[-1].at if trace.body else trace.ended, body.close())
    arrivals = gathering.arrivals
    if evidence.plan is None and not arrivals:
        arrivals = [Arrival(number, at) for number, at in enumerate(gathering.piece_times, 1)]
    tag = evidence.plan.tag if evidence.plan else (arrivals[0].tag if arrivals else "")
    recognised = gathering.recognised
    return Facts(
        arrivals=tuple(arrivals),
        right=_right(arrivals, tag),
        spoilt=_spoilt(arrivals, tag, body.stray, evidence.plan),
        whole=evidence.plan.tokens if evidence.plan else None,
        finish=gathering.finish,
        marker=gathering.marker,
        call_flaw=gathering.calls.flaw(),
        error=gathering.error,
        contradiction=gathering.contradiction,
        unreadable=gathering.unreadable or ("" if gathering.marker else body.trouble),
        broken_amid=broken_amid,
        recognised=recognised,
        beats=tuple(gathering.beats),
        body_bytes=sum(len(piece.data) for piece in trace.body),
        members=body.members,
        in_first_member=_in_first_member(evidence) if body.members > 1 else recognised,
    )


def _in_first_member(evidence: Evidence) -> int:
    """How many events a client sees that stops after the first member of gzip or frame of zstd."""
    wire_format, coding = format_named(evidence.wire_format), evidence.trace.header("content-encoding")
    body, gathering = BodyReader(wire_format, evidence.stream, coding, most_members=1), _Gathering()
    for piece in evidence.trace.body:
        gathering.take(piece.at, body.feed(piece.data))
    gathering.take(evidence.trace.ended, body.close())
    return gathering.recognised


def longest_silence(trace: Trace) -> float:
    """The longest time, in seconds, without a byte between request and end."""
    points = [trace.started, *(read.at for read in trace.reads), trace.ended]
    return max(later - earlier for earlier, later in pairwise(points))


def _arrival(stamp: Stamp, at: float) -> Arrival:
    return Arrival(stamp.number, at, stamp.tag, stamp.due if stamp.due is not None else stamp.left)


def _right(arrivals: Iterable[Arrival], tag: str) -> tuple[Arrival, ...]:
    first: dict[int, Arrival] = {}
    for arrival in arrivals:
        if arrival.tag == tag:
            first.setdefault(arrival.number, arrival)
    return tuple(first.values())


def _spoilt(arrivals: Iterable[Arrival], tag: str, stray: list[str], plan: Plan | None) -> str:
    """The first place at which the tokens are not 1, 2, 3, ... of one reply."""
    expected = 1
    for arrival in arrivals:
        if arrival.tag != tag:
            return f"a foreign token ({arrival.tag}:{arrival.number}) stands where token {expected} should"
        if arrival.number < expected:
            return f"token {arrival.number} came again where token {expected} should have come"
        if arrival.number > expected:
            return f"token {expected} is missing before token {arrival.number}"
        expected += 1
    if plan is not None and expected - 1 > plan.tokens:
        return f"token {expected - 1} came of an answer of {plan.tokens}"
    # An endpoint that is not the lab's writes what it likes between tokens.
    return f"text that the model never wrote: {stray[0][:60]!r}" if stray and plan is not None else ""
