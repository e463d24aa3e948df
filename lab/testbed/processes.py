"""The runner without containers: the products' own binaries as processes of this machine, on its loopback.

Each target has a folder of its own, in which its configuration and the files beside it lie. What a container would
give is put there: the snippets, and the folders that a product writes to; their paths in the configuration are
replaced. The product's module changes what else has to be changed (`Product.at_home`). The keeper
(`lab.testbed.keeper`) starts all of them, and sees to it that none outlives the lab.

Warnings. There is no confinement: a configuration may do whatever the user of the lab may. And all share one network,
so that two configurations which listen on one more port of their own choice cannot stand beside each other; where that
does not end one of them, a request that went astray is noticed in the ledger.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import psutil

import lab
from lab.errors import EnvironmentFault, SetUpFault, Unavailable
from lab.precedence import prefer_process
from lab.products import Product
from lab.shipped import shipped
from lab.testbed import _machine, _plan, certificate, config, readiness
from lab.testbed._keeping import Keeping, Process
from lab.testbed._owner import temporary_folder
from lab.testbed._plan import MODEL_CONNECTIONS, Instance, Target
from lab.testbed._ports import HOST, Ports, is_free
from lab.testbed.binaries import Binary
from lab.testbed.keeper import Order
from lab.testbed.runner import Became, Started, advice, not_told
from lab.testbed.sweep import sweep_folders
from lab.vocabulary import Precedence

MODEL = "model"
TRIES = 3
"""How often a port is chosen for one target, or all ports for the model server."""

_SNIPPETS = "snippets"
_IN_USE = "Address already in use"
"""The system's own words, which every product repeats."""
_TEMPORARY = "tmp"
_FILE = "@FILE@"
"""Stands for a configuration's path, which may begin with /tmp itself."""
_CANNOT_LISTEN = "cannot listen on"
"""What the model server says of a port that somebody has taken."""


@dataclass(frozen=True)
class _Home:
    """Where the files of one target are, and which paths in them mean something else here. Pure but for `furnish`."""

    folder: Path
    moved: Mapping[str, str]

    def text(self, template: str, product: Product) -> str:
        """A configuration as it is given to the binary, but for the names in it."""
        return self.replaced(product.at_home(template, str(self.folder)))

    def replaced(self, text: str) -> str:
        """A text with the paths of the containers replaced."""
        for inside, here in self.moved.items():
            text = text.replace(inside, here)
        return text


def home(folder: Path, snippets: Path, product: Product) -> _Home:
    """What stands for the folders of a container.

    Args:
        folder: the target's own.
        snippets: where those of all products are.
        product: whose containers have folders.
    """
    moved = {each: f"{folder}{each}" for each in product.writable}
    if product.snippets:
        moved[product.snippets.inside] = f"{snippets}/{product.name}"
    return _Home(folder, moved)


def command_of(product: Product, binary: Path, file: str, temporary: Path) -> list[str]:
    """What serves a configuration. Pure.

    Args:
        product: whose.
        binary: its program.
        file: the configuration.
        temporary: a folder in place of `/tmp`, which is all containers have for pid files and the like.
    """
    words = [word.replace("/tmp/", f"{temporary}/") for word in product.command(_FILE)]  # noqa: S108  # of a container
    return product.with_binary([word.replace(_FILE, file) for word in words], str(binary))


class Processes:
    """A `Runner`: see `lab.testbed.runner`.

    Args:
        binaries: by the proxy's id.
        missing: why a product cannot be had, by the proxy's id.
        snippets: a folder in place of the snippets that each product's configurations may include.
    """

    def __init__(
        self, binaries: Mapping[str, Binary], missing: Mapping[str, Unavailable], *, snippets: Path | None = None
    ) -> None:
        self.precedence = Precedence.NONE
        self._binaries = binaries
        self._missing = missing
        self._own_snippets = snippets
        self._files = contextlib.ExitStack()
        self._folder = Path()
        self._keeping: Keeping | None = None
        self._ports = Ports()
        self._asked: set[str] = set()
        self._up: dict[str, tuple[Instance, Process]] = {}

    async def open(self, targets: Sequence[Target]) -> tuple[Mapping[str, Instance], Started]:
        """See `Runner`."""
        self._files.callback(self._ports.close)
        await asyncio.to_thread(sweep_folders)
        self._folder = self._files.enter_context(temporary_folder())
        # A server that serves as another user passes through it to what it has made its own.
        self._folder.chmod(0o711)
        self._asked = {target.behind for target in targets if target.behind is not None}
        self._lay_out_snippets(targets)
        self._keeping = Keeping(self._folder)
        await self._keeping.begin()
        for attempt in range(1, TRIES + 1):
            instances = self._instances(targets)
            port = self._ports.take()
            model = await self._start_model(port, [port for each in instances for port in each.model_ports])
            await readiness.await_answer((HOST, port), model.ended, _machine.patience(readiness.LIMIT))
            taken = not model.is_alive() and any(_CANNOT_LISTEN in line for line in model.tail(1))
            if not taken or attempt == TRIES:
                break
        self.precedence = prefer_process(model.pid) if model.is_alive() else Precedence.NONE
        return {instance.target.key: instance for instance in instances}, model.place(port)

    async def start(self, instance: Instance) -> Started:
        """See `Runner`; a port that somebody took meanwhile is replaced."""
        proxy = instance.target.proxy
        if proxy.id in self._missing:
            raise self._missing[proxy.id]
        for attempt in range(TRIES):
            # Looked at once more: it was chosen a while ago.
            if is_free(instance.port):
                process = await self._try(instance, f"{Path(instance.folder).name}-{attempt}")
                if process.background:
                    raise _background(instance)
                self._up[instance.target.key] = instance, process
                if not process.ended.is_set() or is_free(instance.port):
                    return process.place(instance.port, secure=instance.target.secure)
            if instance.target.key in self._asked:
                # Others know it by that port.
                break
            instance = replace(instance, port=self._ports.take())
        raise SetUpFault(
            f"{proxy.id} with {instance.target.config} found its port on {HOST} taken by another program.",
            "End what listens on ever new ports there (`ss -ltnp` shows it), and run again.",
        )

    async def _try(self, instance: Instance, name: str) -> Process:
        """Start a target and wait until it answers, has ended, or the time is up."""
        self._furnish(instance)
        product, binary = instance.target.proxy.product, self._binaries[instance.target.proxy.id]
        command = command_of(product, binary.path, instance.file, Path(instance.folder, _TEMPORARY))
        process = await self._begin(name, command, instance.folder)
        limit = _machine.patience(readiness.LIMIT)
        place = process.place(instance.port, secure=instance.target.secure)
        answered = await readiness.await_answer(place.address, place.ended, limit, place.secure)
        if answered and not process.is_alive():
            # Somebody else has answered; the keeper is about to say whether that is a child of it.
            await process.ended.wait()
        return process

    async def reload(self, instance: Instance) -> None:
        """See `Runner`."""
        placed, process = self._up[instance.target.key]
        # Its port may be another by now, and how often its files have been written is known to the caller.
        placed = replace(placed, edition=instance.edition)
        self._furnish(placed)
        proxy = placed.target.proxy
        command = proxy.product.reloading(str(process.pid), placed.file, str(self._binaries[proxy.id].path))
        telling = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await telling.communicate()
        if telling.returncode != 0:
            raise not_told(proxy.id, said.decode(errors="replace"))

    async def pids(self, instance: Instance) -> Sequence[int]:
        """See `Runner`."""
        _, process = self._up[instance.target.key]
        try:
            own = psutil.Process(process.pid)
            return [own.pid, *(child.pid for child in own.children(recursive=True))]
        except psutil.Error as error:
            raise EnvironmentFault(f"{instance.target.proxy.id}: it has ended: {error}.", "Start it again.") from error

    def remedy(self, product: Product | None, became: Became, said: str) -> str:
        """See `Runner`."""
        if product is None:
            return "LAB_PATIENCE=3 waits longer."
        if _IN_USE in said:
            return (
                "Without containers all configurations of a run share the ports of this machine. Run those that listen "
                "on one more port of their own each by itself (`lab run SCENARIO::PROXY::CASE`), or in containers."
            )
        return advice(product, became, said)

    async def close(self) -> None:
        """See `Runner`."""
        if self._keeping is not None:
            await self._keeping.end()
        await asyncio.to_thread(self._files.close)

    def _instances(self, targets: Sequence[Target]) -> list[Instance]:
        ports = {target.key: self._ports.take() for target in targets}
        return [
            Instance(
                target,
                ports[target.key],
                config.Upstream(
                    HOST,
                    ports[target.behind] if target.behind else self._ports.take(),
                    self._ports.take() if target.two_models else 0,
                ),
                str(self._folder / f"{target.proxy.id}-{ports[target.key]}"),
            )
            for target in targets
        ]

    def _lay_out_snippets(self, targets: Sequence[Target]) -> None:
        for product in {target.proxy.product.name: target.proxy.product for target in targets}.values():
            if product.snippets:
                snippets = self._own_snippets or shipped(product.snippets.folder)
                _plan.lay_out_snippets(self._folder / _SNIPPETS / product.name, snippets, product.suffix)

    def _furnish(self, instance: Instance) -> None:
        """Write the target's folder; its log is what earlier attempts have left there."""
        target, folder = instance.target, Path(instance.folder)
        product = target.proxy.product
        here = home(folder, self._folder / _SNIPPETS, product)
        folder.mkdir(mode=0o711, exist_ok=True)
        (folder / _TEMPORARY).mkdir(exist_ok=True)
        (folder / _TEMPORARY).chmod(0o1777)
        for each in product.writable:
            Path(here.moved[each]).mkdir(parents=True, exist_ok=True)
        text = instance.fill(here.text(config.read_template(target.config), product))
        _write(folder / target.config.name, text.encode())
        for file in config.companions(target.config):
            adapt = partial(here.text, product=product) if file.suffix == product.suffix else here.replaced
            _write(folder / file.name, instance.beside(file, adapt))
        if target.has_certificate:
            _write(folder / certificate.FILE, certificate.certificate().pem)

    async def _start_model(self, port: int, further_ports: Sequence[int]) -> Process:
        command = [sys.executable, "-m", "lab.model", "--host", HOST, "--port", str(port)]
        command += ["--connections", str(MODEL_CONNECTIONS)]
        if further_ports:
            command += ["--further-ports", ",".join(map(str, further_ports))]
        package = str(Path(lab.__file__).parents[1])
        path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
        folder = self._folder / f"{MODEL}-{port}"
        folder.mkdir()
        environment = (("PYTHONPATH", path), ("PYTHONUNBUFFERED", "1"))
        return await self._begin(folder.name, command, str(folder), environment)

    async def _begin(
        self, name: str, command: Sequence[str], folder: str, environment: tuple[tuple[str, str], ...] = ()
    ) -> Process:
        if self._keeping is None:
            raise RuntimeError("started before it was opened")
        log = f"{self._folder}/{name}.log"
        return await self._keeping.start(Order(name, tuple(command), folder, log, environment))


def _write(file: Path, data: bytes) -> None:
    """Write it for our own eyes: it may be a key."""
    file.touch(mode=0o600)
    file.write_bytes(data)


def _background(instance: Instance) -> SetUpFault:
    return SetUpFault(
        f"{instance.target.proxy.id} with {instance.target.config} puts itself into the background: its first process "
        "ended, and another goes on.",
        "Take out what makes it a daemon; the lab can only watch over what stays in the foreground.",
    )
