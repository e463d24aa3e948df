"""A foreign endpoint for the tests of the command: an aiohttp server on a loop of its own thread."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from lab.cli import main

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
Foreign = Callable[..., str]
Audit = Callable[..., tuple[int, str, str]]


@contextmanager
def _serving(answer: Answer, tls: ssl.SSLContext | None) -> Iterator[str]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0, handler_cancellation=True)

    async def start() -> int:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        return int(runner.addresses[0][1])

    try:
        port = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
        yield f"{'https' if tls else 'http'}://localhost:{port}/v1/chat/completions"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def foreign() -> Iterator[Foreign]:
    """Starts an endpoint that answers every request as it is told, and gives its address."""
    with ExitStack() as stack:
        yield lambda answer, tls=None: stack.enter_context(_serving(answer, tls))


@pytest.fixture(name="audit")
def _audit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Audit:
    """Runs the command with one run a setting; gives exit code, standard output and standard error."""

    def run(url: str, *options: str) -> tuple[int, str, str]:
        code = main(["audit", url, "--runs", "1", "--out", str(tmp_path / "out"), *options])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """An authority that no machine knows."""
    return trustme.CA()


@pytest.fixture(scope="session")
def certified(authority: trustme.CA) -> ssl.SSLContext:
    """A server's context with a certificate for localhost by that authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context
