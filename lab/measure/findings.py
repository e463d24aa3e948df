"""What an active audit finds: plain frozen records, which every report reads and JSON holds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from lab.judge.requirements import Observation
from lab.suite.exchange import Mode
from lab.vocabulary import Delivery, Ending, Saved, Watched


class Found(StrEnum):
    """What was found out about a timeout."""

    TIMEOUT = "timeout"
    """There is one, and its value is known."""
    NONE = "none"
    """There is none up to what was proven."""
    HIDDEN = "hidden"
    """Another timeout ends every stream before this one could be seen."""
    UNKNOWN = "unknown"
    """The exchanges do not tell; the sentence says why."""


class Holds(StrEnum):
    """An answer that may be none."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "cannot-tell"


class TerminationKind(StrEnum):
    """What a stream's death is taken for."""

    TIMEOUT = "timeout"
    FAULT = "fault"
    OUTAGE = "outage"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class TimeoutFound:
    """One timeout.

    Args:
        watched: what it watches.
        found: whether there is one.
        value: in seconds; None where there is none. Of an unknown it is that of a timeout whose kind is not told.
        uncertainty: seconds by which the value may be wrong; where they are too many, no value is named.
        proven: the longest time, in seconds, that an exchange survived of what this timeout watches.
        terminations: exchanges that it ended.
        asked: exchanges that were made to find it.
        ended: those of them that did not last for as long as is asked about, whatever ended them.
        lost: the same without those that an event of one moment ended, and those that never came to the model server,
            or so late that they did not wait as they were to.
        ended_at: seconds from which on the path ends its streams, whichever timeout that is; None if it does not.
        outlived: streams that it concerns and that outlived it all the same: it is one of a share of the requests.
        coarse: whether it strikes anywhere between value - uncertainty and value + uncertainty.
        seen_as: how those deaths look to the client, the most frequent first.
        sentence: the finding in words.
    """

    watched: Watched
    found: Found
    value: float | None
    uncertainty: float
    proven: float
    terminations: int
    asked: int
    ended: int
    seen_as: tuple[str, ...]
    sentence: str
    lost: int = 0
    ended_at: float | None = None
    outlived: int = 0
    coarse: bool = False

    @property
    def least(self) -> float | None:
        """The shortest time, in seconds, after which it strikes; None where there is no value."""
        if self.value is None:
            return None
        return round(self.value - self.uncertainty, 3) if self.coarse else self.value

    @property
    def when(self) -> str:
        """When it strikes, in words: a time or an interval; empty where there is no value."""
        if self.value is None:
            return ""
        if not self.coarse:
            return f"at {self.value:.2f} s"
        return f"between {self.value - self.uncertainty:.1f} and {self.value + self.uncertainty:.1f} s"

    @property
    def too_late(self) -> bool:
        """Whether there is a timeout whose value is not told because requests or the probe were late."""
        return self.found is Found.UNKNOWN and self.value is None and self.uncertainty > 0


@dataclass(frozen=True)
class Termination:
    """One stream that something on the path ended.

    Args:
        stream: its name.
        watched: what it was made to find.
        at: seconds from its request.
        waited: seconds of what it was made to wait for.
        wall: seconds from the first request of the audit.
        kind: what it is taken for.
        ending: how it looked to the client.
    """

    stream: str
    watched: Watched
    at: float
    waited: float
    wall: float
    kind: TerminationKind
    ending: Ending


@dataclass(frozen=True)
class Effect:
    """One thing that was asked of the path, and the answer.

    Args:
        name: short and stable.
        answer: yes, no, or cannot tell.
        sentence: in words, with numbers.
        value: in seconds or a count, where there is one.
    """

    name: str
    answer: Holds
    sentence: str
    value: float | None = None


@dataclass(frozen=True)
class ModeFound:
    """What one way of asking changes.

    Args:
        name: of the way.
        delivery: in lockstep.
        ending: of the exchange that says most.
        version: the HTTP version of the reply.
        coding: the content coding of the reply; empty for none.
        changes: whether anything is other than in the plain way; cannot tell for the plain way itself.
        change: what it changes, in words.
        sentence: the evidence on delivery in words.
    """

    name: Mode
    delivery: Delivery
    ending: Ending
    version: str
    coding: str
    changes: Holds
    change: str
    sentence: str


@dataclass(frozen=True)
class StreamResult:
    """One exchange in figures.

    Args:
        name: short, unique.
        plan: what the model server was told, as a query.
        stream: whether a stream was asked for.
        status: the HTTP status; None if none came.
        delivery: the verdict on it.
        ending: the same.
        total: seconds.
        received: tokens that came.
        written: tokens that the model server wrote; None if it never had the request.
        attempts: how often it had the request.
        client_left: seconds from the request at which the model server saw the other side close; None if it did not.
    """

    name: str
    plan: str
    stream: bool
    status: int | None
    delivery: Delivery
    ending: Ending
    total: float
    received: int
    written: int | None
    attempts: int
    client_left: float | None


@dataclass(frozen=True)
class ActiveFindings:
    """One active audit.

    Args:
        url: the audited endpoint. model_url: where ledger and confirmations went. through_path: whether that led
        through the audited path itself. wire_format: the dialect. longest: the longest generation to expect, in
        seconds. shortest: timeouts from so many seconds on are told apart; shorter ones are seen, and their kind may
        not be told. seconds: that the audit took. requests: how many exchanges were made. timeouts: one for each thing
        that a timeout may watch. smallest: the shortest timeout, in seconds; None if none was found.
        terminations: every stream that died on the path, for the histogram. effects: cuts, errors, leaving, retries,
        headers, heartbeats.
        modes: delivery in each way of asking. observations: one for each requirement. summary: the verdict in one
        sentence. notes: what a reader should know besides. exchanges: all of them in figures. never_came: how many of
        them the model server never had, because the path refused or lost them. still_out: whether the path had taken
        its server out and not back at the end. started: date and time in ISO 8601. products: titles of those that the
        replies show on the path.
    """

    url: str
    model_url: str
    through_path: bool
    wire_format: str
    longest: float
    shortest: float
    seconds: float
    requests: int
    timeouts: tuple[TimeoutFound, ...]
    smallest: float | None
    terminations: tuple[Termination, ...]
    effects: tuple[Effect, ...]
    modes: tuple[ModeFound, ...]
    observations: tuple[Observation, ...]
    summary: str
    notes: tuple[str, ...]
    exchanges: tuple[StreamResult, ...]
    never_came: int = 0
    still_out: bool = False
    started: str = ""
    products: tuple[str, ...] = ()
    kind: Literal[Saved.ACTIVE_AUDIT] = Saved.ACTIVE_AUDIT
