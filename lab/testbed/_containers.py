"""Testcontainers, set up for the lab: what is ours to decide and what its setters get wrong.

Its reaper is switched off: it would be one more image, with the engine's own socket in its hands, and what it does
the sweep does. Its configuration is one object a process, read when a container starts, so it is set here and not by
asking the user for environment variables.
"""

from __future__ import annotations

import io
import ipaddress
import os
import socket
import tarfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import docker
import psutil
from docker.models.containers import Container as Running
from docker.types import Mount
from testcontainers.core.config import ConnectionMode, testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.transferable import Transferable

from lab.errors import BadInput, EnvironmentFault
from lab.testbed._faults import engine_faults
from lab.testbed._owner import labels
from lab.testbed._precedence import SHARES, is_here, number_inside
from lab.testbed.images import ImageInUse


class Reach(StrEnum):
    """How this process reaches a port of a container.

    `published` goes through a port on 127.0.0.1 and, with it, through the engine's forwarder. That
    one ends a connection cleanly which the proxy behind it reset (measured with Docker 20.10: RST
    goes in, FIN comes out), and so can turn a cut that a client sees into one that it cannot see.
    `direct` goes to the container's own address and changes nothing.
    """

    DIRECT = "direct"
    PUBLISHED = "published"


def settle() -> None:
    """Set Testcontainers up."""
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


_END = "token-stream-lab: that was all"
_TIMES = 5


def read(container: Running, files: Sequence[str]) -> str:
    """The files of a running container, one behind the other, those that there are.

    The engine loses what a short command wrote, now and then, and its exit code is 0 all the same (moby/moby#27289,
    docker/docker-py#2042; seen at a load above 15). That would look like nobody listening; so the command says where
    its end is.

    Raises:
        EnvironmentFault: the engine fails, or the end did not come.
    """
    command = ["/bin/sh", "-c", f'cat "$@"; echo {_END}', "sh", *files]
    for _ in range(_TIMES):
        with engine_faults(f"looking into the container {container.name}"):
            output = cast("bytes", container.exec_run(command, stderr=False).output).decode("utf-8", errors="replace")
        if output.endswith(f"{_END}\n"):
            return output.removesuffix(f"{_END}\n")
    remedy = "The engine loses what is written; run again when the machine is less busy."
    raise EnvironmentFault(f"{container.name}: cannot be looked into: the output has no end.", remedy)


def write(container: Running, folder: Path, to: str) -> None:
    """Put the files of a folder into one of a running container's.

    Raises:
        EnvironmentFault: the engine fails.
    """
    with engine_faults(f"writing into the container {container.name}"):
        container.put_archive(to, _packed(folder))


def tell(container: Running, command: Sequence[str]) -> tuple[bool, str]:
    """Run a command that tells a process of a running container something.

    Returns:
        Whether it could, and what the command said.

    Raises:
        EnvironmentFault: the engine fails.
    """
    with engine_faults(f"telling a process of {container.name}"):
        done = container.exec_run(list(command))
    return done.exit_code == 0, cast("bytes", done.output).decode("utf-8", errors="replace")


def pids(container: Running, pid_file: str) -> list[int]:
    """The numbers on this machine of a process whose number inside stands in a file there, and of what it has started.

    None where the engine is on another machine.

    Raises:
        EnvironmentFault: the engine fails, or there is no such process.
    """
    with engine_faults(f"asking for the processes of {container.name}"):
        table = container.top()
    column = table["Titles"].index("PID")
    here = [process for row in table["Processes"] if is_here(process := int(row[column]), container.id or "")]
    if not here:
        return []
    inside = read(container, [pid_file]).strip()
    for process in here:
        if number_inside(process) == inside:
            with suppress(psutil.NoSuchProcess):
                return [process, *(child.pid for child in psutil.Process(process).children(recursive=True))]
    raise EnvironmentFault(f"{container.name}: a process has ended that is to be looked at.", "Start it again.")


def _packed(folder: Path) -> bytes:
    pack = io.BytesIO()
    with tarfile.open(fileobj=pack, mode="w") as archive:
        for path in folder.iterdir():
            archive.add(path, arcname=path.name, filter=_as_root)
    return pack.getvalue()


def _as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """A container's root may not write to what is somebody else's: no capability lets it."""
    entry.uid = entry.gid = 0
    return entry


class Container(DockerContainer):
    """A container whose own file system cannot be written to: each folder of files goes into a volume of its own."""

    def with_files(self, folder: Path, target: str) -> None:
        """Have the files of a folder below `target`, beside what the image has there."""
        mount = Mount(target, None, type="volume", labels=self._kwargs["labels"])
        self._kwargs["mounts"] = [*self._kwargs.get("mounts", ()), mount]
        self.with_copy_into_container(_packed(folder), target)

    def _transfer_into_container(self, transferable: Transferable, destination_in_container: str, mode: int) -> None:
        """Unpack it there; Testcontainers would unpack at the root, which cannot be written to."""
        self.get_wrapped_container().put_archive(destination_in_container, transferable)


def new_container(
    image: ImageInUse,
    name: str,
    run: str,
    network: Network,
    command: Sequence[str],
    ports: Sequence[int],
    settings: Mapping[str, Any],
) -> Container:
    """A container of one run, not yet started.

    Args:
        image: what to run.
        name: also its name in the network.
        run: the run's id.
        network: where it is.
        command: in full; the image's own entry point is not used.
        ports: inside the container, to be published on free ports of 127.0.0.1.
        settings: further arguments of docker-py's `create`, as `lab.testbed._confined` makes them.
    """
    container = Container(image.reference, network=network, network_aliases=[name])
    # Set again, because the constructor puts the user's prefix for Docker Hub before it.
    container.image = image.reference
    container.with_name(f"token-stream-lab-{run}-{name}").with_command(list(command[1:]))
    rest = dict(settings)
    # Testcontainers hands this one on by itself.
    container.tmpfs = rest.pop("tmpfs", {})
    # Once for all: a second call of with_kwargs replaces the first.
    container.with_kwargs(labels=labels(run), entrypoint=[command[0]], cpu_shares=SHARES, **rest)
    for port in ports:
        # The setters know no address; docker-py takes a pair, and None lets the engine choose.
        container.ports[f"{port}/tcp"] = ("127.0.0.1", None)  # type: ignore[assignment]
    return container
