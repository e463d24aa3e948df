"""How the made-up run is put together: token times by what the path did to them, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from lab.results import CaseResult, ExchangeResult, FindingResult, TokenTimes
from lab.vocabulary import Cause, Delivery, Ending, Outcome, Variant

PATH_DELAY = 0.004
"""Seconds that an idle proxy takes to hand a token over."""


def steady(count: int, every: float, start: float = 0.1) -> list[float]:
    """Departures at a regular pace, in seconds."""
    return [start + index * every for index in range(count)]


def prompt(departures: Iterable[float]) -> tuple[TokenTimes, ...]:
    """Every token arrives as soon as the path allows."""
    return tuple(TokenTimes(number, left, left + PATH_DELAY) for number, left in enumerate(departures, start=1))


def at_once(departures: Sequence[float]) -> tuple[TokenTimes, ...]:
    """Every token arrives after the last one left."""
    end = departures[-1] + PATH_DELAY
    return tuple(TokenTimes(number, left, end) for number, left in enumerate(departures, start=1))


def in_bursts(departures: Iterable[float], every: float) -> tuple[TokenTimes, ...]:
    """A token waits for the next tick of the proxy's own timeout."""
    return tuple(
        TokenTimes(number, left, (int(left / every) + 1) * every) for number, left in enumerate(departures, start=1)
    )


def cut_after(departures: Iterable[float], end: float) -> tuple[TokenTimes, ...]:
    """Tokens that left after `end` seconds never arrive."""
    return tuple(
        TokenTimes(token.number, token.left, token.arrived if (token.left or 0.0) < end else None)
        for token in prompt(departures)
    )


def exchange(
    tokens: tuple[TokenTimes, ...],
    sentence: str,
    *,
    name: str = "answer",
    delivery: Delivery = Delivery.INCREMENTAL,
    ending: Ending = Ending.COMPLETE,
    cause: Cause | None = None,
    total: float | None = None,
    transport_end: str = "framed",
    flags: tuple[str, ...] = (),
    heartbeats: tuple[float, ...] = (),
    planned: int | None = None,
) -> ExchangeResult:
    """One exchange, its figures worked out from its tokens."""
    arrivals = [token.arrived for token in tokens if token.arrived is not None]
    ended = total if total is not None else max(arrivals, default=0.0) + 0.02
    events = sorted([0.0, *arrivals, *heartbeats, ended])
    return ExchangeResult(
        name=name,
        plan="24 tokens, 0.15 s apart",
        wire_format="openai-chat",
        stream=True,
        delivery=delivery,
        ending=ending,
        cause=cause,
        timeout=None,
        sentence=sentence,
        flags=flags,
        received=len(arrivals),
        written=len(tokens),
        planned=len(tokens) if planned is None else planned,
        status=200,
        transport_end=transport_end,
        first_token=min(arrivals, default=None),
        longest_silence=max(later - earlier for earlier, later in pairwise(events)),
        total=ended,
        attempts=1,
        tokens=tokens,
        heartbeats=heartbeats,
    )


def finding(requirement: str, expected: str, actual: str, *, met: bool = True) -> FindingResult:
    """One statement of a verdict."""
    return FindingResult(met, requirement, expected, actual)


def make_case(
    label: str,
    config: tuple[str, str],
    exchanges: Sequence[ExchangeResult] = (),
    findings: Sequence[FindingResult] = (),
    *,
    outcome: Outcome = Outcome.PASSED,
    title: str = "",
    log: tuple[str, ...] = (),
    problem: str = "",
) -> CaseResult:
    """One case; its kind follows from its label, its time from its exchanges."""
    kind = Variant.FIXED if label.startswith("fixed") else Variant(label)
    return CaseResult(
        label=label,
        variant=kind,
        title=title,
        outcome=outcome,
        findings=tuple(findings),
        exchanges=tuple(exchanges),
        seconds=max((one.total for one in exchanges), default=0.0),
        config_name=config[0],
        config=config[1],
        log=log,
        problem=problem,
    )
