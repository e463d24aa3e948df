"""Ollama's Python client, unmodified, sync and async."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import ollama
import pytest

from lab.model.server import ModelServer
from lab.wire.tokens import read_tokens

ASK = [{"role": "user", "content": "Count."}]
PLAN = "lab?tokens=5&interval=1ms"


@pytest.fixture
async def llama(server: ModelServer) -> AsyncIterator[ollama.AsyncClient]:
    """The asynchronous client, told only where to go."""
    client = ollama.AsyncClient(host=server.base_url)
    yield client
    await client._client.aclose()


def numbers(text: str) -> list[int]:
    """The numbers of the tokens in a text."""
    return [stamp.number for stamp in read_tokens(text)]


class Heard:
    """What the client told of one reply: its text, and the last part."""

    def __init__(self) -> None:
        self.text = ""
        self.last: Any = None

    def take(self, part: ollama.ChatResponse) -> None:
        """Note one part."""
        self.text += part.message.content or ""
        self.last = part


async def chat(client: ollama.AsyncClient, model: str, heard: Heard, **options: Any) -> Heard:
    """Stream a chat to its end."""
    async for part in await client.chat(model=model, messages=ASK, stream=True, **options):
        heard.take(part)
    return heard


async def test_ollama_streams(llama: ollama.AsyncClient) -> None:
    """Five tokens, heartbeats between them, a reason and a count in the last part."""
    heard = await chat(llama, f"{PLAN.replace('1ms', '5ms')}&heartbeat=1ms", Heard())
    assert numbers(heard.text) == [1, 2, 3, 4, 5]
    assert (heard.last.done, heard.last.done_reason, heard.last.eval_count) == (True, "stop", 5)


async def test_ollama_batch(llama: ollama.AsyncClient) -> None:
    """The same five in one document, and its limit declared."""
    whole = await llama.chat(model=PLAN, messages=ASK)
    short = await llama.chat(model=PLAN, messages=ASK, options={"num_predict": 3})
    assert (numbers(whole.message.content or ""), whole.done_reason) == ([1, 2, 3, 4, 5], "stop")
    assert (numbers(short.message.content or ""), short.done_reason) == ([1, 2, 3], "length")


async def test_ollama_sync(server: ModelServer) -> None:
    """The synchronous client hears the same, streamed and in one document."""

    def work() -> tuple[Heard, str | None]:
        client, heard = ollama.Client(host=server.base_url), Heard()
        try:
            for part in client.chat(model=PLAN, messages=ASK, stream=True):
                heard.take(part)
            return heard, client.chat(model=PLAN, messages=ASK).message.content
        finally:
            client._client.close()

    heard, batch = await asyncio.to_thread(work)
    assert heard.text == batch
    assert numbers(heard.text) == [1, 2, 3, 4, 5]
    assert heard.last.done


async def test_ollama_sees_its_own_limit(llama: ollama.AsyncClient) -> None:
    """Two of five tokens, declared."""
    heard = await chat(llama, PLAN, Heard(), options={"num_predict": 2})
    assert (numbers(heard.text), heard.last.done_reason) == ([1, 2], "length")


OLLAMA_ERRORS = {"status@400": 400, "status@404": 404, "status@503": 503, "error@2": -1}


@pytest.mark.parametrize(("fault", "status"), OLLAMA_ERRORS.items(), ids=OLLAMA_ERRORS)
async def test_ollama_knows_its_errors(llama: ollama.AsyncClient, fault: str, status: int) -> None:
    """Each fault becomes the client's own exception; an error in a stream has no status."""
    with pytest.raises(ollama.ResponseError, match="the plan asked for") as caught:
        await chat(llama, f"{PLAN}&fault={fault}", Heard())
    assert caught.value.status_code == status


OLLAMA_CUTS: dict[str, type[Exception]] = {
    "fin@2": httpx.RemoteProtocolError,
    "rst@2": httpx.ReadError,
    # Half a line is no JSON, and the client does not catch that.
    "cut-json@2": ValueError,
    "cut-utf8@2": ValueError,
}


@pytest.mark.parametrize(("fault", "error"), OLLAMA_CUTS.items(), ids=OLLAMA_CUTS)
async def test_ollama_sees_a_cut(llama: ollama.AsyncClient, fault: str, error: type[Exception]) -> None:
    """Two tokens, then an exception that is not the client's own."""
    heard = Heard()
    with pytest.raises(error):
        await chat(llama, f"{PLAN}&fault={fault}", heard)
    assert numbers(heard.text) == [1, 2]


async def test_ollama_times_out_on_a_silence(server: ModelServer) -> None:
    """With a timeout given, which the client does not have by itself, the wait ends after two tokens."""
    client, heard = ollama.AsyncClient(host=server.base_url, timeout=3), Heard()
    with pytest.raises(httpx.ReadTimeout):
        await chat(client, f"{PLAN}&fault=freeze@2", heard)
    await client._client.aclose()
    assert numbers(heard.text) == [1, 2]


# What the client hears without an exception: the tokens, and whether the last part says that all is done.
OLLAMA_SILENT: dict[str, tuple[list[int], bool]] = {
    "no-marker@2": ([1, 2], False),
    "forge@2": ([1, 2], True),
    "drop@2": ([1, 2, 4, 5], True),
    "repeat@2": ([1, 2, 2, 3, 4, 5], True),
    "foreign@2": ([1, 2, 3, 4, 5], True),
}


@pytest.mark.parametrize("fault", OLLAMA_SILENT)
async def test_ollama_takes_these_for_an_end(llama: ollama.AsyncClient, fault: str) -> None:
    """No exception, whatever is missing."""
    tokens, done = OLLAMA_SILENT[fault]
    heard = await chat(llama, f"{PLAN}&fault={fault}", Heard())
    assert (numbers(heard.text), bool(heard.last.done)) == (tokens, done)
