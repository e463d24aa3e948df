"""Pulling images, and giving up for the whole run as soon as the registry turns out not to answer.

The engine does the asking, because it may know a way out that this process does not. "Has no such
image" concerns one image; any other refusal (no network, no name, rate limit, no permission)
concerns the registry and is remembered, so that an air-gapped run waits for it once and not five times.
"""

from __future__ import annotations

import math
import os
import threading

import docker
import docker.errors

from lab.testbed import _machine
from lab.testbed._faults import ENGINE_ERRORS, explain

SILENCE_LIMIT = 20
"""Seconds without a sign of life after which a registry counts as not answering."""


def candidates(reference: str, registry: str | None) -> tuple[str, ...]:
    """Where an official image may be had: in the user's mirror if there is one, else at its home. Pure.

    Mirrors differ in whether Docker Hub's own images keep their `library/`; both are tried.

    Args:
        reference: as in `nginx:1.26.3` or `envoyproxy/envoy:v1.40.0`; with a digest behind an `@` if it is pinned.
        registry: host and port of a mirror, with a path if it has one.
    """
    if not registry:
        return (reference,)
    prefix = registry.rstrip("/")
    plain = f"{prefix}/{reference}"
    return (plain,) if "/" in reference else (f"{prefix}/library/{reference}", plain)


class Registry:
    """The registry of images during one run; safe for use from several threads."""

    def __init__(self, client: docker.DockerClient) -> None:
        self._client = client
        self._lock = threading.Lock()
        self.prefix = os.environ.get("LAB_IMAGE_REGISTRY")
        self.refusal: str | None = None
        """Why nothing is pulled any more, in the engine's words."""

    def pull(self, reference: str) -> str | None:
        """Pull an image; its full reference, or None where it cannot be had.

        Args:
            reference: the official one; the mirror's name is put before it here.
        """
        # One at a time: the first attempt decides whether there is a registry at all.
        with self._lock:
            for candidate in candidates(reference, self.prefix):
                if self.refusal is None and self._pull(candidate):
                    return candidate
        return None

    def _pull(self, reference: str) -> bool:
        try:
            for event in self._client.api.pull(reference, stream=True, decode=True):
                if "error" in event:
                    raise docker.errors.APIError(event["error"])
        except docker.errors.NotFound:
            return False
        except ENGINE_ERRORS as error:
            self.refusal = explain(error)
            return False
        return True


def silence_limit() -> int:
    """`SILENCE_LIMIT`, stretched by `LAB_PATIENCE`, in seconds."""
    return math.ceil(_machine.patience(SILENCE_LIMIT))
