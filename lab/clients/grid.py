"""The run of the grid: every client against every ending over every route.

One process a driver and environment, few of them at once, for a client that does not get to run would report its own
timeout; each measures a few cells at a time. A cell whose driver died or gave no line is `None`, with the reason beside
the client, and never counts as anything else.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lab
from lab.clients.environments import CannotInstall, Environment, command, prepare
from lab.clients.outcome import ClientReport, Seen, judge
from lab.clients.table import Client, EndingCase
from lab.probe.side_channel import SideChannel

CLIENT_PATIENCE = 4.0
"""Seconds of silence that each client bears."""
RUN_LIMIT = 900.0
"""Seconds that a driver gets for all its cells."""
AT_ONCE = max(3, os.cpu_count() or 1)
"""Drivers that run at the same time."""


@dataclass(frozen=True)
class Cell:
    """One client, one ending, one route; `reported` is None where nothing was measured.

    Args:
        attempts: requests that the model server had; None where its ledger could not be read.
    """

    client: str
    ending: str
    route: str
    knowable: bool
    seen: Seen | None
    reported: ClientReport | None
    attempts: int | None


@dataclass(frozen=True)
class Grid:
    """What was measured.

    Args:
        cells: by client, ending and route, in that order.
        skipped: why some clients were not measured: by client, in words.
        releases: what was measured, as name and version, by environment.
    """

    cells: tuple[Cell, ...]
    skipped: Mapping[str, str]
    releases: Mapping[str, tuple[str, ...]]


async def measure(
    clients: Sequence[Client],
    endings: Sequence[EndingCase],
    routes: Mapping[str, str],
    model_url: str,
    on_cells: Callable[[int], object] = lambda _: None,
) -> Grid:
    """Measure all clients against all endings.

    Args:
        clients: the rows.
        endings: the columns.
        routes: base URLs by name.
        model_url: where the ledger is.
        on_cells: gets the number of cells of each driver that has ended, and of each that cannot be had.
    """
    groups: dict[tuple[Environment | None, str], list[Client]] = defaultdict(list)
    for client in clients:
        groups[client.environment, client.driver].append(client)
    skipped: dict[str, str] = {}
    ready = await _prepare({environment for environment, _ in groups}, clients, skipped)
    asked = [(key, _asks(group, endings, routes)) for key, group in groups.items() if key[0] in ready]
    answers: dict[str, dict[str, Any]] = {}
    turns = asyncio.Semaphore(AT_ONCE)
    on_cells(sum(len(group) for key, group in groups.items() if key[0] not in ready) * len(endings) * len(routes))
    runs = [_drive(command(*key), cells, answers, turns, on_cells) for key, cells in asked]
    for (_, cells), trouble in zip(asked, await asyncio.gather(*runs), strict=True):
        if trouble:
            skipped.update({cell["row"]: trouble for cell in cells if cell["id"] not in answers})
    async with SideChannel(model_url) as channel:
        measured = [
            await _cell(channel, client, ending, route, answers.get(_id(client, ending, route)))
            for client in clients
            if client.environment in ready
            for ending in endings
            for route in routes
        ]
    releases = {one.name: await asyncio.to_thread(one.contents) for one in ready if one}
    return Grid(tuple(measured), skipped, dict(sorted(releases.items())))


async def _prepare(
    environments: set[Environment | None], clients: Sequence[Client], skipped: dict[str, str]
) -> set[Environment | None]:
    async def made(environment: Environment | None) -> bool:
        try:
            if environment is not None:
                await asyncio.to_thread(prepare, environment)
        except CannotInstall as error:
            skipped.update({c.name: str(error) for c in clients if c.environment == environment})
            return False
        return True

    asked = list(environments)
    answers = await asyncio.gather(*map(made, asked))
    return {environment for environment, ready in zip(asked, answers, strict=True) if ready}


def _id(client: Client, ending: EndingCase, route: str) -> str:
    return f"{client.name}.{ending.name}.{route}".replace(" ", "-").replace(",", "").replace("+", "-with-")


def _asks(clients: Sequence[Client], endings: Sequence[EndingCase], routes: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "id": _id(client, ending, route),
            "row": client.name,
            "client": client.function,
            "base": base,
            "plan": ending.plan.to_query(),
            "request": _id(client, ending, route),
            "timeout": CLIENT_PATIENCE,
        }
        for client in clients
        for ending in endings
        for route, base in routes.items()
    ]


async def _drive(
    words: Sequence[str],
    cells: Sequence[dict[str, Any]],
    answers: dict[str, dict[str, Any]],
    turns: asyncio.Semaphore,
    on_cells: Callable[[int], object],
) -> str:
    """Run one driver at its turn and collect its lines; returns why some are missing, empty if none is."""
    async with turns:
        trouble = await _run(words, cells, answers)
    on_cells(len(cells))
    return trouble


async def _run(words: Sequence[str], cells: Sequence[dict[str, Any]], answers: dict[str, dict[str, Any]]) -> str:
    # For `lab.consume`, which the drivers' own environments do not have.
    variables = {**os.environ, "PYTHONPATH": str(Path(lab.__file__).parent.parent)}
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe, stderr=pipe, env=variables)
    except OSError as error:
        return f"{words[0]}: {error.strerror}"
    try:
        async with asyncio.timeout(RUN_LIMIT):
            output, complaint = await process.communicate(json.dumps(cells).encode())
    except TimeoutError:
        return f"the driver took more than {RUN_LIMIT:.0f} s"
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    for line in output.decode(errors="replace").splitlines():
        with suppress(ValueError, KeyError, TypeError):
            answer = json.loads(line)
            answers[answer["id"]] = answer
    if all(cell["id"] in answers for cell in cells):
        return ""
    return f"the driver ended with {process.returncode}: {_said(complaint.decode(errors='replace'))[:200]}"


def _said(complaint: str) -> str:
    """The line of a traceback that names the error: Python's last; Node's own version follows it."""
    lines = complaint.strip().splitlines() or ["no message"]
    errors = [line for line in lines if "Error" in line.partition(":")[0] and not line[0].isspace()]
    return (errors or lines)[-1]


async def _cell(
    channel: SideChannel, client: Client, ending: EndingCase, route: str, answer: dict[str, Any] | None
) -> Cell:
    if answer is None:
        return Cell(client.name, ending.name, route, ending.knowable, None, None, None)
    words = {"error": tuple(answer["error"]), "late": tuple(answer["late"])}
    seen = Seen(**{name: value for name, value in answer.items() if name != "id"} | words)
    attempts = len(await channel.attempts(_id(client, ending, route), ending.plan)) or None
    return Cell(client.name, ending.name, route, ending.knowable, seen, judge(ending.plan, seen), attempts)
