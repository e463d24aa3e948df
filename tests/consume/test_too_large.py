"""Replies that would fill the memory of whoever reads them."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from lab.consume import Complete, Consumer, Failed, FailedReason, Partial, PartialReason
from lab.consume.resume import Bookmark
from lab.wire import FORMATS
from lab.wire.events import FinishReason
from lab.wire.format import Reply

MOST = 100_000
REPLY = Reply("r", "a-model")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same with less, so that it takes no time."""
    monkeypatch.setattr("lab.consume._consumer.LARGEST", MOST)
    monkeypatch.setattr("lab.consume.resume.LARGEST", MOST)


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_an_event_without_end_is_left_and_what_came_before_it_kept(name: str) -> None:
    """However much more comes: the answer is partial, says why, and holds no more memory than an event may."""
    consumer, wire = Consumer(name), FORMATS[name]
    consumer.head(200)
    text = consumer.feed(wire.opening(REPLY) + wire.text(REPLY, "Hello"))
    piece = b"x" * 10_000
    tracemalloc.start()
    for _ in range(200):
        consumer.feed(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert text == "Hello"
    assert peak < 4 * MOST
    answer = consumer.close()
    assert answer == Partial("Hello", 1, PartialReason.MALFORMED, f"more than {MOST:,} bytes of one event: b'...'")


def test_before_any_text_it_is_a_failure() -> None:
    """There is nothing to use, and it was no page of somebody else's."""
    consumer = Consumer()
    consumer.head(200)
    consumer.feed(b"data: " + b"x" * (MOST + 1))
    answer = consumer.close(ConnectionResetError())
    assert isinstance(answer, Failed)
    assert (answer.reason, "bytes of one event" in answer.detail) == (FailedReason.MALFORMED, True)


def test_a_flood_behind_the_marker_spoils_nothing() -> None:
    """The answer was whole."""
    wire = FORMATS["openai-chat"]
    consumer = Consumer()
    consumer.head(200)
    consumer.feed(wire.text(REPLY, "Hello") + wire.finish(REPLY, FinishReason.STOP, 1) + wire.marker(REPLY))
    consumer.feed(b"x" * (2 * MOST))
    assert isinstance(consumer.close(), Complete)


def test_many_events_are_no_large_one() -> None:
    """Only what has no end counts, however long the answer is."""
    wire = FORMATS["openai-chat"]
    consumer = Consumer()
    consumer.head(200)
    for _ in range(2000):
        consumer.feed(wire.text(REPLY, "word "))
    consumer.feed(wire.finish(REPLY, FinishReason.STOP, 2000) + wire.marker(REPLY))
    answer = consumer.close()
    assert isinstance(answer, Complete)
    assert answer.text == "word " * 2000


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_a_batch_reply_without_end_is_a_failure(name: str) -> None:
    """No more of it is kept, and none of it is read."""
    consumer = Consumer(name, stream=False)
    consumer.head(200)
    tracemalloc.start()
    for _ in range(100):
        consumer.feed(b'{"x":"' + b"x" * 10_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * MOST
    answer = consumer.close()
    assert isinstance(answer, Failed)
    assert (answer.reason, answer.detail) == (
        FailedReason.MALFORMED,
        f"more than {MOST:,} bytes of one document: b'...'",
    )


def test_a_bookmark_holds_no_event_without_end() -> None:
    """It hands on what it has, and has no place to go on from."""
    bookmark = Bookmark()
    created = {"type": "response.created", "sequence_number": 0, "response": {"id": "r1"}}
    first = f"data: {json.dumps(created)}\n\n".encode()
    assert bookmark.take(first) == first
    assert bookmark.can_go_on
    assert bookmark.take(b"data: " + b"x" * MOST) == b"data: " + b"x" * MOST
    assert (bookmark.rest(), bookmark.can_go_on, bookmark.over) == (b"", False, True)
