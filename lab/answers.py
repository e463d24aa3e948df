"""What a reply amounts to for an application: complete, partial, refused or failed.

A partial answer is a type of its own, so that it cannot be taken for a whole one by accident, and a type
checker sees whether an application handles it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PartialReason(StrEnum):
    """Why an answer is not whole."""

    TOKEN_LIMIT = "token-limit"
    """The model says that it stopped at the token limit."""
    CONTENT_FILTER = "content-filter"
    """The model says that it was stopped by a filter."""
    UNKNOWN_FINISH_REASON = "unknown-finish-reason"
    """The model gave a finish reason that is not known to mean a whole answer."""
    CUT = "cut"
    """The connection failed."""
    TIME_OUT = "time-out"
    """The client's patience ran out."""
    NO_MARKER = "no-marker"
    """The body ended cleanly, but without the terminal marker."""
    NO_FINISH_REASON = "no-finish-reason"
    """The terminal marker came, but no finish reason before it."""
    MODEL_ERROR = "model-error"
    """The model reported an error in the middle."""
    MALFORMED = "malformed"
    """An event broke the wire format, so that text may be missing."""
    COUNT_MISMATCH = "count-mismatch"
    """The usage figure says more tokens than came (only with `exact_count`)."""


class FailedReason(StrEnum):
    """Why there is nothing to use."""

    CUT = "cut"
    """The connection failed before the first token, or could not be made."""
    TIME_OUT = "time-out"
    """The client's patience ran out before the first token."""
    PROXY_ERROR_STATUS = "proxy-error-status"
    """An HTTP error without the vendor's error document: somebody on the way answered."""
    WRONG_REPLY = "wrong-reply"
    """A success that is no reply of this wire format."""
    EMPTY = "empty"
    """A clean end without a token, and without what would make an empty answer complete."""
    MALFORMED = "malformed"
    """The reply began in this wire format and then broke it, or is half a batch document."""


@dataclass(frozen=True)
class Complete:
    """A whole answer: the finish reason and the terminal marker both came.

    Args:
        text: the answer.
        tokens: the pieces of text that came; for a batch reply the model's own count, if it gave one.
        reason: why the model stopped: `stop`, or the wire's own word for a call of a tool.
        dirty_close: whether the connection failed after the marker. The answer is whole all the same.
    """

    text: str
    tokens: int
    reason: str
    dirty_close: bool = False


@dataclass(frozen=True)
class Partial:
    """The beginning of an answer, by declaration or by accident.

    Args:
        text: what came; empty only where the model itself says that it was stopped.
        tokens: counted as in `Complete`.
        reason: why it is not whole.
        detail: the particulars in words: the client's exception, the model's error, the event.
    """

    text: str
    tokens: int
    reason: PartialReason
    detail: str = ""


@dataclass(frozen=True)
class Refused:
    """The API said no, with an HTTP error or with an error event before any text.

    Args:
        status: the HTTP status; 200 where the error came inside a success.
        kind: the vendor's word for the error, such as `rate_limit_error`.
        message: the vendor's message.
        retry_after: seconds to wait before asking again, if the reply says so.
    """

    status: int
    kind: str
    message: str
    retry_after: float | None = None


@dataclass(frozen=True)
class Failed:
    """Nothing usable came, and it was not the API that said no.

    Args:
        reason: what went wrong.
        detail: the particulars in words.
    """

    reason: FailedReason
    detail: str = ""


Answer = Complete | Partial | Refused | Failed
"""Exactly one of these comes out of a consumer."""
