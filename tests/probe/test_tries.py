"""Which of several tries answered, on tries and answers that are written down."""

from __future__ import annotations

import pytest

from lab.evidence import Ledger, Read, Trace, TransportEnd, Written
from lab.plan import make_plan
from lab.probe.tries import that_answered
from lab.wire import format_named
from lab.wire.format import Reply
from lab.wire.tokens import write_token

CHAT = format_named("openai-chat")
TAG = make_plan({"tokens": 2}).tag


def answer(*times: float) -> Trace:
    """Tokens 1, 2, ... that came at those times."""
    reply = Reply("lab-x", "lab")
    body = tuple(
        Read(at, CHAT.text(reply, write_token(TAG, number, due=0.0, word="oak"))) for number, at in enumerate(times, 1)
    )
    return Trace(0.0, 9.0, TransportEnd.FRAMED, status=200, body=body)


def attempt(number: int, *times: float, fault: str = "") -> Ledger:
    """A try that wrote tokens 1, 2, ... at those times."""
    tokens = tuple(Written(place, at) for place, at in enumerate(times, 1))
    return Ledger("x", started=number - 1.0, attempt=number, tokens=tokens, fault=fault)


@pytest.mark.parametrize(
    ("tries", "came", "number"),
    [
        ([attempt(1, 3.0, 3.1), attempt(2), attempt(3)], (3.0, 3.1), 1),
        ([attempt(1, 3.0, 3.1), attempt(2, 4.0, 4.1)], (3.01, 3.11), 1),
        ([attempt(1, 0.5), attempt(2, 1.5, 1.6)], (1.51, 1.61), 2),
        ([attempt(1), attempt(2, 2.0, 2.1)], (2.02, 2.12), 2),
        ([attempt(1, 0.5), attempt(2)], (), 2),
        ([attempt(1, 8.0), attempt(2, 8.5)], (1.0,), 2),
    ],
    ids=["hedged", "asked twice", "after a cut", "after a timeout", "nothing came", "nobody's"],
)
def test_the_try_whose_writing_came_is_the_one_that_answered(
    tries: list[Ledger], came: tuple[float, ...], number: int
) -> None:
    """Nothing comes before it was written; where that tells nothing, the last try stands for all."""
    found = that_answered(tries, answer(*came), CHAT, stream=True)
    assert found is not None
    assert (found.attempt, found.attempts, found.generations) == (number, len(tries), len(tries))


def test_a_refused_try_is_no_generation() -> None:
    """The model said 429 twice before it answered: one generation in three tries."""
    tries = [attempt(1, fault="status@429"), attempt(2, fault="status@429"), attempt(3, 2.0, 2.1)]
    found = that_answered(tries, answer(2.0, 2.1), CHAT, stream=True)
    assert found is not None
    assert (found.attempt, found.attempts, found.generations) == (3, 3, 1)


def test_without_a_try_there_is_no_ledger() -> None:
    """The model server never had the request."""
    assert that_answered([], answer(), CHAT, stream=True) is None
