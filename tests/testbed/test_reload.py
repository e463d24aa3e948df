"""A configuration that is read anew: new answers for new requests, and a stream that is under way comes to its end."""

from __future__ import annotations

import asyncio
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import replace
from http.client import HTTPResponse
from pathlib import Path

import psutil
import pytest
from markers import grid

from lab.errors import BadInput, EnvironmentFault
from lab.plan import PLAN_HEADER
from lab.products import PRODUCTS, PROXIES, Product, Proxy
from lab.shipped import shipped
from lab.testbed.binaries import Binary, on_path
from lab.testbed.containers import Containers
from lab.testbed.images import ImageInUse
from lab.testbed.processes import Processes
from lab.testbed.runner import Runner
from lab.testbed.testbed import Target, Testbed

LIMIT = 20.0

NGINX = """\
events {}
http { server { listen ${PORT}; proxy_http_version 1.1; proxy_buffering off; add_header X-Which WORD always;
    location / { proxy_pass http://${MODEL}; } } }
"""


def instead(text: str, old: str, new: str) -> str:
    """A text with something else in one place."""
    assert text.count(old) == 1
    return text.replace(old, new)


def with_word(product: Product, word: str) -> dict[str, str]:
    """The files of a configuration that forwards everything, and sends that word with each reply; its own is first."""
    name, text = f"it{product.suffix}", product.recommended.read_text()
    match product.name:
        case "nginx":
            return {name: NGINX.replace("WORD", word)}
        case "haproxy":
            bind = "bind :${PORT}"
            return {name: instead(text, bind, f"{bind}\n    http-after-response set-header X-Which {word}")}
        case "caddy":
            text = instead(text, "admin off", "admin unix//tmp/caddy-${PORT}.sock")
            return {name: instead(text, "\tlog\n", f"\tlog\n\theader X-Which {word}\n")}
        case "envoy":
            folder, route = shipped("scenarios") / "reload-cuts-streams" / "envoy", "match: {prefix: /}"
            header = f"response_headers_to_add: [{{header: {{key: X-Which, value: {word}}}}}]"
            listener = instead((folder / "listener.yaml").read_text(), route, f"{route}\n              {header}")
            return {name: (folder / "fixed.yaml").read_text(), "listener.yaml": listener}
        case _:
            module = "LoadModule headers_module ${MODULES}/mod_headers.so"
            text = instead(text, "LoadModule proxy_module", f"{module}\nLoadModule proxy_module")
            return {name: f"{text}\nHeader always set X-Which {word}\n"}


def target(proxy: Proxy, folder: Path, files: Mapping[str, str]) -> Target:
    """A target with these files, of which the first is its configuration."""
    for name, text in files.items():
        (folder / name).write_text(text)
    return Target("it", proxy, folder / next(iter(files)))


def which(url: str) -> str:
    """The word that a new request gets."""
    with urllib.request.urlopen(url + "/lab/health", timeout=LIMIT) as reply:  # noqa: S310  # the address is ours
        return str(reply.headers["X-Which"])


def begun(url: str, tokens: int = 60) -> HTTPResponse:
    """A stream with ten tokens a second, of which the first line has come; longer than a reload takes."""
    headers = {"Content-Type": "application/json", PLAN_HEADER: f"tokens={tokens}&interval=100ms"}
    body = b'{"model":"lab","stream":true,"messages":[{"role":"user","content":"go"}]}'
    asked = urllib.request.Request(f"{url}/v1/chat/completions", body, headers)  # noqa: S310  # the address is ours
    reply: HTTPResponse = urllib.request.urlopen(asked, timeout=LIMIT)  # noqa: S310  # same
    assert reply.readline().startswith(b"data: ")
    return reply


def await_word(url: str, word: str) -> None:
    """Ask until that word comes."""
    until = time.monotonic() + LIMIT
    while which(url) != word:
        assert time.monotonic() < until
        time.sleep(0.02)


async def reloads(proxy: Proxy, folder: Path, runner: Runner, also: str = "") -> None:
    """Change the word while a stream is under way; in the configuration stands something else as well."""
    product = proxy.product
    one, two = ({name: also + text for name, text in with_word(product, word).items()} for word in ("one", "two"))
    async with Testbed([target(proxy, folder, one)], runner) as testbed:
        url = testbed.url("it")
        assert await asyncio.to_thread(which, url) == "one"
        with await asyncio.to_thread(begun, url) as stream:
            target(proxy, folder, two)
            await testbed.reload("it")
            await asyncio.to_thread(await_word, url, "two")
            assert b"[DONE]" in await asyncio.to_thread(stream.read)
        assert {await asyncio.to_thread(which, url) for _ in range(20)} == {"two"}


IN_CONTAINERS = {
    "nginx-1.30": "",
    "apache-2.4.71": "",
    "caddy-2.8": "",
    "envoy-1.40": "",
    # Its workers serve as another user than its master, and are to be told to end all the same.
    "haproxy-3.0": "global\n    user nobody\n    group nogroup\n",
    "haproxy-3.2": "global\n    user nobody\n    group nogroup\n",
}


@pytest.mark.engine
@pytest.mark.parametrize("name", grid(IN_CONTAINERS, quick=["nginx-1.30"]))
async def test_in_a_container(images_in_use: Mapping[str, ImageInUse], tmp_path: Path, name: str) -> None:
    """The file goes into the container, and the process hears of it."""
    await reloads(PROXIES[name], tmp_path, Containers(images_in_use), IN_CONTAINERS[name])


def here(name: str) -> Binary:
    """This machine's own binary."""
    (found,) = on_path([PRODUCTS[name]])
    return found


@pytest.mark.parametrize("name", ["nginx", "haproxy"])
async def test_as_a_process(tmp_path: Path, name: str) -> None:
    """The same with this machine's own binary."""
    binary = here(name)
    await reloads(binary.proxy, tmp_path, Processes({binary.proxy.id: binary}, {}))


@pytest.mark.parametrize("name", ["nginx", "haproxy"])
async def test_what_a_reload_has_left_is_torn_down(tmp_path: Path, name: str) -> None:
    """The processes that still serve a stream with the configuration of before, and those of after."""
    binary = here(name)
    before = set(psutil.Process().children(recursive=True))
    testbed = Testbed(
        [target(binary.proxy, tmp_path, with_word(binary.proxy.product, "one"))],
        Processes({binary.proxy.id: binary}, {}),
    )
    async with testbed:
        with await asyncio.to_thread(begun, testbed.url("it"), 200) as stream:
            serving = set(await testbed.pids("it"))
            target(binary.proxy, tmp_path, with_word(binary.proxy.product, "two"))
            await testbed.reload("it")
            await asyncio.to_thread(await_word, testbed.url("it"), "two")
            assert serving < set(await testbed.pids("it"))
            assert stream.readline() == b"\n"
    assert set(psutil.Process().children(recursive=True)) <= before


async def test_what_is_read_anew_is_another_edition(tmp_path: Path) -> None:
    """A file that nobody has changed differs in how often it was written, so that there is something to read."""
    binary = here("nginx")
    files = with_word(binary.proxy.product, "edition-${EDITION}")
    async with Testbed([target(binary.proxy, tmp_path, files)], Processes({binary.proxy.id: binary}, {})) as testbed:
        for edition in (1, 2, 3):
            await asyncio.to_thread(await_word, testbed.url("it"), f"edition-{edition}")
            await testbed.reload("it")


async def test_a_product_that_takes_another_process_says_so(tmp_path: Path) -> None:
    """No command is known at which it would read its files anew."""
    binary = here("haproxy")
    product = replace(binary.proxy.product, reload="")
    proxy = Proxy(product, binary.proxy.version)
    files = with_word(product, "one")
    async with Testbed([target(proxy, tmp_path, files)], Processes({proxy.id: binary}, {})) as testbed:
        with pytest.raises(BadInput, match="HAProxy does not read its file anew"):
            await testbed.reload("it")


async def test_one_that_cannot_be_told_says_why(tmp_path: Path) -> None:
    """The last words of the command that was to tell it."""
    binary = here("nginx")
    product = replace(binary.proxy.product, reload='echo no; echo "not $1" >&2; exit 3')
    proxy = Proxy(product, binary.proxy.version)
    async with Testbed(
        [target(proxy, tmp_path, with_word(product, "one"))], Processes({proxy.id: binary}, {})
    ) as testbed:
        number = (await testbed.pids("it"))[0]
        with pytest.raises(EnvironmentFault, match=rf"^{proxy.id} cannot be told to read its files anew: not {number}"):
            await testbed.reload("it")
