"""A request of the user's own: what an application's endpoint is asked, which takes no wire format's request."""

from __future__ import annotations

import json
from pathlib import Path

from lab.errors import BadInput
from lab.files import LONGEST_TEXT, read_whole
from lab.wire.format import Ask

METHODS = ("POST", "GET", "PUT")

_ACCEPT = ("Accept", "text/event-stream, */*")
"""As a browser's EventSource asks, and whatever else the application has."""


def own_request(method: str | None, body: Path | None) -> Ask | None:
    """The request that the options describe; None where neither is given, and the wire format makes one.

    Args:
        method: in capitals; None for POST.
        body: a file with JSON, which is sent as it is.

    Raises:
        BadInput: there is no such method, or the file is none, or one cannot go with the other.
    """
    if method is None and body is None:
        return None
    if method is not None and method not in METHODS:
        raise BadInput(f"--method {method}: none that is asked with here", f"There are: {', '.join(METHODS)}.")
    if body is None:
        return Ask("", (_ACCEPT,), b"", method or "POST")
    if method == "GET":
        raise BadInput("--body: a GET has none", "Leave out one of them; what a GET asks for stands in its address.")
    return Ask("", (("Content-Type", "application/json"), _ACCEPT), _json(body), method or "POST")


def _json(path: Path) -> bytes:
    try:
        text = read_whole(path, LONGEST_TEXT, handed_over=True)
        json.loads(text)
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}", "Give a file with the request's body.") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: no JSON: {error}", "Give a file with the body as your application sends it.") from None
    return text
