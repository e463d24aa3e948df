"""Many models behind many paths, on made arrival times: what the audit says is true of the path, or cannot be told."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest

from lab.audit.conclude.findings import Confidence, DeliveryFinding, conclude
from lab.vocabulary import Delivery

from .sweep import HOLDS, MODELS, Asked, Model, ask

pytestmark = pytest.mark.grid

SAMPLES = 3
SEED = 20261124

Findings = Mapping[tuple[Model, str, bool], tuple[Asked, DeliveryFinding]]


@pytest.fixture(scope="module")
def findings() -> Findings:
    """Every model behind every path, with the model's own address as a control and without."""
    draw = random.Random(SEED)
    found: dict[tuple[Model, str, bool], tuple[Asked, DeliveryFinding]] = {}
    for model in MODELS:
        control = ask(model, "none", SAMPLES, draw, route="direct").samples
        for hold in HOLDS:
            asked = ask(model, hold, SAMPLES, draw)
            for with_direct in (False, True):
                samples = [*asked.samples, *(control if with_direct else ())]
                (group,) = [each for each in conclude(samples, longest=None).groups if each.route == "path"]
                found[model, hold, with_direct] = asked, group.delivery
    return found


def told(finding: DeliveryFinding) -> bool:
    """Whether there is a word."""
    return finding.confidence is not Confidence.CANNOT_TELL


@pytest.mark.parametrize("hold", HOLDS)
@pytest.mark.parametrize("with_direct", [False, True], ids=["alone", "with-direct"])
def test_no_word_is_wrong(findings: Findings, hold: str, *, with_direct: bool) -> None:
    """Whatever the model, the word is true of the path, or the audit says that it cannot tell."""
    assert [
        f"{model}: {finding}"
        for (model, name, direct), (asked, finding) in findings.items()
        if (name, direct) == (hold, with_direct) and told(finding) and finding.delivery not in asked.true
    ] == []


AT_THE_LINE = ("delay of 300 ms", "grid of 50 ms", "pages of 1 KiB")
"""What holds for about as long as the lab's line, or is later than it and holds nothing."""


@pytest.mark.parametrize("hold", [hold for hold in HOLDS if hold not in AT_THE_LINE])
def test_what_the_control_carries_is_said(findings: Findings, hold: str) -> None:
    """Of a model that writes 25 or 60 events a second one by one, a control leaves open no path that clearly holds."""
    open_ones = [
        f"{model}: {finding}"
        for (model, name, direct), (asked, finding) in findings.items()
        if (name, direct) == (hold, True)
        and (model.rate, model.burst, model.lengths) in ((25.0, 1, "alike"), (60.0, 1, "alike"))
        and (hold == "none" or Delivery.INCREMENTAL not in asked.true)
        and not told(finding)
    ]
    assert open_ones == []


def test_without_a_control_nothing_is_certain(findings: Findings) -> None:
    """A model can look like any path."""
    alone = [finding for (_, _, direct), (_, finding) in findings.items() if not direct]
    assert [finding for finding in alone if finding.confidence is Confidence.CERTAIN] == []
