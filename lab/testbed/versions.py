"""The version that a binary itself prints, asked once for each image and remembered by the image's id.

An image's id is a hash of its contents, so what was remembered never goes stale.
"""

from __future__ import annotations

import json
from pathlib import Path

import docker

from lab.cache import cache_folder
from lab.files import write_whole
from lab.testbed._confined import NOBODY, confinement
from lab.testbed._faults import engine_faults
from lab.testbed._owner import labels, new_run


def cache_file() -> Path:
    """Where the versions are remembered."""
    return cache_folder() / "versions.json"


def remembered() -> dict[str, str]:
    """Output of the version command by image id; empty where nothing usable is stored."""
    try:
        stored = json.loads(cache_file().read_text())
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in stored.items()} if isinstance(stored, dict) else {}


def remember(outputs: dict[str, str]) -> None:
    """Store outputs; an unwritable cache only costs the next run some seconds."""
    path = cache_file()
    try:
        # Whole: another run may be reading.
        write_whole(path, json.dumps(outputs, indent=1))
    except OSError:
        return


def ask(client: docker.DockerClient, image: str, command: tuple[str, ...]) -> str:
    """What a command prints in a container of its own, both streams together.

    Raises:
        EnvironmentFault: the engine could not run it.
    """
    with engine_faults(f"running {' '.join(command)} in {image}"):
        output: bytes = client.containers.run(
            image,
            list(command[1:]),
            entrypoint=[command[0]],
            stdout=True,
            stderr=True,
            remove=True,
            network_disabled=True,
            labels=labels(new_run()),
            user=NOBODY,
            **confinement(),
        )
    return output.decode(errors="replace")
