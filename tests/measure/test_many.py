"""Many targets at once: when exchanges begin, and what is measured again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import cast

import pytest
from judge.builder import START, Build, lockstep

from lab.evidence import Evidence, HttpVersion, Stall, TransportEnd
from lab.measure import Address, many, measure
from lab.measure.many import AGAIN, APART, Starts, longest_of, together
from lab.plan import make_plan
from lab.probe.side_channel import SideChannel
from lab.suite.exchange import Exchange
from lab.vocabulary import Requirement, State


async def test_no_two_begin_in_the_same_instant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns that are asked for at once come one after the other, each once the loop has come round again."""
    told: list[str] = []
    sleep = asyncio.sleep

    async def pause(seconds: float) -> None:
        assert seconds == APART
        told.append("pause")
        await sleep(0)

    monkeypatch.setattr(many.asyncio, "sleep", pause)
    turns = Starts()

    async def begin(name: str) -> None:
        await turns.turn()
        told.append(name)

    async with asyncio.TaskGroup() as group:
        for name in ("first", "second", "third"):
            group.create_task(begin(name))
    assert told == ["pause", "first", "pause", "second", "pause", "third"]


def test_the_longest_of_some_exchanges_counts_holds_too() -> None:
    """Whoever begins the longest first loses no wall time by spreading; in lockstep the holds may come on top."""

    def longest(**fields: object) -> float:
        return longest_of([Exchange("short", make_plan({})), Exchange("it", make_plan(fields))])

    assert longest() < longest(gaps=["2@4s"]) < longest(lockstep=True, hold="4s") < longest(ttft="12s")


def seen(held: bool, *, late: bool = False) -> Evidence:
    """A stream in lockstep; where the probe slept, nothing can be told of it."""
    asleep = (Stall(START, START + 60.0),) if late else ()
    return lockstep(Build(whole=10, interval=1.0), confirmed=not held).but(stalls=asleep).evidence()


LATE = seen(True, late=True)


@pytest.mark.parametrize(
    ("evidence", "states", "asked"),
    [
        ({"good": [seen(False)], "bad": [seen(True)]}, {"good": State.MET, "bad": State.NOT_MET}, 2),
        (
            {"good": [seen(True, late=True), seen(False)], "bad": [seen(True)]},
            {"good": State.MET, "bad": State.NOT_MET},
            3,
        ),
        ({"good": [seen(True, late=True)] * 2 + [seen(False)]}, {"good": State.MET}, 3),
        ({"good": [seen(True, late=True), seen(True)]}, {"good": State.NOT_MET}, 2),
        ({"good": [seen(True, late=True)] * (1 + AGAIN)}, {"good": State.INCONCLUSIVE}, 1 + AGAIN),
    ],
    ids=["clear", "late once", "late twice", "late and then not met", "always late"],
)
async def test_only_what_is_in_doubt_is_measured_again(
    monkeypatch: pytest.MonkeyPatch, evidence: dict[str, list[Evidence]], states: dict[str, State], asked: int
) -> None:
    """What failed has failed; what the machine was too busy for is asked again, and not for ever."""
    made: list[str] = []

    async def make(_: Exchange, address: Address, *__: object) -> Evidence:
        made.append(address.url)
        return evidence[address.url].pop(0)

    monkeypatch.setattr(many, "make", make)
    delivers = Requirement.DELIVERS_TOKENS_AS_THEY_COME
    tokens = Exchange("tokens", make_plan({}), requirements=(delivers,))
    wanted = [(Address(name, "http://model"), [tokens]) for name in evidence]
    observed = await measure(wanted, cast(SideChannel, None))
    assert [each[delivers].state for each in observed] == [states[name] for name in evidence]
    assert len(made) == asked


@pytest.mark.parametrize(
    ("then", "state", "asked"), [([seen(False)], State.MET, 3), ([seen(True)], State.NOT_MET, 3), ([], None, 1 + AGAIN)]
)
async def test_who_is_turned_away_the_second_time_is_no_evidence(
    monkeypatch: pytest.MonkeyPatch, then: list[Evidence], state: State | None, asked: int
) -> None:
    """A balancer takes its servers out for the errors that were provoked: what it says then is asked once more."""
    away = Build(whole=10, sent=(), status=502, reason=None, marker=False, has_ledger=False).evidence()
    left, made = [LATE, away, *(then or [away] * (AGAIN - 1))], 0

    async def make(*_: object) -> Evidence:
        nonlocal made
        made += 1
        return left.pop(0)

    monkeypatch.setattr(many, "make", make)
    delivers = Requirement.DELIVERS_TOKENS_AS_THEY_COME
    tokens = Exchange("tokens", make_plan({}), requirements=(delivers,))
    (observed,) = await measure([(Address("it", "http://model"), [tokens])], cast(SideChannel, None))
    assert observed[delivers].state is (state or State.INCONCLUSIVE)
    assert made == asked


async def test_what_needs_tls_is_asked_only_where_it_is_spoken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an address in clear text nothing is observed about HTTP/2, and the rest is."""
    made: list[tuple[str, str]] = []

    async def make(exchange: Exchange, address: Address, *_: object) -> Evidence:
        made.append((address.url, exchange.name))
        return seen(exchange.http is HttpVersion.HTTP_2)

    monkeypatch.setattr(many, "make", make)
    delivers = Requirement.DELIVERS_TOKENS_AS_THEY_COME
    plain = Exchange("plain", make_plan({}), requirements=(delivers,))
    addresses = [Address(url, "http://model") for url in ("http://clear", "https://secure")]
    exchanges = [plain, replace(plain, name="over-http-2", http=HttpVersion.HTTP_2)]
    observed = await measure([(each, exchanges) for each in addresses], cast(SideChannel, None))
    assert made == [("http://clear", "plain"), ("https://secure", "plain"), ("https://secure", "over-http-2")]
    assert [each[delivers].state for each in observed] == [State.MET, State.NOT_MET]


async def test_what_was_told_without_a_doubt_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second time for one requirement is no second chance for another, which is not even asked."""
    delivers, waits = Requirement.DELIVERS_TOKENS_AS_THEY_COME, Requirement.WAITS_FOR_THE_FIRST_TOKEN
    cut = Build(sent=(1, 2), reason=None, marker=False, end=TransportEnd.SHORT_FIN).evidence()
    answers = {"tokens": [LATE, seen(False)], "thinking": [cut]}

    async def make(exchange: Exchange, *_: object) -> Evidence:
        return answers[exchange.name].pop(0)

    monkeypatch.setattr(many, "make", make)
    exchanges = [
        Exchange("tokens", make_plan({}), requirements=(delivers,)),
        Exchange("thinking", make_plan({}), requirements=(waits,)),
    ]
    (observed,) = await measure([(Address("it", "http://model"), exchanges)], cast(SideChannel, None))
    assert (observed[delivers].state, observed[waits].state) == (State.MET, State.NOT_MET)


@pytest.mark.parametrize(("last", "state"), [(seen(False), State.MET), (seen(True), State.NOT_MET)], ids=["met", "not"])
async def test_one_exchange_after_the_other_comes_to_be_told(
    monkeypatch: pytest.MonkeyPatch, last: Evidence, state: State
) -> None:
    """Of a machine that is late with one exchange or another each time, each has to be in time only once."""
    answers = {"first": [LATE, seen(False)], "second": [seen(False)], "third": [LATE, LATE, last]}
    made: list[str] = []

    async def make(exchange: Exchange, *_: object) -> Evidence:
        made.append(exchange.name)
        return answers[exchange.name].pop(0)

    monkeypatch.setattr(many, "make", make)
    delivers = Requirement.DELIVERS_TOKENS_AS_THEY_COME
    exchanges = [Exchange(name, make_plan({}), requirements=(delivers,)) for name in answers]
    (observed,) = await measure([(Address("it", "http://model"), exchanges)], cast(SideChannel, None))
    assert observed[delivers].state is state
    assert made == ["first", "second", "third", "first", "third", "third"]


async def test_what_fails_stops_the_others() -> None:
    """No exchange goes on when its case has been given up."""
    ended: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("stopped")

    async def fail() -> None:
        await asyncio.sleep(0)
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await together([wait(), fail(), wait()])
    assert ended == ["stopped", "stopped"]


async def test_what_is_provoked_comes_when_all_else_is_on_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """A balancer that takes its servers out for a death would turn away who comes after it."""
    told: list[str] = []
    sleep = asyncio.sleep

    async def fake(exchange: Exchange, *_: object) -> Evidence:
        told.append(exchange.name)
        await sleep(0.01)
        return Build(whole=3).evidence()

    async def pause(seconds: float) -> None:
        if seconds == many.ON_ITS_WAY:
            told.append("a while")
        await sleep(0)

    monkeypatch.setattr(many, "make", fake)
    monkeypatch.setattr(many.asyncio, "sleep", pause)
    plans = {"death": {"fault": "rst@2"}, "one": {}, "error": {"fault": "status@500"}, "two": {}}
    exchanges = [Exchange(name, make_plan(plan)) for name, plan in plans.items()]
    await measure([(Address("http://it", "http://model"), exchanges)], cast(SideChannel, None))
    assert told == ["one", "two", "a while", "a while", "death", "error"]
    told.clear()
    await measure([(Address("http://it", "http://model"), exchanges[:1])], cast(SideChannel, None))
    assert told == ["a while", "death"]
