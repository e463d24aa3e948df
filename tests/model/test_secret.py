"""A model server with a secret: obeys its owner, and costs little to everybody else."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from lab.model import connections
from lab.model.secret import SecretError, read_secret
from lab.model.server import ModelServer
from lab.plan import PLAN_HEADER, REQUEST_HEADER
from lab.wire import FORMATS, format_named

SECRET = "correct-horse-battery"
CARRIERS = [("X-Lab-Secret", SECRET), ("Authorization", f"Bearer {SECRET}"), ("x-api-key", SECRET)]
WRONG = [
    {},
    {"X-Lab-Secret": SECRET[:-1]},
    {"X-Lab-Secret": SECRET + "x"},
    {"Authorization": f"Basic {SECRET}"},
    {"x-api-key": ""},
    {"X-Lab-Secret": "caf\u00e9"},
]
CLOSED = [
    "/v1/models",
    "/lab/clock",
    "/lab/ledger/known",
    "/lab/ledger/health",
    "/lab/refusals/health",
    "//lab/ledger/health",
    "/",
    "/no/such/thing",
]


@pytest.fixture
async def guarded() -> AsyncIterator[ModelServer]:
    """A model server with a secret."""
    async with ModelServer(secret=SECRET) as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """A client."""
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.mark.parametrize("name", sorted(FORMATS))
@pytest.mark.parametrize("carrier", CARRIERS, ids=lambda pair: pair[0])
async def test_the_owner_is_obeyed(
    guarded: ModelServer, client: aiohttp.ClientSession, name: str, carrier: tuple[str, str]
) -> None:
    """A request that carries the secret, in any of three headers, has its plan obeyed and is in the ledger."""
    ask = format_named(name).ask("lab", stream=True, max_tokens=9)
    headers = {**dict(ask.headers), **dict([carrier]), PLAN_HEADER: "tokens=3&interval=0s", REQUEST_HEADER: "known"}
    async with client.post(guarded.base_url + ask.path, data=ask.body, headers=headers) as reply:
        assert reply.status == 200
        await reply.read()
    async with client.get(f"{guarded.base_url}/lab/ledger/known", headers=dict([carrier])) as reply:
        assert len((await reply.json())[0]["tokens"]) == 3


@pytest.mark.parametrize("headers", WRONG, ids=str)
@pytest.mark.parametrize("name", sorted(FORMATS))
async def test_a_stranger_gets_the_vendors_401_and_nothing_is_generated(
    guarded: ModelServer, client: aiohttp.ClientSession, name: str, headers: dict[str, str]
) -> None:
    """Without the secret, or with nearly the right one: 401 as the vendor writes it, no ledger entry, no tokens."""
    wire = format_named(name)
    ask = wire.ask("lab", stream=True, max_tokens=9)
    sent = {**dict(ask.headers), **headers, REQUEST_HEADER: "stranger"}
    async with client.post(guarded.base_url + ask.path, data=ask.body, headers=sent) as reply:
        assert reply.status == 401
        assert await reply.read() == wire.error_body(wire.error_kind(401), "the key is missing or wrong")
        assert not any(word in str(reply.headers) for word in ("token-stream-lab", "aiohttp", "X-Lab"))
    async with client.get(f"{guarded.base_url}/lab/ledger/stranger", headers={"x-api-key": SECRET}) as reply:
        assert reply.status == 404


async def test_a_stranger_learns_of_no_address(guarded: ModelServer, client: aiohttp.ClientSession) -> None:
    """Outside the formats, known and unknown addresses answer alike; only health checks are open."""
    answers = set()
    for path in CLOSED:
        async with client.get(guarded.base_url + path) as reply:
            answers.add((reply.status, await reply.read()))
    async with client.post(f"{guarded.base_url}/lab/confirm/known/1") as reply:
        answers.add((reply.status, await reply.read()))
    assert len(answers) == 1
    assert answers.pop()[0] == 401
    for path in ("/lab/health", "/health", "/llm/healthz"):
        async with client.get(guarded.base_url + path) as reply:
            assert (reply.status, await reply.json()) == (200, {"status": "ok"})
    # What strangers ask for is in no list of anybody's.
    async with client.get(f"{guarded.base_url}/lab/refusals/nobody", headers={"x-api-key": SECRET}) as reply:
        assert await reply.json() == []


async def test_a_strangers_body_is_not_read(guarded: ModelServer) -> None:
    """The refusal comes before the body does, and then the connection is closed."""
    place = guarded.base_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(place[0], int(place[1]))
    writer.write(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n")
    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close" in head.lower()
    writer.close()


async def test_a_connection_without_the_secret_is_dropped(
    guarded: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that shows nothing for long is closed, and so are the oldest of too many; the owner's stays."""
    monkeypatch.setattr(connections, "STRANGER_SECONDS", 0.3)
    monkeypatch.setattr(connections, "_LOOK_EVERY", 0.05)
    place = guarded.base_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(place[0], int(place[1]))
    mine, my_writer = await asyncio.open_connection(place[0], int(place[1]))
    my_writer.write(b"GET /lab/clock HTTP/1.1\r\nHost: x\r\nX-Lab-Secret: %b\r\n\r\n" % SECRET.encode())
    assert (await mine.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    async with asyncio.timeout(10):
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
    my_writer.write(b"GET /lab/clock HTTP/1.1\r\nHost: x\r\nX-Lab-Secret: %b\r\n\r\n" % SECRET.encode())
    assert b"HTTP/1.1 200 " in await mine.readuntil(b"\r\n\r\n")
    writer.close()
    my_writer.close()


def test_a_secret_comes_from_the_file_before_the_variable(tmp_path: Path) -> None:
    """White space around it does not count; without either there is none."""
    file = tmp_path / "secret"
    file.write_text(f"  {SECRET}\n")
    assert read_secret(file, {"LAB_SECRET": "another-secret-of-mine"}) == SECRET
    assert read_secret(None, {"LAB_SECRET": SECRET}) == SECRET
    assert read_secret(None, {}) is None


@pytest.mark.parametrize(
    "value", ["", "short", "two words of a secret", "caf\u00e9-caf\u00e9-caf\u00e9-caf\u00e9", "x" * 5000]
)
def test_a_secret_that_cannot_be_used_is_refused_without_being_shown(value: str, tmp_path: Path) -> None:
    """The message names file or variable, and holds nothing of the value."""
    file = tmp_path / "secret"
    file.write_text(value)
    for given, environment in ((file, {}), (None, {"LAB_SECRET": value})):
        with pytest.raises(SecretError) as caught:
            read_secret(given, environment)
        assert str(file if given else "LAB_SECRET") in str(caught.value)
        assert not value or value not in str(caught.value)


def test_a_missing_file_is_bad_usage(tmp_path: Path) -> None:
    """Exit code 2 and one sentence."""
    arguments = [sys.executable, "-m", "lab.model", "--secret-file", str(tmp_path / "none")]
    found = subprocess.run(arguments, capture_output=True, text=True, timeout=30)
    assert found.returncode == 2
    assert found.stderr == f"{tmp_path / 'none'}: No such file or directory\n"


@pytest.mark.parametrize(("secret", "warned"), [(None, True), (SECRET, False)])
def test_an_open_address_without_a_secret_is_warned_of(secret: str | None, warned: bool) -> None:
    """Whoever listens for other machines without a secret is told so; with one there is nothing to say."""
    environment = {key: value for key, value in os.environ.items() if key != "LAB_SECRET"}
    environment |= {} if secret is None else {"LAB_SECRET": secret}
    arguments = [sys.executable, "-m", "lab.model", "--host", "0.0.0.0", "--port", "0"]  # noqa: S104 - the point
    process = subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("listening on ")
    finally:
        process.terminate()
        _, said = process.communicate(timeout=10)
    assert ("obeys everybody" in said) is warned
    assert SECRET not in said
