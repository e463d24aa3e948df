"""The tokens' own text."""

from __future__ import annotations

import pytest

from lab.wire.tokens import WORDS, Stamp, read_tokens, write_token


def test_a_due_stamp_reads_back() -> None:
    """The documented form, written by hand, is what is written and what is read."""
    text = write_token("9f3c", 17, due=0.85, word="harbour")
    assert text == "harbour ⟨9f3c:17@850ms⟩ "
    assert read_tokens(text) == [Stamp("9f3c", 17, due=0.85, left=None)]


def test_a_clock_stamp_always_has_sixteen_digits() -> None:
    """Its place is reserved before the time is known, so its width must not depend on the time."""
    assert write_token("0000", 1, left=0.0) == " ⟨0000:1@0000000000000000us⟩ "
    text = write_token("0000", 1, left=1_700_000_000.123456)
    assert text == " ⟨0000:1@1700000000123456us⟩ "
    assert read_tokens(text) == [Stamp("0000", 1, due=None, left=1_700_000_000.123456)]


@pytest.mark.parametrize(
    "text", ["⟨9f3c:17@850ms", "9f3c:17@850ms⟩", "⟨9f3:17@850ms⟩", "⟨9f3c:x@850ms⟩", "⟨9f3c:1@8s⟩"]
)
def test_half_a_token_is_no_token(text: str) -> None:
    """Only a whole token counts; anything less is silence."""
    assert read_tokens(f"word {text} word") == []


def test_tokens_are_found_in_the_order_of_the_text() -> None:
    """Order, repetition and foreign tags are left to the judge."""
    text = "".join(write_token(tag, number, due=0) for tag, number in (("aaaa", 2), ("bbbb", 1), ("aaaa", 2)))
    assert [(stamp.tag, stamp.number) for stamp in read_tokens(text)] == [("aaaa", 2), ("bbbb", 1), ("aaaa", 2)]


def test_no_word_needs_escaping() -> None:
    """Events are made around a placeholder, which is sound only while words are plain letters."""
    assert all(word.isascii() and word.isalpha() for word in WORDS)
