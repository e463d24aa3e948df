"""Copies of a user's file: put up together, and asked what is wanted of each."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from lab.catalogue.loader import read_table
from lab.catalogue.schema import ExpectedTable
from lab.errors import SetUpFault
from lab.judge import Observation, Observations
from lab.measure import measure
from lab.measure.exchanges import Address
from lab.probe.side_channel import SideChannel
from lab.products import Product, Proxy
from lab.products.adapted import Adapter, Change, Entrance, Spot
from lab.shipped import shipped
from lab.suite.exchange import Exchange
from lab.testbed.engine import Say
from lab.testbed.supply import Supply, started
from lab.testbed.testbed import Target, Testbed
from lab.vocabulary import Requirement, State
from lab.wire import format_for_url
from lab.wire.openai_chat import FORMAT as OPENAI_CHAT

MOST_UNKNOWN = 30
"""Directives that a product may not know, each of which costs a start."""


AT_ONCE = 40
"""Copies on one testbed: each is a process of the product's, and some thirty exchanges."""

MOST_LINES = 150
"""Lines of one file that are left out one by one, each of which is a copy."""


@dataclass(frozen=True)
class Copy:
    """A user's file with some settings otherwise.

    Args:
        entrance: where it is asked.
        settings: lines that hold for it, beside its own.
        without: its own lines that are left out.
    """

    entrance: Entrance
    settings: tuple[str, ...] = ()
    without: tuple[Spot, ...] = ()

    @classmethod
    def changed(cls, entrance: Entrance, changes: Iterable[Change]) -> Copy:
        """With these changes."""
        settings, without = [], []
        for each in changes:
            if isinstance(each, Spot):
                without.append(each)
            else:
                settings.append(each)
        return cls(entrance, tuple(settings), tuple(without))

    @property
    def plain(self) -> bool:
        """Whether it has all that the file has, and nothing else."""
        return not self.settings and not self.without


@dataclass(frozen=True)
class UserFile:
    """What is verified.

    Args:
        path: of the file or folder.
        proxy: what runs it.
        adapter: the file, read.
        headers: that every request has.
        known: what no configuration of the product meets, each with the reason.
    """

    path: Path
    proxy: Proxy
    adapter: Adapter
    headers: tuple[tuple[str, str], ...] = ()
    known: Mapping[Requirement, str] = field(default_factory=dict)


Wanted = Mapping[Copy, Sequence[Exchange]]
"""Copies, each with the exchanges that are made of it."""


@dataclass(frozen=True)
class Standing:
    """Copies that are up together.

    Args:
        testbed: where.
        files: each copy's own.
        refused: what the product said of those that it does not take.
        channel: to their model server.
    """

    testbed: Testbed
    files: Mapping[Copy, Path]
    refused: Mapping[Copy, SetUpFault]
    channel: SideChannel


class Copies:
    """Copies of a user's file, up while inside `async with`.

    Args:
        file: the file, and what runs it.
        supply: where runners come from.
        say: takes a line of progress.
    """

    def __init__(self, file: UserFile, supply: Supply, say: Say) -> None:
        self.file = file
        self.say = say
        self._supply = supply
        self._stack = AsyncExitStack()
        self._standing: list[Standing] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def have(self, copies: Iterable[Copy]) -> None:
        """Put up those that are not up yet, all on one testbed.

        Raises:
            SetUpFault: the product refuses the file as it is; carries its words, with the user's own file and line.
            EnvironmentFault: the machine lacks what it needs.
        """
        new = [copy for copy in dict.fromkeys(copies) if not self._is_up(copy)]
        if new:
            self._standing.append(await self._put_up(new))

    async def observe(self, wanted: Wanted) -> dict[Copy, Observations]:
        """Make these exchanges of each copy; one that the product refuses has no observations.

        Raises:
            SetUpFault: as `have`.
            EnvironmentFault: the same.
        """
        await self.have(wanted)
        found: dict[Copy, Observations] = {}
        for standing in self._standing:
            copies = [copy for copy in wanted if copy in standing.files and copy not in standing.refused]
            asked = [(_address(self.file, copy, standing), wanted[copy]) for copy in copies]
            found.update(zip(copies, await measure(asked, standing.channel), strict=True))
        return found

    async def observe_many(self, wanted: Wanted) -> dict[Copy, Observations]:
        """The same of any number: those that are not up are put up some at a time, and taken down again.

        Raises:
            SetUpFault: as `have`.
            EnvironmentFault: the same.
        """
        found = await self.observe({copy: exchanges for copy, exchanges in wanted.items() if self._is_up(copy)})
        new = [copy for copy in wanted if not self._is_up(copy)]
        for start in range(0, len(new), AT_ONCE):
            some = {copy: wanted[copy] for copy in new[start : start + AT_ONCE]}
            found |= await observe_copies(self.file, some, self._supply, self.say)
        return found

    def where(self, copy: Copy) -> tuple[Standing, Address]:
        """What a copy that is up stands on, and how it is asked."""
        standing = next(each for each in self._standing if copy in each.files)
        return standing, _address(self.file, copy, standing)

    def _is_up(self, copy: Copy) -> bool:
        return any(copy in standing.files for standing in self._standing)

    async def _put_up(self, copies: Sequence[Copy]) -> Standing:
        """Have them up; directives that the product does not know are left out of all of them, one after the other."""
        file = self.file
        folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="token-stream-lab-verify-"))
        files = {
            copy: Path(folder, str(number), f"main{file.proxy.product.suffix}") for number, copy in enumerate(copies)
        }
        targets = [Target(str(path), file.proxy, path, over_tls=copy.entrance.secure) for copy, path in files.items()]
        for _ in range(MOST_UNKNOWN):
            for copy, path in files.items():
                path.parent.mkdir(exist_ok=True)
                path.write_text(file.adapter.copy(copy.entrance, copy.settings, copy.without), encoding="utf-8")
            async with AsyncExitStack() as stack:
                testbed, _used = await stack.enter_async_context(started(targets, self._supply, self.say))
                refused = _refusals(testbed, files)
                if any(file.adapter.leave_out(str(fault)) for fault in refused.values()):
                    continue
                for copy, fault in refused.items():
                    if copy.plain:
                        raise _in_their_words(file, copy, files[copy], fault)
                channel = await stack.enter_async_context(SideChannel(testbed.model_url))
                self._stack.push_async_exit(stack.pop_all())
                return Standing(testbed, files, refused, channel)
        raise SetUpFault(
            f"{file.path}: more than {MOST_UNKNOWN} of its directives are unknown.", "Give another version."
        )


async def observe_copies(file: UserFile, wanted: Wanted, supply: Supply, say: Say) -> dict[Copy, Observations]:
    """Put up some copies, make these exchanges of each, and take them down.

    Raises:
        SetUpFault: as `Copies.have`.
        EnvironmentFault: the same.
    """
    async with Copies(file, supply, say) as copies:
        return await copies.observe(wanted)


def _refusals(testbed: Testbed, files: Mapping[Copy, Path]) -> dict[Copy, SetUpFault]:
    refused = {}
    for copy, path in files.items():
        try:
            testbed.url(str(path))
        except SetUpFault as fault:
            refused[copy] = fault
    return refused


def _in_their_words(file: UserFile, copy: Copy, path: Path, fault: SetUpFault) -> SetUpFault:
    """What the product said, of the user's file and not of the copy."""
    return SetUpFault(file.adapter.locate(fault.problem, copy.entrance, path), fault.remedy)


def _address(file: UserFile, copy: Copy, standing: Standing) -> Address:
    entrance, key = copy.entrance, str(standing.files[copy])
    host = (("Host", entrance.host),) if entrance.host else ()
    return Address(
        standing.testbed.url(key),
        standing.testbed.model_url,
        format_for_url(entrance.path) or OPENAI_CHAT,
        entrance.path,
        (*host, *file.headers),
        standing.testbed.tls(key),
        # Each body is its own: a cache may be keyed by it.
        in_message=True,
    )


def known_of(product: Product) -> Mapping[Requirement, str]:
    """What no configuration of a product meets, with the reason, as the scenario `recommended` holds it to."""
    expected = shipped("scenarios") / "recommended" / product.name / "expected.toml"
    broken = read_table(expected, ExpectedTable).broken if expected.exists() else None
    return broken.unmet if broken is not None else {}


def failing(observations: Observations, known: Collection[Requirement] = ()) -> list[Observation]:
    """Those that are not met, and those that the path itself keeps from being told: it let too little through.

    Args:
        observations: all.
        known: what no file of the product meets, and no file is to blame for.
    """
    return [
        each
        for each in observations.values()
        if (each.state is State.NOT_MET and each.requirement not in known)
        or (each.state is State.INCONCLUSIVE and not each.doubt)
    ]
