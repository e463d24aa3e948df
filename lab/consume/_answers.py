"""What a reply amounts to for an application: complete, partial, refused or failed.

A partial answer is a type of its own, so that it cannot be taken for a whole one by accident, and a type
checker sees whether an application handles it. Whatever is not complete says, as `retry`, what asking again
would do.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..wire.tools import ToolCall


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
    TIMEOUT = "timeout"
    """The client's patience ran out."""
    LEFT = "left"
    """The application, or its SDK, stopped reading before the end."""
    NO_MARKER = "no-marker"
    """The body ended cleanly, but without the terminal marker."""
    NO_FINISH_REASON = "no-finish-reason"
    """The terminal marker came, but no finish reason before it."""
    MODEL_ERROR = "model-error"
    """The model reported an error in the middle."""
    MALFORMED = "malformed"
    """An event broke the wire format, so that text may be missing."""
    TOOL_CALL = "tool-call"
    """A call of a tool is not whole: its arguments are no JSON object, or the tool has no name."""
    COUNT_MISMATCH = "count-mismatch"
    """The usage figure says more tokens than came (only with `exact_count`)."""


class FailedReason(StrEnum):
    """Why there is nothing to use."""

    UNREACHABLE = "unreachable"
    """No connection could be made, so the question never left."""
    CUT = "cut"
    """The connection failed before the first token."""
    TIMEOUT = "timeout"
    """The client's patience ran out before the first token."""
    LEFT = "left"
    """The application, or its SDK, stopped reading before the first token."""
    PROXY_ERROR_STATUS = "proxy-error-status"
    """An HTTP error without the vendor's error document: somebody on the way answered."""
    WRONG_REPLY = "wrong-reply"
    """A success that is no reply of this wire format."""
    EMPTY = "empty"
    """A clean end without a token, and without what would make an empty answer complete; also the document of a
    background response while the model is still at work on it."""
    MALFORMED = "malformed"
    """The reply began in this wire format and then broke it, or is half a batch document."""


class Retry(StrEnum):
    """What sending the same request once more would do."""

    SAFE = "safe"
    """Nothing was generated, so it costs nothing and repeats nothing. Wait for `retry_after` first."""
    COSTS = "costs"
    """The model may have been at work: another answer is generated and billed, and it will read differently,
    so it replaces the partial text and does not extend it. Tools that the server runs for the model may run
    twice; if that must not be, do not ask again."""
    POINTLESS = "pointless"
    """It would end the same way. Change the request first: a higher limit, a valid key, a continuation."""


@dataclass(frozen=True)
class Complete:
    """A whole answer: the finish reason came, and the terminal marker, or where no marker is standard a clean end.

    Args:
        text: the answer.
        tokens: the pieces of text that came; for a batch reply the model's own count, if it gave one.
        reason: why the model stopped: `stop`, or the wire's own word for a call of a tool.
        dirty_close: whether the connection failed after the marker. The answer is whole all the same.
        tool_calls: the tools that the model asks for, each with whole arguments.
    """

    text: str
    tokens: int
    reason: str
    dirty_close: bool = False
    tool_calls: tuple[ToolCall, ...] = ()


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

    @property
    def retry(self) -> Retry:
        """What asking again would do; never safe, since text was generated."""
        return Retry.POINTLESS if self.reason in _DECLARED else Retry.COSTS


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

    @property
    def retry(self) -> Retry:
        """What asking again would do, by the vendor's word and the status."""
        if self.kind in _HOPELESS_KINDS:
            return Retry.POINTLESS
        if self.kind in _BUSY_KINDS or self.status in _BUSY:
            return Retry.SAFE
        return _after_status(self.status)


@dataclass(frozen=True)
class Failed:
    """Nothing usable came, and it was not the API that said no.

    Args:
        reason: what went wrong.
        detail: the particulars in words.
        status: the HTTP status, where it is what went wrong.
        retry_after: seconds to wait before asking again, if the reply says so.
    """

    reason: FailedReason
    detail: str = ""
    status: int | None = None
    retry_after: float | None = None

    @property
    def retry(self) -> Retry:
        """What asking again would do; a proxy's 503 or 504 may come while the model is at work."""
        if self.reason is FailedReason.UNREACHABLE or self.status == _TOO_MANY:
            return Retry.SAFE
        if self.reason is FailedReason.WRONG_REPLY:
            return Retry.POINTLESS
        return _after_status(self.status) if self.status is not None else Retry.COSTS


Answer = Complete | Partial | Refused | Failed
"""Exactly one of these comes out of a consumer."""

_DECLARED = frozenset({PartialReason.TOKEN_LIMIT, PartialReason.CONTENT_FILTER})

_TOO_MANY = 429
# The vendors turn a request away with these before they begin; 529 is Anthropic's "overloaded".
_BUSY = frozenset({_TOO_MANY, 503, 529})
_BUSY_KINDS = frozenset({"rate_limit_error", "rate_limit_exceeded", "overloaded_error", "overloaded"})
# No waiting mends these. OpenAI says 429 to an empty account too.
_HOPELESS_KINDS = frozenset(
    {
        "insufficient_quota",
        "billing_error",
        "invalid_request_error",
        "invalid_api_key",
        "authentication_error",
        "permission_error",
        "not_found_error",
        "request_too_large",
    }
)
# Time ran out, or two requests got into each other's way.
_PASSING = frozenset({408, 409, 425})


def _after_status(status: int) -> Retry:
    """What asking again would do after an HTTP status: from 400 to 499 the request itself is at fault."""
    return Retry.POINTLESS if 400 <= status < 500 and status not in _PASSING else Retry.COSTS
