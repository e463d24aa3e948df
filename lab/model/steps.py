"""Steps and schedules: what is written for one request, as values; and the script they are made from.

Pure: no clock, no socket. Steps are made one after another, as they are taken, so that a reply of a million tokens
takes no more memory than one of ten. A token's event is not serialised anew each time, unless its format numbers its
events: the format writes one event around a placeholder, and the token's text takes its place; where the whole answer
is repeated, it does so in pieces. That is sound because a token's text needs no escaping in JSON.

Warning: HTTP's own framing (chunks, headers) is not in a step; its payload is body.
"""

from __future__ import annotations

import json
import random
import secrets
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from itertools import chain, islice, repeat
from typing import NamedTuple

from lab.plan import Plan, StampKind
from lab.wire.events import FinishReason
from lab.wire.format import Reply, WireFormat
from lab.wire.tokens import WORDS, write_token

STAMP_DIGITS = 16
"""Width of a clock stamp, microseconds since the epoch, in a token's text."""

SHORT = 2 * 2**20
"""Bytes that a short reply's schedule may take; it is made at once and kept, where a long one is made as it leaves."""

PLACEHOLDER = f"lab-token-{secrets.token_hex(8)}"
"""Stands for a text that is put in later; nobody can guess it, and put it into a model's name."""

_UNSTAMPED = b"@" + b"0" * STAMP_DIGITS + b"us"

# The repeated text of a long answer leaves in pieces of so many bytes: its making never holds up others for long.
_PIECE = 64 * 2**10
_BLOCK = 32 * 2**10
_WORDS_AT_ONCE = 256
# What a step takes beside its payload, and a token's text without its filler.
_STEP_BYTES, _TEXT_BYTES = 300, 40


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
        fault: whether it is the first to show the fault.
    """

    offset: float
    payload: bytes
    tokens: tuple[int, ...] = ()
    stamps: tuple[int, ...] = ()
    heartbeat: bool = False
    fault: bool = False


@dataclass(frozen=True)
class Schedule:
    """All that will be written for one request, and how it ends.

    Args:
        plan: the plan that it was made from.
        make: makes the writes, in order; offsets never fall.
        content_type: of the body.
        status: the HTTP status.
        stream: whether this is a streamed reply.
        silent: not even the status line and headers are written.
        length: bytes in the whole body, as a Content-Length promises them; None for a stream.
        end: what becomes of the connection after the last step.
        end_at: seconds from the request at which that happens.
        fault: the fault that strikes, as the plan writes it; empty if none does.
        fault_at_end: whether it is the end that shows it, and no step.
        kept: whether the steps are made once, for whoever shares them.
    """

    plan: Plan
    make: Callable[[], Iterator[Step]] = field(compare=False, repr=False)
    content_type: str
    status: int = 200
    stream: bool = True
    silent: bool = False
    length: int | None = None
    end: End = End.CLEAN
    end_at: float = 0.0
    fault: str = ""
    fault_at_end: bool = False
    kept: bool = False

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """All of them at once."""
        return tuple(self.make())

    def blocks(self) -> Iterator[list[Step]]:
        """A few at a time, made as they are taken."""
        block, size = list[Step](), 0
        for step in self.make():
            block.append(step)
            size += len(step.payload) + _STEP_BYTES
            if size >= _BLOCK:
                yield block
                block, size = [], 0
        yield block

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
    def event(self) -> int:
        """Bytes that one token's step has, roughly."""
        return len(self.wire.text(self.reply, "")) + self._text

    @cached_property
    def size(self) -> int:
        """Bytes that all steps of a stream take together, with their chunks and the objects around them; roughly."""
        payloads = self.tokens * (self.event + self._repeats * self._text)
        return 2 * payloads + _STEP_BYTES * (self.tokens + self.beats)

    @property
    def beats(self) -> int:
        """Heartbeats in the whole answer, at most."""
        plan = self.plan
        return int((plan.length + plan.fault_delay) / plan.heartbeat) if plan.heartbeat else 0

    @property
    def short(self) -> bool:
        """Whether it can be made at once."""
        return self.size <= SHORT

    def quick(self, *, stream: bool) -> bool:
        """Whether its schedule is worked out in no time: it is short, or its end is known without going through it."""
        return self.short or (stream and not self.plan.jitter)

    @property
    def _text(self) -> int:
        # Each character of JSON may be escaped.
        return self.plan.padding + _TEXT_BYTES + 2 * len(self.reply.wanted.json) // max(self.plan.tokens, 1)

    @property
    def _repeats(self) -> int:
        """How often the end of a stream repeats the whole text."""
        return self.wire.finish(self.reply, self.reason, 1, PLACEHOLDER).count(PLACEHOLDER.encode())

    def offsets(self) -> Iterator[float]:
        """When each token is due, in seconds from the request; never falling."""
        plan = self.plan
        draw = random.Random(f"jitter {plan.seed}")
        silences = self._silences
        latest = silent = 0.0
        for number in range(1, self.tokens + 1):
            silent += silences.get(number, 0.0)
            due = plan.ttft + (number - 1) * plan.interval + silent
            if plan.jitter:
                due += draw.random() * plan.jitter
            latest = max(latest, due)
            yield latest

    def offset_after(self, tokens: int) -> float:
        """When that many tokens have left; the time to the first token where that is none."""
        plan = self.plan
        if not tokens:
            return plan.ttft
        if plan.jitter:
            return next(islice(self.offsets(), tokens - 1, None))
        # Added up one by one, as `offsets` does: the last bit of a float is part of "the same plan, the same bytes".
        silent = 0.0
        for before in sorted(self._silences):
            if before <= tokens:
                silent += self._silences[before]
        return plan.ttft + (tokens - 1) * plan.interval + silent

    @cached_property
    def _silences(self) -> dict[int, float]:
        silences: dict[int, float] = {}
        for gap in self.plan.gaps:
            silences[gap.before] = silences.get(gap.before, 0.0) + gap.length
        return silences

    def texts(self) -> Iterator[str]:
        """The text of each token."""
        return (text for _, text in self._timed_texts())

    def _timed_texts(self) -> Iterator[tuple[float, str]]:
        if self.reply.wanted.json:
            yield from zip(self.offsets(), self._pieces(), strict=False)
            return
        plan, tag = self.plan, self.plan.tag
        filler = "." * plan.padding
        clock = plan.stamp is StampKind.CLOCK
        draw = random.Random(f"words {plan.seed}")
        words = chain.from_iterable(draw.choices(WORDS, k=_WORDS_AT_ONCE) for _ in repeat(None))
        for number, (due, word) in enumerate(zip(self.offsets(), words, strict=False), 1):
            if clock:
                yield due, write_token(tag, number, left=0.0, word=word + filler)
            else:
                yield due, write_token(tag, number, due=due, word=word + filler)

    def _pieces(self) -> Iterator[str]:
        """The answer that is JSON, in as many pieces as the plan has tokens, each as it stands in a text of JSON."""
        text, pieces = self.reply.wanted.json, self.plan.tokens
        for place in range(pieces):
            piece = text[len(text) * place // pieces : len(text) * (place + 1) // pieces]
            yield json.dumps(piece)[1:-1]

    def token_steps(self) -> Iterator[Step]:
        """One step for each token, the opening not yet among them."""
        clock, numbered = self.plan.stamp is StampKind.CLOCK, self.wire.numbered
        before, found, after = self.wire.text(self.reply, PLACEHOLDER).partition(PLACEHOLDER.encode())
        if not found:
            # A call that comes whole at the end has no pieces.
            yield from (Step(offset, before, (number,)) for number, offset in enumerate(self.offsets(), 1))
            return
        for number, (offset, text) in enumerate(self._timed_texts(), 1):
            payload = before + text.encode() + after
            if numbered:
                payload = self.wire.text(self.reply, _unescaped(text), number)
            yield Step(offset, payload, (number,), find_stamps(payload) if clock else ())

    def finish_steps(self, tokens: int, reason: FinishReason, offset: float) -> Iterator[Step]:
        """Finish reason and marker, right after that many tokens: in one write, unless a long text is repeated."""
        # With clock stamps nobody knows the text before it has left.
        text = "" if self.plan.stamp is StampKind.CLOCK else PLACEHOLDER
        around = self.wire.finish(self.reply, reason, tokens, text) + self.wire.marker(self.reply)
        pieces = self.filled(around, lambda: islice(self.texts(), tokens))
        return (Step(offset, piece) for piece in pieces)

    def filled(self, around: bytes, texts: Callable[[], Iterable[str]]) -> Iterator[bytes]:
        """What was written around the placeholder, with an answer in each of its places; in pieces of whole tokens."""
        once = ("".join(texts()),) if self.short else None
        most = sys.maxsize if self.short else _PIECE
        first, *others = around.split(PLACEHOLDER.encode())
        piece = bytearray(first)
        for other in others:
            for text in once or texts():
                piece += text.encode()
                if len(piece) >= most:
                    yield bytes(piece)
                    piece.clear()
            piece += other
        yield bytes(piece)

    def opened(self, steps: Iterator[Step]) -> Iterator[Step]:
        """The steps, of which there is one at least, with the format's opening in the same write as the first."""
        opening = self.wire.opening(self.reply)
        first = next(steps)
        stamps = tuple(place + len(opening) for place in first.stamps)
        yield first._replace(payload=opening + first.payload, stamps=stamps)
        yield from steps


def _unescaped(text: str) -> str:
    """A token's text before it stands in JSON; that of the lab's own needs no escaping."""
    return str(json.loads(f'"{text}"')) if "\\" in text else text


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
