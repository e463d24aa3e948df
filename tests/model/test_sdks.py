"""The vendors' own SDKs, unmodified: they get a base URL, a key and a model's name, nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anthropic
import httpx2
import openai
import pytest

from lab.model.server import ModelServer
from lab.wire.tokens import read_tokens

ASK = [{"role": "user", "content": "Count."}]


@pytest.fixture
async def chat(server: ModelServer) -> AsyncIterator[openai.AsyncOpenAI]:
    """OpenAI's client, told only where to go; no retries, so that each error is the first."""
    async with openai.AsyncOpenAI(base_url=f"{server.base_url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
async def claude(server: ModelServer) -> AsyncIterator[anthropic.AsyncAnthropic]:
    """Anthropic's client, likewise."""
    async with anthropic.AsyncAnthropic(base_url=server.base_url, api_key="none", max_retries=0) as client:
        yield client


def numbers(text: str) -> list[int]:
    """The numbers of the tokens in a text."""
    return [stamp.number for stamp in read_tokens(text)]


async def claude_stream(client: anthropic.AsyncAnthropic, model: str) -> anthropic.types.Message:
    """Stream a message to its end."""
    async with client.messages.stream(model=model, max_tokens=99, messages=ASK) as stream:  # type: ignore[arg-type]
        return await stream.get_final_message()


async def chat_stream(client: openai.AsyncOpenAI, model: str, **options: object) -> tuple[str, str | None, int | None]:
    """Stream an answer: its text, its finish reason, its count of tokens."""
    text, reason, count = "", None, None
    stream = await client.chat.completions.create(model=model, messages=ASK, stream=True, **options)  # type: ignore[call-overload]
    async for chunk in stream:
        for choice in chunk.choices:
            text += choice.delta.content or ""
            reason = choice.finish_reason or reason
        count = chunk.usage.completion_tokens if chunk.usage else count
    return text, reason, count


async def test_openai_streams(chat: openai.AsyncOpenAI) -> None:
    """Five tokens, a reason, and the usage that was asked for."""
    text, reason, count = await chat_stream(
        chat, "lab?tokens=5&interval=1ms&heartbeat=1ms", stream_options={"include_usage": True}
    )
    assert (numbers(text), reason, count) == ([1, 2, 3, 4, 5], "stop", 5)


async def test_openai_batch(chat: openai.AsyncOpenAI) -> None:
    """The same five in one document."""
    reply = await chat.chat.completions.create(model="lab?tokens=5&interval=1ms", messages=ASK)  # type: ignore[arg-type]
    assert numbers(reply.choices[0].message.content or "") == [1, 2, 3, 4, 5]
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 5


async def test_openai_sees_its_own_limit(chat: openai.AsyncOpenAI) -> None:
    """Two of five tokens, declared."""
    text, reason, _ = await chat_stream(chat, "lab?tokens=5&interval=1ms", max_completion_tokens=2)
    assert (numbers(text), reason) == ([1, 2], "length")


async def test_openai_lists_models(chat: openai.AsyncOpenAI) -> None:
    """For clients that ask first."""
    assert [model.id for model in (await chat.models.list()).data] == ["lab"]


OPENAI_ERRORS = {
    "status@400": openai.BadRequestError,
    "status@401": openai.AuthenticationError,
    "status@429": openai.RateLimitError,
    "status@503": openai.InternalServerError,
    "error@2": openai.APIError,
}


@pytest.mark.parametrize(("fault", "error"), OPENAI_ERRORS.items(), ids=OPENAI_ERRORS)
async def test_openai_knows_its_errors(chat: openai.AsyncOpenAI, fault: str, error: type[Exception]) -> None:
    """Each fault becomes the SDK's own exception for it."""
    with pytest.raises(error, match="the plan asked for"):
        await chat_stream(chat, f"lab?tokens=5&interval=1ms&fault={fault}")


async def test_openai_refuses_a_bad_plan_with_its_own_exception(chat: openai.AsyncOpenAI) -> None:
    """The message names the field."""
    with pytest.raises(openai.BadRequestError, match="colour"):
        await chat_stream(chat, "lab?colour=red")


@pytest.mark.parametrize(
    ("fault", "error"), [("fin@2", httpx2.RemoteProtocolError), ("rst@2", httpx2.ReadError)], ids=["fin", "rst"]
)
async def test_openai_sees_a_cut(chat: openai.AsyncOpenAI, fault: str, error: type[Exception]) -> None:
    """Two tokens, then a connection error; its cause tells FIN and RST apart."""
    pieces: list[str] = []

    async def read() -> None:
        async for chunk in stream:  # type: ignore[union-attr]
            pieces.append(chunk.choices[0].delta.content or "")

    model = f"lab?tokens=5&interval=1ms&fault={fault}"
    stream = await chat.chat.completions.create(model=model, messages=ASK, stream=True)  # type: ignore[arg-type]
    with pytest.raises(openai.APIConnectionError) as caught:
        await read()
    assert numbers("".join(pieces)) == [1, 2]
    assert isinstance(caught.value.__cause__, error)


async def test_openai_takes_a_clean_end_for_a_whole_answer(chat: openai.AsyncOpenAI) -> None:
    """The failure that the lab is about: two of five tokens, no reason, and no exception."""
    text, reason, _ = await chat_stream(chat, "lab?tokens=5&interval=1ms&fault=no-marker@2")
    assert (numbers(text), reason) == ([1, 2], None)


async def test_anthropic_streams(claude: anthropic.AsyncAnthropic) -> None:
    """Five tokens with pings between them, a reason and a count."""
    model = "lab?tokens=5&interval=3ms&heartbeat=1ms"
    async with claude.messages.stream(model=model, max_tokens=99, messages=ASK) as stream:  # type: ignore[arg-type]
        text = "".join([piece async for piece in stream.text_stream])
        message = await stream.get_final_message()
    assert numbers(text) == [1, 2, 3, 4, 5]
    assert (message.stop_reason, message.usage.output_tokens) == ("end_turn", 5)


async def test_anthropic_batch(claude: anthropic.AsyncAnthropic) -> None:
    """The same five in one document, and its limit declared."""
    reply = await claude.messages.create(model="lab?tokens=5&interval=1ms", max_tokens=3, messages=ASK)  # type: ignore[arg-type]
    block = reply.content[0]
    assert isinstance(block, anthropic.types.TextBlock)
    assert (numbers(block.text), reply.stop_reason, reply.usage.output_tokens) == ([1, 2, 3], "max_tokens", 3)


ANTHROPIC_ERRORS = {
    "status@400": (anthropic.BadRequestError, "invalid_request_error"),
    "status@429": (anthropic.RateLimitError, "rate_limit_error"),
    "status@529": (anthropic.APIStatusError, "overloaded_error"),
    "error@2": (anthropic.APIStatusError, "api_error"),
}


@pytest.mark.parametrize(("fault", "error"), ANTHROPIC_ERRORS.items(), ids=ANTHROPIC_ERRORS)
async def test_anthropic_knows_its_errors(
    claude: anthropic.AsyncAnthropic, fault: str, error: tuple[type[anthropic.APIStatusError], str]
) -> None:
    """Each fault becomes the SDK's own exception, with the vendor's own word for it."""
    model = f"lab?tokens=5&interval=1ms&fault={fault}"
    with pytest.raises(error[0]) as caught:
        await claude_stream(claude, model)
    assert error[1] in str(caught.value)
    # An error in a stream that began as a success keeps the success's status.
    assert caught.value.status_code == (200 if fault == "error@2" else int(fault.removeprefix("status@")))
