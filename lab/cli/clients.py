"""`lab clients`: the client grid, measured, saved and printed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from lab.cli.out import progress_columns, writing_to
from lab.cli.shell import run_until_stopped
from lab.clients.grid import Grid, measure
from lab.clients.results import save, show
from lab.clients.table import CLIENTS, ENDINGS, Client
from lab.errors import BadInput, EnvironmentFault, ExitCode
from lab.products import PRODUCTS
from lab.testbed.supply import RunnerWish, started
from lab.testbed.supply import choose as choose_supply
from lab.testbed.testbed import Target

PRODUCT = next(product for product in PRODUCTS.values() if product.page)
"""The one whose defaults hold a stream: it has most to hide from a client, and its oldest version most of all."""

ROUTES = {
    f"{PRODUCT.name}-default": PRODUCT.default,
    f"{PRODUCT.name}-recommended": PRODUCT.recommended,
}


def choose(names: Sequence[str]) -> tuple[Client, ...]:
    """The clients of these names, all if none is given.

    Raises:
        BadInput: no client has that name.
    """
    known = {client.name: client for client in CLIENTS}
    for name in names:
        if name not in known:
            raise BadInput(f"There is no client {name!r}.", f"Choose from {', '.join(known)}.")
    return tuple(known[name] for name in dict.fromkeys(names)) or CLIENTS


def clients_and_report(
    clients: Sequence[Client],
    to: Path,
    wish: RunnerWish,
    *,
    out: Console,
    err: Console,
    say: Callable[[str], None],
) -> int:
    """Measure the grid, save and print it; returns the exit code. Losses are findings, no failure.

    Raises:
        EnvironmentFault: no engine, no image, or no client could be measured.
    """
    with writing_to(to):
        to.mkdir(parents=True, exist_ok=True)
    started = datetime.now().astimezone()
    grid = run_until_stopped(_measure(clients, wish, err, say))
    with writing_to(to):
        save(grid, to, started)
    show(grid, out)
    if not any(cell.reported for cell in grid.cells):
        raise EnvironmentFault("No client could be measured.", "The reasons stand above.")
    return ExitCode.AS_REQUIRED


async def _measure(clients: Sequence[Client], wish: RunnerWish, err: Console, say: Callable[[str], None]) -> Grid:
    supply = await asyncio.to_thread(choose_supply, say, wish)
    proxy = await asyncio.to_thread(supply.oldest, PRODUCT.name, say)
    targets = [Target(route, proxy, config) for route, config in ROUTES.items()]
    async with started(targets, supply, say) as (testbed, _):
        routes = {"direct": testbed.model_url, **{route: testbed.url(route) for route in ROUTES}}
        size = f"{len(clients)} clients, {len(ENDINGS)} endings, {len(routes)} routes"
        say(f"measuring {size}, through {proxy.id}; the first run installs them")
        # Into a file it would write nothing but an empty line.
        with Progress(*progress_columns(), console=err, transient=True, disable=not err.is_terminal) as progress:
            task = progress.add_task("measuring", total=len(clients) * len(ENDINGS) * len(routes))
            return await measure(
                clients, ENDINGS, routes, testbed.model_url, lambda cells: progress.advance(task, cells)
            )
