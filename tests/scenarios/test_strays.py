from __future__ import annotations

from dataclasses import replace

import pytest
from judge.builder import Build

from lab.evidence import Evidence, Refusal
from lab.scenarios.strays import StrayTraffic, check_own, mark_of, own_refusals

MINE, THEIRS = "gap::nginx-1.26::fixed", "gap::nginx-1.26::broken"
OWN_PORTS = {10_001: MINE, 10_002: THEIRS}


def seen(port: int, made_for: str | None) -> Evidence:
    """An exchange whose request came at a port, and whose reply names a request."""
    evidence = Build(whole=3).evidence()
    assert evidence.ledger is not None
    headers = () if made_for is None else (("x-lab-request", f"{made_for}-1"),)
    trace = replace(evidence.trace, headers=(*evidence.trace.headers, *headers))
    return replace(evidence, trace=trace, ledger=replace(evidence.ledger, port=port))


@pytest.mark.parametrize(
    ("port", "made_for"),
    [(10_001, mark_of(MINE)), (10_001, None), (8000, mark_of(MINE)), (0, None)],
    ids=["its own", "no echo", "the common port", "no port"],
)
def test_an_exchange_of_its_own_is_judged(port: int, made_for: str | None) -> None:
    """Its request came over its own proxy, or at the port that all know; a proxy may take the echo away."""
    check_own("gap", MINE, seen(port, made_for), OWN_PORTS.get)


def test_without_a_ledger_the_door_is_not_known() -> None:
    """A proxy that answers by itself is judged for that."""
    check_own("gap", MINE, replace(seen(10_002, mark_of(MINE)), ledger=None), OWN_PORTS.get)


def test_a_request_that_came_over_anothers_proxy_is_none_of_ours() -> None:
    """Whatever that proxy did to it says nothing of this one; the message names it."""
    with pytest.raises(StrayTraffic, match=f"gap: .*over the proxy of {THEIRS}"):
        check_own("gap", MINE, seen(10_002, mark_of(MINE)), OWN_PORTS.get)


def test_a_reply_that_was_made_for_another_is_none_of_ours() -> None:
    """A folder for cached replies that two share, or a connection that was handed to the wrong one."""
    with pytest.raises(StrayTraffic, match="gap: its reply was made for"):
        check_own("gap", MINE, seen(10_001, mark_of(THEIRS)), OWN_PORTS.get)


def test_marks_are_those_of_their_cases() -> None:
    """The same in every round of a run, and another for every case."""
    assert mark_of(MINE) == mark_of(MINE) != mark_of(THEIRS)


def test_what_was_refused_to_other_proxies_is_none_of_ours() -> None:
    """One model server serves all cases, and another's health check tells nothing of this one's."""
    kinds = [("", 10_001), ("", 10_002), ("", 8000), ("mine", 8000)]
    asked = [Refusal("GET", "/odd", 404, "", 0.0, request, port) for request, port in kinds]
    evidence = replace(Build().evidence(), refusals=tuple(asked))
    kept = own_refusals(MINE, evidence, OWN_PORTS.get).refusals
    assert [(each.request, each.port) for each in kept] == [("", 10_001), ("mine", 8000)]
