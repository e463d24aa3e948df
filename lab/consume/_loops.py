"""The loops that drive a consumer over an iterable of bytes."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable
from typing import Protocol

from ._answers import Answer
from ._consumer import Consumer, Headers


def consume(
    chunks: Iterable[bytes],
    *,
    wire_format: str = "openai-chat",
    stream: bool = True,
    exact_count: bool = False,
    status: int = 200,
    headers: Headers = (),
    on_text: Callable[[str], object] | None = None,
) -> Answer:
    r"""Read a reply to its end; what the iterable raises becomes the reason and is not passed on.

    Args:
        chunks: the decoded body, cut anywhere, such as `reply.iter_bytes()` of httpx.
        wire_format: as for `Consumer`; `BadInput` for a name that is none.
        stream: as for `Consumer`.
        exact_count: as for `Consumer`.
        status: as for `Consumer.head`.
        headers: as for `Consumer.head`.
        on_text: called with new text as it comes, never for a batch reply. What it raises is passed on:
            it is the application's own error.

    >>> consume([b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n']).reason.value
    'no-marker'
    """
    consumer = Consumer(wire_format, stream=stream, exact_count=exact_count)
    consumer.head(status, headers)
    return _closed(consumer, drive(consumer, chunks, on_text), on_text if stream else None)


async def aconsume(
    chunks: AsyncIterable[bytes],
    *,
    wire_format: str = "openai-chat",
    stream: bool = True,
    exact_count: bool = False,
    status: int = 200,
    headers: Headers = (),
    on_text: Callable[[str], object] | None = None,
) -> Answer:
    """`consume` for an asynchronous iterable, such as `reply.aiter_bytes()` of httpx.

    A cancellation is passed on, and so the text is lost when `asyncio.timeout` stands around this call;
    put the timeout into the client or into the iterable, or drive a `Consumer` and read its `text`.
    """
    consumer = Consumer(wire_format, stream=stream, exact_count=exact_count)
    consumer.head(status, headers)
    return _closed(consumer, await adrive(consumer, chunks, on_text), on_text if stream else None)


def _closed(consumer: Consumer, error: Exception | None, on_text: Callable[[str], object] | None) -> Answer:
    """The answer; a last line of JSON that lacks its end gives its text only now."""
    shown = len(consumer.text)
    answer = consumer.close(error)
    _show(consumer.text[shown:], on_text)
    return answer


class Reads(Protocol):
    """What a loop needs of a consumer."""

    @property
    def ended(self) -> bool:
        """Whether nothing more is wanted."""
        ...

    def feed(self, data: bytes) -> str:
        """Take the next bytes; return the text that they completed."""
        ...


def drive(
    consumer: Reads,
    chunks: Iterable[bytes],
    on_text: Callable[[str], object] | None = None,
    *,
    leave_at_marker: bool = False,
) -> Exception | None:
    """Feed it all chunks; return what the iterable raised, None after a clean end or at the marker."""
    iterator = iter(chunks)
    while not (leave_at_marker and consumer.ended):
        try:
            data = next(iterator)
        except StopIteration:
            return None
        # Clients share no base class for their errors. KeyboardInterrupt and the like are no Exception.
        except Exception as error:
            return error
        _show(consumer.feed(data), on_text)
    return None


async def adrive(
    consumer: Reads,
    chunks: AsyncIterable[bytes],
    on_text: Callable[[str], object] | None = None,
    *,
    leave_at_marker: bool = False,
) -> Exception | None:
    """`drive` for an asynchronous iterable."""
    iterator = aiter(chunks)
    while not (leave_at_marker and consumer.ended):
        try:
            data = await anext(iterator)
        except StopAsyncIteration:
            return None
        # As above; CancelledError is no Exception.
        except Exception as error:
            return error
        _show(consumer.feed(data), on_text)
    return None


def _show(text: str, on_text: Callable[[str], object] | None) -> None:
    if text and on_text is not None:
        on_text(text)
