"""Steps and schedules: what is written for one request, as values; and the script they are made from.

Pure: no clock, no socket. A token's event is not serialised anew each time, unless its format numbers its
events: the format writes one event around a placeholder, and the token's text takes its place. That is
sound because a token's text needs no escaping in JSON.

Warning: HTTP's own framing (chunks, headers) is not in a step; its payload is body.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import NamedTuple

from lab.plan import Plan, StampKind
from lab.wire.events import FinishReason
from lab.wire.format import Reply, WireFormat
from lab.wire.tokens import WORDS, write_token

STAMP_DIGITS = 16
"""Width of a clock stamp, microseconds since the epoch, in a token's text."""

_UNSTAMPED = b"@" + b"0" * STAMP_DIGITS + b"us"
_PLACEHOLDER = "lab-token-goes-here"


class End(Enum):
    """What becomes of the connection after the last step."""

    CLEAN = "clean"
    """The body's own end, as its framing tells it."""
    FIN = "fin"
    """Closed without an end of the body."""
    RST = "rst"
    """Reset, once what was written has arrived."""
    FREEZE = "freeze"
    """Nothing more is written and nothing is closed."""


class Step(NamedTuple):
    """One write.

    Args:
        offset: seconds from the request at which it is due.
        payload: bytes of the body.
        tokens: numbers of the tokens that stand whole in it, in order.
        stamps: where in the payload a clock stamp's digits are to be put.
        heartbeat: whether it carries nothing else.
    """

    offset: float
    payload: bytes
    tokens: tuple[int, ...] = ()
    stamps: tuple[int, ...] = ()
    heartbeat: bool = False


@dataclass(frozen=True)
class Schedule:
    """All that will be written for one request, and how it ends.

    Args:
        steps: the writes, in order; offsets never fall.
        content_type: of the body.
        status: the HTTP status.
        stream: whether this is a streamed reply.
        silent: not even the status line and headers are written.
        length: bytes in the whole body, as a Content-Length promises them; None for a stream.
        end: what becomes of the connection after the last step.
        end_at: seconds from the request at which that happens.
        fault: the fault that strikes, as the plan writes it; empty if none does.
        fault_step: index of the first step that shows the fault; `len(steps)` where the end itself does.
    """

    steps: tuple[Step, ...]
    content_type: str
    status: int = 200
    stream: bool = True
    silent: bool = False
    length: int | None = None
    end: End = End.CLEAN
    end_at: float = 0.0
    fault: str = ""
    fault_step: int = -1

    @cached_property
    def payloads(self) -> tuple[bytes, ...]:
        """Each step's payload as it stands in a body that is not chunked."""
        return tuple(step.payload for step in self.steps)

    @cached_property
    def chunks(self) -> tuple[bytes, ...]:
        """Each step's payload as one chunk."""
        return tuple(write_chunk(step.payload) for step in self.steps)


@dataclass(frozen=True)
class Script:
    """What steps are made from: the plan, cut to what the request asked for, and the format that writes.

    Args:
        plan: the plan.
        wire: the wire format.
        reply: what the format needs to know.
        tokens: tokens in the whole answer, after the request's own limit.
        reason: why the model stops after them.
    """

    plan: Plan
    wire: WireFormat
    reply: Reply
    tokens: int
    reason: FinishReason

    @cached_property
    def offsets(self) -> tuple[float, ...]:
        """When each token is due, in seconds from the request; never falling."""
        plan = self.plan
        draw = random.Random(f"jitter {plan.seed}")
        silences: dict[int, float] = {}
        for gap in plan.gaps:
            silences[gap.before] = silences.get(gap.before, 0.0) + gap.length
        offsets: list[float] = []
        latest = silent = 0.0
        for number in range(1, self.tokens + 1):
            silent += silences.get(number, 0.0)
            due = plan.ttft + (number - 1) * plan.interval + silent
            if plan.jitter:
                due += draw.random() * plan.jitter
            latest = max(latest, due)
            offsets.append(latest)
        return tuple(offsets)

    def offset_after(self, tokens: int) -> float:
        """When that many tokens have left; the time to the first token where that is none."""
        return self.offsets[tokens - 1] if tokens else self.plan.ttft

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """The text of each token."""
        plan, tag = self.plan, self.plan.tag
        filler = "." * plan.padding
        words = random.Random(f"words {plan.seed}").choices(WORDS, k=self.tokens)
        numbered = enumerate(zip(words, self.offsets, strict=True), 1)
        if plan.stamp is StampKind.CLOCK:
            return tuple(write_token(tag, number, left=0.0, word=word + filler) for number, (word, _) in numbered)
        return tuple(write_token(tag, number, due=due, word=word + filler) for number, (word, due) in numbered)

    def token_steps(self) -> list[Step]:
        """One step for each token, the opening not yet among them."""
        if self.wire.numbered:
            payloads = [self.wire.text(self.reply, text, number) for number, text in enumerate(self.texts, 1)]
        else:
            before, _, after = self.wire.text(self.reply, _PLACEHOLDER).rpartition(_PLACEHOLDER.encode())
            payloads = [before + text.encode() + after for text in self.texts]
        clock = self.plan.stamp is StampKind.CLOCK
        return [
            Step(offset, payload, (number,), find_stamps(payload) if clock else ())
            for number, (offset, payload) in enumerate(zip(self.offsets, payloads, strict=True), 1)
        ]

    def finish_step(self, tokens: int, reason: FinishReason) -> Step:
        """Finish reason and marker in one write, right after that many tokens."""
        # With clock stamps nobody knows the text before it has left.
        text = "" if self.plan.stamp is StampKind.CLOCK else "".join(self.texts[:tokens])
        payload = self.wire.finish(self.reply, reason, tokens, text) + self.wire.marker(self.reply)
        return Step(self.offset_after(tokens), payload)

    def opened(self, steps: list[Step]) -> list[Step]:
        """The steps with the format's opening in the same write as the first."""
        opening = self.wire.opening(self.reply)
        first = steps[0]
        stamps = tuple(place + len(opening) for place in first.stamps)
        return [first._replace(payload=opening + first.payload, stamps=stamps), *steps[1:]]


def write_chunk(payload: bytes) -> bytes:
    """A payload as one chunk of a chunked body; nothing where it is empty, which would end the body."""
    return b"%x\r\n%b\r\n" % (len(payload), payload) if payload else b""


def find_stamps(payload: bytes) -> tuple[int, ...]:
    """Where the digits of clock stamps stand that are still to be put in."""
    places, place = [], payload.find(_UNSTAMPED)
    while place != -1:
        places.append(place + 1)
        place = payload.find(_UNSTAMPED, place + 1)
    return tuple(places)


def stamped(step: Step, epoch: float) -> bytes:
    """The step's payload with the time at which it leaves, in seconds since the epoch."""
    payload, digits = bytearray(step.payload), b"%0*d" % (STAMP_DIGITS, round(epoch * 1e6))
    for place in step.stamps:
        payload[place : place + STAMP_DIGITS] = digits
    return bytes(payload)
