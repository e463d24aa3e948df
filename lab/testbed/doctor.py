"""Looks at what the lab needs and changes nothing: the engine, each image, each version."""

from __future__ import annotations

from dataclasses import dataclass

import docker

from lab.errors import LabError
from lab.testbed import engine, images


@dataclass(frozen=True)
class Examined:
    """One thing that the lab needs.

    Args:
        ok: whether it is there.
        what: the thing, and what was seen of it.
        remedy: what to do where it is not.
    """

    ok: bool
    what: str
    remedy: str = ""


def examine() -> list[Examined]:
    """Everything that the lab needs, the engine first; without an engine nothing else can be seen."""
    try:
        client = engine.connect()
        seen = engine.describe(client)
    except LabError as error:
        remedy = error.remedy or "Install a container engine."
        return [Examined(False, f"container engine: {error.problem}", remedy)]
    try:
        return [Examined(True, f"container engine: {seen}"), *(_image(client, key) for key in images.TABLE)]
    finally:
        client.close()


def _image(client: docker.DockerClient, key: str) -> Examined:
    name = images.present(client, key)
    if name is None:
        return Examined(False, f"image {key}", "Run `lab images`: it pulls the image, or builds it here.")
    return Examined(True, f"image {key}: {name}")
