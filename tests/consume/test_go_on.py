"""The recipe for going on with a partial answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anthropic
import openai
import pytest

from lab.consume import Answer, Complete, Partial
from lab.consume.go_on import INSTRUCTION, continued, joined
from lab.consume.sdk import read
from lab.wire.tokens import read_tokens

QUESTION = [{"role": "user", "content": "Count."}]


def test_the_partial_text_becomes_a_turn_of_its_own() -> None:
    """The conversation goes on with what came and an instruction; the last turn is the user's."""
    assert continued(QUESTION, "one two ") == [
        *QUESTION,
        {"role": "assistant", "content": "one two "},
        {"role": "user", "content": INSTRUCTION},
    ]


@pytest.mark.parametrize("text", ["", " \n"])
def test_nothing_to_go_on_from_is_asking_again(text: str) -> None:
    """An empty turn, which the vendors refuse, is never made."""
    assert continued(QUESTION, text) == QUESTION


@pytest.mark.parametrize(
    ("text", "rest", "whole"),
    [
        ("The quick brown fox jumps", " over the dog", "The quick brown fox jumps over the dog"),
        ("The quick brown fox jumps", "quick brown fox jumps over", "The quick brown fox jumps over"),
        ("The quick brown fox jumps", "The quick brown fox jumps", "The quick brown fox jumps"),
        ("ha ha ha ", "ha ha!", "ha ha ha ha ha!"),
        ("", "all of it", "all of it"),
        ("all of it", "", "all of it"),
    ],
)
def test_a_long_repetition_is_taken_out(text: str, rest: str, whole: str) -> None:
    """What the rest repeats word for word is there once; a short repetition may be meant, and stays."""
    assert joined(text, rest) == whole


def _openai(model: str, name: str, messages: Any) -> Answer:
    with openai.OpenAI(base_url=f"{model}/v1", api_key="none", max_retries=0) as client:
        return read(lambda: client.chat.completions.create(model=name, messages=messages, stream=True))


def _anthropic(model: str, name: str, messages: Any) -> Answer:
    with anthropic.Anthropic(base_url=model, api_key="none", max_retries=0) as client:
        return read(lambda: client.messages.create(model=name, max_tokens=99, messages=messages, stream=True))


@pytest.mark.parametrize("ask", [_openai, _anthropic])
def test_the_recipe_works_with_an_sdk(model: str, ask: Callable[[str, str, Any], Answer]) -> None:
    """After a cut the continuation is asked for, and both parts make one text."""
    first = ask(model, "lab?tokens=4&interval=1ms&fault=fin@2", QUESTION)
    assert isinstance(first, Partial)
    rest = ask(model, "lab?tokens=4&interval=1ms", continued(QUESTION, first.text))
    assert isinstance(rest, Complete)
    whole = joined(first.text, rest.text)
    assert whole == first.text + rest.text
    # A new generation: this model, which reads no question, begins anew, and nothing in the text proves the seam wrong.
    assert [stamp.number for stamp in read_tokens(whole)] == [1, 2, 1, 2, 3, 4]
