"""`lab clients` as users call it, through nginx as it is installed and as the lab recommends."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from processes import LAB, LIMIT

from lab.cli import clients as cli_clients
from lab.cli import main
from lab.errors import EnvironmentFault, ExitCode

CLIENTS = ("openai-3", "httpx", "httpx+consume")


@pytest.fixture(name="cells", scope="module")
def _cells(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str, str], dict[str, Any]]:
    """What the command wrote, by client, ending and route."""
    folder = tmp_path_factory.mktemp("clients")
    subprocess.run([LAB, "clients", *CLIENTS, "--out", folder], check=True, timeout=3 * LIMIT)
    document = json.loads((folder / "clients.json").read_text(encoding="utf-8"))
    assert "nginx-recommended" in (folder / "clients.html").read_text(encoding="utf-8")
    assert document["skipped"] == {}
    return {(cell["client"], cell["ending"], cell["route"]): cell for cell in document["cells"]}


@pytest.mark.engine
def test_nginx_as_installed_makes_a_cut_silent(cells: dict[tuple[str, str, str], dict[str, Any]]) -> None:
    """The model server dies amid the answer: an exception directly, none behind nginx 1.26 in its defaults."""
    for client in ("openai-3", "httpx"):
        assert cells[client, "fin", "direct"]["reported"] == "error"
        assert cells[client, "fin", "nginx-default"]["reported"] == "no reason"
        assert cells[client, "fin", "nginx-recommended"]["reported"] == "error"


@pytest.mark.engine
def test_no_route_is_silent_through_the_consumer(cells: dict[tuple[str, str, str], dict[str, Any]]) -> None:
    """What nginx makes silent, `lab.consume` calls partial, and a whole answer complete on every route."""
    routes = ("direct", "nginx-default", "nginx-recommended")
    assert {cells["httpx+consume", "complete", route]["reported"] for route in routes} == {"complete"}
    assert {cells["httpx+consume", "fin", route]["reported"] for route in routes} == {"partial"}
    silent = ("silent loss", "no reason", "reason only")
    lost = [key for key, cell in cells.items() if "+" in key[0] and cell["knowable"] and cell["reported"] in silent]
    assert lost == []


@pytest.mark.engine
def test_each_route_is_asked_once_for_a_whole_answer(cells: dict[tuple[str, str, str], dict[str, Any]]) -> None:
    """The model server is asked by nginx as often as the client asks nginx."""
    asked = {key: cell["attempts"] for key, cell in cells.items() if key[1] in ("complete", "length", "no marker")}
    assert set(asked.values()) == {1}, asked


@pytest.mark.usefixtures("own_signals")
def test_an_unknown_client_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 before anything is measured."""
    assert main(["clients", "openai-33"]) == ExitCode.BAD_INPUT
    assert "chromium-eventsource" in capsys.readouterr().err


@pytest.mark.usefixtures("own_signals")
def test_without_an_engine_the_remedy_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Exit code 3, with what the engine's side has to say."""

    def no_engine(*_: object) -> None:
        raise EnvironmentFault("no container engine", "Start one.")

    monkeypatch.setattr(cli_clients, "choose_supply", no_engine)
    assert main(["clients", "httpx", "--out", str(tmp_path)]) == ExitCode.NO_ENVIRONMENT
    assert "Start one." in capsys.readouterr().err
