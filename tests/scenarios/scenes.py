"""Cases by hand, and what is made of the evidence of their exchanges; nothing here is read from a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from judge.builder import Build

from lab.catalogue import Case
from lab.catalogue.schema import SymptomTable
from lab.judge import Exchanged
from lab.products import PROXIES
from lab.results import FindingResult
from lab.scenarios.verdicts import conclude
from lab.suite.exchange import Exchange
from lab.vocabulary import Flag, Outcome, Requirement, Variant

SCENARIOS = Path(__file__).parents[2] / "scenarios"
CARELESS = SCENARIOS / "model-dies"
"""The scenario whose folder holds the careless consumers."""


def make_case(
    case: Variant,
    requirement: Requirement,
    builds: Mapping[str, Build],
    *,
    symptom: Mapping[str, SymptomTable] | None = None,
    consumers: tuple[str, ...] = (),
    shows: tuple[Flag, ...] = (),
) -> Case:
    """One case behind nginx; its exchanges carry the plans of the builds, and `name-3` is of the family `name`."""
    exchanges = (
        Exchange(
            name=name,
            family=name.rstrip("0123456789-"),
            plan=build.the_plan,
            stream=build.stream,
            wire_format=build.wire_format,
            requirements=(requirement,),
        )
        for name, build in builds.items()
    )
    return Case(
        scenario=CARELESS.name,
        proxy=PROXIES["nginx-1.26"],
        variant=case,
        label=str(case),
        title="",
        config=CARELESS / "nginx" / "broken.conf",
        exchanges=tuple(exchanges),
        symptom=dict(symptom or {}),
        consumers=consumers,
        shows=shows,
    )


def concluded(
    case: Variant,
    requirement: Requirement,
    builds: Mapping[str, Build],
    *,
    symptom: Mapping[str, SymptomTable] | None = None,
    consumers: tuple[str, ...] = (),
    shows: tuple[Flag, ...] = (),
) -> tuple[Outcome, tuple[FindingResult, ...]]:
    """The outcome of such a case, and its findings."""
    made = make_case(case, requirement, builds, symptom=symptom, consumers=consumers, shows=shows)
    evidence = [build.evidence() for build in builds.values()]
    conclusion = conclude(made, Exchanged.together(made.exchanges, evidence))
    return conclusion.outcome, conclusion.findings
