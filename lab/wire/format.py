"""What every wire format must be able to do, in both directions.

The model server writes with a format, the probe asks with it, and the judge and the consumer read with
it; one object does all of it, so that there is no second opinion about what the wire looks like.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Protocol

from .events import Event, FinishReason, Usage
from .wanted import TEXT, Wanted


@dataclass(frozen=True)
class Reply:
    """What a format needs to know of the reply that it writes.

    Args:
        id: identifies the reply; made from the plan, so that the same plan gives the same bytes.
        model: the model's name as the request gave it.
        prompt_tokens: a count for the usage figures; the lab does not read the prompt.
        include_usage: whether the request asked for a usage event (OpenAI's `stream_options`).
        background: whether it is generated whether anybody listens or not (OpenAI Responses).
        wanted: what the answer is to be like, beside text.
    """

    id: str
    model: str
    prompt_tokens: int = 1
    include_usage: bool = False
    background: bool = False
    wanted: Wanted = TEXT


@dataclass(frozen=True)
class Ask:
    """A request as the probe sends it: path, headers, body and method."""

    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    method: str = "POST"


@dataclass(frozen=True)
class Asked:
    """A request as the model server reads it.

    Args:
        model: the model's name, with whatever stands in it.
        stream: whether a stream is wanted, or a batch reply.
        max_tokens: the longest answer that is wanted; None where the request sets no limit.
        include_usage: whether a usage event is wanted at the end of a stream.
        background: whether the reply is to be generated whether anybody listens or not (OpenAI Responses).
        directive: the query of the directive in the user's message; empty where none is there.
        wanted: what the answer is to be like, beside text.
    """

    model: str
    stream: bool
    max_tokens: int | None = None
    include_usage: bool = False
    background: bool = False
    directive: str = ""
    wanted: Wanted = TEXT


class Reader(Protocol):
    """Reads one streamed reply; `feed` takes bytes cut anywhere, `close` is called once at the end."""

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes of the body; return the events that they completed."""
        ...

    def close(self) -> list[Event]:
        """The body has ended: return what its unfinished tail amounts to."""
        ...


class WireFormat(Protocol):
    """One dialect: how a streamed and a batch reply are written and read."""

    name: str
    path: str
    """Where the vendor serves it, and the model server too."""
    url_end: str
    """How the path of a URL ends that speaks this format, whatever a gateway puts in front."""
    stream_type: str
    """The content type of a streamed reply."""
    has_marker: bool
    """False where no terminal marker is standard, so that a foreign endpoint's clean end may be a truncation."""
    numbered: bool
    """Whether each event carries its own number, so that no two of them are alike but for their text."""

    def ask(self, model: str, *, stream: bool, max_tokens: int, prompt: str = "Count.") -> Ask:
        """The request that a client of this format sends; `max_tokens` bounds the answer."""
        ...

    def key_header(self, key: str) -> tuple[str, str]:
        """The header, name and value, in which a key travels."""
        ...

    def read_ask(self, body: bytes, *, planned: bool = False) -> Asked:
        """Read a request's body.

        Args:
            body: the body.
            planned: whether a header says already what to do, so that nothing is required of the body.

        Raises:
            ValueError: the body is no JSON object or lacks what the format requires; names the field.
        """
        ...

    def opening(self, reply: Reply) -> bytes:
        """The events before the first text; empty where the format has none."""
        ...

    def text(self, reply: Reply, text: str, number: int = 1) -> bytes:
        """One event with a piece of the text, or of a call's arguments; `number` is its place among them, from 1."""
        ...

    def heartbeat(self) -> bytes:
        """An event that carries nothing."""
        ...

    def finish(self, reply: Reply, reason: FinishReason, tokens: int, text: str = "") -> bytes:
        """The events that say why and after how many tokens the model stopped.

        Args:
            reply: the reply.
            reason: why the model stopped.
            tokens: after how many tokens.
            text: the whole answer, for a format that repeats it; empty where it is not known beforehand.
        """
        ...

    def marker(self, reply: Reply) -> bytes:
        """The terminal marker; empty where the event that gives the reason is the marker too."""
        ...

    def error_event(self, kind: str, message: str) -> bytes:
        """An error inside a stream that had begun as a success."""
        ...

    def batch(self, reply: Reply, text: str, reason: FinishReason | None, tokens: int) -> bytes:
        """The whole reply as one JSON document; without a reason, one that never says why it stopped."""
        ...

    def error_kind(self, status: int) -> str:
        """The vendor's word for an HTTP error of that status."""
        ...

    def error_body(self, kind: str, message: str) -> bytes:
        """The JSON document of an HTTP error."""
        ...

    def reader(self) -> Reader:
        """A new reader for one streamed reply."""
        ...

    def read_batch(self, body: bytes) -> list[Event]:
        """Read a batch reply; a document that is no reply of this format gives one `Unreadable`."""
        ...


DEFAULT_MODEL = "lab"
"""The model's name where a request need not give one."""

LONGEST_MODEL = 4_000
"""Characters in a model's name: room for a plan with hundreds of gaps, and little enough to stand in every event."""

MOST_VALUES = 1_000_000
"""Values in a request's JSON: an empty object takes three bytes on the wire and seventy in memory."""

BROKEN = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""What reading a document raises when it is not what its wire format says; JSON can be nested too deep."""


def read_text(value: object) -> str:
    """A text field; null counts as empty, as in a reply that calls a tool.

    Raises:
        TypeError: it is something else.
    """
    if value is None or isinstance(value, str):
        return value or ""
    raise TypeError(f"text that is {value!r}")


def read_request(body: bytes, *questions: str, planned: bool = False) -> dict[str, Any]:
    """The fields of a request, checked for what every format requires: a model, and something to answer.

    Args:
        body: the request's body.
        questions: the fields in which the format takes it, of which one is enough: `messages`, `input`.
        planned: whether neither is required: what is missing is filled in, an empty body too.

    Raises:
        ValueError: names the field that is missing or makes no sense.
    """
    # Each value stands behind one of these; those inside of texts count too, which is why the bound is high.
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > MOST_VALUES:
        raise ValueError(f"the body has more than {MOST_VALUES} values")
    try:
        fields = json.loads(body or b"{}" if planned else body)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the body is no JSON: {error}") from None
    if not isinstance(fields, dict):
        raise ValueError("the body is no JSON object")
    if planned:
        fields.setdefault("model", DEFAULT_MODEL)
    _check_model(fields.get("model"))
    if not planned and not any(_is_question(name, fields.get(name)) for name in questions):
        raise ValueError(f"{' or '.join(questions)}: at least one is required")
    return fields


def _check_model(name: object) -> None:
    """Raises `ValueError` where the name cannot stand in every event."""
    if not isinstance(name, str) or not name:
        raise ValueError("model: a name is required")
    if len(name) > LONGEST_MODEL:
        raise ValueError(f"model: {len(name)} characters are more than {LONGEST_MODEL}")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ValueError("model: half a surrogate pair is no text") from None


def _is_question(name: str, value: object) -> bool:
    """Whether it is a conversation, or, in every field but `messages`, a text; neither may be empty."""
    return bool(value) and (isinstance(value, list) or (isinstance(value, str) and name != "messages"))


def read_stream(fields: dict[str, Any], *, default: bool) -> bool:
    """Whether a request wants a stream; raises as `read_switch`."""
    return read_switch(fields, "stream", default=default)


def read_switch(fields: dict[str, Any], name: str, *, default: bool) -> bool:
    """What a request says under that name.

    Raises:
        ValueError: it is neither true nor false.
    """
    switch = fields.get(name)
    if switch is None:
        return default
    if not isinstance(switch, bool):
        raise ValueError(f"{name}: must be true or false")
    return switch


def read_usage(document: dict[str, Any], name: str) -> list[Usage]:
    """The count of tokens under that name; nothing where there is no such number."""
    count = document.get(name)
    return [Usage(count)] if isinstance(count, int) and not isinstance(count, bool) else []


def read_limit(fields: dict[str, Any], *names: str) -> int | None:
    """The first limit on the answer's length that the request sets under one of those names.

    Raises:
        ValueError: the limit is no whole number from 1.
    """
    name = next((name for name in names if fields.get(name) is not None), None)
    if name is None:
        return None
    limit = fields[name]
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise ValueError(f"{name}: must be a whole number from 1")
    return limit


def error_words(error: dict[str, Any]) -> str:
    """What an error says, in whichever field; all of it where none is known, so that no word is lost."""
    names = ("message", "errorText", "detail", "msg", "error", "content")
    return next((text for name in names if isinstance(text := error.get(name), str) and text), compact(error))


def compact(document: Any) -> str:
    """JSON without spare spaces and with its characters unescaped, as the vendors send it."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def shortened(data: bytes, limit: int = 80) -> bytes:
    """The first bytes of something that a message quotes."""
    return data if len(data) <= limit else data[:limit] + b"..."
