"""What requests to OpenAI's Chat Completions and Completions want of an answer's shape, and how a call is written."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

from .directive import texts_of
from .format import Reply
from .wanted import (
    Wanted,
    arguments_of,
    choose_tool,
    read_schema,
    read_stop,
    read_tools,
    refuse,
    refuse_many,
    schema_in,
)


def read_chat_wanted(fields: dict[str, Any]) -> Wanted:
    """What a request to Chat Completions wants.

    Raises:
        ValueError: it wants what the model server does not do; names the field.
    """
    refuse_many(fields, "n")
    refuse(fields, "logprobs", "top_logprobs", "functions", "function_call", "audio")
    messages = [each for each in fields.get("messages") or [] if isinstance(each, dict)]
    calls = [call for each in messages for call in each.get("tool_calls") or [] if isinstance(call, dict)]
    called = [str((call.get("function") or {}).get("name")) for call in calls]
    answered = bool(messages) and messages[-1].get("role") == "tool"
    tools = read_tools(fields.get("tools"), "function")
    tool, stop = choose_tool(tools, fields.get("tool_choice"), called, answered=answered), read_stop(fields)
    if tool is not None:
        return Wanted(tool.name, arguments_of(tool), stop=stop)
    said = chain.from_iterable(texts_of(each.get("content")) for each in messages)
    return Wanted(json=_read_response_format(fields.get("response_format"), said), stop=stop)


def _read_response_format(wanted: object, said: Iterable[str]) -> str:
    """The answer as `response_format` wants it; empty for text."""
    if wanted is None:
        return ""
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if not isinstance(wanted, dict) or kind not in ("text", "json_object", "json_schema"):
        raise ValueError("response_format: type must be text, json_object or json_schema")
    if kind == "text":
        return ""
    described = wanted.get("json_schema") if kind == "json_schema" else {"schema": schema_in(said)}
    if not isinstance(described, dict):
        raise ValueError("response_format: json_schema must be an object")
    return read_schema("response_format", described.get("schema"))


def write_call(reply: Reply, arguments: str) -> dict[str, Any]:
    """The call of a tool, with so much of its arguments."""
    function = {"name": reply.wanted.tool, "arguments": arguments}
    return {"id": f"call_{reply.id}", "type": "function", "function": function}


def read_completions_wanted(fields: dict[str, Any]) -> Wanted:
    """What a request to Completions wants; raises as `read_chat_wanted`."""
    refuse_many(fields, "n", "best_of")
    refuse(fields, "logprobs", "echo", "suffix")
    prompt = fields.get("prompt")
    if isinstance(prompt, list) and sum(isinstance(each, (str, list)) for each in prompt) > 1:
        raise ValueError("prompt: the lab's model server answers one")
    return Wanted(stop=read_stop(fields))
