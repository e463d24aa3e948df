"""Removing what dead runs left behind: a run that was killed can remove nothing itself.

Only what carries the lab's label is touched, of that only what is in the scope that this process works in, and of
that only what belongs to a process that is known to be gone, unless everything is asked for. Images stay; they are
what makes the next run fast.

An owner of another boot proves nothing by itself: an engine may serve several machines, and the owner may be alive on
one of them. But what was made before the engine's own machine was started has lost its processes with it, whoever
made it. That the engine's machine is this one is seen from the bridges of its networks: they stand here.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import docker
import docker.errors
from docker.models.containers import Container
from docker.models.networks import Network
from docker.models.volumes import Volume

from lab.testbed._faults import ENGINE_ERRORS, engine_faults
from lab.testbed._owner import LABEL, OWNER_LABEL, RUN_LABEL, SCOPE_LABEL, Owner, boot_time, folders, own_scope
from lab.testbed.keeper import end_recorded

REMOVAL_LIMIT = 30
"""Seconds that somebody else's removal of a container may take, or the engine's own of its place in a network."""

_LOOK_EVERY = 0.1

_INTERFACES = Path("/sys/class/net")
# What the engine says of a network that it still has a container's place in; the status, 403, says many things.
_ENDPOINTS = "has active endpoints"

T = TypeVar("T")
Mine = Callable[[Mapping[str, str], bool], bool]
"""Whether a thing is to be removed: its labels, and whether a start of the engine's machine has ended it."""


@dataclass(frozen=True)
class Swept:
    """What a sweep removed: the names of containers and networks, and the paths of folders.

    Attributes:
        kept: how many containers and networks of the scope, of the lab's where there is none, it left alone.
    """

    containers: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()
    kept: int = 0

    def __bool__(self) -> bool:
        return bool(self.containers or self.networks or self.folders)


def is_abandoned(labels: Mapping[str, str], ended_by_boot: bool) -> bool:
    """Whether what carries these labels is the lab's, of this process's scope, and its owner is gone.

    Labels that cannot be read are from another version of the lab; they may be a live run's. A scope that is an
    owner's own is over when that owner is gone.

    Args:
        labels: of a container or a network.
        ended_by_boot: it was made before the engine's machine was started, so its owner's run is over.
    """

    def is_gone(owner: Owner | None) -> bool:
        return owner is not None and (owner.has_ended() or (ended_by_boot and not owner.is_of_this_boot()))

    if LABEL not in labels or not is_gone(Owner.parse(labels.get(OWNER_LABEL, ""))):
        return False
    scope = labels.get(SCOPE_LABEL, "")
    return scope == own_scope() or (not own_scope() and is_gone(Owner.parse(scope)))


def sweep(client: docker.DockerClient, everything: bool = False) -> Swept:
    """Remove what dead runs left behind, in the engine and on this machine.

    Args:
        client: of the engine.
        everything: also remove what live runs are using; in a scope, those of the scope.

    Raises:
        EnvironmentFault: the engine failed.
    """
    wanted = [LABEL, f"{SCOPE_LABEL}={own_scope()}"] if own_scope() else [LABEL]
    swept = _remove_from_engine(client, wanted, _rule(everything), "removing what dead runs left behind")
    return replace(swept, folders=sweep_folders(everything))


def sweep_folders(everything: bool = False) -> tuple[Path, ...]:
    """Remove the temporary folders that dead runs left on this machine, after ending the processes that belong there.

    Args:
        everything: as `sweep` takes it.
    """
    is_mine = _rule(everything)
    gone = []
    for folder in folders():
        ended_by_boot = folder.owner.is_of_this_machine() and folder.made < boot_time()
        if is_mine(folder.labels, ended_by_boot):
            # What another user wrote there is nobody's word on whom to kill.
            if folder.path.stat().st_uid == os.geteuid():
                end_recorded(folder.path)
            shutil.rmtree(folder.path, ignore_errors=True)
            gone.append(folder.path)
    return tuple(gone)


def _rule(everything: bool) -> Mine:
    scope = own_scope()

    def is_mine(labels: Mapping[str, str], ended_by_boot: bool) -> bool:
        if everything:
            return not scope or labels.get(SCOPE_LABEL) == scope
        return is_abandoned(labels, ended_by_boot)

    return is_mine


def remove_run(client: docker.DockerClient, run: str) -> None:
    """Remove the containers and the network of one run, however far its start came.

    Raises:
        EnvironmentFault: the engine failed; what could be removed nevertheless is gone.
    """
    _remove_from_engine(client, [f"{RUN_LABEL}={run}"], lambda *_: True, f"removing the containers of run {run}")


def _remove_from_engine(client: docker.DockerClient, labels: Sequence[str], is_mine: Mine, doing: str) -> Swept:
    """Remove the containers, and then the networks and volumes, with these labels which `is_mine` names.

    A volume goes with its container as a rule, but an engine may let go of it too late for that. What cannot be
    removed keeps nothing else from being removed; the first error is raised at the end.
    """
    filters: dict[str, str | list[str] | bool] = {"label": list(labels)}
    with engine_faults(doing):
        networks = client.networks.list(filters=filters)
        # Sparse: looking at each would take a request each, and each might be gone by then.
        containers = client.containers.list(all=True, sparse=True, filters=filters)
    started = boot_time() if _any_pods_here(networks) else 0.0
    removal = _Removal()
    for container in containers:
        told = container.attrs
        if not told["Names"]:
            # Somebody is removing it already, and an engine was seen to stay there for good.
            continue
        if is_mine(told["Labels"], told["State"] != "running" and told["Created"] < started):
            removal.containers += removal.tried(told["Names"][0].removeprefix("/"), _remove_container, container)
    for network in networks:
        if is_mine(network.attrs["Labels"], _seconds(network.attrs["Created"]) < started):
            removal.networks += removal.tried(str(network.name), _remove_network, network)
    with engine_faults(doing):
        volumes = client.volumes.list(filters=filters)
    for volume in volumes:
        if is_mine(volume.attrs["Labels"], _seconds(volume.attrs["CreatedAt"]) < started):
            removal.tried(str(volume.name), _remove_volume, volume)
    if removal.error is not None:
        with engine_faults(doing):
            raise removal.error
    gone = len(removal.containers) + len(removal.networks)
    kept = len(containers) + len(networks) - gone
    return Swept(tuple(removal.containers), tuple(removal.networks), kept=kept)


@dataclass
class _Removal:
    """What is gone so far, and the first error."""

    containers: list[str] = field(default_factory=list)
    networks: list[str] = field(default_factory=list)
    error: Exception | None = None

    def tried(self, name: str, remove: Callable[[T], None], thing: T) -> list[str]:
        """The name, if it could be removed."""
        try:
            remove(thing)
        except ENGINE_ERRORS as error:
            self.error = self.error or error
            return []
        return [name]


def _any_pods_here(networks: Iterable[Network]) -> bool:
    """Whether the bridge of one of these networks is an interface of this machine: then so is the engine."""
    return any((_INTERFACES / f"br-{str(network.id)[:12]}").exists() for network in networks)


def _seconds(time: str) -> float:
    """A time of the engine's, in seconds since 1970."""
    return datetime.fromisoformat(time).timestamp()


def _remove_container(container: Container) -> None:
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


def _remove_network(network: Network) -> None:
    until = time.monotonic() + REMOVAL_LIMIT
    while True:
        try:
            return network.remove()
        except docker.errors.NotFound:
            return None
        except docker.errors.APIError as error:
            # A busy engine has said that a container is gone, and takes it off its network only after that.
            if _ENDPOINTS not in str(error) or time.monotonic() > until:
                raise
        time.sleep(_LOOK_EVERY)


def _remove_volume(volume: Volume) -> None:
    try:
        volume.remove()
    except docker.errors.NotFound:
        return
    except docker.errors.APIError as error:
        # In use: then its container stays too, and was told.
        if error.status_code != 409:
            raise
