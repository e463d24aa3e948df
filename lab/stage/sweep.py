"""Removing what dead runs left behind: a run that was killed can remove nothing itself.

Only what carries the lab's label is touched, and of that only what belongs to a process that is gone,
unless everything is asked for. Images stay; they are what makes the next run fast.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import docker
import docker.errors
from docker.models.containers import Container

from lab.stage._faults import engine_faults
from lab.stage._owner import LABEL, OWNER_LABEL, RUN_LABEL, Owner, folders

REMOVAL_LIMIT = 30
"""Seconds that somebody else's removal of a container may take."""


@dataclass(frozen=True)
class Swept:
    """What a sweep removed: the names of containers and networks, and the paths of folders."""

    containers: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.containers or self.networks or self.folders)


def is_abandoned(labels: Mapping[str, str]) -> bool:
    """Whether what carries these labels is the lab's and its owner is gone.

    Labels that cannot be read are from another version of the lab; they may be a live run's.
    """
    owner = Owner.parse(labels.get(OWNER_LABEL, ""))
    return LABEL in labels and owner is not None and not owner.is_alive()


def sweep(client: docker.DockerClient, everything: bool = False) -> Swept:
    """Remove what dead runs left behind.

    Args:
        client: of the engine.
        everything: also remove what live runs are using.

    Raises:
        EnvironmentFault: the engine failed.
    """
    with engine_faults("removing what dead runs left behind"):
        containers = _remove_containers(client, {"label": LABEL}, everything)
        networks = _remove_networks(client, {"label": LABEL}, everything)
    gone = [path for path, owner in folders() if everything or not owner.is_alive()]
    for path in gone:
        shutil.rmtree(path, ignore_errors=True)
    return Swept(tuple(containers), tuple(networks), tuple(gone))


def remove_run(client: docker.DockerClient, run: str) -> None:
    """Remove the containers and the network of one run, however far its start came."""
    with engine_faults(f"removing the containers of run {run}"):
        mine: dict[str, str | list[str] | bool] = {"label": f"{RUN_LABEL}={run}"}
        _remove_containers(client, mine, everything=True)
        _remove_networks(client, mine, everything=True)


def _remove_containers(
    client: docker.DockerClient, filters: dict[str, str | list[str] | bool], everything: bool
) -> list[str]:
    removed = []
    for container in client.containers.list(all=True, filters=filters, ignore_removed=True):
        if everything or is_abandoned(container.labels):
            _remove(container)
            removed.append(str(container.name))
    return removed


def _remove_networks(
    client: docker.DockerClient, filters: dict[str, str | list[str] | bool], everything: bool
) -> list[str]:
    removed = []
    for network in client.networks.list(filters=filters):
        if everything or is_abandoned(network.attrs.get("Labels") or {}):
            try:
                network.remove()
            except docker.errors.NotFound:
                continue
            removed.append(str(network.name))
    return removed


def _remove(container: Container) -> None:
    try:
        container.remove(force=True, v=True)
    except docker.errors.NotFound:
        pass
    except docker.errors.APIError as error:
        if error.status_code != 409:
            raise
        # Somebody else, such as a sweep at the same time, is already at it; its network goes only after it.
        _await_removal(container)


def _await_removal(container: Container) -> None:
    try:
        container.wait(condition="removed", timeout=REMOVAL_LIMIT)
    except docker.errors.NotFound:
        return
