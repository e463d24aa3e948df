"""The plan: what the model server is told to do for one request.

A plan is written as a URL query, `tokens=50&interval=20ms&fault=fin@10`, and travels with the request:
in the header `X-Lab-Plan`, behind a question mark in the model's name (`lab?tokens=50`), so that any
unmodified SDK can choose one, or in the user's message (see `lab.directive`). In `scenario.toml` the same
names stand as a table. The set of fields is closed: a name that is not here, and a value that makes no
sense, is refused with the field's name.

Times are planned, never slept: the schedule turns a plan into absolute offsets from the request.
"""

from __future__ import annotations

import hashlib
import re
from enum import StrEnum
from typing import Annotated, Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    model_validator,
)

from lab.durations import Duration, parse_duration, write_duration
from lab.wire.events import FinishReason

PLAN_HEADER = "X-Lab-Plan"
REQUEST_HEADER = "X-Lab-Request"


class Headers(StrEnum):
    """When the status line and headers leave."""

    EARLY = "early"
    FIRST_TOKEN = "first-token"


class HeartbeatFrom(StrEnum):
    """When heartbeats begin."""

    START = "start"
    FIRST_TOKEN = "first-token"


class Framing(StrEnum):
    """How the body's end is told.

    `auto` does what a correct server does: chunked to an HTTP/1.1 request, delimited by close to an
    HTTP/1.0 request, Content-Length for a batch reply. `chunked` is chunked whatever the request's
    version, as uvicorn's httptools does.
    """

    AUTO = "auto"
    CHUNKED = "chunked"
    CLOSE = "close"
    LENGTH = "length"


class StampKind(StrEnum):
    """Which time a token carries: when it was due (the same bytes every time), or when it left."""

    DUE = "due"
    CLOCK = "clock"


class FaultKind(StrEnum):
    """What goes wrong.

    `fin` and `rst` end the connection without an end of the body; `freeze` stops writing and keeps the
    connection; `error` sends an error event and ends cleanly; `no-marker` ends cleanly without finish
    reason or terminal marker; `forge` ends a prefix as if it were whole; `cut-json` and `cut-utf8` end
    cleanly inside an event; `drop`, `repeat` and `foreign` spoil the sequence and go on; `status`
    answers with an HTTP error instead of a stream.
    """

    FIN = "fin"
    RST = "rst"
    FREEZE = "freeze"
    ERROR = "error"
    NO_MARKER = "no-marker"
    FORGE = "forge"
    CUT_JSON = "cut-json"
    CUT_UTF8 = "cut-utf8"
    DROP = "drop"
    REPEAT = "repeat"
    FOREIGN = "foreign"
    STATUS = "status"


class Fault(NamedTuple):
    """One fault and its place.

    Args:
        kind: what goes wrong.
        at: after that many tokens (0: after the headers); for `status`, the HTTP status.
        edge: `start` before any byte of the reply, `end` after the terminal marker, else empty.
    """

    kind: FaultKind
    at: int
    edge: str = ""

    def __str__(self) -> str:
        return f"{self.kind}@{self.edge or self.at}"


class Gap(NamedTuple):
    """A silence of `length` seconds before token `before`, beyond the usual interval."""

    before: int
    length: float

    def __str__(self) -> str:
        return f"{self.before}@{write_duration(self.length)}"


_EDGE_FAULTS = frozenset({FaultKind.FIN, FaultKind.RST, FaultKind.FREEZE})
NEED_NEXT = frozenset({FaultKind.FORGE, FaultKind.CUT_JSON, FaultKind.CUT_UTF8, FaultKind.DROP, FaultKind.FOREIGN})
"""Faults that make no sense after the last token, since they leave out or spoil the one that follows."""

# Payloads are serialised before a stream starts, so a plan must fit into memory.
_MOST_PADDING = 256 * 2**20


def _parse_fault(value: object) -> object:
    if value is None or isinstance(value, Fault):
        return value
    match = re.fullmatch(r"(?P<kind>[a-z0-9-]+)@(?P<place>\d+|start|end)", str(value))
    kinds = {str(kind) for kind in FaultKind}
    if match is None or match["kind"] not in kinds:
        raise ValueError(f"{value!r} is no fault; write KIND@TOKEN, KIND one of {', '.join(sorted(kinds))}")
    kind, place = FaultKind(match["kind"]), match["place"]
    if place.isdigit():
        return Fault(kind, int(place))
    if kind not in _EDGE_FAULTS:
        raise ValueError(f"{kind}@{place}: only fin, rst and freeze can stand at the {place}")
    return Fault(kind, 0, place)


def _parse_gaps(value: object) -> object:
    items = value.split(",") if isinstance(value, str) else value
    return tuple(_parse_gap(item) for item in items) if isinstance(items, (list, tuple)) else value


def _parse_gap(item: object) -> Gap:
    if isinstance(item, Gap):
        return item
    match = re.fullmatch(r"(?P<before>\d+)@(?P<length>.+)", str(item).strip())
    if match is None:
        raise ValueError(f"{item!r} is no gap; write TOKEN@DURATION, like 5@3s")
    return Gap(int(match["before"]), parse_duration(match["length"]))


FaultField = Annotated[
    Fault | None,
    BeforeValidator(_parse_fault),
    PlainSerializer(lambda fault: None if fault is None else str(fault)),
]
GapsField = Annotated[
    tuple[Gap, ...],
    BeforeValidator(_parse_gaps),
    PlainSerializer(lambda gaps: [str(gap) for gap in gaps]),
]


_MOST_HEARTBEATS = 100_000
"""They are all planned before the reply starts."""


class Plan(BaseModel):
    """What the model server does for one request; durations in seconds, token numbers from 1."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    tokens: Annotated[int, Field(ge=0, le=1_000_000)] = 20
    """Tokens in the whole answer."""
    ttft: Duration = 0.0
    """From the request to the first token."""
    interval: Duration = 0.02
    """Between one token and the next."""
    gaps: GapsField = ()
    """Silences before given tokens, beyond the interval: `5@3s,9@1s`."""
    jitter: Duration = 0.0
    """Each token is late by up to this much, drawn evenly from the seed; the order never changes."""
    seed: int = 0
    """Draws the jitter, the words and the tag."""
    padding: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Bytes of filler in each token beyond its word and stamp."""
    stamp: StampKind = StampKind.DUE
    """Which time a token carries."""
    heartbeat: Annotated[Duration, Field(ge=0)] = 0.0
    """After so much silence a heartbeat is sent; 0 means none."""
    heartbeat_from: HeartbeatFrom = HeartbeatFrom.FIRST_TOKEN
    """Whether heartbeats begin with the request or with the first token."""
    headers: Headers = Headers.FIRST_TOKEN
    """Whether status and headers leave at once or with the first bytes of the body."""
    framing: Framing = Framing.AUTO
    """How the body's end is told."""
    accel_buffering: bool = True
    """`no` adds the reply header `X-Accel-Buffering: no`."""
    finish: FinishReason = FinishReason.STOP
    """Why the model stops after the last token."""
    fault: FaultField = None
    """What goes wrong, and after which token."""
    fault_delay: Duration = 0.0
    """With a `fin`, `rst` or `freeze` fault in a stream: silence between its token and the fault."""
    retry_after: Duration = 0.0
    """With a `status` fault: the `Retry-After` header, in whole seconds; 0 means none."""
    lockstep: bool = False
    """`yes` holds each token until the probe has confirmed the one before."""
    hold: Duration = 2.0
    """With lockstep: the longest hold. Once one has run out, later holds last a two-hundredth of it."""
    keep_alive: Duration = 0.0
    """A request that comes on the same connection so long after the reply, or later, finds it closed; 0 means never."""

    @model_validator(mode="after")
    def _check_places(self) -> Plan:
        fault = self.fault
        if fault is not None and not fault.edge:
            if fault.kind is FaultKind.STATUS and not 400 <= fault.at <= 599:
                raise ValueError(f"fault: {fault} is no HTTP error; write a status from 400 to 599")
            if fault.kind is not FaultKind.STATUS and fault.at > self.tokens:
                raise ValueError(f"fault: {fault} stands after token {fault.at} of {self.tokens}")
            if fault.kind in NEED_NEXT and fault.at == self.tokens:
                raise ValueError(f"fault: {fault} needs a token after token {fault.at} of {self.tokens}")
            if fault.kind is FaultKind.REPEAT and fault.at == 0:
                raise ValueError(f"fault: {fault} has no token to repeat; they count from 1")
        if self.tokens * self.padding > _MOST_PADDING:
            raise ValueError(f"padding: {self.tokens} x {self.padding} bytes are more than {_MOST_PADDING}")
        for gap in self.gaps:
            if not 1 <= gap.before <= self.tokens:
                raise ValueError(f"gaps: {gap} stands before token {gap.before} of {self.tokens}")
        if self.fault_delay and (fault is None or fault.kind not in _EDGE_FAULTS or fault.edge == "start"):
            raise ValueError("fault_delay: needs a fin, rst or freeze after a token")
        if self.retry_after and (fault is None or fault.kind is not FaultKind.STATUS):
            raise ValueError("retry_after: needs a status fault")
        if self.heartbeat and (self.length + self.fault_delay) / self.heartbeat > _MOST_HEARTBEATS:
            raise ValueError(f"heartbeat: {write_duration(self.heartbeat)} makes more than {_MOST_HEARTBEATS} of them")
        if self.lockstep and self.hold == 0:
            raise ValueError("hold: 0s would release every token at once; lockstep needs a hold")
        if self.heartbeat_from is HeartbeatFrom.START and not self.heartbeat:
            raise ValueError("heartbeat_from: start needs a heartbeat")
        return self

    @property
    def length(self) -> float:
        """Seconds from the request to the last token, as planned; lockstep can only make it longer."""
        return self.due(max(self.tokens, 1)) + self.jitter

    @property
    def longest(self) -> float:
        """Seconds from the request to the end of the reply, with a fault's delay and every hold used up."""
        return self.length + self.fault_delay + (self.tokens * self.hold if self.lockstep else 0.0)

    @property
    def most_heartbeats(self) -> int:
        """How many heartbeats can be written in that time."""
        return int(self.longest / self.heartbeat) + 1 if self.heartbeat else 0

    def due(self, number: int) -> float:
        """Seconds from the request to one token, without jitter."""
        silences = sum(gap.length for gap in self.gaps if gap.before <= number)
        return self.ttft + self.interval * (number - 1) + silences

    @property
    def tag(self) -> str:
        """Four hexadecimal digits that stand in every token of this plan."""
        return hashlib.sha256(self.to_query().encode()).hexdigest()[:4]

    def to_query(self) -> str:
        """The plan as a URL query; only what differs from the defaults."""
        fields = self.model_dump(mode="json", exclude_defaults=True)
        return urlencode({name: _to_text(value) for name, value in fields.items()}, safe="@,")


def _to_text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


class PlanError(ValueError):
    """A plan that makes no sense.

    Args:
        field: the plan's field; empty where the whole is at fault.
        why: what is wrong with it.
    """

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}" if field else why)
        self.field = field
        self.why = why


def make_plan(fields: dict[str, Any]) -> Plan:
    """Check a plan's fields.

    Raises:
        PlanError: names the first field at fault.
    """
    try:
        return Plan.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"][:1])
        why = "no such field" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
        if not field and ": " in why:
            field, _, why = why.partition(": ")
        raise PlanError(field, why) from None


def plan_from_query(query: str) -> Plan:
    """Read a plan from a URL query.

    Raises:
        PlanError: names the field that is unknown, repeated or makes no sense.
    """
    return make_plan(query_fields(query))


def query_fields(query: str) -> dict[str, Any]:
    """The fields of a URL query, whatever they are.

    Raises:
        PlanError: it is no query, or names a field twice.
    """
    fields: dict[str, Any] = {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise PlanError("", f"{query!r} is no plan; write fields like tokens=50&interval=20ms") from None
    for name, value in pairs:
        if name in fields:
            raise PlanError(name, "given twice")
        fields[name] = value
    return fields


__all__ = [
    "NEED_NEXT",
    "PLAN_HEADER",
    "REQUEST_HEADER",
    "Fault",
    "FaultKind",
    "Framing",
    "Gap",
    "Headers",
    "HeartbeatFrom",
    "Plan",
    "PlanError",
    "StampKind",
    "make_plan",
    "plan_from_query",
    "query_fields",
]
