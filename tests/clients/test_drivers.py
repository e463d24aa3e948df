"""What the drivers do for every client: they end a silence, go on, and say why they died."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from lab.clients import environments
from lab.clients.environments import DRIVERS, NPM
from lab.clients.grid import measure
from lab.clients.outcome import ClientReport
from lab.clients.table import CLIENTS, ENDINGS
from lab.model.server import ModelServer

LIMIT = 60.0
"""Seconds that a program of a test may take."""

THROWS = """
if (process.argv[1].endsWith("node.mjs")) {
  const watch = setInterval(() => {
    if (process.listenerCount("uncaughtException") === 0) return;
    clearInterval(watch);
    throw Object.assign(new Error("from afar"), { code: "%s" });
  });
}
"""

DEAF = """
import { withTimeout } from "%s";
let told = "nothing";
await withTimeout({ timeout: 0.2 }, (signal, wind) => { wind(); return new Promise(() => {}); })
  .catch((error) => { told = error.code; });
console.log(JSON.stringify(told));
process.exit(0);
"""


def test_a_client_that_does_not_heed_an_abort_is_left(tmp_path: Path) -> None:
    """Node 18's `fetch` reads on after an abort, once its signal was collected as garbage."""
    script = tmp_path / "deaf.mjs"
    script.write_text(DEAF % (DRIVERS / "web.mjs").as_uri())
    node = NPM.program and NPM.program.find()
    assert node, "there is no node on this machine"
    done = subprocess.run([node, script], capture_output=True, text=True, check=True, timeout=LIMIT)
    assert json.loads(done.stdout) == "USER_TIMEOUT"


@pytest.mark.parametrize(
    ("died", "said"),
    [
        ("raise ValueError('no such client')", "ValueError: no such client"),
        (
            "sys.exit('node:internal/deps:50\\n  throw err\\n  ^\\n\\nAssertionError [ERR_ASSERTION]: false == true"
            "\\n    at NodeError.finish (undici:5)\\n\\nNode.js v18.20.4')",
            "AssertionError [ERR_ASSERTION]: false == true",
        ),
        ("sys.exit('killed')", "killed"),
        ("sys.exit(1)", "no message"),
    ],
)
async def test_a_driver_that_died_is_told_of_with_its_error(
    died: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the line that names it, whatever stands behind that."""
    (tmp_path / "loops.py").write_text(f"import sys\n{died}\n")
    monkeypatch.setattr(environments, "DRIVERS", tmp_path)
    client = replace(next(each for each in CLIENTS if each.driver == "loops.py"), environment=None)
    async with ModelServer() as server:
        grid = await measure([client], ENDINGS[:1], {"direct": server.base_url}, server.base_url)
    assert grid.skipped == {client.name: f"the driver ended with 1: {said}"}


@pytest.mark.grid
@pytest.mark.parametrize(("code", "goes_on"), [("ERR_INVALID_STATE", True), ("ERR_ASSERTION", False)])
async def test_the_cells_go_on_where_nodes_fetch_throws_what_nobody_can_catch(
    code: str, goes_on: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only for the error that comes from a stream which its client has left: any other one ends the driver."""
    (tmp_path / "throws.mjs").write_text(THROWS % code)
    monkeypatch.setenv("NODE_OPTIONS", f"--import={(tmp_path / 'throws.mjs').as_uri()}")
    client = next(each for each in CLIENTS if each.name == "node-fetch")
    async with ModelServer() as server:
        grid = await measure([client], ENDINGS[:1], {"direct": server.base_url}, server.base_url)
    assert [cell.reported for cell in grid.cells] == [ClientReport.COMPLETE if goes_on else None]
    assert grid.skipped == ({} if goes_on else {"node-fetch": "the driver ended with 1: Error: from afar"})
