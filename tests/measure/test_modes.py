"""What one way of asking changes beside the plain one, on exchanges that are written down."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.evidence import Hold, Read, TransportEnd
from lab.judge import Exchanged
from lab.measure.findings import Found, Holds, ModeFound, TimeoutFound
from lab.measure.modes import modes_of
from lab.measure.timeouts import Timeouts
from lab.suite.exchange import Role
from lab.suite.search import over_http_2
from lab.suite.settle import one_format
from lab.vocabulary import Delivery, Watched

from .made import CHAT, played

LONGEST = 4.0
ASKED = one_format(CHAT, http_2=True)
HTTP_2_TIMEOUTS = over_http_2(LONGEST)


def no_timeouts(idle: float | None = None) -> Timeouts:
    """No timeout up to 5.6 s over HTTP/1.1, or one on silence."""
    return Timeouts(
        tuple(
            TimeoutFound(each, Found.TIMEOUT, idle, 0.05, 2.0, 6, 6, 6, ("cut",), "a timeout")
            if each is Watched.IDLE and idle is not None
            else TimeoutFound(each, Found.NONE, None, 0.0, 5.6, 0, 6, 0, (), "none")
            for each in Watched
        ),
        (),
    )


def ways(*, version: str = "2", coding: str = "gzip", hidden: str = "") -> list[Exchanged]:
    """Every exchange on the ways of asking; cuts of the model's look whole in one of them."""
    made = []
    for each in ASKED:
        if each.role not in (Role.MODE, Role.MODE_CUT):
            continue
        http_2, gzip = each.name.startswith("http-2"), each.name.startswith("gzip")
        looks = TransportEnd.FRAMED if hidden and each.name.startswith(hidden) else TransportEnd.SHORT_FIN
        made.append(
            played(
                each,
                cut=1.25 if each.role is Role.MODE_CUT else None,
                faulted=each.role is Role.MODE_CUT,
                end=looks,
                version=version if http_2 else "1.1",
                coding=coding if gzip else "",
            )
        )
    return made


def over_2(*, idle: tuple[float | None, ...] = (None,) * 3) -> list[Exchanged]:
    """The streams that wait over HTTP/2; those that wait amid tokens end at those times."""
    waits: dict[str, float | None] = {f"http-2-idle-{n + 1}": at for n, at in enumerate(idle)}
    return [played(each, cut=waits.get(each.name), left=waits.get(each.name), version="2") for each in HTTP_2_TIMEOUTS]


def found(made: list[Exchanged], timeouts: Timeouts) -> dict[str, ModeFound]:
    """The ways of asking by name."""
    return {each.name: each for each in modes_of(made, timeouts)}


def test_every_way_is_told_and_the_plain_one_first() -> None:
    """The plain way is what the others are compared with."""
    told = modes_of(ways(), no_timeouts())
    assert [each.name for each in told] == ["plain", "gzip", "http-2", "slow-reader"]
    assert (told[1].coding, told[2].version) == ("gzip", "2")


def test_what_the_path_does_not_speak_changes_nothing() -> None:
    """A reply over HTTP/1.1, and one without a content coding, are the plain way once more, and are said to be."""
    told = found(ways(version="1.1", coding=""), no_timeouts())
    assert told["http-2"].change == "the path does not speak HTTP/2: every reply came over HTTP/1.1"
    assert told["gzip"].change == "the path does not compress: every reply came without a content coding"
    assert {told["http-2"].changes, told["gzip"].changes} == {Holds.NO}


def held(made: list[Exchanged], *names: str) -> list[Exchanged]:
    """The same, with those exchanges held back: nothing came before the last token was written."""
    return [_held(each) if each.exchange.name in names else each for each in made]


def _held(made: Exchanged) -> Exchanged:
    trace, ledger, plan = made.evidence.trace, made.evidence.ledger, made.evidence.plan
    assert ledger is not None
    assert plan is not None
    end = trace.reads[-1].at + plan.hold + 0.5
    together = tuple(Read(end, read.data) for read in trace.reads)
    holds = tuple(Hold(token.number, token.at + plan.hold, confirmed=False) for token in ledger.tokens[:-1])
    evidence = replace(
        made.evidence,
        trace=replace(trace, reads=together, body=together, ended=end),
        ledger=replace(ledger, holds=holds, finished=end),
    )
    return Exchanged.alone(made.exchange, evidence)


def test_what_both_exchanges_of_one_way_show_is_a_change() -> None:
    """Compression holds both back, and the plain way neither."""
    told = found(held(ways(), "gzip-1", "gzip-2"), no_timeouts())
    assert (told["gzip"].delivery, told["gzip"].changes) == (Delivery.BATCHED, Holds.YES)
    assert "delivery is batched, and incremental in the plain way" in told["gzip"].change


def test_what_one_exchange_of_two_shows_is_not_told() -> None:
    """On a busy machine a hold may run out once: that is no proof of what the path does."""
    told = found(held(ways(), "gzip-1"), no_timeouts())
    assert (told["gzip"].delivery, told["gzip"].changes) == (Delivery.UNPROVEN, Holds.UNKNOWN)
    assert "one shows tokens held back and the other does not" in told["gzip"].sentence


@pytest.mark.parametrize("turned", [False, True], ids=["as-planned", "the-other-way-round"])
@pytest.mark.parametrize("way", ["gzip", "http-2", "slow-reader"])
def test_a_cut_that_only_one_way_hides_is_a_change(way: str, turned: bool) -> None:
    """The model's cut ends there as if the answer were whole; which exchange was over first changes no word."""
    played = ways(hidden=way)
    told = found([*reversed(played)] if turned else played, no_timeouts())
    assert told[way].changes is Holds.YES
    assert "a cut by FIN is not visible, a cut by RST is not visible" in told[way].change
    others = {"gzip", "http-2", "slow-reader"} - {way}
    assert all("not visible" not in told[each].change for each in others)


def test_timeouts_that_http_2_survives_as_well_are_the_same() -> None:
    """Nothing ended there, nor over HTTP/1.1."""
    told = found([*ways(), *over_2()], no_timeouts())["http-2"]
    assert "the same timeouts (first-byte, idle, total)" in told.change


@pytest.mark.parametrize(
    ("idle", "here", "words"),
    [
        ((2.5, 2.5, 2.5), None, "every stream ended after 2.50 s: a timeout on silence amid a stream"),
        ((2.5, 2.5, 2.5), 4.5, "every stream ended after 2.50 s: a timeout on silence amid a stream"),
        ((None, None, None), 2.5, "so no timeout on silence amid a stream at 2.50 s"),
    ],
    ids=["only-there", "a-shorter-one-there", "only-over-http-1.1"],
)
def test_another_timeout_over_http_2_is_a_change(
    idle: tuple[float | None, ...], here: float | None, words: str
) -> None:
    """All three silences ended where HTTP/1.1 survives, or were survived where it ends them."""
    told = found([*ways(), *over_2(idle=idle)], no_timeouts(here))["http-2"]
    assert told.changes is Holds.YES
    assert words in told.change


@pytest.mark.parametrize(
    ("idle", "here"), [((2.5, 2.5, 2.5), 2.4), ((2.5, 2.5, None), None)], ids=["same-timeout", "one-survived"]
)
def test_what_agrees_with_http_1_1_is_no_change(idle: tuple[float | None, ...], here: float | None) -> None:
    """The same timeout within its tolerance; and one stream that came through rules a timeout out."""
    told = found([*ways(), *over_2(idle=idle)], no_timeouts(here))["http-2"]
    assert "the same timeouts (first-byte, idle, total)" in told.change


def test_deaths_that_do_not_agree_tell_nothing() -> None:
    """Ended after 1 s, 2 s and 4.4 s, where HTTP/1.1 has a timeout at 4.5 s: neither the same nor another one."""
    told = found([*ways(), *over_2(idle=(1.0, 2.0, 4.4))], no_timeouts(4.5))["http-2"]
    assert "cannot compare the timeouts (idle)" in told.change
    assert "the same timeouts (first-byte, total)" in told.change
