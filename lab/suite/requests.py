"""What an active audit asks: streams that wait in different ways, all at once, and short exchanges beside them.

Strategy of the timeout search. One stream that waits long enough shows a timeout's value by when it dies, so that
finding a timeout of 60 s takes little more than 60 s. What the others are for is to say *which* timeout it was: each
family waits in one way only (before the headers, before the body, amid the tokens, for a batch reply, or not at all),
silences begin at different times, and requests at slightly different ones, so that a timeout's deaths agree in what the
timeout watches and in nothing else, an outage's agree in the time of day, and a fault's in nothing. Shorter waits on a
grid show what is survived. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from lab.evidence import HttpVersion
from lab.plan import Gap, Headers, HeartbeatFrom, Plan, make_plan
from lab.vocabulary import Watched
from lab.wire.format import Reply, WireFormat
from lab.wire.tokens import write_token

STEP = 0.25
"""Seconds between the tokens of a lively stream: far below any timeout that the audit tells of."""

BEAT = 0.5
"""Seconds between heartbeats."""

SHORTEST_TIMEOUT = 1.0
"""Seconds; a shorter timeout would end streams of the audit that are not meant to wait."""

_GRID = (0.2, 0.4, 0.7)
"""Parts of the longest wait that are waited too, and then the stream goes on."""


_AGAIN = 100
"""What the seeds of plans that are asked once more are raised by, so that no two plans are equal."""


class Role(StrEnum):
    """What an exchange is for."""

    SEARCH = "search"
    HEARTBEAT = "heartbeat"
    REFINE = "refine"
    CUT = "cut"
    ERROR = "error"
    LEAVE = "leave"
    HEADERS = "headers"
    SETTING = "setting"
    SETTING_CUT = "setting-cut"
    SETTING_TIMEOUT = "setting-timeout"
    CHOICE = "choice"


@dataclass(frozen=True)
class Asking:
    """One exchange of the audit.

    Args:
        name: short, unique.
        role: what it is for.
        plan: what the model server is told.
        watched: for a search and for heartbeats: what it waits for.
        stream: whether a stream is asked for.
        delay: seconds after the audit's start at which it is asked.
        leave_after: seconds after which the probe leaves; None to stay.
        accept_encoding: what is offered; empty for nothing.
        http: the version.
        pace: bytes a second that are read; None for no limit.
    """

    name: str
    role: Role
    plan: Plan
    watched: Watched | None = None
    stream: bool = True
    delay: float = 0.0
    leave_after: float | None = None
    accept_encoding: str = ""
    http: HttpVersion = HttpVersion.HTTP_1_1
    pace: float | None = None


def setting_of(asking: Asking) -> str:
    """The way of asking of an exchange that was made to look at one: its name without what follows."""
    return next(name for name in (PLAIN, GZIP, HTTP_2, SLOW) if asking.name.startswith(f"{name}-"))


def wait_of(longest: float) -> float:
    """How long a stream must wait, in seconds, to find every timeout up to `longest`, lateness included."""
    return longest * 1.02 + 1.5


def search(longest: float) -> list[Asking]:
    """The streams that find the timeouts up to `longest` seconds."""
    wait = wait_of(longest)
    return [*_late(wait), *_silent(wait), *_steady(wait), *_early(wait), *_batch(wait), *_beating(wait)]


def _asking(name: str, watched: Watched, place: int, of: int, wait: float, **fields: object) -> Asking:
    """One stream of the search; the requests of a family are spread over a few seconds."""
    stream = bool(fields.pop("stream", True))
    role = Role.HEARTBEAT if "heartbeat" in fields else Role.SEARCH
    # Wider than the deaths of one timeout can lie apart: an outage ends them at different ages.
    spread = max(3.0, 0.016 * wait)
    return Asking(name, role, make_plan(fields), watched, stream, delay=spread * place / of)


def _late(wait: float) -> Iterator[Asking]:
    waits = [wait] * 4 + [wait * part for part in _GRID]
    for place, ttft in enumerate(waits):
        yield _asking(f"late-{place + 1}", Watched.FIRST_BYTE, place, len(waits), wait, tokens=2, ttft=ttft, seed=place)


def _silent(wait: float) -> Iterator[Asking]:
    gaps = [wait] * 6 + [wait * part for part in _GRID]
    for place, gap in enumerate(gaps):
        # The lead differs, so that a timeout that began with the request is no timeout on the silence.
        lead = 1 + max(0, place % 6 - 3) * max(3, round(0.008 * wait / STEP))
        yield _asking(
            f"silent-{place + 1}",
            Watched.IDLE,
            place,
            len(gaps),
            wait,
            tokens=lead + 2,
            interval=STEP,
            # No stream outlives the lively ones, or a timeout on the whole could not be told from one on silence.
            gaps=(Gap(lead + 1, gap - lead * STEP),),
            seed=place,
        )


def _steady(wait: float) -> Iterator[Asking]:
    tokens = int(wait / STEP) + 4
    for place in range(6):
        yield _asking(f"steady-{place + 1}", Watched.TOTAL, place, 6, wait, tokens=tokens, interval=STEP, seed=place)


def _early(wait: float) -> Iterator[Asking]:
    for place in range(6):
        yield _asking(
            f"early-{place + 1}",
            Watched.FIRST_TOKEN,
            place,
            6,
            wait,
            tokens=2,
            ttft=wait,
            headers=Headers.EARLY,
            seed=place,
        )


def _batch(wait: float) -> Iterator[Asking]:
    for place in range(6):
        yield _asking(
            f"batch-{place + 1}", Watched.BATCH_REPLY, place, 6, wait, tokens=2, ttft=wait, stream=False, seed=place
        )


def _beating(wait: float) -> Iterator[Asking]:
    for place in range(4):
        yield _asking(
            f"beating-{place + 1}",
            Watched.IDLE,
            place,
            4,
            wait,
            tokens=3,
            gaps=(Gap(2, wait),),
            heartbeat=BEAT,
            seed=place,
        )
        yield _asking(
            f"beating-first-{place + 1}",
            Watched.FIRST_TOKEN,
            place,
            4,
            wait,
            tokens=2,
            ttft=wait,
            headers=Headers.EARLY,
            heartbeat=BEAT,
            heartbeat_from=HeartbeatFrom.START,
            seed=place,
        )


def once_more(longest: float, watched: Collection[Watched]) -> list[Asking]:
    """The streams of some families once more, where the probe was late to see the first ones end."""
    return [
        replace(each, name=f"{each.name}-again", plan=each.plan.model_copy(update={"seed": each.plan.seed + _AGAIN}))
        for each in search(longest)
        if each.watched in watched and each.role is Role.SEARCH
    ]


def over_http_2(longest: float) -> list[Asking]:
    """Streams that wait as those of the search do, over HTTP/2: three for each of three timeouts."""
    wait = wait_of(longest)
    families: dict[Watched, dict[str, object]] = {
        Watched.FIRST_BYTE: {"tokens": 2, "ttft": wait},
        Watched.IDLE: {"tokens": 3, "interval": STEP, "gaps": (Gap(2, wait - STEP),)},
        Watched.TOTAL: {"tokens": int(wait / STEP) + 4, "interval": STEP},
    }
    return [
        Asking(
            f"{HTTP_2}-{watched}-{place + 1}",
            Role.SETTING_TIMEOUT,
            make_plan({**fields, "seed": place}),
            watched,
            delay=place / 2,
            http=HttpVersion.HTTP_2,
        )
        for watched, fields in families.items()
        for place in range(3)
    ]


def refining(watched: Watched, wait: float) -> list[Asking]:
    """Three streams that wait so many seconds amid the tokens, or else before the first, and then go on."""
    amid = watched is Watched.IDLE
    fields = (
        {"interval": STEP, "gaps": (Gap(2, max(0.0, wait - STEP)),)} if amid else {"ttft": wait, "headers": "early"}
    )
    return [
        Asking(f"refine-{watched}-{number}", Role.REFINE, make_plan({"tokens": 3, "seed": number, **fields}), watched)
        for number in (1, 2, 3)
    ]


LEAVES_AFTER = 1.0
"""Seconds after which the probe leaves a stream."""

LEAVE_LENGTH = 8.0
"""Seconds that such a stream would last."""


def short(wire: WireFormat, *, http_2: bool) -> list[Asking]:
    """The short exchanges: cuts, errors, leaving, early headers, and each way of asking in lockstep."""
    return [*_cuts(), *_errors(), *_leaving(), *_early_headers(), *_choice(), *_settings(wire, http_2=http_2)]


def _cuts() -> Iterator[Asking]:
    for kind in ("fin", "rst"):
        for place in (10, 5):
            yield Asking(f"{kind}-amid-{place}", Role.CUT, _amid(kind, place))
        plan = make_plan({"tokens": 20, "interval": 0.05, "fault": f"{kind}@10"})
        yield Asking(f"{kind}-batch", Role.CUT, plan, stream=False)
        yield Asking(f"{kind}-start", Role.CUT, make_plan({"tokens": 20, "ttft": 0.3, "fault": f"{kind}@start"}))


def _amid(kind: str, place: int) -> Plan:
    return make_plan({"tokens": 20, "interval": 0.05, "fault": f"{kind}@{place}", "fault_delay": 0.8})


def _errors() -> Iterator[Asking]:
    yield Asking("error-event", Role.ERROR, make_plan({"tokens": 20, "fault": "error@10"}))
    for status in (429, 503):
        yield Asking(
            f"error-{status}",
            Role.ERROR,
            make_plan({"tokens": 20, "fault": f"status@{status}", "retry_after": 7.0}),
        )


def _leaving() -> Iterator[Asking]:
    lively = make_plan({"tokens": int(LEAVE_LENGTH / STEP), "interval": STEP})
    silent = make_plan({"tokens": 2, "ttft": LEAVE_LENGTH})
    batch = make_plan({"tokens": 2, "ttft": LEAVE_LENGTH})
    yield Asking("leave-lively", Role.LEAVE, lively, leave_after=LEAVES_AFTER)
    yield Asking("leave-silent", Role.LEAVE, silent, leave_after=LEAVES_AFTER)
    yield Asking("leave-batch", Role.LEAVE, batch, stream=False, leave_after=LEAVES_AFTER)


def _early_headers() -> Iterator[Asking]:
    for number in (1, 2):
        plan = make_plan({"tokens": 2, "ttft": 0.9, "headers": Headers.EARLY, "seed": number})
        yield Asking(f"early-headers-{number}", Role.HEADERS, plan)


def _choice() -> Iterator[Asking]:
    plan = make_plan({"tokens": 40, "interval": 0.05})
    yield Asking("stream", Role.CHOICE, plan)
    yield Asking("batch", Role.CHOICE, plan, stream=False)


PLAIN, GZIP, HTTP_2, SLOW = "plain", "gzip", "http-2", "slow-reader"

_SLOW = 25
"""Tokens a second that a slow reader can read: as fast as they are written, and no faster."""


def _settings(wire: WireFormat, *, http_2: bool) -> Iterator[Asking]:
    ways: dict[str, dict[str, object]] = {PLAIN: {}, GZIP: {"accept_encoding": "gzip"}}
    if http_2:
        ways[HTTP_2] = {"http": HttpVersion.HTTP_2}
    event = wire.text(Reply("lab-0123456789abcdef", "lab"), write_token("abcd", 10, due=0.0, word="oak"))
    ways[SLOW] = {"pace": _SLOW * len(event)}
    for name, way in ways.items():
        for number in (1, 2):
            plan = make_plan({"tokens": 20, "interval": 0.04, "lockstep": True, "hold": 2.0, "seed": number})
            yield Asking(f"{name}-{number}", Role.SETTING, plan, **way)  # type: ignore[arg-type]  # a table of fields
        for kind in ("fin", "rst"):
            yield Asking(f"{name}-{kind}", Role.SETTING_CUT, _amid(kind, 10), **way)  # type: ignore[arg-type]
