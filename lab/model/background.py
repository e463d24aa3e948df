"""Background responses of OpenAI Responses: generated to the end, whoever listens or leaves.

A response that is created with `background: true` has a generation of its own: a task that notes each token in the
ledger at its time, under the response's id. The stream of the request that created it is another thing. It is written
from the same plan at the same times, and the plan's faults of the connection (`fin`, `rst`, `freeze`, `no-marker`,
`cut-json`, `cut-utf8`) strike there and nowhere else; the generation behind it is whole. Any later stream is the
generation's events from a place on, at their times: what is past leaves at once.

Nothing of the answer is kept, since it can be made anew from the plan: a response is its plan and what the ledger
notes. Finished responses are forgotten, oldest first, beyond a number of them and of bytes; when all that are kept
still run, no more begin.

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
from functools import partial
from itertools import chain, count, islice

from lab.model.aside import Aside
from lab.model.faults import CONNECTION_FAULTS
from lab.model.ledger import TOKEN_BYTES, Book, Record
from lab.model.reply import running_task, wait_until
from lab.model.room import Full
from lab.model.schedule import make_script, make_streams
from lab.model.steps import PLACEHOLDER, Schedule, Script, Step
from lab.plan import FaultKind, Plan, PlanError, StampKind
from lab.wire.events import ErrorEvent
from lab.wire.format import Asked
from lab.wire.openai_responses import FORMAT

_MOST = 1_000
_MOST_BYTES = 64 * 2**20
_RESPONSE_BYTES = 8_000

# After so many tokens without a wait, the other replies get their turn; what is no token may have taken its time.
_BURST = 32

# The number is an event's last field, and no text can hold a line end.
_NUMBER = re.compile(rb'"sequence_number":(\d+)\}\n\n')


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

    def document(self) -> Iterator[bytes]:
        """The response as JSON, in pieces: the answer once it has ended, no part of it before, as with the vendor."""
        script, status = self.script, self.status
        tokens = self.record.numbers[-1] if self.record.numbers else 0
        match status:
            case "completed":
                reason = script.plan.finish if self._fault is FaultKind.FORGE else script.reason
                around = FORMAT.batch(script.reply, PLACEHOLDER, reason, tokens)
                return script.filled(around, lambda: islice(script.texts(), tokens))
            case "failed":
                error = ErrorEvent(FORMAT.error_kind(500), f"the plan asked for an error after token {tokens}")
                return iter((FORMAT.unfinished(script.reply, status, error),))
            case _:
                return iter((FORMAT.unfinished(script.reply, status),))

    def rest(self, after: int, now: float) -> Schedule:
        """The generation's events after that number, with their times; past heartbeats are left out.

        Warnings: the steps can be taken once. And in a long answer it takes a while to come to that number.
        """
        began, end_at = self.record.started, self.generated.end_at
        made = self.generated.make()
        if self.cancelled_at is not None:
            made, end_at = islice(made, self._done), self.cancelled_at - began
        left = _after(after, (step for step in made if not (step.heartbeat and began + step.offset < now)))
        steps = chain([*islice(left, 1)], left)
        return replace(self.generated, make=lambda: steps, end_at=end_at, fault="", fault_at_end=False)

    @contextmanager
    def streaming(self, schedule: Schedule) -> Iterator[Schedule]:
        """Know the current task as one that writes this schedule as a stream of this response."""
        task = running_task()
        self._streams.add(task)
        try:
            yield schedule
        finally:
            self._streams.discard(task)

    async def cancel(self) -> None:
        """Stop generating and cut the open streams; harmless once it has ended."""
        if time.monotonic() >= self.record.started + self.generated.end_at:
            # Streams keep the same times by themselves, and may have told the end before the generation has come to it.
            await asyncio.wait([self.task])
        if self.cancelled_at is None and not self.task.done():
            self.cancelled_at = time.monotonic()
            self.task.cancel()
            for stream in self._streams:
                stream.cancel()

    async def generate(self, book: Book) -> None:
        """Generate, noting each token at its time."""
        record, generated = self.record, self.generated
        try:
            for index, step in enumerate(generated.make()):
                due = record.started + step.offset
                if time.monotonic() < due:
                    await wait_until(due)
                elif index % _BURST == 0 or not step.tokens:
                    await asyncio.sleep(0)
                now = time.monotonic()
                if step.fault:
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
        aside: for what takes long.
        most: how many are kept.
        most_bytes: how much memory they may take together.
    """

    def __init__(self, book: Book, aside: Aside, most: int = _MOST, most_bytes: int = _MOST_BYTES) -> None:
        self._book = book
        self._aside = aside
        self._most = most
        self._most_bytes = most_bytes
        self._names = count(1)
        self._responses: OrderedDict[str, Response] = OrderedDict()

    def script(self, plan: Plan, asked: Asked) -> Script:
        """What the next response will be made from; under another id for each.

        Raises:
            PlanError: the plan makes no sense for such a request; names the field.
        """
        _check(plan, asked)
        return make_script(plan, FORMAT, asked, f"-{next(self._names)}")

    async def open(
        self, script: Script, http_version: str, started: float, *, stream: bool
    ) -> tuple[Response, Schedule]:
        """Begin to generate; returns also what to answer the request with.

        Raises:
            Full: too many are running.
        """
        work = partial(make_streams, script)
        first, generated = work() if script.quick(stream=True) else await self._aside.work(work)
        if not stream:
            first = _queued(script)
        size = _RESPONSE_BYTES + len(script.reply.model) + TOKEN_BYTES * script.tokens
        self._make_room(size)
        name = f"resp_{script.reply.id}"
        record = self._book.open(name, http_version, script.plan.hold, started)
        response = Response(script, stream, generated, record, size)
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
    step = Step(0.0, body)
    return Schedule(script.plan, lambda: iter((step,)), "application/json", stream=False, length=len(body))


def _after(number: int, steps: Iterator[Step]) -> Iterator[Step]:
    """The steps without the events up to that number; events without a number stay."""
    ended = -1
    for step in steps:
        place = 0
        for found in _NUMBER.finditer(step.payload):
            ended = int(found[1])
            if ended <= number:
                place = found.end()
        # A long event leaves in several steps, of which the last has its number.
        if ended < number and not step.payload.endswith(b"\n\n"):
            place = len(step.payload)
        # A token's event is the last of its step, so it is there as long as anything is.
        if place < len(step.payload):
            yield step._replace(payload=step.payload[place:])
