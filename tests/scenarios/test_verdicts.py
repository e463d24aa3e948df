from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import replace

import pytest
from judge.builder import START, Build, lockstep

from lab.catalogue.schema import SymptomTable
from lab.evidence import Stall, TransportEnd
from lab.judge import Exchanged
from lab.scenarios.verdicts import conclude
from lab.vocabulary import Cause, Delivery, Ending, Flag, Outcome, Requirement, Variant

from .scenes import concluded, make_case

IDLE = Requirement.SURVIVES_SILENCE
DELIVERS = Requirement.DELIVERS_TOKENS_AS_THEY_COME
VISIBLE = Requirement.MAKES_PARTIAL_ANSWERS_VISIBLE

WHOLE = Build()
DEAD = Build(sent=(1, 2, 3), written=3, reason=None, marker=False, end=TransportEnd.SHORT_FIN, fault="fin@3")

# A route with an idle timeout of 2 s. The proxy cuts 2 s after token 3, which left at second 0.3 of the
# exchange; a stream that is never silent lives longer than that, so no total timeout can be at work.
GAP = Build(
    whole=5,
    sent=(1, 2, 3),
    written=3,
    reason=None,
    marker=False,
    end=TransportEnd.SHORT_FIN,
    ended=START + 2.3,
    client_left=START + 2.3,
    finished=False,
    plan={"gaps": ["4@5s"]},
)
STEADY = Build(whole=30)
CUT = SymptomTable(ending=Ending.CUT, cause=Cause.IDLE_TIMEOUT, received=3, status=200, timeout=2.0)


def outcome_of_gap(symptom: SymptomTable, build: Build = GAP) -> Outcome:
    """The outcome of a broken variant with one cut exchange, and one that is its control."""
    builds = {"gap": build, "steady": STEADY}
    return concluded(Variant.BROKEN, IDLE, builds, symptom={"gap": symptom})[0]


def test_a_case_whose_exchanges_never_reached_the_model_server_says_so_first() -> None:
    """A health check that takes it out, or a listener that answers by itself: no requirement was put to the test."""
    lost = Build(sent=(), status=503, body=b"<h1>No server</h1>", has_ledger=False)
    outcome, findings = concluded(Variant.FIXED, DELIVERS, {"tokens": lost, "more": lost})
    assert outcome is Outcome.FAILED
    assert findings[0].actual == "no exchange reached the model server; it was asked for nothing"
    reached = concluded(Variant.FIXED, DELIVERS, {"tokens": lost, "more": DEAD})[1]
    assert not any("no exchange reached" in finding.actual for finding in reached)


def test_a_remedy_is_for_what_was_seen_to_fail() -> None:
    """No line of a proxy's mends a stream that never came to the model server, or was too short to tell."""
    held = concluded(Variant.FIXED, DELIVERS, {"tokens": lockstep(WHOLE, confirmed=False)})[1]
    untold = concluded(Variant.FIXED, DELIVERS, {"tokens": WHOLE})[1]
    assert [bool(finding.remedy) for finding in held if not finding.met] == [True]
    assert [finding.remedy for finding in untold if not finding.met] == [""]


class TestBrokenSide:
    def test_passes_with_its_symptom_and_a_broken_requirement(self) -> None:
        """Both together are what a broken variant is there to show."""
        outcome, findings = concluded(Variant.BROKEN, IDLE, {"gap": GAP, "steady": STEADY}, symptom={"gap": CUT})
        assert outcome is Outcome.PASSED
        assert [finding.met for finding in findings] == [True, True]
        assert "2.00 s" in findings[0].actual

    def test_a_symptom_without_a_broken_requirement_fails(self) -> None:
        """A scenario whose broken variant meets the requirement demonstrates nothing."""
        symptom = {"gap": SymptomTable(ending=Ending.COMPLETE)}
        outcome, (shown, broken) = concluded(Variant.BROKEN, IDLE, {"gap": WHOLE}, symptom=symptom)
        assert outcome is Outcome.FAILED
        assert shown.met
        assert not broken.met
        assert broken.expected == "not: every exchange complete"

    def test_a_broken_requirement_without_the_symptom_fails(self) -> None:
        """Whatever broke was not what the scenario is about."""
        symptom = {"gap": SymptomTable(ending=Ending.SILENTLY_TRUNCATED)}
        outcome, (shown, broken) = concluded(Variant.BROKEN, IDLE, {"gap": DEAD}, symptom=symptom)
        assert outcome is Outcome.FAILED
        assert not shown.met
        assert broken.met

    def test_an_inconclusive_requirement_is_no_broken_one(self) -> None:
        """A model server that never died neither breaks nor meets a requirement about dying."""
        symptom = {"fin": SymptomTable(ending=Ending.COMPLETE)}
        outcome, findings = concluded(Variant.BROKEN, Requirement.SHOWS_A_CUT_AS_A_CUT, {"fin": WHOLE}, symptom=symptom)
        assert outcome is Outcome.FAILED
        assert "either way" in findings[-1].actual

    def test_one_exchange_of_many_without_the_symptom_fails(self) -> None:
        """The symptom is claimed of every exchange of a family; the sum and the one without it both say so."""
        symptom = {"gap": SymptomTable(ending=Ending.CUT)}
        outcome, findings = concluded(Variant.BROKEN, IDLE, {"gap-01": DEAD, "gap-02": WHOLE}, symptom=symptom)
        assert outcome is Outcome.FAILED
        summed_up, alone, broken = findings
        assert (summed_up.expected, summed_up.actual) == ("2 with ending cut", "1 with ending cut")
        assert alone.requirement.startswith("gap-02")
        assert [finding.met for finding in findings] == [False, False, True]
        assert broken.actual.startswith("gap-01")

    def test_some_of_many_may_show_the_symptom_where_the_others_are_complete(self) -> None:
        """At least one of them; and where one fails in another way, that is not what the scenario is about."""
        symptom = {"gap": SymptomTable(some=True, ending=Ending.CUT)}
        page = WHOLE.but(status=502, body=b"<html>", sent=(), reason=None, marker=False)
        for third, outcome in ((DEAD, Outcome.PASSED), (WHOLE, Outcome.PASSED), (page, Outcome.FAILED)):
            builds = {"gap-01": DEAD, "gap-02": WHOLE, "gap-03": third}
            assert concluded(Variant.BROKEN, IDLE, builds, symptom=symptom)[0] is outcome
        outcome, (shown, _) = concluded(Variant.BROKEN, IDLE, {"gap-01": WHOLE, "gap-02": WHOLE}, symptom=symptom)
        assert outcome is Outcome.FAILED
        assert (shown.expected, shown.actual.partition(";")[0]) == (
            "at least 1 with ending cut",
            "0 of 2 with that, 2 complete",
        )

    def test_some_of_many_may_break_their_requirement(self) -> None:
        """Where nothing else is said of them, that is what at least one has to do."""
        symptom = {"gap": SymptomTable(some=True)}
        outcome, findings = concluded(Variant.BROKEN, IDLE, {"gap-01": WHOLE, "gap-02": DEAD}, symptom=symptom)
        assert outcome is Outcome.PASSED
        assert findings[0].expected == "at least 1 with its requirement broken"
        assert concluded(Variant.BROKEN, IDLE, {"gap-01": WHOLE, "gap-02": WHOLE}, symptom=symptom)[0] is Outcome.FAILED

    def test_some_that_nobody_was_awake_to_see_are_no_failed_symptom(self) -> None:
        """Any of those that were late might have shown it; what failed in another way must be late itself."""
        late = WHOLE.but(stalls=(Stall(START, START + 1.0),))
        page = WHOLE.but(status=502, body=b"<html>", sent=(), reason=None, marker=False)
        symptom = {"gap": SymptomTable(some=True, ending=Ending.CUT)}
        for second, outcome in ((WHOLE, Outcome.INCONCLUSIVE), (page, Outcome.FAILED)):
            builds = {"gap-01": late, "gap-02": second}
            assert concluded(Variant.BROKEN, IDLE, builds, symptom=symptom)[0] is outcome

    def test_an_exchange_without_symptom_breaks_nothing(self) -> None:
        """Where only the control is cut, the requirement was not broken by what the scenario names."""
        builds = {"gap": WHOLE, "control": DEAD}
        outcome, findings = concluded(Variant.BROKEN, IDLE, builds, symptom={"gap": SymptomTable(received=5)})
        assert outcome is Outcome.FAILED
        assert [finding.met for finding in findings] == [True, False]

    def test_real_defaults_are_expected_to_fail_too(self) -> None:
        """The product's own timeout is a broken variant, however long it is."""
        symptom = {"gap": SymptomTable(ending=Ending.CUT)}
        assert concluded(Variant.REAL_DEFAULTS, IDLE, {"gap": DEAD}, symptom=symptom)[0] is Outcome.PASSED
        assert concluded(Variant.REAL_DEFAULTS, IDLE, {"gap": WHOLE}, symptom=symptom)[0] is Outcome.FAILED


class TestSymptom:
    @pytest.mark.parametrize(
        ("field", "wrong"),
        [
            ("delivery", Delivery.BATCHED),
            ("ending", Ending.SILENTLY_TRUNCATED),
            ("cause", Cause.TOTAL_TIMEOUT),
            ("status", 504),
            ("received", 4),
            ("timeout", 60.0),
        ],
    )
    def test_each_field_alone_can_fail_it(self, field: str, wrong: object) -> None:
        """A field that is never held against the evidence would let a wrong claim stand."""
        assert outcome_of_gap(CUT) is Outcome.PASSED
        assert outcome_of_gap(CUT.model_copy(update={field: wrong})) is Outcome.FAILED

    @pytest.mark.parametrize(
        ("timeout", "outcome"),
        [
            (1.7, Outcome.PASSED),
            (2.0, Outcome.PASSED),
            (2.3, Outcome.PASSED),
            (2.4, Outcome.FAILED),
            (1.0, Outcome.FAILED),
            (4.0, Outcome.FAILED),
        ],
    )
    def test_a_timeout_may_be_off_by_what_a_busy_machine_takes(self, timeout: float, outcome: Outcome) -> None:
        """Half a second late is a busy machine, 0.3 s early is nginx; anything else is another clock."""
        assert outcome_of_gap(SymptomTable(timeout=timeout)) is outcome

    def test_no_timeout_is_near_to_none(self) -> None:
        """An answer that the model itself cut short was ended by no timeout, whatever time that took."""
        symptom = {"gap": SymptomTable(ending=Ending.CUT, timeout=0.3)}
        outcome, findings = concluded(Variant.BROKEN, IDLE, {"gap": DEAD}, symptom=symptom)
        assert outcome is Outcome.FAILED
        assert "no timeout" in findings[0].actual

    def test_only_longer_answers_show_it(self) -> None:
        """With `longer_than`, what is shorter must be complete and what is longer must show the symptom."""
        symptom = {"gap": SymptomTable(ending=Ending.CUT, longer_than=1.0)}
        # The last token is due at 0.4 s and at 2.9 s.
        short, long = WHOLE, WHOLE.but(whole=30)
        cut = long.but(sent=(1, 2, 3), written=3, reason=None, marker=False, end=TransportEnd.SHORT_FIN, fault="fin@3")
        cases = {
            "as it should be": ({"gap-1": short, "gap-2": cut}, Outcome.PASSED),
            "the short one cut too": ({"gap-1": DEAD, "gap-2": cut}, Outcome.FAILED),
            "the long one whole": ({"gap-1": short, "gap-2": long}, Outcome.FAILED),
        }
        found = {
            name: concluded(Variant.BROKEN, IDLE, builds, symptom=symptom)[0] for name, (builds, _) in cases.items()
        }
        assert found == {name: outcome for name, (_, outcome) in cases.items()}


class TestOtherSides:
    @pytest.mark.parametrize("case", [Variant.FIXED, Variant.NOT_AFFECTED])
    @pytest.mark.parametrize(("build", "outcome"), [(WHOLE, Outcome.PASSED), (DEAD, Outcome.FAILED)])
    def test_pass_when_the_requirement_is_met(self, case: Variant, build: Build, outcome: Outcome) -> None:
        """A fixed or not affected variant has no symptom to show, only something to do right."""
        assert concluded(case, IDLE, {"gap": build})[0] is outcome

    @pytest.mark.parametrize("case", [Variant.FIXED, Variant.NOT_AFFECTED])
    def test_a_fix_by_which_requests_are_generated_twice_is_none(self, case: Variant) -> None:
        """Whatever the scenario asks about: hedged retries bring the answer, and the bill of three."""
        outcome, findings = concluded(case, IDLE, {"gap": WHOLE.but(attempts=3)})
        assert outcome is Outcome.FAILED
        assert [finding.about for finding in findings if not finding.met] == [Requirement.GENERATES_ONCE]
        assert findings[-1].actual == "gap: generated 3 times"

    def test_a_fix_that_asks_again_on_a_busy_machine_is_no_fix_yet(self) -> None:
        """The probe slept for a second: the path may have asked again for that, or as it always does."""
        slept = WHOLE.but(interval=0.8, attempts=3, stalls=(Stall(START, START + 1.0),))
        outcome, findings = concluded(Variant.FIXED, IDLE, {"gap": slept})
        assert outcome is Outcome.INCONCLUSIVE
        assert "gap: generated 3 times" in [finding.actual for finding in findings if not finding.met]

    def test_an_inconclusive_requirement_is_not_met(self) -> None:
        """A case may not pass because nothing happened in it."""
        assert concluded(Variant.FIXED, Requirement.SHOWS_A_CUT_AS_A_CUT, {"fin": WHOLE})[0] is Outcome.FAILED

    @pytest.mark.parametrize(("confirmed", "outcome"), [(True, Outcome.PASSED), (False, Outcome.FAILED)])
    def test_lockstep_decides_about_delivery(self, confirmed: bool, outcome: Outcome) -> None:
        """A token that the next one waited for is proof; a hold that ran out is proof of the opposite."""
        assert concluded(Variant.FIXED, DELIVERS, {"stream": lockstep(WHOLE, confirmed=confirmed)})[0] is outcome

    @pytest.mark.parametrize(("coding", "outcome"), [("identity", Outcome.FAILED), ("gzip", Outcome.PASSED)])
    def test_a_side_must_be_what_it_claims(self, coding: str, outcome: Outcome) -> None:
        """A case that is about compression may not pass because nothing was compressed."""
        plain = b"".join(read.data for read in WHOLE.evidence().trace.body)
        headers = (("content-type", "text/event-stream"), ("content-encoding", coding))
        build = WHOLE.but(body=gzip.compress(plain) if coding == "gzip" else plain, headers=headers)
        found, findings = concluded(Variant.FIXED, IDLE, {"stream": build}, shows=(Flag.COMPRESSED,))
        assert found is outcome
        assert findings[0].met
        assert "compressed" in findings[1].actual


class TestConsumers:
    DEATHS: Mapping[str, Build] = {
        "fin": DEAD,
        "rst": DEAD.but(end=TransportEnd.RESET, fault="rst@3"),
        "anthropic": DEAD.but(wire_format="anthropic-messages"),
    }
    CUT: Mapping[str, SymptomTable] = dict.fromkeys(DEATHS, SymptomTable(ending=Ending.CUT))
    CARELESS = ("careless.py:shows_as_whole", "careless.py:processes_half", "careless.py:drops_silently")

    @pytest.mark.parametrize("careless", CARELESS)
    def test_each_careless_one_is_seen_to_fail(self, careless: str) -> None:
        """Showing, processing and dropping half an answer are three failures, and each has its finding."""
        outcome, findings = concluded(Variant.BROKEN, VISIBLE, self.DEATHS, symptom=self.CUT, consumers=(careless,))
        assert outcome is Outcome.PASSED
        assert careless.partition(":")[2] in findings[-1].requirement

    def test_the_careful_one_does_not_fail(self) -> None:
        """The same bytes and the same ends, and every half answer is called one."""
        outcome, findings = concluded(Variant.FIXED, VISIBLE, self.DEATHS, consumers=("lab.consume",))
        assert outcome is Outcome.PASSED
        assert "told partial with 3 tokens" in findings[0].actual

    def test_one_careful_consumer_spoils_a_broken_case(self) -> None:
        """Every consumer of a broken variant must fail, so that none hides behind another."""
        consumers = (self.CARELESS[0], "lab.consume")
        outcome, findings = concluded(Variant.BROKEN, VISIBLE, self.DEATHS, symptom=self.CUT, consumers=consumers)
        assert outcome is Outcome.FAILED
        assert [finding.met for finding in findings[-2:]] == [True, False]

    def test_one_careless_consumer_spoils_a_fixed_case(self) -> None:
        """Every consumer of a fixed variant must tell the truth."""
        outcome, _ = concluded(Variant.FIXED, VISIBLE, self.DEATHS, consumers=("lab.consume", self.CARELESS[0]))
        assert outcome is Outcome.FAILED

    def test_a_whole_answer_is_no_evidence_of_carelessness(self) -> None:
        """On a whole answer careless consumers tell the truth, so a broken variant without a cut fails."""
        symptom = {"fin": SymptomTable(ending=Ending.COMPLETE)}
        outcome, _ = concluded(Variant.BROKEN, VISIBLE, {"fin": WHOLE}, symptom=symptom, consumers=self.CARELESS)
        assert outcome is Outcome.FAILED


class TestTheMachineWasBusy:
    """Probe or model server were late themselves: what that explains is inconclusive, and nothing else is."""

    # The plan says 0.1 s from token to token, the ledger 0.8 s: token 3 is due at 0.2 s and leaves at 2.4 s.
    LATE = DEAD.but(interval=0.8, plan={"interval": 0.1})
    ASLEEP = (Stall(START, START + 1.0),)

    def test_a_token_that_left_late_was_late_before_it_came_to_the_proxy(self) -> None:
        """Nothing is proved about a path that cut such a stream; the first finding tells who was late."""
        outcome, findings = concluded(Variant.FIXED, IDLE, {"gap": self.LATE})
        assert outcome is Outcome.INCONCLUSIVE
        assert "gap: a token left 2,200 ms late" in findings[0].actual
        assert len(findings) == 2

    def test_a_batch_reply_that_left_late_proves_nothing_either(self) -> None:
        """The path waited for longer than the plan asks for, and gave up."""
        gone = Build(stream=False, body=b"", status=504, end=TransportEnd.FRAMED, client_left=START + 6.0)
        late = gone.but(interval=1.2, plan={"interval": 0.1}, ended=START + 6.0)
        assert concluded(Variant.FIXED, Requirement.WAITS_FOR_BATCH_REPLIES, {"batch": gone})[0] is Outcome.FAILED
        assert concluded(Variant.FIXED, Requirement.WAITS_FOR_BATCH_REPLIES, {"batch": late})[0] is Outcome.INCONCLUSIVE

    def test_what_went_as_it_should_is_not_spoilt(self) -> None:
        """A proxy that did right by late tokens did right."""
        whole = WHOLE.but(interval=0.8, plan={"interval": 0.1}, stalls=self.ASLEEP)
        assert concluded(Variant.FIXED, IDLE, {"gap": whole})[0] is Outcome.PASSED

    @pytest.mark.parametrize(
        ("lateness", "words"),
        [
            ({"stalls": ASLEEP}, "the probe stopped for"),
            (
                {"stalls": tuple(Stall(START + n / 10, START + n / 10 + 0.09) for n in range(5))},
                "the probe stopped for",
            ),
            ({"model_stalls": ASLEEP}, "the model server stopped for"),
            ({"on_its_way": 0.6}, "the request was on its way for 600 ms"),
        ],
        ids=["once", "again and again", "the model server", "before it came"],
    )
    def test_whoever_was_late_the_proxy_is_not_to_blame(self, lateness: dict[str, object], words: str) -> None:
        """One long stop, many short ones, or a request that took its time: each may have brought the cut about."""
        outcome, findings = concluded(Variant.FIXED, IDLE, {"gap": DEAD.but(ended=START + 1.0, **lateness)})
        assert outcome is Outcome.INCONCLUSIVE
        assert words in findings[0].actual

    def test_a_batch_that_nobody_was_awake_to_see_is_no_failed_symptom(self) -> None:
        """The broken variant holds the stream; the probe slept through most of it, in naps that are short each."""
        build = Build(whole=12, interval=0.25)
        held = build.but(arrivals=dict.fromkeys(range(1, 13), build.left(12) + 0.01))
        naps = tuple(Stall(START + 0.4 * n, START + 0.4 * n + 0.3) for n in range(8))
        whole = SymptomTable(ending=Ending.COMPLETE)
        symptom = {"stream": SymptomTable(delivery=Delivery.BATCHED, cause=Cause.BUFFER), "batch": whole}
        batch = build.but(stream=False)

        def outcome(stream: Build) -> Outcome:
            case = {"stream": stream, "batch": batch}
            return concluded(Variant.BROKEN, Requirement.MOVES_THE_FIRST_TOKEN_FORWARD, case, symptom=symptom)[0]

        assert outcome(held) is Outcome.PASSED
        assert outcome(held.but(stalls=naps)) is Outcome.INCONCLUSIVE
        # Awake or not, tokens that came one by one were not held.
        assert outcome(build.but(stalls=naps)) is Outcome.FAILED

    def test_lockstep_that_the_probe_slept_through_is_inconclusive(self) -> None:
        """No hold was confirmed, and the probe never ran for long enough to say why."""
        build = lockstep(Build(whole=10), confirmed=False)
        naps = tuple(Stall(build.left(n), build.left(n) + 0.04) for n in range(1, 11))
        outcome, findings = concluded(Variant.FIXED, DELIVERS, {"tokens": build.but(stalls=naps)})
        assert outcome is Outcome.INCONCLUSIVE
        assert "tokens: nothing tells how its tokens came, for the probe was late itself" in findings[0].actual
        assert concluded(Variant.FIXED, DELIVERS, {"tokens": build})[0] is Outcome.FAILED

    def test_a_little_late_is_no_excuse(self) -> None:
        """What is late by less than the scenarios' margins cannot have brought the failure about."""
        assert (
            concluded(Variant.FIXED, IDLE, {"gap": DEAD.but(interval=0.12, plan={"interval": 0.1})})[0]
            is Outcome.FAILED
        )
        stopped = DEAD.but(stalls=(Stall(START, START + 0.1),))
        assert concluded(Variant.FIXED, IDLE, {"gap": stopped})[0] is Outcome.FAILED

    def test_what_no_wait_brings_about_is_no_fault_of_the_machine(self) -> None:
        """A token came twice: the path did that, at whatever speed."""
        twice = WHOLE.but(sent=(1, 2, 2, 3, 4, 5), stalls=self.ASLEEP)
        assert concluded(Variant.FIXED, IDLE, {"gap": twice})[0] is Outcome.FAILED

    def test_one_failure_that_no_lateness_explains_is_enough(self) -> None:
        """The probe slept through one exchange, and another was cut while everybody ran."""
        late, cut = DEAD.but(stalls=self.ASLEEP), DEAD
        assert concluded(Variant.FIXED, IDLE, {"late": late})[0] is Outcome.INCONCLUSIVE
        outcome, findings = concluded(Variant.FIXED, IDLE, {"late": late, "cut": cut})
        assert outcome is Outcome.FAILED
        assert len(findings) == 1
        symptom = {"late": CUT, "cut": CUT}
        assert concluded(Variant.BROKEN, IDLE, {"late": late, "cut": cut}, symptom=symptom)[0] is Outcome.FAILED

    def test_a_side_that_was_spared_the_test_has_not_passed(self) -> None:
        """The silence before token 4 was to last five seconds; token 3 left so late that half of them were left."""
        spared = WHOLE.but(interval=1.0, plan={"interval": 0.1, "gaps": ["4@5s"]})
        outcome, findings = concluded(Variant.FIXED, IDLE, {"gap": spared})
        assert outcome is Outcome.INCONCLUSIVE
        assert "a silence of 5.10 s lasted for 1.00 s only" in findings[0].actual


TURNED_AWAY = Build(sent=(), status=503, body=b"<html>", has_ledger=False, reason=None, marker=False, ended=START + 0.5)
SERVES = Requirement.SERVES_OTHERS_MEANWHILE


@pytest.mark.parametrize(("interval", "outcome"), [(0.1, Outcome.FAILED), (0.5, Outcome.INCONCLUSIVE)])
def test_who_is_turned_away_while_the_model_server_is_late_with_others_tells_nothing(
    interval: float, outcome: Outcome
) -> None:
    """A limit on what runs at once is met by answers that take too long; where they took no longer, it fails."""
    carried = WHOLE.but(interval=interval, plan={"interval": 0.1})
    assert concluded(Variant.FIXED, SERVES, {"back-1": carried, "back-2": TURNED_AWAY})[0] is outcome


@pytest.mark.parametrize(("late", "outcome"), [(0.1, Outcome.FAILED), (0.4, Outcome.INCONCLUSIVE)])
def test_who_is_turned_away_since_the_probe_sent_several_together_tells_nothing(late: float, outcome: Outcome) -> None:
    """They were to come one after the other; where the probe was in time, the path refused what it has to serve."""
    case = make_case(Variant.FIXED, Requirement.TURNS_NOBODY_AWAY, {"back-1": WHOLE, "back-2": TURNED_AWAY})
    evidence = [replace(build.evidence(), late=late) for build in (WHOLE, TURNED_AWAY)]
    assert conclude(case, Exchanged.together(case.exchanges, evidence)).outcome is outcome


@pytest.mark.parametrize("unkept", [False, True])
def test_a_connection_that_was_closed_before_its_time_shows_nothing(unkept: bool) -> None:
    """It came over a new one, which is another matter."""
    case = make_case(Variant.FIXED, Requirement.TURNS_NOBODY_AWAY, {"next": WHOLE})
    evidence = WHOLE.evidence()
    evidence = replace(evidence, trace=replace(evidence.trace, unkept=unkept))
    outcome = Outcome.INCONCLUSIVE if unkept else Outcome.PASSED
    assert conclude(case, Exchanged.together(case.exchanges, [evidence])).outcome is outcome


GONE = Build(sent=(), written=0, reason=None, marker=False, end=TransportEnd.LEFT, ended=START + 0.5, status=0)
STOPS = Requirement.STOPS_WHEN_THE_CLIENT_LEAVES


@pytest.mark.parametrize(("batch", "outcome"), [(4.5, Outcome.PASSED), (0.6, Outcome.FAILED)])
def test_an_exchange_of_which_nothing_is_said_must_break_by_itself(batch: float, outcome: Outcome) -> None:
    """Two clients leave; a model that stops for one of them is not broken for it."""
    builds = {"thinking": GONE.but(client_left=START + 4.5), "batch": GONE.but(client_left=START + batch)}
    symptom = {"thinking": SymptomTable(), "batch": SymptomTable()}
    assert concluded(Variant.BROKEN, STOPS, builds, symptom=symptom)[0] is outcome


def test_what_is_only_measured_is_measured_again_where_the_machine_was_late() -> None:
    """A client that left before its request had arrived has shown nothing."""
    lost = GONE.but(has_ledger=False)
    assert concluded(Variant.MEASURED, STOPS, {"thinking": lost})[0] is Outcome.INCONCLUSIVE
    seen = GONE.but(client_left=START + 4.5)
    outcome, findings = concluded(Variant.MEASURED, STOPS, {"thinking": seen})
    assert outcome is Outcome.PASSED
    assert findings[0].actual.startswith("not met: ")
