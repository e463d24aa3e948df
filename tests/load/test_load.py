"""Loads over paths of which everything is known: what became of each stream, and how late the tokens were."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from pathlib import Path

import pytest

from lab.cli import main
from lab.errors import BadInput, EnvironmentFault, ExitCode
from lab.load.figures import Figures, figures_of
from lab.load.results import FORMAT
from lab.load.run import LOCUSTFILE, MOST_PORTS, Load, generate
from lab.model.server import ModelServer
from lab.saved import load_saved
from lab.vocabulary import Ending

from .relay import Relay

FEW = Load(streams=6, ramp=1.0, hold=0.5, interval=0.1)


async def over(
    model: ModelServer, load: Load = FEW, *, holds: float = 0.0, most: float = 0, refuses: bool = False
) -> Figures:
    """What a load finds of a path that does so."""
    async with Relay(model.base_url, holds, most or float("inf"), refuses) as relay:
        return await generate(load, relay.url, "it", lambda _: None)


async def test_every_stream_and_every_token_is_counted() -> None:
    """Over a path that does nothing: all complete, each token once."""
    async with ModelServer() as model:
        found = await over(model)
    assert found.endings == {Ending.COMPLETE: FEW.streams}
    assert found.late.count == FEW.streams * FEW.plan.tokens
    assert (found.first.count, found.asked, found.lost) == (FEW.streams, FEW.streams, 0)
    assert found.failures == {}
    assert found.seconds[-1].open == 0


async def test_what_is_held_is_late_however_even_it_comes() -> None:
    """Between one token and the next there is no longer gap than the model made."""
    async with ModelServer() as model:
        found = await over(model, holds=0.4)
    assert found.endings == {Ending.COMPLETE: FEW.streams}
    assert found.late.p50 >= 390
    assert found.first.p50 >= 390
    assert found.model_late.p50 < 390


async def test_a_path_that_closes_is_told_from_one_that_refuses() -> None:
    """Each with its ending, and with what the transport or the status said."""
    async with ModelServer() as model:
        closed = await over(model, most=1500)
        refused = await over(model, refuses=True)
    assert closed.endings == {Ending.CUT: FEW.streams}
    assert refused.endings == {Ending.PROXY_ERROR_STATUS: FEW.streams}
    assert any("503" in what for what in refused.failures)
    assert sum(refused.failures.values()) == FEW.streams


async def test_what_ends_at_once_is_not_asked_for_again() -> None:
    """Arrivals are a schedule: where streams are lost while others are still to come, there are no more for it."""
    many = Load(streams=60, ramp=3.0, hold=0.5, interval=0.1)
    async with ModelServer() as model:
        refused = await over(model, many, refuses=True)
    assert (refused.asked, refused.endings) == (60, {Ending.PROXY_ERROR_STATUS: 60})


async def test_nobody_there_is_told_of_each_stream() -> None:
    """Nothing listens: every stream is lost, and says why."""
    async with Relay("http://127.0.0.1:1") as gone:
        url = gone.url
    found = await generate(FEW, url, "it", lambda _: None)
    assert found.endings == {Ending.CUT: FEW.streams}
    assert all("refused" in what.lower() for what in found.failures)


async def test_a_load_that_is_told_to_stop_leaves_nothing_running() -> None:
    """Cancelled amid its streams, it ends what it has started."""
    async with ModelServer() as model:
        began = asyncio.Event()
        long = Load(streams=4, ramp=0.5, hold=60.0)
        task = asyncio.create_task(generate(long, model.base_url, "it", lambda _: began.set()))
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_an_engine_of_load_that_cannot_begin_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its last words."""
    monkeypatch.setattr("lab.load.run.LOCUSTFILE", Path("/nowhere/locustfile.py"))
    with pytest.raises(EnvironmentFault, match="nowhere"):
        await generate(FEW, "http://127.0.0.1:1", "it", lambda _: None)


@pytest.mark.parametrize(
    "arguments",
    [
        ["http://127.0.0.1:1", "--streams", str(MOST_PORTS + 1)],
        ["http://example.com/v1/chat/completions", "--streams", "201"],
        ["http://127.0.0.1:1", "--interval", "0s"],
        ["http://127.0.0.1:1", "--against", "bursts::haproxy-3.0::fixed"],
        ["bursts::haproxy-3.0::mended"],
        ["http://127.0.0.1:1", "--ramp", "soon"],
    ],
    ids=["ports", "somebody else's", "no time", "a URL and a case", "no such case", "no duration"],
)
def test_what_cannot_be_meant_is_refused(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is started, in one message."""
    assert main(["load", *arguments, "--out", str(tmp_path)]) == ExitCode.BAD_INPUT
    assert "Traceback" not in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_more_streams_than_open_files_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the limit that no process can raise by itself; more processes have more files."""
    monkeypatch.setattr("lab.load.run.resource.getrlimit", lambda _: (256, 1000))
    with pytest.raises(BadInput, match="1000 files"):
        Load(streams=2000).check()
    Load(streams=2000, processes=4).check()


def test_a_command_says_and_saves_what_came(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody there: exit code 1, the figures in a file, and a report of them."""
    arguments = ["--streams", "2", "--ramp", "0s", "--hold", "0s", "--interval", "100ms", "--out", str(tmp_path)]
    assert main(["load", "http://127.0.0.1:1", *arguments]) == ExitCode.REQUIREMENT_FAILED
    assert "2 cut" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"load.json", "load.html"}
    assert main(["report", str(tmp_path / "load.json"), "--out", str(tmp_path)]) == ExitCode.AS_REQUIRED


@pytest.mark.grid
@pytest.mark.engine
def test_two_cases_side_by_side(tmp_path: Path, images_in_use: object) -> None:
    """What a fix does and what it takes, of containers: HAProxy holds each token for 0.2 s, or sends it by itself."""
    assert images_in_use
    case = "bursts::haproxy-3.0::{}"
    few = ["--streams", "10", "--ramp", "1s", "--hold", "4s", "--interval", "500ms", "--out", str(tmp_path)]
    main(["load", case.format("broken"), "--against", case.format("fixed"), *few])
    broken, fixed = load_saved(tmp_path / "load.json", FORMAT).loads
    assert broken.late.p50 >= 100 > fixed.late.p50
    for each in (broken, fixed):
        assert each.lost == 0
        assert each.usage is not None
        assert each.usage.memory > 2**20
        assert each.usage.packets is not None
    # A packet for each token at least, which is what it costs to send each by itself.
    assert fixed.usage.packets > fixed.late.count > 0


@pytest.mark.grid
async def test_on_many_machines_one_may_be_lost(tmp_path: Path) -> None:
    """A master and three workers, of which one is killed amid its streams: what the others saw, and that it is lost."""
    figures, load = tmp_path / "figures.json", Load(streams=30, ramp=3.0, hold=12.0, interval=0.2)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    locust = [sys.executable, "-m", "locust", "--locustfile", str(LOCUSTFILE), "--master-port", port]
    async with ModelServer() as model:
        rate = ["--users", "30", "--spawn-rate", "10", "--run-time", "40s", "--stop-timeout", "1"]
        where = ["--host", model.base_url, "--plan", load.plan.to_query(), "--figures", str(figures)]
        master = await asyncio.create_subprocess_exec(
            *locust, "--master", "--master-bind-port", port, "--headless", "--expect-workers", "3", *rate, *where,
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        workers = [await asyncio.create_subprocess_exec(*locust, "--worker") for _ in range(3)]
        try:
            assert master.stdout is not None
            async for line in master.stdout:
                if line.startswith(b'{"at"') and json.loads(line)["asked"] >= 30 and workers[0].returncode is None:
                    workers[0].send_signal(signal.SIGKILL)
                    await workers[0].wait()
            assert await master.wait() in (0, 1)
        finally:
            for each in (master, *workers):
                if each.returncode is None:
                    each.kill()
                    await each.wait()
    found = figures_of(json.loads(figures.read_text()), "it", 30)
    assert found.lost_workers == 1
    assert found.endings[Ending.COMPLETE] >= 20
    assert any("lost" in doubt for doubt in found.doubts)
