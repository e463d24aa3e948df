"""The ledger: what the model server did for each request, in memory.

A record is written while its reply runs and read as a frozen `lab.evidence.Ledger`. Times are seconds
on this process's own monotonic clock; the reader moves them onto its own.

Warning: the book is bounded, in attempts and in bytes. Beyond that the oldest requests are gone, and of a request that
fills it alone the oldest attempts; how many there were is still told.
"""

from __future__ import annotations

import time
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pydantic import TypeAdapter

from lab.evidence import Hold, Ledger, Written
from lab.model.lockstep import Confirmations
from lab.plan import FaultKind
from lab.pulse import Pulse

TOKEN_BYTES, HOLD_BYTES, BEAT_BYTES = 12, 13, 8
"""What a record takes for each of them."""

MOST_ATTEMPTS = 10_000
"""Attempts that are kept, unless the server is told otherwise."""

_RECORD_BYTES = 2_000
_MOST_BYTES = 64 * 2**20

_EARLIER = 30.0
"""Seconds before a request was read in which it may have waited for this server: as long as a probe has patience."""

_LEDGER = TypeAdapter(Ledger)
_ITEMS = TypeAdapter(list[Written] | list[Hold] | list[float])
_ITEMS_AT_ONCE = 500


@dataclass(eq=False, slots=True)
class Record:
    """One attempt while it runs; the fields are those of `Ledger`, and whether the book has let it go.

    Numbers and times stand in arrays: tens of thousands are added every second, and an array costs
    neither an object for each nor the garbage collector's attention.
    """

    request: str
    attempt: int
    http_version: str
    lockstep: Confirmations
    started: float
    port: int = 0
    reused: bool = False
    headers_at: float | None = None
    numbers: array[int] = field(default_factory=lambda: array("I"))
    times: array[float] = field(default_factory=lambda: array("d"))
    heartbeats: array[float] = field(default_factory=lambda: array("d"))
    held: array[int] = field(default_factory=lambda: array("I"))
    held_until: array[float] = field(default_factory=lambda: array("d"))
    confirmed: bytearray = field(default_factory=bytearray)
    fault: str = ""
    fault_at: float | None = None
    finished: float | None = None
    client_left: float | None = None
    died: bool = False
    """Whether the server ended amid it."""
    forgotten: bool = False
    pulse: Pulse | None = None
    """Of the loop that writes the reply; it knows when that did not run."""

    def die(self) -> None:
        """The server ends amid the reply: for whoever reads it, the fault that such an end is."""
        place = f"{self.numbers[-1]}" if self.numbers else "0" if self.headers_at is not None else "start"
        self.died = True
        self.fault, self.fault_at = f"{FaultKind.FIN}@{place}", time.monotonic()

    def note(self, hold: Hold) -> None:
        """A hold is over."""
        self.held.append(hold.number)
        self.held_until.append(hold.at)
        self.confirmed.append(hold.confirmed)

    @property
    def size(self) -> int:
        """Bytes that it takes, roughly."""
        items = TOKEN_BYTES * len(self.numbers) + HOLD_BYTES * len(self.held) + BEAT_BYTES * len(self.heartbeats)
        return _RECORD_BYTES + items

    def written(self, attempts: int) -> Iterator[bytes]:
        """The record as JSON, as far as it has come, in pieces: it may be long, and others wait."""
        until = self.finished or time.monotonic()
        ledger = Ledger(
            request=self.request,
            started=self.started,
            attempt=self.attempt,
            attempts=attempts,
            http_version=self.http_version,
            port=self.port,
            reused=self.reused,
            headers_at=self.headers_at,
            fault=self.fault,
            fault_at=self.fault_at,
            finished=self.finished,
            client_left=self.client_left,
            stalls=() if self.pulse is None else self.pulse.between(self.started - _EARLIER, until),
        )
        # What is added while the pieces are taken belongs to no half of them.
        tokens, beats, holds = len(self.numbers), len(self.heartbeats), len(self.held)
        yield _LEDGER.dump_json(ledger, exclude={"tokens", "heartbeats", "holds"}).removesuffix(b"}")
        yield from _list(b"tokens", tokens, lambda some: [*map(Written, self.numbers[some], self.times[some])])
        yield from _list(b"heartbeats", beats, lambda some: self.heartbeats[some].tolist())
        yield from _list(b"holds", holds, self._holds)
        yield b"}"

    def _holds(self, some: slice) -> list[Hold]:
        columns = zip(self.held[some], self.held_until[some], self.confirmed[some], strict=True)
        return [Hold(number, at, confirmed=bool(confirmed)) for number, at, confirmed in columns]


def _list(
    name: bytes, count: int, items: Callable[[slice], list[Written] | list[Hold] | list[float]]
) -> Iterator[bytes]:
    """One field of a JSON object, a list of so many items."""
    yield b',"%b":[' % name
    for start in range(0, count, _ITEMS_AT_ONCE):
        some = _ITEMS.dump_json(items(slice(start, min(start + _ITEMS_AT_ONCE, count))))
        yield (b"," if start else b"") + some[1:-1]
    yield b"]"


@dataclass(eq=False, slots=True)
class _Attempts:
    """What came under one id: the records that are kept, oldest first; those that run; how many there were."""

    kept: list[Record] = field(default_factory=list)
    running: dict[Record, None] = field(default_factory=dict)
    count: int = 0


class Book:
    """The records of the last requests, by request id.

    Args:
        most_attempts: how many records are kept.
        most_bytes: how much memory those that are over may take.
    """

    def __init__(self, most_attempts: int = MOST_ATTEMPTS, most_bytes: int = _MOST_BYTES) -> None:
        self._most_attempts = most_attempts
        self._most_bytes = most_bytes
        self._requests: OrderedDict[str, _Attempts] = OrderedDict()
        self._kept = self._bytes = 0

    def open(self, request: str, http_version: str, hold: float, started: float) -> Record:
        """Begin the record of a request that arrived at `started`; a known id makes it a further attempt."""
        attempts = self._requests.setdefault(request, _Attempts())
        attempts.count += 1
        record = Record(request, attempts.count, http_version, Confirmations(hold), started)
        attempts.kept.append(record)
        attempts.running[record] = None
        self._kept += 1
        self._requests.move_to_end(request)
        self._make_room()
        return record

    def close(self, record: Record) -> None:
        """The reply is over."""
        record.finished = time.monotonic()
        attempts = self._requests.get(record.request)
        if attempts is not None:
            attempts.running.pop(record, None)
        if not record.forgotten:
            self._bytes += record.size
            self._make_room()

    def read(self, request: str) -> Iterator[bytes] | None:
        """Every attempt of a request that is kept, in order, as JSON in pieces; None if the book knows none."""
        attempts = self._requests.get(request)
        return None if attempts is None else _written(list(attempts.kept), attempts.count)

    def confirm(self, request: str, number: int) -> bool:
        """Pass the probe's confirmation to the attempts that run; False if the book knows no such request."""
        attempts = self._requests.get(request)
        for record in () if attempts is None else attempts.running:
            record.lockstep.confirm(number)
        return attempts is not None

    def _make_room(self) -> None:
        while self._kept > self._most_attempts or self._bytes > self._most_bytes:
            name, oldest = next(iter(self._requests.items()))
            if len(self._requests) > 1:
                del self._requests[name]
                forgotten = oldest.kept
            elif len(oldest.kept) > 1:
                forgotten = [oldest.kept.pop(0)]
            else:
                return
            for record in forgotten:
                record.forgotten = True
                self._kept -= 1
                self._bytes -= 0 if record.finished is None else record.size


def _written(records: list[Record], attempts: int) -> Iterator[bytes]:
    for place, record in enumerate(records):
        yield b"," if place else b"["
        yield from record.written(attempts)
    yield b"]"
