from __future__ import annotations

import docker.errors
import pytest
import requests.exceptions
import urllib3.exceptions

from lab.errors import EnvironmentFault, ExitCode, SetUpFault
from lab.testbed._faults import engine_faults

RAISED = [
    docker.errors.APIError("500", explanation="it says so"),
    docker.errors.ImageNotFound("it says so"),
    requests.exceptions.ConnectionError("it says so"),
    requests.exceptions.ReadTimeout("it says so"),
    urllib3.exceptions.ProtocolError("it says so"),
    ConnectionResetError("it says so"),
]


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
def test_whatever_the_engine_raises_is_the_environment(error: Exception) -> None:
    """Each error that docker-py lets through becomes one of the environment, with its words."""
    with (
        pytest.raises(EnvironmentFault, match=r"while starting x: .*it says so") as caught,
        engine_faults("starting x"),
    ):
        raise error
    assert caught.value.exit_code is ExitCode.NO_ENVIRONMENT
    assert caught.value.__cause__ is error


def test_a_full_disk_has_its_own_remedy() -> None:
    """When the engine's disk is full, the remedy speaks of the disk."""
    error = docker.errors.APIError("500", explanation="write /x: no space left on device")
    with pytest.raises(EnvironmentFault, match="disk is full"), engine_faults("building x"):
        raise error


def test_other_errors_pass() -> None:
    """The lab's own errors and bugs are not blamed on the environment."""
    for error in (SetUpFault("refused"), KeyError("bug")):
        with pytest.raises(type(error)), engine_faults("starting x"):
            raise error
