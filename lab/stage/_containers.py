"""Testcontainers, set up for the lab: what is ours to decide and what its setters get wrong.

Its reaper removes everything after a crash, but is an image of its own: it is used where that image
is present and switched off where it is not; then the sweep does the work. Its configuration is one
object a process, read when a container starts, so it is set here and not by asking the user for
environment variables.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

import docker
from testcontainers.core.config import ConnectionMode, testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from lab.errors import BadInput, EnvironmentFault
from lab.stage._owner import labels
from lab.stage.images import ImageInUse, has_reaper


class Reach(StrEnum):
    """How this process reaches a port of a container.

    `published` goes through a port on 127.0.0.1 and, with it, through the engine's forwarder. That
    one ends a connection cleanly which the proxy behind it reset (measured with Docker 20.10: RST
    goes in, FIN comes out), and so can turn a cut that a client sees into one that it cannot see.
    `direct` goes to the container's own address and changes nothing.
    """

    DIRECT = "direct"
    PUBLISHED = "published"


def settle(client: docker.DockerClient) -> None:
    """Set Testcontainers up for the engine behind `client`."""
    if not testcontainers_config.ryuk_disabled and not has_reaper(client):
        testcontainers_config.ryuk_disabled = True
    if testcontainers_config.connection_mode_override is None:
        # It takes a file /.dockerenv for proof that the engine is elsewhere.
        testcontainers_config.connection_mode_override = ConnectionMode.docker_host


def wanted_reach() -> Reach | None:
    """What the user asks for with `LAB_REACH`; None where they leave it to the lab.

    Raises:
        BadInput: they ask for something else.
    """
    value = os.environ.get("LAB_REACH")
    if not value:
        return None
    if value not in set(Reach):
        raise BadInput(f"LAB_REACH is {value!r}.", f"It may be {' or '.join(Reach)}.")
    return Reach(value)


def best_reach(client: docker.DockerClient, network: str) -> Reach:
    """The best way to the containers of a network: direct where this machine stands in that network itself.

    Args:
        client: of the engine.
        network: its name.

    Raises:
        EnvironmentFault: the engine is on another machine, whose loopback ports nobody here reaches.
    """
    if own_address(client.networks.get(network).attrs) is not None:
        return Reach.DIRECT
    address = client.api.base_url
    host = urlsplit(address).hostname or ""
    if not address.startswith("http+docker") and host not in ("localhost", "127.0.0.1", "::1"):
        raise EnvironmentFault(
            f"The container engine is at {address}; its loopback ports cannot be reached from here.",
            "Use an engine on this machine (unset DOCKER_HOST).",
        )
    return Reach.PUBLISHED


def own_address(network: Mapping[str, Any]) -> str | None:
    """This machine's own address in a network, where it has one: there containers reach what it serves.

    The kernel is asked from where it would speak to the network. The engine's word on the gateway is heeded where
    there is one (another network of this machine may have the same numbers), but Docker has none for its default
    bridge before the engine's second start.

    Args:
        network: what the engine tells of it.
    """
    for each in network["IPAM"]["Config"] or ():
        try:
            subnet = ipaddress.ip_network(each["Subnet"])
            family = socket.AF_INET6 if subnet.version == 6 else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as asked:
                # No packet leaves; the kernel only chooses the way.
                asked.connect((str(subnet.network_address + 2), 9))
                address = str(asked.getsockname()[0])
        except (OSError, ValueError, KeyError):
            continue
        if ipaddress.ip_address(address) in subnet and each.get("Gateway", address) == address:
            return address
    return None


def new_network(run: str) -> Network:
    """A network for one run, not yet created."""
    network = Network(docker_network_kw={"labels": labels(run)})
    network.name = f"token-stream-lab-{run}"
    return network


def new_container(
    image: ImageInUse,
    name: str,
    run: str,
    network: Network,
    command: Sequence[str],
    ports: Sequence[int],
    settings: Mapping[str, object] | None = None,
) -> DockerContainer:
    """A container of one run, not yet started.

    Args:
        image: what to run.
        name: also its name in the network.
        run: the run's id.
        network: where it stands.
        command: in full; the image's own entry point is not used.
        ports: inside the container, to be published on free ports of 127.0.0.1.
        settings: further arguments of docker-py's `create`.
    """
    container = DockerContainer(image.reference, network=network, network_aliases=[name])
    # Set again, because the constructor puts the user's prefix for Docker Hub before it.
    container.image = image.reference
    container.with_name(f"token-stream-lab-{run}-{name}").with_command(list(command[1:]))
    # Once for all: a second call of with_kwargs replaces the first.
    container.with_kwargs(labels=labels(run), entrypoint=[command[0]], **(settings or {}))
    for port in ports:
        # The setters know no address; docker-py takes a pair, and None lets the engine choose.
        container.ports[f"{port}/tcp"] = ("127.0.0.1", None)  # type: ignore[assignment]
    return container
