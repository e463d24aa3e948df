"""The consumer's own wheel: nothing of the lab beside it, and a stranger's `lab` does not matter."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
LIMIT = 240

USE = '''
import pathlib
from typing import assert_type

import wholeanswer
from wholeanswer.consume import Answer, Complete, Partial, consume

WHOLE = b"""data: {"choices":[{"index":0,"delta":{"content":"Good"}}]}

data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}

data: [DONE]

"""
answer = consume([WHOLE], status=200)
assert_type(answer, Answer)
assert isinstance(answer, Complete) and answer.text == "Good", answer
half = consume([WHOLE.partition(b"\\n\\n")[0] + b"\\n\\n"], status=200)
assert isinstance(half, Partial) and half.text == "Good", half
'''


ALONE = """
import sys
sys.path.insert(0, sys.argv[1])
before = set(sys.modules)
from wholeanswer.consume import Complete, Failed, consume
import wholeanswer.consume.go_on, wholeanswer.consume.resume, wholeanswer.consume.sdk
assert isinstance(consume([]), Failed)
ours = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(ours - sys.stdlib_module_names))
below = {name.split(".")[1] for name in sys.modules if name.startswith("wholeanswer.")}
print(*sorted(below))
"""


def run(*command: object, folder: Path) -> str:
    """Run a program that must succeed; gives what it printed."""
    done = subprocess.run(
        [str(part) for part in command], cwd=folder, capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(name="wheel", scope="module")
def _wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, ROOT / "wholeanswer", folder=folder)
    (wheel,) = folder.glob("wholeanswer-*.whl")
    return wheel


def test_it_needs_nothing_but_the_standard_library(tmp_path: Path) -> None:
    """By a Python without any installed package, what the wheel is made of runs, and brings nothing else with it."""
    target = tmp_path / "wholeanswer"
    shutil.copytree(ROOT / "wholeanswer/wholeanswer", target)
    wheel = tomllib.loads((ROOT / "wholeanswer/pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"][
        "wheel"
    ]
    for source, name in wheel["force-include"].items():
        path = ROOT / "wholeanswer" / source
        (shutil.copytree if path.is_dir() else shutil.copy)(path, tmp_path / name)
    told = run(sys.executable, "-I", "-S", "-c", ALONE, tmp_path, folder=tmp_path)
    assert told.splitlines() == ["wholeanswer", "consume errors wire"]


def test_both_distributions_have_one_version() -> None:
    """They are the same files."""
    versions = [
        tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]["version"]
        for folder in ("", "wholeanswer")
    ]
    assert versions[0] == versions[1]


@pytest.mark.grid
def test_it_works_beside_another_distribution_called_lab(wheel: Path, tmp_path: Path) -> None:
    """A fresh environment with PyPI's `lab` and this: both are whole, nothing else came, and its types are known."""
    python = tmp_path / "venv/bin/python"
    run(sys.executable, "-m", "venv", tmp_path / "venv", folder=tmp_path)
    run(python, "-m", "pip", "install", "--quiet", "mypy", folder=tmp_path)
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", "lab==8.10", wheel, folder=tmp_path)
    (tmp_path / "use.py").write_text(USE)
    run(python, "use.py", folder=tmp_path)
    run(python, "-m", "mypy", "--strict", "use.py", folder=tmp_path)
    theirs = "import importlib.metadata as m; print(*(str(f) for f in m.files('lab') if not f.locate().exists()))"
    assert run(python, "-c", theirs, folder=tmp_path).split() == []
    with ZipFile(wheel) as archive:
        assert {name.partition("/")[0] for name in archive.namelist()} == {
            "wholeanswer",
            f"{wheel.name.rsplit('-', 3)[0]}.dist-info",
        }
