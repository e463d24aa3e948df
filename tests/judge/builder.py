"""Builds evidence by hand: a body written with a wire format, cut where a reading wants it, with both ends' times.

The request is at second 100 of the timeout, token i leaves at 100 + i * interval and arrives `delay` later.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from lab.evidence import Evidence, Hold, Ledger, Read, Stall, Trace, TransportEnd, Written
from lab.plan import Plan, make_plan
from lab.wire import format_named
from lab.wire.events import FinishReason
from lab.wire.format import Reply
from lab.wire.tokens import write_token

START = 100.0
REPLY = Reply("reply-1", "lab")


@dataclass(frozen=True)
class Build:
    """One exchange to be; every field is a thing that a reading may want different."""

    wire_format: str = "openai-chat"
    stream: bool = True
    whole: int = 5
    written: int | None = None
    sent: Iterable[int | str] | None = None
    """Tokens that arrive, by number; a text stands for a piece of the body as it is."""
    interval: float = 0.1
    delay: float = 0.001
    reason: FinishReason | None = FinishReason.STOP
    marker: bool = True
    tail: bytes = b""
    end: TransportEnd = TransportEnd.FRAMED
    ended: float | None = None
    status: int = 200
    headers: tuple[tuple[str, str], ...] | None = None
    body: bytes | None = None
    fault: str = ""
    fault_at: float | None = None
    client_left: float | None = None
    finished: bool = True
    has_ledger: bool = True
    has_plan: bool = True
    lockstep: bool = False
    holds: tuple[Hold, ...] = ()
    arrivals: dict[int, float] = field(default_factory=dict)
    attempts: int = 1
    stalls: tuple[Stall, ...] = ()
    model_stalls: tuple[Stall, ...] = ()
    pause: Stall | None = None
    """When the probe read nothing on purpose."""
    headers_at: float | None = None
    heartbeats: tuple[float, ...] = ()
    """When the model server sent them."""
    beats: tuple[float, ...] = ()
    """When they came."""
    reused: bool = False
    """Whether its connection to the model server had carried a request before."""
    queued: float = 0.0
    """Seconds for which its client had no connection for it."""
    on_its_way: float = 0.0
    """Seconds that the request took to the model server."""
    connected_at: float | None = None
    """When its connection stood, before TLS."""
    plan: dict[str, object] = field(default_factory=dict)

    def but(self, **changes: object) -> Build:
        """The same with some things different."""
        return replace(self, **changes)  # type: ignore[arg-type]

    @property
    def the_plan(self) -> Plan:
        """The plan that the tokens' tag belongs to."""
        fields = {"tokens": self.whole, "lockstep": self.lockstep, "interval": self.interval, **self.plan}
        return make_plan({**fields, "fault": self.fault or None})

    def left(self, number: int) -> float:
        """When a token leaves."""
        return START + number * self.interval

    def came(self, number: int) -> float:
        """When a token arrives."""
        return self.arrivals.get(number, self.left(number) + self.delay)

    def evidence(self) -> Evidence:
        """The evidence."""
        body = self._stream() if self.stream else self._batch()
        if self.body is not None:
            at = START + 0.01 if self.ended is None else self.ended
            body = [Read(at, self.body)] if self.body else []
        # A clean end comes with the last bytes or after them.
        ended = self.ended if self.ended is not None else (body[-1].at if body else START + 0.01) + 0.001
        has_reply = bool(self.status)
        wanted = format_named(self.wire_format).stream_type if self.stream else "application/json"
        headers = (("content-type", wanted if self.status == 200 else "text/html"),)
        trace = Trace(
            started=START,
            ended=ended,
            end=self.end,
            status=self.status or None,
            version="1.1" if has_reply else "",
            headers=(self.headers if self.headers is not None else headers) if has_reply else (),
            headers_at=self._headers_at(body[0].at if body else ended) if has_reply else None,
            framing="chunked" if has_reply else "",
            reads=tuple(body) if body or not has_reply else (Read(ended, b"HTTP/1.1 ..."),),
            body=tuple(body),
            stalls=self.stalls,
            pause=self.pause,
            connected_at=self.connected_at,
        )
        plan = self.the_plan if self.has_plan else None
        ledger = self._ledger(ended) if self.has_ledger else None
        return Evidence(self.wire_format, self.stream, trace, plan, ledger, queued=self.queued)

    def _headers_at(self, first: float) -> float:
        return first if self.headers_at is None else self.headers_at

    def token(self, number: int) -> str:
        """A token's text."""
        return write_token(self.the_plan.tag, number, due=number * self.interval, word="oak")

    def _stream(self) -> list[Read]:
        wire = format_named(self.wire_format)
        reads: list[Read] = []
        sent = list(range(1, self.whole + 1)) if self.sent is None else list(self.sent)
        at = START
        for index, item in enumerate(sent):
            text = item if isinstance(item, str) else self.token(item)
            at = max(at, self.came(item)) if isinstance(item, int) else at
            reads.append(Read(at, (wire.opening(REPLY) if index == 0 else b"") + wire.text(REPLY, text, index + 1)))
        end = wire.finish(REPLY, self.reason, len(sent)) if self.reason else b""
        end += (wire.marker(REPLY) if self.marker else b"") + self.tail
        reads += [Read(at + 0.001, end)] if end else []
        return sorted([*reads, *(Read(beat, wire.heartbeat()) for beat in self.beats)], key=lambda read: read.at)

    def _batch(self) -> list[Read]:
        numbers = range(1, self.whole + 1) if self.sent is None else self.sent
        text = "".join(self.token(item) if isinstance(item, int) else item for item in numbers)
        wire = format_named(self.wire_format)
        document = wire.batch(REPLY, text, self.reason or FinishReason.STOP, self.whole)
        return [Read(self.came(self.whole), document)]

    def _ledger(self, ended: float) -> Ledger:
        count = self.whole if self.written is None else self.written
        tokens = tuple(Written(number, self.left(number)) for number in range(1, count + 1))
        last = tokens[-1].at if tokens else START
        fault_at = (self.fault_at if self.fault_at is not None else last) if self.fault else None
        return Ledger(
            request="r1",
            started=START + self.on_its_way,
            attempt=self.attempts,
            attempts=self.attempts,
            reused=self.reused,
            headers_at=tokens[0].at if tokens else None,
            tokens=tokens,
            holds=self.holds,
            heartbeats=self.heartbeats,
            fault=self.fault,
            fault_at=fault_at,
            finished=max(ended, last) if self.finished else None,
            client_left=self.client_left,
            stalls=self.model_stalls,
        )


HOLD = 0.05
"""Seconds of each hold that runs out, and of the longest one as planned."""


def lockstep(build: Build, *, confirmed: bool = True, late: float = 0.0) -> Build:
    """The same in lockstep: every hold confirmed (each token `late` on its way), or none."""
    numbers = range(1, build.whole + 1)
    if confirmed:
        arrivals = {number: build.left(number) + max(late, build.delay) for number in numbers}
        holds = tuple(Hold(number, arrivals[number] + 0.001, confirmed=True) for number in numbers)
    else:
        end = build.left(build.whole) + 0.2
        arrivals = dict.fromkeys(numbers, end)
        holds = tuple(Hold(number, build.left(number) + HOLD, confirmed=False) for number in numbers)
    return build.but(lockstep=True, arrivals=arrivals, holds=holds, plan={"hold": HOLD, **build.plan})
