"""How long a stream lived and what it had waited, on exchanges that are written down; and which do not count."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.evidence import TransportEnd, Written
from lab.judge import Exchanged
from lab.measure.streams import model_was_late, streams_of
from lab.suite.exchange import Exchange
from lab.suite.search import search

from .made import BEGAN, played

ASKED = {each.name: each for each in search(4.0)}


def asked(name: str) -> Exchange:
    """A stream of the search that is asked at once."""
    return replace(ASKED[name], delay=0.0)


def with_tokens(made: Exchanged, *tokens: float, headers: float | None = None) -> Exchanged:
    """The same with tokens, and headers, that the model wrote at those times after the request."""
    ledger = made.evidence.ledger
    assert ledger is not None
    written = tuple(Written(number, BEGAN + at) for number, at in enumerate(tokens, 1))
    at = ledger.headers_at if headers is None else BEGAN + headers
    return Exchanged.alone(made.exchange, replace(made.evidence, ledger=replace(ledger, tokens=written, headers_at=at)))


def test_what_was_waited_is_counted_from_the_last_token() -> None:
    """A token at once, silence, and an end at 2.5 s that the model server saw."""
    (stream,) = streams_of([played(asked("silent-1"), cut=2.5, left=2.5)])
    assert stream.died
    assert (stream.at, stream.waited, stream.survived) == (pytest.approx(2.5), pytest.approx(2.5), 0.0)


def test_a_whole_answer_survived_its_wait() -> None:
    """Up to 4 s: the first token waits 4 * 1.02 + 1.5 = 5.58 s."""
    (stream,) = streams_of([played(asked("late-1"))])
    assert (stream.died, stream.waited, stream.survived) == (False, 0.0, pytest.approx(5.58))


def test_late_headers_leave_open_from_when_a_timeout_counts() -> None:
    """Headers 1 s after the request, an end at 2.6 s: the wait was 2.6 s or 1.6 s."""
    made = with_tokens(played(asked("early-1"), cut=2.6, left=2.6), headers=1.0)
    (stream,) = streams_of([made])
    assert (stream.waited, stream.late) == (pytest.approx(2.6), pytest.approx(1.0))


@pytest.mark.parametrize(("narrow", "at"), [(False, 5.0), (True, 2.9)])
def test_on_a_narrow_path_a_stream_begins_when_it_has_a_place(narrow: bool, at: float) -> None:
    """It waited 2.1 s for a worker, which was killed after 2.9 s more."""
    made = played(asked("steady-1"), cut=5.0, left=5.0)
    ledger = made.evidence.ledger
    assert ledger is not None
    queued = replace(made.evidence, ledger=replace(ledger, started=ledger.started + 2.1))
    (stream,) = streams_of([Exchanged.alone(made.exchange, queued)], narrow=narrow)
    assert (stream.at, stream.waited) == (pytest.approx(at), pytest.approx(at))


def brought_late(made: Exchanged, seconds: float) -> Exchanged:
    """The same, which the model server had so many seconds after the request, and wrote as much later."""
    ledger = made.evidence.ledger
    assert ledger is not None
    tokens = tuple(replace(each, at=each.at + seconds) for each in ledger.tokens)
    moved = replace(ledger, started=ledger.started + seconds, tokens=tokens)
    return Exchanged.alone(made.exchange, replace(made.evidence, ledger=moved))


def test_what_waited_for_a_place_survived_no_more_than_the_models_own_time() -> None:
    """Up to 4 s a first token waits 5.58 s, and here another 3 s before the model server had the request."""
    (stream,) = streams_of([brought_late(played(asked("late-1")), 3.0)])
    assert stream.survived == pytest.approx(5.58)


def test_a_death_after_a_wait_for_a_place_may_be_sooner_than_it_seems() -> None:
    """It waited 2.1 s for a place and was ended after 2.9 s more: a wait of 5 s, or of 2.9 s."""
    (stream,) = streams_of([brought_late(played(asked("late-1"), cut=5.0, left=5.0), 2.1)])
    assert (stream.waited, stream.surely_waited) == (pytest.approx(5.0), pytest.approx(2.9))


def test_a_model_that_was_asked_late_and_ended_before_its_token_was_due_was_not_late() -> None:
    """The first token is due after 5.58 s; the model had the request 3 s late, and the path gave it up at 6 s."""
    assert not model_was_late(brought_late(played(asked("late-1"), cut=6.0, left=6.0, end=TransportEnd.RESET), 3.0))


@pytest.mark.parametrize(
    ("tokens", "late"), [((0.0, 0.25), False), ((0.4, 0.6), False), ((0.9, 1.0), True), ((), True)]
)
def test_a_stream_whose_model_was_late_does_not_count(tokens: tuple[float, ...], late: bool) -> None:
    """Tokens are due at once and every 0.25 s; ended after 0.9 s without one by then, it was not what was planned."""
    made = with_tokens(played(asked("steady-1"), cut=0.9, left=0.9, end=TransportEnd.RESET), *tokens)
    assert model_was_late(made) is late
    assert bool(streams_of([made])) is not late


@pytest.mark.parametrize(("left", "died"), [(2.5, True), (None, False), (29.9, False)])
def test_a_stream_whose_client_was_left_to_wait_died_when_the_path_gave_up_its_model(
    left: float | None, died: bool
) -> None:
    """The probe gives up after 30 s; http-proxy's `proxyTimeout` closes the model's side alone (measured)."""
    made = played(asked("silent-1"), cut=2.5, seen=30.0, left=left, end=TransportEnd.TOTAL_TIMEOUT)
    (stream,) = streams_of([made]) or [None]
    assert bool(stream and stream.died) is died
    if died:
        assert stream is not None
        assert (stream.at, stream.waited) == (pytest.approx(2.5), pytest.approx(2.5))


def test_a_path_that_has_asked_again_may_be_about_to_answer() -> None:
    """LiteLLM gave up its third try at 2.5 s, and was too slow to say so before the probe left at 30 s."""
    made = played(asked("late-1"), cut=2.5, seen=30.0, left=2.5, end=TransportEnd.TOTAL_TIMEOUT)
    assert made.evidence.ledger is not None
    again = replace(made.evidence, ledger=replace(made.evidence.ledger, attempt=3, attempts=3))
    assert not any(each.died for each in streams_of([Exchanged.alone(made.exchange, again)]))
