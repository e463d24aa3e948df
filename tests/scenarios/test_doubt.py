"""A timeout is named only where the exchanges leave no other: a claim that they cannot bear out fails."""

from __future__ import annotations

from judge.builder import START, Build

from lab.catalogue.schema import SymptomTable
from lab.evidence import TransportEnd
from lab.vocabulary import Cause, Outcome, Requirement, Variant

from .scenes import concluded
from .test_verdicts import GAP, STEADY

IDLE = SymptomTable(cause=Cause.IDLE_TIMEOUT)
FIRST_BYTE = SymptomTable(cause=Cause.FIRST_BYTE_TIMEOUT)

# Nothing was written and nothing came, for two seconds.
SILENT = Build(
    sent=(),
    written=0,
    reason=None,
    marker=False,
    end=TransportEnd.NO_REPLY,
    status=0,
    ended=START + 2.0,
    client_left=START + 2.0,
    finished=False,
    plan={"ttft": "4s"},
)


def outcome(symptom: SymptomTable, **builds: Build) -> Outcome:
    """The outcome of a broken variant whose first exchange is to show the symptom."""
    return concluded(Variant.BROKEN, Requirement.SURVIVES_SILENCE, builds, symptom={next(iter(builds)): symptom})[0]


def test_an_idle_timeout_needs_a_stream_that_outlived_it() -> None:
    """Alone, a cut 2.3 s after the request may as well be a timeout on the whole."""
    assert outcome(IDLE, gap=GAP) is Outcome.FAILED
    assert outcome(IDLE, gap=GAP, steady=STEADY) is Outcome.PASSED


def test_the_finding_says_what_else_it_may_be() -> None:
    """Whoever reads it learns what to add."""
    findings = concluded(Variant.BROKEN, Requirement.SURVIVES_SILENCE, {"gap": GAP}, symptom={"gap": IDLE})[1]
    assert "may be a total-timeout" in findings[0].actual
    assert "add an exchange that outlives it" in findings[0].actual


def test_a_first_byte_timeout_needs_one_too() -> None:
    """Silence before the first byte is also an idle timeout's, which no exchange can tell apart, and needs not."""
    assert outcome(FIRST_BYTE, thinking=SILENT) is Outcome.FAILED
    assert outcome(FIRST_BYTE, thinking=SILENT, steady=STEADY) is Outcome.PASSED


def test_without_lockstep_a_side_proves_no_delivery() -> None:
    """The rule finds nothing to look at, and says so, instead of passing a path that may hold tokens back."""
    found, findings = concluded(Variant.FIXED, Requirement.DELIVERS_TOKENS_AS_THEY_COME, {"stream": STEADY})
    assert found is Outcome.FAILED
    assert "either way" in findings[0].actual
