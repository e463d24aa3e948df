"""Calls of tools, in the shape that OpenAI gave them and that Ollama and most others took over."""

from __future__ import annotations

import json
from typing import Any

from .events import CallPiece


def read_calls(message: dict[str, Any], *, whole: bool = False) -> list[CallPiece]:
    """The calls in a message or in a piece of one.

    Args:
        message: what may hold `tool_calls`, or the older `function_call`.
        whole: whether each is a call by itself, as in a batch reply.

    Raises:
        AttributeError: a call is no object.
        TypeError: the calls are no list.
    """
    calls = [_read(call, None if whole else _place(call)) for call in message.get("tool_calls") or []]
    old = message.get("function_call")
    if old:
        calls.append(_piece("function_call", None if whole else "function_call", "", old))
    return calls


def arguments_text(arguments: object) -> str:
    """Arguments as text: some servers send the object itself in the place of its JSON."""
    if arguments is None:
        return ""
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)


def _place(call: dict[str, Any]) -> int | str | None:
    """Which call a piece belongs to; a whole object of arguments is a call by itself."""
    if not isinstance((call.get("function") or {}).get("arguments") or "", str):
        return None
    index = call.get("index")
    return index if isinstance(index, int) else str(call.get("id") or "")


def _read(call: dict[str, Any], place: int | str | None) -> CallPiece:
    if call.get("type") == "custom" or call.get("custom"):
        custom = call.get("custom") or {}
        return _piece("tool_calls", place, call.get("id"), {**custom, "arguments": custom.get("input")}, free=True)
    return _piece("tool_calls", place, call.get("id"), call.get("function") or {})


def _piece(
    kind: str, place: int | str | None, call_id: object, function: dict[str, Any], *, free: bool = False
) -> CallPiece:
    name, arguments = str(function.get("name") or ""), arguments_text(function.get("arguments"))
    return CallPiece(kind, place, str(call_id or ""), name, arguments, free)
