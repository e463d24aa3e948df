"""What the tests of the consumer share: two wire formats written by hand, and ways to feed them.

The bytes are written here by hand and not with `lab.wire`, so that a mistake which writer and reader
share does not go unseen.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

import pytest
from hypothesis import strategies as st

from lab.consume import (
    Answer,
    consume,
)


@dataclass(frozen=True)
class Dialect:
    """One wire format, written by hand; `%s` is where the text, the reason or the count goes."""

    name: str
    opening: str
    token: str
    finish: str
    marker: str
    error: str
    stop: str
    length: str
    filtered: str
    tool: str
    error_document: str
    batch: str

    def stream(self, tokens: int, *, finish: str | None = None, marker: bool = True) -> bytes:
        """A stream of that many tokens; without `finish` it ends with the reason of a whole answer."""
        last = self.finish % (self.stop if finish is None else finish, tokens) if finish != "" else ""
        return (self.beginning(tokens).decode() + last + (self.marker if marker else "")).encode()

    def beginning(self, tokens: int) -> bytes:
        """The opening and so many tokens, and nothing after them."""
        return (self.opening + "".join(self.token % word for word in words(tokens))).encode()


def words(tokens: int) -> list[str]:
    """The texts of that many tokens."""
    return [f"⟨{number}⟩ " for number in range(1, tokens + 1)]


OPENAI = Dialect(
    name="openai-chat",
    opening='data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n',
    token='data: {"choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":null}]}\n\n',
    finish='data: {"choices":[{"index":0,"delta":{},"finish_reason":"%s"}]}\n\n'
    'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":%d}}\n\n',
    marker="data: [DONE]\n\n",
    error='data: {"error":{"type":"server_error","message":"gone","param":null,"code":null}}\n\n',
    stop="stop",
    length="length",
    filtered="content_filter",
    tool="tool_calls",
    error_document='{"error":{"message":"slow down","type":"rate_limit","param":null,"code":null}}',
    batch='{"choices":[{"index":0,"message":{"role":"assistant","content":"one two"},"finish_reason":"stop"}],'
    '"usage":{"completion_tokens":2}}',
)
ANTHROPIC = Dialect(
    name="anthropic-messages",
    opening='event: message_start\ndata: {"type":"message_start","message":{"usage":{"output_tokens":1}}}\n\n'
    'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text"}}\n\n'
    'event: ping\ndata: {"type":"ping"}\n\n',
    token="event: content_block_delta\n"
    'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%s"}}\n\n',
    finish='event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\nevent: message_delta\n'
    'data: {"type":"message_delta","delta":{"stop_reason":"%s"},"usage":{"output_tokens":%d}}\n\n',
    marker='event: message_stop\ndata: {"type":"message_stop"}\n\n',
    error='event: error\ndata: {"type":"error","error":{"type":"server_error","message":"gone"}}\n\n',
    stop="end_turn",
    length="max_tokens",
    filtered="refusal",
    tool="tool_use",
    error_document='{"type":"error","error":{"type":"rate_limit","message":"slow down"}}',
    batch='{"type":"message","content":[{"type":"text","text":"one two"}],"stop_reason":"end_turn",'
    '"usage":{"output_tokens":2}}',
)
DIALECTS = [OPENAI, ANTHROPIC]
HTML = b"<html>\r\n<head><title>504 Gateway Timeout</title></head>\r\n<hr><center>nginx</center>\r\n</html>\r\n"

each_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
any_dialect = st.sampled_from(DIALECTS)


class ReadTimeout(Exception):
    """Named as httpx names its timeout, and no TimeoutError, as httpx's is none."""


class Unnamed(Exception):
    """Says nothing by its name."""


def raising(data: bytes, error: BaseException) -> Iterator[bytes]:
    """The data, and then the error, as a client library hands them over."""
    yield data
    raise error


def read(data: bytes, error: Exception | None = None, *, dialect: Dialect) -> Answer:
    """Read `data`, then end cleanly or with `error`."""
    chunks = [data] if error is None else raising(data, error)
    return consume(chunks, wire_format=dialect.name)


def text_of(tokens: int) -> str:
    """The text of that many tokens."""
    return "".join(words(tokens))


def httpx_in_use() -> ModuleType:
    """The httpx that is installed: the SDKs moved from the first to the second."""
    return importlib.import_module("httpx2" if importlib.util.find_spec("httpx2") else "httpx")
