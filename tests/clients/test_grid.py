"""The whole grid over loopback: what each client is known to do, and that nothing is missing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from lab.clients.environments import SystemProgram
from lab.clients.grid import Cell, Grid, measure
from lab.clients.outcome import ClientReport
from lab.clients.results import NOT_RAISED, page, save
from lab.clients.table import CLIENTS, ENDINGS
from lab.model.server import ModelServer

from .making import row, tokens_of

Cells = Mapping[tuple[str, str], Cell]

NO_WORD = ("no marker", "fin, close-delimited")
"""Endings that are clean and too early."""
AT_THE_START = ("fin at the start", "rst at the start")
REFUSED = ("429", "500", "529")
NAMES = [client.name for client in CLIENTS]

pytestmark = pytest.mark.grid


@pytest.mark.parametrize("client", [row(name) for name in NAMES])
def test_every_cell_was_measured(client: str, grid: Grid) -> None:
    """No cell of an installed client is empty, and the model server had the request of each."""
    cells = [cell for cell in grid.cells if cell.client == client]
    assert grid.skipped.get(client) is None
    assert [cell.ending for cell in cells if cell.reported is None or not cell.attempts] == []
    assert len(cells) == len(ENDINGS)


@pytest.mark.parametrize("client", [row(name) for name in NAMES if not name.endswith("-naive")])
def test_a_whole_answer_is_told_as_one(client: str, cells: Cells) -> None:
    """Ten of ten tokens, asked for once, without a complaint."""
    cell = cells[client, "complete"]
    assert (cell.reported, tokens_of(cell), cell.attempts) == (ClientReport.COMPLETE, 10, 1)


@pytest.mark.parametrize("client", [name for name in NAMES if "+consume" in name])
def test_no_silent_loss_through_the_consumer(client: str, cells: Cells) -> None:
    """Through `lab.consume` every ending that can be known is told."""
    lost = [ending.name for ending in ENDINGS if ending.knowable and cells[client, ending.name].reported in NOT_RAISED]
    assert lost == []


@pytest.mark.parametrize("ending", NO_WORD)
def test_a_clean_early_end_is_silent_to_a_loop(ending: str, cells: Cells) -> None:
    """The SDKs and the loops end in peace and without a reason; only LiteLLM's newer release raises."""
    bare = [client for client in NAMES if client.startswith(("openai-3", "anthropic-2", "langchain", "httpx"))]
    told = {client: cells[client, ending].reported for client in bare if "+consume" not in client}
    assert set(told.values()) == {ClientReport.NO_REASON}, told
    assert {cells[f"litellm-1.110-{vendor}", ending].reported for vendor in ("openai", "anthropic")} == {
        ClientReport.ERROR
    }


@pytest.mark.parametrize("client", ["litellm-1.106-openai", "litellm-1.106-anthropic"])
def test_a_client_that_makes_up_its_reason_is_silent_to_checks(client: str, cells: Cells) -> None:
    """LiteLLM 1.106 says `stop` of an answer that ended without any reason."""
    for ending in NO_WORD:
        cell = cells[client, ending]
        assert cell.seen is not None
        assert (cell.reported, cell.seen.finish, tokens_of(cell)) == (ClientReport.SILENT, "stop", 5)


@pytest.mark.parametrize(
    ("client", "cut", "early", "event", "refused"),
    [
        ("vercel-ai", ClientReport.ERROR, ClientReport.REASON_ONLY, ClientReport.REASON_ONLY, ClientReport.ON_ASKING),
        ("vercel-ai-onerror", ClientReport.ERROR, ClientReport.REASON_ONLY, ClientReport.ERROR, ClientReport.ERROR),
        ("vercel-ai-full", ClientReport.ERROR, ClientReport.REASON_ONLY, ClientReport.ERROR, ClientReport.ERROR),
    ],
)
def test_the_ai_sdk_tells_by_where_one_listens(
    client: str, cut: ClientReport, early: ClientReport, event: ClientReport, refused: ClientReport, cells: Cells
) -> None:
    """A cut raises in every loop; an error event and a refusal only reach `onError` and the full stream."""
    assert {cells[client, ending].reported for ending in ("fin", "rst")} == {cut}
    assert {cells[client, ending].reported for ending in NO_WORD} == {early}
    assert cells[client, "error event"].reported is event
    assert {cells[client, ending].reported for ending in REFUSED} == {refused}
    assert {cells[client, ending].attempts for ending in REFUSED} == {3}


@pytest.mark.browser
def test_a_page_that_closes_its_event_source_is_told_of_everything(cells: Cells) -> None:
    """The marker closes it, an error closes it, a clean early end is an error to it, and it never asks again."""
    client = "chromium-eventsource"
    told = {ending.name: cells[client, ending.name].reported for ending in ENDINGS if ending.knowable}
    assert [ending for ending, word in told.items() if word in NOT_RAISED] == []
    assert {told[ending] for ending in (*NO_WORD, *REFUSED, "freeze", "error event")} == {ClientReport.ERROR}
    assert {cells[client, ending].attempts for ending in ("complete", *NO_WORD, *REFUSED)} == {1}


@pytest.mark.browser
def test_a_page_that_only_listens_asks_for_ever(cells: Cells) -> None:
    """Whatever the ending, nothing is told; a whole answer is asked for again and stands there twice."""
    client = "chromium-eventsource-naive"
    assert {cells[client, ending.name].reported for ending in ENDINGS} == {ClientReport.UNENDING}
    assert tokens_of(cells[client, "complete"]) == 20
    assert {cells[client, ending].attempts for ending in ("complete", "length", "error event", *NO_WORD)} == {2}
    assert {cells[client, ending].attempts for ending in (*REFUSED, "freeze")} == {1}


@pytest.mark.browser
def test_chromium_asks_twice_where_a_warm_connection_closes_without_a_byte(cells: Cells) -> None:
    """One failure to the page, two generations at the model server; Node's fetch asks once.

    Now and then a busy machine has no warm connection to give, and then Chromium asks once too.
    """
    seen = [cells[client, ending] for client in ("chromium-fetch", "chromium-eventsource") for ending in AT_THE_START]
    assert {cell.reported for cell in seen} == {ClientReport.ERROR}
    assert {1, 2} >= {cell.attempts for cell in seen}
    assert 2 in {cell.attempts for cell in seen}
    assert {cells["node-fetch", ending].attempts for ending in AT_THE_START} == {1}


@pytest.mark.parametrize("client", ["openai-3", "openai-1", "anthropic-2", "anthropic-0", "openai-node", "vercel-ai"])
def test_sdks_ask_three_times_before_the_first_byte(client: str, cells: Cells) -> None:
    """A refusal and a connection that closes without a byte are asked for again twice, a cut amid the answer never."""
    assert {cells[client, ending].attempts for ending in (*AT_THE_START, *REFUSED)} == {3}
    assert {cells[client, ending].attempts for ending in ("fin", "rst", "freeze", *NO_WORD)} == {1}


def test_the_page_and_the_file_have_every_cell(grid: Grid, tmp_path: Path) -> None:
    """clients.json holds the cells, and the page names outcomes by their words."""
    save(grid, tmp_path)
    document = json.loads((tmp_path / "clients.json").read_text())
    assert len(document["cells"]) == len(grid.cells)
    assert "NO_REASON" not in page(grid)


async def test_a_driver_that_cannot_start_is_named() -> None:
    """A client whose driver fails is skipped with its reason and has no outcome."""
    broken = replace(CLIENTS[0], environment=None, driver="missing.py")
    async with ModelServer() as server:
        grid = await measure([broken], ENDINGS[:1], {"direct": server.base_url}, server.base_url)
    assert [cell.reported for cell in grid.cells] == [None]
    assert "missing.py" in grid.skipped[broken.name]


async def test_a_missing_browser_is_a_skipped_row_with_its_remedy() -> None:
    """Without a Chromium the row is named with the command that brings one, on the page as well."""
    chromium = next(client for client in CLIENTS if client.name == "chromium-fetch")
    assert chromium.environment is not None
    nowhere = replace(chromium.environment, program=SystemProgram(("no-such-browser",), ("chromium",)))
    async with ModelServer() as server:
        grid = await measure(
            [replace(chromium, environment=nowhere)], ENDINGS[:1], {"direct": server.base_url}, server.base_url
        )
    assert "apt-get install chromium" in grid.skipped["chromium-fetch"]
    assert "apt-get install chromium" in page(grid)
