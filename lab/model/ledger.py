"""The ledger: what the model server did for each request, in memory.

A record is written while its reply runs and read as a frozen `lab.evidence.Ledger`. Times are seconds
on this process's own monotonic clock; the reader moves them onto its own.

Warning: the book is bounded. Once it holds more than so many requests or tokens, the oldest are gone.
"""

from __future__ import annotations

import time
from array import array
from collections import OrderedDict
from dataclasses import dataclass, field

from lab.evidence import Hold, Ledger, Written
from lab.model.lockstep import Lockstep

_MOST_REQUESTS = 10_000
_MOST_TOKENS = 5_000_000


@dataclass(eq=False)
class Record:
    """One attempt while it runs; the fields are those of `Ledger`.

    Token numbers and times stand in arrays: tens of thousands are added every second, and an array costs
    neither an object for each nor the garbage collector's attention.
    """

    request: str
    attempt: int
    http_version: str
    lockstep: Lockstep
    started: float
    door: int = 0
    headers_at: float | None = None
    numbers: array[int] = field(default_factory=lambda: array("I"))
    times: array[float] = field(default_factory=lambda: array("d"))
    heartbeats: array[float] = field(default_factory=lambda: array("d"))
    holds: list[Hold] = field(default_factory=list)
    fault: str = ""
    fault_at: float | None = None
    finished: float | None = None
    client_left: float | None = None

    def freeze(self, attempts: int) -> Ledger:
        """The record as evidence, as far as it has come."""
        return Ledger(
            request=self.request,
            started=self.started,
            attempt=self.attempt,
            attempts=attempts,
            http_version=self.http_version,
            door=self.door,
            headers_at=self.headers_at,
            tokens=tuple(Written(number, at) for number, at in zip(self.numbers, self.times, strict=True)),
            heartbeats=tuple(self.heartbeats),
            holds=tuple(self.holds),
            fault=self.fault,
            fault_at=self.fault_at,
            finished=self.finished,
            client_left=self.client_left,
        )


class Book:
    """The records of the last requests, by request id."""

    def __init__(self, most_requests: int = _MOST_REQUESTS, most_tokens: int = _MOST_TOKENS) -> None:
        self._most_requests = most_requests
        self._most_tokens = most_tokens
        self._records: OrderedDict[str, list[Record]] = OrderedDict()
        self._tokens = 0

    def open(self, request: str, http_version: str, hold: float, started: float) -> Record:
        """Begin the record of a request that arrived at `started`; a known id makes it a further attempt."""
        attempts = self._records.setdefault(request, [])
        record = Record(request, len(attempts) + 1, http_version, Lockstep(hold), started)
        attempts.append(record)
        self._records.move_to_end(request)
        self._make_room()
        return record

    def close(self, record: Record) -> None:
        """The reply is over."""
        record.finished = time.monotonic()
        self._tokens += len(record.numbers)
        self._make_room()

    def read(self, request: str) -> list[Ledger]:
        """Every attempt of a request, in order; empty if the book knows none."""
        records = self._records.get(request, [])
        return [record.freeze(len(records)) for record in records]

    def confirm(self, request: str, number: int) -> bool:
        """Pass the probe's confirmation to the attempts that run; False if the book knows no such request."""
        records = self._records.get(request, [])
        for record in records:
            if record.finished is None:
                record.lockstep.confirm(number)
        return bool(records)

    def _make_room(self) -> None:
        while len(self._records) > 1 and (len(self._records) > self._most_requests or self._tokens > self._most_tokens):
            _, records = self._records.popitem(last=False)
            self._tokens -= sum(len(record.numbers) for record in records if record.finished is not None)
