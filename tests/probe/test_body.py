from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from lab.probe.body import BodyReader
from lab.wire import format_named
from lab.wire.format import Reply
from lab.wire.tokens import write_token

CHAT = format_named("openai-chat")
REPLY = Reply("r", "lab")


def token(number: int) -> str:
    """A token's text."""
    return write_token("abcd", number, due=0.0, word="oak....")


def numbers(*texts: str) -> tuple[list[int], list[str]]:
    """Token numbers and stray text in a stream of those texts."""
    body = BodyReader(CHAT, stream=True)
    pieces = [body.feed(CHAT.text(REPLY, text)) for text in texts]
    pieces.append(body.close())
    return [stamp.number for piece in pieces for stamp in piece.tokens], body.stray


TEXTS = {
    "one an event": ((token(1), token(2)), [1, 2], []),
    "two an event": ((token(1) + token(2), token(3)), [1, 2, 3], []),
    "one in two events": ((token(1)[:12], token(1)[12:] + token(2)), [1, 2], []),
    "text between": ((token(1), "and then some ", token(2)), [1, 2], ["and then some oak...."]),
    "text after": ((token(1), "The model has failed."), [1], ["The model has failed."]),
    "half a token": ((token(1), token(2)[:12]), [1], []),
    "not a token": ((token(1), "⟨abcd:x@0ms⟩ " + token(2)), [1, 2], []),
}


@pytest.mark.parametrize("name", TEXTS)
def test_tokens_and_stray_text_are_found(name: str) -> None:
    """Tokens are found however they are spread over events; text beyond a word each is set aside."""
    texts, found, stray = TEXTS[name]
    assert numbers(*texts) == (found, stray)


def without_a_token(count: int) -> float:
    """Seconds of computing that it takes to read so many events of text in which no token is."""
    body, event = BodyReader(CHAT, stream=True), CHAT.text(REPLY, "no token " * 100)
    began = time.process_time()
    for _ in range(count):
        body.feed(event)
    return time.process_time() - began


def repeated(count: int) -> float:
    """The same for a text of as many pieces that is repeated whole as often."""
    fields = {"output_index": 0, "content_index": 0}
    delta = {"type": "response.output_text.delta", "delta": "no token ", **fields}
    done = {"type": "response.output_text.done", "text": "no", **fields}
    body = BodyReader(format_named("openai-responses"), stream=True)
    began = time.process_time()
    for document in (delta, done):
        body.feed(f"data: {json.dumps(document)}\n\n".encode() * count)
    return time.process_time() - began


@pytest.mark.parametrize("read", [without_a_token, repeated])
def test_reading_takes_as_long_as_what_is_read(read: Callable[[int], float]) -> None:
    """Four times as much takes some four times as long: with sixteen, whoever sends it could stop the probe."""
    read(100)
    assert min(read(8000) for _ in range(2)) < 9 * min(read(2000) for _ in range(2))
