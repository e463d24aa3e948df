from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest

from lab.errors import EnvironmentFault
from lab.testbed import _owner
from lab.testbed import sweep as module
from lab.testbed._confined import confinement
from lab.testbed._owner import LABEL, OWNER_LABEL, RUN_LABEL, SCOPE_LABEL, SCOPE_VARIABLE, Owner, new_run
from lab.testbed.images import MODEL, ImageInUse
from lab.testbed.sweep import is_abandoned, remove_run, sweep

ME = Owner.of(os.getpid())
DEAD = replace(ME, started=ME.started + 1)
EARLIER = replace(ME, boot="another")
"""Of this machine before it was started, or of another machine: nobody can tell."""


def labels_of(owner: Owner | str, scope: Owner | str = "") -> dict[str, str]:
    """What a thing of that owner and scope carries."""
    return {LABEL: "1", OWNER_LABEL: str(owner), SCOPE_LABEL: str(scope)}


CASES = {
    "of a dead run": (labels_of(DEAD), False, True),
    "of a live run": (labels_of(ME), False, False),
    "of somebody else": ({OWNER_LABEL: str(DEAD)}, False, False),
    "without owner": ({LABEL: "1"}, False, False),
    "of an unreadable owner": (labels_of("?"), False, False),
    "of another boot": (labels_of(EARLIER), False, False),
    "of another boot, from before the engine's": (labels_of(EARLIER), True, True),
    "of a live run, said to be from before": (labels_of(ME), True, False),
    "in a scope whose owner lives": (labels_of(DEAD, ME), False, False),
    "in a scope whose owner is gone": (labels_of(DEAD, DEAD), False, True),
    "in a scope of a name": (labels_of(DEAD, "job-7"), False, False),
    "of an older lab, which knew no scope": ({LABEL: "1", OWNER_LABEL: str(DEAD)}, False, True),
}


@pytest.mark.parametrize(("labels", "ended_by_boot", "abandoned"), CASES.values(), ids=CASES)
def test_only_what_a_dead_run_left_is_abandoned(
    monkeypatch: pytest.MonkeyPatch, labels: Mapping[str, str], ended_by_boot: bool, abandoned: bool
) -> None:
    """Labels decide: ours, in nobody's scope, and of a process that is known to be gone."""
    monkeypatch.delenv(SCOPE_VARIABLE, raising=False)
    assert is_abandoned(labels, ended_by_boot) is abandoned


def test_in_a_scope_nothing_outside_is_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever works in a scope touches only what was made in it, however dead the rest is."""
    monkeypatch.setenv(SCOPE_VARIABLE, "mine")
    assert is_abandoned(labels_of(DEAD, "mine"), ended_by_boot=False)
    assert not is_abandoned(labels_of(DEAD, "yours"), ended_by_boot=False)
    assert not is_abandoned(labels_of(DEAD, DEAD), ended_by_boot=False)
    assert not is_abandoned(labels_of(DEAD), ended_by_boot=False)


def all_of_ours(labels: Sequence[str]) -> bool:
    """Whether only what is the lab's is asked for."""
    return bool(labels) and all(label.startswith(LABEL) for label in labels)


class Thing:
    """A container or a network of `FakeEngine`."""

    def __init__(self, engine: FakeEngine, name: str, owner: Owner, created: float, state: str, error: str) -> None:
        self.name, self.id = name, f"{name}-0123456789abcdef"
        self.refusals = 0
        labels = {**labels_of(owner), RUN_LABEL: "a-run"}
        self.attrs = {"Names": [f"/{name}"], "Labels": labels, "State": state, "Created": created}
        self._engine, self._error = engine, error

    def remove(self, **_: object) -> None:
        """As in docker-py."""
        if self.refusals:
            self.refusals -= 1
            raise docker.errors.APIError("403", explanation=f"network {self.name} has active endpoints")
        if self._error:
            raise docker.errors.APIError(self._error)
        self._engine.removed.append(self.name)


class NoVolumes:
    """The volumes of `FakeEngine`."""

    def list(self, *, filters: Mapping[str, Sequence[str]]) -> list[Thing]:
        """None."""
        assert all_of_ours(filters["label"])
        return []


class FakeEngine:
    """As much of a docker-py client as a sweep needs; one network, and containers as they are added."""

    def __init__(self, owner: Owner, created: float) -> None:
        self.removed: list[str] = []
        self._containers: list[Thing] = []
        self._network = Thing(self, "network", owner, created, "", "")
        self._network.attrs["Created"] = f"{module.datetime.fromtimestamp(created).astimezone().isoformat()}"
        self.containers, self.networks, self.volumes = self, self, NoVolumes()
        self.owner = owner

    def add(self, name: str, created: float = 0.0, state: str = "exited", error: str = "") -> None:
        """Have a container."""
        self._containers.append(Thing(self, name, self.owner, created, state, error))

    def list(self, *, filters: Mapping[str, Sequence[str]], all: bool = False, sparse: bool = False) -> list[Thing]:  # noqa: A002
        """The containers if all of them are asked for, else the networks."""
        assert all_of_ours(filters["label"])
        return self._containers if all and sparse else [self._network]


def swept_by(engine: Any) -> list[str]:
    """What a sweep takes."""
    sweep(engine)
    return list(engine.removed)


@pytest.mark.parametrize("here", [True, False])
def test_an_owner_of_another_boot_is_gone_only_if_the_engines_machine_was_started_since(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, here: bool
) -> None:
    """An engine on this machine, and older than its start; on a shared engine elsewhere, the owner may be alive."""
    monkeypatch.delenv(SCOPE_VARIABLE, raising=False)
    monkeypatch.setattr(module, "_INTERFACES", tmp_path)
    monkeypatch.setattr(module, "boot_time", lambda: 1000.0)
    engine = FakeEngine(EARLIER, created=900.0)
    engine.add("old", created=900.0)
    engine.add("old-but-running", created=900.0, state="running")
    engine.add("new", created=1100.0)
    if here:
        (tmp_path / "br-network-0123").mkdir()
    assert swept_by(engine) == (["old", "network"] if here else [])


@pytest.mark.parametrize("machine", ["this", "another"])
def test_a_folder_of_another_machine_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, machine: str
) -> None:
    """Machines may share the folder for temporary files; only an earlier boot of this very one is over."""
    monkeypatch.delenv(SCOPE_VARIABLE, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(module, "boot_time", lambda: 2.0**40)
    owner = EARLIER if machine == "this" else replace(EARLIER, machine=machine)
    folder = Path(tempfile.mkdtemp(prefix=f"token-stream-lab-{owner}@@"))
    swept_by(FakeEngine(ME, created=0.0))
    assert folder.exists() is (machine == "another")


def test_what_cannot_be_removed_keeps_nothing_else_from_it() -> None:
    """A container that the engine does not let go of is told at the end, when all the others are gone."""
    engine: Any = FakeEngine(ME, created=0.0)
    engine.add("first")
    engine.add("stuck", error="device or resource busy")
    engine.add("last")
    with pytest.raises(EnvironmentFault, match="busy"):
        remove_run(engine, "a-run")
    assert engine.removed == ["first", "last", "network"]


def test_a_container_that_is_being_removed_is_left_to_whoever_does_it() -> None:
    """It has lost its name; an engine was seen to stay there for good, and no lab started beside it."""
    engine: Any = FakeEngine(ME, created=0.0)
    engine.add("nameless", state="removing")
    engine.add("other")
    engine.list(filters={"label": [LABEL]}, all=True, sparse=True)[0].attrs["Names"] = []
    remove_run(engine, "a-run")
    assert engine.removed == ["other", "network"]


@pytest.mark.parametrize(("refusals", "limit", "removed"), [(3, 30.0, True), (10**6, 0.3, False)])
def test_a_network_goes_once_the_engine_has_let_go_of_its_containers(
    monkeypatch: pytest.MonkeyPatch, refusals: int, limit: float, removed: bool
) -> None:
    """They are said to be gone before that; what never is let go of is told."""
    monkeypatch.setattr(module, "REMOVAL_LIMIT", limit)
    engine: Any = FakeEngine(ME, created=0.0)
    engine.add("first")
    (network,) = engine.list(filters={"label": [LABEL]})
    network.refusals = refusals
    if removed:
        remove_run(engine, "a-run")
    else:
        with pytest.raises(EnvironmentFault, match="active endpoints"):
            remove_run(engine, "a-run")
    assert engine.removed == (["first", "network"] if removed else ["first"])


@pytest.mark.engine
def test_a_sweep_takes_what_dead_runs_left(
    engine: docker.DockerClient, images_in_use: Mapping[str, ImageInUse]
) -> None:
    """Container, network, volume and folder of a dead run go; those of a live one stay."""
    made = {}
    scope = _owner.own_scope()
    for name, owner in (("dead", DEAD), ("live", ME)):
        labels = {**_owner.labels("sweep-test"), OWNER_LABEL: str(owner)}
        network = engine.networks.create(f"token-stream-lab-{new_run()}", labels=labels)
        container = engine.containers.create(
            images_in_use[MODEL].reference, ["true"], labels=labels, network=network.name, **confinement()
        )
        folder = Path(tempfile.mkdtemp(prefix=f"token-stream-lab-{owner}@{scope}@"))
        volume = engine.volumes.create(labels=labels)
        made[name] = (container, network, volume, folder)
    try:
        swept = sweep(engine)
        dead, live = made["dead"], made["live"]
        assert dead[0].name in swept.containers
        assert dead[1].name in swept.networks
        assert dead[3] in swept.folders
        assert not dead[3].exists()
        for thing in dead[0], dead[2]:
            with pytest.raises(docker.errors.NotFound):
                thing.reload()
        for thing in live[:3]:
            thing.reload()
        assert live[3].exists()
        assert swept.kept >= 2
    finally:
        for container, network, volume, folder in made.values():
            for thing in (container, network, volume):
                try:
                    thing.remove()
                except docker.errors.NotFound:
                    continue
            folder.rmdir() if folder.exists() else None
