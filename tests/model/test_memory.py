"""What one client can make a server take: memory by the process's own account, and whether others are answered."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator

import pytest

from lab.model.aside import Aside
from lab.model.server import ModelServer

from .attacked import Attacked, attacked
from .raw import Connection, connect, exchange, request

SECRET = "correct-horse-battery"

# At rest the server takes about 50 MiB. What is asked for here took from 350 MiB to some gigabytes once.
MOST_MIB = 250


@pytest.fixture(scope="module")
def target() -> Iterator[Attacked]:
    """One server for all attacks."""
    with attacked() as running:
        yield running


async def head(url: str, data: bytes) -> Connection:
    """Send a request, and wait for the head of its answer."""
    connection = await connect(url)
    connection.send(data)
    await connection.until(b"\r\n\r\n")
    return connection


async def test_a_name_of_a_megabyte_is_refused(target: Attacked) -> None:
    """It would stand in every event of the answer."""
    target.forget_peak()
    connection = await head(target.base_url, request(model="x" * 1_000_000 + "?tokens=400&interval=1m"))
    status = connection.data[9:12]
    connection.close()
    assert target.peak < MOST_MIB
    assert status == b"400"


async def test_schedules_are_not_kept_by_their_number(target: Attacked) -> None:
    """Sixty-four different plans, each of four megabytes: what is kept is bounded in bytes."""
    target.forget_peak()
    for seed in range(64):
        model = "x" * 3_900 + f"?tokens=490&interval=1m&seed={seed}"
        (await head(target.base_url, request(model=model))).close()
    assert target.peak < MOST_MIB


LONG = {
    "stream": request("tokens=1000000&interval=1s"),
    "jitter": request("tokens=1000000&interval=1s&jitter=1s"),
    "responses": request("tokens=1000000&interval=1s", path="/v1/responses"),
    "padding": request("tokens=250&interval=1m&padding=1000000", path="/v1/responses"),
    "background": request("tokens=1000000&interval=1s", path="/v1/responses", background=True),
}


@pytest.mark.parametrize("data", LONG.values(), ids=LONG)
async def test_a_long_answer_takes_no_memory_of_its_length(target: Attacked, data: bytes) -> None:
    """Of a million tokens, or of 250 MB, only what is about to leave is there."""
    target.forget_peak()
    stream = await head(target.base_url, data)
    status = stream.data[9:12]
    stream.close()
    assert target.peak < MOST_MIB
    assert status == b"200"


async def test_a_stream_that_is_open_takes_less_than_twenty_kilobytes() -> None:
    """Of eight hundred; a plain handler of aiohttp takes 15."""
    with attacked() as running:
        streams = [await head(running.base_url, request("tokens=9&interval=1m"))]
        before = running.resident
        streams += [await head(running.base_url, request("tokens=9&interval=1m")) for _ in range(800)]
        each = 1024 * (running.resident - before) / 800
        for stream in streams:
            stream.close()
    assert each < 20_000


async def test_readers_that_do_not_read_hold_little(target: Attacked) -> None:
    """Sixty megabytes for each of five, of which none takes more than the kernel's buffers and a step."""
    target.forget_peak()
    readers = []
    for seed in range(5):
        reader = await connect(target.base_url)
        assert reader.transport is not None
        reader.send(request(f"tokens=60&interval=0s&padding=1000000&seed={seed}", stream=False))
        await reader.until(b"\r\n\r\n")
        reader.transport.pause_reading()
        readers.append(reader)
    answered = await exchange(target.base_url, request("tokens=2&interval=0s"))
    for reader in readers:
        reader.close()
    assert target.peak < MOST_MIB
    assert answered.whole


async def test_a_body_of_many_values_is_not_parsed(target: Attacked) -> None:
    """An empty object has three bytes on the wire, and seventy in memory."""
    target.forget_peak()
    data = request(messages=[0], input="").replace(b"[0]", b"[" + b"{}," * 8_000_000 + b"{}]")
    length = len(data.partition(b"\r\n\r\n")[2])
    (old,) = (line for line in data[:500].split(b"\r\n") if line.startswith(b"Content-Length"))
    seen = await exchange(target.base_url, data.replace(old, b"Content-Length: %d" % length, 1))
    assert target.peak < MOST_MIB
    assert (seen.status, b"more than 1000000 values" in seen.body) == (400, True)


@pytest.mark.parametrize("secret", [None, SECRET], ids=["everybody", "a stranger"])
async def test_a_bomb_does_not_go_off(secret: str | None) -> None:
    """Two gigabytes in two megabytes: for everybody no more than a body may have, for a stranger nothing."""
    coder = zlib.compressobj(9, wbits=-15)
    # Behind a full flush nothing refers to what stood before, so the block can be repeated.
    bomb = (coder.compress(b" " * 2**21) + coder.flush(zlib.Z_FULL_FLUSH)) * 1_000
    data = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: lab\r\nContent-Encoding: deflate\r\nConnection: close\r\n"
        f"Content-Length: {len(bomb)}\r\n\r\n"
    ).encode() + bomb
    with attacked(secret) as running:
        connection = await head(running.base_url, data)
        status = connection.data[9:12]
        connection.close()
        assert running.peak < (MOST_MIB if secret is None else 100)
        assert status == (b"413" if secret is None else b"401")


@pytest.mark.parametrize(
    "data",
    [
        request("tokens=200000&interval=0s&jitter=1ms", stream=False),
        request("tokens=200000&interval=0s", path="/v1/responses", stream=False),
    ],
    ids=["jitter", "responses"],
)
async def test_the_health_check_does_not_wait_for_a_long_answer(server: ModelServer, data: bytes) -> None:
    """It is asked for later and answered first."""
    long = await connect(server.base_url)
    long.send(data)
    health = await connect(server.base_url)
    health.send(b"GET /lab/health HTTP/1.1\r\nHost: lab\r\n\r\n")
    await health.until(b"ok")
    came = len(long.data)
    long.close()
    health.close()
    assert came == 0


@pytest.mark.parametrize(("values", "aside"), [(10, 0), (100_000, 1)], ids=["few", "many"])
async def test_a_body_of_many_values_is_read_beside_the_loop(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch, values: int, aside: int
) -> None:
    """It takes a tenth of a second, and fifty of them at once kept the health check waiting for eleven."""
    works: list[object] = []
    work = Aside.work

    async def counted(self: Aside, given: Callable[[], object]) -> object:
        works.append(given)
        return await work(self, given)

    monkeypatch.setattr(Aside, "work", counted)
    document = {"model": "lab?tokens=1", "messages": [{"role": "user", "content": "x"}], "metadata": [1] * values}
    body = json.dumps(document).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: lab\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    seen = await exchange(server.base_url, head + body)
    assert (seen.status, len(works)) == (200, aside)
