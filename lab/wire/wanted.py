"""What a request wants its answer to be, beside text: a call of a tool, or JSON. Pure.

The lab's model knows nothing, but it answers in the shape that it is asked for, so that clients which read it find
what they look for: of the tools the first that the conversation has not called yet, with arguments as its schema says;
after its result a text again. What cannot be kept is refused by the field's name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from .examples import example

LONGEST = 64 * 2**10
"""Characters of JSON in an answer."""

_LONGEST_NAME = 256
_MOST_STOPS = 16
# Braces at which a schema may begin.
_MOST_PLACES = 100

_ANY_OBJECT = {"type": "object", "properties": {"answer": {"type": "string"}}}


@dataclass(frozen=True)
class Wanted:
    """The shape of an answer.

    Args:
        tool: the name of the tool that is to be called; empty for an answer of text.
        json: the tool's arguments, or the answer where that is to be JSON; empty for tokens.
        thinking: whether the model shows that it thinks before it answers.
        stop: texts before which the answer ends.
    """

    tool: str = ""
    json: str = ""
    thinking: bool = False
    stop: tuple[str, ...] = ()


TEXT = Wanted()
"""An answer of tokens, as the plan has them."""


@dataclass(frozen=True)
class Tool:
    """A tool that may be called: its name and the schema of its arguments."""

    name: str
    schema: Any


def read_tools(offered: object, *inside: str, schema: str = "parameters") -> list[Tool]:
    """The tools that a request offers and that its client runs; a vendor's own are left out.

    Args:
        offered: the request's field.
        inside: the fields within each tool that lead to its description.
        schema: what the description calls the arguments' schema.

    Raises:
        ValueError: it is no list of tools.
    """
    if offered is None:
        return []
    if not isinstance(offered, list) or not all(isinstance(each, dict) for each in offered):
        raise ValueError("tools: must be a list of objects")
    found = []
    for each in offered:
        described: Any = each
        for step in inside:
            described = described.get(step) if isinstance(described, dict) else None
        if each.get("type", "function") not in ("function", "custom") or not isinstance(described, dict):
            continue
        name = described.get("name")
        if not isinstance(name, str) or not name:
            raise ValueError("tools: each needs a name")
        if not name.isascii() or not name.isprintable() or len(name) > _LONGEST_NAME:
            raise ValueError(f"tools: a name has {_LONGEST_NAME} characters of ASCII at most")
        found.append(Tool(name, described.get(schema) or {"type": "object"}))
    return found


def choose_tool(tools: Sequence[Tool], choice: object, called: Iterable[str], *, answered: bool) -> Tool | None:
    """The tool that is to be called; None for an answer of text.

    Args:
        tools: those that there are.
        choice: `none`, `auto`, any other word for having to call one, or a tool's name in an object.
        called: the names of those that the conversation has called before.
        answered: whether the conversation ends with a tool's result.

    Raises:
        ValueError: a tool is named that is none of them.
    """
    if not tools or choice == "none" or _kind(choice) == "none":
        return None
    named = _named(choice)
    if named:
        found = next((tool for tool in tools if tool.name == named), None)
        if found is None:
            raise ValueError(f"tool_choice: {named[:100]!r} is none of the tools")
        return found
    if choice in (None, "auto") or _kind(choice) == "auto":
        return None if answered else tools[0]
    done = {*called}
    return next((tool for tool in tools if tool.name not in done), tools[-1])


def _kind(choice: object) -> object:
    return choice.get("type") if isinstance(choice, dict) else None


def _named(choice: object) -> str:
    if not isinstance(choice, dict):
        return ""
    function = choice.get("function")
    name = choice.get("name") or (function.get("name") if isinstance(function, dict) else None)
    return name if isinstance(name, str) else ""


def arguments_of(tool: Tool) -> str:
    """Arguments for a call, as JSON.

    Raises:
        ValueError: its schema is none that the lab keeps.
    """
    return _written("tools", tool.name, tool.schema)


def read_schema(place: str, schema: object) -> str:
    """An answer as a schema says; of any object where it says nothing.

    Raises:
        ValueError: the schema is none that the lab keeps.
    """
    return _written(place, "schema", _ANY_OBJECT if schema is None else schema)


def _written(place: str, name: str, schema: Any) -> str:
    try:
        # In ASCII, so that it may be cut anywhere.
        text = json.dumps(example(schema), separators=(",", ":"), allow_nan=False)
    except (ValueError, TypeError, RecursionError, AttributeError) as error:
        raise ValueError(f"{place}: {name[:100]}: {error}") from None
    if len(text) > LONGEST:
        raise ValueError(f"{place}: {name[:100]}: {len(text)} characters of JSON are more than {LONGEST}")
    return text


def schema_in(texts: Iterable[str]) -> Any:
    """The schema that stands in the words of a request, as clients put it that ask for JSON and no more; else None."""
    decoder = json.JSONDecoder()
    for text in texts:
        places = (match.start() for match in re.finditer(r"\{", text[-LONGEST:]))
        for place in islice(places, _MOST_PLACES):
            try:
                found, _ = decoder.raw_decode(text[-LONGEST:], place)
            except (ValueError, RecursionError):
                continue
            if "properties" in found or "$ref" in found:
                return found
    return None


def read_stop(fields: Mapping[str, Any], name: str = "stop") -> tuple[str, ...]:
    """The texts before which an answer ends.

    Raises:
        ValueError: they are no texts.
    """
    stop = fields.get(name)
    texts = [stop] if isinstance(stop, str) else stop or []
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts) or len(texts) > _MOST_STOPS:
        raise ValueError(f"{name}: must be a text, or a list of {_MOST_STOPS} at most")
    return tuple(text for text in texts if text)


def refuse(fields: Mapping[str, Any], *names: str) -> None:
    """Refuse what the lab's model server does not do.

    Raises:
        ValueError: one of these fields asks for something; names it.
    """
    for name in names:
        value = fields.get(name)
        if value not in (None, False, 0, "", [], {}):
            raise ValueError(f"{name}: the lab's model server does not do that; leave it out")


def refuse_many(fields: Mapping[str, Any], *names: str) -> None:
    """Refuse to answer more than once; raises `ValueError`."""
    for name in names:
        if fields.get(name) not in (None, 1):
            raise ValueError(f"{name}: the lab's model server gives one answer")
