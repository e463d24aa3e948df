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


@pytest.mark.parametrize(
    ("tokens", "late"), [((0.0, 0.25), False), ((0.4, 0.6), False), ((0.9, 1.0), True), ((), True)]
)
def test_a_stream_whose_model_was_late_does_not_count(tokens: tuple[float, ...], late: bool) -> None:
    """Tokens are due at once and every 0.25 s; ended after 0.9 s without one by then, it was not what was planned."""
    made = with_tokens(played(asked("steady-1"), cut=0.9, left=0.9, end=TransportEnd.RESET), *tokens)
    assert model_was_late(made) is late
    assert bool(streams_of([made])) is not late
