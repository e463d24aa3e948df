"""OpenAI's SDK on the Responses, unmodified, sync and async."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai
import pytest

from lab.model.server import ModelServer
from lab.wire.tokens import read_tokens

PLAN = "lab?tokens=5&interval=1ms"


@pytest.fixture
async def responses(server: ModelServer) -> AsyncIterator[openai.AsyncOpenAI]:
    """The asynchronous client, told only where to go; no retries, so that each error is the first."""
    async with openai.AsyncOpenAI(base_url=f"{server.base_url}/v1", api_key="none", max_retries=0) as client:
        yield client


def numbers(text: str) -> list[int]:
    """The numbers of the tokens in a text."""
    return [stamp.number for stamp in read_tokens(text)]


class Heard:
    """What the client told of one reply: its text, the types of its events, and the last event."""

    def __init__(self) -> None:
        self.text = ""
        self.kinds: list[str] = []
        self.last: Any = None

    def take(self, event: Any) -> None:
        """Note one event."""
        self.kinds.append(event.type)
        self.text += event.delta if event.type == "response.output_text.delta" else ""
        self.last = event


async def stream_responses(client: openai.AsyncOpenAI, model: str, heard: Heard, **options: Any) -> Heard:
    """Stream a response to its end."""
    async for event in await client.responses.create(model=model, input="Count.", stream=True, **options):
        heard.take(event)
    return heard


async def test_responses_stream(responses: openai.AsyncOpenAI) -> None:
    """Every event is numbered from 0 without a gap, and the last one repeats the text and counts the tokens."""
    sequence: list[int] = []
    heard = Heard()
    async for event in await responses.responses.create(model=PLAN, input="Count.", stream=True):
        sequence.append(event.sequence_number)
        heard.take(event)
    assert heard.kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * 5,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert sequence == [*range(13)]
    assert numbers(heard.text) == [1, 2, 3, 4, 5]
    assert heard.last.response.output_text == heard.text
    assert heard.last.response.usage.output_tokens == 5


async def test_responses_stream_in_the_sdks_own_manager(responses: openai.AsyncOpenAI) -> None:
    """The SDK puts the answer together from the events by its own rules."""
    async with responses.responses.stream(model=f"{PLAN}&heartbeat=1ms", input="Count.") as stream:
        final = await stream.get_final_response()
    assert numbers(final.output_text) == [1, 2, 3, 4, 5]
    assert final.status == "completed"


async def test_responses_batch(responses: openai.AsyncOpenAI) -> None:
    """The same five in one document."""
    reply = await responses.responses.create(model=PLAN, input="Count.")
    assert numbers(reply.output_text) == [1, 2, 3, 4, 5]
    assert reply.status == "completed"
    assert reply.usage is not None
    assert reply.usage.output_tokens == 5


async def test_responses_sync(server: ModelServer) -> None:
    """The synchronous client hears the same, streamed and in one document."""

    def work() -> tuple[Heard, str]:
        heard = Heard()
        with openai.OpenAI(base_url=f"{server.base_url}/v1", api_key="none", max_retries=0) as client:
            for event in client.responses.create(model=PLAN, input="Count.", stream=True):
                heard.take(event)
            return heard, client.responses.create(model=PLAN, input="Count.").output_text

    heard, batch = await asyncio.to_thread(work)
    assert heard.text == batch
    assert numbers(batch) == [1, 2, 3, 4, 5]
    assert heard.kinds[-1] == "response.completed"


@pytest.mark.parametrize(
    ("plan", "options", "reason", "tokens"),
    [
        ("", {"max_output_tokens": 2}, "max_output_tokens", 2),
        ("&finish=content-filter", {}, "content_filter", 5),
    ],
    ids=["limit", "filter"],
)
async def test_responses_declare_a_partial_answer(
    responses: openai.AsyncOpenAI, plan: str, options: dict[str, Any], reason: str, tokens: int
) -> None:
    """An incomplete response says why, streamed and in one document."""
    heard = await stream_responses(responses, PLAN + plan, Heard(), **options)
    batch = await responses.responses.create(model=PLAN + plan, input="Count.", **options)
    for reply in (heard.last.response, batch):
        assert (reply.status, reply.incomplete_details.reason) == ("incomplete", reason)
        assert len(numbers(reply.output_text)) == tokens


RESPONSES_ERRORS = {
    "status@400": openai.BadRequestError,
    "status@401": openai.AuthenticationError,
    "status@429": openai.RateLimitError,
    "status@503": openai.InternalServerError,
    "error@2": openai.APIError,
}


@pytest.mark.parametrize(("fault", "error"), RESPONSES_ERRORS.items(), ids=RESPONSES_ERRORS)
async def test_responses_know_their_errors(responses: openai.AsyncOpenAI, fault: str, error: type[Exception]) -> None:
    """Each fault becomes the SDK's own exception for it."""
    with pytest.raises(error, match="the plan asked for"):
        await stream_responses(responses, f"{PLAN}&fault={fault}", Heard())


async def test_responses_choke_on_half_a_character(responses: openai.AsyncOpenAI) -> None:
    """Half an event is dropped without a word (see below), but half a character raises, and not the SDK's own error."""
    heard = Heard()
    with pytest.raises(UnicodeDecodeError):
        await stream_responses(responses, f"{PLAN}&fault=cut-utf8@2", heard)
    assert numbers(heard.text) == [1, 2]


RESPONSES_CUTS = {"fin@2": httpx2.RemoteProtocolError, "rst@2": httpx2.ReadError}


@pytest.mark.parametrize(("fault", "cause"), RESPONSES_CUTS.items(), ids=RESPONSES_CUTS)
async def test_responses_see_a_cut(responses: openai.AsyncOpenAI, fault: str, cause: type[Exception]) -> None:
    """Two tokens, then a connection error; its cause tells FIN and RST apart."""
    heard = Heard()
    with pytest.raises(openai.APIConnectionError) as caught:
        await stream_responses(responses, f"{PLAN}&fault={fault}", heard)
    assert numbers(heard.text) == [1, 2]
    assert isinstance(caught.value.__cause__, cause)


async def test_responses_timeout_on_a_silence(server: ModelServer) -> None:
    """The client's own patience ends the wait, after two tokens."""
    heard = Heard()
    async with openai.AsyncOpenAI(base_url=f"{server.base_url}/v1", api_key="none", max_retries=0, timeout=3) as client:
        with pytest.raises(openai.APITimeoutError):
            await stream_responses(client, f"{PLAN}&fault=freeze@2", heard)
    assert numbers(heard.text) == [1, 2]


# What the SDK hears without an exception: the tokens, the last event, and whether the repeated text is another.
RESPONSES_SILENT: dict[str, tuple[list[int], str, bool]] = {
    "no-marker@2": ([1, 2], "response.output_text.delta", False),
    "cut-json@2": ([1, 2], "response.output_text.delta", False),
    "forge@2": ([1, 2], "response.completed", False),
    "drop@2": ([1, 2, 4, 5], "response.completed", True),
    "repeat@2": ([1, 2, 2, 3, 4, 5], "response.completed", True),
    "foreign@2": ([1, 2, 3, 4, 5], "response.completed", True),
}


@pytest.mark.parametrize("fault", RESPONSES_SILENT)
async def test_responses_take_these_for_an_end(responses: openai.AsyncOpenAI, fault: str) -> None:
    """No exception; only the missing or the repeated text could tell."""
    tokens, last, differs = RESPONSES_SILENT[fault]
    heard = await stream_responses(responses, f"{PLAN}&fault={fault}", Heard())
    assert (numbers(heard.text), heard.kinds[-1]) == (tokens, last)
    if last == "response.completed":
        assert (heard.last.response.output_text != heard.text) is differs
