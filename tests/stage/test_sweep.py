from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import docker
import docker.errors
import pytest

from lab.stage import _owner
from lab.stage._owner import LABEL, OWNER_LABEL, Owner
from lab.stage.images import MODEL, ImageInUse
from lab.stage.sweep import is_abandoned, sweep

ME = Owner.of(os.getpid())
DEAD = replace(ME, started=ME.started + 1)

CASES = {
    "of a dead run": ({LABEL: "1", OWNER_LABEL: str(DEAD)}, True),
    "of a live run": ({LABEL: "1", OWNER_LABEL: str(ME)}, False),
    "of somebody else": ({OWNER_LABEL: str(DEAD)}, False),
    "without owner": ({LABEL: "1"}, False),
    "of an unreadable owner": ({LABEL: "1", OWNER_LABEL: "?"}, False),
}


@pytest.mark.parametrize(("labels", "abandoned"), CASES.values(), ids=CASES)
def test_only_what_a_dead_run_left_is_abandoned(labels: Mapping[str, str], abandoned: bool) -> None:
    """Labels decide: ours, and of a process that is gone."""
    assert is_abandoned(labels) is abandoned


@pytest.mark.engine
def test_a_sweep_takes_what_dead_runs_left(
    engine: docker.DockerClient, images_in_use: Mapping[str, ImageInUse]
) -> None:
    """Container, network and folder of a dead run go; those of a live one stay."""
    made = {}
    for name, owner in (("dead", DEAD), ("live", ME)):
        labels = {**_owner.labels("sweep-test"), OWNER_LABEL: str(owner)}
        network = engine.networks.create(f"token-stream-lab-test-{name}", labels=labels)
        container = engine.containers.create(
            images_in_use[MODEL].reference, ["true"], labels=labels, network=network.name
        )
        folder = Path(tempfile.mkdtemp(prefix=f"token-stream-lab-{owner}+"))
        made[name] = (container, network, folder)
    try:
        swept = sweep(engine)
        dead, live = made["dead"], made["live"]
        assert dead[0].name in swept.containers
        assert dead[1].name in swept.networks
        assert dead[2] in swept.folders
        assert not dead[2].exists()
        with pytest.raises(docker.errors.NotFound):
            dead[0].reload()
        live[0].reload()
        live[1].reload()
        assert live[2].exists()
    finally:
        for container, network, folder in made.values():
            for thing in (container, network):
                try:
                    thing.remove()
                except docker.errors.NotFound:
                    continue
            folder.rmdir() if folder.exists() else None
