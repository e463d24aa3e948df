"""`python -m lab.model`, as the container runs it."""

from __future__ import annotations

import asyncio
import re
import resource
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from typing import cast

import pytest

import lab.model.__main__ as program
from lab.model.server import ModelServer

FILES = 100

# What the image has: these three, and what they themselves need.
ALLOWED = {
    *("aiohttp", "uvloop", "pydantic", "lab"),
    *("aiohappyeyeballs", "aiosignal", "attr", "attrs", "frozenlist", "idna", "multidict", "propcache", "yarl"),
    # aiohttp takes it where it is, and does without where it is not.
    "brotli",
    # What compiled extensions put among the modules.
    "cython_runtime",
    *("annotated_types", "pydantic_core", "typing_extensions", "typing_inspection"),
}


@pytest.fixture
def command() -> Iterator[subprocess.Popen[str]]:
    """The server as a process of its own, on a free port."""
    arguments = [sys.executable, "-m", "lab.model", "--port", "0"]

    def listen_to_everything() -> None:
        # Whoever runs the tests may have been started deaf to a closed terminal.
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        # Fewer than connections are to come, as systems have it that start a process with 1,024.
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, hard))

    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, preexec_fn=listen_to_everything)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_says_where_it_listens_and_stops_when_told(command: subprocess.Popen[str], number: int) -> None:
    """One line with the real port; a signal ends it cleanly, which a container's first process must do itself."""
    assert command.stdout is not None
    line = command.stdout.readline()
    match = re.fullmatch(r"listening on (http://127\.0\.0\.1:\d+)\n", line)
    assert match, line
    with urllib.request.urlopen(f"{match[1]}/lab/health", timeout=10) as reply:  # noqa: S310 - http
        assert reply.status == 200
    command.send_signal(number)
    assert command.wait(10) == 0


def test_more_clients_than_it_was_started_with_files_for(command: subprocess.Popen[str]) -> None:
    """None of them waits, and none is closed for a newer one: all are answered, the first last."""
    assert command.stdout is not None
    host, port = command.stdout.readline().removeprefix("listening on http://").strip().split(":")
    with ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection((host, int(port)), timeout=10)) for _ in range(3 * FILES)
        ]
        for client in reversed(clients):
            client.sendall(b"GET /lab/health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 200 ")


def test_it_imports_nothing_that_the_image_lacks() -> None:
    """Every module that is loaded belongs to Python, to the lab or to what the image has."""
    program = (
        "import sys, lab.model.__main__; "
        "print(*{name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names))"
    )
    found = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    # Names that begin with an underscore are the import machinery's own.
    foreign = {name for name in found.stdout.split() if not name.startswith("_")} - ALLOWED
    assert foreign == set()


def test_an_address_that_cannot_be_had_is_the_environments_fault() -> None:
    """Exit code 3 and one sentence that says why and what to do: no traceback, and no number of an error."""
    with socket.create_server(("127.0.0.1", 0)) as used:
        taken = used.getsockname()[1]
        for host, port, why in (
            ("192.0.2.1", 0, "that is no address of this machine"),
            ("127.0.0.1", taken, "another program listens there already"),
            ("nowhere.invalid", 0, "there is no such host"),
        ):
            arguments = [sys.executable, "-m", "lab.model", "--host", host, "--port", str(port)]
            found = subprocess.run(arguments, capture_output=True, text=True, timeout=30)
            assert found.returncode == 3
            assert found.stderr == f"cannot listen on {host}:{port}: {why}; --port 0 takes a free port\n"


class Busy:
    """As much of a model server as is asked."""

    answering = True


async def test_garbage_is_looked_for_when_nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look among all objects of ten thousand streams stops every one of them for a second."""
    looks: list[bool] = []
    server = Busy()
    for name, fake in {
        "collect": lambda: looks.append(server.answering),
        "get_count": lambda: (0, 0, 1),
        "freeze": lambda: None,
        "set_threshold": lambda *_: None,
    }.items():
        monkeypatch.setattr(program.gc, name, fake)
    monkeypatch.setattr(program, "_TIDY_EVERY", 0.001)
    tidying = asyncio.create_task(program._tidy(cast(ModelServer, server)))
    await asyncio.sleep(0.1)
    assert looks == [True]
    server.answering = False
    async with asyncio.timeout(10):
        while len(looks) < 3:  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.001)
    server.answering = True
    monkeypatch.setattr(program, "_TIDY_AT_LAST", 0.0)
    async with asyncio.timeout(10):
        while not any(looks[1:]):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    tidying.cancel()
