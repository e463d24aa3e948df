"""The streams of the openai and anthropic SDKs: one line, and exactly one answer.

Left to themselves these SDKs raise on some cuts and end in silence on others, and what they raise does not
tell half an answer from none. Here the bytes below them are judged, as in the rest of `lab.consume`:

    answer = read(lambda: client.chat.completions.create(model=model, messages=question, stream=True))
    answer = read(lambda: client.responses.create(model=model, input=question, stream=True), on_text=show)
    answer = read(client.messages.stream(model=model, max_tokens=1024, messages=question))
    answer = await aread(client.chat.completions.create(model=model, messages=question, stream=True))

`watch` leaves the SDK's typed chunks to the application. In a `with` the end is a value:

    with watch(client.chat.completions.create(model=model, messages=question, stream=True)) as watched:
        for chunk in watched:
            show(chunk.choices[0].delta.content)
    match watched.answer:
        ...

and without one it is an exception. What the SDK raises is raised, and where it would be silent about
half an answer, `Incomplete` is; so code that handles the SDK's exceptions goes on as it is:

    for chunk in watch(client.chat.completions.create(model=model, messages=question, stream=True)):
        show(chunk.choices[0].delta.content)

No SDK is imported: anything with their public shape will do, and `lab.consume._shapes` lists what that is.
Tried with openai 1.109 and 3.54, and anthropic 0.125 and 2.12.

Warnings:
- The wire format is known by the URL. Behind a gateway with paths of its own, name it (`wire_format`).
- The helpers `client.responses.stream()` and `client.chat.completions.stream()` of OpenAI's SDK show no response
  and are refused with `BadInput`; take `create(stream=True)`. Bedrock's binary event streams are not read.
- Both SDKs ask again, twice, when the first bytes fail to come (`max_retries`), before any of this begins.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack
from typing import Any

from ._answers import Answer
from ._loops import adrive, drive
from ._shapes import answer_in, answer_to, aopened, consumer_for, opened, response_of
from ._watch import AsyncWatchedStream, Incomplete, WatchedStream, awatch, watch

__all__ = [
    "AsyncWatchedStream",
    "Incomplete",
    "WatchedStream",
    "answer_to",
    "aread",
    "awatch",
    "read",
    "watch",
]


def read(
    source: Callable[[], object] | object,
    *,
    wire_format: str | None = None,
    leave_at_marker: bool = True,
    on_text: Callable[[str], object] | None = None,
) -> Answer:
    """Read an SDK's reply to its terminal marker, and close it.

    Args:
        source: a stream; what `messages.stream()` returns; or a function that makes the call, so that its
            exceptions become an answer too. A batch reply will do as well.
        wire_format: as for `Consumer`; by default the one to which the request's URL points.
        leave_at_marker: close the connection when the marker has come, whatever becomes of the body's end. False
            reads on to that end, so that the connection can be used again, and waits for it as long as the client is
            set to. OpenAI's synchronous client leaves at the marker by itself, Anthropic's reads on.
        on_text: called with new text as it comes, never for a batch reply. What it raises is passed on.

    Raises:
        BadInput: the source is none of these, or its URL points to no wire format.
        Exception: whatever `on_text` raises, and what the SDK raises for a mistake of the caller's.
    """
    with ExitStack() as stack:
        try:
            reply = opened(source, stack)
        except Exception as error:
            return answer_to(error, wire_format=wire_format)
        if not hasattr(reply, "response"):
            return answer_in(reply, wire_format=wire_format)
        response = response_of(reply)
        consumer = consumer_for(response, wire_format)
        return consumer.close(drive(consumer, response.iter_bytes(), on_text, leave_at_marker=leave_at_marker))


async def aread(
    source: Callable[[], Any] | Awaitable[Any] | object,
    *,
    wire_format: str | None = None,
    leave_at_marker: bool = True,
    on_text: Callable[[str], object] | None = None,
) -> Answer:
    """`read` for the asynchronous clients; the source may also be the call itself, not yet awaited.

    A cancellation is passed on, and the text is lost with it; `awatch` keeps it.
    """
    async with AsyncExitStack() as stack:
        try:
            reply = await aopened(source, stack)
        except Exception as error:
            return answer_to(error, wire_format=wire_format)
        if not hasattr(reply, "response"):
            return answer_in(reply, wire_format=wire_format)
        response = response_of(reply)
        consumer = consumer_for(response, wire_format)
        return consumer.close(await adrive(consumer, response.aiter_bytes(), on_text, leave_at_marker=leave_at_marker))
