"""Stagings by hand, and what is made of the evidence of their exchanges; nothing here is read from a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from judge.builder import Build

from lab.catalogue import Exchange, Staging
from lab.catalogue.schema import SymptomTable
from lab.proxies import PROXIES
from lab.results import FindingResult
from lab.run.verdicts import Played, conclude
from lab.words import Flag, Outcome, Requirement, Side

SCENARIOS = Path(__file__).parents[2] / "scenarios"
CARELESS = SCENARIOS / "model-dies"
"""The scenario whose folder holds the careless consumers."""


def staging(
    side: Side,
    requirement: Requirement,
    builds: Mapping[str, Build],
    *,
    symptom: Mapping[str, SymptomTable] | None = None,
    consumers: tuple[str, ...] = (),
    shows: tuple[Flag, ...] = (),
) -> Staging:
    """One side behind nginx; its exchanges carry the plans of the builds, and `name-3` is of the family `name`."""
    exchanges = (
        Exchange(
            name=name,
            family=name.rstrip("0123456789-"),
            plan=build.the_plan,
            stream=build.stream,
            wire_format=build.wire_format,
            accept_encoding="",
            requirement=requirement,
        )
        for name, build in builds.items()
    )
    return Staging(
        scenario=CARELESS.name,
        proxy=PROXIES["nginx-1.26"],
        side=side,
        label=str(side),
        title="",
        config=CARELESS / "nginx" / "broken.conf",
        exchanges=tuple(exchanges),
        symptom=dict(symptom or {}),
        consumers=consumers,
        shows=shows,
    )


def concluded(
    side: Side,
    requirement: Requirement,
    builds: Mapping[str, Build],
    *,
    symptom: Mapping[str, SymptomTable] | None = None,
    consumers: tuple[str, ...] = (),
    shows: tuple[Flag, ...] = (),
) -> tuple[Outcome, tuple[FindingResult, ...]]:
    """The outcome of such a staging, and its findings."""
    stage = staging(side, requirement, builds, symptom=symptom, consumers=consumers, shows=shows)
    conclusion = conclude(stage, Played.judged(stage.exchanges, [build.evidence() for build in builds.values()]))
    return conclusion.outcome, conclusion.findings
