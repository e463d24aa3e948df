"""The exchanges that settle each requirement, in some seconds. Pure.

Strategy. How tokens come is shown in lockstep, however clients ask: what is held back shows itself at any
speed. Waits are as long as they are wanted to be, one for each thing that a timeout may watch. Whatever else can go
wrong is made to: the model dies, refuses, or is left by its client, each in the ways that hops treat differently.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from lab.evidence import HttpVersion
from lab.plan import Gap, Headers, Plan, make_plan
from lab.suite.exchange import Exchange, Mode, Role
from lab.vocabulary import Requirement
from lab.wire.format import Reply, WireFormat
from lab.wire.tokens import write_token

NDJSON, SSE = "ndjson", "sse"

BROWSER = "gzip, deflate, br, zstd"
"""What browsers offer."""

BIG_BODY = 256 * 1024
"""Bytes of a request that carries a long conversation."""

LEAVES_AFTER = 1.0
"""Seconds after which a client leaves."""

LEAVE_LENGTH = 5.0
"""Seconds that its answer would last."""

BEAT = 0.3
"""Seconds of silence after which a heartbeat is due, where heartbeats are looked at."""

STEP = 0.25
"""Seconds between two tokens of a stream that somebody leaves."""


@dataclass(frozen=True)
class Waits:
    """How long to wait at least, in seconds; 0 for no longer than anyway.

    Args:
        longest: for a whole answer, streamed or in one piece.
        first_token: for the first token of a stream.
        gap: for the next token amid a stream.
    """

    longest: float = 0.0
    first_token: float = 0.0
    gap: float = 0.0


SHORTEST_WAIT = 4.0
"""Seconds that each wait lasts anyway: enough to tell a timeout of 2 s from none."""


def suite(waits: Waits | None = None) -> list[Exchange]:
    """Every exchange that settles a requirement, for a target that serves all wire formats; HTTP/2 is for TLS."""
    return everywhere([*tokens(), *other_formats(), *waiting(waits or Waits()), *short(), *over_http_2()])


EVERY_ONE_SETTLES = (Requirement.FORGES_NO_END, Requirement.GENERATES_ONCE)
"""Requirements that each exchange helps to settle, whatever it was made for."""


def everywhere(exchanges: Iterable[Exchange]) -> list[Exchange]:
    """The same, each of which also settles what every exchange does."""
    return [replace(each, requirements=(*each.requirements, *EVERY_ONE_SETTLES)) for each in exchanges]


def one_format(wire: WireFormat, *, http_2: bool) -> list[Exchange]:
    """What settles the requirements for an address that is asked in one format, waits apart: each way by itself."""
    return [*everywhere([*tokens(), *short()]), *modes(wire, http_2=http_2)]


def short() -> list[Exchange]:
    """What takes no longer than it must, and is asked in the target's own format."""
    return [*_deaths(), *_errors(), *_choice(), *_early_headers(), *_leaving(), *_heartbeats()]


def _lockstep(**fields: object) -> Plan:
    # Twenty tokens over most of a second: see `lab.judge.delivery.LEAST_DELAY`.
    return make_plan({"tokens": 20, "interval": 0.04, "lockstep": True, "hold": 3.0, **fields})


_DELIVERY = (Requirement.DELIVERS_TOKENS_AS_THEY_COME,)


def tokens() -> Iterator[Exchange]:
    """Streams in lockstep, asked for as clients ask."""
    yield Exchange("tokens", _lockstep(), requirements=_DELIVERY, accept_encoding="gzip")
    yield Exchange("tokens-uncompressed", _lockstep(), requirements=_DELIVERY)
    yield Exchange("tokens-to-a-browser", _lockstep(), requirements=_DELIVERY, accept_encoding=BROWSER)
    # Delimited by close: nothing but the proxy's buffer decides.
    yield Exchange("tokens-until-close", _lockstep(framing="close"), requirements=_DELIVERY)
    # Each larger than a page of a proxy's buffer, and than what a compressor leaves as it is.
    yield Exchange("large-tokens", _lockstep(padding=9000), requirements=_DELIVERY, accept_encoding="gzip")
    yield Exchange("tokens-after-a-big-request", _lockstep(), requirements=_DELIVERY, body_bytes=BIG_BODY)


def other_formats() -> Iterator[Exchange]:
    """The same in a format without events, and as a browser's EventSource asks."""
    yield Exchange("tokens-in-ndjson", _lockstep(), NDJSON, _DELIVERY, accept_encoding="gzip")
    yield Exchange("tokens-by-get", _lockstep(), SSE, _DELIVERY, method="GET", accept_encoding=BROWSER)


def over_http_2() -> Iterator[Exchange]:
    """How tokens come, how the model's death is told and how the client's leaving is, in frames of streams."""
    for each in (*tokens(), *_deaths(), *_leaving()):
        if each.name in ("tokens", "large-tokens", "death-fin", "death-rst", "leave-lively"):
            yield replace(each, name=f"{each.name}-over-http-2", http=HttpVersion.HTTP_2)


def waiting(waits: Waits) -> Iterator[Exchange]:
    """One wait for each requirement about waiting."""
    thinking = make_plan({"ttft": max(waits.first_token, SHORTEST_WAIT), "tokens": 5})
    yield Exchange("thinking", thinking, requirements=(Requirement.WAITS_FOR_THE_FIRST_TOKEN,))
    tool_call = make_plan({"tokens": 10, "interval": 0.05, "gaps": [Gap(6, max(waits.gap, SHORTEST_WAIT))]})
    yield Exchange("tool-call", tool_call, requirements=(Requirement.SURVIVES_SILENCE,))
    answer = lasting(make_plan({"tokens": 2, "interval": 0.1}), max(waits.longest, SHORTEST_WAIT))
    yield Exchange("long-answer", answer, requirements=(Requirement.LETS_LONG_ANSWERS_FINISH,))
    yield Exchange("silent-batch", answer, requirements=(Requirement.WAITS_FOR_BATCH_REPLIES,), stream=False)


_LIVELY = 0.5
"""Seconds between two tokens of a long answer at most: far below any timeout on silence."""

_MANY = 200
"""Tokens that a long answer has at least; more only keep the machine busy."""


def lasting(plan: Plan, seconds: float) -> Plan:
    """The plan with so many tokens that it lasts so long, and never silent for longer than half a second.

    Raises:
        PlanError: no plan can last so long.
    """
    if plan.length >= seconds or not plan.interval:
        return plan
    interval = max(plan.interval, min(_LIVELY, seconds / _MANY))
    more = int((seconds - plan.ttft) / interval) + 2
    fields = {name: getattr(plan, name) for name in plan.model_fields_set}
    return make_plan({**fields, "interval": interval, "tokens": more})


def _dying(kind: str, place: int | str, **fields: object) -> Plan:
    return make_plan({"tokens": 20, "interval": 0.05, "fault": f"{kind}@{place}", **fields})


_DEATH = (Requirement.SHOWS_A_CUT_AS_A_CUT, Requirement.DELIVERS_WHAT_WAS_SENT, Requirement.ENDS_WHEN_THE_MODEL_DIES)


def _deaths() -> Iterator[Exchange]:
    """The model dies, amid the stream and before it, amid a batch reply, and by an end that looks clean."""
    for kind in ("fin", "rst"):
        yield Exchange(f"death-{kind}", _dying(kind, 10, fault_delay=1.0), requirements=_DEATH)
        yield Exchange(f"death-{kind}-early", _dying(kind, 5, fault_delay=1.0), requirements=_DEATH)
        yield Exchange(f"death-{kind}-at-once", _dying(kind, 10), requirements=_DEATH)
        yield Exchange(f"death-{kind}-batch", _dying(kind, 10), requirements=_DEATH, stream=False)
        yield Exchange(f"death-{kind}-start", _dying(kind, "start", ttft=0.3), requirements=_DEATH)
    # A reset is visible however the reply is framed; the end of one that is delimited by close is what it says it is.
    until_close = {"framing": "close", "fault_delay": 1.0}
    yield Exchange("death-rst-until-close", _dying("rst", 10, **until_close), requirements=_DEATH[1:])
    yield Exchange("death-fin-until-close", _dying("fin", 10, **until_close), requirements=_DEATH[1:])
    yield Exchange("death-without-a-marker", _dying("no-marker", 10), requirements=_DEATH[1:])


def _errors() -> Iterator[Exchange]:
    passes = (Requirement.PASSES_ERRORS_ON,)
    yield Exchange("error-event", make_plan({"tokens": 20, "fault": "error@10"}), requirements=passes)
    for status in (429, 503):
        plan = make_plan({"tokens": 20, "fault": f"status@{status}", "retry_after": 7.0})
        yield Exchange(f"error-{status}", plan, requirements=passes)


def _choice() -> Iterator[Exchange]:
    plan = make_plan({"tokens": 12, "interval": 0.15})
    yield Exchange("stream", plan, requirements=(Requirement.MOVES_THE_FIRST_TOKEN_FORWARD,))
    yield Exchange("batch", plan, requirements=(Requirement.MOVES_THE_FIRST_TOKEN_FORWARD,), stream=False)


def _early_headers() -> Iterator[Exchange]:
    for number in (1, 2):
        plan = make_plan({"tokens": 2, "ttft": 0.9, "headers": Headers.EARLY, "seed": number})
        yield Exchange(f"early-headers-{number}", plan, requirements=(Requirement.SENDS_HEADERS_AT_ONCE,))


def _leaving() -> Iterator[Exchange]:
    stops = (Requirement.STOPS_WHEN_THE_CLIENT_LEAVES,)
    lively = make_plan({"tokens": int(LEAVE_LENGTH / STEP), "interval": STEP})
    silent = make_plan({"tokens": 2, "ttft": LEAVE_LENGTH})
    yield Exchange("leave-lively", lively, requirements=stops, leave_after=LEAVES_AFTER)
    yield Exchange("leave-silent", silent, requirements=stops, leave_after=LEAVES_AFTER)
    yield Exchange("leave-batch", silent, requirements=stops, leave_after=LEAVES_AFTER, stream=False)


def _heartbeats() -> Iterator[Exchange]:
    plan = make_plan({"tokens": 4, "interval": 0.05, "gaps": [Gap(3, 5 * BEAT)], "heartbeat": BEAT})
    yield Exchange("heartbeats", plan, requirements=(Requirement.PASSES_HEARTBEATS_ON,))


_SLOW = 25
"""Tokens a second that a slow reader can read: as fast as they are written, and no faster."""


def modes(wire: WireFormat, *, http_2: bool) -> Iterator[Exchange]:
    """Each way of asking, twice in lockstep and twice with a death, to be compared with the plain one."""
    event = wire.text(Reply("lab-0123456789abcdef", "lab"), write_token("abcd", 10, due=0.0, word="oak"))
    ways = {
        Mode.PLAIN: Exchange("", make_plan({})),
        Mode.GZIP: Exchange("", make_plan({}), accept_encoding="gzip"),
        Mode.HTTP_2: Exchange("", make_plan({}), http=HttpVersion.HTTP_2),
        Mode.SLOW: Exchange("", make_plan({}), pace=_SLOW * len(event)),
    }
    for mode, way in ways.items():
        if mode is Mode.HTTP_2 and not http_2:
            continue
        # A slow reader is late by its own doing.
        settles = () if mode is Mode.SLOW else _DELIVERY
        for seed in (1, 2):
            plan = _lockstep(hold=2.0, seed=seed)
            yield replace(way, name=f"{mode}-{seed}", plan=plan, role=Role.MODE, mode=mode, requirements=settles)
        for kind in ("fin", "rst"):
            plan = _dying(kind, 10, fault_delay=0.8)
            yield replace(way, name=f"{mode}-{kind}", plan=plan, role=Role.MODE_CUT, mode=mode)
