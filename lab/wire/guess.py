"""Reads JSON objects of streams that follow no vendor's rules, by the usual names of their fields.

Applications and gateways have their own dialects, most of them near a vendor's. A field is looked for
under each of its usual names, and an object that has none of them is an event without text.

Warning: this is guessing. A status message in a field named `text` is read as text, and an event of which
the name says that it ends the stream is not searched for text, since many repeat the whole answer there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .calls import read_calls
from .events import ErrorEvent, Event, Finish, FinishReason, Heartbeat, Marker, Opening, Reasoning, Text, Usage
from .format import read_usage

_WORKFLOW_END = "workflow_finished"
"""How Dify's workflows end; one that failed or was stopped ends so too, and says it in its data."""

END_NAMES = frozenset({"done", "end", "complete", "finish", "message_end", "run_finished", _WORKFLOW_END})
"""Names of an event that say that the stream is over; the last but one is AG-UI's."""

_ERROR_NAMES = frozenset({"error", "run_error"})
"""Names of an event that say that there is no more, and why."""

_REPLACED = "message_replace"
"""How Dify takes an answer back: what came is not to be shown, and this event has what is to stand in its place."""

_OF_A_TOOL = ("tool_", "tool-")
"""What the name of an event begins with whose text is a call's arguments, or its result, and none of the answer's."""

BEAT_NAMES = frozenset({"ping", "heartbeat", "keepalive", "keep-alive"})
"""Names of an event that say that it has nothing else to say."""

# In this order; the first that has any text counts, for some objects repeat it further on.
_TEXT_FIELDS = (
    "delta",
    "text",
    "content",
    "token",
    "message",
    "choices",
    "response",
    "completion",
    "answer",
    "candidates",
    "parts",
    "output",
    "generated_text",
    "data",
)
# Where these are a mere text they are a status message.
_OBJECTS_ONLY = frozenset({"message", "choices", "candidates", "data"})

_THINKING_FIELDS = ("reasoning_content", "reasoning", "thinking")
_REASON_FIELDS = ("finish_reason", "stop_reason", "done_reason", "finishReason", "stop_type")
_HOLDERS = ("delta", "message", "choices", "candidates", "response_metadata", "details")
_COUNTS = ("tokens", "completion_tokens", "output_tokens", "eval_count")

_ERROR_WORDS = ("message", "errorText", "detail", "content", "data")

_NOT_YET = "none"
"""What llama.cpp says as the reason while it goes on."""

_REASONS = {
    "stop": FinishReason.STOP,
    "end_turn": FinishReason.STOP,
    "eos_token": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "word": FinishReason.STOP,
    "complete": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "limit": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
    "content-filter": FinishReason.CONTENT_FILTER,
    "refusal": FinishReason.CONTENT_FILTER,
    "safety": FinishReason.CONTENT_FILTER,
}


def read_object(document: dict[str, Any], name: str = "") -> list[Event]:
    """The events of one object.

    Args:
        document: the object.
        name: the name of the event that carried it, in lower case; its own `type` or `event` where it had none.

    Raises:
        RecursionError: it is nested too deep.
    """
    own = own_name(document)
    kind = name or own
    if document.get("error") or not _ERROR_NAMES.isdisjoint((name, own)):
        return [_read_error(document)]
    if kind == _REPLACED:
        return [Finish(FinishReason.CONTENT_FILTER, kind)]
    if kind == _WORKFLOW_END and (failure := _failure_of(document)):
        return [failure]
    if kind in BEAT_NAMES:
        return [Heartbeat()]
    thinks = "reasoning" in kind or "thinking" in kind
    no_answer = kind in END_NAMES or kind.startswith(_OF_A_TOOL)
    text = "" if no_answer else find_text(document) or _bare_token(document, kind)
    thinking = text if thinks else _find_field(document, _THINKING_FIELDS)
    events: list[Event] = [*([Reasoning(thinking)] if thinking else []), *([Text(text)] if text and not thinks else [])]
    events += [call for holder in _holders(document) for call in read_calls(holder)]
    raw = _find_field(document, _REASON_FIELDS)
    if raw and raw != _NOT_YET:
        events.append(Finish(_REASONS.get(raw.lower()), raw))
    events += _find_usage(document)
    if True in (document.get("done"), document.get("stop")) or kind in END_NAMES:
        events.append(Marker())
    return events or [Opening()]


def own_name(document: dict[str, Any]) -> str:
    """What an object calls itself, in lower case; empty where it does not."""
    return str(document.get("type") or document.get("event") or "").lower()


def has_reasons(document: dict[str, Any]) -> bool:
    """Whether an object has a field for the reason why the model stopped, be it filled in or not."""
    return any(name in holder for holder in _holders(document) for name in _REASON_FIELDS)


def find_text(value: object) -> str:
    """The text of an answer, wherever any of the known formats has it."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(find_text(item) for item in value)
    if not isinstance(value, dict) or value.get("thought") is True:
        return ""
    inner = ((field, value.get(field)) for field in _TEXT_FIELDS)
    texts = (find_text(item) for field, item in inner if not (field in _OBJECTS_ONLY and isinstance(item, str)))
    return next((text for text in texts if text), "")


def _find_field(document: dict[str, Any], names: tuple[str, ...]) -> str:
    """The first text under one of those names, at the top or in what usually holds it."""
    values = (holder.get(name) for holder in _holders(document) for name in names)
    return next((value for value in values if isinstance(value, str) and value), "")


def _holders(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield document
    for name in _HOLDERS:
        held = document.get(name)
        for item in held if isinstance(held, list) else [held]:
            if isinstance(item, dict):
                yield from _holders(item)


def _find_usage(document: dict[str, Any]) -> list[Usage]:
    usage = document.get("usage")
    holders = [document, usage] if isinstance(usage, dict) else [document]
    return [count for holder in holders for name in _COUNTS for count in read_usage(holder, name)][:1]


def _bare_token(document: dict[str, Any], kind: str) -> str:
    """Flowise's token, which is bare text where others have an object."""
    token = document.get("data")
    return token if kind == "token" and isinstance(token, str) else ""


def _failure_of(document: dict[str, Any]) -> ErrorEvent | None:
    """Why a workflow did not come to its end; None where it did."""
    data = document.get("data")
    if not isinstance(data, dict) or data.get("status") not in {"failed", "stopped"}:
        return None
    return ErrorEvent(f"workflow {data['status']}", str(data.get("error") or ""))


def _read_error(document: dict[str, Any]) -> ErrorEvent:
    error = document.get("error") or document
    if not isinstance(error, dict):
        return ErrorEvent("error", str(error))
    kind = error.get("code") if error is document else error.get("type") or error.get("code")
    message = next((error[name] for name in _ERROR_WORDS if error.get(name)), "")
    return ErrorEvent(str(kind or "error"), str(message))
