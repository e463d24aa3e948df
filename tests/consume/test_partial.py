"""What is partial, wherever and however a stream is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.consume import (
    Complete,
    Failed,
    Partial,
    PartialReason,
    consume,
)

from .dialects import (
    Dialect,
    ReadTimeout,
    any_dialect,
    each_dialect,
    read,
    text_of,
)


@each_dialect
@pytest.mark.parametrize("tokens", [0, 3])
def test_declared_ends_are_partial(dialect: Dialect, tokens: int) -> None:
    """An answer that the model declares cut short is partial, even without any text."""
    for word, reason in [
        (dialect.length, PartialReason.TOKEN_LIMIT),
        (dialect.filtered, PartialReason.CONTENT_FILTER),
        ("pause_turn", PartialReason.UNKNOWN_FINISH_REASON),
    ]:
        outcome = read(dialect.stream(tokens, finish=word), dialect=dialect)
        assert outcome == Partial(text_of(tokens), tokens, reason, f"the model says {word!r}")


@each_dialect
def test_finish_reason_without_marker_is_partial(dialect: Dialect) -> None:
    """A clean end after the finish reason alone is no proof of a whole answer."""
    outcome = read(dialect.stream(3, marker=False), dialect=dialect)
    assert isinstance(outcome, Partial)
    assert (outcome.tokens, outcome.reason) == (3, PartialReason.NO_MARKER)


@each_dialect
def test_marker_without_finish_reason_is_partial(dialect: Dialect) -> None:
    """The terminal marker alone is no proof of a whole answer: gateways append it to half of one."""
    outcome = read(dialect.stream(3, finish=""), dialect=dialect)
    assert isinstance(outcome, Partial)
    assert (outcome.tokens, outcome.reason) == (3, PartialReason.NO_FINISH_REASON)


@each_dialect
@pytest.mark.parametrize("rest", ["", "marker", "finish"])
def test_model_error_in_the_middle_is_partial(dialect: Dialect, rest: str) -> None:
    """An error event after tokens is the reason, also when a gateway ends the stream properly after it."""
    after = {"": "", "marker": dialect.marker, "finish": dialect.finish % (dialect.stop, 2) + dialect.marker}[rest]
    outcome = read(dialect.beginning(2) + (dialect.error + after).encode(), dialect=dialect)
    assert outcome == Partial(text_of(2), 2, PartialReason.MODEL_ERROR, "server_error: gone")


@each_dialect
@pytest.mark.parametrize("event", ["data: {bad\n\n", "data: :\n\n", "data: 7\n\n", "data: " + "[" * 200_000 + "\n\n"])
def test_unreadable_event_makes_the_answer_partial(dialect: Dialect, event: str) -> None:
    """An event that cannot be read may have been text, so that even a proper end does not make it whole."""
    rest = (dialect.token % "x" + dialect.finish % (dialect.stop, 3) + dialect.marker).encode()
    outcome = consume([dialect.beginning(2), event.encode(), rest], wire_format=dialect.name)
    assert isinstance(outcome, Partial)
    assert (outcome.text, outcome.reason) == (text_of(2) + "x", PartialReason.MALFORMED)


@each_dialect
def test_text_that_is_no_string_makes_the_answer_partial(dialect: Dialect) -> None:
    """A number where the text should stand breaks the format, and does not break the consumer."""
    event = (dialect.token % "x").replace('"x"', "[5]")
    outcome = read(dialect.beginning(2) + event.encode(), dialect=dialect)
    assert isinstance(outcome, Partial)
    assert (outcome.text, outcome.reason) == (text_of(2), PartialReason.MALFORMED)


@each_dialect
def test_half_an_event_before_a_clean_end_is_malformed(dialect: Dialect) -> None:
    """A body that ends cleanly inside an event is partial and malformed; after a failure the failure counts."""
    half = dialect.beginning(2) + (dialect.token % "x")[:-9].encode()
    clean, dirty = read(half, dialect=dialect), read(half, ConnectionResetError(), dialect=dialect)
    assert isinstance(clean, Partial)
    assert isinstance(dirty, Partial)
    assert (clean.tokens, clean.reason) == (2, PartialReason.MALFORMED)
    assert (dirty.tokens, dirty.reason) == (2, PartialReason.CUT)


@each_dialect
def test_usage_that_exceeds_what_came_is_partial_only_on_request(dialect: Dialect) -> None:
    """The usage figure is held against the tokens only where the caller knows that they can be compared."""
    data = dialect.beginning(3) + (dialect.finish % (dialect.stop, 10) + dialect.marker).encode()
    assert consume([data], wire_format=dialect.name) == Complete(text_of(3), 3, "stop")
    outcome = consume([data], wire_format=dialect.name, exact_count=True)
    assert outcome == Partial(text_of(3), 3, PartialReason.COUNT_MISMATCH, "3 of 10 tokens came")


@given(dialect=any_dialect, total=st.integers(1, 12), data=st.data())
def test_cut_after_every_token_gives_exactly_those(dialect: Dialect, total: int, data: st.DataObject) -> None:
    """A stream of n tokens cut after k of them is partial with exactly k, and failed where k is 0."""
    tokens = data.draw(st.integers(0, total - 1))
    error = data.draw(st.sampled_from([None, ConnectionResetError("reset"), ReadTimeout("read")]))
    outcome = read(dialect.beginning(tokens), error, dialect=dialect)
    if tokens == 0:
        assert isinstance(outcome, Failed)
    else:
        assert isinstance(outcome, Partial)
        assert (outcome.text, outcome.tokens) == (text_of(tokens), tokens)


@given(dialect=any_dialect, data=st.data())
def test_prefix_is_complete_only_with_its_marker(dialect: Dialect, data: st.DataObject) -> None:
    """However many bytes of a stream come, it is complete only when its terminal marker has begun to come."""
    whole = dialect.stream(4)
    size = data.draw(st.integers(0, len(whole)))
    error = data.draw(st.sampled_from([None, ConnectionResetError("reset")]))
    outcome = read(whole[:size], error, dialect=dialect)
    if isinstance(outcome, Complete):
        assert size > len(dialect.stream(4, marker=False))
    elif isinstance(outcome, Partial):
        tokens = sum(len(dialect.beginning(number)) <= size for number in range(1, 5))
        assert (outcome.text, outcome.tokens) == (text_of(tokens), tokens)
    else:
        assert size <= len(dialect.beginning(1))


@given(dialect=any_dialect, tokens=st.integers(0, 5), finish=st.booleans(), marker=st.booleans(), data=st.data())
def test_chunking_does_not_matter(
    dialect: Dialect, tokens: int, finish: bool, marker: bool, data: st.DataObject
) -> None:
    """The same bytes give the same outcome and the same shown text, wherever the reads cut them."""
    body = dialect.stream(tokens, finish=None if finish else "", marker=marker)
    places = sorted(data.draw(st.sets(st.integers(0, len(body)), max_size=20)))
    chunks = [body[a:b] for a, b in zip([0, *places], [*places, len(body)], strict=True)]
    shown: list[str] = []
    assert consume(chunks, wire_format=dialect.name, on_text=shown.append) == read(body, dialect=dialect)
    assert "".join(shown) == text_of(tokens)
    assert "" not in shown


@each_dialect
def test_byte_by_byte(dialect: Dialect) -> None:
    """Every byte may come alone."""
    chunks = [bytes([byte]) for byte in dialect.stream(3)]
    assert consume(chunks, wire_format=dialect.name) == Complete(text_of(3), 3, "stop")
