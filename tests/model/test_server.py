"""The model server's HTTP side: plans, refusals, the ledger, attempts, and clients that leave."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest
from pydantic import TypeAdapter

from lab.evidence import Ledger
from lab.model.server import ModelServer
from lab.wire import FORMATS
from lab.wire.events import ErrorEvent
from lab.wire.format import WireFormat

from .raw import connect, exchange, request

_PATIENCE = 10.0


async def fetch(server: ModelServer, path: str) -> tuple[int, Any]:
    """GET a JSON document of the side channel."""
    async with aiohttp.ClientSession() as client, client.get(server.base_url + path) as reply:
        return reply.status, await reply.json()


async def ledgers(server: ModelServer, name: str) -> list[Ledger]:
    """The attempts of a request, read as the probe reads them."""
    status, document = await fetch(server, f"/lab/ledger/{name}")
    assert status == 200
    return TypeAdapter(list[Ledger]).validate_python(document)


async def settled(server: ModelServer, name: str, condition: Callable[[Ledger], bool]) -> Ledger:
    """Ask for the last attempt until it is as awaited."""
    async with asyncio.timeout(_PATIENCE):
        while True:
            ledger = (await ledgers(server, name))[-1]
            if condition(ledger):
                return ledger


# Plans


async def test_the_plan_comes_in_a_header_or_in_the_models_name(server: ModelServer) -> None:
    """Either way; none at all is the default plan of twenty tokens."""
    by_header = await exchange(server.base_url, request("tokens=3&interval=1ms"))
    by_model = await exchange(server.base_url, request(model="lab?tokens=3&interval=1ms"))
    assert by_header.numbers == by_model.numbers == [1, 2, 3]
    assert json.loads(by_model.body.split(b"\n")[0].removeprefix(b"data: "))["model"] == "lab?tokens=3&interval=1ms"
    assert len((await exchange(server.base_url, request("interval=0s"))).numbers) == 20


async def test_the_same_plan_may_stand_in_both_places(server: ModelServer) -> None:
    """Written differently, but equal."""
    seen = await exchange(server.base_url, request("tokens=2&interval=1ms", model="lab?interval=0.001s&tokens=2"))
    assert seen.numbers == [1, 2]


async def test_usage_comes_where_it_is_asked_for(server: ModelServer) -> None:
    """The count of tokens stands in a chunk of its own before the marker."""
    data = request("tokens=3&interval=1ms", stream_options={"include_usage": True})
    seen = await exchange(server.base_url, data)
    chunks = [line.removeprefix(b"data: ") for line in seen.body.split(b"\n") if line.startswith(b"data: {")]
    assert json.loads(chunks[-1])["usage"]["completion_tokens"] == 3
    assert json.loads(chunks[-1])["choices"] == []


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
async def test_the_requests_limit_stops_the_answer(server: ModelServer, limit: str) -> None:
    """Two of five tokens, and the finish reason says why."""
    seen = await exchange(server.base_url, request("tokens=5&interval=1ms", **{limit: 2}))  # type: ignore[arg-type]
    assert seen.numbers == [1, 2]
    assert b'"finish_reason":"length"' in seen.body


REFUSALS = {
    "a bad field": (request("colour=red", max_tokens=5), "X-Lab-Plan: colour"),
    "a bad value": (request("tokens=many", max_tokens=5), "X-Lab-Plan: tokens"),
    "a bad field in the model's name": (request(model="lab?colour=red", max_tokens=5), "model: colour"),
    "two plans": (request("tokens=3", model="lab?tokens=4", max_tokens=5), "X-Lab-Plan: another plan"),
    "heartbeats in a batch reply": (request("heartbeat=1s", stream=False, max_tokens=5), "heartbeat: "),
    "a stream of known length": (request("framing=length", max_tokens=5), "framing: "),
    "no question": (request(messages=[], input="", prompt="", max_tokens=5), ": at least one is required"),
    "a bad limit": (
        request(max_tokens=0, max_output_tokens=0, options={"num_predict": 0}),
        ": must be a whole number from 1",
    ),
    "a bad request id": (request(name="a/b", max_tokens=5), "X-Lab-Request: "),
}


@pytest.mark.parametrize("wire", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize(("data", "words"), REFUSALS.values(), ids=REFUSALS)
async def test_what_makes_no_sense_is_refused_in_the_vendors_shape(
    server: ModelServer, data: bytes, words: str, wire: WireFormat
) -> None:
    """Status 400, the vendor's error document, and the name of what is at fault."""
    seen = await exchange(server.base_url, data.replace(b"/v1/chat/completions", wire.path.encode(), 1))
    (error,) = wire.read_batch(seen.body)
    assert isinstance(error, ErrorEvent)
    assert (seen.status, error.kind) == (400, wire.error_kind(400))
    assert words in error.message


def raw_request(body: bytes, headers: bytes = b"") -> bytes:
    """A request with that body, whatever it is."""
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: lab\r\n%bContent-Length: %d\r\n\r\n"
    return head % (headers, len(body)) + body


NINES = "9" * 400
QUESTION = b'"messages":[{"role":"user","content":"x"}],"input":"x","prompt":"x","max_tokens":5'
ODD = {
    "an infinite time": (request(f"ttft={NINES}s", max_tokens=5), "X-Lab-Plan: ttft: longer than a year"),
    "an infinite time in the model's name": (
        request(model=f"lab?interval={NINES}h", max_tokens=5),
        "model: interval: longer than a year",
    ),
    "an infinite gap": (request(f"gaps=2@{NINES}s", max_tokens=5), "X-Lab-Plan: gaps: longer than a year"),
    "an infinite hold": (request(f"lockstep=yes&hold={NINES}s", max_tokens=5), "X-Lab-Plan: hold: longer than a year"),
    "an infinite time to come back": (
        request(f"fault=status@429&retry_after={NINES}s", max_tokens=5),
        "X-Lab-Plan: retry_after: longer than a year",
    ),
    "an infinite limit": (
        raw_request(
            b'{"model":"lab","messages":[1],"input":"x","prompt":"x","max_tokens":1e999,"max_output_tokens":1e999,'
            b'"options":{"num_predict":1e999}}'
        ),
        ": must be a whole number from 1",
    ),
    "a limit of many digits": (raw_request(b'{"model":"lab","max_tokens":%b}' % (b"9" * 5_000)), "the body is no JSON"),
    "a place of many digits": (request(f"fault=fin@{NINES}", max_tokens=5), "X-Lab-Plan: fault: "),
    "bytes that are no text": (
        raw_request(b'{"model":"lab",%b}' % QUESTION, b"X-Lab-Plan: tokens=\xff\r\n"),
        "X-Lab-Plan: tokens: ",
    ),
    "the same as a field, twice": (
        raw_request(b'{"model":"lab",%b}' % QUESTION, b"X-Lab-Plan: \xff=1&\xff=2\r\n"),
        "X-Lab-Plan: ",
    ),
    "the same as an id": (
        raw_request(b'{"model":"lab",%b}' % QUESTION, b"X-Lab-Request: \xff\r\n"),
        "X-Lab-Request: ",
    ),
    "half a character": (raw_request(b'{"model":"lab\\ud800",%b}' % QUESTION), "model: half a surrogate pair"),
    "half a character, twice": (
        raw_request(b'{"model":"lab?\\ud800=1&\\ud800=2",%b}' % QUESTION),
        "model: half a surrogate pair",
    ),
    "a name that is too long": (request(model="x" * 4_001, max_tokens=5), "model: 4001 characters"),
    "brackets": (raw_request(b"[" * 4_000), "the body is no JSON"),
    "braces": (raw_request(b'{"model":' * 4_000), "the body is no JSON"),
    "too many values": (raw_request(b'{"model":"lab","messages":[' + b"0," * 1_000_000 + b"0]}"), "more than 1000000"),
}


@pytest.mark.parametrize("wire", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize(("data", "words"), ODD.values(), ids=ODD)
async def test_whatever_cannot_be_counted_or_written_is_the_clients_mistake(
    server: ModelServer, data: bytes, words: str, wire: WireFormat, caplog: pytest.LogCaptureFixture
) -> None:
    """Status 400 with the field's name, never a 500, and no traceback in anybody's log."""
    data = data.replace(b"/v1/chat/completions", wire.path.encode(), 1)
    seen = await exchange(server.base_url, data)
    (error,) = wire.read_batch(seen.body)
    assert isinstance(error, ErrorEvent)
    assert (seen.status, error.kind) == (400, wire.error_kind(400))
    assert words in error.message
    assert caplog.records == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/v1/sse?ttft={NINES}s", 400),
        ("/v1/sse?%ed%a0%80=1", 400),
        ("/v1/responses/%ed%a0%80", 404),
        ("/v1/responses/" + "a" * 7_000, 404),
        ("/lab/ledger/%ff", 404),
    ],
    ids=["time", "query", "id", "long id", "ledger"],
)
async def test_odd_addresses_are_the_clients_mistake_too(server: ModelServer, path: str, status: int) -> None:
    """Query strings and ids come from the same hands as bodies do."""
    data = f"GET {path} HTTP/1.1\r\nHost: lab\r\n\r\n".encode()
    assert (await exchange(server.base_url, data)).status == status


async def test_the_longest_plan_that_makes_sense_starts(server: ModelServer) -> None:
    """A year between two tokens is within what every clock in it can count."""
    connection = await connect(server.base_url)
    connection.send(request("tokens=1000000&interval=8760h&gaps=2@8760h&jitter=8760h&ttft=0s&headers=early"))
    assert (await connection.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    connection.close()


async def test_an_event_source_may_get_a_plain_stream(server: ModelServer) -> None:
    """The plan stands in the URL; a bad one is refused, and asking for the head alone generates nothing."""
    ask = "%s /v1/sse?%s HTTP/1.1\r\nHost: lab\r\nAccept: text/event-stream\r\n\r\n"
    seen = await exchange(server.base_url, (ask % ("GET", "tokens=3&interval=1ms")).encode())
    assert (seen.status, seen.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert (seen.whole, seen.numbers) == (True, [1, 2, 3])
    assert seen.body.endswith(b"event: done\ndata: {}\n\n")
    assert (await exchange(server.base_url, (ask % ("GET", "colour=red")).encode())).status == 400
    assert (await exchange(server.base_url, (ask % ("HEAD", "")).encode())).status == 405


async def test_beside_a_plan_in_the_header_the_query_is_the_pages_own(server: ModelServer) -> None:
    """An application's endpoint has parameters of its own, which are no plan."""
    ask = b"GET /v1/sse?from=page HTTP/1.1\r\nHost: lab\r\nX-Lab-Plan: tokens=2&interval=1ms\r\n\r\n"
    seen = await exchange(server.base_url, ask)
    assert (seen.status, seen.whole, seen.numbers) == (200, True, [1, 2])


async def test_a_body_that_is_no_json_is_refused(server: ModelServer) -> None:
    """As the vendors do."""
    seen = await exchange(server.base_url, request(max_tokens=5).replace(b'{"model"', b'{"model;', 1))
    assert (seen.status, json.loads(seen.body)["error"]["type"]) == (400, "invalid_request_error")


async def test_a_body_nested_too_deep_is_refused(server: ModelServer) -> None:
    """JSON that exhausts the stack is the client's mistake, and no fault of the server's."""
    body = b"[" * 200_000
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: lab\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    seen = await exchange(server.base_url, head + body)
    assert (seen.status, json.loads(seen.body)["error"]["type"]) == (400, "invalid_request_error")


# The side channel


async def test_it_says_that_it_is_ready_and_what_models_there_are(server: ModelServer) -> None:
    """Two documents that clients and readiness checks ask for."""
    assert await fetch(server, "/lab/health") == (200, {"status": "ok"})
    status, models = await fetch(server, "/v1/models")
    assert (status, models["object"], models["data"][0]["id"]) == (200, "list", "lab")


async def test_the_clock_is_the_ledgers(server: ModelServer) -> None:
    """In one process it is this process's monotonic clock, so the reading lies between two of ours."""
    before = time.monotonic()
    _, document = await fetch(server, "/lab/clock")
    assert before <= document["now"] <= time.monotonic()


@pytest.mark.parametrize(
    ("path", "status"),
    [("/lab/clock", 200), ("/lab/ledger/known", 200), ("/lab/ledger/unknown", 404), ("/lab/refusals/known", 200)],
)
async def test_no_cache_on_the_way_keeps_what_the_side_channel_says(
    server: ModelServer, path: str, status: int
) -> None:
    """Through Varnish, which keeps whatever does not forbid it for two minutes, the clock stood still (measured)."""
    await exchange(server.base_url, request("tokens=1", name="known"))
    async with aiohttp.ClientSession() as client, client.get(server.base_url + path) as reply:
        assert (reply.status, reply.headers["Cache-Control"]) == (status, "no-store")


async def test_the_ledger_tells_what_was_written_and_when(server: ModelServer) -> None:
    """Every token in order and not before it was due; headers, heartbeats, end."""
    plan = "tokens=3&ttft=40ms&interval=20ms&heartbeat=15ms&heartbeat_from=start"
    seen = await exchange(server.base_url, request(plan, name="whole"))
    assert seen.headers["x-lab-request"] == "whole"
    (ledger,) = await ledgers(server, "whole")
    assert (ledger.request, ledger.attempt, ledger.attempts, ledger.http_version) == ("whole", 1, 1, "1.1")
    assert [token.number for token in ledger.tokens] == [1, 2, 3]
    for token, due in zip(ledger.tokens, (0.04, 0.06, 0.08), strict=True):
        assert token.at >= ledger.started + due
    # Two in the 40 ms before the first token, one in each 20 ms between tokens.
    assert len(ledger.heartbeats) == 4
    assert ledger.headers_at == ledger.heartbeats[0]
    assert ledger.finished is not None
    assert ledger.finished >= ledger.tokens[-1].at
    assert (ledger.fault, ledger.fault_at, ledger.client_left, ledger.holds) == ("", None, None, ())


@asynccontextmanager
async def with_a_further_port() -> AsyncIterator[tuple[ModelServer, int]]:
    """A server with one more port, which was free."""
    for port in random.sample(range(10_000, 30_000), 20):
        server = ModelServer(further_ports=[port])
        with suppress(OSError):
            await server.start()
            break
    try:
        yield server, port
    finally:
        await server.aclose()


async def test_the_ledger_tells_the_port_at_which_a_request_came() -> None:
    """So that of many who ask, each by a port of its own, it is known who did."""
    async with with_a_further_port() as (server, further):
        main = int(server.base_url.rpartition(":")[2])
        for name, port in (("main", main), ("further", further)):
            await exchange(f"http://127.0.0.1:{port}", request("tokens=1", name=name))
            assert (await ledgers(server, name))[0].port == port


async def test_the_ledger_names_the_fault_that_struck(server: ModelServer) -> None:
    """Which one, and when: not before the token after which it stands."""
    await exchange(server.base_url, request("tokens=4&interval=1ms&fault=fin@2", name="cut", version="1.0"))
    (ledger,) = await ledgers(server, "cut")
    assert (ledger.fault, len(ledger.tokens), ledger.http_version) == ("fin@2", 2, "1.0")
    assert ledger.fault_at is not None
    assert ledger.fault_at >= ledger.tokens[-1].at


async def test_a_request_with_the_same_id_is_another_attempt(server: ModelServer) -> None:
    """As a proxy's retry is: two records, each of which knows of both."""
    for _ in range(2):
        await exchange(server.base_url, request("tokens=1", name="again"))
    found = await ledgers(server, "again")
    assert [(ledger.attempt, ledger.attempts) for ledger in found] == [(1, 2), (2, 2)]


async def test_the_ledger_tells_whether_a_connection_had_been_used_before(server: ModelServer) -> None:
    """Some proxies have timeouts on fresh connections only."""
    async with aiohttp.ClientSession() as client:
        for name in ("first", "second"):
            async with client.post(
                f"{server.base_url}/v1/chat/completions",
                json={"model": "lab", "messages": [{"role": "user", "content": "Count."}]},
                headers={"X-Lab-Plan": "tokens=1", "X-Lab-Request": name},
            ) as reply:
                assert reply.status == 200
                await reply.read()
    assert [(await ledgers(server, name))[0].reused for name in ("first", "second")] == [False, True]


async def test_a_request_without_an_id_gets_one(server: ModelServer) -> None:
    """The reply names it, and the ledger knows it."""
    first, second = [await exchange(server.base_url, request("tokens=1")) for _ in range(2)]
    names = [seen.headers["x-lab-request"] for seen in (first, second)]
    assert names[0] != names[1]
    assert len(await ledgers(server, names[0])) == 1


async def test_an_unknown_request_is_not_found(server: ModelServer) -> None:
    """Neither in the ledger nor for a confirmation."""
    assert (await fetch(server, "/lab/ledger/nobody"))[0] == 404
    async with aiohttp.ClientSession() as client, client.post(f"{server.base_url}/lab/confirm/nobody/1") as reply:
        assert reply.status == 404


# Clients that leave


@pytest.mark.parametrize(
    "plan",
    ["tokens=2&interval=1m", "ttft=1m&headers=early", "tokens=2&fault=freeze@1", "tokens=9&lockstep=yes&hold=1m"],
    ids=["between tokens", "before the first", "while frozen", "while held"],
)
async def test_a_client_that_leaves_is_noted(server: ModelServer, plan: str) -> None:
    """Whatever the reply was waiting for, it ends, and the ledger says when the other side went."""
    connection = await connect(server.base_url)
    connection.send(request(plan, name="gone"))
    await connection.until(b"\r\n\r\n")
    left = time.monotonic()
    connection.close()
    ledger = await settled(server, "gone", lambda ledger: ledger.client_left is not None)
    assert ledger.client_left is not None
    assert ledger.client_left >= left
    assert ledger.finished is not None


async def test_a_client_that_leaves_before_any_byte_is_noted(server: ModelServer) -> None:
    """As a proxy does whose own clock for the first byte has run out."""
    connection = await connect(server.base_url)
    connection.send(request("ttft=1m", name="early"))
    async with asyncio.timeout(_PATIENCE):
        while (await fetch(server, "/lab/ledger/early"))[0] == 404:
            continue
    connection.close()
    ledger = await settled(server, "early", lambda ledger: ledger.client_left is not None)
    assert (ledger.tokens, ledger.headers_at) == ((), None)


async def test_a_client_that_only_stops_sending_counts_as_gone(server: ModelServer) -> None:
    """A half-close ends the reply: documented, since proxies are known to do it."""
    connection = await connect(server.base_url)
    connection.send(request("tokens=2&interval=1m", name="half"))
    await connection.until(b":1@")
    assert connection.transport is not None
    connection.transport.write_eof()
    assert await connection.until_end() == "fin"
    ledger = await settled(server, "half", lambda ledger: ledger.client_left is not None)
    assert [token.number for token in ledger.tokens] == [1]


async def test_closing_cuts_the_replies_that_run() -> None:
    """A frozen reply does not keep the server from closing, and its client is not said to have left."""
    server = ModelServer()
    await server.start()
    connection = await connect(server.base_url)
    connection.send(request("tokens=2&fault=freeze@1", name="open"))
    await connection.until(b":1@")
    async with asyncio.timeout(_PATIENCE):
        await server.aclose()
    assert await connection.until_end() in {"fin", "rst"}
    (ledger,) = TypeAdapter(list[Ledger]).validate_json(b"".join(server._book.read("open") or ()))
    assert ledger.client_left is None


async def test_closing_waits_for_no_body() -> None:
    """Half a request does not keep the server from closing either."""
    server = ModelServer()
    await server.start()
    connection = await connect(server.base_url)
    connection.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: lab\r\nContent-Length: 9\r\n\r\n{")
    # Answered after that has begun to wait.
    assert (await fetch(server, "/lab/health"))[0] == 200
    async with asyncio.timeout(_PATIENCE):
        await server.aclose()
    assert await connection.until_end() in {"fin", "rst"}


async def test_a_port_that_is_taken_is_an_error(server: ModelServer) -> None:
    """The second server on the same port says so, and can be closed all the same."""
    second = ModelServer(port=int(server.base_url.rpartition(":")[2]))
    with pytest.raises(OSError, match="address already in use"):
        await second.start()
    await second.aclose()


async def test_four_hundred_streams_run_at_the_same_time(server: ModelServer) -> None:
    """Each gets its own plan, whole, and none waits for another to end."""
    began = time.monotonic()
    plans = [f"tokens=5&ttft=500ms&interval=20ms&seed={seed}" for seed in range(400)]
    found = await asyncio.gather(*(exchange(server.base_url, request(plan)) for plan in plans))
    assert all(seen.whole and seen.numbers == [1, 2, 3, 4, 5] for seen in found)
    # One after another they would take 232 s.
    assert time.monotonic() - began < 60
    assert len({seen.body for seen in found}) == 400
