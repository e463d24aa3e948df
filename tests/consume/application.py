"""An application that uses all of `lab.consume`; it is type-checked as such a one is, by `test_typing`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import assert_never

import anthropic
import httpx
import openai

from lab.consume import Answer, Complete, Consumer, Failed, Partial, PartialReason, Refused, Retry, aconsume, consume
from lab.consume.go_on import continued, joined
from lab.consume.resume import Bookmark, aread_background, read_background
from lab.consume.sdk import Incomplete, aread, awatch, read, watch


def told(answer: Answer) -> str:
    """What the user reads; a kind of answer that is left out is a type error."""
    match answer:
        case Complete(text=text):
            return text
        case Partial(text=text, reason=PartialReason.TOKEN_LIMIT):
            return f"{text} (more?)"
        case Partial(text=text, reason=reason):
            return f"{text} (incomplete: {reason})"
        case Refused(kind=kind, retry_after=seconds):
            return f"refused: {kind}, again in {seconds or 1.0:.0f} s"
        case Failed(reason=failure):
            return f"failed: {failure}" if answer.retry is not Retry.SAFE else "once more"
    assert_never(answer)


def over_bytes(chunks: Iterator[bytes]) -> str:
    """Any client that hands over bytes."""
    return told(consume(chunks, wire_format="openai-chat", on_text=len))


async def over_bytes_later(chunks: AsyncIterator[bytes]) -> str:
    """The same, asynchronous."""
    return told(await aconsume(chunks, wire_format="anthropic-messages"))


def over_httpx(url: str) -> str:
    """The consumer driven by hand."""
    consumer = Consumer("openai-chat")
    error: Exception | None = None
    try:
        with httpx.stream("POST", url) as reply:
            consumer.head(reply.status_code, reply.headers)
            for data in reply.iter_bytes():
                consumer.feed(data)
    except httpx.HTTPError as failure:
        error = failure
    return told(consumer.close(error))


def with_openai(client: openai.OpenAI) -> Iterator[str]:
    """One line, and the SDK's own objects with their own types."""
    yield told(
        read(
            lambda: client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}], stream=True)
        )
    )
    stream = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}], stream=True)
    with watch(stream) as watched:
        for chunk in watched:
            yield chunk.choices[0].delta.content or ""
    yield told(watched.answer)


async def with_openai_later(client: openai.AsyncOpenAI) -> str:
    """The asynchronous twins."""
    first = await aread(client.responses.create(model="m", input="x", stream=True))
    watched = awatch(await client.responses.create(model="m", input="x", stream=True))
    try:
        async for event in watched:
            if event.type == "response.output_text.delta":
                first = first if event.delta else watched.answer
    except Incomplete as end:
        return told(end.answer)
    return told(first)


def with_anthropic(client: anthropic.Anthropic) -> str:
    """Its own helper."""
    with client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}]) as stream:
        watched = watch(stream)
        for event in watched:
            if event.type == "text":
                told(Partial(event.text, 1, PartialReason.LEFT))
    return told(watched.answer)


def going_on(client: openai.OpenAI) -> str:
    """Resumption, and the recipe for where there is none."""
    bookmark = Bookmark()
    answer = read_background(
        client,
        lambda: client.responses.create(model="m", input="x", background=True, stream=True),
        bookmark=bookmark,
    )
    if isinstance(answer, Partial):
        asked = continued([{"role": "user", "content": "x"}], answer.text)
        rest = read(lambda: client.chat.completions.create(model="m", messages=asked, stream=True))
        if isinstance(rest, Complete):
            return joined(answer.text, rest.text)
    return told(answer)


async def going_on_later(client: openai.AsyncOpenAI) -> str:
    """The asynchronous twin."""
    return told(
        await aread_background(client, client.responses.create(model="m", input="x", background=True, stream=True))
    )
