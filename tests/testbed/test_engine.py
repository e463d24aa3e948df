from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from lab.errors import EnvironmentFault
from lab.testbed import engine
from lab.testbed.engine import Action, Situation

BARE = Situation(answers=False, address=None, running=False, installed=False, debian=True, root=True, allowed=True)

CASES = {
    "it answers": (replace(BARE, answers=True, root=False, debian=False), Action.USE),
    "nothing there, root on Debian": (BARE, Action.INSTALL),
    "installed but not running": (replace(BARE, installed=True), Action.START),
    "still starting": (replace(BARE, installed=True, running=True), Action.WAIT),
    "no root": (replace(BARE, root=False), Action.GIVE_UP),
    "no Debian": (replace(BARE, debian=False), Action.GIVE_UP),
    "forbidden": (replace(BARE, allowed=False), Action.GIVE_UP),
    "forbidden to start either": (replace(BARE, installed=True, allowed=False), Action.GIVE_UP),
    "the user's own address is silent": (replace(BARE, address="tcp://elsewhere:2375"), Action.GIVE_UP),
}


@pytest.mark.parametrize(("seen", "action"), CASES.values(), ids=CASES)
def test_what_is_done_about_the_engine(seen: Situation, action: Action) -> None:
    """Each situation leads to one action, and nothing is installed where it is not welcome."""
    assert engine.decide(seen) is action


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (replace(BARE, address="tcp://elsewhere:2375"), ["tcp://elsewhere:2375", "DOCKER_HOST"]),
        (replace(BARE, installed=True, root=False), ["does not answer", "group docker"]),
        (replace(BARE, root=False), ["apt-get install docker.io", "LAB_INSTALL_ENGINE=0"]),
    ],
)
def test_giving_up_names_the_remedy(seen: Situation, words: list[str]) -> None:
    """An error about a missing engine says what to do about it."""
    text = str(engine.why_not(seen))
    assert all(word in text for word in words)


def test_an_engine_that_is_not_there_is_an_environment_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the user points to a dead engine, the lab neither installs one nor shows a traceback."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(EnvironmentFault, match=r"none\.sock"):
        engine.ensure_engine(lambda line: pytest.fail(line))


def test_an_ended_process_runs_nothing() -> None:
    """A daemon that was killed does not count as running while its parent takes no notice."""
    with subprocess.Popen(["sleep", "60"]) as process:
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert engine.program_of(process.pid) == ""


def test_a_pid_file_of_a_living_daemon_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only a pid file whose process is gone, or is another program by now, is removed."""
    mine = Path("/proc/self/comm").read_text().strip()
    files = {name: tmp_path / name for name in ("living", "other", "broken")}
    for path in files.values():
        path.write_text(str(os.getpid()))
    files["broken"].write_text("?")
    programs = {files["living"]: mine, files["other"]: "dockerd", files["broken"]: "dockerd"}
    monkeypatch.setattr(engine, "_PID_FILES", programs)
    engine.drop_stale_pid_files()
    assert [name for name, path in files.items() if path.exists()] == ["living"]
