"""Every way to read an SDK's stream with the adapters, each a function from a request to what came of it.

As a program, it asks for the cells that come as JSON on its input, and writes what was told of each, a line a cell:
so an SDK can be asked that is installed elsewhere, beside nothing but `lab` itself.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar

import anthropic
import openai

from lab.consume import Answer
from lab.consume.sdk import answer_to, aread, awatch, read, watch

_T = TypeVar("_T")

ASK: list[Any] = [{"role": "user", "content": "Count."}]

# Each client's, synchronous and asynchronous ones apart; nginx takes 512 connections, two a request.
_AT_ONCE = 40

# Never reached: only a frozen reply waits for a timeout, and those are asked by the impatient.
PATIENT = 120.0


class Request(NamedTuple):
    """What to ask for: the plan in the model's name, and the name under which the ledger is to have it."""

    model: str
    name: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What carries the name."""
        return {} if self.name is None else {"X-Lab-Request": self.name}


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


def _chat(client: Any, ask: Request) -> Any:
    return client.chat.completions.create(model=ask.model, messages=ASK, stream=True, extra_headers=ask.headers)


def _responses(client: Any, ask: Request) -> Any:
    return client.responses.create(model=ask.model, input="Count.", stream=True, extra_headers=ask.headers)


def _messages(client: Any, ask: Request) -> Any:
    return client.messages.create(model=ask.model, max_tokens=999, messages=ASK, stream=True, extra_headers=ask.headers)


def _helper(client: Any, ask: Request) -> Any:
    return client.messages.stream(model=ask.model, max_tokens=999, messages=ASK, extra_headers=ask.headers)


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


_CALLS: Mapping[str, tuple[Callable[[Any, Request], Any], str]] = {
    "openai-chat": (_chat, "openai"),
    "openai-responses": (_responses, "openai"),
    "anthropic-create": (_messages, "anthropic"),
    "anthropic-stream": (_helper, "anthropic"),
}


def _go(
    verb: Callable[[Callable[[], Any]], _T],
    call: Callable[[Any, Request], Any],
    client: str,
    where: Clients,
    ask: Request,
) -> _T:
    return verb(lambda: call(getattr(where, client), ask))


SYNC: Mapping[str, Callable[[Clients, Request], Told]] = {
    f"{name}-{verb.__name__.strip('_')}": partial(_go, verb, call, sdk)
    for name, (call, sdk) in _CALLS.items()
    for verb in (_read, _watch)
}
ASYNC: Mapping[str, Callable[[Clients, Request], Coroutine[Any, Any, Told]]] = {
    f"{name}-{verb.__name__.strip('_')}": partial(_go, verb, call, f"a{sdk}")
    for name, (call, sdk) in _CALLS.items()
    for verb in (_aread, _awatch)
}


async def gather(tasks: Mapping[tuple[str, str], Awaitable[Told]]) -> dict[tuple[str, str], Told]:
    """All of them at once."""
    return dict(zip(tasks, await asyncio.gather(*tasks.values()), strict=True))


def _line(cell: dict[str, Any], told: Told) -> str:
    answer = told.answer
    words = {name: getattr(answer, name, None) for name in ("text", "reason", "status", "retry", "retry_after")}
    return json.dumps({"name": cell["name"], "kind": type(answer).__name__, "shown": told.shown, **words})


def main() -> None:
    """Ask for every cell of the input: `base`, `timeout`, `way`, `model` and `name`."""
    cells = json.load(sys.stdin)
    clients = {key: Clients(*key) for key in {(cell["base"], cell["timeout"]) for cell in cells}}

    def ask(cell: dict[str, Any]) -> Any:
        go: Any = SYNC.get(cell["way"]) or ASYNC[cell["way"]]
        return go(clients[cell["base"], cell["timeout"]], Request(cell["model"], cell["name"]))

    async def ask_all(cells: list[dict[str, Any]]) -> list[str]:
        places = asyncio.Semaphore(_AT_ONCE)

        async def one(cell: dict[str, Any]) -> str:
            async with places:
                return _line(cell, await ask(cell))

        lines = await asyncio.gather(*map(one, cells))
        await asyncio.gather(*(client.aclose() for client in clients.values()))
        return lines

    with ThreadPoolExecutor(_AT_ONCE + 1) as pool:
        others = pool.submit(asyncio.run, ask_all([cell for cell in cells if cell["way"] in ASYNC]))
        lines = list(pool.map(lambda cell: _line(cell, ask(cell)), [cell for cell in cells if cell["way"] in SYNC]))
        sys.stdout.write("\n".join([*lines, *others.result(), ""]))
    for client in clients.values():
        client.close()


if __name__ == "__main__":
    main()
