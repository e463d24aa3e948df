"""How a container comes to the processor before others: by a larger share of it, or by the real-time class.

Both are asked for from outside the container, which so needs no capability for either. The share is part of how each
of the lab's containers is made. An engine puts its containers into one control group, and all of them together have the
share of one other process; so the lab's stand beside that group where the engine lets them, and each counts by itself.
The class is for the one process of the model server's container, and only where engine and lab stand on one machine:
elsewhere its number is that of another process, or of none.
"""

from __future__ import annotations

from pathlib import Path

import docker
from docker.models.containers import Container

from lab.precedence import enter_real_time
from lab.vocabulary import Precedence

SHARES = 8192
"""Eight times what a container has if nothing is said; counts only while the processor is short."""


def group_of_containers(client: docker.DockerClient) -> str | None:
    """The control group that the lab's containers are to be in; None for the engine's own choice.

    Where systemd keeps the groups, it has a place for the engine, and the choice is not ours.
    """
    return "/" if client.info().get("CgroupDriver") == "cgroupfs" else None


def prefer(client: docker.DockerClient, container: Container) -> Precedence:
    """Put the process of a container that runs before others.

    Args:
        client: of the engine.
        container: made with `SHARES`; its attributes are those since its start.

    Returns:
        How it comes to run before others.
    """
    process = int(container.attrs["State"]["Pid"])
    if is_here(process, container.id or "") and enter_real_time(process):
        return Precedence.REAL_TIME
    return Precedence.SHARES if client.info().get("CPUShares") else Precedence.NONE


def is_here(process: int, container: str) -> bool:
    """Whether the process with that number, on this machine, is in that container."""
    try:
        return bool(container) and container in Path(f"/proc/{process}/cgroup").read_text()
    except OSError:
        return False


def number_inside(process: int) -> str:
    """The number that a process of this machine has in the container that it is in; empty where nobody tells."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return ""
    # One for each namespace of process numbers, the innermost last.
    return next((line.split()[-1] for line in lines if line.startswith("NSpid:")), "")
