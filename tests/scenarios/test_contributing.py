"""The example of CONTRIBUTING, run as it stands there."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from own_scenario import CONFIG

from lab.catalogue import load_scenario
from lab.products import PRODUCTS
from lab.scenarios.run import run_lab
from lab.vocabulary import Outcome, Requirement

from .listening import Silence

CONTRIBUTING = Path(__file__).parents[2] / "CONTRIBUTING.md"


def example(folder: Path) -> Path:
    """The files of the example, laid out in a folder."""
    text = CONTRIBUTING.read_text()
    tables = re.findall(r"^`([a-z/.]+)`[^\n]*:\n\n```toml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    for name, table in tables:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(table)
    (folder / "README.md").write_text("# A story\n")
    (folder / "nginx" / "broken.conf").write_text(PRODUCTS["nginx"].default.read_text())
    snippet = "include /etc/nginx/snippets/streaming.conf;"
    (folder / "nginx" / "fixed.conf").write_text(CONFIG.replace("DIRECTIVE", snippet))
    return folder


@pytest.mark.engine
@pytest.mark.usefixtures("images_in_use")
def test_the_example_goes_as_it_says(tmp_path: Path) -> None:
    """Broken and good at once before 1.29.7, only measured since, and HAProxy without any file of its own."""
    scenario = load_scenario(example(tmp_path / "page-is-held"))
    results = asyncio.run(run_lab([scenario], Silence()))
    outcomes = {(proxy.proxy, case.label): case.outcome for _, proxy, case in results.cases()}
    assert set(outcomes.values()) == {Outcome.PASSED}
    assert {name for name, _ in outcomes} == {
        f"{p}-{v.number}" for p in ("nginx", "haproxy") for v in PRODUCTS[p].versions
    }
    labels = {label for name, label in outcomes if name == "nginx-1.26"}
    assert labels == {"broken", "fixed"}
    (haproxy,) = [case for _, proxy, case in results.cases() if proxy.proxy == "haproxy-3.2"]
    told = {finding.about: finding for finding in haproxy.findings}
    # Left after half a second of the four that the model thinks; who leaves late is not long before its end.
    went_on = re.search(r"the model went on for (\d+\.\d) s", told[Requirement.STOPS_WHEN_THE_CLIENT_LEAVES].actual)
    assert went_on is not None
    assert 1 < float(went_on[1]) < 10
    assert told[Requirement.WAITS_FOR_THE_FIRST_TOKEN].actual.startswith("met up to 1 s")


@pytest.mark.grid
@pytest.mark.engine
@pytest.mark.usefixtures("images_in_use")
@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ('"not-met" }', '"met" }'),
        ('meets = ["waits-for-the-first-token"', 'meets = ["delivers-tokens-as-they-come"'),
    ],
    ids=["measured", "broken"],
)
def test_what_is_expected_besides_is_held_against_what_comes(tmp_path: Path, written: str, instead: str) -> None:
    """An expectation that is not so fails its case, and says what came."""
    folder = example(tmp_path / "page-is-held")
    for file in folder.glob("*/expected.toml"):
        file.write_text(file.read_text().replace(written, instead))
    results = asyncio.run(run_lab([load_scenario(folder)], Silence()))
    failed = [case for _, _, case in results.cases() if case.outcome is Outcome.FAILED]
    assert failed
    assert all(any(not each.met and each.about for each in case.findings) for case in failed)
