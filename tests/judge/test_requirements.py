from __future__ import annotations

import subprocess
import sys

import pytest

from lab.evidence import TransportEnd
from lab.judge import REQUIREMENTS, Exchanged, Finding, Reading, Told, check, judge

from .builder import Build, lockstep
from .readings import CASES, PREFIX, WHOLE

TEN = Build(whole=10)
SLOW = Build(whole=20, written=10, reason=None, marker=False, end=TransportEnd.RESET, fault="rst@10")
CUT = PREFIX.but(end=TransportEnd.SHORT_FIN, fault="fin@3")
BATCH = Build(stream=False, whole=20, interval=0.2)
STREAM = BATCH.but(stream=True)

MET: dict[str, list[dict[str, Build]]] = {
    "delivers-tokens-as-they-come": [{"stream": lockstep(TEN)}],
    "waits-for-the-first-token": [{"stream": WHOLE}, {"stream": WHOLE.but(end=TransportEnd.RESET)}],
    "survives-silence": [{"stream": WHOLE, "control": WHOLE}],
    "lets-long-answers-finish": [{"stream": WHOLE}],
    "waits-for-batch-replies": [{"batch": BATCH}],
    "shows-a-cut-as-a-cut": [{"stream": CUT}, {"stream": CASES["i-proxy-page"][0]}, {"stream": CUT, "whole": WHOLE}],
    "delivers-what-was-sent": [{"stream": SLOW.but(sent=range(1, 11))}, {"stream": SLOW.but(sent=range(1, 7))}],
    "passes-errors-on": [{"event": CASES["f-error-event"][0], "status": CASES["i-vendor-error"][0]}],
    "moves-the-first-token-forward": [{"stream": STREAM, "batch": BATCH}],
    "makes-partial-answers-visible": [{"partial": CUT, "complete": WHOLE}],
}

NOT_MET: dict[str, list[dict[str, Build]]] = {
    "delivers-tokens-as-they-come": [
        {"stream": lockstep(TEN, confirmed=False)},
        {"stream": lockstep(TEN, late=0.2)},
        {"stream": lockstep(TEN), "other": lockstep(TEN, confirmed=False)},
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
    "delivers-what-was-sent": [{"stream": SLOW.but(sent=())}, {"stream": SLOW.but(sent=(1, 2, 3))}],
    "passes-errors-on": [
        {"event": CASES["d-framed-truncation"][0].but(fault="error@3")},
        {"event": CASES["f-error-event"][0], "status": CASES["i-vendor-error-replaced"][0]},
    ],
    "moves-the-first-token-forward": [
        {"stream": STREAM.but(arrivals=dict.fromkeys(range(1, 21), 104.2)), "batch": BATCH},
        {"stream": STREAM.but(interval=0.5), "batch": BATCH},
        {"stream": STREAM, "batch": BATCH.but(body=b"{}")},
    ],
    "makes-partial-answers-visible": [
        {"complete": CUT},
        {"partial": WHOLE},
        {"complete": WHOLE, "failed": CUT},
        {"complete": WHOLE, "partial miscounted": CUT},
    ],
}

NOTHING_TO_SEE: dict[str, dict[str, Build]] = {
    "delivers-tokens-as-they-come": {"batch": BATCH, "without lockstep": WHOLE},
    "waits-for-the-first-token": {},
    "survives-silence": {},
    "lets-long-answers-finish": {},
    "waits-for-batch-replies": {},
    "shows-a-cut-as-a-cut": {"stream": WHOLE},
    "delivers-what-was-sent": {"stream": CUT},
    "passes-errors-on": {"stream": WHOLE},
    "moves-the-first-token-forward": {"stream": STREAM},
    "makes-partial-answers-visible": {},
}


def find(requirement: str, builds: dict[str, Build]) -> Finding:
    """Hold builds against a requirement.

    For the rule about consumers, the first word of a name is what the consumer told; `miscounted` makes it
    count one token too few.
    """
    exchanges = {
        name: Exchanged(Reading.of(evidence), judge(evidence))
        for name, evidence in ((name, build.evidence()) for name, build in builds.items())
    }
    told = {
        name: Told(name.split()[0], each.verdict.received - name.endswith("miscounted"))
        for name, each in exchanges.items()
    }
    return check(requirement, exchanges, told)


def rows(table: dict[str, list[dict[str, Build]]]) -> list[pytest.ParameterSet]:
    """The table's rows with readable ids."""
    return [
        pytest.param(key, row, id=f"{key}-{number}") for key, found in table.items() for number, row in enumerate(found)
    ]


@pytest.mark.parametrize("table", [MET, NOT_MET, NOTHING_TO_SEE], ids=["met", "not met", "nothing to see"])
def test_every_requirement_is_tested_each_way(table: dict[str, object]) -> None:
    """No requirement can be added without readings that meet it, miss it, and show nothing."""
    assert list(table) == list(REQUIREMENTS)


@pytest.mark.parametrize(("requirement", "builds"), rows(MET))
def test_requirements_are_met(requirement: str, builds: dict[str, Build]) -> None:
    """A path that does what is asked meets the requirement."""
    finding = find(requirement, builds)
    assert finding.met, finding
    assert finding.conclusive


@pytest.mark.parametrize(("requirement", "builds"), rows(NOT_MET))
def test_requirements_are_missed(requirement: str, builds: dict[str, Build]) -> None:
    """A path that fails in one exchange misses the requirement, and the finding says where with numbers."""
    finding = find(requirement, builds)
    assert not finding.met, finding
    assert finding.conclusive
    assert finding.requirement == REQUIREMENTS[requirement].sentence
    assert any(character.isdigit() for character in finding.actual)


@pytest.mark.parametrize("requirement", NOTHING_TO_SEE)
def test_nothing_to_see_is_not_met_and_says_so(requirement: str) -> None:
    """A requirement that no exchange tests is neither met nor missed."""
    finding = find(requirement, NOTHING_TO_SEE[requirement])
    assert (finding.met, finding.conclusive) == (False, False)


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
