"""What is asked of the engine for a container's sake; `test_apart` sees what comes of it."""

from __future__ import annotations

import os
from typing import Any

import psutil
import pytest

from lab.testbed import _containers, versions
from lab.testbed._confined import NOBODY, TEMPORARY, confinement
from lab.testbed._owner import LABEL
from lab.testbed.builders import Builder, PackageOfDebian


class Engine:
    """As much of a docker-py client as a question for a version and a build need; notes what it is asked."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}
        self.containers = self.images = self

    def run(self, image: str, command: list[str], **asked: Any) -> bytes:
        """Of a container."""
        assert (image, command) == ("x:1", ["-v"])
        self.asked = asked
        return b"nginx/1.26.3"

    def build(self, **asked: Any) -> None:
        """Of an image."""
        self.asked = asked


def test_a_question_for_a_version_is_confined() -> None:
    """A binary of an image that was just fetched is run with no rights, no network and nothing to write to."""
    client: Any = Engine()
    assert versions.ask(client, "x:1", ("nginx", "-v")) == "nginx/1.26.3"
    asked = client.asked
    assert asked["network_disabled"]
    assert asked["user"] == NOBODY
    assert asked["labels"][LABEL] == "1"
    assert asked.items() >= {key: value for key, value in confinement().items() if key != "log_config"}.items()


def test_a_build_has_bounds() -> None:
    """What a package does while it is installed cannot take the machine's memory."""
    client: Any = Engine()
    builder = Builder(client, lambda _: None)
    builder.build(PackageOfDebian("trixie", "nginx", "1.26"), "x:1", base="base:1")
    limits = client.asked["container_limits"]
    assert 0 < limits["memory"] == limits["memswap"]


def test_bounds_grow_with_what_a_container_holds() -> None:
    """One limit for thirty proxies and for one would either stop the thirty or bound nothing."""
    one, thirty = confinement(), confinement(programs=30)
    for bound in ("mem_limit", "pids_limit"):
        assert one[bound] < thirty[bound] < 30 * one[bound]
    # Room for streams, which a container's bound and not the proxy would end; and most of the memory is left.
    total = psutil.virtual_memory().total
    assert total // 4 < one["mem_limit"] < total // 2
    # A product may start a thread for each core.
    assert one["pids_limit"] > (os.cpu_count() or 1)


def test_what_a_product_writes_to_is_writable() -> None:
    """Its own folders, beside those for what is passing; no capability comes with them."""
    given = confinement(writable=["/var/log/nginx"])
    assert set(given["tmpfs"]) == {*TEMPORARY, "/var/log/nginx"}
    assert given["cap_add"] == []


def test_nothing_gets_the_engines_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Testcontainers' reaper would: it is never started, whatever the environment says."""
    monkeypatch.setattr(_containers.testcontainers_config, "ryuk_disabled", False)
    _containers.settle()
    assert _containers.testcontainers_config.ryuk_disabled


def test_a_product_that_takes_a_thread_for_each_stream_has_room_for_them() -> None:
    """What a product says that it needs counts once for each of its processes."""
    few, many = confinement(programs=3, threads=32), confinement(programs=3, threads=200)
    assert many["pids_limit"] - few["pids_limit"] == 3 * (200 - 32)
