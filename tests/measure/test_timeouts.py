"""The rules of the timeout search, on streams that are written down."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.measure.clusters import cluster_of
from lab.measure.findings import Found, TerminationKind
from lab.measure.streams import Stream
from lab.measure.tally import is_round
from lab.measure.timeouts import find_timeouts
from lab.vocabulary import Ending, Watched

LONGEST = 10.0


def stream(
    watched: Watched, at: float, *, died: bool = True, waited: float | None = None, begun: float = 0.0
) -> Stream:
    """A stream that waited since its request, unless `waited` says how long."""
    wait = at if waited is None else waited
    return Stream(
        name=f"{watched}-{begun}-{at}-{wait}",
        watched=watched,
        beating=False,
        died=died,
        refused=False,
        at=at,
        waited=wait if died else 0.0,
        survived=0.0 if died else wait,
        late=0.0,
        wall=1000 + begun + at,
        ending=Ending.CUT if died else Ending.COMPLETE,
        status=200,
        held=False,
    )


def family(watched: Watched, at: float, *, died: bool = True, of: int = 6) -> list[Stream]:
    """Streams that began half a second apart and lived equally long."""
    return [stream(watched, at + n / 1e3, died=died, begun=n / 2) for n in range(of)]


def alive(*watched: Watched) -> list[Stream]:
    """Families of which none died."""
    return [each for some in watched for each in family(some, 11.0, died=False)]


OTHERS = (Watched.FIRST_TOKEN, Watched.IDLE, Watched.BATCH_REPLY)


def test_deaths_at_one_wait_that_nothing_outlived_are_a_timeout() -> None:
    """The value is that of the early terminations, and the other families have none."""
    streams = [*family(Watched.FIRST_BYTE, 4.0), *alive(Watched.TOTAL, *OTHERS)]
    timeouts = find_timeouts(streams, LONGEST, 1000)
    first = timeouts.of(Watched.FIRST_BYTE)
    assert (first.found, first.terminations) == (Found.TIMEOUT, 6)
    assert first.value == pytest.approx(4.0, abs=0.01)
    assert timeouts.of(Watched.IDLE).found is Found.NONE
    assert timeouts.smallest == first.value
    assert {termination.kind for termination in timeouts.terminations} == {TerminationKind.TIMEOUT}


def test_scattered_deaths_are_faults_and_no_timeout() -> None:
    """Where others outlive them, they are called faults, and no value is named."""
    scattered = [stream(Watched.FIRST_BYTE, at, begun=at) for at in (1.0, 3.1, 5.5)]
    streams = [*scattered, *alive(Watched.FIRST_BYTE, Watched.TOTAL, *OTHERS)]
    timeouts = find_timeouts(streams, LONGEST, 1000)
    assert timeouts.of(Watched.FIRST_BYTE).found is Found.NONE
    assert timeouts.smallest is None
    assert [termination.kind for termination in timeouts.terminations] == [TerminationKind.FAULT] * 3


def test_scattered_deaths_behind_a_relay_that_was_kept_from_running_need_be_no_faults() -> None:
    """LiteLLM's timeout of 5 s on a busy machine, measured: nobody knows when it should have struck."""
    waits = (5.61, 5.44, 5.49, 8.56, 7.66, 6.51, 6.61)
    silent = [stream(Watched.IDLE, at + 1, waited=at, begun=n / 2) for n, at in enumerate(waits)]
    timeouts = find_timeouts([*silent, *alive(Watched.TOTAL)], LONGEST, 1000)
    assert TerminationKind.FAULT in {each.kind for each in timeouts.terminations}
    assert "faults" in timeouts.of(Watched.IDLE).sentence
    slow = [replace(each, slow=True) for each in (*silent, *alive(Watched.TOTAL))]
    timeouts = find_timeouts(slow, LONGEST, 1000)
    assert {each.kind for each in timeouts.terminations} == {TerminationKind.UNKNOWN}
    assert "7 of 7 died, too few that agree to tell of what" in timeouts.of(Watched.IDLE).sentence


def test_a_fault_before_the_timeout_moves_no_value() -> None:
    """One stream that died sooner is a fault; the timeout is where the others agree."""
    streams = [*family(Watched.IDLE, 6.0), stream(Watched.IDLE, 2.0), *alive(Watched.TOTAL, Watched.FIRST_BYTE)]
    timeouts = find_timeouts(streams, LONGEST, 1000)
    assert timeouts.of(Watched.IDLE).value == pytest.approx(6.0, abs=0.01)
    assert [termination.kind for termination in timeouts.terminations].count(TerminationKind.FAULT) == 1


def test_a_death_shortly_before_a_timeout_need_be_no_fault() -> None:
    """LiteLLM's own timeout of 5 s counts from before a busy machine lets it ask, which no ledger knows (measured)."""
    ages = (5.04, 5.0, 5.01, 4.66, 5.0, 5.02)
    batch = [stream(Watched.BATCH_REPLY, age, begun=n / 2) for n, age in enumerate(ages)]
    early = stream(Watched.BATCH_REPLY, 1.5)
    found = find_timeouts([*batch, *alive(Watched.TOTAL)], LONGEST, 1000).of(Watched.BATCH_REPLY)
    assert found.value == pytest.approx(5.0)
    assert "no timeout" not in found.sentence
    found = find_timeouts([*batch, early, *alive(Watched.TOTAL)], LONGEST, 1000).of(Watched.BATCH_REPLY)
    assert "1 of 7 died scattered, which are faults and no timeout" in found.sentence


def test_agreeing_deaths_that_others_outlived_are_a_timeout_on_a_share() -> None:
    """Several ways behind one address may have different timeouts: the value is told, with the share that it ended."""
    streams = [*family(Watched.IDLE, 3.0), *alive(Watched.IDLE, Watched.TOTAL)]
    timeouts = find_timeouts(streams, LONGEST, 1000)
    found = timeouts.of(Watched.IDLE)
    assert (found.found, found.value, found.outlived) == (Found.TIMEOUT, pytest.approx(3.0, abs=0.01), 6)
    assert "it ended 6 of 12 streams, 5 ms apart, and 6 outlived it" in found.sentence
    assert {termination.kind for termination in timeouts.terminations} == {TerminationKind.TIMEOUT}


SPREAD = (3.0, 3.1, 3.25)
"""Deaths too far apart to be a timeout's by that alone, where others outlived them."""


@pytest.mark.parametrize(
    ("ended", "others", "words"),
    [
        (False, True, "it ended those whose request went to the model on a fresh connection"),
        (True, False, "it ended those whose request went to the model on a connection that had been used before"),
        (True, True, ""),
        (None, None, ""),
    ],
)
def test_the_connection_tells_whom_a_timeout_ends(ended: bool | None, others: bool | None, words: str) -> None:
    """Varnish has its timeout on the first byte on fresh connections only: no survivor contradicts it then."""
    dead = [replace(stream(Watched.BATCH_REPLY, at, begun=at), reused=ended) for at in SPREAD]
    through = [replace(each, reused=others) for each in alive(Watched.BATCH_REPLY)[:2]]
    found = find_timeouts([*dead, *through, *alive(Watched.TOTAL)], LONGEST, 1000).of(Watched.BATCH_REPLY)
    assert found.found is (Found.TIMEOUT if words else Found.UNKNOWN)
    assert words in found.sentence
    assert found.lost == len(SPREAD)


@pytest.mark.parametrize("ended", [3, 2])
def test_one_death_that_agrees_with_those_of_a_like_wait_is_no_fault(ended: int) -> None:
    """A timeout on fresh connections ended two or three batch replies of six and one stream of seven."""
    batch = [*family(Watched.BATCH_REPLY, 3.0, of=ended), *alive(Watched.BATCH_REPLY)[ended:]]
    first = [stream(Watched.FIRST_BYTE, 3.02), *alive(Watched.FIRST_BYTE)]
    timeouts = find_timeouts([*batch, *first, *alive(Watched.TOTAL)], LONGEST, 1000)
    for watched in (Watched.FIRST_BYTE, Watched.BATCH_REPLY):
        found = timeouts.of(watched)
        assert (found.found, found.value) == (Found.TIMEOUT, pytest.approx(3.0, abs=0.01))
        assert "on a share of the requests" in found.sentence
    assert {termination.kind for termination in timeouts.terminations} == {TerminationKind.TIMEOUT}
    far = [stream(Watched.FIRST_BYTE, 5.0), *alive(Watched.FIRST_BYTE)]
    timeouts = find_timeouts([*batch, *far, *alive(Watched.TOTAL)], LONGEST, 1000)
    assert timeouts.of(Watched.FIRST_BYTE).value is None


def test_deaths_on_ticks_are_one_timeout() -> None:
    """A timeout of 60 s on a timer that Linux rounds up to ticks 2.05 s apart ends several silences at one moment."""
    waits = (60.24, 60.26, 60.84, 60.85, 61.58, 61.61)
    ticks = (1063.3, 1061.25, 1061.25, 1063.3, 1065.34, 1063.3)
    silent = [replace(stream(Watched.IDLE, wait), wall=wall) for wait, wall in zip(waits, ticks, strict=True)]
    lively = [stream(Watched.TOTAL, 66.0, died=False, begun=n / 2) for n in range(6)]
    found = find_timeouts([*silent, *lively], 60.0, 1000).of(Watched.IDLE)
    assert (found.found, found.coarse, found.least) == (Found.TIMEOUT, True, 60.0)
    assert found.value is not None
    assert found.value + found.uncertainty >= max(waits)
    assert "between 60.0 and 62.0 s" in found.sentence


EVERY_TWO_SECONDS = (3.3, 3.6, 4.1, 4.5, 4.6, 4.9)
"""Silences that a timeout of 3 s ended whose keeper looks once in two seconds."""


def test_a_timeout_that_is_looked_at_every_two_seconds_has_no_faults_before_it() -> None:
    """However far apart its deaths lie, the value is its lower end; half of them alone would be later and wrong."""
    silent = [stream(Watched.IDLE, wait, begun=n / 2) for n, wait in enumerate(EVERY_TWO_SECONDS)]
    timeouts = find_timeouts([*silent, *alive(Watched.TOTAL)], LONGEST, 1000)
    found = timeouts.of(Watched.IDLE)
    assert (found.found, found.coarse, found.least) == (Found.TIMEOUT, True, 3.0)
    assert {each.kind for each in timeouts.terminations} == {TerminationKind.TIMEOUT}


def test_a_coarse_timeout_on_the_whole_is_none_on_silence() -> None:
    """Two lively streams, too few to tell it, died in the same second of their lives as the silent ones."""
    silent = [stream(Watched.IDLE, at, waited=at - 0.3, begun=at) for at in (5.1, 5.2, 5.3, 5.5, 5.6)]
    lively = [stream(Watched.TOTAL, at) for at in (5.9, 5.95)]
    through = [stream(Watched.TOTAL, at, died=False) for at in (5.8, 5.85)]
    found = find_timeouts([*silent, *lively, *through], LONGEST, 1000).of(Watched.IDLE)
    assert found.found is Found.UNKNOWN
    assert "or one on the whole" in found.sentence


def test_what_waited_shows_too_how_coarse_a_timeout_on_the_whole_is() -> None:
    """Four lively streams die close together by chance; those that wait die of the same clock (gunicorn, measured)."""
    steady = [stream(Watched.TOTAL, age, begun=n * 0.7) for n, age in enumerate((5.23, 5.3, 5.34, 5.47))]
    ages = (5.12, 5.29, 5.41, 5.7, 5.86, 5.95)
    waiting = [stream(Watched.FIRST_BYTE, age, begun=n / 3) for n, age in enumerate(ages)]
    timeouts = find_timeouts([*steady, *waiting], LONGEST, 1000)
    total = timeouts.of(Watched.TOTAL)
    assert (total.coarse, total.least, timeouts.of(Watched.FIRST_BYTE).ended_at) == (True, 5.0, 5.0)
    exact = find_timeouts([*family(Watched.TOTAL, 5.2), *waiting], LONGEST, 1000).of(Watched.TOTAL)
    assert (exact.coarse, exact.value) == (False, pytest.approx(5.2, abs=0.01))


def test_a_lively_stream_that_died_a_little_before_three_others_died_of_the_same() -> None:
    """Three of four lively streams die close together by chance; the fourth is no fault (gunicorn, measured)."""
    steady = [stream(Watched.TOTAL, age, begun=n * 0.7) for n, age in enumerate((5.11, 5.51, 5.58, 5.63))]
    waiting = [stream(Watched.FIRST_BYTE, age, begun=n / 3) for n, age in enumerate((5.11, 5.55, 5.81, 5.99))]
    total = find_timeouts([*steady, *waiting], LONGEST, 1000).of(Watched.TOTAL)
    assert (total.found, total.coarse, total.least) == (Found.TIMEOUT, True, 5.0)
    assert "4 of 4 deaths agree" in total.sentence


def test_a_fault_beside_an_exact_timeout_on_the_whole_leaves_it_exact() -> None:
    """Five of six lively streams ended at 4.75 s; a fault, and a timeout of 4.04 s on the first byte, came before."""
    steady = [*family(Watched.TOTAL, 4.75, of=5), stream(Watched.TOTAL, 4.3, begun=3.0)]
    timeouts = find_timeouts([*steady, *family(Watched.FIRST_BYTE, 4.04)], LONGEST, 1000)
    total, first = timeouts.of(Watched.TOTAL), timeouts.of(Watched.FIRST_BYTE)
    assert (total.coarse, total.value) == (False, pytest.approx(4.75, abs=0.01))
    assert first.value == pytest.approx(4.04, abs=0.01)


def test_too_few_lively_streams_that_died_among_the_others_died_of_the_same() -> None:
    """Three of three, too far apart to agree by themselves: no timeout before the first byte is made of the others."""
    steady = [stream(Watched.TOTAL, age, begun=n * 0.7) for n, age in enumerate((5.1, 5.6, 5.95))]
    waiting = [stream(Watched.FIRST_BYTE, age, begun=n / 3) for n, age in enumerate((5.12, 5.3, 5.55, 5.7))]
    timeouts = find_timeouts([*steady, *waiting], LONGEST, 1000)
    total = timeouts.of(Watched.TOTAL)
    assert (total.found, total.coarse, total.least) == (Found.TIMEOUT, True, 5.0)
    assert timeouts.of(Watched.FIRST_BYTE).found is Found.HIDDEN
    one_lives = [*steady, stream(Watched.TOTAL, 11.0, died=False), *waiting]
    assert find_timeouts(one_lives, LONGEST, 1000).of(Watched.TOTAL).value is None


def test_a_clock_that_is_looked_at_once_a_second_is_an_interval() -> None:
    """Streams that end anywhere between 5 s and 6 s: what they may rely on is the lower end."""
    ages = (5.13, 5.24, 5.59, 5.63, 5.78, 5.81)
    steady = [stream(Watched.TOTAL, age, begun=n * 0.7) for n, age in enumerate(ages)]
    timeouts = find_timeouts([*steady, *family(Watched.FIRST_BYTE, 5.4)], LONGEST, 1000)
    found = timeouts.of(Watched.TOTAL)
    assert (found.found, found.least, found.ended_at) == (Found.TIMEOUT, 5.0, 5.0)
    assert "between 5.0 and 6.0 s" in found.sentence
    hidden = timeouts.of(Watched.FIRST_BYTE)
    assert (hidden.found, "on the whole, between 5.0 and 6.0 s," in hidden.sentence) == (Found.HIDDEN, True)
    assert timeouts.smallest == 5.0


def test_an_end_below_a_second_is_not_told_apart() -> None:
    """A token every 0.25 s need not hold a timeout of half a second off: the value is named, its kind is not."""
    every = [each for watched in Watched for each in family(watched, 0.5)]
    timeouts = find_timeouts(every, LONGEST, 1000)
    assert timeouts.smallest == pytest.approx(0.5, abs=0.01)
    assert {found.found for found in timeouts.found} == {Found.UNKNOWN}
    assert "not told apart" in timeouts.of(Watched.TOTAL).sentence


def test_a_short_timeout_that_lively_streams_outlive_is_told() -> None:
    """Half a second on silence, where a token every 0.25 s keeps a stream alive, is an idle timeout."""
    timeouts = find_timeouts([*family(Watched.IDLE, 0.5), *alive(Watched.TOTAL, Watched.FIRST_BYTE)], LONGEST, 1000)
    assert (timeouts.of(Watched.IDLE).found, timeouts.of(Watched.IDLE).value) == (
        Found.TIMEOUT,
        pytest.approx(0.5, abs=0.01),
    )
    assert timeouts.smallest == timeouts.of(Watched.IDLE).value


def late(streams: list[Stream], seconds: float) -> list[Stream]:
    """The same streams, seen that many seconds too late, because the probe did not run."""
    return [
        replace(each, at=each.at + seconds, waited=each.waited + seconds, late=seconds, wall=each.wall + seconds)
        for each in streams
    ]


def test_deaths_that_were_all_seen_late_name_no_value() -> None:
    """A timeout of 2 s seen at 4 s is somewhere between both, which is no measurement."""
    streams = [*late(family(Watched.FIRST_BYTE, 2.0), 2.0), *alive(Watched.TOTAL, *OTHERS)]
    found = find_timeouts(streams, LONGEST, 1000).of(Watched.FIRST_BYTE)
    assert (found.found, found.value, found.too_late) == (Found.UNKNOWN, None, True)
    assert "or the probe to see how they ended" in found.sentence


def test_what_was_seen_late_is_told_once_it_was_asked_again() -> None:
    """Six more terminations, seen in time, tell the value that the first six did not."""
    again = [replace(each, name=f"{each.name}-again") for each in family(Watched.FIRST_BYTE, 2.0)]
    streams = [*late(family(Watched.FIRST_BYTE, 2.0), 2.0), *again, *alive(Watched.TOTAL, *OTHERS)]
    found = find_timeouts(streams, LONGEST, 1000).of(Watched.FIRST_BYTE)
    assert (found.found, found.value) == (Found.TIMEOUT, pytest.approx(2.0, abs=0.01))


def test_two_timeouts_that_strike_in_one_moment_are_no_outage() -> None:
    """Of those that die in that half second each family's agree in their age: 3.5 s and 2 s are timeouts."""
    ages = {Watched.TOTAL: 3.5, Watched.FIRST_BYTE: 2.0, Watched.BATCH_REPLY: 2.0}
    streams = [
        replace(stream(watched, age, begun=3.5 - age + n / 10), name=f"{watched}-{n}")
        for watched, age in ages.items()
        for n in range(4)
    ]
    timeouts = find_timeouts(streams, LONGEST, 1000)
    assert TerminationKind.OUTAGE not in {termination.kind for termination in timeouts.terminations}
    assert timeouts.of(Watched.TOTAL).value == pytest.approx(3.5, abs=0.01)
    assert timeouts.of(Watched.FIRST_BYTE).value == pytest.approx(2.0, abs=0.01)


def test_one_death_beside_those_of_one_moment_makes_no_timeout_of_them() -> None:
    """A timeout ended the first stream, and an outage the others half a second later; the probe saw both late."""
    ended = [stream(Watched.TOTAL, 3.756)]
    ended += [stream(Watched.TOTAL, 4.127 - begun, begun=begun) for begun in (0.5, 1.0, 1.5, 2.0)]
    timeouts = find_timeouts([replace(each, late=0.5) for each in ended], LONGEST, 1000)
    assert timeouts.of(Watched.TOTAL).found is Found.UNKNOWN
    assert "in one moment" in timeouts.of(Watched.TOTAL).sentence


def test_deaths_of_one_moment_and_of_different_ages_are_no_timeout() -> None:
    """Four lively streams that an event ended within a second of age, when most others were dead of something else."""
    streams = [stream(Watched.TOTAL, 5.5 - n / 4, begun=n / 4) for n in range(4)]
    timeouts = find_timeouts([*streams, *family(Watched.FIRST_BYTE, 1.8)], LONGEST, 1000)
    assert timeouts.of(Watched.TOTAL).found is Found.UNKNOWN
    assert "in one moment" in timeouts.of(Watched.TOTAL).sentence
    assert TerminationKind.TIMEOUT not in {
        termination.kind for termination in timeouts.terminations if termination.watched is Watched.TOTAL
    }


def test_a_lively_stream_that_was_seen_late_lived_no_longer() -> None:
    """The total timeout's victims died at 2 s, one seen at 4 s: no timeout on the first byte is told from it."""
    steady = family(Watched.TOTAL, 2.0)
    streams = [*steady[:2], *late(steady[2:], 2.0), *family(Watched.FIRST_BYTE, 2.0)]
    timeouts = find_timeouts(streams, LONGEST, 1000)
    assert timeouts.of(Watched.FIRST_BYTE).found is not Found.TIMEOUT


def test_a_fault_among_a_total_timeouts_victims_is_no_outage() -> None:
    """All began within half a second and died at 1.4 s; one of another age makes no outage of it."""
    begun = {watched: n / 10 for n, watched in enumerate(Watched)}
    streams = [
        replace(stream(watched, 1.4, begun=begun[watched] + n / 100), name=f"{watched}-{n}")
        for watched in Watched
        for n in range(4)
    ]
    streams.append(stream(Watched.IDLE, 0.2, begun=1.2))
    timeouts = find_timeouts(streams, LONGEST, 1000)
    assert TerminationKind.OUTAGE not in {termination.kind for termination in timeouts.terminations}
    assert timeouts.of(Watched.TOTAL).value == pytest.approx(1.4, abs=0.01)


def test_three_punctual_deaths_tell_the_value_whatever_the_late_ones_say() -> None:
    """Half of them seen 2 s late do not move a timeout of 2 s."""
    terminations = family(Watched.FIRST_BYTE, 2.0)
    streams = [*terminations[:3], *late(terminations[3:], 2.0), *alive(Watched.TOTAL, *OTHERS)]
    found = find_timeouts(streams, LONGEST, 1000).of(Watched.FIRST_BYTE)
    assert (found.found, found.terminations) == (Found.TIMEOUT, 6)
    assert found.value == pytest.approx(2.0, abs=0.01)
    assert found.uncertainty <= 0.1


def test_deaths_that_a_stall_brings_together_are_no_outage() -> None:
    """What died one by one while the probe slept is seen at once when it wakes."""
    streams = [
        replace(stream(watched, 6.0 - n / 2, begun=n / 2), name=f"{watched}-{n}", late=3.0)
        for watched in (Watched.TOTAL, Watched.FIRST_BYTE, Watched.IDLE)
        for n in range(6)
    ]
    timeouts = find_timeouts(streams, LONGEST, 1000)
    assert TerminationKind.OUTAGE not in {termination.kind for termination in timeouts.terminations}
    assert all(found.found is Found.UNKNOWN for found in timeouts.found)


@pytest.mark.parametrize(("terminations", "told"), [([4.2, 4.6, 4.9], False), ([4.1, 4.4, 4.7, 5.0], True)])
def test_deaths_that_agree_loosely_must_be_more(terminations: list[float], told: bool) -> None:
    """Three that lie most of a second apart may be faults; four in a family are a timeout that looks once a second."""
    streams = [stream(Watched.FIRST_BYTE, at, begun=n * 0.7) for n, at in enumerate(terminations)]
    timeouts = find_timeouts([*streams, *alive(Watched.TOTAL, *OTHERS)], LONGEST, 1000)
    assert (timeouts.of(Watched.FIRST_BYTE).found is Found.TIMEOUT) is told


def test_nothing_is_hidden_behind_a_timeout_that_nobody_waited_for() -> None:
    """Two silences ended at 1.9 s, too few to tell of what; nobody waited up to the total timeout of 3.1 s."""
    silent = [stream(Watched.IDLE, 1.9, begun=n) for n in range(2)]
    at_the_end = [stream(Watched.IDLE, 3.1, waited=1.6, begun=0.3)]
    streams = [*family(Watched.TOTAL, 3.1), *silent, *at_the_end, *family(Watched.FIRST_BYTE, 3.1)]
    timeouts = find_timeouts(streams, LONGEST, 1000)
    assert timeouts.of(Watched.FIRST_BYTE).found is Found.HIDDEN
    assert timeouts.of(Watched.IDLE).found is Found.UNKNOWN


def test_a_timeout_on_the_whole_hides_the_longer_ones() -> None:
    """Streams that wait die at the age at which lively ones die: no other timeout is named."""
    silent = [stream(Watched.IDLE, 5.0, waited=5.0 - lead, begun=lead) for lead in (0.0, 0.7, 1.4, 2.1)]
    streams = [*family(Watched.TOTAL, 5.0), *family(Watched.FIRST_BYTE, 5.0), *silent]
    timeouts = find_timeouts(streams, LONGEST, 1000)
    assert timeouts.of(Watched.TOTAL).value == pytest.approx(5.0, abs=0.01)
    for watched in (Watched.FIRST_BYTE, Watched.IDLE):
        assert timeouts.of(watched).found is Found.HIDDEN


def test_a_timeout_on_the_whole_that_is_looked_at_with_the_next_token_only_survives_no_longer_silence() -> None:
    """Silences of up to 9.5 s end at the next token, and every answer at 6 s: nothing beyond those was survived."""
    silent = [stream(Watched.IDLE, wait + 0.5, waited=wait, begun=wait) for wait in (7.0, 8.0, 9.0, 9.5)]
    short = [stream(Watched.IDLE, 6.5, waited=3.0, died=False)]
    streams = [*family(Watched.TOTAL, 6.0), *silent, *short, *alive(Watched.FIRST_BYTE, *OTHERS[::2])]
    idle = find_timeouts(streams, LONGEST, 1000).of(Watched.IDLE)
    assert idle.found is Found.HIDDEN
    assert idle.proven == pytest.approx(5.5, abs=0.01)


def test_an_outage_is_no_timeout_on_the_whole() -> None:
    """Everything that dies in one moment, at different ages, died of one event."""
    streams = [
        replace(stream(watched, 6.0 - n / 2, begun=n / 2), name=f"{watched}-{n}")
        for watched in (Watched.TOTAL, Watched.FIRST_BYTE, Watched.IDLE)
        for n in range(6)
    ]
    timeouts = find_timeouts(streams, LONGEST, 1000)
    assert {termination.kind for termination in timeouts.terminations} == {TerminationKind.OUTAGE}
    assert all(found.found is Found.UNKNOWN for found in timeouts.found)


def test_an_outage_before_most_streams_ran_is_one() -> None:
    """All that ran after 1.1 s died then, at ages up to a second; what began later died of one on the whole, 1.65 s."""
    families = (Watched.TOTAL, Watched.FIRST_BYTE, Watched.IDLE, Watched.FIRST_TOKEN, Watched.BATCH_REPLY)
    streams = []
    for n in range(6):
        for watched in families:
            at = 1.1 - n / 2 if n < 3 else 1.65
            streams.append(replace(stream(watched, at, begun=n / 2), name=f"{watched}-{n}"))
    timeouts = find_timeouts(streams, LONGEST, 1000)
    early = [each.kind for each in timeouts.terminations if each.wall < 1.15]
    assert early == [TerminationKind.OUTAGE] * 15
    assert (timeouts.of(Watched.TOTAL).coarse, timeouts.of(Watched.TOTAL).value) == (False, pytest.approx(1.65))


def test_where_the_path_holds_tokens_back_total_and_first_byte_are_not_told_apart() -> None:
    """The value is named, the kind is not."""
    streams = [replace(each, held=True) for each in family(Watched.TOTAL, 5.0)]
    found = find_timeouts([*streams, *family(Watched.FIRST_BYTE, 5.0)], LONGEST, 1000)
    assert found.of(Watched.TOTAL).found is Found.UNKNOWN
    assert found.smallest == pytest.approx(5.0, abs=0.01)


def test_silences_that_end_at_one_age_behind_a_holding_hop_are_no_idle_timeout() -> None:
    """No hop saw the tokens before the silence, so its timeout began with the request."""
    silent = [
        replace(stream(Watched.IDLE, 5.0, waited=5.0 - lead, begun=lead), held=True) for lead in (0.0, 0.1, 0.7, 0.8)
    ]
    timeouts = find_timeouts([*silent, *alive(Watched.TOTAL)], LONGEST, 1000)
    assert timeouts.of(Watched.IDLE).found is Found.UNKNOWN


@pytest.mark.parametrize("terminations", [[2.0, 2.1], [1.0, 3.0, 5.0, 7.0], [1.0, 2.5, 2.6, 4.0, 9.0]])
def test_too_few_agreeing_deaths_are_no_cluster(terminations: list[float]) -> None:
    """Three must agree, and most of them."""
    assert cluster_of([(termination, 0.0) for termination in terminations], []) is None


def test_a_death_that_was_seen_late_still_agrees() -> None:
    """The probe's own lateness is taken off before two deaths are compared."""
    terminations = [(3.0, 0.0), (3.1, 0.0), (6.0, 2.9)]
    cluster = cluster_of(terminations, [])
    assert cluster is not None
    assert (cluster.value, cluster.outlived) == (3.0, 0)


@pytest.mark.parametrize(("value", "round_"), [(60.02, True), (15.1, True), (2.5, True), (3.27, False), (47.4, False)])
def test_round_numbers_are_said_to_be_round(value: float, round_: bool) -> None:
    """Whole seconds, and halves below ten, as people set them."""
    assert bool(is_round(value)) is round_


def test_deaths_close_together_that_a_whole_answer_just_outlived_are_no_timeout() -> None:
    """Faults may lie within a second of one another; a stream that came through shortly after them says so."""
    faults = [stream(Watched.TOTAL, at, begun=at) for at in (5.48, 5.76, 5.91)]
    through = [replace(stream(Watched.TOTAL, 6.3, died=False), name=f"through-{n}") for n in range(2)]
    timeouts = find_timeouts([*faults, *through, *alive(Watched.FIRST_BYTE)], 4.0, 1000)
    assert timeouts.of(Watched.TOTAL).found is not Found.TIMEOUT
    assert timeouts.smallest is None
    assert TerminationKind.TIMEOUT not in {termination.kind for termination in timeouts.terminations}


def on_the_way(streams: list[Stream], *ways: float) -> list[Stream]:
    """The same streams, whose requests took so many seconds to the model server."""
    return [
        replace(each, at=each.at + way, waited=each.waited + way, wall=each.wall + way, way=way)
        for each, way in zip(streams, ways, strict=True)
    ]


def test_requests_that_waited_for_a_worker_waited_no_longer_for_the_model() -> None:
    """An application's timeout of 4 s on the model, behind workers with a queue each: 4 s to 24 s from the request."""
    queued = on_the_way(family(Watched.FIRST_BYTE, 4.0), 0.0, 0.0, 0.01, 5.0, 9.0, 20.0)
    timeouts = find_timeouts([*queued, *alive(Watched.TOTAL, *OTHERS)], LONGEST, 1000)
    found = timeouts.of(Watched.FIRST_BYTE)
    assert (found.found, found.terminations) == (Found.TIMEOUT, 6)
    assert found.value == pytest.approx(4.0, abs=0.02)


def test_requests_that_a_busy_machine_brought_late_make_no_timeout_coarse() -> None:
    """4 s from when the model had them, up to 0.6 s later from the request: exact, and not looked at now and then."""
    slow = on_the_way(family(Watched.BATCH_REPLY, 4.0), 0.05, 0.2, 0.3, 0.4, 0.5, 0.6)
    found = find_timeouts([*slow, *alive(Watched.TOTAL, *OTHERS)], LONGEST, 1000).of(Watched.BATCH_REPLY)
    assert (found.found, found.coarse) == (Found.TIMEOUT, False)
    assert found.value is not None
    assert found.value - found.uncertainty <= 4.0


def test_a_value_that_has_the_requests_way_in_it_is_so_much_less_certain() -> None:
    """Nobody knows whether a timeout of 4 s counts from the request, or from 0.09 s later when the model had it."""
    near = on_the_way(family(Watched.FIRST_BYTE, 4.0), 0.09, 0.09, 0.09, 0.09, 0.09, 0.09)
    found = find_timeouts([*near, *alive(Watched.TOTAL, *OTHERS)], LONGEST, 1000).of(Watched.FIRST_BYTE)
    assert found.value == pytest.approx(4.09, abs=0.01)
    assert found.uncertainty == pytest.approx(0.09, abs=0.001)


def test_what_ended_before_its_wait_began_tells_nothing_of_that_wait() -> None:
    """A timeout of 3.9 s on the first byte, on a machine so busy that most requests took longer to the model server."""
    early = [replace(each, way=6.0, waited=0.0) for each in family(Watched.FIRST_TOKEN, 3.9, of=4)]
    silent = [replace(each, waited=0.0) for each in family(Watched.IDLE, 3.9, of=5)]
    lively = [replace(each, way=6.0) for each in family(Watched.TOTAL, 3.9, of=4)]
    through = [stream(watched, 11.0, died=False) for watched in (Watched.FIRST_TOKEN, Watched.IDLE, Watched.TOTAL)]
    waits = [*family(Watched.FIRST_BYTE, 3.9), *alive(Watched.BATCH_REPLY)]
    timeouts = find_timeouts([*early, *silent, *lively, *through, *waits], LONGEST, 1000)
    assert timeouts.of(Watched.FIRST_BYTE).value == pytest.approx(3.9, abs=0.01)
    for watched, ended in ((Watched.FIRST_TOKEN, 4), (Watched.IDLE, 5), (Watched.TOTAL, 4)):
        found = timeouts.of(watched)
        assert (found.value, found.lost, found.ended) == (None, 0, ended)


def test_streams_that_were_late_to_come_are_not_lost_by_the_path() -> None:
    """Silences of up to 4 s that one on the whole of 4.7 s ended early, since their requests took 2 s to the model."""
    silent = [stream(Watched.IDLE, 4.7 + n / 9, waited=2.0 + n / 3, begun=n / 2) for n in range(5)]
    through = family(Watched.IDLE, 4.1, died=False, of=4)
    late = find_timeouts([*(replace(each, way=2.0) for each in silent), *through], 4.0, 1000).of(Watched.IDLE)
    assert (late.value, late.lost, late.ended) == (None, 0, 5)
    assert find_timeouts([*silent, *through], 4.0, 1000).of(Watched.IDLE).lost == 5


def test_a_death_that_came_late_to_the_model_bounds_a_coarse_timeout_too() -> None:
    """Lighttpd looks once a second (8 s, so 9 to 10 s): one of 9.4 s whose request was 0.4 s on its way is no later."""
    waits, ways = (9.4, 9.62, 9.88, 9.91, 9.95, 10.0), (0.4, 0.0, 0.0, 0.0, 0.0, 0.0)
    died = [replace(stream(Watched.FIRST_BYTE, at, begun=n / 2), way=ways[n]) for n, at in enumerate(waits)]
    lively = [stream(Watched.TOTAL, 12.0, died=False, begun=n / 2) for n in range(6)]
    found = find_timeouts([*died, *lively], LONGEST, 1000).of(Watched.FIRST_BYTE)
    assert (found.coarse, found.least) == (True, 9.0)


def test_sentence_and_value_are_one_figure() -> None:
    """2.03496 s is 2.03 s, in the sentence as in the value; 2.035 would be 2.04."""
    found = find_timeouts([*family(Watched.IDLE, 2.03396), *alive(Watched.TOTAL)], LONGEST, 1000).of(Watched.IDLE)
    assert found.value is not None
    assert f"at {found.value:.2f} s" in found.sentence
