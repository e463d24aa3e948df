from __future__ import annotations

import pytest
from judge.builder import Build

from lab.evidence import TransportEnd
from lab.judge import Exchanged
from lab.plan import plan_from_query
from lab.results import ExchangeResult
from lab.scenarios.records import exchange_result
from lab.vocabulary import Ending, Requirement, Variant

from .scenes import make_case


def record(build: Build) -> ExchangeResult:
    """What is kept of one exchange."""
    (exchange,) = make_case(Variant.FIXED, Requirement.SURVIVES_SILENCE, {"gap": build}).exchanges
    (played,) = Exchanged.together([exchange], [build.evidence()])
    return exchange_result(played)


def test_times_count_from_the_request() -> None:
    """The builder's request is at second 100 of its timeout; two timelines can only be laid side by side without it."""
    result = record(Build(whole=3, interval=0.1, delay=0.02))
    assert [(token.number, token.left, token.arrived) for token in result.tokens] == [
        (1, 0.1, 0.12),
        (2, 0.2, 0.22),
        (3, 0.3, 0.32),
    ]
    assert result.first_token == pytest.approx(0.12)
    assert result.total == pytest.approx(0.322)


def test_a_token_that_never_came_has_no_arrival() -> None:
    """What was lost on the way has left, and nothing else."""
    result = record(Build(whole=5, sent=(1, 2), written=4, reason=None, marker=False, end=TransportEnd.RESET))
    assert [(token.number, token.left is None, token.arrived is None) for token in result.tokens] == [
        (1, False, False),
        (2, False, False),
        (3, False, True),
        (4, False, True),
    ]
    assert (result.received, result.written, result.planned) == (2, 4, 5)


def test_without_ledger_nothing_is_known_to_have_left() -> None:
    """An endpoint that is not the lab's has no departures, and its arrivals stay."""
    result = record(Build(whole=2, has_ledger=False))
    assert [(token.left, token.arrived is None) for token in result.tokens] == [(None, False), (None, False)]
    assert (result.written, result.attempts, result.heartbeats) == (None, 0, ())


def test_a_token_that_came_twice_arrived_when_it_came_first() -> None:
    """A timeline has one point for a token."""
    result = record(Build(whole=3, sent=(1, 2, 3, 2), interval=0.1, delay=0.02))
    assert [(token.number, token.arrived) for token in result.tokens] == [(1, 0.12), (2, 0.22), (3, 0.32)]
    assert result.ending is Ending.CORRUPT


def test_the_plan_can_be_asked_again() -> None:
    """The query that is kept makes the same plan, so that a reader can repeat the exchange by hand."""
    build = Build(whole=9, sent=(1, 2, 3), written=3, fault="fin@3", plan={"gaps": ["4@5s"]})
    assert plan_from_query(record(build).plan) == build.the_plan


def test_the_transports_end_is_kept_in_its_own_word() -> None:
    """The report tells a reset from a short FIN, which the ending alone does not."""
    dead = Build(sent=(1, 2, 3), written=3, reason=None, marker=False, fault="fin@3")
    ends = {end: record(dead.but(end=end)) for end in (TransportEnd.SHORT_FIN, TransportEnd.RESET)}
    assert {result.ending for result in ends.values()} == {Ending.CUT}
    assert [result.transport_end for result in ends.values()] == ["short-fin", "reset"]
