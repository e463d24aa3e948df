"""What `lab load` asks: an address, cases, or files of the user's; the lab's own paths are put up for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from lab.catalogue import Case
from lab.cli.verify import VerifyOptions, user_file
from lab.load.terms import RequestTerms
from lab.load.usage import ProxyProcesses
from lab.testbed.engine import Say
from lab.testbed.supply import RunnerWish, choose, started
from lab.testbed.testbed import Target, Testbed
from lab.verify.rounds import Copies, Copy


@dataclass(frozen=True)
class LoadTarget:
    """Where a load goes.

    Args:
        url: with the endpoint's path, or without it.
        terms: how it is asked there.
        watched: the proxy, where it can be looked at.
    """

    url: str
    terms: RequestTerms
    watched: ProxyProcesses | None = None


@asynccontextmanager
async def own_targets(
    cases: Sequence[Case], files: Mapping[str, VerifyOptions], terms: RequestTerms, wish: RunnerWish, say: Say
) -> AsyncIterator[dict[str, LoadTarget]]:
    """Cases by their ids and files by their names, all of them up while inside.

    Args:
        cases: of scenarios.
        files: of the user's.
        terms: how each is asked.
        wish: what runs the cases.
        say: takes a line of progress.

    Raises:
        BadInput: a file makes no sense.
        SetUpFault: a product refused its configuration.
        EnvironmentFault: the machine lacks what it needs.
    """
    # The certificates are the lab's own.
    own = replace(terms, any_certificate=True)
    found: dict[str, LoadTarget] = {}
    async with AsyncExitStack() as stack:
        for name, options in files.items():
            found[name] = await _file(stack, options, own, say)
        if cases:
            supply = await asyncio.to_thread(choose, say, wish)
            targets = [Target(each.id, each.proxy, each.config) for each in cases]
            testbed, _ = await stack.enter_async_context(started(targets, supply, say))
            for each in cases:
                found[each.id] = LoadTarget(testbed.url(each.id), own, await _watched(testbed, each.id))
        yield found


async def _file(stack: AsyncExitStack, options: VerifyOptions, terms: RequestTerms, say: Say) -> LoadTarget:
    """A file at its first entrance."""
    supply, file = await asyncio.to_thread(user_file, options, say)
    copies = await stack.enter_async_context(Copies(file, supply, say))
    copy = Copy(file.adapter.entrances[0])
    await copies.have([copy])
    standing, address = copies.where(copy)
    headers = (*address.headers, *terms.headers)
    asked = replace(terms, wire_format=address.wire_format.name, headers=headers)
    return LoadTarget(
        address.url + (address.path or ""), asked, await _watched(standing.testbed, str(standing.files[copy]))
    )


async def _watched(testbed: Testbed, name: str) -> ProxyProcesses:
    return ProxyProcesses(tuple(await testbed.pids(name)), testbed.model_port(name))
