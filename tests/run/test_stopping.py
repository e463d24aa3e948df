from __future__ import annotations

import signal
from pathlib import Path

import docker
import pytest
from own_scenario import LONG, write_scenario
from processes import IMAGES, PLAY, START, await_line, end_of, left_by, messages, running

from lab.stage._owner import LABEL, OWNER_LABEL, Owner

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("images_in_use")]


@pytest.fixture
def scenarios(tmp_path: Path) -> Path:
    """A scenario that takes ten seconds, in a folder of its own."""
    write_scenario(tmp_path / "all" / "long", table=LONG)
    return tmp_path / "all"


@pytest.mark.parametrize("phase", [IMAGES, START, PLAY])
@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_leaves_nothing(
    scenarios: Path, engine: docker.DockerClient, phase: str, number: signal.Signals, exit_code: int
) -> None:
    """Whatever it was doing, its containers, network and files are gone before it is, and no traceback is shown."""
    with running("run", scenarios, "--out", scenarios.parent / "out") as process:
        await_line(process, phase)
        code, _, err = end_of(process, number)
    assert code == exit_code
    assert "Traceback" not in err
    assert left_by(engine, process.pid) == []


def test_kill_reaches_a_run_in_the_background(scenarios: Path, engine: docker.DockerClient) -> None:
    """A script's `lab run &` does not hear Ctrl-C; the script's `kill` must stop it all the same."""
    with running("run", scenarios, "--out", scenarios.parent / "out", in_background=True) as process:
        await_line(process, PLAY)
        code, told, err = end_of(process, signal.SIGTERM)
    assert (code, err) == (143, "lab: stopped\n")
    assert "Sides" not in told
    assert left_by(engine, process.pid) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_ten_signals_in_a_row_leave_nothing(
    scenarios: Path, engine: docker.DockerClient, number: signal.Signals
) -> None:
    """An impatient user presses it again while the containers are being removed; they are removed all the same."""
    with running("run", scenarios, "--out", scenarios.parent / "out") as process:
        await_line(process, PLAY)
        for _ in range(9):
            process.send_signal(number)
        code, _, err = end_of(process, number)
    assert code == 128 + number
    assert messages(err)[-1] == "lab: stopped"
    assert "Traceback" not in err
    assert left_by(engine, process.pid) == []


@pytest.mark.parametrize("phase", [START, PLAY])
def test_what_a_killed_run_left_is_gone_after_the_next(
    scenarios: Path, engine: docker.DockerClient, phase: str
) -> None:
    """Kill -9 leaves no time to tidy up; whoever runs the lab next does it, without asking."""
    with running("run", scenarios, "--out", scenarios.parent / "out") as killed:
        await_line(killed, phase)
        assert left_by(engine, killed.pid)
        killed.kill()
    write_scenario(scenarios.parent / "next" / "short")
    with running("run", scenarios.parent / "next", "--out", scenarios.parent / "out") as process:
        code, _, err = end_of(process)
    assert (code, err) == (0, "")
    assert left_by(engine, killed.pid) == []
    assert left_by(engine, process.pid) == []


def test_clean_removes_what_a_killed_run_left(scenarios: Path, engine: docker.DockerClient) -> None:
    """`lab clean` names what it removes, and images stay."""
    with running("run", scenarios, "--out", scenarios.parent / "out") as killed:
        await_line(killed, PLAY)
        left = left_by(engine, killed.pid)
        killed.kill()
    others = [name for name, owner in _labelled(engine) if owner is None or owner.pid != killed.pid]
    if others:
        pytest.skip(f"`lab clean` would also remove what others are using: {', '.join(others)}")
    images = {image.id for image in engine.images.list()}
    with running("clean") as process:
        code, told, _ = end_of(process)
    assert code == 0
    assert [name for name in left if name not in told] == []
    assert left_by(engine, killed.pid) == []
    assert {image.id for image in engine.images.list()} == images


def _labelled(engine: docker.DockerClient) -> list[tuple[str, Owner | None]]:
    """Every container of the lab's, with its owner."""
    containers = engine.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True)
    return [(str(each.name), Owner.parse(each.labels.get(OWNER_LABEL, ""))) for each in containers]
