"""The whole grid, measured once for all tests over loopback; the clients are installed if need be."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from lab.clients.grid import Cell, Grid, measure
from lab.clients.table import CLIENTS, ENDINGS
from lab.model.server import ModelServer


async def _measured() -> Grid:
    async with ModelServer() as server:
        return await measure(CLIENTS, ENDINGS, {"direct": server.base_url}, server.base_url)


@pytest.fixture(name="grid", scope="session")
def _grid() -> Grid:
    """Every client against every ending, straight to the model server."""
    return asyncio.run(_measured())


@pytest.fixture(name="cells", scope="session")
def _cells(grid: Grid) -> Mapping[tuple[str, str], Cell]:
    """The cells by client and ending."""
    return {(cell.client, cell.ending): cell for cell in grid.cells}
