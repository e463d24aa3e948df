"""Each line of the nginx snippet is taken out, and the failure that it is there for returns."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

import pytest

from lab.catalogue import Scenario, load_scenario, select, shipped_scenarios
from lab.judge.requirements import REQUIREMENTS
from lab.results import Results
from lab.scenarios.run import run_lab
from lab.shipped import shipped
from lab.vocabulary import Outcome, Requirement

SNIPPET = (shipped("nginx") / "streaming.conf").read_text()
DIRECTIVES = dict(re.findall(r"^((\w+) [^\n]*;)$", SNIPPET, flags=re.MULTILINE))

# What breaks, by version, without the line. nginx 1.30 asks with HTTP/1.1 by itself, so it needs no line for it.
# "gzip off" is a second guard: buffering off makes gzip flush, so nothing breaks until both are gone.
WITHOUT = {
    ("proxy_http_version",): {"1.26": {Requirement.SHOWS_A_CUT_AS_A_CUT}, "1.30": set()},
    ("proxy_buffering",): {
        version: {Requirement.DELIVERS_TOKENS_AS_THEY_COME, Requirement.DELIVERS_WHAT_WAS_SENT}
        for version in ("1.26", "1.30")
    },
    ("proxy_read_timeout",): {
        version: {
            Requirement.WAITS_FOR_THE_FIRST_TOKEN,
            Requirement.SURVIVES_SILENCE,
            Requirement.WAITS_FOR_BATCH_REPLIES,
        }
        for version in ("1.26", "1.30")
    },
    ("gzip",): {"1.26": set(), "1.30": set()},
}

# As in the broken variant: far from the house's 2 s, so that a busy machine moves neither of them across.
HALF_AS_LONG = 'exchanges.stream = { interval = "80ms" }\nexchanges.batch = { interval = "80ms" }\n'


class Silence:
    """A listener that says nothing."""

    def say(self, line: str) -> None:
        """See `lab.scenarios.rounds.Listener`."""

    def begins(self, cases: object) -> None:
        """See `lab.scenarios.rounds.Listener`."""

    def played(self, case: object) -> None:
        """See `lab.scenarios.rounds.Listener`."""

    def ends(self, case: object, result: object) -> None:
        """See `lab.scenarios.rounds.Listener`."""


def way(names: tuple[str, ...]) -> str:
    """The label of a case without those lines."""
    return "without-" + "-and-".join(name.replace("_", "-") for name in names)


def ablated(folder: Path) -> Scenario:
    """The recommended scenario, with a case for each line that is taken out."""
    root = folder / "recommended"
    shutil.copytree(shipped_scenarios() / "recommended", root)
    table = (root / "scenario.toml").read_text()
    include = "include /etc/nginx/snippets/streaming.conf;"
    fixed = (root / "nginx" / "fixed-over-house-defaults.conf").read_text()
    for names in WITHOUT:
        left = [line for line, name in DIRECTIVES.items() if name not in names]
        assert include in fixed
        (root / "nginx" / f"fixed-{way(names)}.conf").write_text(fixed.replace(include, "\n".join(left)))
        table += f"\n[fixes.{way(names)}]\n{HALF_AS_LONG}"
    (root / "scenario.toml").write_text(table)
    return load_scenario(root)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """One run of all of them behind both versions."""
    scenario = ablated(tmp_path_factory.mktemp("ablation"))
    return asyncio.run(run_lab(select([scenario], [], ["nginx"]), Silence()))


def test_every_line_has_its_ablation() -> None:
    """A line that is added to the snippet must be taken out here as well."""
    assert set(DIRECTIVES.values()) == {name for names in WITHOUT for name in names}


@pytest.mark.engine
@pytest.mark.parametrize("version", ["1.26", "1.30"])
@pytest.mark.parametrize("names", WITHOUT, ids=way)
def test_without_the_line_its_requirement_is_broken(results: Results, names: tuple[str, ...], version: str) -> None:
    """Just the requirements that the snippet's comments promise, and no other."""
    (case,) = [
        case
        for _, proxy, case in results.cases()
        if proxy.proxy == f"nginx-{version}" and case.label == f"fixed-{way(names)}"
    ]
    sentences = {row.sentence: requirement for requirement, row in REQUIREMENTS.items()}
    broken = {sentences[finding.requirement] for finding in case.findings if not finding.met}
    assert broken == WITHOUT[names][version]
    assert case.outcome is (Outcome.FAILED if broken else Outcome.PASSED)
