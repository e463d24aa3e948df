"""What else the path does, on exchanges that are written down: cuts, leaving, retries, early headers, heartbeats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from lab.evidence import Stall, TransportEnd
from lab.judge import Exchanged
from lab.measure.effects import effects_of
from lab.measure.findings import Effect, Holds
from lab.measure.streams import streams_of
from lab.measure.timeouts import Timeouts, find_timeouts
from lab.suite.exchange import Role
from lab.suite.search import search
from lab.suite.settle import one_format
from lab.vocabulary import Watched

from .made import BEGAN, CHAT, played

LONGEST = 4.0
SHORT = {each.name: each for each in one_format(CHAT, http_2=False)}
SEARCH = search(LONGEST)
IDLE = Watched.IDLE


def effect(name: str, made: Sequence[Exchanged], timeouts: Timeouts | None = None) -> Effect:
    """One effect of these exchanges."""
    streams = streams_of(made)
    found = timeouts or find_timeouts(streams, LONGEST, BEGAN)
    return next(each for each in effects_of(made, streams, found) if each.name == name)


def left(name: str, *, noticed: float | None, finished: float | None = None) -> Exchanged:
    """A stream that the probe left after a second, and what the model server saw of it."""
    return played(SHORT[name], cut=1.0, end=TransportEnd.LEFT, left=noticed, finished=finished)


@pytest.mark.parametrize(
    ("noticed", "finished", "answer", "value"),
    [
        (1.3, None, Holds.YES, 0.3),
        (4.5, None, Holds.NO, 3.5),
        (None, 8.0, Holds.NO, 7.0),
        (None, 2.5, Holds.UNKNOWN, None),
        (None, None, Holds.UNKNOWN, None),
    ],
    ids=["at-once", "late", "to-its-end", "so-soon-to-its-end", "nobody-saw"],
)
def test_leaving_stops_the_model_within_two_seconds(
    noticed: float | None, finished: float | None, answer: Holds, value: float | None
) -> None:
    """Left after 1 s: what the model server saw, and when, decides."""
    told = effect(
        "leaving-stops-the-model-before-the-first-token", [left("leave-silent", noticed=noticed, finished=finished)]
    )
    assert told.answer is answer
    assert told.value == (None if value is None else pytest.approx(value))


@pytest.mark.parametrize(
    ("step", "words"), [(0.0, "may be the timeout at 3.00 s"), (0.15, "may be the timeout between 3.0 and 4.0 s")]
)
def test_a_stop_that_a_timeout_may_have_brought_is_not_told(step: float, words: str) -> None:
    """The wait for the first byte ends at 3 s anyhow, or when somebody looks after that, and the model saw that."""
    dying = []
    for number, each in enumerate(each for each in SEARCH if each.role is Role.SEARCH and each.watched is not IDLE):
        at = 3.0 + step * (number % 7)
        dies = each.plan.due(1) > at
        dying.append(played(each, cut=at, left=at, end=TransportEnd.NO_REPLY) if dies else played(each))
    told = effect("leaving-stops-the-model-before-the-first-token", [*dying, left("leave-silent", noticed=3.0)])
    assert told.answer is Holds.UNKNOWN
    assert words in told.sentence


def test_a_request_that_came_twice_is_counted() -> None:
    """One of two was generated three times."""
    once, often = played(SHORT["stream"]), played(SHORT["batch"])
    assert often.evidence.ledger is not None
    again = replace(often.evidence.ledger, attempt=3, attempts=3)
    made = [once, Exchanged.alone(often.exchange, replace(often.evidence, ledger=again))]
    told = effect("generates-once", made)
    assert (told.answer, told.value) == (Holds.NO, 3)
    assert told.sentence == "1 of 2 requests were generated more than once, up to 3 times: batch"
    assert effect("generates-once", [once]).answer is Holds.YES
    assert effect("generates-once", []).answer is Holds.UNKNOWN


def test_headers_before_the_first_token() -> None:
    """Sent at once, the token 0.9 s later; held back to 1.0 s they came 0.1 s after it, unless the probe slept."""
    early = played(SHORT["early-headers-1"])
    assert effect("headers-come-before-the-first-token", [early]).value == pytest.approx(0.9)
    held = replace(early.evidence.trace, headers_at=BEGAN + 1.0)
    late = Exchanged.alone(early.exchange, replace(early.evidence, trace=held))
    assert effect("headers-come-before-the-first-token", [late]).answer is Holds.NO
    assert effect("headers-come-before-the-first-token", [late]).value == pytest.approx(-0.1)
    slept = replace(held, stalls=(Stall(BEGAN + 0.1, BEGAN + 1.0),))
    told = effect(
        "headers-come-before-the-first-token", [Exchanged.alone(early.exchange, replace(early.evidence, trace=slept))]
    )
    assert told.value == pytest.approx(0.0)


def cut_by_the_model(name: str, *, end: TransportEnd) -> Exchanged:
    """A stream that the model cut 1.25 s after the request, 0.8 s after its tenth token."""
    return played(SHORT[name], cut=1.25, faulted=True, end=end)


@pytest.mark.parametrize(
    ("ends", "answer"),
    [
        ((TransportEnd.SHORT_FIN, TransportEnd.SHORT_FIN), Holds.YES),
        ((TransportEnd.SHORT_FIN, TransportEnd.FRAMED), Holds.NO),
    ],
    ids=["both-shown", "one-hidden"],
)
def test_a_cut_must_be_visible_each_time(ends: tuple[TransportEnd, ...], answer: Holds) -> None:
    """One that looks like the answer's own end is enough for a no."""
    made = [cut_by_the_model(name, end=end) for name, end in zip(("death-fin", "death-fin-early"), ends, strict=True)]
    told = effect("fin-visible-stream", made)
    assert told.answer is answer
    assert effect("rst-visible-stream", made).answer is Holds.UNKNOWN


def test_tokens_from_well_before_a_cut_are_counted() -> None:
    """Ten tokens were written, and the path handed on the first six."""
    whole = cut_by_the_model("death-rst", end=TransportEnd.RESET)
    trace = whole.evidence.trace
    some = Exchanged.alone(
        whole.exchange, replace(whole.evidence, trace=replace(trace, reads=trace.reads[:6], body=trace.body[:6]))
    )
    assert effect("rst-tokens-arrive", [whole]).answer is Holds.YES
    told = effect("rst-tokens-arrive", [whole, some])
    assert told.answer is Holds.NO
    assert told.sentence == "of the tokens written 0.5 s or more before a RST, 16 of 20 came"


def test_tokens_from_just_before_a_cut_are_told_apart() -> None:
    """They may be lost with nobody to blame, and a sentence about all tokens must not pass them over."""
    exchange = cut_by_the_model("death-fin", end=TransportEnd.SHORT_FIN)
    ledger = exchange.evidence.ledger
    assert ledger is not None
    sudden = replace(ledger, fault_at=ledger.tokens[-1].at)
    trace = exchange.evidence.trace
    evidence = replace(
        exchange.evidence, ledger=sudden, trace=replace(trace, reads=trace.reads[:-1], body=trace.body[:-1])
    )
    early = sum(token.at <= ledger.tokens[-1].at - 0.5 for token in ledger.tokens)
    told = effect("fin-tokens-arrive", [Exchanged.alone(exchange.exchange, evidence)])
    assert f"before a FIN, {early} of {early} came" in told.sentence
    assert f"of those written after that, {9 - early} of {10 - early}" in told.sentence


@pytest.mark.parametrize(
    ("beating", "answer"), [(None, Holds.YES), (2.0, Holds.NO)], ids=["survived", "ended-all-the-same"]
)
def test_heartbeats_reset_an_idle_timeout_or_do_not(beating: float | None, answer: Holds) -> None:
    """Silences end at 2 s; filled with heartbeats they last, or end at 2 s as well."""
    made = []
    for each in SEARCH:
        if each.watched is Watched.IDLE and each.role is Role.SEARCH:
            # The silence begins after the last token before the gap.
            before = each.plan.gaps[0].before - 1
            ends = each.plan.due(before) + 2.0
            made.append(played(each, cut=ends, left=ends) if ends < each.plan.length else played(each))
        elif each.watched is Watched.IDLE:
            made.append(played(each, cut=beating, left=beating))
        else:
            made.append(played(each))
    assert effect("heartbeats-reset-the-idle-timeout", made).answer is answer
