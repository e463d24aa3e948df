"""Images as files in a folder, for machines that begin empty each time, as runners of CI do."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import docker

from lab.errors import EnvironmentFault
from lab.testbed._faults import engine_faults
from lab.testbed.images import TABLE, Image, ImageInUse, ensure, present


def ensure_kept(
    client: docker.DockerClient, keys: Sequence[str], folder: Path, say: Callable[[str], None]
) -> Mapping[str, ImageInUse]:
    """Have images, first from the files of a folder; what had no file there has one afterwards.

    Args:
        client: of the engine.
        keys: of `lab.testbed.images.TABLE`.
        folder: is made if need be. A file is named after what it is made of, so that an old one is never taken.
        say: takes one line of progress.

    Raises:
        EnvironmentFault: an image cannot be had, or the folder not be read or written.
    """
    for key in keys:
        path = folder / file_name(TABLE[key])
        if path.exists() and present(client, key) is None:
            with engine_faults(f"loading {path}"), path.open("rb") as file:
                client.images.load(file)
            say(f"Loaded {path}.")
    had = ensure(keys, say)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for key, used in had.items():
            path = folder / file_name(TABLE[key])
            if not path.exists():
                _save(client, TABLE[key], used, path)
                say(f"Saved {path}.")
    except OSError as error:
        raise EnvironmentFault(f"{folder}: {error.strerror}", "Give another folder with --keep.") from error
    return had


def file_name(image: Image) -> str:
    """What the file of an image is called: another recipe or digest has another name. Pure."""
    made_of = hashlib.sha256(f"{image.pinned} {image.tag}".encode()).hexdigest()
    return f"{image.key}-{made_of[:10]}.tar"


def _save(client: docker.DockerClient, image: Image, used: ImageInUse, path: Path) -> None:
    # What was pulled by its digest has no tag, and a file of it would have no name.
    name = image.tag if used.reference == image.tag else image.reference
    part = path.with_suffix(".part")
    with engine_faults(f"saving {name}"), part.open("wb") as file:
        found = client.images.get(used.reference)
        found.tag(name)
        found.reload()
        for chunk in found.save(named=name):
            file.write(chunk)
    part.replace(path)
