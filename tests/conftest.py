"""An engine and the images, had once for all tests that need them; a machine kept busy."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping

import docker
import pytest
from busy import busy_processes

from lab.proxies import PROXIES
from lab.signals import ENDING
from lab.stage import images
from lab.stage.engine import ensure_engine
from lab.stage.images import ImageInUse

pytest_plugins = ["pytester"]
"""pytest tests its plugins with it; pytest asks for it at the top."""

_said: list[str] = []


@pytest.fixture
def own_signals() -> Iterator[None]:
    """The command line sets handlers, which the tests' own process must not keep."""
    before = {number: signal.getsignal(number) for number in ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def busy_cores() -> Iterator[None]:
    """Two computing processes while the test runs."""
    with busy_processes(2):
        yield


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """A client of the engine, which is brought if need be."""
    client = ensure_engine(_said.append)
    yield client
    client.close()


@pytest.fixture(scope="session")
def images_in_use(engine: docker.DockerClient) -> Mapping[str, ImageInUse]:
    """All images, pulled or built if need be."""
    engine.ping()
    return images.ensure([*PROXIES, images.MODEL], _said.append)
