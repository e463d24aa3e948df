"""One round: some copies of a user's file on a testbed of their own, each asked everything that is wanted."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab.catalogue.loader import read_table
from lab.catalogue.schema import ExpectedTable
from lab.errors import SetUpFault
from lab.judge import Observation, Observations
from lab.measure import measure
from lab.measure.exchanges import Address
from lab.probe.side_channel import SideChannel
from lab.products import Product, Proxy
from lab.products.adapted import Adapter, Entrance, Spot
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


async def observe_copies(file: UserFile, wanted: Wanted, supply: Supply, say: Say) -> dict[Copy, Observations]:
    """Make these exchanges of each copy; one that the product refuses has no observations.

    Raises:
        SetUpFault: the product refuses the file as it is; carries its words, with the user's own file and line.
        EnvironmentFault: the machine lacks what it needs.
    """
    return (await observe_twice(file, wanted, lambda _: {}, supply, say))[0]


async def observe_twice(
    file: UserFile, wanted: Wanted, again: Callable[[Mapping[Copy, Observations]], Wanted], supply: Supply, say: Say
) -> tuple[dict[Copy, Observations], dict[Copy, Observations]]:
    """The same, and once more what `again` makes of it, of the same copies while they run.

    Raises:
        SetUpFault: as `observe_copies`.
        EnvironmentFault: the same.
    """
    with tempfile.TemporaryDirectory(prefix="token-stream-lab-verify-") as folder:
        files = {
            copy: Path(folder, str(number), f"main{file.proxy.product.suffix}") for number, copy in enumerate(wanted)
        }
        for _ in range(MOST_UNKNOWN):
            for copy, path in files.items():
                path.parent.mkdir(exist_ok=True)
                path.write_text(file.adapter.copy(copy.entrance, copy.settings, copy.without), encoding="utf-8")
            targets = [
                Target(str(path), file.proxy, path, over_tls=copy.entrance.secure) for copy, path in files.items()
            ]
            async with started(targets, supply, say) as (testbed, _used):
                refused = _refusals(testbed, files)
                if not any(file.adapter.leave_out(str(fault)) for fault in refused.values()):
                    for copy, fault in refused.items():
                        if copy.plain:
                            raise _in_their_words(file, copy, files[copy], fault)
                    standing = {copy: exchanges for copy, exchanges in wanted.items() if copy not in refused}
                    first = await _observe(file, standing, files, testbed)
                    second = again(first)
                    return first, await _observe(file, second, files, testbed) if second else {}
    raise SetUpFault(f"{file.path}: more than {MOST_UNKNOWN} of its directives are unknown.", "Give another version.")


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


async def _observe(
    file: UserFile, wanted: Wanted, files: Mapping[Copy, Path], testbed: Testbed
) -> dict[Copy, Observations]:
    found: dict[Copy, Observations] = {}
    async with SideChannel(testbed.model_url) as channel:
        # Copies that are asked the same are asked at once.
        groups: dict[tuple[str, ...], list[Copy]] = {}
        for copy, exchanges in wanted.items():
            groups.setdefault(tuple(each.name for each in exchanges), []).append(copy)
        for copies in groups.values():
            addresses = {str(files[copy]): _address(file, copy, files[copy], testbed) for copy in copies}
            observed = await measure(addresses, wanted[copies[0]], channel)
            found.update({copy: observed[str(files[copy])] for copy in copies})
    return found


def _address(file: UserFile, copy: Copy, path: Path, testbed: Testbed) -> Address:
    entrance = copy.entrance
    host = (("Host", entrance.host),) if entrance.host else ()
    return Address(
        testbed.url(str(path)),
        testbed.model_url,
        format_for_url(entrance.path) or OPENAI_CHAT,
        entrance.path,
        (*host, *file.headers),
        testbed.tls(str(path)),
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
