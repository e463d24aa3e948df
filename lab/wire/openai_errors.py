"""OpenAI's errors, which Chat Completions and Responses have in common."""

from __future__ import annotations

from typing import Any

from .events import ErrorEvent
from .format import error_words

_KINDS = {
    400: "invalid_request_error",
    401: "invalid_api_key",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_exceeded",
    503: "overloaded",
}


def error_kind(status: int) -> str:
    """The vendor's word for an HTTP error of that status."""
    return _KINDS.get(status, "server_error" if status >= 500 else "invalid_request_error")


def error_document(kind: str, message: str) -> dict[str, Any]:
    """The document of an HTTP error, and of an error in a stream."""
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def read_error(error: Any) -> ErrorEvent:
    """The error of a document: an object with a type or a code, or with some servers a mere text."""
    if not isinstance(error, dict):
        return ErrorEvent("error", str(error))
    return ErrorEvent(str(error.get("type") or error.get("code") or "error"), error_words(error))


def error_of(document: dict[str, Any], name: str) -> ErrorEvent | None:
    """The error in a streamed document; all of it is one where the event's name says so (llama.cpp's field, too)."""
    if document.get("error"):
        return read_error(document["error"])
    return read_error(document) if name == "error" else None
