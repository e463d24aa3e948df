"""The testbed: every configuration of a run behind a port of its own, all with the same model server.

    async with Testbed(targets, images) as testbed:
        ask(testbed.url("idle-timeout::nginx-1.26::broken"))

One network, one container for the model server, one for each proxy with a process for each
configuration; and one more for each configuration that cannot share, because it listens elsewhere as well, or does
not start beside others. A configuration that its proxy refuses costs only its own target: asking for its address
raises what the proxy said. Whatever happens during the start or after it, containers and network are
removed; only SIGKILL leaves them, for the sweep that each start begins with.

Warning: docker-py blocks. Every call of it runs in a thread, and a thread cannot be cancelled, so
leaving waits for the threads first; else a container could appear after the removal.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import docker
from docker.models.containers import Container as Running
from testcontainers.core.network import Network

import lab
from lab.errors import EnvironmentFault, SetUpFault
from lab.shipped import shipped
from lab.testbed import _commands, _containers, _listeners, _machine, _plan, engine, readiness
from lab.testbed._confined import NOBODY, TEMPORARY, confinement
from lab.testbed._containers import Container, Reach
from lab.testbed._faults import engine_faults
from lab.testbed._logs import LogBook, Voice
from lab.testbed._owner import new_run, temporary_folder
from lab.testbed._plan import Instance, Pod, Target
from lab.testbed._precedence import prefer
from lab.testbed.builders import MODEL_CODE
from lab.testbed.config import Upstream
from lab.testbed.images import MODEL, ImageInUse
from lab.testbed.sweep import remove_run, sweep
from lab.vocabulary import Precedence

__all__ = ["MODEL_COMMAND", "Reach", "Target", "Testbed"]

MODEL_PORT = 8000
MODEL_COMMAND = ("python3", "-m", "lab.model", "--host", "0.0.0.0", "--port", str(MODEL_PORT))  # noqa: S104  # inside a container
PACKAGE = Path(lab.__file__).parent
"""The package that is copied into the model server's container."""

READY_LIMIT = 60.0
"""Seconds that a process gets to answer its first request. One or two are the rule; beside two test suites on two cores
the model server was seen to take more than 20."""
_THREADS = 8
_SNIPPETS = "snippets"
_NOT_WRITABLE = "Read-only file system"
"""The kernel's own words, which every product repeats."""

T = TypeVar("T")


@dataclass
class _Up:
    """What is known of one container: what it says, and once it runs also where its ports are."""

    book: LogBook
    running: Running | None = None
    addresses: Mapping[int, tuple[str, int]] = field(default_factory=dict)


class Testbed:
    """All configurations of a run, up and answering while inside `async with`; used once.

    Args:
        targets: the configurations.
        images: by key, as `images.ensure` returns them: those of the proxies and `model`.
        model_command: what runs in the model server's container and listens on port 8000 there; followed by
            `--doors` and the further ports that it is to listen on, with commas between them.
        package: the Python package that is copied into that container before.
        snippets: a folder in place of the snippets that each product's configurations may include.
        reach: how to reach the containers; by default what `LAB_REACH` says, else the best way there is.

    `precedence` is how the model server comes to run before other processes, once it is up.
    """

    __test__ = False
    """For pytest, which takes a class of that name for one of tests."""

    def __init__(
        self,
        targets: Sequence[Target],
        images: Mapping[str, ImageInUse],
        *,
        model_command: Sequence[str] = MODEL_COMMAND,
        package: Path = PACKAGE,
        snippets: Path | None = None,
        reach: Reach | None = None,
    ) -> None:
        self.run = new_run()
        self.reach = reach or _containers.wanted_reach()
        self._images = images
        self._model_command = tuple(model_command)
        self._package = package
        self._snippets = snippets
        self._plan = _plan.pods(targets, MODEL)
        self._instances = {instance.target.key: instance for pod in self._plan for instance in pod.instances}
        self._pod_of = {instance.target.key: pod.name for pod in self._plan for instance in pod.instances}
        self._up: dict[str, _Up] = {}
        self._containers: list[Container] = []
        self._refused: dict[str, SetUpFault] = {}
        self.precedence = Precedence.NONE
        self._client: docker.DockerClient | None = None
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="testbed")

    async def __aenter__(self) -> Self:
        try:
            self._client = await self._in_thread(engine.connect)
            await self._start(self._client)
        except BaseException:
            await self._tear_down()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._tear_down()

    @property
    def model_url(self) -> str:
        """The model server, without any proxy between."""
        return self._url(MODEL, MODEL_PORT)

    def url(self, key: str) -> str:
        """The way through a target's proxy to the model server: scheme, host and port.

        Raises:
            SetUpFault: the proxy refused the configuration or never answered; carries its words.
        """
        if key in self._refused:
            raise self._refused[key]
        return self._url(self._pod_of[key], self._instances[key].port)

    def told_only(self, door: int) -> str | None:
        """The target whose configuration alone was told of that port of the model server; None if none was."""
        return next(
            (key for key, instance in self._instances.items() if instance.upstream == Upstream(MODEL, door)), None
        )

    def log(self, key: str, lines: int = 20) -> list[str]:
        """The last lines that a target's process wrote."""
        return list(self._voice(self._instances[key]).lines)[-lines:]

    def log_of_model(self, lines: int = 20) -> list[str]:
        """The last lines that the model server wrote."""
        return list(self._up[MODEL].book.voices[""].lines)[-lines:]

    async def _start(self, client: docker.DockerClient) -> None:
        with temporary_folder() as folder:
            for pod in self._plan:
                _plan.lay_out(folder / pod.name, pod)
            _plan.lay_out_package(folder / MODEL, self._package)
            for product in {pod.proxy.product.name: pod.proxy.product for pod in self._plan}.values():
                if product.snippets:
                    snippets = self._snippets or shipped(product.snippets.folder)
                    _plan.lay_out_snippets(folder / _SNIPPETS / product.name, snippets, product.suffix)
            network = await self._in_thread(lambda: self._open_network(client))
            # First, because a proxy that resolves names at its start must find this one.
            await self._raise(MODEL, network, lambda: self._new_model(network, folder), [MODEL_PORT], [""])
            self.precedence = await self._in_thread(lambda: self._prefer_model(client))
            await _together(self._await_model(), *(self._raise_shared(pod, network, folder) for pod in self._plan))

    def _open_network(self, client: docker.DockerClient) -> Network:
        with engine_faults("making a network"):
            _containers.settle()
            network = _containers.new_network(self.run)
            try:
                network.create()
                if self.reach is None:
                    self.reach = _containers.best_reach(client, network.name)
            finally:
                # Testcontainers never closes it; the network is removed by its label.
                network._docker.client.close()
        # Behind it, since the network tells whose machine the engine is on. What cannot be removed, as
        # `lab clean` would tell, is no reason not to run.
        with contextlib.suppress(EnvironmentFault):
            sweep(client)
        return network

    def _new_model(self, network: Network, folder: Path) -> Container:
        doors = ",".join(str(instance.port) for instance in self._instances.values())
        command = (*self._model_command, *(("--doors", doors) if doors else ()))
        settings = {**confinement(programs=4), "user": NOBODY}
        container = self._new_container(MODEL, MODEL, network, command, [MODEL_PORT], settings)
        container.with_files(folder / MODEL, MODEL_CODE)
        return container

    def _new_proxy(self, pod: Pod, network: Network, folder: Path) -> Container:
        product = pod.proxy.product
        settings = confinement(
            capabilities=product.capabilities,
            writable=product.writable,
            programs=len(pod.instances),
            threads=product.threads,
        )
        command = ("/bin/sh", f"{_plan.ROOT}/start.sh")
        ports = [instance.port for instance in pod.instances]
        container = self._new_container(pod.name, pod.proxy.id, network, command, ports, settings)
        container.with_files(folder / pod.name, _plan.ROOT)
        if product.snippets:
            container.with_files(folder / _SNIPPETS / product.name, product.snippets.inside)
        return container

    def _prefer_model(self, client: docker.DockerClient) -> Precedence:
        (container,) = self._containers
        with engine_faults("giving the model server precedence"):
            return prefer(client, container.get_wrapped_container())

    def _new_container(
        self,
        name: str,
        image: str,
        network: Network,
        command: Sequence[str],
        ports: Sequence[int],
        settings: Mapping[str, Any],
    ) -> Container:
        published = ports if self.reach is Reach.PUBLISHED else ()
        container = _containers.new_container(
            self._images[image], name, self.run, network, command, published, settings
        )
        self._containers.append(container)
        return container

    async def _raise_shared(self, pod: Pod, network: Network, folder: Path) -> None:
        """Start a container and wait for each of its processes; then those that cannot share it, each by itself."""
        await self._raise_pod(pod, network, folder)
        if len(pod.instances) > 1:
            apart = [Pod.alone(instance) for instance in await self._to_stand_apart(pod)]
            for each in apart:
                _plan.lay_out(folder / each.name, each)
            await _together(*(self._raise_pod(each, network, folder) for each in apart))

    async def _raise_pod(self, pod: Pod, network: Network, folder: Path) -> None:
        ports = [instance.port for instance in pod.instances]
        slots = [instance.slot for instance in pod.instances]
        await self._raise(pod.name, network, lambda: self._new_proxy(pod, network, folder), ports, slots)
        for instance in pod.instances:
            self._pod_of[instance.target.key] = pod.name
        await _together(*(self._await_target(instance) for instance in pod.instances))

    async def _to_stand_apart(self, pod: Pod) -> list[Instance]:
        """The instances that did not start beside the others, or listen on more than their own port."""
        ended = {instance.port for instance in pod.instances if self._voice(instance).ended.is_set()}
        up = self._up[pod.name]
        if len(ended) < len(pod.instances) and up.running is not None:
            running = up.running
            tables = await self._in_thread(lambda: _containers.read(running, _listeners.TABLES))
            found = _listeners.listeners(tables)
            ended |= _listeners.to_stand_apart(found, {instance.port: instance.text() for instance in pod.instances})
        return [instance for instance in pod.instances if instance.port in ended]

    async def _raise(
        self,
        name: str,
        network: Network,
        make: Callable[[], Container],
        ports: Sequence[int],
        slots: Sequence[str],
    ) -> None:
        """Make and start a container, follow its log and find out where its ports are."""
        up = self._up[name] = _Up(LogBook(slots, asyncio.get_running_loop()))

        def start() -> Running:
            with engine_faults(f"starting the container of {name}"):
                wrapped = make().start().get_wrapped_container()
                wrapped.reload()
                # The log of a container that has ended meanwhile is whole; Docker 20.10 may never end its following.
                still = wrapped.attrs["State"]["Running"]
                up.book.follow(lambda: wrapped.logs(stream=True, follow=still))
            return wrapped

        up.running = await self._in_thread(start)
        up.addresses = _addresses(up.running.attrs["NetworkSettings"], network.name, ports)

    async def _await_target(self, instance: Instance) -> None:
        name, file = instance.target.proxy.id, instance.target.config
        complaint = await self._complaint(self._pod_of[instance.target.key], instance.port, self._voice(instance))
        self._refused.pop(instance.target.key, None)
        if complaint is not None:
            # The reader knows the file by its own path, not by the one inside the container.
            said = complaint.replace(f"{instance.folder}/", f"{file.parent}/")
            remedy = "Correct the configuration, or wait longer with LAB_PATIENCE=3."
            if _NOT_WRITABLE in said:
                folders = ", ".join((*TEMPORARY, *instance.target.proxy.product.writable))
                remedy = f"In the lab's containers it can write to {folders} and to nothing else."
            self._refused[instance.target.key] = SetUpFault(f"{name} with {file} {said}", remedy)

    async def _await_model(self) -> None:
        complaint = await self._complaint(MODEL, MODEL_PORT, self._up[MODEL].book.voices[""])
        if complaint is not None:
            raise EnvironmentFault(
                f"The model server {complaint}",
                "LAB_PATIENCE=3 waits longer; LAB_REACH=published goes another way to the containers.",
            )

    async def _complaint(self, name: str, port: int, voice: Voice) -> str | None:
        """Wait until a process answers; if it does not, what became of it and what it said."""
        limit = _machine.patience(READY_LIMIT)
        address = self._up[name].addresses.get(port)
        if address is None:
            # Its container has ended before it could be asked for its address; the log tells why.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(voice.ended.wait(), limit)
        elif await readiness.await_answer(*address, voice.ended, limit):
            return None
        became = "ended at its start" if voice.ended.is_set() else f"did not answer within {limit:g} s"
        said = _commands.last_lines("\n".join(voice.lines))
        return f"{became}:\n{said or '  (it said nothing)'}"

    def _voice(self, instance: Instance) -> Voice:
        return self._up[self._pod_of[instance.target.key]].book.voices[instance.slot]

    def _url(self, name: str, port: int) -> str:
        host, outside = self._up[name].addresses[port]
        return f"http://{host}:{outside}"

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def _tear_down(self) -> None:
        """Remove everything, to the end; whoever cancels it meanwhile has to wait for that."""
        removal = asyncio.ensure_future(asyncio.to_thread(self._remove))
        cancelled = False
        while not removal.done():
            try:
                await asyncio.shield(removal)
            except asyncio.CancelledError:
                cancelled = True
        removal.result()
        if cancelled:
            raise asyncio.CancelledError

    def _remove(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        if self._client is None:
            return
        try:
            # By label and not by object: it also finds what a failed start left.
            remove_run(self._client, self.run)
        finally:
            for up in self._up.values():
                up.book.close()
            for container in self._containers:
                container.get_docker_client().client.close()
            self._client.close()


def _addresses(settings: Mapping[str, Any], network: str, ports: Sequence[int]) -> Mapping[int, tuple[str, int]]:
    """Host and port outside for each port inside, from what the engine tells of a running container."""
    address = settings["Networks"][network]["IPAddress"]
    found: dict[int, tuple[str, int]] = {}
    for port in ports:
        bound = (settings["Ports"] or {}).get(f"{port}/tcp")
        if bound:
            found[port] = (bound[0]["HostIp"], int(bound[0]["HostPort"]))
        elif address:
            found[port] = (address, port)
    return found


async def _together(*work: Awaitable[None]) -> None:
    """Await all; when one fails, stop the others before its error goes on."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
