"""What is complete."""

from __future__ import annotations

import pytest

from lab.consume import (
    Complete,
    Consumer,
    Partial,
    PartialReason,
    consume,
)
from lab.errors import BadInput
from lab.wire import FORMATS
from lab.wire.events import FinishReason
from lab.wire.format import Reply

from .dialects import (
    OPENAI,
    Dialect,
    ReadTimeout,
    each_dialect,
    read,
    text_of,
)


@each_dialect
def test_whole_answer_is_complete(dialect: Dialect) -> None:
    """An answer with finish reason and terminal marker is complete."""
    assert read(dialect.stream(3), dialect=dialect) == Complete(text_of(3), 3, "stop")


def test_empty_finish_reasons_are_none() -> None:
    """The empty finish reason that some servers put into every chunk neither ends an answer nor hides its end."""
    token = (OPENAI.token % "x").replace("null", '""')
    assert consume([(token + OPENAI.finish % ("stop", 1) + token + OPENAI.marker).encode()]) == Complete(
        "xx", 2, "stop"
    )
    outcome = consume([(token + OPENAI.marker).encode()])
    assert isinstance(outcome, Partial)
    assert outcome.reason is PartialReason.NO_FINISH_REASON


@each_dialect
def test_empty_answer_is_complete(dialect: Dialect) -> None:
    """An answer without a token is complete when finish reason and marker say so."""
    assert read(dialect.stream(0), dialect=dialect) == Complete("", 0, "stop")


@each_dialect
@pytest.mark.parametrize("error", [ConnectionResetError("reset"), ReadTimeout()])
def test_failure_after_the_marker_is_only_noted(dialect: Dialect, error: Exception) -> None:
    """A connection that fails after the marker leaves a complete answer with a dirty close."""
    assert read(dialect.stream(3), error, dialect=dialect) == Complete(text_of(3), 3, "stop", dirty_close=True)


@each_dialect
def test_call_of_a_tool_is_complete(dialect: Dialect) -> None:
    """An answer that ends by calling a tool is whole, and says so in the wire's own word."""
    assert read(dialect.stream(2, finish=dialect.tool), dialect=dialect) == Complete(text_of(2), 2, dialect.tool)


@each_dialect
def test_what_follows_the_marker_is_no_part_of_the_answer(dialect: Dialect) -> None:
    """Text, errors and garbage behind the terminal marker change nothing."""
    behind = (dialect.token % "more" + dialect.error + "data: {\n\n").encode()
    assert read(dialect.stream(2) + behind, dialect=dialect) == Complete(text_of(2), 2, "stop")


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_wire_format_is_read(name: str) -> None:
    """What a wire format writes is complete when whole, and is not when the last two events are missing."""
    wire, reply = FORMATS[name], Reply("r1", "m")
    begun = wire.opening(reply) + wire.text(reply, "one ") + wire.text(reply, "two ", 2)
    whole = begun + wire.finish(reply, FinishReason.STOP, 2) + wire.marker(reply)
    assert consume([whole], wire_format=name) == Complete("one two ", 2, "stop")
    assert isinstance(consume([begun], wire_format=name), Partial)


def test_unknown_wire_format_is_bad_input() -> None:
    """A wire format that does not exist is the caller's mistake, and raises."""
    with pytest.raises(BadInput, match="unknown wire format 'morse'"):
        Consumer("morse")
