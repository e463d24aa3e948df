"""What a strict type checker says of an application that uses the consumer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import lab

pytestmark = pytest.mark.grid

APPLICATION = Path(__file__).with_name("application.py")


def check(source: str, tmp_path: Path, cache: Path) -> list[str]:
    """The errors that mypy finds in that source, outside of the repository's own settings."""
    program = tmp_path / "application.py"
    program.write_text(source)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={cache}", str(program)],
        cwd=Path(lab.__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if ": error:" in line]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What mypy remembers of the SDKs, from one test to the next."""
    return tmp_path_factory.mktemp("mypy")


def test_an_application_is_typed_strictly(tmp_path: Path, cache: Path) -> None:
    """Every function, with the SDKs' own types going through `watch`."""
    assert check(APPLICATION.read_text(), tmp_path, cache) == []


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (
            '        case Partial(text=text, reason=reason):\n            return f"{text} (incomplete: {reason})"\n',
            "",
            "Partial",
        ),
        ("yield chunk.choices[0].delta.content or", "yield chunk.choice or", "no attribute"),
    ],
    ids=["partial-left-out", "chunk-of-another-shape"],
)
def test_what_is_forgotten_is_an_error(old: str, new: str, error: str, tmp_path: Path, cache: Path) -> None:
    """A partial answer that nobody handles, and a chunk taken for another, do not pass."""
    source = APPLICATION.read_text()
    assert old in source
    (found,) = check(source.replace(old, new), tmp_path, cache)
    assert error in found
