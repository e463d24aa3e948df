"""From timeouts to requirements: what a value means beside the longest answer."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace

import pytest

from lab.evidence import Evidence, Hold, Ledger, Read, Stall, Trace, TransportEnd, Written
from lab.judge import Exchanged
from lab.measure.conclude import Audited, conclude, doubts, in_doubt
from lab.measure.findings import Found, TerminationKind
from lab.model.schedule import make_schedule
from lab.plan import Headers
from lab.suite.exchange import Exchange, Role
from lab.suite.search import SETTLED_BY, search
from lab.suite.settle import one_format
from lab.vocabulary import Requirement, State, Watched
from lab.wire import format_named
from lab.wire.format import Asked

from . import made

LONGEST = 5.0
CHAT = format_named("openai-chat")
NOW = time.monotonic()


def played(timeout: float) -> list[Exchanged]:
    """The whole search over a path that ends every wait for the first byte at that many seconds."""
    return [_played(each, timeout) for each in search(LONGEST) if each.role is Role.SEARCH]


def _played(asking: Exchange, timeout: float) -> Exchanged:
    start, plan = NOW + asking.delay, asking.plan
    first = plan.due(1)
    if asking.watched in (Watched.FIRST_BYTE, Watched.BATCH_REPLY) and first > timeout:
        end = start + timeout
        body = b"late"
        trace = Trace(
            start,
            end,
            TransportEnd.FRAMED,
            status=504,
            headers_at=end,
            reads=(Read(end, body),),
            body=(Read(end, body),),
        )
        ledger = Ledger("x", start, client_left=end)
    else:
        schedule = make_schedule(plan, CHAT, Asked("lab", asking.stream))
        steps, headers = schedule.steps, (("content-type", schedule.content_type),)
        reads = tuple(Read(start + step.offset, step.payload) for step in steps)
        trace = Trace(
            start, reads[-1].at, TransportEnd.FRAMED, "", 200, "1.1", headers, reads[0].at, "chunked", reads, reads
        )
        ledger = Ledger(
            "x",
            start,
            headers_at=start + (0.0 if plan.headers is Headers.EARLY else steps[0].offset),
            tokens=tuple(Written(number, start + step.offset) for step in steps for number in step.tokens),
            finished=reads[-1].at,
        )
    return Exchanged.alone(asking, Evidence("openai-chat", asking.stream, trace, plan, ledger))


@pytest.mark.parametrize(
    ("timeout", "state"), [(3.0, State.NOT_MET), (5.0, State.NOT_MET), (5.6, State.MET), (60.0, State.MET)]
)
def test_a_timeout_no_longer_than_the_longest_answer_breaks_the_requirement(timeout: float, state: State) -> None:
    """One of just that length ends some of the answers; a longer one, or none, ends none."""
    audited = Audited("http://x/v1/chat/completions", "http://x", True, "openai-chat", LONGEST, NOW, 9.0)
    findings = conclude(audited, played(timeout))
    by_name = {each.requirement: each for each in findings.observations}
    assert by_name[Requirement.WAITS_FOR_THE_FIRST_TOKEN].state is state
    assert by_name[Requirement.WAITS_FOR_BATCH_REPLIES].state is state
    assert by_name[Requirement.SURVIVES_SILENCE].state is State.MET
    assert by_name[Requirement.LETS_LONG_ANSWERS_FINISH].state is State.MET
    # Nothing was asked that could tell of terminations.
    assert by_name[Requirement.SHOWS_A_CUT_AS_A_CUT].state is State.INCONCLUSIVE
    assert findings.smallest == (pytest.approx(timeout, abs=0.01) if timeout < 6 else None)
    assert ("shorter than the longest answer of 5 s" in findings.summary) is (timeout < LONGEST)


def test_a_family_whose_ends_were_seen_too_late_is_asked_once_more() -> None:
    """A timeout at 2 s that the probe slept through until 4 s; what was seen in time is not asked again."""
    seen = []
    for each in search(LONGEST):
        asked = made.BEGAN + each.delay
        asleep = (Stall(asked + 2.0, asked + 4.0),)
        dies = each.watched is Watched.FIRST_BYTE and each.plan.due(1) > 2.0
        seen.append(
            made.played(each, cut=2.0, seen=4.0, end=TransportEnd.NO_REPLY, stalls=asleep)
            if dies
            else made.played(each)
        )
    again = doubts(seen, LONGEST)
    assert [each.name for each in again] == [f"late-{n}-again" for n in range(1, 8)]
    first = {each.plan.to_query() for each in search(LONGEST)}
    assert not first & {each.plan.to_query() for each in again}


def test_an_end_of_every_stream_breaks_the_requirement_whatever_it_is() -> None:
    """Every stream ends after half a second: which timeout that is nobody can tell, and long answers do not finish."""
    seen = [made.played(each, cut=0.5, left=0.5) for each in search(LONGEST) if each.role is Role.SEARCH]
    findings = conclude(
        Audited("http://x/v1/chat/completions", "http://x", True, "openai-chat", LONGEST, NOW, 9.0), seen
    )
    told = {each.requirement: each for each in findings.observations}
    assert told[Requirement.LETS_LONG_ANSWERS_FINISH].state is State.NOT_MET
    assert "every stream ended 0.50 s after its request" in told[Requirement.LETS_LONG_ANSWERS_FINISH].actual
    assert told[Requirement.SURVIVES_SILENCE].state is State.NOT_MET
    assert findings.smallest == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("timeout", [3.0, 4.9])
def test_a_timeout_on_the_whole_breaks_every_requirement_whose_wait_it_ends(timeout: float) -> None:
    """Batch replies, first tokens and silences that end with it are not waited for, whichever timeout it is."""
    seen = [made.played(each, cut=timeout, left=timeout) for each in search(LONGEST) if each.role is Role.SEARCH]
    findings = conclude(
        Audited("http://x/v1/chat/completions", "http://x", True, "openai-chat", LONGEST, NOW, 9.0), seen
    )
    told = {each.requirement: each for each in findings.observations}
    assert findings.timeouts[0].found is Found.HIDDEN
    for requirement in SETTLED_BY:
        assert told[requirement].state is State.NOT_MET, told[requirement]
        assert f"{timeout:.2f} s" in told[requirement].actual


def test_a_path_that_loses_most_of_a_kind_breaks_its_requirement() -> None:
    """Four batch replies of six that die after times which have nothing in common: no timeout, and nobody can wait."""
    searched = [each for each in search(LONGEST) if each.role is Role.SEARCH]
    batch = [each for each in searched if each.watched is Watched.BATCH_REPLY]
    ages = {each.name: age for each, age in zip(batch, (0.5, 1.9, 3.3, 4.6), strict=False)}
    seen = [
        made.played(each, cut=ages[each.name], left=ages[each.name]) if each.name in ages else made.played(each)
        for each in searched
    ]
    audited = Audited("http://x/v1/chat/completions", "http://x", True, "openai-chat", LONGEST, NOW, 9.0)
    findings = conclude(audited, seen)
    told = {each.requirement: each for each in findings.observations}
    assert told[Requirement.WAITS_FOR_BATCH_REPLIES].state is State.NOT_MET
    assert "4 of 6 streams did not last so long" in told[Requirement.WAITS_FOR_BATCH_REPLIES].actual
    assert findings.smallest is None


@pytest.mark.parametrize(
    ("end", "seen", "state"),
    [
        (TransportEnd.FRAMED, 2.0, State.NOT_MET),
        (TransportEnd.TOTAL_TIMEOUT, 30.0, State.NOT_MET),
        (TransportEnd.SHORT_FIN, 2.0, State.INCONCLUSIVE),
    ],
    ids=["as-if-over", "never", "cut"],
)
def test_a_path_that_does_not_tell_its_client_of_the_end_hides_its_cuts(
    end: TransportEnd, seen: float, state: State
) -> None:
    """A total timeout of 2 s whose cut has a proper last chunk, or none at all, breaks the requirement."""
    cut = [
        made.played(each, cut=2.0, seen=seen, left=2.0, end=end)
        for each in search(LONGEST)
        if each.watched is Watched.TOTAL and each.stream
    ]
    findings = conclude(Audited("u", "m", True, "openai-chat", LONGEST, NOW, 9.0), cut)
    assert {each.requirement: each for each in findings.observations}[Requirement.SHOWS_A_CUT_AS_A_CUT].state is state


@pytest.mark.parametrize(("timeout", "state"), [(2.5, State.INCONCLUSIVE), (4.9, State.MET)])
def test_a_model_that_a_timeout_stopped_anyway_proves_nothing_of_its_client(timeout: float, state: State) -> None:
    """Left after 1 s, the model was told at 2.5 s, which is within two seconds, and when the timeout strikes."""
    seen = played(timeout)
    short = {each.name: each for each in one_format(CHAT, http_2=False)}
    leaving = [each for each in short.values() if each.leave_after is not None]
    seen += [made.played(each, cut=1.0, left=2.5, end=TransportEnd.LEFT) for each in leaving]
    findings = conclude(Audited("u", "m", True, "openai-chat", LONGEST, NOW, 9.0), seen)
    told = {each.requirement: each for each in findings.observations}[Requirement.STOPS_WHEN_THE_CLIENT_LEAVES]
    assert (told.state, f"{timeout:.2f} s struck" in told.actual) == (state, state is State.INCONCLUSIVE)


def test_a_coarse_timeout_is_no_value_in_the_summary() -> None:
    """Streams that end anywhere between 2 s and 3 s, by a clock that is looked at once a second."""
    ages = itertools.cycle((2.1, 2.3, 2.5, 2.7, 2.9))
    search_only = [each for each in search(LONGEST) if each.role is Role.SEARCH]
    seen = [made.played(each, cut=age, left=age) for each, age in zip(search_only, ages, strict=False)]
    findings = conclude(Audited("u", "m", True, "openai-chat", LONGEST, NOW, 9.0), seen)
    assert "The smallest timeout on the path strikes from 2.0 s on, shorter" in findings.summary


def test_stream_and_batch_are_not_compared_where_a_timeout_ended_one() -> None:
    """A batch reply that a timeout ended is that timeout's doing: no verdict on the first token is drawn from it."""
    asked = {each.name: each for each in one_format(made.CHAT, http_2=False)}
    stream = made.played(asked["stream"])
    ended = made.played(asked["batch"], cut=1.5, left=1.5, end=TransportEnd.NO_REPLY)
    audited = Audited("http://x/v1/chat/completions", "http://x", True, "openai-chat", LONGEST, NOW, 9.0)
    for batch, state in ((ended, State.INCONCLUSIVE), (made.played(asked["batch"]), State.MET)):
        findings = conclude(audited, [stream, batch])
        told = {each.requirement: each for each in findings.observations}[Requirement.MOVES_THE_FIRST_TOKEN_FORWARD]
        assert told.state is state, told


def test_a_stream_that_died_forbids_met() -> None:
    """One of many silent streams ended after a second: no timeout, and no proof that silence is survived either."""
    searched = [each for each in search(LONGEST) if each.role is Role.SEARCH]
    first = next(each for each in searched if each.watched is Watched.IDLE)
    seen = [made.played(each, cut=1.0, left=1.0) if each is first else made.played(each) for each in searched]
    audited = Audited("http://x/v1/chat/completions", "http://x", True, "openai-chat", LONGEST, NOW, 9.0)
    told = {each.requirement: each for each in conclude(audited, seen).observations}
    assert told[Requirement.SURVIVES_SILENCE].state is State.INCONCLUSIVE
    assert told[Requirement.WAITS_FOR_BATCH_REPLIES].state is State.MET


def test_exchanges_that_were_lost_forbid_met() -> None:
    """Nobody knows what they would have shown."""
    searched = [each for each in search(LONGEST) if each.role is Role.SEARCH]
    silent = tuple(each for each in searched if each.watched is Watched.IDLE)[:1]
    seen = [made.played(each) for each in searched if each not in silent]
    audited = Audited("u", "m", True, "openai-chat", LONGEST, NOW, 9.0, lost=silent)
    told = {each.requirement: each for each in conclude(audited, seen).observations}
    assert told[Requirement.SURVIVES_SILENCE].state is State.INCONCLUSIVE
    assert "lost" in told[Requirement.SURVIVES_SILENCE].actual
    assert told[Requirement.WAITS_FOR_BATCH_REPLIES].state is State.MET


def test_what_the_machine_was_too_busy_for_is_told_by_the_second_time() -> None:
    """A stall of a second amid the stream; what was told without a doubt is not asked again, and stands."""
    asked = {each.name: each for each in one_format(made.CHAT, http_2=False)}
    asleep = (Stall(made.BEGAN + 0.2, made.BEGAN + 1.2),)
    late, batch = made.played(asked["stream"], stalls=asleep), made.played(asked["batch"])
    hidden = made.played(asked["death-fin"], cut=1.5, faulted=True, end=TransportEnd.CLOSED)
    assert [each.name for each in in_doubt([late, batch, hidden])] == ["stream", "batch"]
    audited = Audited("u", "m", True, "openai-chat", LONGEST, NOW, 9.0)
    second = [made.played(asked["stream"]), made.played(asked["batch"])]
    for again, state in (([], State.INCONCLUSIVE), (second[:1], State.INCONCLUSIVE), (second, State.MET)):
        findings = conclude(audited, [late, batch, hidden], again)
        told = {each.requirement: each.state for each in findings.observations}
        assert told[Requirement.MOVES_THE_FIRST_TOKEN_FORWARD] is state
        assert told[Requirement.SHOWS_A_CUT_AS_A_CUT] is State.NOT_MET
        assert findings.requests == 3 + len(again)


def test_a_second_time_is_no_second_chance() -> None:
    """What failed has failed, even where it happens to be made again."""
    asked = {each.name: each for each in one_format(made.CHAT, http_2=False)}
    hidden = made.played(asked["death-fin"], cut=1.5, faulted=True, end=TransportEnd.CLOSED)
    shown = made.played(asked["death-fin"], cut=1.5, faulted=True)
    audited = Audited("u", "m", True, "openai-chat", LONGEST, NOW, 9.0)
    told = {each.requirement: each.state for each in conclude(audited, [hidden], [shown]).observations}
    assert told[Requirement.SHOWS_A_CUT_AS_A_CUT] is State.NOT_MET


def test_what_is_not_met_the_second_time_is_not_met() -> None:
    """A stream that was made again for its delay, and generated twice then."""
    asked = {each.name: each for each in one_format(made.CHAT, http_2=False)}
    asleep = (Stall(made.BEGAN + 0.2, made.BEGAN + 1.2),)
    first = [made.played(asked["stream"], stalls=asleep), made.played(asked["batch"])]
    twice = made.played(asked["stream"]).evidence
    assert twice.ledger is not None
    again = Exchanged.alone(asked["stream"], replace(twice, ledger=replace(twice.ledger, attempts=2)))
    audited = Audited("u", "m", True, "openai-chat", LONGEST, NOW, 9.0)
    findings = conclude(audited, first, [again, made.played(asked["batch"])])
    told = {each.requirement: each.state for each in findings.observations}
    assert told[Requirement.GENERATES_ONCE] is State.NOT_MET


@pytest.mark.parametrize(
    ("slow", "second", "state"),
    [
        (0.0, 1.5, State.NOT_MET),
        (3.0, 1.5, State.MET),
        (3.0, None, State.INCONCLUSIVE),
        (3.0, 4.5, State.NOT_MET),
    ],
    ids=["idle", "starved", "starved-and-never-again", "late-by-itself-too"],
)
def test_a_path_that_is_slow_with_everything_is_asked_again_before_it_is_blamed(
    slow: float, second: float | None, state: State
) -> None:
    """Whole replies come so much later than the model wrote them, and it learns 3.5 s late that its client has left."""
    asked = {each.name: each for each in one_format(made.CHAT, http_2=False)}
    leaving = [each for each in asked.values() if each.leave_after is not None]
    whole = [made.later(made.played(asked[name]), slow) for name in ("stream", "batch")]
    first = [*whole, *(made.played(each, cut=1.0, left=4.5, end=TransportEnd.LEFT) for each in leaving)]
    assert {each.name for each in in_doubt(first)} >= ({each.name for each in leaving} if slow else set())
    again = [made.played(each, cut=1.0, left=second, end=TransportEnd.LEFT) for each in leaving if second]
    audited = Audited("u", "m", True, "openai-chat", LONGEST, NOW, 9.0)
    told = {each.requirement: each.state for each in conclude(audited, first, again).observations}
    assert told[Requirement.STOPS_WHEN_THE_CLIENT_LEAVES] is state


@pytest.mark.parametrize(("slow", "kind"), [(0.0, TerminationKind.FAULT), (3.0, TerminationKind.UNKNOWN)])
def test_scattered_deaths_are_faults_where_the_path_was_not_slow_with_everything(
    slow: float, kind: TerminationKind
) -> None:
    """The whole replies came so much later than the model wrote them; silences ended after other times each."""
    asked = {each.name: each for each in search(LONGEST)}
    cuts = (1.6, 1.9, 2.2, 3.0, 4.0, 5.4)
    silent = [made.played(asked[f"silent-{n}"], cut=cut, left=cut) for n, cut in enumerate(cuts, 1)]
    whole = [made.later(made.played(asked[f"steady-{n}"]), slow) for n in range(1, 7)]
    audited = Audited("u", "m", False, "openai-chat", LONGEST, made.BEGAN, 9.0)
    terminations = conclude(audited, [*silent, *whole]).terminations
    assert next(each for each in terminations if each.stream == "silent-1").kind is kind


def held_back(exchanged: Exchanged) -> Exchanged:
    """The same, with all of it at a later end, and every hold of the model server's run out."""
    trace, ledger = exchanged.evidence.trace, exchanged.evidence.ledger
    assert ledger is not None
    hold = exchanged.exchange.plan.hold
    end = trace.ended + hold
    reads = tuple(replace(read, at=end) for read in trace.reads)
    holds = tuple(Hold(token.number, token.at + hold, confirmed=False) for token in ledger.tokens)
    held = replace(trace, reads=reads, body=reads, ended=end)
    evidence = replace(exchanged.evidence, trace=held, ledger=replace(ledger, holds=holds))
    return Exchanged.alone(exchanged.exchange, evidence)


@pytest.mark.parametrize("slow", [0.0, 3.0])
def test_ways_of_asking_that_are_compared_are_all_asked_again_or_none(slow: float) -> None:
    """The slow reader settles no requirement of its own, and is compared with the plain way."""
    asked = {each.name: each for each in one_format(made.CHAT, http_2=False)}
    whole = [made.later(made.played(asked[name]), slow) for name in ("stream", "batch")]
    ways = [held_back(made.played(asked[name])) for name in ("plain-1", "slow-reader-1")]
    again = {each.name for each in in_doubt([*whole, *ways])}
    assert again >= {"plain-1", "slow-reader-1"} if slow else not again


def test_a_path_that_takes_no_connection_any_more_is_told() -> None:
    """A server that a death ended for good: what found nobody there says nothing, and is not passed over in silence."""
    audited = Audited("u", "m", True, "openai-chat", LONGEST, NOW, 9.0)
    seen = played(60.0)
    assert not any("no connection" in note for note in conclude(audited, seen).notes)
    late = [each for each in search(LONGEST) if each.role is Role.SEARCH][:2]
    start = NOW + 30.0
    shut = [
        Exchanged.alone(
            each, Evidence("openai-chat", each.stream, Trace(start, start, TransportEnd.REFUSED), each.plan)
        )
        for each in late
    ]
    (note,) = [note for note in conclude(audited, [*seen, *shut]).notes if "no connection" in note]
    assert f"for 2 of {len(seen) + 2} requests" in note
    assert "from 30 s on" in note


@pytest.mark.parametrize(
    ("slow", "held", "state"),
    [
        (3.0, ("plain-1",), State.INCONCLUSIVE),
        (3.0, ("tokens",), State.INCONCLUSIVE),
        (3.0, ("tokens-until-close",), State.NOT_MET),
        (3.0, ("gzip-1", "gzip-2", "tokens"), State.NOT_MET),
        (0.0, ("plain-1",), State.NOT_MET),
    ],
    ids=["its-twin-came", "the-same-way-came", "the-only-one", "that-way-held", "not-slow"],
)
def test_a_slow_path_holds_nothing_back_where_another_that_was_asked_alike_came(
    slow: float, held: tuple[str, ...], state: State
) -> None:
    """Both times these came late; all others came token by token the second time."""
    asked = {each.name: each for each in one_format(made.CHAT, http_2=False)}
    whole = [made.later(made.played(asked[name]), slow) for name in ("stream", "batch")]
    delivers = Requirement.DELIVERS_TOKENS_AS_THEY_COME
    ways = [made.played(each) for each in asked.values() if delivers in each.requirements]
    first = [*whole, *map(held_back, ways)]
    again = [held_back(each) if each.name in held else at_once(each) for each in ways]
    audited = Audited("u", "m", True, "openai-chat", LONGEST, NOW, 9.0)
    told = {each.requirement: each.state for each in conclude(audited, first, again).observations}
    assert told[delivers] is state


def at_once(exchanged: Exchanged) -> Exchanged:
    """The same, with every hold of the model server's confirmed."""
    ledger = exchanged.evidence.ledger
    assert ledger is not None
    holds = tuple(Hold(token.number, token.at + 0.001, confirmed=True) for token in ledger.tokens)
    return Exchanged.alone(exchanged.exchange, replace(exchanged.evidence, ledger=replace(ledger, holds=holds)))
