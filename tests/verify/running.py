"""Files of users', verified in containers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lab.products import PROXIES, Product
from lab.products.adapted import EntranceWish
from lab.suite.settle import Waits
from lab.testbed.supply import RunnerWish, choose
from lab.verify.rounds import UserFile, known_of
from lab.verify.search import Verified, verify
from lab.vocabulary import Requirement, RunnerName

TOGETHER = 2
"""Files that are verified at the same time."""


async def verified(
    product: Product,
    asked: Iterable[tuple[Path, str]],
    *,
    mend: bool,
    waits: Waits | None = None,
    version: str = "",
) -> list[tuple[Path, Verified]]:
    """What is found of files of a product's, with the file, for each entrance.

    Args:
        product: whose files they are.
        asked: each file, with what is asked for; empty for a path of its own.
        mend: whether to look for a fix.
        waits: how long to wait at least.
        version: of the product; empty for the newest.
    """
    free, supply = asyncio.Semaphore(TOGETHER), choose(lambda _: None, RunnerWish(RunnerName.CONTAINERS))
    proxy = PROXIES[f"{product.name}-{version or product.versions[-1].number}"]

    async def one(file: Path, path: str) -> list[tuple[Path, Verified]]:
        assert product.adapt is not None
        subject = UserFile(file, proxy, product.adapt(file, EntranceWish(path=path)), known=known_of(product))
        async with free:
            found = await verify(subject, waits or Waits(), supply, lambda _: None, mend=mend)
        return [(file, each) for each in found]

    return [each for found in await asyncio.gather(*(one(*key) for key in asked)) for each in found]


def assert_mended(file: Path, found: Verified, expected: Mapping[Requirement, Sequence[tuple[str, str]]]) -> None:
    """That these fail and no others, that each is mended by these settings, and that the first of each are the fix.

    Args:
        file: which was verified.
        found: of one of its entrances.
        expected: by requirement, each setting that alone mends it, with what stands in its place.
    """
    assert not found.untold, f"{file}: " + "\n".join(f"{one.requirement}: {one.words}" for one in found.untold)
    named = {
        which: [(cause.setting, cause.spot.text if cause.spot else "") for cause in causes]
        for which, causes in found.causes.items()
    }
    wanted = {which: list(pairs) for which, pairs in expected.items()}
    others = [f"{which}: {observed.words}" for which, observed in found.observations.items()]
    assert named == wanted, "\n".join([f"{file}: {named}, and not {wanted}", *others])
    assert set(found.fix) == {pairs[0][0] for pairs in expected.values()}, file
    assert found.whole, file
