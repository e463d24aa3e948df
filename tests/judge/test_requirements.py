from __future__ import annotations

import gzip
import subprocess
import sys
from dataclasses import replace

import pytest

from lab.evidence import HttpVersion, Refusal, Stall, TransportEnd
from lab.judge import REQUIREMENTS, Exchanged, Observation, Reported, observe
from lab.judge.rules import went_on
from lab.judge.slow_readers import MOST_IN_SOCKETS
from lab.suite.exchange import Exchange
from lab.vocabulary import Requirement, State

from .builder import START, Build, lockstep
from .readings import CASES, PREFIX, WHOLE

TEN = Build(whole=10)
OVER = WHOLE.but(ended=START + 0.9)
SLOW = Build(whole=20, written=10, reason=None, marker=False, end=TransportEnd.RESET, fault="rst@10")
CUT = PREFIX.but(end=TransportEnd.SHORT_FIN, fault="fin@3")
BATCH = Build(stream=False, whole=20, interval=0.2)
STREAM = BATCH.but(stream=True)
EARLY = Build(interval=0.5, plan={"headers": "early", "ttft": 0.5}, headers_at=START + 0.01)
LATE_HEADERS = EARLY.but(headers_at=START + 0.6)
# Token 1 leaves at 1 s, token 2 at 2 s, and between them two heartbeats.
BEATING = Build(whole=2, interval=1.0, plan={"ttft": 1.0}, heartbeats=(START + 1.3, START + 1.6))
LEFT = PREFIX.but(end=TransportEnd.LEFT, ended=START + 1.0, finished=False)
REUSED = WHOLE.but(reused=True)
LONG = "x" * (MOST_IN_SOCKETS + 1)
# Its client read nothing in the first three seconds, and then the rest.
PAUSED = Build(pause=Stall(START, START + 3), arrivals=dict.fromkeys(range(1, 6), START + 3.001))
HUNG = PREFIX.but(end=TransportEnd.MIDDLE_TIMEOUT, fault="fin@3", ended=START + 30.0)

MET: dict[str, list[dict[str, Build]]] = {
    "delivers-tokens-as-they-come": [{"stream": lockstep(TEN)}],
    "sends-headers-at-once": [{"stream": EARLY}],
    "passes-heartbeats-on": [{"stream": BEATING.but(beats=(START + 1.31, START + 1.61))}],
    "waits-for-the-first-token": [{"stream": WHOLE}, {"stream": WHOLE.but(end=TransportEnd.RESET)}],
    "survives-silence": [{"stream": WHOLE, "control": WHOLE}],
    "lets-long-answers-finish": [{"stream": WHOLE}],
    "waits-for-batch-replies": [{"batch": BATCH}],
    "shows-a-cut-as-a-cut": [{"stream": CUT}, {"stream": CASES["i-proxy-page"][0]}, {"stream": CUT, "whole": WHOLE}],
    "forges-no-end": [{"stream": CUT}, {"stream": CASES["d-framed-truncation"][0]}],
    "ends-when-the-model-dies": [{"stream": CUT}, {"stream": CASES["i-proxy-page"][0], "other": CUT}],
    "delivers-what-was-sent": [{"stream": SLOW.but(sent=range(1, 11))}, {"stream": SLOW.but(sent=range(1, 7))}],
    "passes-errors-on": [{"event": CASES["f-error-event"][0], "status": CASES["i-vendor-error"][0]}],
    "stops-when-the-client-leaves": [
        {"stream": LEFT.but(client_left=START + 1.2)},
        {"batch": BATCH.but(end=TransportEnd.LEFT, ended=START + 1.0, body=b"", client_left=START + 2.9)},
    ],
    "generates-once": [{"stream": WHOLE, "refused": CASES["i-vendor-error"][0]}],
    "moves-the-first-token-forward": [{"stream": STREAM, "batch": BATCH}],
    "makes-partial-answers-visible": [{"partial": CUT, "complete": WHOLE}],
    "serves-others-meanwhile": [{"first": WHOLE, "next": WHOLE.but(on_its_way=0.6)}],
    "turns-nobody-away": [{"first": WHOLE, "late": WHOLE.but(on_its_way=1.6)}],
    "survives-a-reload": [{"stream": WHOLE}],
    "survives-a-model-restart": [{"stream": WHOLE}],
    "reuses-connections": [{"one": WHOLE, "two": REUSED}, {"one": WHOLE, "two": WHOLE, "3": REUSED, "4": REUSED}],
    "reuses-no-closed-connection": [{"first": WHOLE, "next": WHOLE}],
    "waits-for-slow-readers": [{"slow": PAUSED.but(sent=(1, 2, LONG, 3, 4, 5)), "steady": WHOLE}],
}

NOT_MET: dict[str, list[dict[str, Build]]] = {
    "delivers-tokens-as-they-come": [
        {"stream": lockstep(TEN, confirmed=False)},
        {"stream": lockstep(TEN, late=0.2)},
        {"stream": lockstep(TEN), "other": lockstep(TEN, confirmed=False)},
    ],
    "sends-headers-at-once": [
        {"stream": EARLY.but(headers_at=START + 0.6)},
        # With the token, as a clock has it that is a little off.
        {"stream": EARLY.but(headers_at=START + EARLY.left(1) - 0.01)},
        {"stream": EARLY, "other": EARLY.but(headers_at=START + 0.6)},
    ],
    "passes-heartbeats-on": [
        {"stream": BEATING},
        {"stream": BEATING.but(beats=(START + 2.01, START + 2.01))},
        {"stream": BEATING.but(arrivals={1: START + 1.5})},
    ],
    "waits-for-the-first-token": [{"stream": CASES["i-proxy-page"][0]}],
    "survives-silence": [{"stream": CUT, "control": WHOLE}],
    "lets-long-answers-finish": [{"stream": CASES["e-close-delimited"][0]}],
    "waits-for-batch-replies": [{"batch": BATCH.but(body=b'{"id"', end=TransportEnd.SHORT_FIN)}],
    "shows-a-cut-as-a-cut": [
        {"stream": CASES["e-close-delimited"][0]},
        {"stream": CASES["d-forged-by-the-path"][0]},
        {"stream": PREFIX.but(end=TransportEnd.MIDDLE_TIMEOUT, fault="fin@3")},
        {"stream": CUT, "other": CASES["d-framed-truncation"][0]},
    ],
    "forges-no-end": [{"stream": CASES["d-forged-by-the-path"][0]}, {"stream": CUT, "other": CASES["d-forged"][0]}],
    "ends-when-the-model-dies": [
        {"stream": HUNG},
        {"stream": CUT.but(ended=START + 9.0)},
        {"stream": CUT, "other": HUNG},
    ],
    "delivers-what-was-sent": [{"stream": SLOW.but(sent=())}, {"stream": SLOW.but(sent=(1, 2, 3))}],
    "passes-errors-on": [
        {"event": CASES["d-framed-truncation"][0].but(fault="error@3")},
        {"event": CASES["f-error-event"][0], "status": CASES["i-vendor-error-replaced"][0]},
    ],
    "stops-when-the-client-leaves": [
        {"stream": LEFT.but(client_left=START + 3.2)},
        {"stream": LEFT.but(client_left=START + 1.1), "batch": LEFT.but(client_left=START + 8.0)},
    ],
    "generates-once": [{"stream": WHOLE.but(attempts=2)}, {"stream": WHOLE, "other": CUT.but(attempts=3)}],
    "moves-the-first-token-forward": [
        {"stream": STREAM.but(arrivals=dict.fromkeys(range(1, 21), 104.2)), "batch": BATCH},
        {"stream": STREAM.but(interval=0.5, plan={"ttft": 0.5}), "batch": BATCH},
        {"stream": STREAM, "batch": BATCH.but(body=b"{}")},
    ],
    "makes-partial-answers-visible": [
        {"complete": CUT},
        {"partial": WHOLE},
        {"complete": WHOLE, "failed": CUT},
        {"complete": WHOLE, "partial miscounted": CUT},
    ],
    "serves-others-meanwhile": [
        {"first": WHOLE, "seventh": WHOLE.but(queued=0.9, on_its_way=0.2)},
        {"first": OVER, "next": WHOLE.but(on_its_way=1.6)},
        {"first": OVER, "in the handshake": WHOLE.but(connected_at=START - 0.6, on_its_way=1.0)},
        {"first": WHOLE, "next": CUT},
        {"first": WHOLE, "next": CASES["i-proxy-page"][0].but(has_ledger=False)},
    ],
    "turns-nobody-away": [{"first": WHOLE, "next": CASES["i-proxy-page"][0].but(has_ledger=False)}],
    "survives-a-reload": [{"stream": WHOLE, "other": CUT}],
    "survives-a-model-restart": [{"one": WHOLE, "two": CUT}],
    "reuses-connections": [{"one": WHOLE, "two": WHOLE}, {"one": WHOLE, "two": WHOLE, "three": REUSED}],
    "reuses-no-closed-connection": [
        {"first": WHOLE, "next": CASES["i-proxy-page"][0].but(has_ledger=False)},
        {"first": WHOLE, "next": Build(sent=(), status=0, has_ledger=False, end=TransportEnd.RESET)},
    ],
    "waits-for-slow-readers": [{"slow": CUT.but(fault="", pause=Stall(START, START + 3)), "steady": WHOLE}],
}

NOTHING_TO_SEE: dict[str, dict[str, Build]] = {
    "delivers-tokens-as-they-come": {"batch": BATCH, "without lockstep": WHOLE},
    "sends-headers-at-once": {"stream": WHOLE},
    "passes-heartbeats-on": {"stream": WHOLE},
    "waits-for-the-first-token": {},
    "survives-silence": {},
    "lets-long-answers-finish": {},
    "waits-for-batch-replies": {},
    "shows-a-cut-as-a-cut": {"stream": WHOLE},
    "forges-no-end": {"stream": WHOLE},
    "ends-when-the-model-dies": {"stream": WHOLE},
    "delivers-what-was-sent": {"stream": CUT},
    "passes-errors-on": {"stream": WHOLE},
    "stops-when-the-client-leaves": {"stream": WHOLE},
    "generates-once": {"stream": WHOLE.but(has_ledger=False)},
    "moves-the-first-token-forward": {"stream": STREAM},
    "makes-partial-answers-visible": {},
    "serves-others-meanwhile": {},
    "turns-nobody-away": {},
    "survives-a-reload": {},
    "survives-a-model-restart": {},
    "reuses-connections": {"one": WHOLE, "lost": REUSED.but(has_ledger=False)},
    "reuses-no-closed-connection": {},
    "waits-for-slow-readers": {"short": PAUSED, "steady": WHOLE},
}


def find(requirement: str, builds: dict[str, Build]) -> Observation:
    """Hold builds against a requirement.

    For the rule about consumers, the first word of a name is what the consumer told; `miscounted` makes it
    count one token too few.
    """
    asked = [Exchange(name, build.the_plan, stream=build.stream) for name, build in builds.items()]
    made = Exchanged.together(asked, [build.evidence() for build in builds.values()])
    exchanges = {each.name: each for each in made}
    told = {
        name: Reported(name.split()[0], each.verdict.received - name.endswith("miscounted"))
        for name, each in exchanges.items()
    }
    return observe(Requirement(requirement), exchanges, told)


def rows(table: dict[str, list[dict[str, Build]]]) -> list[pytest.ParameterSet]:
    """The table's rows with readable ids."""
    return [
        pytest.param(key, row, id=f"{key}-{number}") for key, found in table.items() for number, row in enumerate(found)
    ]


@pytest.mark.parametrize("table", [MET, NOT_MET, NOTHING_TO_SEE], ids=["met", "not met", "nothing to see"])
def test_every_requirement_is_tested_each_way(table: dict[str, object]) -> None:
    """No requirement can be added without readings that meet it, miss it, and show nothing."""
    assert list(table) == list(REQUIREMENTS)


@pytest.mark.parametrize(
    "slow",
    [WHOLE.but(on_its_way=1.1), WHOLE.but(connected_at=START - 0.1, on_its_way=0.95)],
    ids=["on its way", "in the handshake"],
)
def test_who_is_late_while_all_others_run_on_waited_for_none_of_them(slow: Build) -> None:
    """A proxy that gets too little of the processor; the same wait up to another's end is a queue."""
    running = WHOLE.but(whole=30)
    found = find("serves-others-meanwhile", {"first": running, "next": slow})
    assert (found.state, found.doubtful) == (State.INCONCLUSIVE, ("next",))
    assert find("serves-others-meanwhile", {"first": running, "ends": OVER, "next": slow}).state is State.NOT_MET


@pytest.mark.parametrize(("requirement", "builds"), rows(MET))
def test_requirements_are_met(requirement: str, builds: dict[str, Build]) -> None:
    """A path that does what is asked meets the requirement."""
    finding = find(requirement, builds)
    assert finding.state is State.MET, finding


@pytest.mark.parametrize(("requirement", "builds"), rows(NOT_MET))
def test_requirements_are_missed(requirement: str, builds: dict[str, Build]) -> None:
    """A path that fails in one exchange misses the requirement, and the finding says where with numbers."""
    finding = find(requirement, builds)
    assert finding.state is State.NOT_MET, finding
    assert finding.sentence == REQUIREMENTS[requirement].sentence
    assert any(character.isdigit() for character in finding.actual)


def test_what_never_came_to_the_model_proves_nothing_about_delivery() -> None:
    """A request that waited for a place until the probe gave up: neither met nor not met, beside others that came."""
    came, waited = lockstep(WHOLE), lockstep(WHOLE, confirmed=False).but(sent=(), has_ledger=False)
    requirement = "delivers-tokens-as-they-come"
    assert find(requirement, {"one": waited}).state is State.INCONCLUSIVE
    assert find(requirement, {"one": came, "other": waited}).state is State.INCONCLUSIVE
    assert find(requirement, {"one": came}).state is State.MET


@pytest.mark.parametrize("requirement", NOTHING_TO_SEE)
def test_nothing_to_see_is_not_met_and_says_so(requirement: str) -> None:
    """A requirement that no exchange tests is neither met nor missed."""
    finding = find(requirement, NOTHING_TO_SEE[requirement])
    assert (finding.met, finding.state) == (False, State.INCONCLUSIVE)


def test_only_those_that_fail_are_told() -> None:
    """Among several exchanges the finding names the one at fault."""
    finding = find("survives-silence", {"silent": CUT, "steady": WHOLE})
    assert "silent:" in finding.actual
    assert "steady" not in finding.actual


def test_the_judge_loads_no_event_loop_and_no_client() -> None:
    """The judge is pure: importing it brings in neither asyncio nor aiohttp nor docker."""
    program = "import sys, lab.judge; print([m for m in ('asyncio', 'aiohttp', 'docker') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


HEARD = BEATING.but(beats=(START + 1.31, START + 1.61))
REFUSED = Build(sent=(), written=0, reason=None, marker=False, has_ledger=False, status=502, body=b"<html>")


@pytest.mark.parametrize(
    ("requirement", "good", "lost"),
    [
        ("shows-a-cut-as-a-cut", CUT, REFUSED.but(fault="fin@3")),
        ("delivers-what-was-sent", SLOW.but(sent=range(1, 11)), REFUSED.but(fault="rst@3", plan={"fault_delay": "1s"})),
        ("passes-errors-on", CASES["f-error-event"][0], REFUSED.but(fault="status@503")),
        ("sends-headers-at-once", EARLY, REFUSED.but(plan={"headers": "early"})),
        (
            "passes-heartbeats-on",
            BEATING.but(beats=(START + 1.31, START + 1.61)),
            REFUSED.but(plan={"heartbeat": "1s"}),
        ),
        ("generates-once", WHOLE, REFUSED),
        ("forges-no-end", CUT, REFUSED.but(fault="fin@3")),
        ("ends-when-the-model-dies", CUT, REFUSED.but(fault="fin@3")),
    ],
)
def test_one_that_was_to_show_it_and_did_not_forbids_met(requirement: str, good: Build, lost: Build) -> None:
    """What the path refused before it came to anything is no proof that the path is good."""
    assert find(requirement, {"good": good}).state is State.MET
    told = find(requirement, {"good": good, "refused": lost})
    assert told.state is State.INCONCLUSIVE
    assert "refused" in told.actual


def test_a_client_that_left_and_was_refused_forbids_met() -> None:
    """That it left is what the exchange was planned for, and nobody saw it leave."""
    left = Exchange("left", LEFT.the_plan, leave_after=1.0)
    good = Exchanged.alone(left, LEFT.but(client_left=START + 1.2).evidence())
    refused = Exchanged.alone(left, REFUSED.evidence())
    stops = Requirement.STOPS_WHEN_THE_CLIENT_LEAVES
    assert observe(stops, {"good": good}).state is State.MET
    assert observe(stops, {"good": good, "refused": refused}).state is State.INCONCLUSIVE


def test_a_late_probe_explains_no_model_that_went_on_to_its_end() -> None:
    """That it stopped for a while moved the leaving; that the model was never told is the path's doing."""
    stall = (Stall(START + 0.2, START + 0.7),)
    never = LEFT.but(stalls=stall, finished=True, interval=0.5, whole=12, written=12)
    assert find("stops-when-the-client-leaves", {"stream": never}).state is State.NOT_MET
    late = LEFT.but(stalls=stall, client_left=START + 3.4)
    assert find("stops-when-the-client-leaves", {"stream": late}).state is State.INCONCLUSIVE
    asleep = LEFT.but(model_stalls=(Stall(START + 1.0, START + 3.0),), client_left=START + 3.1)
    assert find("stops-when-the-client-leaves", {"stream": asleep}).state is State.MET


def test_a_model_that_has_the_request_after_its_client_left_goes_on_from_then() -> None:
    """LiteLLM on a busy machine asks 1.8 s after its client has left, and stops the model 0.3 s later (measured)."""
    late = LEFT.but(on_its_way=2.8, written=0, client_left=START + 3.14)
    assert went_on(Exchanged.alone(Exchange("left", late.the_plan), late.evidence())) == pytest.approx(0.34)
    again = late.but(attempts=2)
    assert went_on(Exchanged.alone(Exchange("left", late.the_plan), again.evidence())) == pytest.approx(2.14)


def test_a_model_that_is_through_at_once_shows_nothing_about_leaving() -> None:
    """Its end so soon after the client's may be its own, whether or not it learnt of it."""
    through = Build(whole=3, interval=0.5, end=TransportEnd.LEFT, ended=START + 1.4)
    assert find("stops-when-the-client-leaves", {"stream": through}).state is State.INCONCLUSIVE


def test_an_end_that_the_path_makes_up_is_forged_while_the_model_lives() -> None:
    """Five of ten tokens, and then a reason and a marker that the model had not sent."""
    forged = Build(whole=10, written=10, sent=range(1, 6))
    assert find("forges-no-end", {"stream": forged, "other": CUT}).state is State.NOT_MET


def test_heartbeats_that_are_held_are_not_passed_on() -> None:
    """One of four in time, and the others with the token."""
    beats = tuple(START + 1.2 + n / 5 for n in range(4))
    held = BEATING.but(heartbeats=beats, beats=(beats[0] + 0.01, *(START + 2.01,) * 3))
    assert find("passes-heartbeats-on", {"stream": held}).state is State.NOT_MET


def test_a_silence_that_was_cut_short_is_not_survived() -> None:
    """The token after it left late, and the silence was a second shorter than planned."""
    spared = Build(whole=4, interval=1.0, plan={"interval": 1.0, "ttft": 1.0, "gaps": ["4@2s"]})
    told = find("survives-silence", {"stream": spared})
    assert told.state is State.INCONCLUSIVE
    assert "lasted for" in told.doubt


def test_what_is_met_is_met_up_to_a_wait_that_somebody_saw() -> None:
    """In lockstep nobody waits for the times of the plan, and without a ledger nobody knows."""
    slow = Build(interval=2.0, plan={"ttft": 2.0})
    assert find("lets-long-answers-finish", {"stream": slow}).up_to == pytest.approx(10.0)
    assert find("lets-long-answers-finish", {"stream": slow.but(has_ledger=False)}).up_to is None
    assert find("lets-long-answers-finish", {"stream": lockstep(Build(interval=2.0))}).up_to is None


def test_heartbeats_until_a_cut_have_come() -> None:
    """Whatever ended the silence, the heartbeats before it were passed on."""
    cut = BEATING.but(written=1, sent=(1,), reason=None, marker=False, end=TransportEnd.SHORT_FIN, ended=START + 1.9)
    assert find("passes-heartbeats-on", {"stream": cut.but(beats=(START + 1.31, START + 1.61))}).state is State.MET


def test_a_client_that_left_before_its_request_arrived_says_nothing_of_generations() -> None:
    """The others tell; one that the path refused before its client could leave forbids "met"."""
    left = REFUSED.but(end=TransportEnd.LEFT, status=0, body=b"", ended=START + 1.0)
    assert find("generates-once", {"good": WHOLE, "left": left}).state is State.MET
    assert find("generates-once", {"left": left}).state is State.INCONCLUSIVE
    assert find("generates-once", {"good": WHOLE, "left": left, "refused": REFUSED}).state is State.INCONCLUSIVE


@pytest.mark.parametrize(
    ("stall", "beats", "state"),
    [
        # Heartbeats at 1.3 and 1.6, the next token at 2.0: the second has less time than it needs to show anything.
        ((1.85, 1.99), (1.31,), State.MET),
        ((1.85, 1.99), (), State.NOT_MET),
        # The probe slept through most of it: what it did not read then, nobody was late with.
        ((1.35, 1.99), (), State.INCONCLUSIVE),
    ],
)
def test_a_stall_of_the_probe_unmakes_no_heartbeat(
    stall: tuple[float, float], beats: tuple[float, ...], state: State
) -> None:
    """One that came in time came, whatever the probe missed after it; one that had the time and did not is late."""
    asleep = BEATING.but(beats=tuple(START + at for at in beats), stalls=(Stall(START + stall[0], START + stall[1]),))
    told = find("passes-heartbeats-on", {"stream": asleep})
    assert told.state is state
    assert bool(told.doubt) is (state is State.INCONCLUSIVE)


SILENT = Build(
    whole=2,
    interval=3.0,
    plan={"ttft": 3.0, "interval": 3.0},
    heartbeats=tuple(START + 3.3 + 0.3 * n for n in range(8)),
)
"""Token 1 at 3 s, token 2 at 6 s, and between them eight heartbeats."""


@pytest.mark.parametrize(
    ("beats", "state"),
    [
        ([0.01] * 8, State.MET),
        ([0.2] * 8, State.MET),
        # One just before the next token stands for one of the eight, and not for all.
        ([None] * 7 + [0.55], State.NOT_MET),
        ([0.01] * 4 + [None] * 4, State.NOT_MET),
        ([2.6 - 0.3 * n for n in range(8)], State.NOT_MET),
    ],
    ids=["at once", "a hold of 0.2 s", "only the last", "the first half", "all at the end"],
)
def test_each_heartbeat_comes_by_itself(beats: list[float | None], state: State) -> None:
    """How long each took, None for one that was swallowed."""
    came = [sent + took for sent, took in zip(SILENT.heartbeats, beats, strict=True) if took is not None]
    assert find("passes-heartbeats-on", {"stream": SILENT.but(beats=tuple(came))}).state is state


def test_heartbeats_of_a_short_silence_count() -> None:
    """The next token follows at once, and what came before it came."""
    short = Build(whole=2, interval=0.7, plan={"ttft": 1.0}, heartbeats=(START + 0.3,))
    assert find("passes-heartbeats-on", {"stream": short.but(beats=(START + 0.301,))}).state is State.MET


def test_heartbeats_after_the_path_ended_the_reply_are_nobodys() -> None:
    """The model goes on, for the path does not tell it; what it sends then nobody was to hand on."""
    reset = SILENT.but(sent=(1,), reason=None, marker=False, end=TransportEnd.RESET, ended=START + 3.7)
    assert find("passes-heartbeats-on", {"stream": reset.but(beats=(START + 3.31, START + 3.61))}).state is State.MET


@pytest.mark.parametrize(("version", "state"), [("2", State.MET), ("1.1", State.INCONCLUSIVE)])
def test_an_exchange_over_http_2_shows_nothing_in_another_version(version: str, state: State) -> None:
    """A server that does not offer it answers in HTTP/1.1, and nobody has seen its HTTP/2."""
    evidence = lockstep(TEN).evidence()
    asked = Exchange("stream", TEN.the_plan, http=HttpVersion.HTTP_2)
    made = Exchanged.alone(asked, replace(evidence, trace=replace(evidence.trace, version=version)))
    assert observe(Requirement.DELIVERS_TOKENS_AS_THEY_COME, {"stream": made}).state is state


def test_a_death_that_comes_too_soon_says_what_the_plan_lacks() -> None:
    """One exchange whose model died at once: nobody can tell whether its tokens were lost by the path."""
    found = find("delivers-what-was-sent", {"stream": CUT})
    assert "none of 1" not in found.evidence
    assert 'fault_delay = "500ms"' in found.evidence


@pytest.mark.parametrize("requirement", ["delivers-tokens-as-they-come", "lets-long-answers-finish"])
def test_what_most_clients_do_not_read_is_not_met(requirement: str) -> None:
    """Each piece comes at once, as a gzip member of its own; the same in one piece of text is met."""
    build = lockstep(TEN)
    exchange, whole = Exchange("stream", build.the_plan), build.evidence()
    body = tuple(replace(read, data=gzip.compress(read.data)) for read in whole.trace.body)
    headers = (*whole.trace.headers, ("content-encoding", "gzip"))
    packed = replace(whole, trace=replace(whole.trace, body=body, reads=body, headers=headers))
    plain, found = (
        observe(Requirement(requirement), {"stream": Exchanged.alone(exchange, each)}, {}) for each in (whole, packed)
    )
    assert plain.met
    assert found.state is State.NOT_MET
    assert "a client that stops after the first gets" in found.evidence


@pytest.mark.parametrize(
    "requirement", ["survives-silence", "lets-long-answers-finish", "moves-the-first-token-forward"]
)
def test_what_the_model_server_does_not_serve_is_not_the_paths_fault(requirement: str) -> None:
    """Its 404 says nothing of the path: that cannot be told, and what was asked for is named."""
    build = Build(sent=(), status=404, body=b"{}", has_ledger=False)
    refused = Refusal("POST", "/chat", 404, "which it does not serve", START, request="mine")
    evidence = replace(build.evidence(), path="/api/chat", refusals=(refused,))
    names = ("stream", "batch")
    made = {name: Exchanged.alone(Exchange(name, build.the_plan), evidence) for name in names}
    found = observe(Requirement(requirement), made)
    assert found.state is State.INCONCLUSIVE
    assert "the model server was asked for /chat, which it does not serve" in found.evidence
