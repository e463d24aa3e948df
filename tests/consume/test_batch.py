"""Batch replies."""

from __future__ import annotations

import pytest

from lab.consume import (
    Complete,
    Failed,
    FailedReason,
    Partial,
    PartialReason,
    consume,
)

from .dialects import (
    HTML,
    OPENAI,
    Dialect,
    ReadTimeout,
    each_dialect,
    raising,
)


@each_dialect
@pytest.mark.parametrize("before", [b"", b"\n\n\n"], ids=["plain", "blank-lines-first"])
def test_batch_reply_is_complete(dialect: Dialect, before: bytes) -> None:
    """A whole batch document is complete and counts its tokens by the model's own figure."""
    chunks = [before, dialect.batch[:20].encode(), dialect.batch[20:].encode()]
    outcome = consume(chunks, wire_format=dialect.name, stream=False)
    assert outcome == Complete("one two", 2, "stop")


@each_dialect
def test_batch_reply_at_the_token_limit_is_partial(dialect: Dialect) -> None:
    """A batch reply, too, may declare itself cut short."""
    body = dialect.batch.replace(f'"{dialect.stop}"', f'"{dialect.length}"').encode()
    outcome = consume([body], wire_format=dialect.name, stream=False)
    assert isinstance(outcome, Partial)
    assert (outcome.text, outcome.tokens, outcome.reason) == ("one two", 2, PartialReason.TOKEN_LIMIT)


@each_dialect
def test_long_batch_reply_is_complete(dialect: Dialect) -> None:
    """A batch document is read whole, however long it is."""
    body = dialect.batch.replace("one two", "word " * 50_000).encode()
    assert consume([body], wire_format=dialect.name, stream=False) == Complete("word " * 50_000, 2, "stop")


@each_dialect
def test_half_a_batch_document_is_failed(dialect: Dialect) -> None:
    """Half a JSON document holds no usable text, whether its end was clean or not."""
    for size in range(1, len(dialect.batch)):
        half = dialect.batch[:size].encode()
        clean = consume([half], wire_format=dialect.name, stream=False)
        dirty = consume(raising(half, ReadTimeout()), wire_format=dialect.name, stream=False)
        assert isinstance(clean, Failed)
        assert clean.reason in (FailedReason.MALFORMED, FailedReason.WRONG_REPLY)
        assert isinstance(dirty, Failed)
        assert dirty.reason is FailedReason.TIMEOUT


@each_dialect
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", FailedReason.EMPTY),
        (b'{"choices":[', FailedReason.MALFORMED),
        (HTML, FailedReason.WRONG_REPLY),
        (b'{"hello":1}', FailedReason.WRONG_REPLY),
        (b'{"a":' + b"[" * 200_000, FailedReason.MALFORMED),
    ],
    ids=["empty", "half", "page", "foreign", "deep"],
)
def test_batch_reply_that_is_none_is_failed(dialect: Dialect, body: bytes, reason: FailedReason) -> None:
    """Where a batch document should stand, an empty, half, foreign or hostile one are told apart."""
    outcome = consume([body], wire_format=dialect.name, stream=False)
    assert isinstance(outcome, Failed)
    assert outcome.reason is reason


def test_whole_batch_document_survives_a_dirty_close() -> None:
    """A batch document that came whole is complete, even if its last chunk did not."""
    outcome = consume(raising(OPENAI.batch.encode(), ConnectionResetError()), stream=False)
    assert outcome == Complete("one two", 2, "stop", dirty_close=True)


def test_batch_reply_that_calls_a_tool_is_complete() -> None:
    """A batch reply without text is complete where its finish reason says why."""
    body = b'{"choices":[{"message":{"content":null},"finish_reason":"tool_calls"}]}'
    assert consume([body], stream=False) == Complete("", 0, "tool_calls")
