"""What became of a foreign endpoint's replies, of which nobody knows the plan."""

from __future__ import annotations

import pytest
from judge.builder import START, Build

from lab.compare.judged import Judged, judge_generations
from lab.compare.turns import Generation
from lab.evidence import TransportEnd
from lab.vocabulary import Cause

FOREIGN = Build(whole=60, interval=0.1, has_ledger=False, has_plan=False)


def lost(after: float, status: int = 504) -> Build:
    """A batch reply that ended so many seconds after its request, with an error page."""
    return FOREIGN.but(stream=False, status=status, body=b"<html>", ended=START + after)


def judged(*builds: Build) -> list[Judged]:
    """All of one comparison."""
    return judge_generations(
        [Generation(number, build.stream, 1, build.evidence()) for number, build in enumerate(builds)]
    )


def test_terminations_at_one_age_are_a_timeout() -> None:
    """Three batch replies died at 2 s and a bit, streams outlived that: a timeout on the first byte."""
    *streams, one, other, third = judged(FOREIGN, FOREIGN, lost(2.01), lost(2.0), lost(2.2))
    assert all(each.whole for each in streams)
    assert {each.lost_to for each in (one, other, third)} == {Cause.FIRST_BYTE_TIMEOUT}
    assert one.timeout == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize(
    "terminations",
    [(2.0,), (2.0, 3.1, 5.7), (0.02, 0.02, 0.03)],
    ids=["one", "scattered", "at-once"],
)
def test_what_no_timeout_explains_is_called_by_its_ending(terminations: tuple[float, ...]) -> None:
    """One termination tells nothing, scattered ones are faults, and what is refused at once has not met a timeout."""
    found = judged(FOREIGN, *(lost(after) for after in terminations))
    assert [each.lost_to for each in found[1:]] == ["proxy-error-status 504"] * len(terminations)
    assert {each.timeout for each in found} == {None}


def test_a_silence_that_another_reply_survived_is_no_timeout() -> None:
    """Two died at 2 s, and a third came whole after 6 s of silence."""
    whole = FOREIGN.but(stream=False)
    _, *dead = judged(whole, lost(2.0), lost(2.0))
    assert {each.timeout for each in dead} == {None}


def test_two_timeouts_are_told_apart_by_how_their_victims_died() -> None:
    """Batch replies end with 504 at 2 s, streams with a reset at 4 s; whole streams are shorter than that."""
    cut = FOREIGN.but(sent=range(1, 40), reason=None, marker=False, end=TransportEnd.RESET, ended=START + 4.0)
    short = FOREIGN.but(whole=20)
    slower = cut.but(sent=range(1, 37))
    found = judged(short, short, cut, slower, lost(2.0), lost(2.02))
    assert [each.lost_to for each in found[2:]] == [Cause.TOTAL_TIMEOUT] * 2 + [Cause.FIRST_BYTE_TIMEOUT] * 2
    assert [each.timeout for each in found[2:]] == [pytest.approx(value, abs=0.05) for value in (4, 4, 2, 2)]


def test_streams_that_died_at_one_time_and_after_one_count_name_no_timeout() -> None:
    """Two resets at 4 s behind the same token: a model that dies there looks the same."""
    cut = FOREIGN.but(sent=range(1, 40), reason=None, marker=False, end=TransportEnd.RESET, ended=START + 4.0)
    assert {each.timeout for each in judged(FOREIGN.but(whole=20), cut, cut)} == {None}


@pytest.mark.parametrize(("status", "refused"), [(503, True), (529, True), (504, False), (502, False)])
def test_an_endpoint_that_has_too_much_to_do_refuses(status: int, refused: bool) -> None:
    """That is no loss of the way in which it was asked; a timeout or a bad gateway is."""
    (found,) = judged(lost(0.1, status))
    assert found.refused is refused


def test_an_error_in_the_models_own_words_is_the_endpoints() -> None:
    """A document of the wire format with status 500."""
    body = b'{"error": {"message": "no room", "type": "server_error"}}'
    (found,) = judged(FOREIGN.but(stream=False, status=500, body=body))
    assert found.refused
    assert found.lost_to == "model-error-status 500"


def test_numbers_in_a_foreign_text_are_not_taken_for_the_labs() -> None:
    """A model that writes what looks like the lab's tokens, one of them twice, is not corrupt."""
    (found,) = judged(FOREIGN.but(sent=[1, 2, 2, 3]))
    assert found.whole
