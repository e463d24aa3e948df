"""A configuration that is read anew: new answers for new requests, and a stream that is under way comes to its end."""

from __future__ import annotations

import asyncio
import time
import urllib.request
from collections.abc import Mapping
from http.client import HTTPResponse
from pathlib import Path

import pytest

from lab.errors import BadInput
from lab.plan import PLAN_HEADER
from lab.products import PRODUCTS, PROXIES, Product
from lab.testbed.binaries import on_path
from lab.testbed.containers import Containers
from lab.testbed.images import ImageInUse
from lab.testbed.processes import Processes
from lab.testbed.runner import Runner
from lab.testbed.testbed import Target, Testbed

LIMIT = 20.0

NGINX = """\
events {}
http { server { listen ${PORT}; proxy_http_version 1.1; proxy_buffering off;
    location / { proxy_pass http://${MODEL}; }
    location /which { return 200 WORD; } } }
"""


def with_word(product: Product, word: str) -> str:
    """A configuration that forwards everything, and sends that word with each reply."""
    if product.name == "nginx":
        return NGINX.replace("WORD", word)
    module = "LoadModule headers_module ${MODULES}/mod_headers.so"
    lines = product.recommended.read_text().replace("LoadModule proxy_module", f"{module}\nLoadModule proxy_module")
    return f"{lines}\nHeader always set X-Which {word}\n"


def which(product: Product, url: str) -> str:
    """The word that a new request gets."""
    path = "/which" if product.name == "nginx" else "/lab/health"
    with urllib.request.urlopen(url + path, timeout=LIMIT) as reply:  # noqa: S310  # the address is ours
        return reply.read().decode() if product.name == "nginx" else str(reply.headers["X-Which"])


def begun(url: str) -> HTTPResponse:
    """A stream of two seconds, of which the first line has come."""
    headers = {"Content-Type": "application/json", PLAN_HEADER: "tokens=20&interval=100ms"}
    body = b'{"model":"lab","stream":true,"messages":[{"role":"user","content":"go"}]}'
    asked = urllib.request.Request(f"{url}/v1/chat/completions", body, headers)  # noqa: S310  # the address is ours
    reply: HTTPResponse = urllib.request.urlopen(asked, timeout=LIMIT)  # noqa: S310  # same
    assert reply.readline().startswith(b"data: ")
    return reply


def await_word(product: Product, url: str, word: str) -> None:
    """Ask until that word comes."""
    until = time.monotonic() + LIMIT
    while which(product, url) != word:
        assert time.monotonic() < until
        time.sleep(0.02)


async def reloads(target: Target, runner: Runner) -> None:
    """Change the word while a stream is under way."""
    product = target.proxy.product
    target.config.write_text(with_word(product, "one"))
    async with Testbed([target], runner) as testbed:
        url = testbed.url(target.key)
        assert await asyncio.to_thread(which, product, url) == "one"
        with await asyncio.to_thread(begun, url) as stream:
            target.config.write_text(with_word(product, "two"))
            await testbed.reload(target.key)
            await asyncio.to_thread(await_word, product, url, "two")
            assert b"[DONE]" in await asyncio.to_thread(stream.read)


@pytest.mark.engine
@pytest.mark.parametrize("name", ["nginx-1.30", pytest.param("apache-2.4.71", marks=pytest.mark.grid)])
async def test_in_a_container(images_in_use: Mapping[str, ImageInUse], tmp_path: Path, name: str) -> None:
    """The file goes into the container, and the process hears of it."""
    proxy = PROXIES[name]
    await reloads(Target("it", proxy, tmp_path / f"it{proxy.product.suffix}"), Containers(images_in_use))


async def test_as_a_process(tmp_path: Path) -> None:
    """The same with this machine's own binary."""
    (nginx,) = on_path([PRODUCTS["nginx"]])
    await reloads(Target("it", nginx.proxy, tmp_path / "it.conf"), Processes({nginx.proxy.id: nginx}, {}))


async def test_a_product_that_takes_another_process_says_so(tmp_path: Path) -> None:
    """HAProxy, as the lab runs it, keeps what it read at its start."""
    (haproxy,) = on_path([PRODUCTS["haproxy"]])
    config = tmp_path / "it.cfg"
    config.write_text(haproxy.proxy.product.recommended.read_text())
    async with Testbed([Target("it", haproxy.proxy, config)], Processes({haproxy.proxy.id: haproxy}, {})) as testbed:
        with pytest.raises(BadInput, match="HAProxy does not read its file anew"):
            await testbed.reload("it")
