"""Faults and framing as a socket sees them: FIN, RST and clean ends apart, and the bytes exact."""

from __future__ import annotations

import json

import pytest

from lab.model import reply
from lab.model.schedule import make_schedule
from lab.model.server import ModelServer
from lab.plan import plan_from_query
from lab.wire import FORMATS, format_named
from lab.wire.format import Asked

from .raw import Connection, connect, exchange, parse, request

CHAT = format_named("openai-chat")


def whole_body(query: str, *, stream: bool = True) -> bytes:
    """The body that the plan makes, without its fault's end."""
    return b"".join(make_schedule(plan_from_query(query), CHAT, Asked("lab", stream)).payloads)


async def test_a_whole_stream_ends_with_its_last_chunk(server: ModelServer) -> None:
    """Each write is one chunk, the bytes are the schedule's, and the body's end comes before the FIN."""
    seen = await exchange(server.base_url, request("tokens=3&interval=1ms"))
    assert (seen.status, seen.whole, seen.end) == (200, True, "fin")
    assert seen.body == whole_body("tokens=3&interval=1ms")
    assert seen.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert seen.headers["transfer-encoding"] == "chunked"
    assert "date" not in seen.headers
    assert "x-accel-buffering" not in seen.headers


async def test_the_same_plan_gives_the_same_bytes(server: ModelServer) -> None:
    """Two replies differ in nothing, headers included, but for a clock stamp."""
    data = request("tokens=4&interval=1ms&jitter=2ms&seed=7&heartbeat=10ms", name="same")
    first, again = await exchange(server.base_url, data), await exchange(server.base_url, data)
    assert first.raw == again.raw
    clock = request("tokens=1&stamp=clock", name="same")
    first, again = await exchange(server.base_url, clock), await exchange(server.base_url, clock)
    assert first.raw != again.raw
    assert len(first.raw) == len(again.raw)


@pytest.mark.parametrize("path", [wire.path for wire in FORMATS.values()])
async def test_every_format_has_its_path(server: ModelServer, path: str) -> None:
    """The model server writes whatever the wire package knows."""
    seen = await exchange(server.base_url, request("tokens=2&interval=1ms", path=path, max_tokens=99))
    # OpenAI's Responses repeat the whole text at the end.
    assert (seen.status, seen.whole, set(seen.numbers)) == (200, True, {1, 2})


# How each fault ends: whether the framing's end came, the socket's end, the tokens that came.
ENDS = {
    "fin@2": (False, "fin", [1, 2]),
    "fin@0": (False, "fin", []),
    "rst@2": (False, "rst", [1, 2]),
    "rst@0": (False, "rst", []),
    "fin@end": (False, "fin", [1, 2, 3, 4]),
    "rst@end": (False, "rst", [1, 2, 3, 4]),
    "error@2": (True, "fin", [1, 2]),
    "no-marker@2": (True, "fin", [1, 2]),
    "forge@2": (True, "fin", [1, 2]),
    "cut-json@2": (True, "fin", [1, 2]),
    "cut-utf8@2": (True, "fin", [1, 2]),
    "drop@2": (True, "fin", [1, 2, 4]),
    "repeat@2": (True, "fin", [1, 2, 2, 3, 4]),
    "foreign@2": (True, "fin", [1, 2, 3, 4]),
}


@pytest.mark.parametrize("fault", ENDS)
async def test_a_fault_is_seen_at_the_socket_as_it_should_be(server: ModelServer, fault: str) -> None:
    """A cut by FIN, a cut by RST and a clean end are three things, and every byte before them arrives."""
    whole, end, numbers = ENDS[fault]
    plan = f"tokens=4&interval=1ms&fault={fault}"
    seen = await exchange(server.base_url, request(plan))
    assert (seen.status, seen.whole, seen.end, seen.numbers) == (200, whole, end, numbers)
    assert seen.body == whole_body(plan)


@pytest.mark.parametrize(("fault", "end"), [("fin@start", "fin"), ("rst@start", "rst")])
@pytest.mark.parametrize("plan", ["", "&headers=early", "&heartbeat=1ms&heartbeat_from=start"])
async def test_a_fault_at_the_start_comes_before_any_byte(server: ModelServer, fault: str, end: str, plan: str) -> None:
    """Neither early headers nor heartbeats get out."""
    seen = await exchange(server.base_url, request(f"ttft=20ms&fault={fault}{plan}"))
    assert (seen.raw, seen.end) == (b"", end)


@pytest.mark.parametrize("padding", [0, 50_000])
async def test_a_reset_lets_everything_before_it_arrive(server: ModelServer, padding: int) -> None:
    """A megabyte is on its way when the reset is due; the reset waits for it."""
    plan = f"tokens=20&interval=0s&padding={padding}&fault=rst@20"
    seen = await exchange(server.base_url, request(plan))
    assert seen.end == "rst"
    assert seen.body == whole_body(plan)


@pytest.mark.parametrize(
    ("fault", "numbers", "ends"),
    [("freeze@2", [1, 2], b"2@"), ("freeze@end", [1, 2, 3, 4], b"[DONE]\n\n\r\n")],
)
async def test_a_frozen_reply_stays_open_and_silent(
    server: ModelServer, fault: str, numbers: list[int], ends: bytes
) -> None:
    """No end of the body, no end of the connection, until the other side goes."""
    connection = await connect(server.base_url)
    connection.send(request(f"tokens=4&interval=1ms&heartbeat=2ms&fault={fault}", name="frozen"))
    await connection.until(ends)
    # Another request on another connection takes its time and ends: only then is silence a fact.
    other = await exchange(server.base_url, request("tokens=5&interval=20ms"))
    assert other.whole
    seen = parse(connection.data, connection.end)
    assert (seen.numbers, seen.whole, seen.end) == (numbers, False, "")
    connection.close()


async def test_a_frozen_reply_is_closed_in_the_end(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that never gives up does not hold a connection for ever."""
    monkeypatch.setattr(reply, "LONGEST_FREEZE", 0.05)
    seen = await exchange(server.base_url, request("tokens=4&interval=1ms&fault=freeze@2"))
    assert (seen.numbers, seen.whole, seen.end) == ([1, 2], False, "fin")


async def test_a_freeze_at_the_start_gives_no_byte(server: ModelServer) -> None:
    """A model server that took the request and never answers."""
    connection = await connect(server.base_url)
    connection.send(request("fault=freeze@start&headers=early"))
    other = await exchange(server.base_url, request("tokens=5&interval=20ms"))
    assert other.whole
    assert (connection.data, connection.end) == (b"", "")
    connection.close()


@pytest.mark.parametrize("stream", [True, False])
async def test_a_status_fault_answers_with_the_vendors_error(server: ModelServer, stream: bool) -> None:
    """The status, the document, its length, and when to come back, rounded up to whole seconds."""
    plan = "fault=status@429&retry_after=1500ms&headers=early"
    seen = await exchange(server.base_url, request(plan, stream=stream))
    assert (seen.status, seen.whole, seen.headers["content-type"]) == (429, True, "application/json")
    assert seen.headers["retry-after"] == "2"
    assert json.loads(seen.body)["error"]["type"] == "rate_limit_exceeded"


async def test_an_anthropic_overload_has_the_vendors_own_status(server: ModelServer) -> None:
    """529 is not in any table of HTTP's, and has no Retry-After unless asked for."""
    seen = await exchange(server.base_url, request("fault=status@529", path="/v1/messages", max_tokens=9))
    assert (seen.status, json.loads(seen.body)["error"]["type"]) == (529, "overloaded_error")
    assert "retry-after" not in seen.headers


# Framing

FRAMINGS = {
    "auto to 1.1": ("", "1.1", True, "chunked"),
    "auto to 1.0": ("", "1.0", True, "close"),
    "chunked to 1.0": ("framing=chunked", "1.0", True, "chunked"),
    "close to 1.1": ("framing=close", "1.1", True, "close"),
    "auto batch": ("", "1.1", False, "length"),
    "auto batch to 1.0": ("", "1.0", False, "length"),
    "length batch": ("framing=length", "1.1", False, "length"),
    "chunked batch": ("framing=chunked", "1.1", False, "chunked"),
    "close batch": ("framing=close", "1.1", False, "close"),
}


@pytest.mark.parametrize("case", FRAMINGS.values(), ids=FRAMINGS)
async def test_the_framing_is_the_plans(server: ModelServer, case: tuple[str, str, bool, str]) -> None:
    """Headers say one thing, the body does the same, and a body that ends by closing says so."""
    plan, version, stream, framing = case
    query = f"tokens=2&interval=1ms{'&' if plan else ''}{plan}"
    seen = await exchange(server.base_url, request(query, version=version, stream=stream))
    named = {name for name in ("transfer-encoding", "content-length") if name in seen.headers}
    assert named == {"chunked": {"transfer-encoding"}, "length": {"content-length"}, "close": set()}[framing]
    assert seen.whole
    assert seen.body == whole_body(query, stream=stream)
    assert seen.end == "fin"
    assert seen.headers["connection"] == "close"


@pytest.mark.parametrize("kind", ["fin", "rst"])
async def test_a_cut_batch_reply_falls_short_of_its_length(server: ModelServer, kind: str) -> None:
    """Headers promise the whole document, half of it comes, then the end."""
    plan = f"tokens=4&interval=1ms&fault={kind}@2"
    made = make_schedule(plan_from_query(plan), CHAT, Asked("lab", stream=False))
    seen = await exchange(server.base_url, request(plan, stream=False))
    assert (seen.whole, seen.end) == (False, kind)
    assert seen.headers["content-length"] == str(made.length)
    assert len(seen.body) == (made.length or 0) // 2


async def test_half_a_document_can_be_framed_as_if_it_were_whole(server: ModelServer) -> None:
    """`cut-json` of a batch reply: the length is kept, the JSON is not."""
    seen = await exchange(server.base_url, request("tokens=4&interval=1ms&fault=cut-json@2", stream=False))
    assert seen.whole
    with pytest.raises(json.JSONDecodeError):
        json.loads(seen.body)


async def test_an_error_document_can_come_with_a_200(server: ModelServer) -> None:
    """`error` of a batch reply: the vendor's error behind a success."""
    seen = await exchange(server.base_url, request("tokens=4&interval=1ms&fault=error@2", stream=False))
    assert (seen.status, seen.whole) == (200, True)
    assert "choices" not in json.loads(seen.body)
    assert "error" in json.loads(seen.body)


async def two_on_one(base_url: str, first: bytes, version: str = "1.1") -> Connection:
    """Send two requests, the second once the first is answered."""
    connection = await connect(base_url)
    connection.send(first)
    await connection.until(b"X-Lab-Request: one\r\n")
    connection.send(request("tokens=1", name="two", version=version, headers="Connection: close\r\n"))
    assert await connection.until_end() == "fin"
    return connection


@pytest.mark.parametrize("stream", [True, False])
async def test_a_connection_is_used_again_after_a_whole_reply(server: ModelServer, stream: bool) -> None:
    """As a proxy does with its upstream's connections."""
    connection = await two_on_one(server.base_url, request("tokens=2&interval=1ms", name="one", stream=stream))
    assert connection.data.count(b"HTTP/1.1 200 OK") == 2
    assert b"X-Lab-Request: two" in connection.data
    assert b"Connection: keep-alive" in connection.data.partition(b"\r\n\r\n")[0]


async def test_http_1_0_keeps_a_connection_only_where_it_asks_and_the_length_is_known(server: ModelServer) -> None:
    """`Connection: keep-alive` and a batch reply; without the header it closes."""
    asked = request("tokens=1", name="one", stream=False, version="1.0", headers="Connection: keep-alive\r\n")
    connection = await two_on_one(server.base_url, asked, version="1.0")
    assert connection.data.count(b"HTTP/1.1 200 OK") == 2
    connection = await connect(server.base_url)
    connection.send(request("tokens=1", stream=False, version="1.0"))
    assert await connection.until_end() == "fin"
    assert parse(connection.data, "fin").headers["connection"] == "close"


async def test_the_reply_header_that_switches_nginxs_buffering_off(server: ModelServer) -> None:
    """Only where the plan asks for it."""
    seen = await exchange(server.base_url, request("tokens=1&accel_buffering=no"))
    assert seen.headers["x-accel-buffering"] == "no"


# Order and time


async def test_early_headers_come_alone_and_late_ones_with_the_first_token(server: ModelServer) -> None:
    """Early: readable while the first token is still half a minute away. Late: in the same read as it."""
    connection = await connect(server.base_url)
    connection.send(request("ttft=30s&headers=early"))
    assert (await connection.until(b"\r\n\r\n")).endswith(b"\r\n\r\n")
    connection.close()
    connection = await connect(server.base_url)
    connection.send(request("ttft=50ms&tokens=2&interval=30s"))
    data = await connection.until(b":1@50ms")
    assert len(connection.times) == 1
    assert data.startswith(b"HTTP/1.1 200 OK")
    assert data.count(b"\r\n\r\n") == 1
    connection.close()


async def test_a_heartbeat_from_the_start_brings_the_headers(server: ModelServer) -> None:
    """The first token is half a minute away; headers and a comment come at once."""
    connection = await connect(server.base_url)
    connection.send(request("ttft=30s&heartbeat=10ms&heartbeat_from=start"))
    data = await connection.until(b": heartbeat\n\n\r\n")
    assert data.startswith(b"HTTP/1.1 200 OK")
    connection.close()


async def test_a_batch_reply_can_send_its_headers_early(server: ModelServer) -> None:
    """The length is known long before the body leaves."""
    connection = await connect(server.base_url)
    connection.send(request("tokens=1&ttft=30s&headers=early", stream=False))
    data = await connection.until(b"\r\n\r\n")
    assert b"Content-Length: " in data
    assert data.endswith(b"\r\n\r\n")
    connection.close()


async def test_a_slow_reader_gets_every_byte(server: ModelServer) -> None:
    """Twenty megabytes to a reader that pauses: the writer waits for it and loses nothing."""
    connection = await connect(server.base_url)
    assert connection.transport is not None
    connection.send(request("tokens=200&interval=0s&padding=100000", headers="Connection: close\r\n"))
    await connection.until(b"\r\n\r\n")
    connection.transport.pause_reading()
    other = await exchange(server.base_url, request("tokens=5&interval=10ms"))
    assert other.whole
    connection.transport.resume_reading()
    assert await connection.until_end() == "fin"
    seen = parse(connection.data, connection.end)
    assert seen.whole
    assert seen.numbers == list(range(1, 201))
