"""Loads over paths of which everything is known: what became of each stream, and how late the tokens were."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import ssl
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import psutil
import pytest
import trustme
from markers import grid

from lab.cli import main
from lab.errors import BadInput, EnvironmentFault, ExitCode
from lab.judge.doubt import LONGEST_WAIT
from lab.load import run
from lab.load.figures import Figures
from lab.load.results import FORMAT
from lab.load.run import LOCUSTFILE, MOST_PORTS, Load, generate
from lab.load.terms import RequestTerms
from lab.model.server import ModelServer
from lab.saved import load_saved
from lab.vocabulary import Ending

from .relay import Relay

FEW = Load(streams=6, ramp=1.0, hold=0.5, interval=0.1)


async def over(model: ModelServer, load: Load = FEW, **does: Any) -> Figures:
    """What a load finds of a path that does so; see `Relay`."""
    async with Relay(model.base_url, **does) as relay:
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
    assert found.gaps.p50 < 390
    assert (found.begun, found.queued) == (FEW.streams, 0)


async def test_a_request_that_waits_on_its_way_is_queued() -> None:
    """By the stamp of its first token it left late, which a reply that is held does not."""
    async with ModelServer() as model:
        found = await over(model, queues=1.0 + LONGEST_WAIT)
    assert (found.begun, found.queued) == (FEW.streams, FEW.streams)
    assert found.first.p50 >= 1990
    assert found.endings == {Ending.COMPLETE: FEW.streams}


async def test_a_path_that_closes_is_told_from_one_that_refuses() -> None:
    """Each with its ending, and with what the transport or the status said."""
    async with ModelServer() as model:
        closed = await over(model, most=1500)
        refused = await over(model, refuses=True)
    assert closed.endings == {Ending.CUT: FEW.streams}
    assert refused.endings == {Ending.PROXY_ERROR_STATUS: FEW.streams}
    assert (closed.refused, refused.refused) == (0, FEW.streams)
    assert any("503" in what for what in refused.failures)
    assert sum(refused.failures.values()) == FEW.streams


async def test_what_ends_at_once_is_not_asked_for_again() -> None:
    """Arrivals are a schedule: where streams are lost while others are still to come, there are no more for it."""
    many = Load(streams=60, ramp=3.0, hold=0.5, interval=0.1)
    async with ModelServer() as model:
        refused = await over(model, many, refuses=True)
    assert (refused.asked, refused.endings) == (60, {Ending.PROXY_ERROR_STATUS: 60})


@pytest.mark.parametrize(("offer", "coded"), [("gzip", FEW.streams), ("identity", 0)])
async def test_what_comes_with_a_content_coding_is_counted(offer: str, coded: int) -> None:
    """Only what its clients offer can be used; what was not used costs nothing."""
    async with Relay("http://127.0.0.1:1", codes=True) as relay:
        terms = RequestTerms(headers=(("Accept-Encoding", offer),))
        found = await generate(FEW, relay.url, "it", lambda _: None, terms)
    assert (found.asked, found.coded) == (FEW.streams, coded)


async def test_nobody_there_is_told_of_each_stream() -> None:
    """Nothing listens: every stream is lost, and says why."""
    async with Relay("http://127.0.0.1:1") as gone:
        url = gone.url
    found = await generate(FEW, url, "it", lambda _: None)
    assert found.endings == {Ending.CUT: FEW.streams}
    assert (found.begun, found.refused, found.unended) == (0, FEW.streams, 0)
    assert all("refused" in what.lower() for what in found.failures)


async def test_a_request_has_what_its_terms_say() -> None:
    """The model, further headers, and the host that they name in the address's place."""
    terms = RequestTerms(model="llama", headers=(("X-Team", "search"), ("Host", "api.example.com")))
    async with ModelServer() as model, Relay(model.base_url) as relay:
        found = await generate(FEW, relay.url, "it", lambda _: None, terms)
    assert found.endings == {Ending.COMPLETE: FEW.streams}
    assert len(relay.heard) == FEW.streams
    for each in relay.heard:
        head, _, body = each.lower().partition(b"\r\n\r\n")
        assert head.startswith(b"post /v1/chat/completions ")
        assert [line for line in head.split(b"\r\n") if line.startswith(b"host:")] == [b"host: api.example.com"]
        assert b"x-team: search" in head
        assert b'"llama"' in body


async def test_over_tls_an_authority_of_the_users_own_is_trusted(tmp_path: Path) -> None:
    """And without it nothing is sent: each stream is refused, and says why."""
    authority, server = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    async with ModelServer() as model, Relay(model.base_url, tls=server) as relay:
        trusted = await generate(FEW, relay.url, "it", lambda _: None, RequestTerms(ca_file=str(file)))
        unknown = await generate(FEW, relay.url, "it", lambda _: None)
    assert trusted.endings == {Ending.COMPLETE: FEW.streams}
    assert (unknown.begun, unknown.refused) == (0, FEW.streams)
    assert all("unable to get local issuer certificate" in what for what in unknown.failures)
    assert len(relay.heard) == FEW.streams


async def test_a_key_is_sent_and_stands_on_no_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every user of a machine can read those, and reports are handed on."""
    monkeypatch.setenv("GATEWAY_KEY", "sk-not-to-be-seen")
    async with (
        ModelServer() as model,
        Relay(model.base_url) as relay,
        Asked(relay.url, tmp_path, "--key-env", "GATEWAY_KEY") as asked,
    ):
        await until(lambda: len(relay.heard) >= 1)
        lines = [word for each in asked.below for word in each.cmdline()]
        _, said = await asked.end()
    assert b"authorization: bearer sk-not-to-be-seen" in relay.heard[0].lower()
    assert str(LOCUSTFILE) in lines
    assert "GATEWAY_KEY" in said
    assert "sk-not-to-be-seen" not in " ".join([*lines, said, *texts_in(tmp_path)])


def texts_in(folder: Path) -> list[str]:
    """What the files of a folder say."""
    return [path.read_text() for path in folder.iterdir()]


async def test_a_load_that_is_told_to_stop_leaves_nothing_running() -> None:
    """Cancelled amid its streams, it ends what it has started."""
    async with ModelServer() as model:
        began = asyncio.Event()
        long = Load(streams=4, ramp=0.5, hold=60.0, processes=2)
        task = asyncio.create_task(generate(long, model.base_url, "it", lambda _: began.set()))
        await began.wait()
        started = [each for each in psutil.Process().children(recursive=True) if str(LOCUSTFILE) in each.cmdline()]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert len(started) > 2
    assert [each for each in started if each.is_running() and each.status() != psutil.STATUS_ZOMBIE] == []


async def test_what_this_machine_has_no_files_for_is_not_the_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams that it could not open are told as such, and the others as they are."""
    few_files = "import os, resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)); "
    few_files += "os.execv(sys.argv[1], sys.argv[1:])"
    command = run._command
    monkeypatch.setattr(run, "_command", lambda *which: [sys.executable, "-c", few_files, *command(*which)])
    async with ModelServer() as model:
        found = await generate(Load(streams=60, ramp=1.0, hold=2.0, interval=0.1), model.base_url, "it", lambda _: None)
    assert found.not_opened > 0
    assert found.endings == {Ending.COMPLETE: 60 - found.not_opened}
    assert any(f"no file or port for {found.not_opened} streams" in doubt for doubt in found.doubts)


@pytest.mark.grid
async def test_an_endpoint_that_never_answers_is_given_up() -> None:
    """After its patience, which is half a minute beyond the plan; every stream says so."""
    async with Relay("http://127.0.0.1:1", silent=True) as silent:
        found = await generate(FEW, silent.url, "it", lambda _: None)
    assert found.endings == {Ending.PROBE_TIMEOUT: FEW.streams}
    assert (found.begun, found.unended) == (0, 0)


class Asked:
    """`lab load` in a process of its own over a model server of this one's: 20 streams that begin over 4 s.

    Args:
        url: that is asked.
        to: the folder for its results.
        further: arguments.
    """

    def __init__(self, url: str, to: Path, *further: str) -> None:
        load = ("--streams", "20", "--ramp", "4s", "--hold", "8s", "--interval", "200ms")
        self._command = (sys.executable, "-m", "lab", "load", url, *load, *further, "--out", str(to))
        self._to = to

    async def __aenter__(self) -> Self:
        self.process = await asyncio.create_subprocess_exec(*self._command, stdout=PIPE, stderr=PIPE)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    @property
    def below(self) -> list[psutil.Process]:
        """What it has started."""
        return psutil.Process(self.process.pid).children(recursive=True)

    async def end(self) -> tuple[Figures, str]:
        """What it found, and what it printed as messages, once it is over."""
        _, err = await self.process.communicate()
        (found,) = load_saved(self._to / "load.json", FORMAT).loads
        return found, err.decode()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that nobody tells."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  # nothing sets an event
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("phase", grid(["ramp", "hold", "drain"], quick=["hold"]))
async def test_ctrl_c_keeps_and_tells_what_was_learnt(phase: str, tmp_path: Path) -> None:
    """While streams begin, while all are open, and while they end: figures, one message, and nothing left running."""
    async with ModelServer() as model, Asked(model.base_url, tmp_path) as asked:
        if phase == "ramp":
            await until(lambda: len(model._written) >= 3)
        else:
            await until(lambda: len(model._written) == 20)
        if phase == "drain":
            await until(lambda: len(model._written) <= 15)
        below = asked.below
        asked.process.send_signal(signal.SIGINT)
        found, said = await asked.end()
    assert asked.process.returncode == 128 + signal.SIGINT
    assert said.splitlines()[1:] == ["lab: stopped"]
    assert below
    assert [each for each in below if each.is_running() and each.status() != psutil.STATUS_ZOMBIE] == []
    assert (3 <= found.asked < 20) if phase == "ramp" else found.asked == 20
    assert bool(found.endings.get(Ending.COMPLETE)) is (phase == "drain")
    assert found.late.count > 0
    assert found.unended == found.asked - found.endings.get(Ending.COMPLETE, 0) > 0
    assert found.doubts[-1] == "it was stopped before its end"


async def test_ctrl_c_at_an_endpoint_that_never_answers(tmp_path: Path) -> None:
    """It is told that nothing came."""
    async with Relay("http://127.0.0.1:1", silent=True) as silent, Asked(silent.url, tmp_path) as asked:
        await until(lambda: silent.asking >= 3)
        asked.process.send_signal(signal.SIGINT)
        found, said = await asked.end()
    assert said.splitlines()[1:] == ["lab: stopped"]
    assert (found.begun, found.endings) == (0, {})
    assert found.unended >= 3


@pytest.mark.grid
async def test_a_process_that_dies_is_told_with_what_the_others_saw(tmp_path: Path) -> None:
    """One of three is killed while all are open; the run ends soon after the last that is alive."""
    async with ModelServer() as model, Asked(model.base_url, tmp_path, "--processes", "3") as asked:
        await until(lambda: len(model._written) == 20)
        below = asked.below
        (master,) = (each for each in below if each.ppid() == asked.process.pid)
        next(each for each in below if each.ppid() == master.pid).kill()
        found, _ = await asked.end()
    assert asked.process.returncode == ExitCode.REQUIREMENT_FAILED
    assert [each for each in below if each.is_running() and each.status() != psutil.STATUS_ZOMBIE] == []
    # Six or seven of twenty are those of one of three.
    assert found.endings in ({Ending.COMPLETE: 13}, {Ending.COMPLETE: 14})
    assert found.lost == 20 - found.endings[Ending.COMPLETE]
    assert found.lost_workers == 1
    assert any("lost" in doubt for doubt in found.doubts)


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
        ["http://127.0.0.1:1", "--interval", "10ms", "--hold", "3h"],
        ["http://127.0.0.1:1", "--header", "X-Team=Müller"],
        ["http://127.0.0.1:1", "--against", "bursts::haproxy-3.0::fixed"],
        ["bursts::haproxy-3.0::mended"],
        ["bursts"],
        ["nginx:./nowhere.conf"],
        ["http://127.0.0.1:1", "--host", "api.example.com"],
        ["http://127.0.0.1:1", "--key-env", "NOBODY_SET_THIS"],
        ["http://127.0.0.1:1", "--format", "morse"],
        ["bursts::haproxy-3.0::fixed", "--key-env", "GATEWAY_KEY"],
        ["ftp://127.0.0.1:1"],
        ["http://127.0.0.1:1", "--ramp", "soon"],
    ],
    ids=[
        "ports",
        "somebody else's",
        "no time",
        "more tokens than a plan has",
        "a header that HTTP does not have",
        "a URL and a case",
        "no such case",
        "no case",
        "no such file",
        "a host beside a URL",
        "no such variable",
        "no such format",
        "a key for a case",
        "no web address",
        "no duration",
    ],
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
def test_a_file_of_the_users_own_beside_another(tmp_path: Path, images_in_use: object) -> None:
    """Over TLS, by their host: nginx as installed holds a whole answer, and without buffering it holds nothing."""
    assert images_in_use
    file = "server {{ listen 443 ssl; server_name api.example.com; ssl_certificate a; ssl_certificate_key b; {} }}"
    for name, lines in (("held", ""), ("handed-on", "proxy_buffering off;")):
        text = file.format(f"location /llm/ {{ {lines} proxy_pass http://10.0.0.5:8000/; }}")
        Path(tmp_path, f"{name}.conf").write_text(text)
    few = ["--streams", "5", "--ramp", "1s", "--hold", "1s", "--interval", "200ms", "--out", str(tmp_path)]
    names = [f"nginx:1.26:{tmp_path}/{name}.conf" for name in ("held", "handed-on")]
    # On a busy machine the load is late itself and says so, by the exit code too.
    main(["load", names[0], "--against", names[1], *few])
    held, handed_on = load_saved(tmp_path / "load.json", FORMAT).loads
    assert [held.target, handed_on.target] == names
    assert held.first.p50 >= 1900
    assert handed_on.first.p50 < 1000
    for each in (held, handed_on):
        assert (each.lost, each.begun) == (0, 5)
        assert each.usage is not None
        assert each.usage.memory > 2**20


@pytest.mark.grid
@pytest.mark.engine
def test_two_cases_side_by_side(tmp_path: Path, images_in_use: object) -> None:
    """What a fix does and what it takes, of containers: HAProxy holds each token for 0.2 s, or sends it by itself."""
    assert images_in_use
    case = "bursts::haproxy-3.0::{}"
    few = ["--streams", "10", "--ramp", "1s", "--hold", "4s", "--interval", "500ms", "--out", str(tmp_path)]
    main(["load", case.format("broken"), "--against", case.format("fixed"), *few])
    broken, fixed = load_saved(tmp_path / "load.json", FORMAT).loads
    assert broken.usage is not None
    assert fixed.usage is not None
    # Each has its own, although they share a container: a process of HAProxy's has some 15 MiB.
    assert max(broken.usage.memory, fixed.usage.memory) < 30 * 2**20
    assert broken.late.p50 >= 100 > fixed.late.p50
    for each in (broken, fixed):
        assert each.lost == 0
        assert each.usage is not None
        assert each.usage.memory > 2**20
        assert each.usage.packets is not None
        # One for each stream, and what the proxy has kept from before; its clients are not among them.
        assert each.usage.connections is not None
        assert 10 <= each.usage.connections < 20
        assert each.usage.files == 0
    # A packet for each token at least, which is what it costs to send each by itself.
    assert fixed.usage.packets > fixed.late.count > 0


FAST_HEARTBEATS = """
from locust import runners

runners.HEARTBEAT_INTERVAL = 0.2
from lab.load.locustfile import *
"""
"""What `lab load` runs, with heartbeats five times as fast: after 3 s of silence one is lost, 12 s later dead."""


@pytest.mark.grid
@pytest.mark.parametrize(("lost", "complete"), [(1, 20), (3, 0)], ids=["one of three", "all"])
async def test_on_many_machines_some_may_be_lost(tmp_path: Path, lost: int, complete: int) -> None:
    """A master and three workers, of which some are killed amid their streams: what the others saw, asked once each.

    It lasts for longer than Locust takes to share out anew what a dead worker had. Where nobody is left, it ends.
    """
    figures, load = tmp_path / "load.json", Load(streams=30, ramp=3.0, hold=20.0, interval=0.2)
    file = tmp_path / "locustfile.py"
    file.write_text(FAST_HEARTBEATS)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    locust = [sys.executable, "-m", "locust", "--locustfile", str(file), "--master-port", port]
    async with ModelServer() as model:
        rate = ["--users", "30", "--spawn-rate", "10", "--run-time", "120s", "--stop-timeout", "1"]
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
                    for each in workers[:lost]:
                        each.send_signal(signal.SIGKILL)
                        await each.wait()
            assert await master.wait() in (0, 1)
        finally:
            for each in (master, *workers):
                if each.returncode is None:
                    each.kill()
                    await each.wait()
    (found,) = load_saved(figures, FORMAT).loads
    assert found.lost_workers == lost
    # Ten each were those of the workers that were killed.
    assert found.endings == ({Ending.COMPLETE: complete} if complete else {})
    assert (found.asked, found.unended) == (30, 10 * lost)
    assert any("lost" in doubt for doubt in found.doubts)
    assert found.seconds[-1].at < 100
    # A report as any other.
    assert main(["report", str(figures), "--out", str(tmp_path)]) == ExitCode.AS_REQUIRED
