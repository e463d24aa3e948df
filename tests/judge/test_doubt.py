from __future__ import annotations

from dataclasses import replace

import pytest

from lab.evidence import Stall, TransportEnd
from lab.judge import judge
from lab.judge.doubt import (
    ALONE,
    LONGEST_WAIT,
    MARGIN,
    STARVED,
    UNKEPT,
    Doubt,
    Others,
    behind_schedule,
    doubt_of,
    lateness,
    others_of,
    spared,
)
from lab.vocabulary import Delivery, Ending

from .builder import START, Build, lockstep

PUNCTUAL = {"ttft": "100ms"}
CUT = Build(sent=(1, 2, 3), reason=None, marker=False, end=TransportEnd.SHORT_FIN, ended=START + 2.0, plan=PUNCTUAL)
ASLEEP = (Stall(START, START + 1.0),)
CLOSED = CUT.but(end=TransportEnd.CLOSED, fault="fin@3", stalls=ASLEEP)
"""A clean end on half an answer at 2 s."""
NOBODY_LATE = Doubt()


def doubt(build: Build, others: Others = ALONE) -> Doubt:
    """What is in doubt of the verdict on one exchange."""
    evidence = build.evidence()
    return doubt_of(evidence, judge(evidence), others)


@pytest.mark.parametrize(
    "build",
    [Build(), CUT, lockstep(Build(whole=10)), lockstep(Build(whole=10), confirmed=False), Build(stream=False)],
    ids=["whole", "cut", "incremental", "held", "batch"],
)
def test_where_nobody_was_late_nothing_is_in_doubt(build: Build) -> None:
    """Whatever the verdict is, it stands."""
    assert doubt(build) == NOBODY_LATE


def test_a_stop_of_either_end_casts_doubt_on_the_ending() -> None:
    """A wait may have been longer for it; the words tell who stopped and for how long."""
    assert doubt(CUT.but(stalls=ASLEEP)).ending == "the probe stopped for 1,000 ms in all"
    assert doubt(CUT.but(model_stalls=ASLEEP)).ending == "the model server stopped for 1,000 ms in all"


def test_lateness_of_both_ends_adds_up() -> None:
    """Neither alone is enough to cross a timeout; one after the other they may be."""
    probe, model = (Stall(START, START + 0.2),), (Stall(START + 0.5, START + 0.7),)
    assert doubt(CUT.but(stalls=probe)) == doubt(CUT.but(model_stalls=model)) == NOBODY_LATE
    both = CUT.but(stalls=probe, model_stalls=model)
    assert lateness(both.evidence()) == pytest.approx(0.4)
    assert doubt(both).ending


def test_a_model_that_a_resting_client_holds_back_is_not_late() -> None:
    """That is what the path is for; of a client that reads on, the same lateness is the machine's."""
    held = CUT.but(interval=0.5, plan={**PUNCTUAL, "interval": "100ms"})
    assert doubt(held).ending.startswith("a token left")
    assert doubt(held.but(pause=Stall(START, START + 2.0))) == NOBODY_LATE


THINKING = Build(written=0, sent=(), reason=None, marker=False, body=b"", status=504, plan={"ttft": "4s"})
SILENT = CUT.but(written=3, ended=START + 2.3, plan={"gaps": ["4@4s"]})
RUNNING = CUT.but(whole=40, written=30, sent=range(1, 31), plan={"ttft": "100ms"})


@pytest.mark.parametrize(
    ("build", "ending"),
    [
        (THINKING.but(ended=START + 2.0), Ending.PROXY_ERROR_STATUS),
        (THINKING.but(ended=START + 3.9, stream=False, plan={"ttft": "4s"}), Ending.PROXY_ERROR_STATUS),
        (SILENT, Ending.CUT),
        # By no more than what is no lateness anywhere.
        (SILENT.but(ended=START + 4.5), Ending.CUT),
        # Envoy leaves the model, and tells its client a second later.
        (RUNNING.but(client_left=START + 3.02, ended=START + 4.02), Ending.CUT),
    ],
    ids=["before the first token", "batch", "amid a silence", "amid its last moment", "amid running tokens"],
)
def test_what_ended_while_the_planned_wait_still_ran_is_in_no_doubt(build: Build, ending: Ending) -> None:
    """Whatever timer ran out at 2 s is shorter than the planned 4 s, whoever slept meanwhile."""
    late = build.but(model_stalls=ASLEEP, stalls=ASLEEP)
    assert judge(late.evidence()).ending is ending
    assert lateness(late.evidence()) > MARGIN
    assert replace(doubt(late), wait="") == NOBODY_LATE


@pytest.mark.parametrize(
    "build",
    [
        THINKING.but(ended=START + 4.5),
        SILENT.but(ended=START + 4.8),
        SILENT.but(plan={"gaps": ["4@500ms"], "ttft": "9s"}),
        SILENT.but(has_ledger=False),
        SILENT.but(attempts=2),
        RUNNING.but(ended=START + 4.02),
        THINKING.but(written=1, interval=1.9, ended=START + 2.2, plan={"interval": "1200ms"}),
        SILENT.but(plan={"gaps": ["4@4s"], "heartbeat": "500ms"}),
        THINKING.but(ended=START + 2.0, plan={"ttft": "4s", "heartbeat": "1s", "heartbeat_from": "start"}),
    ],
    ids=[
        "wait over",
        "length over",
        "silence longer than planned",
        "nobody knows what was written",
        "asked twice",
        "nobody knows when it left the model",
        "the token before it had not come through",
        "a heartbeat may have been late",
        "a heartbeat before the first token, too",
    ],
)
def test_what_ended_later_than_a_planned_wait_stays_in_doubt(build: Build) -> None:
    """The wait that the path did not outlive may have been longer than planned, or another one than it seems."""
    assert doubt(build.but(stalls=ASLEEP, model_stalls=ASLEEP)).ending


def test_what_was_over_before_or_came_after_is_of_no_account() -> None:
    """Only the time of the exchange itself counts."""
    outside = (Stall(START - 5.0, START), Stall(START + 2.0, START + 9.0))
    assert doubt(CUT.but(stalls=outside, model_stalls=outside)) == NOBODY_LATE


def test_who_leaves_before_the_request_has_arrived_has_shown_nothing() -> None:
    """A machine that is too busy to carry a request for half a second says nothing of the path."""
    left = Build(sent=(), reason=None, marker=False, end=TransportEnd.LEFT, ended=START + 0.5)
    assert doubt(left.but(has_ledger=False)).ending == "the request was still on its way when the client left"
    assert doubt(left) == NOBODY_LATE


def test_who_leaves_because_too_much_comes_has_had_an_answer() -> None:
    """A page in place of the model's answer is the path's own, whether or not the model has heard of it."""
    page = Build(sent=(), reason=None, marker=False, has_ledger=False, end=TransportEnd.LEFT, ended=START + 0.5)
    evidence = page.evidence()
    too_much = replace(evidence, trace=replace(evidence.trace, detail="more than 500,000 bytes of body"))
    assert doubt_of(too_much, judge(too_much)) == NOBODY_LATE


@pytest.mark.parametrize(("ended", "doubtful"), [(1.6, True), (2.0, False), (40.0, False)])
def test_no_lateness_explains_what_was_due_long_ago(ended: float, doubtful: bool) -> None:
    """Of an answer that was due after half a second, and of ends that were a second late in all, none comes later."""
    hangs = CUT.but(end=TransportEnd.TOTAL_TIMEOUT, stalls=ASLEEP, ended=START + ended)
    assert hangs.the_plan.length == pytest.approx(0.5)
    assert judge(hangs.evidence()).ending is Ending.PROBE_TIMEOUT
    assert bool(doubt(hangs).ending) is doubtful


def test_a_client_that_rests_is_not_kept_waiting() -> None:
    """What it does not read meanwhile is not overdue."""
    rests = CUT.but(end=TransportEnd.TOTAL_TIMEOUT, stalls=ASLEEP, ended=START + 4.0)
    assert not doubt(rests).ending
    assert doubt(rests.but(pause=Stall(START + 0.4, START + 3.4))).ending


def test_a_request_that_was_long_on_its_way_is_no_excuse_for_a_model_that_was_not_told() -> None:
    """That its client has left counts from the leaving; where somebody slept, it may have been told in time."""
    answer = Build(interval=1.0, plan={"ttft": "1s"}, sent=(1, 2), reason=None, marker=False)
    left = answer.but(end=TransportEnd.LEFT, ended=START + 2.5)
    untold = left.but(client_left=START + 7.0, on_its_way=0.4)
    assert doubt(untold).ending
    assert not doubt(untold).stop
    assert doubt(untold.but(stalls=ASLEEP)).stop


def test_no_wait_explains_a_clean_end_after_a_death() -> None:
    """The client cannot see that half is missing, at any speed; when and by whom it was ended is another matter."""
    hidden = CLOSED.but(fault_at=START + 1.9)
    assert judge(hidden.evidence()).ending is Ending.SILENTLY_TRUNCATED
    assert doubt(hidden).ending
    assert not doubt(hidden).cut


@pytest.mark.parametrize(
    ("fault", "at", "doubtful"), [("fin@3", 30.0, False), ("fin@3", 4.0, True), ("freeze@3", 30.0, True)]
)
def test_no_wait_of_our_own_explains_a_client_that_is_never_told_of_a_death(
    fault: str, at: float, doubtful: bool
) -> None:
    """The probe gives up half a minute after a death; a frozen one is not dead, and four seconds prove nothing."""
    build = CUT.but(end=TransportEnd.TOTAL_TIMEOUT, fault=fault, stalls=ASLEEP, ended=START + at)
    assert bool(doubt(build).ending) is bool(doubt(build).cut) is doubtful


def test_a_clean_end_before_the_death_may_be_a_timeouts() -> None:
    """Then the model had not died yet, and a wait that was longer than planned may have ended the reply."""
    assert doubt(CLOSED.but(fault_at=START + 2.1)).cut
    # It may have come before the death, and been read as the probe woke.
    assert doubt(CLOSED.but(fault_at=START + 1.0, stalls=(Stall(START + 0.5, START + 2.0),))).cut


def test_no_wait_explains_a_token_that_came_twice() -> None:
    """What is corrupt is so at any speed."""
    corrupt = Build(sent=(1, 2, 2, 3), stalls=ASLEEP)
    assert judge(corrupt.evidence()).ending is Ending.CORRUPT
    assert replace(doubt(corrupt), wait="") == NOBODY_LATE


def test_a_proven_delivery_is_in_no_doubt() -> None:
    """A hold that ran out while the probe ran was the path's, however late both ends were otherwise."""
    held = lockstep(Build(whole=10, interval=1.5), confirmed=False)
    late = held.but(stalls=(Stall(START, START + 1.0),), model_stalls=(Stall(START, START + 1.0),))
    assert judge(late.evidence()).delivery is Delivery.BATCHED
    assert doubt(late).delivery == ""


def test_a_delivery_that_is_unproven_for_want_of_tokens_is_nobodys_lateness() -> None:
    """Four tokens 200 ms late each are too few to blame a path, on any machine."""
    few = lockstep(Build(whole=4, interval=0.3), late=0.2)
    assert judge(few.evidence()).delivery is Delivery.UNPROVEN
    assert doubt(few) == NOBODY_LATE


def test_a_model_server_that_was_late_to_send_leaves_delivery_open() -> None:
    """Every token came 200 ms late, and for 150 of them the server that had noted it as sent did not run."""
    slow = lockstep(Build(whole=10, interval=0.3), late=0.2)
    asleep = tuple(Stall(slow.left(n), slow.left(n) + 0.15) for n in range(1, 11))
    assert judge(slow.evidence()).delivery is Delivery.COALESCED
    assert "the model server was late itself" in doubt(slow.but(model_stalls=asleep)).delivery


def test_bursts_that_the_probe_made_leave_delivery_open() -> None:
    """Ten tokens in two reads are a path's bursts, unless the probe slept until the second."""
    build = Build(whole=10, interval=0.15)
    bursts = build.but(arrivals={n: START + (0.77 if n <= 5 else 1.52) for n in range(1, 11)})
    asleep = (Stall(START + 0.1, START + 0.77), Stall(START + 0.8, START + 1.52))
    assert judge(bursts.evidence()).delivery is Delivery.COALESCED
    verdict = judge(bursts.but(stalls=asleep).evidence())
    assert (verdict.delivery, verdict.late) == (Delivery.UNPROVEN, True)


def test_tokens_that_left_together_though_planned_apart_leave_delivery_open() -> None:
    """The model server slept, and wrote all at once what was to take two seconds."""
    late = Build(whole=10, interval=0.01, plan={"interval": 0.2}, arrivals=dict.fromkeys(range(1, 11), START + 0.11))
    verdict = judge(late.evidence())
    assert (verdict.delivery, verdict.late) == (Delivery.UNPROVEN, True)
    assert not judge(late.but(plan={"interval": 0.01}).evidence()).late


LATE = Build(interval=0.8, plan={"interval": 0.1})


@pytest.mark.parametrize(
    "build",
    [LATE.but(lockstep=True), LATE.but(has_ledger=False), LATE.but(has_plan=False)],
    ids=["in lockstep", "without ledger", "without plan"],
)
def test_without_a_schedule_nobody_is_behind_it(build: Build) -> None:
    """In lockstep the probe sets the pace, and without ledger or plan there is nothing to compare."""
    assert behind_schedule(LATE.evidence()) == pytest.approx(3.6)
    assert behind_schedule(build.evidence()) == 0.0


def test_jitter_is_planned() -> None:
    """Lateness that the plan itself asked for is none."""
    assert behind_schedule(LATE.but(plan={"interval": 0.1, "jitter": 1.0}).evidence()) == pytest.approx(2.6)


def test_a_batch_reply_is_due_with_its_last_token() -> None:
    """All of it leaves at once, so its first token is not late."""
    batch = Build(stream=False, interval=1.0, plan={"interval": 1.0}).evidence()
    assert batch.ledger is not None
    last = batch.ledger.tokens[-1].at
    whole = tuple(replace(token, at=last) for token in batch.ledger.tokens)
    assert behind_schedule(replace(batch, ledger=replace(batch.ledger, tokens=whole))) == pytest.approx(1.0)


def test_a_second_attempt_was_not_on_its_way_all_that_time() -> None:
    """A proxy asked again: what the first attempt took is its own story."""
    assert lateness(Build(on_its_way=3.0).evidence()) == pytest.approx(3.0)
    assert lateness(Build(on_its_way=3.0, attempts=2).evidence()) < MARGIN


@pytest.mark.parametrize(
    ("interval", "plan", "is_spared"),
    [
        (1.0, {"interval": 0.1, "gaps": ["4@5s"]}, True),
        (1.0, {"interval": 0.1, "gaps": ["4@1s"]}, False),
        (0.8, {"interval": 0.1}, False),
        (1.0, {"interval": 0.1, "gaps": ["4@5s"], "jitter": 5.0}, False),
        (1.0, {"interval": 0.1, "gaps": ["4@5s"], "lockstep": True}, False),
    ],
    ids=["half the silence", "nearly all of it", "longer than planned", "planned jitter", "in lockstep"],
)
def test_a_silence_that_was_cut_short_did_not_test_the_path(
    interval: float, plan: dict[str, object], is_spared: bool
) -> None:
    """A token that leaves late shortens the silence after it; lockstep never does."""
    assert bool(spared(Build(interval=interval, plan=plan).evidence())) is is_spared


@pytest.mark.parametrize(
    ("build", "doubtful"),
    [
        (Build(on_its_way=3.0), False),
        (Build(on_its_way=3.0, model_stalls=(Stall(START, START + 1.0),)), True),
        (Build(on_its_way=3.0, stalls=(Stall(START, START + 1.0),)), True),
    ],
    ids=["a queue", "the model server slept", "the probe slept"],
)
def test_a_request_that_was_long_on_its_way_waited_for_the_path(build: Build, doubtful: bool) -> None:
    """Of a path that queues it, its wait is the finding; where either end slept, it may have waited for them."""
    found = doubt(build, Others(ended=True))
    assert bool(found.wait) is doubtful
    assert found.ending


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (Build(on_its_way=1.1), "the request was on its way for 1,100 ms, in which none of the others ended"),
        (
            Build(connected_at=START - 1.0, on_its_way=0.1),
            "the request was on its way for 1,100 ms, in which none of the others ended",
        ),
        (Build(on_its_way=LONGEST_WAIT - 0.01), ""),
        (Build(on_its_way=STARVED + 0.01), ""),
        # Of that the client itself tells: it had no connection until another was over.
        (Build(on_its_way=1.1, queued=0.5), ""),
        # What is wrong with this one is no wait.
        (CUT.but(on_its_way=1.1), ""),
    ],
    ids=["no queue", "no queue for the handshake", "a moment", "too long for that", "no connection", "cut"],
)
def test_what_goes_on_though_no_other_has_ended_was_in_no_queue(build: Build, words: str) -> None:
    """A proxy that gets too little of the processor takes as long to read a request as one that lets it wait."""
    assert doubt(build).wait == words


@pytest.mark.parametrize(
    ("other", "ended"),
    [
        (Build(), True),
        (Build(client_left=START + 0.9, finished=False, ended=START + 3.0), True),
        # Its client was gone before, and the model wrote on for a while.
        (Build(ended=START - 0.1), True),
        (Build(whole=20), False),
        (Build(ended=START, finished=False), False),
    ],
    ids=["at its end", "left", "at the model", "still running", "before"],
)
def test_whoever_waits_for_others_goes_on_when_one_ends(other: Build, ended: bool) -> None:
    """At either end, between its asking and its coming to the model."""
    assert others_of([Build(on_its_way=1.1).evidence(), other.evidence()])[0].ended is ended


def test_what_did_not_meet_what_it_was_to_meet_shows_nothing() -> None:
    """It began when the others were over, say: neither its success nor its failure is the path's."""
    late = replace(Build().evidence(), late=MARGIN + 0.1)
    assert spared(late)
    assert doubt_of(late, judge(late)).wait
    assert doubt_of(late, judge(late)).ending
    assert not spared(replace(late, late=MARGIN - 0.1))


def test_what_came_over_a_new_connection_in_place_of_a_kept_one_shows_nothing() -> None:
    """Neither its success nor its failure."""
    for build in (Build(), CUT):
        evidence = build.evidence()
        evidence = replace(evidence, trace=replace(evidence.trace, unkept=True))
        assert set(vars(doubt_of(evidence, judge(evidence))).values()) == {UNKEPT}
        assert spared(evidence) == UNKEPT


REFUSED = Build(sent=(), status=503, has_ledger=False, reason=None, marker=False, body=b"", ended=START + 0.5)
"""The path refused it, and the model server never had it."""


def test_what_never_came_to_a_model_that_was_late_with_others_is_in_doubt() -> None:
    """A path that takes so many at once has more of them where each takes longer; no ledger of its own tells that."""
    late, punctual = Build(interval=0.5, plan={"interval": "100ms"}).evidence(), Build().evidence()
    refused = REFUSED.evidence()
    verdict = judge(refused)
    assert verdict.ending is Ending.PROXY_ERROR_STATUS
    assert doubt_of(refused, verdict, others_of([punctual, refused])[1]) == NOBODY_LATE
    others = others_of([late, refused, punctual])
    # The fifth token was due after 0.4 s and left after 2.5 s.
    assert [each.late for each in others] == [0.0, pytest.approx(2.1), 0.0]
    in_doubt = doubt_of(refused, verdict, others[1])
    assert in_doubt.ending == in_doubt.wait == "the model server was 2,100 ms late with others meanwhile"


def test_a_stop_of_the_model_server_before_others_came_counts_for_who_never_came() -> None:
    """Their requests lay at its door as long as it slept, and the refused one was turned away for them."""
    asleep = Build(model_stalls=(Stall(START, START + 0.4),), on_its_way=0.4).evidence()
    assert others_of([REFUSED.evidence(), asleep])[0].late == pytest.approx(0.4)


def test_who_was_turned_away_before_the_others_began_is_in_no_doubt_for_them() -> None:
    """What comes later has turned nobody away."""
    later = Build(interval=0.5, plan={"interval": "100ms"}).evidence()
    later = replace(later, trace=replace(later.trace, started=START + 0.6))
    assert [each.late for each in others_of([REFUSED.evidence(), later])] == [0.0, 0.0]


def test_who_is_turned_away_once_the_others_are_over_is_in_no_doubt_for_them() -> None:
    """What is asked again by itself meets nobody."""
    late = Build(interval=0.5, plan={"interval": "100ms"}).evidence()
    trace = REFUSED.evidence().trace
    again = replace(REFUSED.evidence(), trace=replace(trace, started=late.trace.ended, ended=late.trace.ended + 0.1))
    assert [each.late for each in others_of([late, again])] == [0.0, 0.0]


def test_the_model_servers_lateness_with_others_is_no_excuse_for_what_it_had() -> None:
    """Of that its own ledger tells."""
    late = Build(interval=0.5, plan={"interval": "100ms"}).evidence()
    assert [each.late for each in others_of([CUT.evidence(), late])] == [0.0, 0.0]
