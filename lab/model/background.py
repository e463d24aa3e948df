"""Background responses of OpenAI Responses: generated to the end, whoever listens or leaves.

A response that is created with `background: true` has a generation of its own: a task that notes each token in the
ledger at its time, under the response's id. The stream of the request that created it is another thing. It is written
from the same plan at the same times, and the plan's faults of the connection (`fin`, `rst`, `freeze`, `no-marker`,
`cut-json`, `cut-utf8`) strike there and nowhere else; the generation behind it is whole. Any later stream is the
generation's events from a place on, at their times: what is past leaves at once.

Both are worked out beforehand, so a response is its schedule and nothing that grows. Finished responses are
forgotten, oldest first, beyond a number of them and of bytes; when all that are kept still run, no more begin.

Warnings: lockstep holds a stream and never the generation. Of a cancelled response the open streams are cut, and a
later one ends cleanly without a terminal event: the vendor documents neither, and this is the worse case for a client.
The vendor's own bound of five minutes on going on is not kept.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count

from lab.model.faults import CONNECTION_FAULTS
from lab.model.ledger import Book, Record
from lab.model.reply import wait_until
from lab.model.schedule import make_script, make_streams
from lab.model.steps import Schedule, Script, Step
from lab.plan import FaultKind, Plan, PlanError, StampKind
from lab.wire.events import ErrorEvent
from lab.wire.format import Asked
from lab.wire.openai_responses import FORMAT

_MOST = 1_000
_MOST_BYTES = 64 * 2**20
# A step costs its payload, its text again at two bytes a character, and the objects around them.
_PAYLOADS, _STEP_BYTES = 3, 300

# After so many steps without a wait, the other replies get their turn.
_BURST = 32

# The number is an event's last field, and no text can hold a line end.
_NUMBER = re.compile(rb'"sequence_number":(\d+)\}\n\n')


class Full(Exception):
    """All the background responses that are kept still run."""


@dataclass(eq=False)
class Response:
    """One background response.

    Args:
        script: what its bytes are made from; `script.reply.id` without `resp_` is its id.
        streamed: whether it was created with a stream, without which the vendor streams none later.
        generated: what the model generates.
        record: the generation's own record in the ledger.
        size: bytes that it takes to keep, roughly.
        task: the generation.
    """

    script: Script
    streamed: bool
    generated: Schedule
    record: Record
    size: int
    task: asyncio.Task[None] = field(init=False)
    cancelled_at: float | None = None
    _done: int = 0
    _streams: set[asyncio.Task[object]] = field(default_factory=set)

    @property
    def status(self) -> str:
        """The vendor's word for where it stands, as long as it is not whole: an answer's own status is in it."""
        if self.cancelled_at is not None:
            return "cancelled"
        if not self.task.done():
            return "in_progress"
        return "failed" if self._fault is FaultKind.ERROR else "completed"

    def document(self) -> bytes:
        """The response as JSON: the answer once it has ended, until then no part of it, as with the vendor."""
        reply, status, tokens = self.script.reply, self.status, max(self.record.numbers, default=0)
        match status:
            case "completed":
                reason = self.script.plan.finish if self._fault is FaultKind.FORGE else self.script.reason
                return FORMAT.batch(reply, "".join(self.script.texts[:tokens]), reason, tokens)
            case "failed":
                error = ErrorEvent(FORMAT.error_kind(500), f"the plan asked for an error after token {tokens}")
                return FORMAT.unfinished(reply, status, error)
            case _:
                return FORMAT.unfinished(reply, status)

    def rest(self, after: int, now: float) -> Schedule:
        """The generation's events after that number, with their times; past heartbeats are left out."""
        began, steps, end_at = self.record.started, self.generated.steps, self.generated.end_at
        if self.cancelled_at is not None:
            steps, end_at = steps[: self._done], self.cancelled_at - began
        left = [_later(step, after) for step in steps if not (step.heartbeat and began + step.offset < now)]
        kept = tuple(step for step in left if step is not None)
        return replace(self.generated, steps=kept, end_at=end_at, fault="", fault_step=-1)

    @contextmanager
    def streaming(self) -> Iterator[None]:
        """Know the current task as one that writes a stream of this response."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a reply is always a task")
        self._streams.add(task)
        try:
            yield
        finally:
            self._streams.discard(task)

    def cancel(self) -> None:
        """Stop generating and cut the open streams; harmless once it has ended."""
        if self.cancelled_at is None and not self.task.done():
            self.cancelled_at = time.monotonic()
            self.task.cancel()
            for stream in self._streams:
                stream.cancel()

    async def generate(self, book: Book) -> None:
        """Generate, noting each token at its time."""
        record, generated = self.record, self.generated
        try:
            for index, step in enumerate(generated.steps):
                due = record.started + step.offset
                if time.monotonic() < due:
                    await wait_until(due)
                elif index % _BURST == 0:
                    await asyncio.sleep(0)
                now = time.monotonic()
                if index == generated.fault_step:
                    record.fault, record.fault_at = generated.fault, now
                record.numbers.extend(step.tokens)
                record.times.extend([now] * len(step.tokens))
                self._done = index + 1
        finally:
            book.close(record)

    @property
    def _fault(self) -> FaultKind | None:
        fault = self.script.plan.fault
        return fault.kind if fault is not None and self.generated.fault else None


class Background:
    """The background responses of a model server.

    Args:
        book: the ledger.
        most: how many are kept.
        most_bytes: how much memory they may take together.
    """

    def __init__(self, book: Book, most: int = _MOST, most_bytes: int = _MOST_BYTES) -> None:
        self._book = book
        self._most = most
        self._most_bytes = most_bytes
        self._names = count(1)
        self._responses: OrderedDict[str, Response] = OrderedDict()

    def open(self, plan: Plan, asked: Asked, http_version: str, started: float) -> tuple[Response, Schedule]:
        """Begin to generate; returns also what to answer the request with.

        Raises:
            PlanError: the plan makes no sense for such a request; names the field.
            Full: too many are running.
        """
        _check(plan, asked)
        script = make_script(plan, FORMAT, asked, f"-{next(self._names)}")
        first, generated = make_streams(script)
        if not asked.stream:
            first = _queued(script)
        size = sum(_PAYLOADS * len(step.payload) + _STEP_BYTES for step in generated.steps)
        self._make_room(size)
        name = f"resp_{script.reply.id}"
        record = self._book.open(name, http_version, plan.hold, started)
        response = Response(script, asked.stream, generated, record, size)
        response.task = asyncio.create_task(response.generate(self._book))
        self._responses[name] = response
        return response, first

    def find(self, name: str) -> Response | None:
        """The response of that id, unless it was forgotten or never was."""
        return self._responses.get(name)

    def close(self) -> None:
        """Stop every generation."""
        for response in self._responses.values():
            response.task.cancel()

    def _make_room(self, wanted: int) -> None:
        """Forget the oldest that have ended until one more fits; a single one fits always."""
        held = sum(response.size for response in self._responses.values())
        ended = [name for name, response in self._responses.items() if response.task.done()]
        while self._responses and (len(self._responses) >= self._most or held + wanted > self._most_bytes):
            if not ended:
                raise Full(f"{len(self._responses)} background responses are running; ask again later")
            held -= self._responses.pop(ended.pop(0)).size


def _check(plan: Plan, asked: Asked) -> None:
    if plan.stamp is StampKind.CLOCK:
        raise PlanError("stamp", "a background response is read at other times than its tokens', so none can be clock")
    if not asked.stream and plan.fault is not None and plan.fault.kind in CONNECTION_FAULTS:
        raise PlanError("fault", f"{plan.fault} needs a stream, and a background response without one is not it")


def _queued(script: Script) -> Schedule:
    """The answer to a request without a stream: a document, at once."""
    body = FORMAT.unfinished(script.reply, "queued")
    return Schedule((Step(0.0, body),), "application/json", stream=False, length=len(body))


def _later(step: Step, after: int) -> Step | None:
    """The step without the events up to that number; None where none is left. Events without a number stay."""
    cut = max((found.end() for found in _NUMBER.finditer(step.payload) if int(found[1]) <= after), default=0)
    # A token's event is the last of its step, so it is there as long as anything is.
    return step._replace(payload=step.payload[cut:]) if cut < len(step.payload) else None
