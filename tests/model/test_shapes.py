"""Answers in the shape that a request wants: calls of tools, JSON, thinking; read by the vendors' own clients."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, Literal

import anthropic
import ollama
import openai
import pytest
from pydantic import BaseModel

from lab.model.server import ModelServer

from .raw import exchange, request
from .test_server import ledgers

MODEL = "lab?tokens=5&interval=1ms"
ASKED: Any = [{"role": "user", "content": "Count."}]
SCHEMA = {
    "type": "object",
    "properties": {
        "place": {"type": "string"},
        "days": {"type": "integer", "minimum": 3},
        "said": {"const": 'a "b" \\ é'},
    },
    "required": ["place", "days", "said"],
}
TOOL: Any = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
ARGUMENTS = {"place": "amber", "days": 3, "said": 'a "b" \\ é'}


class Place(BaseModel):
    """An answer as an application describes it."""

    name: str
    kind: Literal["town", "city"]
    streets: list[str]


@pytest.fixture
async def chat(server: ModelServer) -> AsyncIterator[openai.AsyncOpenAI]:
    """OpenAI's client."""
    async with openai.AsyncOpenAI(base_url=f"{server.base_url}/v1", api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture
async def claude(server: ModelServer) -> AsyncIterator[anthropic.AsyncAnthropic]:
    """Anthropic's client."""
    async with anthropic.AsyncAnthropic(base_url=server.base_url, api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture
async def llama(server: ModelServer) -> AsyncIterator[ollama.AsyncClient]:
    """Ollama's client, closed by hand, since it has no way of its own."""
    client = ollama.AsyncClient(host=server.base_url)
    yield client
    await client._client.aclose()


async def test_chat_completions_call_a_tool(chat: openai.AsyncOpenAI) -> None:
    """Stream and batch hold the same call, with arguments as its schema says; after its result comes a text."""
    whole = (await chat.chat.completions.create(model=MODEL, messages=ASKED, tools=[TOOL])).choices[0]
    async with chat.chat.completions.stream(model=MODEL, messages=ASKED, tools=[TOOL]) as stream:
        pieces = [event async for event in stream if event.type == "tool_calls.function.arguments.delta"]
        streamed = (await stream.get_final_completion()).choices[0]
    assert whole.finish_reason == streamed.finish_reason == "tool_calls"
    for choice in (whole, streamed):
        (call,) = choice.message.tool_calls or ()
        assert call.type == "function"
        assert (call.function.name, json.loads(call.function.arguments)) == ("weather", ARGUMENTS)
        assert choice.message.content is None
    assert len(pieces) == 1 + 5, "the call's name, and then the arguments as the plan's tokens come"
    said: Any = [*ASKED, whole.message.model_dump(exclude_none=True)]
    said.append({"role": "tool", "tool_call_id": said[-1]["tool_calls"][0]["id"], "content": "rain"})
    answer = await chat.chat.completions.create(model=MODEL, messages=said, tools=[TOOL])
    assert (answer.choices[0].message.content or "").count("⟨") == 5


async def test_responses_call_a_tool(chat: openai.AsyncOpenAI) -> None:
    """The same with its own events, which are numbered without a gap, and its own result."""
    tool: Any = {"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}
    whole = await chat.responses.create(model=MODEL, input="Count.", tools=[tool])
    events: list[Any] = [
        e async for e in await chat.responses.create(model=MODEL, input="Count.", tools=[tool], stream=True)
    ]
    assert [event.sequence_number for event in events] == [*range(len(events))]
    for response in (whole, events[-1].response):
        (item,) = response.output
        assert (item.type, item.name, json.loads(item.arguments)) == ("function_call", "weather", ARGUMENTS)
    pieces = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
    assert json.loads("".join(pieces)) == ARGUMENTS
    result = {"type": "function_call_output", "call_id": whole.output[0].call_id, "output": "rain"}  # type: ignore[union-attr]
    said: Any = [*ASKED, whole.output[0].model_dump(), result]
    assert (await chat.responses.create(model=MODEL, input=said, tools=[tool])).output_text.count("⟨") == 5


async def test_messages_call_a_tool_and_show_their_thinking(claude: anthropic.AsyncAnthropic) -> None:
    """Each block has its place, and the input of a call is an object in both kinds of reply."""
    tool: Any = {"name": "weather", "input_schema": SCHEMA}
    thinking: Any = {"type": "enabled", "budget_tokens": 1024}
    options: dict[str, Any] = {"model": MODEL, "max_tokens": 2048, "messages": ASKED, "thinking": thinking}
    for more, kinds in (({"tools": [tool]}, ["thinking", "tool_use"]), ({}, ["thinking", "text"])):
        whole = await claude.messages.create(**options, **more)
        async with claude.messages.stream(**options, **more) as stream:
            streamed = await stream.get_final_message()
        assert [block.type for block in whole.content] == [block.type for block in streamed.content] == kinds
        assert [block.model_dump(exclude={"parsed_output"}) for block in streamed.content] == [
            block.model_dump() for block in whole.content
        ]
        assert whole.stop_reason == streamed.stop_reason == ("tool_use" if more else "end_turn")
        if more:
            assert whole.content[1].input == ARGUMENTS  # type: ignore[union-attr]


async def test_ollama_calls_a_tool_and_shows_its_thinking(llama: ollama.AsyncClient) -> None:
    """A call comes whole, in a line before the last."""
    whole = await llama.chat(model=MODEL, messages=ASKED, tools=[TOOL])
    lines = [line async for line in await llama.chat(model=MODEL, messages=ASKED, tools=[TOOL], stream=True)]
    (call,) = whole.message.tool_calls or ()
    # The client sends of a schema what it knows, which is types.
    assert (call.function.name, [*call.function.arguments]) == ("weather", [*ARGUMENTS])
    assert [bool(line.message.tool_calls) for line in lines[-2:]] == [True, False]
    assert (await llama.chat(model=MODEL, messages=ASKED, think=True)).message.thinking
    thought = [
        line.message.thinking async for line in await llama.chat(model=MODEL, messages=ASKED, think=True, stream=True)
    ]
    assert [bool(each) for each in thought] == [True, *([False] * (len(thought) - 1))]


async def test_an_answer_is_what_its_schema_says(
    llama: ollama.AsyncClient, chat: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic
) -> None:
    """Each client parses it into the application's own class, from a stream too."""
    async with chat.chat.completions.stream(model=MODEL, messages=ASKED, response_format=Place) as stream:
        streamed = (await stream.get_final_completion()).choices[0].message.parsed
    parsed = await chat.chat.completions.parse(model=MODEL, messages=ASKED, response_format=Place)
    response = await chat.responses.parse(model=MODEL, input="Count.", text_format=Place)
    message = await claude.messages.create(
        model=MODEL,
        max_tokens=99,
        messages=ASKED,
        extra_body={"output_config": {"format": {"type": "json_schema", "schema": Place.model_json_schema()}}},
    )
    said = await llama.chat(model=MODEL, messages=ASKED, format=Place.model_json_schema())
    places = [
        streamed,
        parsed.choices[0].message.parsed,
        response.output_parsed,
        Place.model_validate_json(message.content[0].text),  # type: ignore[union-attr]
        Place.model_validate_json(said.message.content or ""),
    ]
    assert places == [Place(name="amber", kind="town", streets=["anchor"])] * 5


async def test_the_ledger_has_the_pieces_of_a_call(server: ModelServer) -> None:
    """They leave at the plan's times, as tokens do, and a death amid them is one."""
    data = request("tokens=5&interval=10ms&fault=fin@3", name="called", tools=[TOOL])
    seen = await exchange(server.base_url, data)
    (ledger,) = await ledgers(server, "called")
    assert not seen.whole
    assert [token.number for token in ledger.tokens] == [1, 2, 3]
    assert all(token.at >= ledger.started + 0.01 * (token.number - 1) for token in ledger.tokens)


@pytest.mark.parametrize("fault", ["cut-json@1", "cut-utf8@1", "foreign@1"])
async def test_a_fault_inside_a_token_needs_one(server: ModelServer, fault: str) -> None:
    """An answer of JSON has no tokens of the lab's own to spoil."""
    seen = await exchange(server.base_url, request(f"tokens=5&fault={fault}", tools=[TOOL]))
    assert seen.status == 400
    assert json.loads(seen.body)["error"]["message"].startswith("fault: ")


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "batch"])
async def test_an_answer_ends_before_a_stop_text(server: ModelServer, stream: bool) -> None:
    """The token that would have it is left out, with all behind it; one that never comes changes nothing."""
    for stop, numbers in ((":4@", [1, 2, 3]), (["never", "1@"], []), ("never", [1, 2, 3, 4, 5])):
        seen = await exchange(server.base_url, request("tokens=5&interval=1ms", stop=stop, stream=stream))
        assert (seen.whole, seen.numbers) == (True, numbers)
        assert b'"finish_reason":"stop"' in seen.body
