"""A small grid over loopback with the clients of the lab's own environment."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from lab.clients.grid import Grid, measure
from lab.clients.outcome import Told
from lab.clients.results import page, save
from lab.clients.table import CLIENTS, ENDINGS
from lab.model.server import ModelServer


async def measured(names: set[str], endings: set[str] | None = None) -> Grid:
    """Measure some clients with this Python over loopback."""
    clients = [replace(client, environment=None) for client in CLIENTS if client.name in names]
    cases = [ending for ending in ENDINGS if endings is None or ending.name in endings]
    async with ModelServer() as server:
        return await measure(clients, cases, {"direct": server.base_url}, server.base_url)


async def test_bare_clients(tmp_path: Path) -> None:
    """A clean end without marker is silent to loops, a cut is an error, a refusal is asked again by the SDK."""
    grid = await measured({"openai-3", "httpx"}, {"complete", "fin", "no marker", "forged end", "500"})
    told = {(cell.client, cell.ending): cell.told for cell in grid.cells}
    assert grid.skipped == {}
    for client in ("openai-3", "httpx"):
        assert told[client, "complete"] is Told.COMPLETE
        assert told[client, "fin"] is Told.ERROR
        assert told[client, "no marker"] is Told.NO_REASON
        assert told[client, "forged end"] is Told.SILENT
        assert told[client, "500"] is Told.ERROR
    attempts = {cell.client: cell.attempts for cell in grid.cells if cell.ending == "500"}
    assert attempts == {"openai-3": 3, "httpx": 1}
    save(grid, tmp_path)
    assert len(json.loads((tmp_path / "clients.json").read_text())["cells"]) == len(grid.cells)
    assert "NO_REASON" not in page(grid)


async def test_no_silent_loss_through_the_consumer() -> None:
    """Through `lab.consume` every ending that can be known is told."""
    grid = await measured({"openai-3+consume", "openai-3-responses+consume", "anthropic-2+consume"})
    assert grid.skipped == {}
    lost = [
        cell
        for cell in grid.cells
        if cell.knowable and cell.told in (Told.SILENT, Told.REASON_ONLY, Told.NO_REASON, None)
    ]
    assert lost == []


async def test_a_driver_that_cannot_start_is_named() -> None:
    """A client whose driver fails is skipped with its reason and has no outcome."""
    broken = replace(CLIENTS[0], environment=None, driver="missing.py")
    async with ModelServer() as server:
        grid = await measure([broken], ENDINGS[:1], {"direct": server.base_url}, server.base_url)
    assert [cell.told for cell in grid.cells] == [None]
    assert "missing.py" in grid.skipped[broken.name]
