"""From evidence to streams: how long each stream of the search lived, and how much it had waited in its own way. Pure.

All times are from the request, or, where a hop asked again, from the last request that the model server had, since that
is when the hop's timeouts began anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf

from lab.evidence import Ledger
from lab.judge.endings import NEVER_OPENED, OWN_ENDS, WHOLE
from lab.judge.exchanged import Exchanged
from lab.suite.exchange import Role
from lab.vocabulary import Ending, Watched

HELD_FOR = 1.0
"""Seconds. What the model wrote so long before a stream's death and never came, the path had held back."""

LATE_MODEL = 0.5
"""Seconds by which the model server may be late with a token; a stream with a later one is not what was planned."""

RACE = 0.3
"""Seconds before a death within which a token may have been written because nobody knew of the death yet."""


_FROM_THE_REQUEST = (Watched.FIRST_BYTE, Watched.BATCH_REPLY, Watched.TOTAL)
"""Waits that begin with the request."""


@dataclass(frozen=True)
class Stream:
    """One stream of the search.

    Args:
        name: of the stream.
        watched: what it waits for.
        beating: whether heartbeats fill the wait.
        died: whether something on the path ended it.
        refused: whether it never came to the model server.
        at: seconds that it lived.
        waited: seconds that it had waited in its own way when it died; 0 if it did not die.
        survived: the longest such wait that is known to have been survived.
        late: seconds by which its death may have been seen late.
        way: seconds that its request took to the model server: a timeout in front of whatever held it up counts from
            the request, one behind that from when the model server had it.
        slow: whether the path was slow with everything: of how much sooner its timeout was over nobody tells then.
        wall: when it ended, on the probe's clock.
        ending: how it looked to the client.
        status: the HTTP status; None if none came.
        held: whether the path had held tokens back when it died.
        reused: whether it came to the model server on a connection that had carried a request before; None where
            nobody knows.
    """

    name: str
    watched: Watched
    beating: bool
    died: bool
    refused: bool
    at: float
    waited: float
    survived: float
    late: float
    wall: float
    ending: Ending
    status: int | None
    held: bool
    reused: bool | None = None
    way: float = 0.0
    slow: bool = False

    @property
    def surely_waited(self) -> float:
        """Seconds that it had waited at least when it died, wherever the wait is counted from and its end was seen."""
        return self.waited - self.late - (self.way if self.watched in _FROM_THE_REQUEST else 0.0)

    @property
    def surely_lived(self) -> float:
        """The same of how long it lived."""
        return self.at - self.late - self.way

    @property
    def began(self) -> bool:
        """Whether it had begun to wait in its own way when it ended, and so tells anything of a timeout on that.

        To write tokens, the model server must have the request; who waits for a first byte waits before that too.
        """
        return self.waited > 0 and (self.watched is not Watched.TOTAL or self.way < self.at)

    @property
    def punctual(self) -> bool:
        """Whether it waited when it was to: its request was not held up on its way to the model server."""
        return self.began and self.way <= LATE_MODEL

    @property
    def looks(self) -> str:
        """Its ending as the client saw it, in words."""
        return f"{self.ending} {self.status}" if (self.status or 0) >= 400 else str(self.ending)


def streams_of(made: Sequence[Exchanged], *, narrow: bool = False, slow: bool = False) -> list[Stream]:
    """The streams of the search; on a `narrow` path, one that waited for a place began when it had it."""
    roles = (Role.SEARCH, Role.HEARTBEAT)
    searched = [each for each in made if each.exchange.role in roles and not model_was_late(each)]
    found = [stream for each in searched if (stream := stream_of(each, narrow=narrow)) is not None]
    return [replace(stream, slow=slow) for stream in found]


def model_was_late(made: Exchanged) -> bool:
    """Whether the model server itself was too late with a token, so that the stream waited otherwise than planned."""
    ledger, plan = made.evidence.ledger, made.exchange.plan
    if ledger is None or not made.exchange.stream:
        return False
    written = {token.number: token.at - ledger.started for token in ledger.tokens}
    # What it lived is counted from the request, which may have waited for a place on its way.
    end = _began(made) + made.exposure.total - ledger.started if made.exposure.died else inf
    due = [number for number in range(1, plan.tokens + 1) if plan.due(number) + LATE_MODEL < end]
    return any(written.get(number, end) > plan.due(number) + LATE_MODEL for number in due)


def _began(made: Exchanged) -> float:
    """When the exchange began: with the request, or with the last one that the model server had of several."""
    ledger = made.evidence.ledger
    return ledger.started if ledger is not None and ledger.attempts > 1 else made.evidence.trace.started


def stream_of(made: Exchanged, *, narrow: bool = False) -> Stream | None:
    """The one stream; None where it was not made to wait."""
    return None if made.exchange.watched is None else _stream(made, made.exchange.watched, narrow=narrow)


def _stream(made: Exchanged, watched: Watched, *, narrow: bool) -> Stream:
    trace, ledger = made.evidence.trace, made.evidence.ledger
    exposure = made.exposure
    start = _began(made)
    end = start + exposure.total
    way = 0.0 if ledger is None else max(0.0, ledger.started - start)
    if narrow and ledger is not None and way > LATE_MODEL:
        start, way = ledger.started, 0.0
    # What was written in the very moment of a death came too late to prevent it.
    until = end - RACE if exposure.died else inf
    done, open_wait = ([], 0.0) if ledger is None else _waits(watched, ledger, start, end, until)
    lag = _lag(watched, ledger, start) if open_wait else 0.0
    open_wait += lag
    if not exposure.died:
        done, open_wait = ([*done, open_wait] if watched is Watched.TOTAL else done), 0.0
        # A model that came to its end, for a client that was cut off, shows nothing that was survived.
        done = done if made.verdict.ending in WHOLE else []
        done = [each - way for each in done] if watched in _FROM_THE_REQUEST else done
    return Stream(
        name=made.exchange.name,
        watched=watched,
        beating=bool(made.exchange.plan.heartbeat),
        died=exposure.died,
        refused=ledger is None and trace.end not in OWN_ENDS | NEVER_OPENED,
        at=end - start,
        waited=open_wait,
        survived=max(done, default=0.0),
        late=max(exposure.late, lag),
        wall=end,
        ending=made.verdict.ending,
        status=trace.status,
        held=_held(made, end),
        reused=None if ledger is None else ledger.reused,
        way=way,
    )


def _lag(watched: Watched, ledger: Ledger | None, start: float) -> float:
    """How late early headers were: whether a timeout counts from the request or from them, nobody can tell."""
    if watched is not Watched.FIRST_TOKEN or ledger is None or ledger.headers_at is None:
        return 0.0
    return max(0.0, ledger.headers_at - start)


def _waits(watched: Watched, ledger: Ledger, start: float, end: float, until: float) -> tuple[list[float], float]:
    """The waits of that kind that came to their end, and the one that the stream's end cut off; 0 without one."""
    tokens = [token.at for token in ledger.tokens if token.at < until]
    match watched:
        case Watched.TOTAL:
            return [], end - start
        case Watched.IDLE:
            return [later - earlier for earlier, later in pairwise(tokens)], end - tokens[-1] if tokens else 0.0
        case Watched.FIRST_TOKEN:
            since = ledger.headers_at
        case Watched.FIRST_BYTE | Watched.BATCH_REPLY:
            since = start
    if since is None or since > end:
        return [], 0.0
    return ([tokens[0] - since], 0.0) if tokens else ([], end - since)


def _held(made: Exchanged, end: float) -> bool:
    ledger = made.evidence.ledger
    if ledger is None or not made.exposure.died:
        return False
    came = {arrival.number for arrival in made.reading.facts.right}
    return any(token.number not in came for token in ledger.tokens if token.at <= end - HELD_FOR)
