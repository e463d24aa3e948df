"""The calls of tools in a reply: gathered from their pieces, and whole or not."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from .events import CallPiece

CALLED_A_TOOL = frozenset({"tool_calls", "function_call", "tool_use"})
"""Finish reasons of answers that end by calling a tool: they are whole. Any other word that a wire format does not
know, such as `pause_turn`, `model_context_window_exceeded` or `error`, is no promise that an answer is."""


@dataclass(frozen=True)
class ToolCall:
    """A call of a tool that the model asks the application for.

    Args:
        name: the tool.
        arguments: as the model wrote them: a whole JSON object, or free text for a tool that takes such (OpenAI's
            custom tools).
        id: what the tool's result must name; empty where the wire format has none.
    """

    name: str
    arguments: str
    id: str = ""

    @property
    def fields(self) -> dict[str, Any]:
        """The arguments as an object.

        Raises:
            json.JSONDecodeError: they are free text.
        """
        return dict(json.loads(self.arguments))


@dataclass
class _Call:
    """One call while its pieces come."""

    id: str = ""
    name: str = ""
    free: bool = False
    arguments: list[str] = field(default_factory=list)

    def flaw(self) -> str:
        """What is wrong with it, in words; empty where nothing is."""
        if not self.name:
            return "a call of a tool came without the tool's name"
        if self.free or _is_object("".join(self.arguments)):
            return ""
        return f"the arguments of the call of `{self.name}` are no whole JSON"


class Calls:
    """All calls of one reply."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._places: dict[int | str, _Call] = {}

    def take(self, piece: CallPiece) -> None:
        """Add a piece to the call that it belongs to."""
        call = self._call_of(piece)
        call.id, call.name = call.id or piece.id, call.name or piece.name
        call.free = call.free or piece.free
        call.arguments.append(piece.arguments)

    def flaw(self) -> str:
        """What is wrong with the first call that could not be carried out; empty where there is none."""
        return next((flaw for call in self._calls if (flaw := call.flaw())), "")

    def whole(self) -> tuple[ToolCall, ...]:
        """The calls, in the order in which they began."""
        return tuple(ToolCall(call.name, "".join(call.arguments), call.id) for call in self._calls)

    def _call_of(self, piece: CallPiece) -> _Call:
        if piece.call == "" and self._calls and not piece.name:
            return self._calls[-1]
        known = None if piece.call is None else self._places.get(piece.call)
        # Some gateways give every call the same number.
        if known is not None and not (piece.id and known.id and piece.id != known.id):
            return known
        call = _Call()
        self._calls.append(call)
        if piece.call is not None:
            self._places[piece.call] = call
        return call


def _is_object(text: str) -> bool:
    """Whether it is a whole JSON object: of anything else, a part can be whole JSON too."""
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
