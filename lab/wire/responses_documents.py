"""The documents of OpenAI Responses that the model server writes: responses, their items, and events around them."""

from __future__ import annotations

from typing import Any

from . import sse
from .events import FinishReason
from .format import Reply, compact

STOPPED_EARLY = {FinishReason.LENGTH: "max_output_tokens", FinishReason.CONTENT_FILTER: "content_filter"}

# A fixed birthday: the same plan must give the same bytes.
_CREATED = 1_700_000_000


def write_event(name: str, fields: dict[str, Any], number: int) -> bytes:
    """One event with its number."""
    return sse.write_event(compact({"type": name, **fields, "sequence_number": number}), name)


def ended(reply: Reply, text: str, reason: FinishReason, tokens: int) -> dict[str, Any]:
    """A response that is over."""
    status = "completed" if reason is FinishReason.STOP else "incomplete"
    response = response_document(reply, status, [output_item(reply, text, status)], tokens)
    if reason in STOPPED_EARLY:
        response["incomplete_details"] = {"reason": STOPPED_EARLY[reason]}
    return response


def response_document(reply: Reply, status: str, output: list[dict[str, Any]], tokens: int | None) -> dict[str, Any]:
    """A response, however far it has come."""
    return {
        "id": f"resp_{reply.id}",
        "object": "response",
        "created_at": _CREATED,
        "status": status,
        "background": reply.background,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": reply.model,
        "output": output,
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": None if tokens is None else _usage(reply, tokens),
    }


def item_id(reply: Reply) -> str:
    """The id of the message, or of the call."""
    return f"fc_{reply.id}" if reply.wanted.tool else f"msg_{reply.id}"


def output_item(reply: Reply, text: str, status: str) -> dict[str, Any]:
    """The message, or the call with its arguments."""
    if reply.wanted.tool:
        return {
            "id": item_id(reply),
            "type": "function_call",
            "status": status,
            "call_id": f"call_{reply.id}",
            "name": reply.wanted.tool,
            "arguments": text,
        }
    return {
        "id": item_id(reply),
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": [text_part(text)],
    }


def text_part(text: str) -> dict[str, Any]:
    """The only part of a message."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _usage(reply: Reply, tokens: int) -> dict[str, Any]:
    return {
        "input_tokens": reply.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": reply.prompt_tokens + tokens,
    }
