from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest

from lab.errors import EnvironmentFault, SetUpFault
from lab.model.server import ModelServer
from lab.race import server as race_server
from lab.race.panes import ANSWER, DIRECT
from lab.race.server import RaceServer
from lab.wire import format_named
from lab.wire.format import Reply

from .making import HEAD, LAST_CHUNK, Browser, Peer, offered, racing, scripted

ASK = {"run": "one", "route": DIRECT}
WIRE = format_named("openai-chat")
TOKEN = WIRE.text(Reply("lab-1", "lab"), "harbour ")


def chunk(data: bytes) -> bytes:
    """A chunk on the wire."""
    return b"%x\r\n%b\r\n" % (len(data), data)


async def verdict(server: RaceServer) -> dict[str, Any]:
    """What the page is told of the run."""
    browser = await Browser.ask(server.url, "/verdict/one", None, "GET")
    head, _, body = (await browser.reply()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    return dict(json.loads(body))


async def test_each_piece_is_handed_on_before_the_next_is_written() -> None:
    """In lockstep: the proxy writes a piece only when the browser has the one before, so collecting would hang."""
    has_come = asyncio.Semaphore(0)
    pieces = [HEAD, *(chunk(TOKEN) for _ in range(20)), chunk(TOKEN)[:9], chunk(TOKEN)[9:], LAST_CHUNK]

    async def script(peer: Peer) -> None:
        for piece in pieces:
            peer.send(piece)
            await has_come.acquire()

    async with scripted(script) as proxy, racing(proxy) as server:
        browser = await Browser.ask(server.url, "/race/streamed", ASK)
        for piece in pieces:
            await browser.expect(piece)
            has_come.release()
        assert await browser.rest() == b""


async def test_a_cut_stays_a_cut() -> None:
    """FIN in the middle of a chunked body: the browser gets the bytes, FIN, and no last chunk."""

    async def script(peer: Peer) -> None:
        peer.send(HEAD + chunk(TOKEN))

    async with scripted(script) as proxy, racing(proxy) as server:
        browser = await Browser.ask(server.url, "/race/streamed", ASK)
        assert await browser.rest() == HEAD + chunk(TOKEN)
        told = await verdict(server)
    assert (told["kind"], told["reason"], told["tokens"]) == ("partial", "cut", 1)


async def test_a_reset_stays_a_reset() -> None:
    """RST is passed on as RST, also where FIN would be a legitimate end."""
    has_come = asyncio.Event()

    async def script(peer: Peer) -> None:
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n" + TOKEN)
        await has_come.wait()
        peer.reset()

    async with scripted(script) as proxy, racing(proxy) as server:
        browser = await Browser.ask(server.url, "/race/streamed", ASK)
        await browser.expect(b"HTTP/1.1 200 OK\r\n\r\n" + TOKEN)
        has_come.set()
        with pytest.raises(ConnectionResetError):
            await browser.rest()
        assert (await verdict(server))["reason"] == "cut"


async def test_a_clean_end_on_half_an_answer_stays_clean() -> None:
    """The last chunk is passed on, and only the consumer misses the marker."""

    async def script(peer: Peer) -> None:
        peer.send(HEAD + chunk(TOKEN) + LAST_CHUNK)

    async with scripted(script) as proxy, racing(proxy) as server:
        browser = await Browser.ask(server.url, "/race/streamed", ASK)
        assert await browser.rest() == HEAD + chunk(TOKEN) + LAST_CHUNK
        assert (await verdict(server))["reason"] == "no-marker"


async def test_what_is_compressed_stays_compressed() -> None:
    """The browser gets the proxy's gzip as it is, and the consumer reads through it."""
    body = gzip.compress(TOKEN)
    reply = HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n") + chunk(body) + LAST_CHUNK

    async def script(peer: Peer) -> None:
        peer.send(reply)

    async with scripted(script) as proxy, racing(proxy) as server:
        browser = await Browser.ask(server.url, "/race/streamed", ASK)
        assert await browser.rest() == reply
        assert (await verdict(server))["tokens"] == 1


async def test_a_browser_that_leaves_is_left_towards_the_proxy() -> None:
    """The next piece finds nobody, and the proxy's connection is dropped."""
    gone, dropped = asyncio.Event(), asyncio.Event()

    async def script(peer: Peer) -> None:
        peer.send(HEAD)
        await gone.wait()
        while not dropped.is_set():
            peer.send(chunk(TOKEN))
            left = asyncio.ensure_future(peer.left())
            await asyncio.wait([left], timeout=0.1)
            if left.done():
                dropped.set()
            else:
                left.cancel()

    async with scripted(script) as proxy, racing(proxy) as server:
        browser = await Browser.ask(server.url, "/race/streamed", ASK)
        await browser.expect(HEAD)
        browser.leave()
        gone.set()
        await dropped.wait()


@pytest.mark.parametrize("kind", ["streamed", "batch"])
async def test_the_whole_answer_is_complete(kind: str) -> None:
    """Straight from the model server, streamed and batch: the consumer's verdict is complete."""
    async with ModelServer() as model, racing(model.base_url) as server:
        browser = await Browser.ask(server.url, f"/race/{kind}", ASK)
        assert await browser.rest()
        told = await verdict(server)
    assert (told["kind"], told["tokens"]) == ("complete", ANSWER.tokens)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ([], b"route"),
        ({"route": DIRECT}, b"run"),
        ({"run": "../x", "route": DIRECT}, b"run"),
        ({"run": ["x"], "route": DIRECT}, b"run"),
        ({"run": "x", "route": "\ud800"}, b"race"),
    ],
)
async def test_a_request_that_makes_no_sense_is_refused(body: object, word: bytes) -> None:
    """Status 400, and the field is named."""
    async with racing("http://127.0.0.1:1") as server:
        reply = await (await Browser.ask(server.url, "/race/streamed", body)).reply()
    assert reply.startswith(b"HTTP/1.1 400")
    assert word in reply


async def test_a_request_nested_too_deep_is_refused() -> None:
    """Four thousand brackets fit into the few bytes that a request may have."""
    async with racing("http://127.0.0.1:1") as server:
        reply = await Browser.ask(server.url, "/race/streamed", b"[" * 4_000)
        assert (await reply.reply()).startswith(b"HTTP/1.1 400")


async def test_a_request_that_does_not_come_to_its_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would hold the connection for ever."""
    monkeypatch.setattr(race_server, "_ASK_SECONDS", 0.1)
    async with racing("http://127.0.0.1:1") as server:
        reply = await Browser.ask(server.url, "/race/streamed", ASK, promised=1_000)
        assert (await reply.reply()).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize(
    "path", ["/", "/static/race.js", "/races", "/race/streamed", "/race/batch", "/verdict/one", "/no/such/thing"]
)
@pytest.mark.parametrize("headers", ["Origin: https://evil.example", "Host: evil.example"])
async def test_another_sites_page_gets_nothing(path: str, headers: str) -> None:
    """Neither from its own origin nor by a name that it had pointed here; no proxy is asked."""
    method = "POST" if "/race" in path else "GET"
    async with racing("http://127.0.0.1:1") as server:
        port = server.url.rstrip("/").rpartition(":")[2]
        told = f"{headers}:{port}" if headers.startswith("Host") else f"Host: 127.0.0.1:{port}\r\n{headers}"
        reply = await (await Browser.ask(server.url, path, ASK, method, head=told)).reply()
        head, _, body = reply.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 403")
        assert headers.partition(":")[0].encode() in body
        assert b"Content-Security-Policy: default-src 'none'" in head
        assert server._verdicts == {}


async def test_the_page_itself_may_ask() -> None:
    """By whatever name of this machine it was opened."""
    async with racing("http://127.0.0.1:1") as server:
        port = server.url.rstrip("/").rpartition(":")[2]
        for name in ("127.0.0.1", "localhost", "[::1]"):
            told = f"Host: {name}:{port}\r\nOrigin: http://{name}:{port}\r\nSec-Fetch-Site: same-origin"
            reply = await (await Browser.ask(server.url, "/race/streamed", ASK, head=told)).reply()
            assert b"cannot be reached" in reply


async def test_a_page_that_is_open_to_others_is_open_to_all() -> None:
    """On an address that other machines reach it is asked for by any name."""
    async with RaceServer(offered(), str, "0.0.0.0") as server:  # noqa: S104 - the point
        port = server.url.rstrip("/").rpartition(":")[2]
        told = f"Host: box.example.com:{port}\r\nOrigin: http://box.example.com:{port}"
        page = await Browser.ask(f"http://127.0.0.1:{port}/", "/", None, "GET", head=told)
        assert (await page.reply()).startswith(b"HTTP/1.1 200")


async def test_a_crash_without_a_plan_is_refused() -> None:
    """Only the routes of the races can be died on."""
    async with racing("http://127.0.0.1:1") as server:
        reply = await (await Browser.ask(server.url, "/race/crash", ASK)).reply()
    assert reply.startswith(b"HTTP/1.1 400")


async def test_a_proxy_that_is_not_there_is_said() -> None:
    """Status 502 with words, and no verdict."""
    async with racing("http://127.0.0.1:1") as server:
        reply = await (await Browser.ask(server.url, "/race/streamed", ASK)).reply()
        told = await (await Browser.ask(server.url, "/verdict/one", None, "GET")).reply()
    assert reply.startswith(b"HTTP/1.1 502")
    assert b"cannot be reached" in reply
    assert told.startswith(b"HTTP/1.1 404")


async def test_a_proxy_that_refused_its_configuration_is_quoted() -> None:
    """The page shows the proxy's own words."""

    def refuse(_: str) -> str:
        raise SetUpFault("nginx: unknown directive")

    async with RaceServer(offered(), refuse) as server:
        reply = await (await Browser.ask(server.url, "/race/streamed", ASK)).reply()
    assert reply.startswith(b"HTTP/1.1 502")
    assert b"unknown directive" in reply


async def test_the_page_may_fetch_from_nowhere_else() -> None:
    """The policy of contents allows the page's own files and no inline script or style."""
    async with racing("http://127.0.0.1:1") as server:
        head = (await (await Browser.ask(server.url, "/", None, "GET")).reply()).partition(b"\r\n\r\n")[0]
    policy = next(line for line in head.split(b"\r\n") if line.startswith(b"Content-Security-Policy"))
    assert b"default-src 'none'" in policy
    assert b"unsafe-inline" not in policy


async def test_a_taken_port_names_the_way_out() -> None:
    """The environment's fault, exit code 3, with the option to change."""
    async with racing("http://127.0.0.1:1") as server:
        port = int(server.url.rstrip("/").rpartition(":")[2])
        with pytest.raises(EnvironmentFault, match=f"cannot listen on 127.0.0.1:{port}") as fault:
            async with RaceServer(offered(), str, port=port):
                raise AssertionError("two servers on one port")
    assert "--port" in fault.value.remedy
