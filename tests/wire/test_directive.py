"""A directive in a message: found where a user put it, and nowhere else, in time that its length bounds."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from lab.wire.directive import LONGEST, find_directive, in_message, in_model

QUERY = "request=9f3c&tokens=5&gaps=2@1s,3@2s"
SAID = in_message("Count.", QUERY)


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [{"role": "user", "content": SAID}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "See:"}, {"type": "text", "text": SAID}]}]},
        {"messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": f"{SAID}\nThank you."}]},
        {"input": SAID},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": SAID}]}]},
        {"prompt": SAID},
        {"prompt": ["one", SAID]},
        {"messages": [{"role": "user", "content": SAID.replace("&", "&amp;")}]},
    ],
    ids=["chat", "parts", "amid", "responses", "responses, parts", "prompt", "prompts", "escaped for a page"],
)
def test_it_is_found_wherever_a_format_has_the_users_words(fields: dict[str, Any]) -> None:
    """However often its JSON was read and written anew on the way, with every character escaped too."""
    again = json.loads(json.dumps(json.loads(json.dumps(fields, ensure_ascii=True)), ensure_ascii=False))
    assert find_directive(again) == QUERY


def test_of_a_conversation_the_users_last_message_counts() -> None:
    """Clients send the history again, and what stands in a tool's result or an answer is nobody's wish."""
    asked, answer = {"role": "user", "content": SAID}, {"role": "assistant", "content": "[lab?tokens=9]"}
    other = {"role": "user", "content": "And now?"}
    call = {"role": "user", "content": [{"type": "tool_result", "content": "[lab?tokens=9]"}]}
    assert find_directive({"messages": [asked, answer, other]}) == ""
    assert find_directive({"messages": [asked, answer]}) == QUERY
    assert find_directive({"messages": [asked, answer, call]}) == QUERY
    assert find_directive({"messages": [asked, {"role": "tool", "content": "[lab?tokens=9]"}]}) == QUERY
    assert find_directive({"messages": [{"role": "user", "content": f"[lab?tokens=9] {SAID}"}]}) == QUERY


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Count.",
        "lab?tokens=5",
        "[lab?tokens=5",
        "[lab? tokens=5]",
        f"[lab?{'x' * (LONGEST + 1)}]",
        "[LAB?tokens=5]",
    ],
)
def test_what_is_not_written_so_is_none(text: str) -> None:
    """A text that only looks like it is a question like any other."""
    assert find_directive({"messages": [{"role": "user", "content": text}]}) == ""


@pytest.mark.parametrize("odd", [None, 5, {}, [None], [5], [[]], [{"role": "user"}], [{"role": "user", "content": 5}]])
def test_what_is_no_question_has_none(odd: object) -> None:
    """A request's fields can be anything."""
    assert find_directive({"messages": odd, "input": odd, "prompt": odd}) == ""


def test_a_text_takes_no_longer_to_search_than_it_is_long() -> None:
    """A bracket that opens a thousand times makes no thousand searches; quadratic, this would take minutes."""
    began = time.process_time()
    assert find_directive({"prompt": "[lab?" * 400_000}) == ""
    assert find_directive({"prompt": "[lab?" + "x" * 2_000_000}) == ""
    assert time.process_time() - began < 5


def test_a_models_name_has_it_behind_a_question_mark() -> None:
    """Any name; and none where there is nothing to say."""
    assert in_model("house-model", QUERY) == f"house-model?{QUERY}"
    assert in_model("house-model", "") == "house-model"
