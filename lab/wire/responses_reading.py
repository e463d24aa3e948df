"""Reads OpenAI Responses, streamed and whole; what the rules are, `lab.wire.openai_responses` says."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from . import sse
from .events import (
    PROGRESS,
    CallPiece,
    Contradiction,
    ErrorEvent,
    Event,
    Finish,
    FinishReason,
    Heartbeat,
    Marker,
    Opening,
    OtherPiece,
    Reasoning,
    Text,
    Unreadable,
)
from .foreign import checked, harmless, unreadable_event
from .format import BROKEN, error_words, read_text, read_usage, shortened
from .openai_errors import error_of, read_error
from .responses_documents import STOPPED_EARLY

_REASONS_READ = {word: reason for reason, word in STOPPED_EARLY.items()}

_ITEM, _ITEM_DONE = "response.output_item.added", "response.output_item.done"
# These frame the text and say nothing else.
_FRAME = frozenset(
    {
        "response.queued",
        "response.in_progress",
        "response.content_part.added",
        "response.content_part.done",
    }
)
_TERMINAL = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})
_TEXTS = {"response.output_text": "text", "response.refusal": "refusal"}
_OTHERS = {
    "response.function_call_arguments": "arguments",
    "response.mcp_call_arguments": "arguments",
    "response.custom_tool_call_input": "input",
    "response.code_interpreter_call_code": "code",
    "response.audio.transcript": "transcript",
    "response.audio": "data",
}
# Calls that the application is to carry out, by the type of their item: the field with the arguments, and whether
# those are free text.
_CALLS = {"function_call": ("arguments", False), "custom_tool_call": ("input", True)}
_CALL_PARTS = {"response.function_call_arguments": False, "response.custom_tool_call_input": True}
"""The parts of those calls, and whether they are free text."""
_REPEATED = {**_TEXTS, **_OTHERS}
"""The parts of an answer, those of text and the others, and the field in which their last event repeats the whole."""


class OpenAIResponsesReader:
    """Reads one streamed response."""

    def __init__(self) -> None:
        self._parser = sse.EventParser()
        self._from_start = False
        self._pieces: dict[tuple[str, object, object], list[str]] = {}
        self._repeated: set[tuple[str, object, object]] = set()
        self._number: int | None = None
        self._gap = ""
        self._said_anything = False
        self._hidden: list[Event] = []

    def feed(self, data: bytes) -> list[Event]:
        """See `Reader.feed`."""
        return [event for item in self._parser.feed(data) for event in self._read(item)]

    def close(self) -> list[Event]:
        """See `Reader.close`; a whole terminal event counts without its empty line."""
        tail = self._parser.tail
        if tail is None:
            return []
        events = self._read(tail)
        if any(isinstance(event, Marker) for event in events):
            return events
        return [Unreadable("the body ended inside an event", shortened(tail.data))]

    def _read(self, item: sse.ServerSentEvent | sse.Comment) -> list[Event]:
        if isinstance(item, sse.Comment):
            return [Heartbeat()]
        if item.data == b"[DONE]":
            return []
        try:
            document = json.loads(item.data)
            numbered = self._count(document.get("sequence_number"), item.data)
            events = [*numbered, *self._read_document(document, item.name)]
        except BROKEN as error:
            events = unreadable_event(f"no response event: {error!r}", item.data)
        self._said_anything = self._said_anything or any(isinstance(event, PROGRESS) for event in events)
        return events

    def _count(self, number: object, data: bytes) -> list[Event]:
        """Hold an event's number against the one before it."""
        if not isinstance(number, int):
            return []
        last, self._number = self._number, number
        if last is not None and number <= last:
            return [Contradiction(f"event {number} came after event {last}", shortened(data))]
        if last is not None and number > last + 1:
            self._gap = self._gap or f"no event came between {last} and {number}"
        return []

    def _missing(self) -> list[Event]:
        """What never came, told at the end; nothing where all that the answer has was repeated and is whole."""
        if not self._gap or not self._from_start or set(self._pieces) <= self._repeated:
            return []
        return [Contradiction(self._gap, b"")]

    def _read_document(self, document: dict[str, Any], name: str) -> list[Event]:
        error = error_of(document, "" if document.get("type") == "error" else name)
        if error is not None:
            return [error]
        kind = str(document.get("type") or "")
        if not kind.startswith("response."):
            return self._skip(document, kind)
        if kind in _TERMINAL:
            response = document["response"]
            status = read_status(response, kind.removeprefix("response."))
            return [*self._missing(), *self._only_at_the_end(response), *status]
        if kind in _FRAME:
            return []
        if kind == _ITEM:
            return [*_read_call(document["item"], document.get("output_index"), begun=True)]
        if kind == _ITEM_DONE:
            return self._read_rest(document["item"], document.get("output_index"))
        part, _, verb = kind.rpartition(".")
        if part in _REPEATED:
            return self._read_part(document, part, verb)
        if part.startswith("response.reasoning") and verb == "delta":
            thinking = read_text(document.get("delta"))
            return [Reasoning(thinking)] if thinking else []
        self._from_start = self._from_start or kind == "response.created"
        # The vendor adds types as it goes; each is a sign of life.
        return [Opening()]

    def _read_rest(self, item: dict[str, Any], index: object) -> list[Event]:
        """The arguments of a call of which no piece came before its item was done."""
        if any(key[0] in _CALL_PARTS and key[1] == index and "".join(self._pieces[key]) for key in self._pieces):
            return []
        return [replace(call, call=_place(index)) for call in _read_call(item)]

    def _skip(self, document: dict[str, Any], kind: str) -> list[Event]:
        """An event that is no part of a response."""
        if kind == "error":
            return [ErrorEvent(str(document.get("code") or "error"), error_words(document))]
        found = harmless(document)
        self._hidden += [event for event in found if isinstance(event, Unreadable)]
        return [event for event in found if not isinstance(event, Unreadable)]

    def _only_at_the_end(self, response: dict[str, Any]) -> list[Event]:
        """What the last event alone says of an answer of which no piece came, or what was skipped before it."""
        if self._said_anything:
            return []
        return (read_output(response) if response.get("output") else []) or self._hidden[:1]

    def _read_part(self, document: dict[str, Any], part: str, verb: str) -> list[Event]:
        """A piece of a part of the answer, or the whole part behind its pieces."""
        key = (part, document.get("output_index"), document.get("content_index"))
        pieces = self._pieces.setdefault(key, [])
        if verb == "delta":
            piece = read_text(document["delta"])
            pieces.append(piece)
            return _piece(part, piece, document)
        whole, came = read_text(document.get(_REPEATED[part])), "".join(pieces)
        # Joined once, however often the whole is repeated.
        pieces[:] = [came]
        if not came:
            return _piece(part, whole, document)
        if not (self._from_start and whole):
            return []
        if whole == came:
            self._repeated.add(key)
            return []
        why = f"{part}.done repeats {len(whole)} characters, which are not the {len(came)} that came"
        return [Contradiction(why, shortened(whole.encode("utf-8", "replace")))]


def _piece(part: str, content: str, document: dict[str, Any]) -> list[Event]:
    if not content:
        return []
    if part in _TEXTS:
        return [Text(content)]
    kind = part.removeprefix("response.")
    if part not in _CALL_PARTS:
        return [OtherPiece(kind)]
    return [CallPiece(kind, _place(document.get("output_index")), arguments=content, free=_CALL_PARTS[part])]


def _place(index: object) -> int | str:
    return index if isinstance(index, int) else ""


def _read_call(item: dict[str, Any], index: object = None, *, begun: bool = False) -> list[CallPiece]:
    """The call that an item is: a whole one, or one that has begun; nothing where it is none."""
    kind = str(item.get("type"))
    if kind not in _CALLS:
        return []
    field, free = _CALLS[kind]
    arguments = "" if begun else read_text(item.get(field))
    name, call_id = str(item.get("name") or ""), str(item.get("call_id") or item.get("id") or "")
    return [CallPiece(kind, _place(index) if begun else None, call_id, name, arguments, free)]


def read_output(response: dict[str, Any]) -> list[Event]:
    """Thinking, text and calls of a whole response."""
    output = response["output"]
    thinking = "".join(_read_item(item) for item in output if item["type"] == "reasoning")
    text = "".join(_read_item(item) for item in output if item["type"] != "reasoning")
    events: list[Event] = [*([Reasoning(thinking)] if thinking else []), *([Text(text)] if text else [])]
    return checked(output, [*events, *(call for item in output for call in _read_call(item))])


def _read_item(item: dict[str, Any]) -> str:
    """The text of one item of a batch reply: of a message, or of the thinking before it."""
    blocks = [*(item.get("summary") or []), *(item.get("content") or [])]
    return "".join(read_text(block.get("text")) + read_text(block.get("refusal")) for block in blocks)


def read_status(response: dict[str, Any], status: str) -> list[Event]:
    """How a response ended: reason, count and marker; that it has begun, and the count, where it has not ended."""
    usage = read_usage(response.get("usage") or {}, "output_tokens")
    match status:
        case "failed":
            return [read_error(response.get("error") or {})]
        case "in_progress" | "queued":
            return [Opening(), *usage]
        case "completed":
            finish = Finish(FinishReason.STOP, status)
        case "incomplete":
            raw = str((response.get("incomplete_details") or {}).get("reason") or status)
            finish = Finish(_REASONS_READ.get(raw), raw)
        case _:
            finish = Finish(None, str(status))
    return [finish, *usage, Marker()]
