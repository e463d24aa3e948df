"""Which tool is called, and what is refused: by the vendors' words, whatever a request holds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lab.wire import format_named
from lab.wire.format import Asked
from lab.wire.wanted import Tool, choose_tool, read_stop, schema_in

TOOLS = [Tool("first", {}), Tool("second", {})]


@pytest.mark.parametrize(
    ("choice", "called", "answered", "name"),
    [
        (None, (), False, "first"),
        ("auto", (), False, "first"),
        ("auto", ("first",), True, None),
        ({"type": "auto"}, ("first",), True, None),
        ("none", (), False, None),
        ({"type": "none"}, (), False, None),
        ("required", (), False, "first"),
        ("required", ("first",), True, "second"),
        ({"type": "any"}, ("first", "second"), True, "second"),
        ({"type": "function", "function": {"name": "second"}}, (), False, "second"),
        ({"type": "tool", "name": "second"}, ("second",), True, "second"),
    ],
)
def test_the_tool_that_is_called_is_the_one_that_is_asked_for(
    choice: object, called: tuple[str, ...], answered: bool, name: str | None
) -> None:
    """Of its own will the model calls once; where it must, it goes on to what it has not called, so that agents end."""
    chosen = choose_tool(TOOLS, choice, called, answered=answered)
    assert (None if chosen is None else chosen.name) == name
    assert choose_tool([], choice, called, answered=answered) is None


def asked(name: str, **fields: Any) -> Asked:
    """A request of that format, read."""
    question = {"messages": [{"role": "user", "content": "x"}], "input": "x", "prompt": "x", "max_tokens": 9}
    return format_named(name).read_ask(json.dumps({"model": "m", **question, **fields}).encode())


CALLABLE = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
REFUSED = [
    ("openai-chat", {"n": 2}, "n"),
    ("openai-chat", {"logprobs": True}, "logprobs"),
    ("openai-chat", {"functions": [{"name": "f"}]}, "functions"),
    ("openai-chat", {"stop": [1]}, "stop"),
    ("openai-chat", {"stop": ["x"] * 17}, "stop"),
    ("openai-chat", {"tools": "f"}, "tools"),
    ("openai-chat", {"tools": [{"type": "function", "function": {}}]}, "tools"),
    ("openai-chat", {"tools": [{"type": "function", "function": {"name": "f\ud800"}}]}, "tools"),
    (
        "openai-chat",
        {"tools": [CALLABLE], "tool_choice": {"type": "function", "function": {"name": "g"}}},
        "tool_choice",
    ),
    ("openai-chat", {"response_format": {"type": "xml"}}, "response_format"),
    ("openai-chat", {"response_format": "json"}, "response_format"),
    (
        "openai-chat",
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"pattern": "a"}}}},
        "pattern",
    ),
    ("openai-responses", {"top_logprobs": 2}, "top_logprobs"),
    ("openai-responses", {"text": {"format": {"type": "xml"}}}, "text.format"),
    ("anthropic-messages", {"output_format": {"type": "xml"}}, "output_format"),
    ("anthropic-messages", {"stop_sequences": [1]}, "stop_sequences"),
    ("ollama-chat", {"logprobs": True}, "logprobs"),
    ("ollama-chat", {"format": "xml"}, "format"),
]


@pytest.mark.parametrize(("name", "fields", "field"), REFUSED)
def test_what_is_not_done_is_refused_by_name(name: str, fields: dict[str, Any], field: str) -> None:
    """In place of an answer of another shape, at which a client would fail without a word of why."""
    with pytest.raises(ValueError, match=field):
        asked(name, **fields)


@pytest.mark.parametrize("name", ["openai-chat", "openai-responses", "anthropic-messages", "ollama-chat"])
def test_what_asks_for_nothing_is_not_refused(name: str) -> None:
    """SDKs send defaults, and null where nothing is set; a vendor's own tools are run by nobody here."""
    nothing = {"n": 1, "logprobs": False, "stop": None, "tools": [], "tool_choice": "auto", "response_format": None}
    assert asked(name, **nothing) == asked(name)
    assert asked(name, tools=[{"type": "web_search"}]) == asked(name)


def test_stop_texts_are_one_or_several() -> None:
    """An empty one stops nothing."""
    assert read_stop({"stop": "a"}) == ("a",)
    assert read_stop({"stop": ["a", "", "b"]}) == ("a", "b")


def test_a_schema_may_stand_in_the_words() -> None:
    """As instructor and the Vercel SDK put it where a server knows no schemas; what is no schema is a text."""
    schema = {"properties": {"a": {"const": 1}}}
    words = f"Answer {{in}} JSON: {json.dumps(schema, indent=2)} and nothing else."
    wanted = {"response_format": {"type": "json_object"}}
    messages = [{"role": "system", "content": words}, {"role": "user", "content": [{"type": "text", "text": "x"}]}]
    assert asked("openai-chat", **wanted, messages=messages).wanted.json == '{"a":1}'
    assert asked("openai-chat", **wanted).wanted.json == '{"answer":"amber"}'
    assert schema_in(["{" * 100_000, '{"a": 1}']) is None
