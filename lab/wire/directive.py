"""A directive: what a request says to the model server beside the question, where gateways take headers out.

It is a URL query, and stands behind a question mark in the model's name, `house-model?request=9f3c&tokens=50`; or,
where a gateway chooses the model, in the user's message: `[lab?request=9f3c&tokens=50]`, anywhere in its text. What the
query may say, `lab.directive` knows.

It is plain ASCII without spaces and quotes, so that JSON may be read and written anew any number of times, and a
message be moved to another vendor's fields. Of a conversation the user's last message counts, and in it the last
directive: what stands before is history, which clients send again.
"""

from __future__ import annotations

import re
from typing import Any

LONGEST = 4_000
"""Characters of a directive's query in a message, as in a model's name; a longer one is none."""

# A bracket begins anew, so that no text takes longer to search than it is long.
_IN_MESSAGE = re.compile(rf"\[lab\?(?P<query>[^\[\]\s]{{0,{LONGEST}}})\]")


def in_model(model: str, query: str) -> str:
    """The model's name with a directive."""
    return f"{model}?{query}" if query else model


def in_message(question: str, query: str) -> str:
    """The user's message with a directive at its end."""
    return f"{question} [lab?{query}]"


def find_directive(fields: dict[str, Any]) -> str:
    """The query of the directive in a request's question, from whichever field has it; empty where none is there."""
    for name in ("messages", "input", "prompt"):
        for text in reversed(_texts_of_user(fields.get(name))):
            found = [*_IN_MESSAGE.finditer(text)]
            if found:
                # Some gateways escape a message for a page.
                return found[-1]["query"].replace("&amp;", "&")
    return ""


def _texts_of_user(question: object) -> list[str]:
    """The texts of the user's last message, or of a question that is no conversation."""
    if isinstance(question, str):
        return [question]
    if not isinstance(question, list):
        return []
    if not any(isinstance(item, dict) for item in question):
        return [item for item in question if isinstance(item, str)]
    for message in reversed(question):
        if isinstance(message, dict) and message.get("role") == "user":
            texts = texts_of(message.get("content"))
            # The result of a tool comes as the user's too (Anthropic), and is no question.
            if texts:
                return texts
    return []


def texts_of(content: object) -> list[str]:
    """The texts of one message's content, which is one, or a list of parts."""
    if isinstance(content, str):
        return [content]
    if not isinstance(content, list):
        return []
    parts = [part if isinstance(part, str) else part.get("text") for part in content if isinstance(part, (str, dict))]
    return [text for text in parts if isinstance(text, str)]
