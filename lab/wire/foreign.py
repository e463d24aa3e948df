"""Documents that are not those of the format in which they came: whose they are, and whether they hide text.

A document in which no known format has text is harmless: a gateway's usage figure, a ping, a status. One with text
in another format's field is not: passed over, it would be missing, and the answer would look whole.
"""

from __future__ import annotations

import json
from typing import Any

from .events import PROGRESS, ErrorEvent, Event, Foreign, Heartbeat, Unreadable
from .format import BROKEN, compact, shortened
from .guess import BEAT_NAMES, find_text, read_object

_NOTHING = (b"", b"null", b"[]", b'""')
"""Data that hide no text."""

_ASSISTANTS = "thread.message.delta"

_SOMEBODYS_OWN = "no format that is known"


def harmless(document: dict[str, Any]) -> list[Event]:
    """The events of a document without any of the format's own fields; one that hides text gives `Foreign`."""
    if find_text(document):
        return [_foreign(document)]
    return [Heartbeat()] if str(document.get("type") or "").lower() in BEAT_NAMES else []


def checked(document: object, events: list[Event]) -> list[Event]:
    """The same events, or `Foreign` where the format found nothing in a document that has text all the same."""
    found_any = any(isinstance(event, (*PROGRESS, ErrorEvent)) for event in events)
    return [_foreign(document)] if not found_any and find_text(document) else events


def read_plain(document: dict[str, Any], name: str = "") -> list[Event]:
    """The events of an object in a plain format, or `Foreign` where it is of a dialect that is not read.

    LangGraph's states repeat the whole conversation so far, and OpenAI's Assistants say at the end once more what
    came in pieces: read as pieces, both would come twice.

    Raises:
        RecursionError: it is nested too deep.
    """
    if find_text(document.get("messages")) or document.get("object") == _ASSISTANTS:
        return [_foreign(document)]
    return read_object(document, name)


def unreadable_event(why: str, data: bytes) -> list[Event]:
    """What an event amounts to that the format cannot read: nothing, where there is nothing in it."""
    if data.strip() in _NOTHING:
        return [Heartbeat()]
    if data.lstrip().startswith(b":"):
        why = "a comment that a gateway wrapped as data"
    return [unreadable(why, data)]


def unreadable(why: str, data: bytes) -> Unreadable:
    """`Foreign` where the data are JSON that has text in another format's field."""
    try:
        document = json.loads(data)
        if isinstance(document, (dict, list)) and find_text(document):
            return _foreign(document)
    except BROKEN:
        pass
    return Unreadable(why, shortened(data))


def dialect_of(document: object) -> str:
    """Whose document it is, as well as its fields tell."""
    if isinstance(document, list):
        return "langgraph" if any(isinstance(item, dict) and "type" in item for item in document) else _SOMEBODYS_OWN
    if not isinstance(document, dict):
        return _SOMEBODYS_OWN
    kind, choices = str(document.get("type") or ""), document.get("choices")
    choice = next((item for item in choices if isinstance(item, dict)), None) if isinstance(choices, list) else None
    if choice is not None:
        return "openai-completions" if "text" in choice else "openai-chat"
    if kind.startswith("response.") or document.get("object") == "response":
        return "openai-responses"
    if kind.startswith(("content_block_", "message_")) or (kind == "message" and "content" in document):
        return "anthropic-messages"
    if kind.startswith(("text-", "reasoning-", "tool-", "start-step", "finish-step")):
        return "vercel-ui"
    if document.get("object") == _ASSISTANTS:
        return "OpenAI's Assistants"
    if kind.isupper():
        return "AG-UI"
    signs = (
        ("messages", "langgraph"),
        ("candidates", "gemini"),
        ("event", "dify"),
        ("done", "ollama-chat" if "message" in document else "ollama-generate"),
        ("completion", "Anthropic's older Text Completions"),
        ("stop", "llama.cpp's /completion"),
        ("token", "Text Generation Inference"),
        ("generated_text", "Text Generation Inference"),
    )
    return next((name for field, name in signs if field in document), _SOMEBODYS_OWN)


def _foreign(document: object) -> Foreign:
    why = f"its text stands where {dialect_of(document)} has it"
    return Foreign(why, shortened(compact(document).encode("utf-8", "replace")))
