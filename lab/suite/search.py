"""The search for timeouts: streams that wait in different ways, all at once.

Strategy of the timeout search. One stream that waits long enough shows a timeout's value by when it dies, so that
finding a timeout of 60 s takes little more than 60 s. What the others are for is to say *which* timeout it was: each
family waits in one way only (before the headers, before the body, amid the tokens, for a batch reply, or not at all),
silences begin at different times, and requests at slightly different ones, so that a timeout's deaths agree in what the
timeout watches and in nothing else, an outage's agree in the time of day, and a fault's in nothing. Shorter waits on a
grid show what is survived. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from lab.evidence import HttpVersion
from lab.plan import Gap, Headers, HeartbeatFrom, make_plan
from lab.suite.exchange import Exchange, Mode, Role
from lab.vocabulary import Requirement, Watched

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


def wait_of(longest: float) -> float:
    """How long a stream must wait, in seconds, to find every timeout up to `longest`, lateness included."""
    return longest * 1.02 + 1.5


SETTLED_BY: Mapping[Requirement, tuple[Watched, ...]] = {
    Requirement.WAITS_FOR_THE_FIRST_TOKEN: (Watched.FIRST_BYTE, Watched.FIRST_TOKEN),
    Requirement.SURVIVES_SILENCE: (Watched.IDLE,),
    Requirement.LETS_LONG_ANSWERS_FINISH: (Watched.TOTAL,),
    Requirement.WAITS_FOR_BATCH_REPLIES: (Watched.BATCH_REPLY,),
}
"""The requirements about waiting, and the timeouts that would break them."""


def search(longest: float) -> list[Exchange]:
    """The streams that find the timeouts up to `longest` seconds."""
    wait = wait_of(longest)
    return [*_late(wait), *_silent(wait), *_steady(wait), *_early(wait), *_batch(wait), *_beating(wait)]


FEW = frozenset(
    f"{name}-{place}"
    for name, places in {
        "late": (1, 2, 3, 4),
        # With different leads.
        "silent": (1, 4, 5, 6),
        "steady": (1, 2, 3, 4),
        "early": (1, 2, 3, 4),
        "batch": (1, 2, 3, 4),
        "beating": (1, 2),
        "beating-first": (1, 2),
    }.items()
    for place in places
)
"""The streams of the search that are enough to tell a timeout, where only some can run at a time."""


def _waiting(name: str, watched: Watched, place: int, of: int, wait: float, **fields: object) -> Exchange:
    """One stream of the search; the requests of a family are spread over a few seconds."""
    stream = bool(fields.pop("stream", True))
    role = Role.HEARTBEAT if "heartbeat" in fields else Role.SEARCH
    # Wider than the deaths of one timeout can lie apart: an outage ends them at different ages.
    spread = max(3.0, 0.016 * wait)
    delay = spread * place / of
    return Exchange(name, make_plan(fields), role=role, watched=watched, stream=stream, delay=delay)


def _late(wait: float) -> Iterator[Exchange]:
    waits = [wait] * 4 + [wait * part for part in _GRID]
    for place, ttft in enumerate(waits):
        yield _waiting(
            f"late-{place + 1}", Watched.FIRST_BYTE, place, len(waits), wait, tokens=2, ttft=ttft, seed=place
        )


def _silent(wait: float) -> Iterator[Exchange]:
    gaps = [wait] * 6 + [wait * part for part in _GRID]
    for place, gap in enumerate(gaps):
        # The lead differs, so that a timeout that began with the request is no timeout on the silence.
        lead = 1 + max(0, place % 6 - 3) * max(3, round(0.008 * wait / STEP))
        yield _waiting(
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


def _steady(wait: float) -> Iterator[Exchange]:
    tokens = int(wait / STEP) + 4
    for place in range(6):
        yield _waiting(f"steady-{place + 1}", Watched.TOTAL, place, 6, wait, tokens=tokens, interval=STEP, seed=place)


def _early(wait: float) -> Iterator[Exchange]:
    for place in range(6):
        yield _waiting(
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


def _batch(wait: float) -> Iterator[Exchange]:
    for place in range(6):
        yield _waiting(
            f"batch-{place + 1}", Watched.BATCH_REPLY, place, 6, wait, tokens=2, ttft=wait, stream=False, seed=place
        )


def _beating(wait: float) -> Iterator[Exchange]:
    for place in range(4):
        yield _waiting(
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
        yield _waiting(
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


def once_more(longest: float, watched: Collection[Watched]) -> list[Exchange]:
    """The streams of some families once more, where the probe was late to see the first ones end."""
    return [
        replace(each, name=f"{each.name}-again", plan=each.plan.model_copy(update={"seed": each.plan.seed + _AGAIN}))
        for each in search(longest)
        if each.watched in watched and each.role is Role.SEARCH
    ]


def over_http_2(longest: float) -> list[Exchange]:
    """Streams that wait as those of the search do, over HTTP/2: three for each of three timeouts."""
    wait = wait_of(longest)
    families: dict[Watched, dict[str, object]] = {
        Watched.FIRST_BYTE: {"tokens": 2, "ttft": wait},
        Watched.IDLE: {"tokens": 3, "interval": STEP, "gaps": (Gap(2, wait - STEP),)},
        Watched.TOTAL: {"tokens": int(wait / STEP) + 4, "interval": STEP},
    }
    return [
        Exchange(
            f"{Mode.HTTP_2}-{watched}-{place + 1}",
            make_plan({**fields, "seed": place}),
            role=Role.MODE_TIMEOUT,
            watched=watched,
            delay=place / 2,
            http=HttpVersion.HTTP_2,
            mode=Mode.HTTP_2,
        )
        for watched, fields in families.items()
        for place in range(3)
    ]


def refining(watched: Watched, wait: float) -> list[Exchange]:
    """Three streams that wait so many seconds amid the tokens, or else before the first, and then go on."""
    amid = watched is Watched.IDLE
    fields = (
        {"interval": STEP, "gaps": (Gap(2, max(0.0, wait - STEP)),)} if amid else {"ttft": wait, "headers": "early"}
    )
    plans = [make_plan({"tokens": 3, "seed": number, **fields}) for number in (1, 2, 3)]
    return [Exchange(f"refine-{watched}-{plan.seed}", plan, role=Role.REFINE, watched=watched) for plan in plans]
