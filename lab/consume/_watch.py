"""Lets an application read an SDK's stream as ever, and judges the bytes below it at the same time.

The tap sits on the response's `iter_bytes`, which the SDKs' decoders read: each piece goes to a consumer
before the SDK sees it, so the end of the body is known whether the SDK raises, stops early or says nothing.
At the terminal marker the tap ends the body, unless told otherwise: nothing that may still come belongs to the answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from contextlib import aclosing
from types import TracebackType
from typing import Any, Generic, TypeVar

from ..errors import BadInput
from ._answers import Answer, Complete
from ._errors import Left, in_words
from ._shapes import consumer_for, response_of

_Item = TypeVar("_Item")


class Incomplete(Exception):
    """A watched stream ended in silence on something that is not a complete answer.

    Args:
        answer: what it is: partial, refused or failed.
    """

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"not a complete answer: {answer!r}")
        self.answer = answer


class _Watch:
    """What both kinds of watched streams share: the tap's record, and what the end amounts to."""

    def __init__(self, stream: object, wire_format: str | None, leave_at_marker: bool) -> None:
        self._stream = stream
        self._leave_at_marker = leave_at_marker
        self._response = response_of(stream)
        self._consumer = consumer_for(self._response, wire_format)
        self._tapped = False
        self._raised: Exception | None = None

    @property
    def text(self) -> str:
        """The text so far."""
        return self._consumer.text

    @property
    def answer(self) -> Answer:
        """What came of it. Ask after the loop: whoever asks before the end has left, and that is the answer."""
        return self._conclude("the application stopped reading")

    def _conclude(self, why: str) -> Answer:
        """The answer; before the end of the body it is that somebody left, unless the marker has come."""
        return self._consumer.close(None if self._consumer.ended else Left(why))

    def _ended(self) -> Exception | None:
        """The SDK has no more items: what to raise if that is not the end of a complete answer."""
        self._check()
        answer = self._conclude("the SDK stopped reading")
        self._raised = None if isinstance(answer, Complete) else Incomplete(answer)
        return self._raised

    def _failed(self, error: Exception) -> bool:
        """The SDK raised: whether it matters, for after the marker nothing does."""
        self._check()
        self._raised = error
        return not isinstance(self._conclude(f"the SDK stopped reading: {in_words(error)}"), Complete)

    def _check(self) -> None:
        if not self._tapped:
            kind = f"{type(self._stream).__module__}.{type(self._stream).__name__}"
            raise BadInput(f"a {kind} does not read its response's bytes, so it cannot be watched", "Use `read`.")


class WatchedStream(_Watch, Generic[_Item]):
    """An SDK's stream with an answer at its end; see `lab.consume.sdk`. Made by `watch`."""

    def __init__(self, stream: Iterable[_Item], wire_format: str | None, leave_at_marker: bool) -> None:
        super().__init__(stream, wire_format, leave_at_marker)
        self._items = iter(stream)
        original: Callable[..., Iterator[bytes]] = self._response.iter_bytes
        self._response.iter_bytes = lambda *args, **options: self._through(original(*args, **options))

    def __iter__(self) -> Iterator[_Item]:
        return self

    def __next__(self) -> _Item:
        try:
            return next(self._items)
        except StopIteration:
            raised = self._ended()
        except Exception as error:
            if self._failed(error):
                raise
            raised = None
        raise StopIteration if raised is None else raised

    def __enter__(self) -> WatchedStream[_Item]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        """Close the connection; the stream's own end is in `answer` and is raised no further."""
        getattr(self._stream, "close", self._response.close)()
        return error is not None and error is self._raised

    def _through(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        self._tapped = True
        try:
            for data in pieces:
                self._consumer.feed(data)
                yield data
                if self._consumer.ended and self._leave_at_marker:
                    break
        except Exception as error:
            self._consumer.close(error)
            raise
        self._consumer.close()


class AsyncWatchedStream(_Watch, Generic[_Item]):
    """`WatchedStream` for an asynchronous stream; made by `awatch`."""

    def __init__(self, stream: AsyncIterable[_Item], wire_format: str | None, leave_at_marker: bool) -> None:
        super().__init__(stream, wire_format, leave_at_marker)
        self._items = aiter(stream)
        original: Callable[..., Any] = self._response.aiter_bytes
        self._response.aiter_bytes = lambda *args, **options: self._through(original(*args, **options))

    def __aiter__(self) -> AsyncIterator[_Item]:
        return self

    async def __anext__(self) -> _Item:
        try:
            return await anext(self._items)
        except StopAsyncIteration:
            raised = self._ended()
        except Exception as error:
            if self._failed(error):
                raise
            raised = None
        raise StopAsyncIteration if raised is None else raised

    async def __aenter__(self) -> AsyncWatchedStream[_Item]:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> bool:
        """As `WatchedStream.__exit__`."""
        await getattr(self._stream, "close", self._response.aclose)()
        return error is not None and error is self._raised

    async def _through(self, pieces: Any) -> AsyncIterator[bytes]:
        self._tapped = True
        try:
            async with aclosing(pieces):
                async for data in pieces:
                    self._consumer.feed(data)
                    yield data
                    if self._consumer.ended and self._leave_at_marker:
                        break
        except Exception as error:
            self._consumer.close(error)
            raise
        self._consumer.close()


def watch(
    stream: Iterable[_Item], *, wire_format: str | None = None, leave_at_marker: bool = True
) -> WatchedStream[_Item]:
    """Watch an SDK's stream while the application reads it.

    Args:
        stream: what `create(stream=True)` returns, or what `messages.stream()` opens; nothing read from it yet.
        wire_format: as for `lab.consume.sdk.read`.
        leave_at_marker: as for `lab.consume.sdk.read`.

    Raises:
        BadInput: it shows no response, was read before, or its URL points to no wire format.
    """
    return WatchedStream(stream, wire_format, leave_at_marker)


def awatch(
    stream: AsyncIterable[_Item], *, wire_format: str | None = None, leave_at_marker: bool = True
) -> AsyncWatchedStream[_Item]:
    """`watch` for the asynchronous clients; the stream is the awaited one."""
    return AsyncWatchedStream(stream, wire_format, leave_at_marker)
