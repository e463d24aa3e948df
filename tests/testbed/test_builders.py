from __future__ import annotations

from collections.abc import Callable
from typing import Any

import docker.errors
import pytest

from lab.errors import EnvironmentFault
from lab.testbed import _machine, builders, images
from lab.testbed.builders import Builder, PackageOfDebian, PythonPackages, Recipe
from lab.testbed.images import TABLE, How

NGINX = PackageOfDebian("sid", "nginx", "1.30")


def test_a_debian_package_is_held_to_its_release() -> None:
    """A suite that has moved on fails the build instead of giving another release."""
    text = NGINX.dockerfile("base:1")
    assert text.startswith("FROM base:1\n")
    assert "'nginx=1.30.*'" in text


def test_the_lab_is_not_in_the_image_of_the_model_server() -> None:
    """The image holds the packages only, so a change of the lab's code builds nothing."""
    text = PythonPackages("aiohttp==3").dockerfile("base:1")
    assert text.count("COPY") == 1
    assert f"PYTHONPATH={builders.MODEL_CODE}:" in text


class EmptyEngine:
    """A docker-py client of an engine without any image."""

    class images:  # noqa: N801  # named as in docker-py
        """Its images."""

        @staticmethod
        def list(name: str) -> list[str]:
            """None, whatever the name."""
            assert name
            return []

        @staticmethod
        def get(name: str) -> None:
            """None either."""
            raise docker.errors.ImageNotFound(name)


def build_without(monkeypatch: pytest.MonkeyPatch, **machine: Callable[[], bool]) -> str:
    """The error of a build on a machine that lacks something."""
    for name, answer in machine.items():
        monkeypatch.setattr(_machine, name, answer)
    monkeypatch.setenv("PATH", "")
    client: Any = EmptyEngine()
    with pytest.raises(EnvironmentFault) as caught:
        Builder(client, pytest.fail).build(NGINX, "x:1")
    return str(caught.value)


def test_building_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may not build is told of the other ways to have the images."""
    text = build_without(monkeypatch, is_root=lambda: False)
    assert "needs root" in text
    assert "LAB_IMAGE_REGISTRY" in text


def test_building_needs_debootstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where debootstrap is missing and may not be installed, the error names it."""
    text = build_without(monkeypatch, is_root=lambda: True, may_install=lambda: False)
    assert "Install debootstrap" in text
    assert "LAB_DEBIAN_MIRROR" in text


class FakeSupply:
    """Both a registry that has some images, and a builder that notes what it builds."""

    def __init__(self, *has: str) -> None:
        self.has = has
        self.prefix = None
        self.refusal = None if has else "dial tcp: no such host"
        self.built: list[tuple[str, str | None]] = []

    def pull(self, reference: str) -> str | None:
        """As a registry does."""
        return reference if reference in self.has else None

    def build(self, recipe: Recipe, tag: str, base: str | None = None) -> None:
        """As a builder does."""
        assert recipe is not None
        self.built.append((tag, base))


def fetch(key: str, supply: Any) -> tuple[str, How]:
    """Have an image that is not present."""
    client: Any = EmptyEngine()
    said: list[str] = []
    return images._Supply(client, supply, supply, said.append).fetch(TABLE[key])


def test_what_can_be_pulled_is_not_built() -> None:
    """A registry that has the official image is all it takes."""
    pinned = TABLE["nginx-1.26"].pinned
    supply = FakeSupply(pinned)
    assert "@sha256:" in pinned
    assert fetch("nginx-1.26", supply) == (pinned, How.PULLED)
    assert supply.built == []


def test_what_cannot_be_pulled_is_built() -> None:
    """Without a registry the image is built under its local name."""
    supply = FakeSupply()
    tag = TABLE["nginx-1.26"].tag
    assert fetch("nginx-1.26", supply) == (tag, How.BUILT)
    assert supply.built == [(tag, None)]


def test_the_model_server_is_built_on_the_official_python() -> None:
    """Where the official python can be pulled, only the packages are put on top."""
    image = TABLE["model"]
    supply = FakeSupply(image.pinned)
    assert fetch("model", supply) == (image.tag, How.BUILT)
    assert supply.built == [(image.tag, image.pinned)]


def test_an_image_that_cannot_be_had_tells_both_reasons() -> None:
    """The error says why it was not pulled and why it was not built."""

    class Broken(FakeSupply):
        def build(self, recipe: Recipe, tag: str, base: str | None = None) -> None:
            raise EnvironmentFault("debootstrap failed", "Try again.")

    with pytest.raises(EnvironmentFault, match=r"no such host(.|\n)*debootstrap failed(.|\n)*Try again"):
        fetch("nginx-1.26", Broken())
