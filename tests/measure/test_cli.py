"""`lab serve` and `lab audit --active` as commands: exit codes, files, and a secret that is nowhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from lab.measure.findings import ActiveFindings

LAB = Path(sys.executable).with_name("lab")
SECRET = "correct-horse-battery"


def environment(**variables: str) -> dict[str, str]:
    """This process's variables without a secret, and some more."""
    return {key: value for key, value in os.environ.items() if key != "LAB_SECRET"} | variables


@pytest.fixture
def served() -> Iterator[str]:
    """The address of a model server with a secret."""
    with subprocess.Popen(
        [LAB, "serve", "--port", "0"], env=environment(LAB_SECRET=SECRET), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        try:
            assert found is not None
            yield found[0]
        finally:
            process.terminate()


def audit(url: str, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command."""
    return subprocess.run(
        [LAB, "audit", url, *options], env=environment(**variables), capture_output=True, text=True, timeout=120
    )


def test_the_audit_of_a_clear_path_writes_its_files_and_never_the_secret(served: str, tmp_path: Path) -> None:
    """Exit code 0, the summary first, JSON that can be read again and a page; the secret from a file, shown nowhere."""
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n")
    to = tmp_path / "out"
    url = f"{served}/v1/chat/completions"
    done = audit(url, "--active", "--longest", "1.5s", "--secret-file", str(file), "--out", str(to))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("No timeout on the path up to 1.5 s")
    findings = TypeAdapter(ActiveFindings).validate_json((to / "active.json").read_bytes())
    assert findings.summary in (to / "active.html").read_text()
    written = "".join(path.read_text() for path in to.iterdir()) + done.stdout + done.stderr
    assert SECRET not in written


@pytest.mark.parametrize(
    ("options", "variables", "code", "words"),
    [
        (["--active"], {}, 3, "answers 401"),
        (["--active"], {"LAB_SECRET": "short"}, 2, "LAB_SECRET: a secret has 16 characters or more"),
        (["--active", "--secret-file", "/no/such/file"], {}, 2, "/no/such/file"),
        (["--active", "--longest", "0.1s"], {"LAB_SECRET": SECRET}, 2, "--longest"),
        (["--active", "--direct", "http://127.0.0.1:1"], {}, 2, "--active: measures one route"),
        (["--active", "--model-url", "127.0.0.1:1"], {}, 2, "--model-url"),
        (["--model-url", "http://127.0.0.1:1"], {}, 2, "--active"),
        (["--active", "--header", "Authorization=a"], {"LAB_SECRET": SECRET}, 2, "--header Authorization"),
    ],
    ids=[
        "no-secret",
        "short-secret",
        "no-file",
        "too-short",
        "two-routes",
        "no-url",
        "not-active",
        "key-as-header",
    ],
)
def test_bad_usage_is_told_in_one_message(
    served: str, tmp_path: Path, options: list[str], variables: dict[str, str], code: int, words: str
) -> None:
    """What is wrong, the right exit code, and no traceback."""
    done = audit(f"{served}/v1/chat/completions", *options, "--out", str(tmp_path), **variables)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stderr


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--runs", "3"], "--runs"),
        (["--max-tokens", "60"], "--max-tokens"),
        (["--http", "1.1"], "--http"),
        (["--strict", "--runs", "5"], "--runs, --strict"),
    ],
)
def test_what_only_the_passive_audit_heeds_is_refused(options: list[str], named: str) -> None:
    """Exit code 2 and the option's name before anything is asked: nobody listens at the address."""
    done = audit("http://127.0.0.1:9/v1/chat/completions", "--active", *options)
    assert done.returncode == 2
    assert f"{named}: not for --active" in done.stderr
