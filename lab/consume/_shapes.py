"""The SDKs' objects, known by their public shape and not by their class.

No SDK is imported, so that every release of either will do, and none is needed. A stream has a `response`
with `status_code`, `headers`, `request.url`, `iter_bytes` and `aiter_bytes`, which is httpx's and httpx2's; an
exception for an HTTP error has `status_code` and `response`; a batch reply has `model_dump_json`, pydantic's.
"""

from __future__ import annotations

import inspect
import json
from contextlib import AsyncExitStack, ExitStack
from typing import Any

from ..errors import BadInput
from ..wire import format_for_url
from ._answers import Answer, Failed, FailedReason
from ._consumer import Consumer
from ._errors import in_words, is_the_others_doing

# Any would do for reading an error: the vendors' documents are alike in what counts.
_ANY = "openai-chat"

# What the SDKs let through of a batch reply that is half, or no JSON at all.
_SPOILT = (json.JSONDecodeError, UnicodeDecodeError)

# A field of a batch reply that only this format has.
_BATCH_FIELDS = {"choices": "openai-chat", "output": "openai-responses", "stop_reason": "anthropic-messages"}


def opened(source: Any, stack: ExitStack) -> Any:
    """What the source gives, called if it is a function and entered if it is a context manager."""
    found = source() if callable(source) else source
    return stack.enter_context(found) if hasattr(found, "__enter__") else found


async def aopened(source: Any, stack: AsyncExitStack) -> Any:
    """`opened` for the asynchronous clients; also awaited, if it can be."""
    found = source() if callable(source) else source
    if inspect.isawaitable(found):
        found = await found
    return await stack.enter_async_context(found) if hasattr(found, "__aenter__") else found


def response_of(stream: object) -> Any:
    """The HTTP response below a stream, still unread.

    Raises:
        BadInput: the object shows none, or it was read before.
    """
    response = getattr(stream, "response", None)
    if response is None:
        raise BadInput(
            f"a {type(stream).__name__} shows no response to read",
            "Give the stream that create(stream=True) returns, or the one that messages.stream() opens.",
        )
    if getattr(response, "is_stream_consumed", False):
        raise BadInput(
            f"this {type(stream).__name__} was read before", "Hand it over before you take anything from it."
        )
    return response


def consumer_for(response: Any, wire_format: str | None) -> Consumer:
    """A consumer that knows the response's head; the format by the URL where none is named.

    Raises:
        BadInput: the URL points to no format, or the name is none.
    """
    name = wire_format or _format_of(response)
    if name is None:
        raise BadInput(f"{_url_of(response)} points to no wire format", "Name it: wire_format='openai-chat', say.")
    consumer = Consumer(name)
    consumer.head(response.status_code, response.headers)
    return consumer


def answer_to(error: Exception, *, wire_format: str | None = None) -> Answer:
    """What an exception that an SDK's call raised amounts to: refused, or failed.

    Raises:
        Exception: the same, if it is a mistake of the caller's, such as a wrong argument or a missing key.
    """
    if isinstance(error, _SPOILT):
        return Failed(FailedReason.MALFORMED, in_words(error))
    if not is_the_others_doing(error):
        raise error
    response, status = getattr(error, "response", None), getattr(error, "status_code", None)
    if response is None or not isinstance(status, int):
        return Consumer().close(error)
    consumer = Consumer(wire_format or _format_of(response) or _ANY)
    consumer.head(status, response.headers)
    consumer.feed(_body_of(response))
    return consumer.close()


def answer_in(reply: object, *, wire_format: str | None = None) -> Answer:
    """What a batch reply amounts to: the SDK's own object, or the text that OpenAI's gives for a foreign body.

    Raises:
        BadInput: it is neither.
    """
    if isinstance(reply, str):
        name, body = _ANY, reply
    elif hasattr(reply, "model_dump_json"):
        name = next((name for field, name in _BATCH_FIELDS.items() if hasattr(reply, field)), _ANY)
        body = reply.model_dump_json(warnings=False)
    else:
        response_of(reply)
        raise BadInput(f"a {type(reply).__name__} is neither a stream nor a reply", "Give what create() returns.")
    consumer = Consumer(wire_format or name, stream=False)
    consumer.head(200, (("content-type", "as the SDK gave it"),))
    consumer.feed(body.encode("utf-8", "replace"))
    return consumer.close()


def _format_of(response: Any) -> str | None:
    found = format_for_url(_url_of(response))
    return found.name if found is not None else None


def _url_of(response: Any) -> str:
    try:
        return str(response.request.url)
    # httpx raises a RuntimeError where a response was made by hand.
    except (AttributeError, RuntimeError):
        return ""


def _body_of(response: Any) -> bytes:
    try:
        return bytes(response.content)
    # httpx raises a RuntimeError of its own where the SDK did not read the body.
    except RuntimeError:
        return b""
