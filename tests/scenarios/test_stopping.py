from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import docker
import docker.errors
import docker.models.containers
import pytest
from markers import grid
from own_scenario import LONG, write_scenario
from processes import IMAGES, PLAY, START, await_line, end_of, left_by, messages, running

from lab.testbed._confined import confinement
from lab.testbed._owner import SCOPE_VARIABLE, labels, new_run
from lab.testbed.images import MODEL, ImageInUse

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("images_in_use")]

STOPS = [(phase, *stop) for phase in (IMAGES, START, PLAY) for stop in ((signal.SIGINT, 130), (signal.SIGTERM, 143))]


@pytest.fixture
def scenarios(tmp_path: Path) -> Path:
    """A scenario that takes ten seconds, in a folder of its own."""
    write_scenario(tmp_path / "all" / "long", table=LONG)
    return tmp_path / "all"


@pytest.mark.parametrize(
    ("phase", "number", "exit_code"),
    grid(STOPS, quick=[(IMAGES, signal.SIGTERM, 143), (START, signal.SIGINT, 130), (PLAY, signal.SIGINT, 130)]),
)
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


@pytest.mark.grid
def test_kill_reaches_a_run_in_the_background(scenarios: Path, engine: docker.DockerClient) -> None:
    """A script's `lab run &` does not hear Ctrl-C; the script's `kill` must stop it all the same."""
    with running("run", scenarios, "--out", scenarios.parent / "out", in_background=True) as process:
        await_line(process, PLAY)
        code, told, err = end_of(process, signal.SIGTERM)
    assert (code, err) == (143, "lab: stopped\n")
    assert "Cases" not in told
    assert left_by(engine, process.pid) == []


@pytest.mark.parametrize("number", grid([signal.SIGINT, signal.SIGHUP], quick=[signal.SIGINT]))
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


@pytest.mark.parametrize("phase", grid([START, PLAY], quick=[PLAY]))
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


def test_clean_removes_what_a_killed_run_left(
    scenarios: Path, engine: docker.DockerClient, images_in_use: Mapping[str, ImageInUse]
) -> None:
    """`lab clean` names what it removes; images stay, and so does what a live process has."""
    with running("run", scenarios, "--out", scenarios.parent / "out") as killed:
        await_line(killed, PLAY)
        left = left_by(engine, killed.pid)
        killed.kill()
    with kept(engine, images_in_use) as mine, running("clean") as process:
        code, told, _ = end_of(process)
        assert code == 0
        assert [name for name in left if name not in told] == []
        assert left_by(engine, killed.pid) == []
        mine.reload()
    assert all(engine.images.get(image.reference) for image in images_in_use.values())


@pytest.mark.grid
def test_clean_of_everything_keeps_to_its_scope(
    engine: docker.DockerClient, images_in_use: Mapping[str, ImageInUse]
) -> None:
    """Two suites, or two jobs on one engine: what `lab clean --all` removes is never another's."""
    yours, mine = {SCOPE_VARIABLE: f"yours-{new_run()}"}, {SCOPE_VARIABLE: f"mine-{new_run()}"}
    with kept(engine, images_in_use, **mine) as container:
        for arguments, scope in ((["clean", "--all"], yours), (["clean"], mine)):
            with running(*arguments, env=scope) as process:
                code, _, _ = end_of(process)
            assert code == 0
            container.reload()
        with running("clean", "--all", env=mine) as process:
            _, told, _ = end_of(process)
        assert told == f"removed container {container.name}\n"


@contextmanager
def kept(
    engine: docker.DockerClient, images_in_use: Mapping[str, ImageInUse], **scope: str
) -> Iterator[docker.models.containers.Container]:
    """A container of this living process, in this scope or in the one given."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in scope.items():
            environment.setenv(name, value)
        mine = labels(new_run())
    name = f"token-stream-lab-{new_run()}"
    image = images_in_use[MODEL].reference
    container = engine.containers.create(image, ["true"], name=name, labels=mine, **confinement())
    try:
        yield container
    finally:
        with suppress(docker.errors.NotFound):
            container.remove(force=True, v=True)
