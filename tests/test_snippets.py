"""What the snippets of `nginx/` do beside the suite, and what was left out of them."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from lab.errors import SetUpFault
from lab.measure.exchanges import Address, make
from lab.plan import PLAN_HEADER, make_plan
from lab.probe.side_channel import SideChannel
from lab.products import PRODUCTS, PROXIES
from lab.shipped import shipped
from lab.suite.exchange import Exchange
from lab.testbed.containers import Containers
from lab.testbed.images import ImageInUse
from lab.testbed.testbed import Target, Testbed

pytestmark = [pytest.mark.engine, pytest.mark.grid]

WHOLE = (shipped("scenarios") / "recommended" / "nginx" / "fixed-whole-server.conf").read_text()
PLAIN = PRODUCTS["nginx"].recommended.read_text()
VERSIONS = ("nginx-1.26", "nginx-1.30")
INCLUDE = "include /etc/nginx/snippets/{}.conf;"


def without(text: str, *parts: str) -> str:
    """A configuration without some of its words, each of which it has."""
    return instead(text, dict.fromkeys(parts, ""))


def instead(text: str, parts: Mapping[str, str]) -> str:
    """A configuration with some of its words otherwise."""
    for part, new in parts.items():
        assert part in text
        text = text.replace(part, new)
    return text


# One server, so that ten requests need no more than one connection.
KEPT = without(WHOLE, "server ${MODEL_HOST}:${MODEL_PORT} max_fails=0;")

LOGGED = """\
events {}
http {
    include /etc/nginx/snippets/log.conf;
    access_log /var/log/nginx/access.log streams;
    server {
        listen ${PORT};
        location / {
            proxy_pass http://${MODEL};
            proxy_http_version 1.1;
            proxy_buffering off;
            proxy_read_timeout 6s;
        }
    }
}
"""

FILES = {
    "whole": WHOLE,
    "kept": KEPT,
    "without-keepalive": without(KEPT, "keepalive 64;"),
    "without-header": without(KEPT, INCLUDE.format("keepalive")),
    "without-either": without(KEPT, "keepalive 64;", INCLUDE.format("keepalive")),
    "without-large-prompts": without(WHOLE, INCLUDE.format("large-prompts")),
    "reloaded": WHOLE,
    "without-reload": without(WHOLE, INCLUDE.format("reload")),
    "short-reload": instead(WHOLE, {INCLUDE.format("reload"): "worker_shutdown_timeout 1s;"}),
    "impatient": instead(PLAIN, {"listen ${PORT};": "listen ${PORT}; send_timeout 2s;"}),
    "two-at-most": instead(
        PLAIN,
        {
            "server {": "limit_conn_zone $binary_remote_addr zone=clients:1m; server {",
            "listen ${PORT};": "listen ${PORT}; limit_conn clients 2;",
        },
    ),
    "logged": LOGGED,
    "relative": instead(PLAIN, {"/etc/nginx/snippets/": "snippets/"}),
    "duplicate": instead(PLAIN, {"location / {": "location / { gzip off;"}),
}


class Beds:
    """All of these files, at every version.

    Args:
        testbed: with a target `NAME@VERSION` for each.
        channel: to its model server.
    """

    def __init__(self, testbed: Testbed, channel: SideChannel) -> None:
        self.testbed, self.channel = testbed, channel

    async def stream(self, key: str, plan: str, path: str = "/v1/chat/completions") -> tuple[int, str]:
        """The status of a stream, and how it ended for its client: `whole` or `cut`."""
        async with aiohttp.ClientSession() as session, await _ask(session, self.testbed.url(key) + path, plan) as reply:
            try:
                body = await reply.read()
            except aiohttp.ClientPayloadError:
                return reply.status, "cut"
            return reply.status, "whole" if b"[DONE]" in body else "cut"


async def _ask(
    session: aiohttp.ClientSession, url: str, plan: str, *, stream: bool = True, **headers: str
) -> aiohttp.ClientResponse:
    body = {"model": "lab", "stream": stream, "messages": [{"role": "user", "content": "go"}]}
    return await session.post(url, json=body, headers={PLAN_HEADER: plan, **headers})


async def connections(beds: Beds, version: str) -> dict[str, int]:
    """How many connections ten requests took, one after the other, by file."""

    async def count(name: str) -> int:
        address = Address(beds.testbed.url(f"{name}@{version}"), beds.testbed.model_url)
        made = [await make(Exchange("short", make_plan({"tokens": 2})), address, beds.channel) for _ in range(10)]
        return sum(each.ledger is not None and not each.ledger.reused for each in made)

    names = ("kept", "without-keepalive", "without-header", "without-either")
    return dict(zip(names, await asyncio.gather(*map(count, names)), strict=True))


async def prompts(beds: Beds, version: str) -> dict[str, int | None]:
    """The status of a prompt of 2 MB, by file."""

    async def status(name: str) -> int | None:
        address = Address(beds.testbed.url(f"{name}@{version}"), beds.testbed.model_url)
        made = await make(Exchange("long", make_plan({"tokens": 2}), body_bytes=2_000_000), address, beds.channel)
        return made.trace.status

    names = ("whole", "without-large-prompts")
    return dict(zip(names, await asyncio.gather(*map(status, names)), strict=True))


async def codings(beds: Beds, version: str) -> dict[str, str]:
    """Which coding a reply of JSON and a stream have, in the location of streams and in the other one."""
    found = {}
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        for place, path in (("streams", "/v1/chat/completions"), ("else", "/app/v1/chat/completions")):
            for kind, stream in (("json", False), ("stream", True)):
                url = beds.testbed.url(f"whole@{version}") + path
                offered = {"Accept-Encoding": "gzip"}
                async with await _ask(session, url, "tokens=50&interval=1ms", stream=stream, **offered) as reply:
                    found[f"{kind} of {place}"] = reply.headers.get("Content-Encoding", "none")
    return found


async def reloads(beds: Beds, version: str) -> dict[str, str]:
    """How a stream of fifteen seconds ends if nginx reads its file anew amid it, by file."""

    async def ending(name: str) -> str:
        key = f"{name}@{version}"
        url = f"{beds.testbed.url(key)}/v1/chat/completions"
        async with aiohttp.ClientSession() as session, await _ask(session, url, "tokens=150&interval=100ms") as reply:
            await reply.content.readline()
            await beds.testbed.reload(key)
            try:
                return "whole" if b"[DONE]" in await reply.read() else "cut"
            except aiohttp.ClientPayloadError:
                return "cut"

    names = ("reloaded", "without-reload", "short-reload")
    return dict(zip(names, await asyncio.gather(*map(ending, names)), strict=True))


_HUGE = "tokens=12&interval=1ms&padding=1000000"
"""Far more than the sockets on the way hold."""


async def stalled(beds: Beds, version: str) -> dict[str, str]:
    """How a stream ends whose client reads nothing for four seconds, by file."""

    async def ending(name: str) -> str:
        where = urlsplit(beds.testbed.url(f"{name}@{version}"))
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            client.setblocking(False)
            await asyncio.get_running_loop().sock_connect(client, (where.hostname, where.port))
            reader, writer = await asyncio.open_connection(sock=client, limit=8192)
            body = b'{"model":"lab","stream":true,"messages":[{"role":"user","content":"go"}]}'
            headers = (
                "Host: lab",
                "Content-Type: application/json",
                f"Content-Length: {len(body)}",
                "Connection: close",
            )
            head = "\r\n".join(("POST /v1/chat/completions HTTP/1.1", *headers, f"{PLAN_HEADER}: {_HUGE}", "", ""))
            writer.write(head.encode() + body)
            await reader.readline()
            await asyncio.sleep(4)
            rest = b""
            try:
                while part := await reader.read(2**16):
                    rest = (rest + part)[-100:]
            except ConnectionResetError:
                return "cut"
            finally:
                writer.transport.abort()
            return "whole" if b"[DONE]" in rest else "cut"

    names = ("whole", "impatient")
    return dict(zip(names, await asyncio.gather(*map(ending, names)), strict=True))


async def limited(beds: Beds, version: str) -> list[int]:
    """The statuses of three streams at once where two may be, sorted, and of one more after them."""
    key = f"two-at-most@{version}"
    first = await asyncio.gather(*(beds.stream(key, "tokens=10&interval=100ms") for _ in range(3)))
    last = await beds.stream(key, "tokens=2")
    return [*sorted(status for status, _ in first), last[0]]


ENDINGS = {
    "whole": "tokens=5&interval=50ms",
    "died": "tokens=20&interval=20ms&fault=fin@10",
    "reset": "tokens=20&interval=20ms&fault=rst@10",
    "silent": "tokens=10&interval=20ms&gaps=5@12s",
    "late": "tokens=10&ttft=12s",
}


async def logged(beds: Beds, version: str) -> dict[str, str]:
    """How the log says that streams ended, read as the head of `log.conf` tells, by what was done."""
    key = f"logged@{version}"
    paths = {name: f"/{name}/v1/chat/completions" for name in (*ENDINGS, "left", "left-early")}
    await asyncio.gather(
        *(beds.stream(key, plan, paths[name]) for name, plan in ENDINGS.items()),
        _leave(beds.testbed.url(key) + paths["left"], "tokens=40&interval=100ms", after_a_token=True),
        _leave(beds.testbed.url(key) + paths["left-early"], "tokens=2&ttft=12s", after_a_token=False),
    )
    for _ in range(200):
        lines = beds.testbed.log(key, 400)
        found = {name: [line for line in lines if f"uri={path}" in line] for name, path in paths.items()}
        if all(found.values()):
            break
        await asyncio.sleep(0.05)
    return {name: _ending(line, lines) for name, (line, *_) in found.items()}


async def _leave(url: str, plan: str, *, after_a_token: bool) -> None:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60 if after_a_token else 3)) as session:
        try:
            async with await _ask(session, url, plan) as reply:
                await reply.content.readline()
                reply.close()
        except TimeoutError:
            return


def _ending(line: str, lines: list[str]) -> str:
    fields = dict(re.findall(r'(\w+)="?([^" ]*)', line))
    if fields["status"] == "499" or not fields["completion"]:
        return "client left"
    if fields["status"] in ("502", "504"):
        return "no first byte"
    return "cut" if any("[error]" in each and f" *{fields['connection']} " in each for each in lines) else "whole"


async def refused(beds: Beds, version: str) -> dict[str, str]:
    """What nginx says of files that it does not take."""
    said = {}
    for name in ("relative", "duplicate"):
        with pytest.raises(SetUpFault) as caught:
            beds.testbed.url(f"{name}@{version}")
        said[name] = caught.value.problem
    return said


LOOKS: tuple[Callable[[Beds, str], Awaitable[object]], ...] = (
    connections, prompts, codings, reloads, stalled, limited, logged, refused,
)  # fmt: skip


@pytest.fixture(scope="module")
def seen(
    tmp_path_factory: pytest.TempPathFactory, images_in_use: Mapping[str, ImageInUse]
) -> Mapping[tuple[str, str], object]:
    """What each of these found at each version, all at once."""
    return asyncio.run(_seen(tmp_path_factory.mktemp("snippets"), images_in_use))


async def _seen(folder: Path, images: Mapping[str, ImageInUse]) -> Mapping[tuple[str, str], object]:
    targets = []
    for name, text in FILES.items():
        path = folder / name / "nginx.conf"
        path.parent.mkdir()
        path.write_text(text)
        targets += [Target(f"{name}@{version}", PROXIES[version], path) for version in VERSIONS]
    async with Testbed(targets, Containers(images)) as testbed, SideChannel(testbed.model_url) as channel:
        beds = Beds(testbed, channel)
        cells = [(look, version) for look in LOOKS for version in VERSIONS]
        found = await asyncio.gather(*(look(beds, version) for look, version in cells))
    return {(look.__name__, version): each for (look, version), each in zip(cells, found, strict=True)}


Seen = Mapping[tuple[str, str], object]
every_version = pytest.mark.parametrize("version", VERSIONS)


@every_version
def test_requests_share_connections_with_the_snippet_and_keepalive(seen: Seen, version: str) -> None:
    """Nginx 1.26 needs both lines, and makes a connection for each of ten requests without one; 1.30 needs neither."""
    found = seen["connections", version]
    assert isinstance(found, dict)
    few = {name for name, number in found.items() if number <= 2}
    assert few == ({"kept"} if version == "nginx-1.26" else set(found))
    assert {number for name, number in found.items() if name not in few} <= {10}


@every_version
def test_a_prompt_of_two_megabytes_needs_its_line(seen: Seen, version: str) -> None:
    """Without it nginx answers 413 itself."""
    assert seen["prompts", version] == {"whole": 200, "without-large-prompts": 413}


@every_version
def test_pages_are_compressed_and_streams_are_not(seen: Seen, version: str) -> None:
    """Also a stream in the location that does not include the streaming snippet."""
    assert seen["codings", version] == {
        "json of streams": "none",
        "stream of streams": "none",
        "json of else": "gzip",
        "stream of else": "none",
    }


@every_version
def test_a_reload_lets_streams_end(seen: Seen, version: str) -> None:
    """So does nginx without the line; a time that is shorter than the stream cuts it."""
    assert seen["reloads", version] == {"reloaded": "whole", "without-reload": "whole", "short-reload": "cut"}


@every_version
def test_a_reader_that_stalls_is_cut_after_send_timeout(seen: Seen, version: str) -> None:
    """It is 60 s by default: four seconds are survived, and not with 2 s."""
    assert seen["stalled", version] == {"whole": "whole", "impatient": "cut"}


@every_version
def test_limit_conn_counts_streams_that_are_under_way(seen: Seen, version: str) -> None:
    """The third gets 503 at once; when they are over, there is room again."""
    assert seen["limited", version] == [200, 200, 503, 200]


@every_version
def test_the_log_tells_how_streams_ended(seen: Seen, version: str) -> None:
    """With the error log, read as the head of the snippet says."""
    assert seen["logged", version] == {
        "whole": "whole",
        "died": "cut",
        "reset": "cut",
        "silent": "cut",
        "late": "no first byte",
        "left": "client left",
        "left-early": "client left",
    }


@every_version
def test_what_nginx_refuses_it_names(seen: Seen, version: str) -> None:
    """A relative path that leads elsewhere, and a directive that the location has already."""
    found = seen["refused", version]
    assert isinstance(found, dict)
    assert 'relative/snippets/streaming.conf" failed (2:' in found["relative"]
    assert '"gzip" directive is duplicate in /etc/nginx/snippets/streaming.conf' in found["duplicate"]
