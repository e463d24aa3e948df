"""The consumer as an application drives it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from lab.consume import (
    Complete,
    Consumer,
    Partial,
    PartialReason,
    aconsume,
)

from .dialects import (
    OPENAI,
    Dialect,
    each_dialect,
    read,
    text_of,
)


def test_text_is_there_as_it_comes() -> None:
    """A user interface shows each token when its bytes have come, and may leave at the marker."""
    consumer = Consumer("openai-chat")
    assert consumer.feed(OPENAI.beginning(1)) == "⟨1⟩ "
    assert (consumer.text, consumer.ended) == ("⟨1⟩ ", False)
    assert consumer.feed((OPENAI.token % "b" + OPENAI.token % "c").encode()) == "bc"
    assert consumer.feed((OPENAI.finish % ("stop", 3) + OPENAI.marker).encode()) == ""
    assert (consumer.text, consumer.ended) == ("⟨1⟩ bc", True)


def test_partial_answers_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A partial answer leaves one warning with reason, tokens and characters, and without its text."""
    with caplog.at_level(logging.DEBUG, "lab.consume"):
        read(OPENAI.beginning(3), ConnectionResetError("reset"), dialect=OPENAI)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == "partial answer: cut after 3 tokens, 12 characters (ConnectionResetError: reset)"


def test_other_outcomes_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Complete, refused and failed replies are for the application to log."""
    with caplog.at_level(logging.DEBUG, "lab.consume"):
        read(OPENAI.stream(3), dialect=OPENAI)
        read(OPENAI.error.encode(), dialect=OPENAI)
        read(b"", dialect=OPENAI)
    assert caplog.records == []


async def _alive(data: bytes, error: BaseException | None = None) -> AsyncIterator[bytes]:
    yield data
    await asyncio.sleep(0)
    if error is not None:
        raise error


@each_dialect
async def test_asynchronous_reading_gives_the_same(dialect: Dialect) -> None:
    """The asynchronous shell concludes as the other does, and shows the same text."""
    shown: list[str] = []
    whole = await aconsume(_alive(dialect.stream(3)), wire_format=dialect.name, on_text=shown.append)
    assert whole == Complete(text_of(3), 3, "stop")
    assert "".join(shown) == text_of(3)
    cut = await aconsume(_alive(dialect.beginning(3), ConnectionResetError("reset")), wire_format=dialect.name)
    assert cut == Partial(text_of(3), 3, PartialReason.CUT, "ConnectionResetError: reset")


async def test_cancellation_is_passed_on() -> None:
    """A cancelled task is not told that its stream was cut."""
    begun = asyncio.Event()

    async def stalls() -> AsyncIterator[bytes]:
        yield OPENAI.beginning(1)
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(aconsume(stalls()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
