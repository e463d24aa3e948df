"""Every way to read an SDK's stream with the adapters, each a function from a plan to what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import anthropic
import openai

from lab.consume import Answer
from lab.consume.sdk import answer_to, aread, awatch, read, watch

_T = TypeVar("_T")

ASK: list[Any] = [{"role": "user", "content": "Count."}]

# Never reached: only a frozen reply waits for a time-out, and those are asked by the impatient.
PATIENT = 120.0


@dataclass(frozen=True)
class Told:
    """What came of one request.

    Args:
        answer: the adapter's answer.
        shown: the text that the application was given on the way: by `on_text`, or in the SDK's own objects.
    """

    answer: Answer
    shown: str


class Clients:
    """The SDKs' clients at one address, without repetitions, so that each error is the first."""

    def __init__(self, url: str, timeout: float = PATIENT) -> None:
        options: dict[str, Any] = {"api_key": "none", "max_retries": 0, "timeout": timeout}
        self.openai = openai.OpenAI(base_url=f"{url}/v1", **options)
        self.aopenai = openai.AsyncOpenAI(base_url=f"{url}/v1", **options)
        self.anthropic = anthropic.Anthropic(base_url=url, **options)
        self.aanthropic = anthropic.AsyncAnthropic(base_url=url, **options)

    def close(self) -> None:
        """Close the synchronous ones."""
        self.openai.close()
        self.anthropic.close()

    async def aclose(self) -> None:
        """Close the asynchronous ones."""
        await self.aopenai.close()
        await self.aanthropic.close()


def _chat(client: Any, model: str) -> Any:
    return client.chat.completions.create(model=model, messages=ASK, stream=True)


def _responses(client: Any, model: str) -> Any:
    return client.responses.create(model=model, input="Count.", stream=True)


def _messages(client: Any, model: str) -> Any:
    return client.messages.create(model=model, max_tokens=999, messages=ASK, stream=True)


def _helper(client: Any, model: str) -> Any:
    return client.messages.stream(model=model, max_tokens=999, messages=ASK)


def _text_in(item: Any) -> str:
    """The text in one of the SDKs' typed objects, whichever of the three kinds it is."""
    if hasattr(item, "choices"):
        return "".join(choice.delta.content or "" for choice in item.choices)
    if item.type == "response.output_text.delta":
        return str(item.delta)
    if item.type == "content_block_delta" and item.delta.type == "text_delta":
        return str(item.delta.text)
    return ""


def _read(call: Callable[[], Any]) -> Told:
    shown: list[str] = []
    return Told(read(call, on_text=shown.append), "".join(shown))


async def _aread(call: Callable[[], Any]) -> Told:
    shown: list[str] = []
    return Told(await aread(call(), on_text=shown.append), "".join(shown))


def _watch(call: Callable[[], Any]) -> Told:
    shown: list[str] = []
    try:
        opened = call()
        with opened if hasattr(opened, "__enter__") else nullcontext(opened) as stream, watch(stream) as watched:
            for item in watched:
                shown.append(_text_in(item))
    except (openai.APIError, anthropic.APIError) as error:
        return Told(answer_to(error), "")
    return Told(watched.answer, "".join(shown))


async def _awatch(call: Callable[[], Any]) -> Told:
    shown: list[str] = []
    try:
        opened = call()
        if isinstance(opened, Awaitable):
            opened = await opened
        async with opened as stream, awatch(stream) as watched:
            async for item in watched:
                shown.append(_text_in(item))
    except (openai.APIError, anthropic.APIError) as error:
        return Told(answer_to(error), "")
    return Told(watched.answer, "".join(shown))


_CALLS: Mapping[str, tuple[Callable[[Any, str], Any], str]] = {
    "openai-chat": (_chat, "openai"),
    "openai-responses": (_responses, "openai"),
    "anthropic-create": (_messages, "anthropic"),
    "anthropic-stream": (_helper, "anthropic"),
}


def _go(
    verb: Callable[[Callable[[], Any]], _T], call: Callable[[Any, str], Any], client: str, where: Clients, model: str
) -> _T:
    return verb(lambda: call(getattr(where, client), model))


SYNC: Mapping[str, Callable[[Clients, str], Told]] = {
    f"{name}-{verb.__name__.strip('_')}": partial(_go, verb, call, sdk)
    for name, (call, sdk) in _CALLS.items()
    for verb in (_read, _watch)
}
ASYNC: Mapping[str, Callable[[Clients, str], Coroutine[Any, Any, Told]]] = {
    f"{name}-{verb.__name__.strip('_')}": partial(_go, verb, call, f"a{sdk}")
    for name, (call, sdk) in _CALLS.items()
    for verb in (_aread, _awatch)
}


async def gather(tasks: Mapping[tuple[str, str], Awaitable[Told]]) -> dict[tuple[str, str], Told]:
    """All of them at once."""
    return dict(zip(tasks, await asyncio.gather(*tasks.values()), strict=True))
