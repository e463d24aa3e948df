"""The runner with containers: one for the model server, one for each proxy with a process for each configuration.

All of them are in one network. A configuration that cannot share, because it listens elsewhere as well, or does not
start beside others, gets one more container. Only SIGKILL leaves containers and network behind, for the sweep that
each start begins with.

Warning: docker-py blocks. Every call of it runs in a thread, and a thread cannot be cancelled, so
closing waits for the threads first; else a container could appear after the removal.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import docker
from docker.models.containers import Container as Running
from testcontainers.core.network import Network

import lab
from lab.errors import EnvironmentFault
from lab.products import Product
from lab.shipped import shipped
from lab.testbed import _containers, _listeners, _machine, _plan, engine, readiness
from lab.testbed._confined import NOBODY, TEMPORARY, confinement
from lab.testbed._containers import Container, Reach
from lab.testbed._faults import engine_faults
from lab.testbed._logs import LogBook
from lab.testbed._owner import new_run, temporary_folder
from lab.testbed._plan import MODEL_CONNECTIONS, Instance, Pod, Target
from lab.testbed._precedence import group_of_containers, prefer
from lab.testbed.builders import MODEL_CODE
from lab.testbed.images import MODEL, ImageInUse
from lab.testbed.runner import Became, Started, advice, not_told, together
from lab.testbed.supervisor import PIDS
from lab.testbed.sweep import remove_run, sweep
from lab.vocabulary import Precedence

__all__ = ["MODEL_COMMAND", "Containers", "Reach"]

MODEL_PORT = 8000
MODEL_COMMAND = (
    *("python3", "-m", "lab.model", "--host", "0.0.0.0", "--port", str(MODEL_PORT)),  # noqa: S104  # inside a container
    *("--connections", str(MODEL_CONNECTIONS)),
)
PACKAGE = Path(lab.__file__).parent
"""The package that is copied into the model server's container."""

_THREADS = 8
_LOOKS = 5
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
    looking: asyncio.Lock = field(default_factory=asyncio.Lock)
    looked: float = 0.0
    tables: str = ""


class Containers:
    """A `Runner`: see `lab.testbed.runner`.

    Args:
        images: by key, as `images.ensure` returns them: those of the proxies and `model`.
        model_command: what runs in the model server's container and listens on port 8000 there; followed by
            `--further-ports` and the further ports that it is to listen on, with commas between them.
        package: the Python package that is copied into that container before.
        snippets: a folder in place of the snippets that each product's configurations may include.
        reach: how to reach the containers; by default what `LAB_REACH` says, else the best way there is.

    `run` is the name that its containers carry.
    """

    def __init__(
        self,
        images: Mapping[str, ImageInUse],
        *,
        model_command: Sequence[str] = MODEL_COMMAND,
        package: Path = PACKAGE,
        snippets: Path | None = None,
        reach: Reach | None = None,
    ) -> None:
        self.run = new_run()
        self.reach = reach or _containers.wanted_reach()
        self.precedence = Precedence.NONE
        self._images = images
        self._model_command = tuple(model_command)
        self._package = package
        self._snippets = snippets
        self._pods: tuple[Pod, ...] = ()
        self._pod_of: dict[str, str] = {}
        self._up: dict[str, _Up] = {}
        self._containers: list[Container] = []
        self._raising: dict[str, asyncio.Task[None]] = {}
        self._files = contextlib.ExitStack()
        self._client: docker.DockerClient | None = None
        self._group: str | None = None
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="testbed")

    async def open(self, targets: Sequence[Target]) -> tuple[Mapping[str, Instance], Started]:
        """See `Runner`."""
        self._pods = _plan.pods(targets, MODEL)
        client = self._client = await self._in_thread(engine.connect)
        folder = self._files.enter_context(temporary_folder())
        self._lay_out(folder)
        network = await self._in_thread(lambda: self._open_network(client))
        # First, because a proxy that resolves names at its start must find this one, and one that finds a server
        # which does not answer may ask it no more for a while.
        await self._raise(MODEL, network, lambda: self._new_model(network, folder), [MODEL_PORT], [""])
        model = self._started(MODEL, MODEL_PORT, "")
        await readiness.await_answer(model.address, model.ended, _machine.patience(readiness.LIMIT))
        self.precedence = await self._in_thread(lambda: self._prefer_model(client))
        for pod in self._pods:
            self._raising[pod.name] = asyncio.create_task(self._raise_shared(pod, network, folder))
        instances = {instance.target.key: instance for pod in self._pods for instance in pod.instances}
        return instances, model

    async def start(self, instance: Instance) -> Started:
        """See `Runner`; a target has its place when it is known whether it can share its container."""
        await asyncio.shield(self._raising[instance.target.proxy.id])
        return self._place(instance)

    async def reload(self, instance: Instance) -> None:
        """See `Runner`."""
        pod = Pod(self._pod_of[instance.target.key], instance.target.proxy, (instance,))
        running = self._up[pod.name].running
        assert running is not None  # noqa: S101  # it is up
        with temporary_folder() as folder:
            _plan.lay_out(folder / "again", pod)
            files = folder / "again" / "targets" / instance.slot
            await self._in_thread(lambda: _containers.write(running, files, instance.folder))
        # Its number is known inside only.
        command = instance.target.proxy.product.reloading(f'"$(cat {PIDS}/{instance.slot}.pid)"', instance.file)
        told, said = await self._in_thread(lambda: _containers.tell(running, command))
        if not told:
            raise not_told(instance.target.proxy.id, said)

    async def pids(self, instance: Instance) -> Sequence[int]:
        """See `Runner`."""
        running = self._up[self._pod_of[instance.target.key]].running
        assert running is not None  # noqa: S101  # it is up
        return await self._in_thread(lambda: _containers.pids(running, f"{PIDS}/{instance.slot}.pid"))

    def remedy(self, product: Product | None, became: Became, said: str) -> str:
        """See `Runner`."""
        if product is None:
            return "LAB_PATIENCE=3 waits longer; LAB_REACH=published goes another way to the containers."
        if _NOT_WRITABLE in said:
            folders = ", ".join((*TEMPORARY, *product.writable))
            return f"In the lab's containers it can write to {folders} and to nothing else."
        return advice(product, became, said)

    async def close(self) -> None:
        """See `Runner`."""
        for task in self._raising.values():
            task.cancel()
        await asyncio.gather(*self._raising.values(), return_exceptions=True)
        await asyncio.to_thread(self._remove)

    def _lay_out(self, folder: Path) -> None:
        for pod in self._pods:
            _plan.lay_out(folder / pod.name, pod)
        _plan.lay_out_package(folder / MODEL, self._package)
        for product in {pod.proxy.product.name: pod.proxy.product for pod in self._pods}.values():
            if product.snippets:
                snippets = self._snippets or shipped(product.snippets.folder)
                _plan.lay_out_snippets(folder / _SNIPPETS / product.name, snippets, product.suffix)

    def _open_network(self, client: docker.DockerClient) -> Network:
        with engine_faults("making a network"):
            _containers.settle()
            self._group = group_of_containers(client)
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
        instances = [instance for pod in self._pods for instance in pod.instances]
        further = ",".join(str(port) for instance in instances for port in instance.model_ports)
        command = (*self._model_command, *(("--further-ports", further) if further else ()))
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
        settings = {**settings, "cgroup_parent": self._group}
        container = _containers.new_container(
            self._images[image], name, self.run, network, command, published, settings
        )
        self._containers.append(container)
        return container

    async def _raise_shared(self, pod: Pod, network: Network, folder: Path) -> None:
        """Start a container and then, each by itself, those of its processes that cannot share it."""
        await self._raise_pod(pod, network, folder)
        if len(pod.instances) > 1:
            apart = [Pod.alone(instance) for instance in await self._to_stand_apart(pod)]
            for each in apart:
                _plan.lay_out(folder / each.name, each)
            await together(*(self._raise_pod(each, network, folder) for each in apart))

    async def _raise_pod(self, pod: Pod, network: Network, folder: Path) -> None:
        ports = [instance.port for instance in pod.instances]
        slots = [instance.slot for instance in pod.instances]
        await self._raise(pod.name, network, lambda: self._new_proxy(pod, network, folder), ports, slots)
        for instance in pod.instances:
            self._pod_of[instance.target.key] = pod.name

    async def _to_stand_apart(self, pod: Pod) -> list[Instance]:
        """The instances that did not start beside the others, or listen on more than their own port."""
        limit = _machine.patience(readiness.LIMIT)
        places = [self._place(instance) for instance in pod.instances]
        answered = await asyncio.gather(
            *(readiness.await_answer(each.address, each.ended, limit, each.secure, each.deaf) for each in places)
        )
        started = {instance.port for instance, answers in zip(pod.instances, answered, strict=True) if answers}
        sharing = started - await self._listening_elsewhere(pod, started) if started else set()
        return [instance for instance in pod.instances if instance.port not in sharing]

    async def _listening_elsewhere(self, pod: Pod, started: set[int]) -> set[int]:
        """The ports of those that listen on more than their own; all of them where the container cannot tell.

        Under load a container's tables were seen without a single listener while its processes answered. So they
        are believed only where they show every port that has answered.
        """
        running = self._up[pod.name].running
        assert running is not None  # noqa: S101  # it has been raised
        for _ in range(_LOOKS):
            found = _listeners.listeners(await self._in_thread(lambda: _containers.read(running, _listeners.TABLES)))
            if started <= _listeners.ports(found):
                return _listeners.to_stand_apart(found, {each.port: each.text() for each in pod.instances})
        return started

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

    def _place(self, instance: Instance) -> Started:
        pod = self._pod_of[instance.target.key]
        return self._started(pod, instance.port, instance.slot, secure=instance.target.secure)

    def _started(self, name: str, port: int, slot: str, *, secure: bool = False) -> Started:
        up = self._up[name]
        voice = up.book.voices[slot]

        async def deaf() -> bool:
            return _listeners.on_loopback_only(await self._look(up), port)

        return Started(up.addresses.get(port), voice.ended, lambda count: list(voice.lines)[-count:], secure, deaf)

    async def _look(self, up: _Up) -> str:
        """What is listened on in a container; nothing where it cannot be told. All who ask at once get one look."""
        async with up.looking:
            now = asyncio.get_running_loop().time()
            if up.running is not None and now - up.looked > readiness.LOOK / 2:
                running = up.running
                up.looked, up.tables = now, ""
                with contextlib.suppress(EnvironmentFault):
                    up.tables = await self._in_thread(lambda: _containers.read(running, _listeners.TABLES))
            return up.tables

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def _remove(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._files.close()
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
