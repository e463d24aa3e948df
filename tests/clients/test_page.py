"""`clients.html`: it fits its frame, its columns sort, and the cure is in words; no client has to be installed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import pytest
import pytest_asyncio
from browser import Window, open_window

from lab.clients.grid import Cell, Grid, measure
from lab.clients.outcome import MEANINGS, ClientReport, Seen
from lab.clients.results import counts, page
from lab.clients.table import CLIENTS, ENDINGS
from lab.model.server import ModelServer

ROUTES = ("direct", "nginx-1.26-default", "nginx-1.26-recommended")
ERRORS = ("openai.APIConnectionError", "httpx.RemoteProtocolError", "httpcore.RemoteProtocolError")


def _grid() -> Grid:
    """Every client, ending and route, with all outcomes in turn; those through the consumer raise."""
    outcomes = cycle(ClientReport)
    cells = []
    for client in CLIENTS:
        for ending in ENDINGS:
            for route in ROUTES:
                reported = ClientReport.ERROR if client.name.endswith("+consume") else next(outcomes)
                cells.append(
                    Cell(client.name, ending.name, route, ending.knowable, Seen("", error=ERRORS), reported, 3)
                )
    return Grid(tuple(cells), {"chromium-fetch": "<b>no browser</b>"}, {"current": ("openai 3.54.0",)})


GRID = _grid()


def test_the_cure_is_in_words_before_the_losses_and_leads_to_what_it_did() -> None:
    """The consumer is named with a line of code, and each client that was read through it is linked."""
    text = page(GRID)
    assert text.index("lab.consume") < text.index('id="losses"')
    for client in CLIENTS:
        if client.name.endswith("+consume"):
            assert f'href="#client-{client.name}"' in text
            assert f'id="client-{client.name}"' in text
    assert "silent losses 0 of 378." in " ".join(text.split())
    assert "<b>no browser</b>" not in text


def test_every_outcome_has_a_sign_of_its_own() -> None:
    """What the colour says, the sign says too, and the legend has each once."""
    legend = page(GRID).split('id="signs"')[1].split("</dl>")[0]
    signs = [part.split("<")[0] for part in legend.split('aria-hidden="true">')[1:]]
    assert len(set(signs)) == len(signs) == len(MEANINGS)


async def test_every_cell_is_counted_for_the_bar() -> None:
    """Those of a driver that cannot start too, so that a bar comes to its end."""
    broken, told = replace(CLIENTS[0], environment=None, driver="missing.py"), list[int]()
    async with ModelServer() as server:
        await measure([broken], ENDINGS[:3], {"direct": server.base_url}, server.base_url, told.append)
    assert sum(told) == 3


@pytest.mark.browser
class TestInABrowser:
    @pytest_asyncio.fixture(name="window", params=[390, 1280])
    async def _window(self, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Window]:
        path = tmp_path / "clients.html"
        path.write_text(page(GRID))
        async with open_window(path.as_uri(), viewport={"width": request.param, "height": 800}) as window:
            yield window

    async def test_the_grids_fit_a_desk_and_a_phone_scrolls_them_only(self, window: Window) -> None:
        """Nothing juts out of the page; on a desk nothing in a frame has to be scrolled sideways either."""
        assert await window.fits()
        assert window.complaints == []
        assert window.strangers == []
        wide = "[...document.querySelectorAll('.wide')].map((one) => one.scrollWidth - one.clientWidth)"
        if await window.page.evaluate("innerWidth") > 1000:
            assert set(await window.page.evaluate(wide)) == {0}

    async def test_a_heading_sorts_its_column_both_ways(self, window: Window) -> None:
        """The most losses first, then the fewest; a screen reader is told which column it is."""
        heading = window.page.locator(".losses th", has_text="Silent to a loop")
        losses = sorted(count.to_loops for count in counts(GRID.cells))
        for expected, word in ((losses[::-1], "descending"), (losses, "ascending")):
            await heading.locator("button").click()
            cells = await window.page.locator(".losses td:nth-child(2)").all_inner_texts()
            assert [int(cell.split()[0]) for cell in cells] == expected
            assert await heading.get_attribute("aria-sort") == word
