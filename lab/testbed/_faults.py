"""The one place where errors of the engine become errors of the lab.

docker-py lets errors of three libraries through: its own, those of requests (the engine went away)
and those of urllib3 (it went away in the middle of a stream). All of them mean: the environment.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import docker.errors
import requests.exceptions
import urllib3.exceptions

from lab.errors import EnvironmentFault

ENGINE_ERRORS = (
    docker.errors.DockerException,
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    ConnectionError,
)
"""Every class of error that a call of docker-py can raise."""

_DISK_FULL = "no space left on device"


@contextmanager
def engine_faults(doing: str) -> Iterator[None]:
    """Turn what the engine raises inside the block into an EnvironmentFault.

    Args:
        doing: what was being done, as in "starting the container of nginx-1.26".
    """
    try:
        yield
    except ENGINE_ERRORS as error:
        raise EnvironmentFault(
            f"The container engine failed while {doing}: {explain(error)}", _remedy(str(error))
        ) from error


def explain(error: Exception) -> str:
    """The engine's own words, without the address of the request around them."""
    said = getattr(error, "explanation", None) or getattr(error, "msg", None) or str(error)
    return str(said).strip()


def _remedy(message: str) -> str:
    if _DISK_FULL in message.lower():
        return "The disk is full. `docker system df` shows what the engine holds."
    return "Is the engine still running? `docker version` must show a server."
