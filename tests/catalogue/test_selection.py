from __future__ import annotations

from pathlib import Path

import pytest

from lab.catalogue import Scenario, load_scenario, select
from lab.errors import BadInput
from tests.catalogue.test_loader import TABLE, write

REAL = '[real_defaults.symptom.gap]\nending = "cut"\ntimeout = "60s"\n'


@pytest.fixture
def scenarios(tmp_path: Path) -> tuple[Scenario, ...]:
    """Two scenarios behind two versions of nginx."""
    table = TABLE + '[real_defaults.exchanges]\ngap = { gaps = ["6@70s"] }\n'
    files = ("nginx/broken.conf", "nginx/fixed.conf", "nginx/real-defaults.conf")
    return tuple(load_scenario(write(tmp_path / name, table, files, {"nginx": REAL})) for name in ("one", "two"))


def ids(scenarios: tuple[Scenario, ...]) -> list[str]:
    """The ids of all cases."""
    return [case.id for scenario in scenarios for case in scenario.cases]


@pytest.mark.parametrize(
    ("names", "proxies", "expected"),
    [
        (["one::nginx-1.30::fixed"], [], ["one::nginx-1.30::fixed"]),
        (["one::nginx::broken"], [], ["one::nginx-1.26::broken", "one::nginx-1.30::broken"]),
        (["two"], ["nginx-1.26"], ["two::nginx-1.26::broken", "two::nginx-1.26::fixed"]),
    ],
)
def test_names_and_proxies_narrow_the_choice(
    scenarios: tuple[Scenario, ...], names: list[str], proxies: list[str], expected: list[str]
) -> None:
    """A name may be a scenario, a case or the beginning of one; a proxy a product or a release."""
    assert ids(select(scenarios, names, proxies)) == expected


def test_real_defaults_take_part_only_when_asked(scenarios: tuple[Scenario, ...]) -> None:
    """They take over a minute each."""
    assert not [name for name in ids(select(scenarios, [])) if name.endswith("real-defaults")]
    assert [name for name in ids(select(scenarios, [], real_defaults=True)) if name.endswith("real-defaults")]


@pytest.mark.parametrize("name", ["three", "one::nginx::mended", "one::nginx::broken::x"])
def test_a_name_that_fits_nothing_is_refused(scenarios: tuple[Scenario, ...], name: str) -> None:
    """A misspelt scenario must not end as an empty, green run."""
    with pytest.raises(BadInput, match="no scenario fits"):
        select(scenarios, [name])


def test_nothing_left_is_refused(scenarios: tuple[Scenario, ...]) -> None:
    """The scenario exists, the proxy exists, but not together."""
    with pytest.raises(BadInput, match="nothing is left"):
        select(scenarios, ["one"], ["envoy"])
