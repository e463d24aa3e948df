"""What the exceptions of clients mean. They share no class, so they are known by name."""

from __future__ import annotations

from collections.abc import Iterator

# How deep to look below the exception that a client raised; deeper nesting is not known.
_CAUSES = 8

# httpx and httpx2, requests and urllib3, aiohttp, and Python's own.
_NO_CONNECTION = frozenset(
    {
        "ConnectError",
        "ConnectTimeout",
        "PoolTimeout",
        "NewConnectionError",
        "ConnectTimeoutError",
        "ClientConnectorError",
        "ConnectionRefusedError",
        "gaierror",
    }
)

# The bases of every exception with which openai, anthropic, httpx, requests and aiohttp report what the other
# side did; a wrong argument or a missing key raises none of them.
_CLIENTS_OWN = frozenset({"APIError", "HTTPError", "RequestException", "ClientError", "OSError"})


class Left(Exception):
    """Give this to `Consumer.close` where the reading stopped before the end, with the reason in words."""


def is_timeout(error: BaseException) -> bool:
    """Whether a client's exception, or one that it stands for, means that patience ran out.

    By name, since the clients share no class: httpx's ReadTimeout is no TimeoutError, aiohttp's is. By
    cause, since some hide it: requests raises a ConnectionError for a timeout in the body.
    """
    return any(
        isinstance(cause, TimeoutError) or any("Timeout" in kind.__name__ for kind in type(cause).__mro__)
        for cause in _causes(error)
    )


def is_unreachable(error: BaseException) -> bool:
    """Whether it means that there was no connection, so that no request left."""
    return any(kind.__name__ in _NO_CONNECTION for cause in _causes(error) for kind in type(cause).__mro__)


def is_the_others_doing(error: Exception) -> bool:
    """Whether a client reports with it what the other side or the network did, and no mistake of its caller."""
    return any(kind.__name__ in _CLIENTS_OWN for kind in type(error).__mro__)


def in_words(error: Exception) -> str:
    """The exception's class and message, and those of its cause where it adds anything to them."""
    words, cause = _words(error), error.__cause__
    if cause is None or str(cause) in words:
        return words
    return f"{words} ({_words(cause)})"


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    for _ in range(_CAUSES):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__ or cause.__context__
