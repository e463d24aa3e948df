from __future__ import annotations

import os
import subprocess
from types import SimpleNamespace
from typing import Any, cast

import docker
import psutil
import pytest
from docker.models.containers import Container

from lab.errors import EnvironmentFault
from lab.testbed import _containers, _precedence
from lab.testbed._owner import RUN_LABEL
from lab.testbed._precedence import SHARES, group_of_containers, prefer
from lab.testbed.containers import Containers
from lab.vocabulary import Precedence

from .test_testbed import MODEL_STUB, Images, Testbed, run_of

OTHERS = "0" * 64
"""The id of a container that no process of this machine is in."""


def container(number: str = OTHERS) -> Container:
    """One whose process has the number of this very process, as one of another machine's may."""
    return cast(Container, SimpleNamespace(id=number, attrs={"State": {"Pid": os.getpid()}}))


def engine_with(*, shares: bool) -> docker.DockerClient:
    """One that knows of shares, or does not."""
    return cast(docker.DockerClient, SimpleNamespace(info=lambda: {"CPUShares": shares}))


@pytest.mark.parametrize(("shares", "gained"), [(True, Precedence.SHARES), (False, Precedence.NONE)])
def test_a_process_of_the_same_number_elsewhere_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, shares: bool, gained: Precedence
) -> None:
    """The engine may stand on another machine; what has that number here is somebody else's."""
    touched: list[int] = []
    monkeypatch.setattr(_precedence, "enter_real_time", touched.append)
    assert prefer(engine_with(shares=shares), container()) is gained
    assert prefer(engine_with(shares=shares), container("")) is gained
    assert touched == []


@pytest.mark.parametrize(("granted", "gained"), [(True, Precedence.REAL_TIME), (False, Precedence.SHARES)])
def test_the_class_where_it_is_granted_and_the_share_where_it_is_not(
    monkeypatch: pytest.MonkeyPatch, granted: bool, gained: Precedence
) -> None:
    """The kernel may refuse a container's process the class; the share it has all the same."""
    asked: list[int] = []

    def enter(process: int) -> bool:
        asked.append(process)
        return granted

    monkeypatch.setattr(_precedence, "enter_real_time", enter)
    monkeypatch.setattr(_precedence, "is_here", lambda *_: True)
    assert prefer(engine_with(shares=True), container()) is gained
    assert asked == [os.getpid()]


def test_processes_of_another_machine_are_nobodys_here() -> None:
    """Their numbers are those of others here, whose memory and time nobody asked for."""
    table = {"Titles": ["UID", "PID"], "Processes": [["root", str(os.getpid())]]}
    elsewhere = cast(Container, SimpleNamespace(id=OTHERS, name="it", top=lambda: table))
    assert _containers.pids(elsewhere, "/run/it.pid") == []


def test_of_a_container_only_the_processes_of_one_program_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its number inside: it and what it has started, and not what shares the container."""
    with subprocess.Popen(["/bin/sh", "-c", "sleep 60 & echo; wait"], stdout=subprocess.PIPE) as program:
        try:
            assert program.stdout is not None
            program.stdout.readline()
            (child,) = psutil.Process(program.pid).children()
            everybody = [os.getppid(), os.getpid(), program.pid, child.pid]
            table = {"Titles": ["UID", "PID"], "Processes": [["root", str(pid)] for pid in everybody]}
            shared = cast(Container, SimpleNamespace(id=OTHERS, name="it", top=lambda: table))
            monkeypatch.setattr(_containers, "is_here", lambda *_: True)
            monkeypatch.setattr(_containers, "read", lambda *_: f"{program.pid}\n")
            assert _containers.pids(shared, "/run/it.pid") == [program.pid, child.pid]
            monkeypatch.setattr(_containers, "read", lambda *_: "1\n")
            with pytest.raises(EnvironmentFault, match="ended"):
                _containers.pids(shared, "/run/it.pid")
        finally:
            child.kill()
            program.kill()


@pytest.mark.parametrize(("driver", "group"), [("cgroupfs", "/"), ("systemd", None), (None, None)])
def test_containers_stand_beside_the_engines_group_where_it_lets_them(driver: str | None, group: str | None) -> None:
    """In it all containers together have the share of one process; systemd keeps the groups by its own rules."""
    engine = cast(docker.DockerClient, SimpleNamespace(info=lambda: {"CgroupDriver": driver}))
    assert group_of_containers(engine) == group


@pytest.mark.engine
async def test_a_stage_tells_what_its_model_server_has(engine: docker.DockerClient, images_in_use: Images) -> None:
    """The share is in the engine's own record, and the class, where the testbed says so, in the kernel's."""
    async with Testbed([], Containers(images_in_use, model_command=MODEL_STUB)) as testbed:
        (model,) = engine.containers.list(filters={"label": f"{RUN_LABEL}={run_of(testbed)}"})
        attributes: dict[str, Any] = model.attrs
        assert attributes["HostConfig"]["CpuShares"] == SHARES
        if testbed.precedence is Precedence.REAL_TIME:
            assert os.sched_getscheduler(attributes["State"]["Pid"]) & ~os.SCHED_RESET_ON_FORK == os.SCHED_RR
        else:
            assert testbed.precedence in (Precedence.SHARES, Precedence.NONE)
