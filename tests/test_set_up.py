"""What `make test` brings before the tests, and that nothing is left out in silence."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import set_up

from lab.clients.environments import SystemProgram
from lab.errors import EnvironmentFault, ExitCode
from lab.testbed import _commands, _machine

ROOT = Path(__file__).parents[1]
MISSING = SystemProgram(("no-such-program",), ("one-package", "another"))
ALWAYS = ["curl", "nginx", "haproxy"]
PRESENT = SystemProgram(("sh",), ("dash",))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What would have been installed, on a machine where it may be."""
    packages: list[str] = []
    monkeypatch.setattr(_machine, "is_debian_family", lambda: True)
    monkeypatch.setattr(_machine, "is_root", lambda: True)
    monkeypatch.setattr(_machine, "may_install", lambda: True)
    monkeypatch.setattr(_commands, "apt_install", lambda names, _: packages.extend(names))
    return packages


def test_what_is_there_is_used(installed: list[str]) -> None:
    """A program on the PATH is not installed again."""
    set_up.bring([PRESENT])
    assert installed == []


def test_what_is_missing_is_installed_and_looked_for_again(installed: list[str]) -> None:
    """All its packages; and where it is still not found, that is said rather than left to a test."""
    with pytest.raises(EnvironmentFault, match="no-such-program: installed, and yet not on the PATH"):
        set_up.bring([PRESENT, MISSING])
    assert installed == ["one-package", "another"]


@pytest.mark.parametrize("lacking", ["is_debian_family", "is_root", "may_install"])
def test_where_nothing_may_be_installed_the_remedy_is_named(
    installed: list[str], lacking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program, its packages, and the way to do without the browser; exit code 3."""
    monkeypatch.setattr(_machine, lacking, lambda: False)
    with pytest.raises(EnvironmentFault, match="need no-such-program") as caught:
        set_up.bring([MISSING])
    assert "apt-get install one-package another" in caught.value.remedy
    assert "LAB_BROWSER=0" in caught.value.remedy
    assert caught.value.exit_code == ExitCode.NO_ENVIRONMENT
    assert installed == []


@pytest.mark.parametrize(("value", "names"), [("1", [*ALWAYS, "node", "chromium"]), ("0", [*ALWAYS, "node"])])
def test_the_browser_can_be_done_without(value: str, names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """LAB_BROWSER=0 leaves it out of what is brought."""
    monkeypatch.setenv("LAB_BROWSER", value)
    assert [program.names[0] for program in set_up.needed()] == names


Suite = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    """Runs a file of tests under this suite's own conftest."""
    for name in ("conftest.py", "markers.py", "busy.py"):
        (tmp_path / name).symlink_to(ROOT / "tests" / name)

    def run(text: str, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "test_some.py").write_text(f"import pytest\n\n\n{text}")
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-c",
            ROOT / "pyproject.toml",
            "--rootdir",
            tmp_path,
            tmp_path,
            *options,
        ]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)

    return run


def test_a_test_that_skips_itself_has_failed(suite: Suite) -> None:
    """What a test needs is brought before, so a skip would hide a step that set-up lacks."""
    done = suite("def test_lazy():\n    pytest.skip('no chromium here')\n")
    assert done.returncode == 1
    assert "skipped itself" in done.stdout
    assert "no chromium here" in done.stdout


def test_what_is_left_out_stands_in_the_last_line(suite: Suite) -> None:
    """Without the browser its tests are deselected by name, and the last line says so."""
    both = "@pytest.mark.browser\ndef test_page():\n    assert False\n\n\ndef test_rest():\n    pass\n"
    done = suite(both, LAB_BROWSER="0")
    assert done.returncode == 0
    assert "1 passed" in done.stdout
    assert done.stdout.splitlines()[-1] == "LAB_BROWSER=0: the tests that need a browser were left out."
    assert suite(both, LAB_BROWSER="1").returncode == 1


@pytest.mark.grid
def test_a_run_draws_the_same_again_unless_it_is_told_to_draw_afresh(suite: Suite) -> None:
    """The seed stands at the top, so that a failed draw can be had again by it."""

    def drawn(*options: str) -> tuple[str, str]:
        out = suite("def test_drawn(draw):\n    raise ValueError(draw.random())\n", *options).stdout
        return re.findall(r"^seed: (\d+)$", out, re.MULTILINE)[0], re.findall(r"ValueError: ([\d.]+)", out)[0]

    assert drawn() == drawn()
    seed, fresh = drawn("--seed", "fresh")
    assert (seed, fresh) != drawn()
    assert drawn("--seed", seed) == (seed, fresh)
