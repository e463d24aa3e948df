"""One exchange as it is to be made: what is asked, how, and what it is for. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from lab.evidence import HttpVersion
from lab.plan import Plan
from lab.vocabulary import Requirement, Watched


class Role(StrEnum):
    """What an exchange is for, beside the requirements that it settles."""

    SETTLE = "settle"
    """For its requirements only."""
    SEARCH = "search"
    """One of the streams that find a timeout."""
    HEARTBEAT = "heartbeat"
    """The same, with heartbeats in its wait."""
    REFINE = "refine"
    """A wait near a timeout that was found."""
    MODE = "mode"
    """In lockstep, in one way of asking."""
    MODE_CUT = "mode-cut"
    """A cut of the model's, in one way of asking."""
    MODE_TIMEOUT = "mode-timeout"
    """A wait, in one way of asking."""


class Mode(StrEnum):
    """A way of asking that an audit compares with the plain one."""

    PLAIN = "plain"
    GZIP = "gzip"
    HTTP_2 = "http-2"
    SLOW = "slow-reader"


class Leaving(StrEnum):
    """When the client leaves."""

    BEFORE_THE_FIRST_TOKEN = "before-the-first-token"
    AMID_THE_STREAM = "amid-the-stream"
    DURING_A_BATCH_REPLY = "during-a-batch-reply"


@dataclass(frozen=True)
class Exchange:
    """One request, with what the model server is told to do for it.

    Args:
        name: short, unique among those that are made together.
        plan: what the model server is told.
        wire_format: the dialect's name; empty for the one that the target is asked in anyway.
        requirements: what it settles, or helps to settle; the first is the one that a symptom in it breaks.
        family: the name in a scenario's file, of which a batch of random lengths makes many exchanges.
        role: what else it is for.
        stream: whether a stream is asked for.
        method: of the request. Only the plain SSE format can be asked with GET, which has no body.
        path: path and query; empty for the wire format's own path.
        headers: further request headers.
        accept_encoding: the content codings that are offered; empty for none.
        body_bytes: how long the request's body is made at least.
        http: the version.
        pace: bytes a second that are read; None for no limit.
        leave_after: seconds after which the client leaves; None to stay.
        connections: how many its client opens over HTTP/1.1 for all exchanges of the family; None for one each.
        pause: seconds in which the client reads nothing, once the body has begun; None to read on.
        kept: seconds for which its connection has rested after a short answer, when it is asked; None for a new one.
        delay: seconds after the others at which it begins, with its connection.
        after: the exchange that must be over before it begins; empty if it waits for none.
        watched: of a wait: what the timeout watches that would end it.
        mode: the way of asking, where ways are compared.
    """

    name: str
    plan: Plan
    wire_format: str = ""
    requirements: tuple[Requirement, ...] = ()
    family: str = ""
    role: Role = Role.SETTLE
    stream: bool = True
    method: str = "POST"
    path: str = ""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    accept_encoding: str = ""
    body_bytes: int = 0
    http: HttpVersion = HttpVersion.HTTP_1_1
    pace: float | None = None
    leave_after: float | None = None
    pause: float | None = None
    connections: int | None = None
    kept: float | None = None
    delay: float = 0.0
    after: str = ""
    watched: Watched | None = None
    mode: Mode | None = None

    @property
    def asked_after(self) -> float:
        """Seconds after the others at which its request is sent."""
        return self.delay + (self.kept or 0.0)

    def is_for(self, *, secure: bool) -> bool:
        """Whether a target can be asked so, given whether it speaks TLS: clients agree on HTTP/2 there."""
        return secure or self.http is HttpVersion.HTTP_1_1

    @property
    def leaving(self) -> Leaving | None:
        """When its client leaves; None if it stays."""
        if self.leave_after is None:
            return None
        if not self.stream:
            return Leaving.DURING_A_BATCH_REPLY
        early = self.leave_after < self.plan.due(1)
        return Leaving.BEFORE_THE_FIRST_TOKEN if early else Leaving.AMID_THE_STREAM
