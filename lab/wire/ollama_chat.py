"""Ollama chat: one JSON object a line, the last of which says `"done":true`.

An answer is whole when that line has a `done_reason`: it is reason and marker in one, so nothing is left for
`marker` to write. Without a reason it is a cut, for that is how Ollama's server ends when its own model
process has died. Streaming is the default. There is no opening, and no heartbeat of the format's own: the
one written here is a piece without text, since an empty line makes the official Python client raise.

Warnings: an error has no kind on the wire, only words. The durations that the last line gives are nominal,
one millisecond a token, so that the same plan gives the same bytes.
"""

from __future__ import annotations

import json
from typing import Any

from .calls import read_calls
from .directive import find_directive
from .events import (
    ErrorEvent,
    Event,
    Finish,
    FinishReason,
    Heartbeat,
    Marker,
    Opening,
    Reasoning,
    Text,
)
from .foreign import checked, harmless, unreadable, unreadable_event
from .format import (
    BROKEN,
    Ask,
    Asked,
    Reply,
    compact,
    error_words,
    read_limit,
    read_request,
    read_stream,
    read_text,
    read_usage,
)
from .lines import LineParser, write_line
from .wanted import Wanted, arguments_of, choose_tool, read_schema, read_stop, read_tools, refuse

_REASONS = {
    FinishReason.STOP: "stop",
    FinishReason.LENGTH: "length",
    # Ollama has no filter; the word is the one that its OpenAI-compatible clients know.
    FinishReason.CONTENT_FILTER: "content_filter",
}
_REASONS_READ = {word: reason for reason, word in _REASONS.items()}

_ERROR = "error"
_CREATED = "2023-11-14T22:13:20Z"
_NANOSECONDS = 1_000_000


class OllamaChat:
    """The wire format of `POST /api/chat`."""

    name = "ollama-chat"
    path = "/api/chat"
    url_end = "/api/chat"
    stream_type = "application/x-ndjson"
    has_marker = True
    numbered = False

    def ask(self, model: str, *, stream: bool, max_tokens: int, prompt: str = "Count.") -> Ask:
        """See `WireFormat.ask`."""
        options = {"num_predict": max_tokens}
        body = {"model": model, **self.question(prompt), "stream": stream, "options": options}
        headers = (
            ("Content-Type", "application/json"),
            ("Accept", self.stream_type if stream else "application/json"),
        )
        return Ask(self.path, headers, compact(body).encode())

    def question(self, prompt: str) -> dict[str, Any]:
        """The field of a request that holds the question."""
        return {"messages": [{"role": "user", "content": prompt}]}

    def key_header(self, key: str) -> tuple[str, str]:
        """See `WireFormat.key_header`; for Ollama's cloud and for gateways, since a local server asks for none."""
        return ("Authorization", f"Bearer {key}")

    def read_ask(self, body: bytes, *, planned: bool = False) -> Asked:
        """See `WireFormat.read_ask`; a negative `num_predict` is Ollama's way to ask for no limit."""
        fields = read_request(body, *self.question("x"), planned=planned)
        options = fields.get("options") or {}
        if not isinstance(options, dict):
            raise ValueError("options: must be an object")
        limit = options.get("num_predict")
        unlimited = isinstance(limit, int) and limit < 0
        return Asked(
            model=fields["model"],
            stream=read_stream(fields, default=True),
            max_tokens=None if unlimited else read_limit(options, "num_predict"),
            directive=find_directive(fields),
            wanted=_read_wanted(fields, options),
        )

    def opening(self, reply: Reply) -> bytes:
        """Nothing, for the first line has text already; or the thinking."""
        return write_line(_thought(self._piece(reply.model, ""))) if reply.wanted.thinking else b""

    def text(self, reply: Reply, text: str, number: int = 1) -> bytes:
        """One line with a piece of text; of a call, which comes in one line, with nothing."""
        return write_line(self._piece(reply.model, "" if reply.wanted.tool else text))

    def heartbeat(self) -> bytes:
        """A line with a piece that has no text."""
        return write_line(self._piece("lab", ""))

    def finish(self, reply: Reply, reason: FinishReason, tokens: int, text: str = "") -> bytes:
        """The call, and the last line."""
        call = write_line(_called(reply, self._piece(reply.model, ""))) if reply.wanted.tool else b""
        return call + write_line(self._last(reply, "", reason, tokens))

    def marker(self, reply: Reply) -> bytes:
        """Nothing: the last line is the marker."""
        return b""

    def error_event(self, kind: str, message: str) -> bytes:
        """A line with the error's words."""
        return write_line({"error": message})

    def batch(self, reply: Reply, text: str, reason: FinishReason | None, tokens: int) -> bytes:
        """The last line with the whole text, or the call, in it."""
        if reply.wanted.tool:
            return compact(_called(reply, self._last(reply, "", reason, tokens))).encode()
        document = self._last(reply, text, reason, tokens)
        return compact(_thought(document) if reply.wanted.thinking else document).encode()

    def error_kind(self, status: int) -> str:
        """See `WireFormat.error_kind`; there is but one."""
        return _ERROR

    def error_body(self, kind: str, message: str) -> bytes:
        """The vendor's error document."""
        return compact({"error": message}).encode()

    def reader(self) -> OllamaChatReader:
        """See `WireFormat.reader`."""
        return OllamaChatReader()

    def read_batch(self, body: bytes) -> list[Event]:
        """See `WireFormat.read_batch`."""
        try:
            document = json.loads(body)
            events = _read_document(document, bool(document.get("error")) or document["done"])
            return [event for event in events if not isinstance(event, (Heartbeat, Opening))]
        except BROKEN as error:
            return [unreadable(f"no chat reply: {error!r}", body)]

    def said(self, text: str) -> dict[str, Any]:
        """The fields of a line that carry the text."""
        return {"message": {"role": "assistant", "content": text}}

    def _piece(self, model: str, text: str) -> dict[str, Any]:
        return {"model": model, "created_at": _CREATED, **self.said(text), "done": False}

    def _last(self, reply: Reply, text: str, reason: FinishReason | None, tokens: int) -> dict[str, Any]:
        """The last line; without a reason, the one of a server whose model process has died."""
        return {
            **self._piece(reply.model, text),
            "done": True,
            **({} if reason is None else {"done_reason": _REASONS[reason]}),
            "total_duration": (reply.prompt_tokens + tokens) * _NANOSECONDS,
            "load_duration": 0,
            "prompt_eval_count": reply.prompt_tokens,
            "prompt_eval_duration": reply.prompt_tokens * _NANOSECONDS,
            "eval_count": tokens,
            "eval_duration": tokens * _NANOSECONDS,
        }


class OllamaChatReader:
    """Reads one streamed chat reply."""

    def __init__(self) -> None:
        self._parser = LineParser()

    def feed(self, data: bytes) -> list[Event]:
        """See `Reader.feed`."""
        return [event for line in self._parser.feed(data) for event in _read_line(line)]

    def close(self) -> list[Event]:
        """See `Reader.close`; a whole object counts without its line end."""
        tail = self._parser.tail
        return _read_line(tail) if tail else []


def _read_line(line: bytes) -> list[Event]:
    try:
        document = json.loads(line)
        return _read_document(document, document.get("done"))
    except BROKEN as error:
        return unreadable_event(f"no chat line: {error!r}", line)


def _read_document(document: dict[str, Any], done: object) -> list[Event]:
    if document.get("error"):
        return [_read_error(document["error"])]
    message = document.get("message") or {}
    # `/api/generate` has the text in a field of the line itself.
    thinking = read_text(message.get("thinking")) or read_text(document.get("thinking"))
    text = read_text(message.get("content")) or read_text(document.get("response"))
    events: list[Event] = [*([Reasoning(thinking)] if thinking else []), *([Text(text)] if text else [])]
    # Each call comes whole, and has its arguments as an object.
    events = checked(document, [*events, *read_calls(message, whole=True)])
    if done is True:
        return [*events, *_read_end(document)] or [Opening()]
    return events or ([Heartbeat()] if done is False else harmless(document))


def _read_end(document: dict[str, Any]) -> list[Event]:
    raw, usage = document.get("done_reason"), read_usage(document, "eval_count")
    if not raw:
        return [*usage]
    return [Finish(_REASONS_READ.get(raw), str(raw)), *usage, Marker()]


def _read_error(error: Any) -> ErrorEvent:
    return ErrorEvent(_ERROR, error_words(error) if isinstance(error, dict) else str(error))


def _read_wanted(fields: dict[str, Any], options: dict[str, Any]) -> Wanted:
    """The shape that is asked for; what the model server does not do is refused."""
    refuse(fields, "logprobs", "top_logprobs")
    messages = [each for each in fields.get("messages") or [] if isinstance(each, dict)]
    answered = bool(messages) and messages[-1].get("role") == "tool"
    tool = choose_tool(read_tools(fields.get("tools"), "function"), None, (), answered=answered) if messages else None
    stop, thinking = read_stop(options), bool(fields.get("think"))
    if tool is not None:
        return Wanted(tool.name, arguments_of(tool), thinking, stop)
    form = fields.get("format")
    if not form:
        return Wanted(thinking=thinking, stop=stop)
    return Wanted(json=read_schema("format", None if form == "json" else form), thinking=thinking, stop=stop)


def _thought(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the model's thinking: in the message, or in a line without one."""
    thought = {"thinking": "The model of the lab thinks before it answers."}
    return {**document, "message": {**document["message"], **thought}} if "message" in document else document | thought


def _called(reply: Reply, document: dict[str, Any]) -> dict[str, Any]:
    function = {"name": reply.wanted.tool, "arguments": json.loads(reply.wanted.json)}
    return {**document, "message": {**document["message"], "tool_calls": [{"function": function}]}}


FORMAT = OllamaChat()
