"""What load balancers, gateways and clients look up, under any prefix; and what is told of what is not served."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest
from pydantic import TypeAdapter

from lab.evidence import Refusal
from lab.model.lookups import is_health
from lab.model.server import ModelServer
from lab.wire import FORMATS
from lab.wire.events import ErrorEvent
from lab.wire.format import WireFormat

from .raw import connect, exchange, request
from .test_server import fetch

# Defaults of HAProxy (OPTIONS /), Kubernetes, Triton, vLLM's and SGLang's routers, LiteLLM, Ollama and OpenAI clients.
LOOKED_UP = [
    "/",
    "/health",
    "/healthz",
    "/ping",
    "/livez",
    "/readyz",
    "/v1/health",
    "/v2/health/ready",
    "/health/liveliness",
    "/health_generate",
    "/llm/health/",
    "/v1/models",
    "/v1/models/lab",
    "/v1/models/meta/llama-3%3A8b",
    "/openai/v1/models",
    "/api/tags",
    "/api/version",
    "/version",
    "/get_model_info",
]


async def refusals(server: ModelServer, name: str = "nobody") -> list[Refusal]:
    """What the model server did not serve, as the probe reads it."""
    _, document = await fetch(server, f"/lab/refusals/{name}")
    return TypeAdapter(list[Refusal]).validate_python(document)


@pytest.mark.parametrize("path", LOOKED_UP)
async def test_who_asks_whether_it_is_well_is_told(server: ModelServer, path: str) -> None:
    """With GET, HEAD and OPTIONS, in HTTP/1.0 without a Host as well; and nothing of it counts as refused."""
    for method in ("GET", "HEAD", "OPTIONS"):
        for head in (f"{method} {path} HTTP/1.1\r\nHost: lab\r\n\r\n", f"{method} {path} HTTP/1.0\r\n\r\n"):
            seen = await exchange(server.base_url, head.encode())
            assert seen.status == 200
            assert bool(seen.body) is (method != "HEAD")
    assert await refusals(server) == []


@pytest.mark.parametrize("wire", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("prefix", ["/llm", "/openai/deployments/house", "/a/b/c"])
async def test_each_format_is_served_under_any_prefix(server: ModelServer, wire: WireFormat, prefix: str) -> None:
    """Most real configurations have the model below one; a query and a slash at the end are theirs, too."""
    for path in (prefix + wire.path, f"{prefix}{wire.path}/?api-version=1"):
        seen = await exchange(server.base_url, request("tokens=1", path=path, max_tokens=5))
        assert (seen.status, {*seen.numbers}) == (200, {1})


@pytest.mark.parametrize("path", ["/chat/completions", "/responses"])
async def test_a_version_that_was_taken_off_the_path_is_not_missed(server: ModelServer, path: str) -> None:
    """As `proxy_pass http://model/;` in `location /v1/` does."""
    assert (await exchange(server.base_url, request("tokens=1", path=path))).status == 200


async def test_a_background_response_is_found_under_a_prefix(server: ModelServer) -> None:
    """Its address is that of the request that made it, and its id."""
    made = await exchange(server.base_url, request("tokens=1", path="/llm/v1/responses", stream=False, background=True))
    name = json.loads(made.body)["id"]
    assert (await fetch(server, f"/llm/v1/responses/{name}"))[0] == 200
    stopped = await exchange(
        server.base_url, f"POST /llm/v1/responses/{name}/cancel HTTP/1.1\r\nHost: lab\r\n\r\n".encode()
    )
    assert stopped.status == 200


async def test_every_models_name_is_known(server: ModelServer) -> None:
    """Those that clients look up before they ask, with a plan behind them too."""
    assert (await fetch(server, "/v1/models/house-model"))[1]["id"] == "house-model"
    assert (await fetch(server, "/v1/models/lab%3Ftokens=3"))[1]["id"] == "lab?tokens=3"
    async with aiohttp.ClientSession() as client:
        async with client.post(f"{server.base_url}/api/show", json={"model": "house-model"}) as reply:
            assert (await reply.json())["modelfile"] == "FROM house-model"
        async with client.post(f"{server.base_url}/api/show", data=b"[") as reply:
            assert reply.status == 400


async def test_what_is_not_served_is_said_and_remembered(server: ModelServer) -> None:
    """Its own 404 says whose it is; the ledger has it by the request, and counts what comes again."""
    for _ in range(2):
        seen = await exchange(server.base_url, request("tokens=1", path="/chat", name="mine"))
        assert seen.status == 404
        words = "the lab's model server was asked for POST /chat, which it does not serve"
        assert json.loads(seen.body)["error"]["message"] == words
    (refusal,) = await refusals(server, "mine")
    assert (refusal.method, refusal.path, refusal.status, refusal.count) == ("POST", "/chat", 404, 2)
    assert refusal.port == int(server.base_url.rpartition(":")[2])
    assert await refusals(server, "another") == []


@pytest.mark.parametrize("wire", FORMATS.values(), ids=FORMATS)
async def test_the_wrong_method_is_said_and_remembered(server: ModelServer, wire: WireFormat) -> None:
    """A health check that asks for an endpoint by HEAD gets no answer generated for it."""
    seen = await exchange(server.base_url, f"HEAD {wire.path} HTTP/1.1\r\nHost: lab\r\n\r\n".encode())
    assert seen.status == 405
    assert [(each.method, each.status) for each in await refusals(server)] == [("HEAD", 405)]
    asked = await exchange(server.base_url, f"OPTIONS {wire.path} HTTP/1.1\r\nHost: lab\r\n\r\n".encode())
    assert (asked.status, "POST" in asked.headers["allow"]) == (200, True)


@pytest.mark.parametrize("wire", FORMATS.values(), ids=FORMATS)
async def test_a_body_that_was_spoilt_on_the_way_is_remembered(server: ModelServer, wire: WireFormat) -> None:
    """The error is the model server's own, in the vendor's shape, whatever a hop makes of it."""
    head = f"POST {wire.path} HTTP/1.1\r\nHost: lab\r\nX-Lab-Request: mine\r\nContent-Length: 1\r\n\r\n["
    seen = await exchange(server.base_url, head.encode())
    (error,) = wire.read_batch(seen.body)
    assert isinstance(error, ErrorEvent)
    (refusal,) = await refusals(server, "mine")
    assert (refusal.status, refusal.why) == (400, error.message)


@pytest.mark.parametrize(
    ("begin", "words"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "a TLS handshake"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2"),
        (b"\x00\x01\x02\r\n\r\n", "bytes that are no HTTP"),
    ],
    ids=["TLS", "HTTP/2", "garbage"],
)
async def test_a_hop_that_speaks_something_else_is_remembered(server: ModelServer, begin: bytes, words: str) -> None:
    """`proxy_pass https://...` and HTTP/2 upstreams: the proxy only knows that the handshake failed."""
    connection = await connect(server.base_url)
    connection.send(begin)
    async with asyncio.timeout(10):
        await connection.until_end()
    assert [(each.method, each.why) for each in await refusals(server)] == [("", words)]


async def test_only_so_many_are_kept(server: ModelServer) -> None:
    """A stranger's scanner costs no memory: the newest thousand kinds are known."""
    for number in range(1_005):
        server._refusals.note_no_http(b"x", number)
    kept = await refusals(server)
    assert [each.port for each in kept] == [*range(5, 1_005)]


def test_the_labs_own_addresses_are_no_health_checks() -> None:
    """A ledger of a request that is named health is not open to everybody."""
    assert is_health("/lab/health")
    assert not any(map(is_health, ["/lab/ledger/health", "//lab/ledger/ping", "/lab/refusals/up", "/", "/v1/models"]))
