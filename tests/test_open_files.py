"""A system that starts processes with few open files lets the lab's have more."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from lab import open_files

RAISED = "from lab.open_files import allow_most; allow_most(); import resource; print(*resource.getrlimit(7))"


def limits_of(soft: int, hard: int) -> tuple[int, int]:
    """Soft and hard limit of a process that was started with these and asked for most."""
    done = subprocess.run(
        [sys.executable, "-c", RAISED],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)),
        capture_output=True,
        check=True,
        text=True,
    )
    after, still = map(int, done.stdout.split())
    return after, still


def test_as_many_as_the_system_allows() -> None:
    """The hard limit stays as it is: it is somebody's decision."""
    assert resource.RLIMIT_NOFILE == 7
    assert limits_of(64, 300) == (300, 300)
    assert limits_of(300, 300) == (300, 300)


def test_there_is_an_end_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a limit, or with one in the millions, a process has a good many, and one that has more keeps it."""
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr("resource.setrlimit", lambda _, wanted: asked.append(wanted))
    for soft, hard in [(1024, resource.RLIM_INFINITY), (1024, 10**9), (10**6, 10**9)]:
        monkeypatch.setattr("resource.getrlimit", lambda _, found=(soft, hard): found)
        open_files.allow_most()
    assert asked == [(open_files.MOST, resource.RLIM_INFINITY), (open_files.MOST, 10**9)]
