"""A whole run without an engine: the model server runs here, and the testbed leads to it without any proxy.

A path without a proxy meets every requirement, so fixed variants pass and broken ones fail.
"""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType

import pytest
from judge.builder import Build
from rich.console import Console

from lab.catalogue import Case, Scenario
from lab.errors import BadInput, EnvironmentFault, SetUpFault
from lab.model.server import ModelServer
from lab.reports import print_results, write_reports
from lab.results import CaseResult, FindingResult, Results, load, save
from lab.scenarios import play
from lab.scenarios import run as whole
from lab.scenarios.run import LeftStanding, raise_if_engine_died, run_lab
from lab.scenarios.verdicts import Conclusion
from lab.testbed import images, supply
from lab.testbed.supply import FromEngine
from lab.vocabulary import Group, Outcome, Precedence, Requirement, Variant

from .scenes import make_case

LABELS = ("first", "second", "third")


@dataclass
class Theatre:
    """What the testbed of a test is like.

    Args:
        model_url: where each case's way leads.
        refused: labels whose configuration the proxy refuses.
        strayed: the case whose proxy every request seems to have come over.
        at_start: raised when the testbed is set up.
        at_end: raised when it is struck.
    """

    model_url: str
    refused: Sequence[str] = ()
    strayed: str | None = None
    at_start: Exception | None = None
    at_end: Exception | None = None


class StageWithoutProxies:
    """Part of `lab.testbed.testbed.Testbed`: every way leads straight to the model server."""

    def __init__(self, theatre: Theatre) -> None:
        self._theatre = theatre
        self.model_url = theatre.model_url
        self.precedence = Precedence.SHARES

    async def __aenter__(self) -> StageWithoutProxies:
        if self._theatre.at_start:
            raise self._theatre.at_start
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._theatre.at_end:
            raise self._theatre.at_end

    def url(self, key: str) -> str:
        """The model server's address, or what the proxy said."""
        if key.rpartition(":")[2] in self._theatre.refused:
            raise SetUpFault("nginx said no", "Correct it.")
        return self.model_url

    def tls(self, _: str) -> None:
        """None: the model server speaks clear text."""

    def told_only(self, port: int) -> str | None:
        """Nobody as a rule: all ways are one."""
        assert self.model_url.endswith(f":{port}")
        return self._theatre.strayed

    def log(self, key: str, lines: int) -> list[str]:
        """One line."""
        return [f"{key} of {lines}"]


@dataclass
class Audience:
    """Listens, and remembers."""

    begun: list[str] = field(default_factory=list)
    over: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    ended: dict[str, CaseResult] = field(default_factory=dict)

    def say(self, line: str) -> None:
        """Each line."""
        self.said.append(line)

    def begins(self, cases: Sequence[Case]) -> None:
        """The names."""
        self.begun = [case.label for case in cases]

    def played(self, case: Case) -> None:
        """The names."""
        self.over.append(case.label)

    def ends(self, case: Case, result: CaseResult) -> None:
        """Each result."""
        self.ended[case.label] = result


@pytest.fixture
async def theatre(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Theatre]:
    """A model server, and no engine."""
    async with ModelServer() as server:
        built = Theatre(server.base_url)
        monkeypatch.setattr(whole, "choose", lambda _: FromEngine("none"))
        monkeypatch.setattr(images, "ensure", lambda *_: {})
        monkeypatch.setattr(supply, "Testbed", lambda *_, **__: StageWithoutProxies(built))
        yield built


def scenario(*changes: Callable[[Case], Case]) -> Scenario:
    """Three fixed variants with a short stream each, the first ones changed."""
    case = make_case(Variant.FIXED, Requirement.SURVIVES_SILENCE, {"gap": Build(whole=3, interval=0.01)})
    cases = [replace(case, label=label) for label in LABELS]
    for place, change in enumerate(changes):
        cases[place] = change(cases[place])
    return Scenario(
        id="model-dies",
        folder=case.config.parents[1],
        order=1,
        title="A title",
        group=Group.TIMEOUTS,
        requirement=Requirement.SURVIVES_SILENCE,
        readme="# A story",
        sources=(),
        cases=tuple(cases),
    )


def outcomes(results: Results) -> dict[str, Outcome]:
    """The outcomes by label."""
    return {case.label: case.outcome for _, _, case in results.cases()}


ALL_PASSED = dict.fromkeys(LABELS, Outcome.PASSED)


@pytest.mark.usefixtures("theatre")
async def test_every_staging_is_played_and_heard_of() -> None:
    """The listener hears of the beginning and of each end, and the results hold them all."""
    audience = Audience()
    results = await run_lab([scenario()], audience)
    assert outcomes(results) == ALL_PASSED
    assert audience.begun == list(LABELS)
    assert sorted(audience.over) == sorted(LABELS)
    assert audience.said == []
    assert {label: result.outcome for label, result in audience.ended.items()} == ALL_PASSED
    assert results.longest.startswith("model-dies::nginx-1.26::")
    assert 0 < results.longest_seconds <= results.wall_seconds
    raise_if_engine_died(results)


async def test_a_refused_configuration_costs_its_own_case_only(theatre: Theatre) -> None:
    """The proxy's own words and its log are in the result, and the others go on."""
    theatre.refused = ["second"]
    results = await run_lab([scenario()], Audience())
    assert outcomes(results) == {**ALL_PASSED, "second": Outcome.SET_UP_FAILED}
    second = results.scenarios[0].proxies[0].cases[1]
    assert "nginx said no" in second.problem
    assert second.log
    raise_if_engine_died(results)


@pytest.mark.usefixtures("theatre")
async def test_what_the_machine_was_too_busy_for_is_measured_again_and_every_report_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One of three cases had no verdict the first time; the second counts, and nothing hides that there were two."""
    right = play.conclude
    busy = Conclusion(Outcome.INCONCLUSIVE, (FindingResult(False, "keeps up", "in time", "late"),), "gap: half asleep")
    calls = iter(range(100))
    monkeypatch.setattr(play, "conclude", lambda *given: busy if next(calls) == 1 else right(*given))
    audience = Audience()
    results = await run_lab([scenario()], audience)
    assert outcomes(results) == ALL_PASSED
    assert next(calls) == 4
    twice = [(case.label, case.busy) for _, _, case in results.cases() if case.measured == 2]
    assert twice == [("second", "gap: half asleep")]
    assert len(audience.said) == 1
    assert audience.ended["second"].measured == 2
    save(results, tmp_path / "results.json")
    assert load(tmp_path / "results.json") == results
    told = {name: path.read_text() for name, path in write_reports(results, tmp_path).items()}
    console = Console(file=io.StringIO(), width=200)
    print_results(results, console)
    assert "1 measured again: the machine was busy" in console.file.getvalue()
    for text in told.values():
        assert "measured twice: the machine was busy (gap: half asleep)" in text


async def test_traffic_that_is_anothers_gives_no_verdict(theatre: Theatre) -> None:
    """Passed or failed, it would be about another proxy: the harness has failed, and says over which one it went."""
    stray = scenario().cases[0].id
    theatre.strayed = stray
    results = await run_lab([scenario()], Audience())
    assert outcomes(results) == {**dict.fromkeys(LABELS, Outcome.HARNESS_FAILED), "first": Outcome.PASSED}
    assert stray in results.scenarios[0].proxies[0].cases[1].problem
    with pytest.raises(EnvironmentFault, match=r"2 of 3 cases ended without a verdict: gap: its request went over"):
        raise_if_engine_died(results)


@pytest.mark.parametrize("place", ["conclude", "exchange_result"])
@pytest.mark.usefixtures("theatre")
async def test_a_fault_in_one_judgement_loses_nothing_of_the_others(
    monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """A fault of the lab's own becomes a traceback in that case, and a harness that failed."""
    right = getattr(play, place)
    calls = iter(range(100))

    def crash_once(*given: object) -> object:
        if next(calls) == 0:
            raise ZeroDivisionError("judged badly")
        return right(*given)

    monkeypatch.setattr(play, place, crash_once)
    results = await run_lab([scenario()], Audience())
    assert sorted(outcomes(results).values()) == [Outcome.HARNESS_FAILED, Outcome.PASSED, Outcome.PASSED]
    (lost,) = [case for _, _, case in results.cases() if case.outcome is Outcome.HARNESS_FAILED]
    assert "ZeroDivisionError: judged badly" in lost.problem
    with pytest.raises(EnvironmentFault, match=r"1 of 3 cases.*judged badly") as caught:
        raise_if_engine_died(results)
    assert "fault of the lab's own" in caught.value.remedy


@pytest.mark.usefixtures("theatre")
async def test_a_configuration_that_is_gone_by_then_costs_nothing(tmp_path: Path) -> None:
    """Its author may be at work on it; the verdict stands without its text."""

    def without_file(case: Case) -> Case:
        return replace(case, config=tmp_path / "nginx" / "gone.conf")

    results = await run_lab([scenario(without_file)], Audience())
    assert outcomes(results) == ALL_PASSED
    assert "gone.conf" in results.scenarios[0].proxies[0].cases[0].config


@pytest.mark.usefixtures("theatre")
async def test_a_consumers_own_fault_costs_its_own_case_only(tmp_path: Path) -> None:
    """A consumer that breaks by itself is told with its traceback, and not taken for the engine's death."""
    (tmp_path / "mine.py").write_text("def read(chunks, **given):\n    raise OSError('no such table')\n")
    (tmp_path / "nginx").mkdir()

    def with_consumer(case: Case) -> Case:
        return replace(
            case,
            config=tmp_path / "nginx" / "broken.conf",
            consumers=("mine.py:read",),
            exchanges=tuple(
                replace(each, requirements=(Requirement.MAKES_PARTIAL_ANSWERS_VISIBLE,)) for each in case.exchanges
            ),
        )

    results = await run_lab([replace(scenario(with_consumer), folder=tmp_path)], Audience())
    assert outcomes(results) == {**ALL_PASSED, "first": Outcome.HARNESS_FAILED}
    problem = results.scenarios[0].proxies[0].cases[0].problem
    assert "OSError: no such table" in problem
    assert "out of reach" not in problem


async def test_an_unknown_consumer_is_told_before_anything_starts(theatre: Theatre) -> None:
    """A misspelt name must not cost a run."""
    theatre.at_start = AssertionError("the testbed was set up")

    def misspelt(case: Case) -> Case:
        return replace(case, consumers=("lab.comsume",))

    with pytest.raises(BadInput, match="comsume"):
        await run_lab([scenario(misspelt)], Audience())


async def test_a_model_server_that_is_gone_is_the_environments_fault(theatre: Theatre) -> None:
    """Where nothing can be asked, no proxy is blamed."""
    # Port 9 of this machine, where nobody listens.
    theatre.model_url = "http://127.0.0.1:9"
    results = await run_lab([scenario()], Audience())
    assert set(outcomes(results).values()) == {Outcome.HARNESS_FAILED}
    with pytest.raises(EnvironmentFault, match=r"3 of 3 cases.*out of reach") as caught:
        raise_if_engine_died(results)
    assert "lab doctor" in caught.value.remedy


async def test_an_engine_that_fails_at_the_end_costs_no_result(theatre: Theatre) -> None:
    """What was found is handed over with the fault, since all of it was found before."""
    theatre.at_end = EnvironmentFault("The container engine failed.", "Is it running?")
    with pytest.raises(LeftStanding, match="engine failed") as caught:
        await run_lab([scenario()], Audience())
    assert outcomes(caught.value.results) == ALL_PASSED
    assert "lab clean" in caught.value.remedy


async def test_an_engine_that_fails_at_the_start_ends_the_run(theatre: Theatre) -> None:
    """Without a testbed there is nothing to hand over."""
    theatre.at_start = EnvironmentFault("The container engine failed.", "Is it running?")
    with pytest.raises(EnvironmentFault, match="engine failed") as caught:
        await run_lab([scenario()], Audience())
    assert not isinstance(caught.value, LeftStanding)


@pytest.mark.usefixtures("theatre")
async def test_every_exchange_of_a_side_is_made_at_once() -> None:
    """Twenty streams of two and a half seconds take nearer to that than to fifty, on any machine."""
    build = Build(whole=6, interval=0.5)
    exchanges = make_case(
        Variant.FIXED, Requirement.SURVIVES_SILENCE, {f"gap-{number}": build for number in range(20)}
    ).exchanges

    def many(case: Case) -> Case:
        return replace(case, exchanges=exchanges)

    results = await run_lab([scenario(many)], Audience())
    assert outcomes(results) == ALL_PASSED
    assert results.wall_seconds < 25
