"""What reaches the model server where a gateway takes headers out: by the model's name, and by the user's message."""

from __future__ import annotations

import json
import time

import pytest
from pydantic import TypeAdapter

from lab.directive import Directive
from lab.evidence import Ledger
from lab.model.server import ModelServer
from lab.plan import make_plan
from lab.wire import FORMATS
from lab.wire.directive import in_message, in_model
from lab.wire.events import Text
from lab.wire.format import WireFormat

from .raw import Seen, exchange, request
from .test_server import ledgers

SAID = Directive(make_plan({"tokens": 3, "interval": "1ms"}), request="9f3c")


async def asked(server: ModelServer, wire: WireFormat, *, model: str = "lab", prompt: str = "x", **more: bool) -> Seen:
    """What comes for a request as a client of that format sends it."""
    ask = wire.ask(model, stream=more.get("stream", True), max_tokens=99, prompt=prompt)
    head = f"POST {ask.path} HTTP/1.1\r\nHost: lab\r\nContent-Length: {len(ask.body)}\r\n\r\n"
    return await exchange(server.base_url, head.encode() + ask.body)


@pytest.mark.parametrize("wire", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("place", ["model", "message"])
async def test_plan_and_id_are_read_in_every_format(server: ModelServer, wire: WireFormat, place: str) -> None:
    """Three tokens, and the ledger has them under that id."""
    query = SAID.to_query()
    if place == "model":
        seen = await asked(server, wire, model=in_model("house-model", query))
    else:
        seen = await asked(server, wire, model="house-model", prompt=in_message("Count.", query))
    # Some formats repeat the text at the end.
    assert (seen.whole, {*seen.numbers}) == (True, {1, 2, 3})
    assert seen.headers["x-lab-request"] == "9f3c"
    (ledger,) = await ledgers(server, "9f3c")
    assert [token.number for token in ledger.tokens] == [1, 2, 3]


@pytest.mark.parametrize("wire", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "batch"])
async def test_a_ledger_can_be_the_answer(server: ModelServer, wire: WireFormat, stream: bool) -> None:
    """A path that passes nothing but questions shows by it what came to the model server, and how often."""
    for _ in range(2):
        await asked(server, wire, prompt=in_message("Count.", SAID.to_query()))
    query = Directive(request="51aa", ledger="9f3c").to_query()
    seen = await asked(server, wire, prompt=in_message("Count.", query), stream=stream)
    if stream:
        reader = wire.reader()
        events = [*reader.feed(seen.body), *reader.close()]
    else:
        events = wire.read_batch(seen.body)
    text = "".join(event.text for event in events if isinstance(event, Text))
    found = TypeAdapter(list[Ledger]).validate_json(text)
    assert [ledger.attempt for ledger in found] == [1, 2]
    assert [ledger.tokens for ledger in found] == [ledger.tokens for ledger in await ledgers(server, "9f3c")]


@pytest.mark.parametrize(("token", "known"), [("9f3c:2", True), ("nobody:1", False)])
async def test_a_token_can_be_confirmed_by_a_question(server: ModelServer, token: str, known: bool) -> None:
    """The answer's text is the ledger's clock, and whether anybody knows that request."""
    chat = FORMATS["openai-chat"]
    await asked(server, chat, prompt=in_message("Count.", SAID.to_query()))
    prompt = in_message("Count.", Directive(request="51aa", confirm=token).to_query())
    before = time.monotonic()
    seen = await asked(server, chat, prompt=prompt, stream=False)
    (text,) = [each.text for each in chat.read_batch(seen.body) if isinstance(each, Text)]
    answer = json.loads(text)
    assert answer["known"] is known
    assert before <= answer["now"] <= time.monotonic()


async def test_a_ledger_that_nobody_knows_is_empty(server: ModelServer) -> None:
    """The path was passed, and the request never came: that is an answer too."""
    seen = await exchange(server.base_url, request(model="lab?ledger=nobody", stream=False))
    assert json.loads(seen.body)["choices"][0]["message"]["content"] == "[]"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (request("tokens=4", messages=[{"role": "user", "content": "[lab?tokens=3]"}]), "X-Lab-Plan: another plan"),
        (
            request(name="a", messages=[{"role": "user", "content": "[lab?request=b]"}]),
            "X-Lab-Request: another request",
        ),
        (request(messages=[{"role": "user", "content": "[lab?colour=red]"}]), "message: colour: no such field"),
        (request(model="lab?request=a/b"), "model: request: "),
    ],
    ids=["plans", "ids", "field", "id"],
)
async def test_a_directive_that_makes_no_sense_is_refused(server: ModelServer, data: bytes, words: str) -> None:
    """Status 400, and the place and the field by name."""
    seen = await exchange(server.base_url, data)
    assert seen.status == 400
    assert words in json.loads(seen.body)["error"]["message"]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"stream":true}', b'{"model":"house-model"}'])
@pytest.mark.parametrize("wire", FORMATS.values(), ids=FORMATS)
async def test_a_plan_in_the_header_is_enough(server: ModelServer, wire: WireFormat, body: bytes) -> None:
    """What to answer is said; a model and a question would change nothing."""
    head = b"POST %b HTTP/1.1\r\nHost: lab\r\nX-Lab-Plan: tokens=2&interval=1ms\r\nContent-Length: %d\r\n\r\n"
    seen = await exchange(server.base_url, head % (wire.path.encode(), len(body)) + body)
    assert (seen.status, {*seen.numbers}) == (200, {1, 2})
