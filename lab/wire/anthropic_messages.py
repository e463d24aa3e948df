"""Anthropic Messages: named SSE events, ended by `message_stop`.

An answer is whole when a `message_delta` carried a `stop_reason` and `message_stop` came. Every event
must have its `event:` line: the official Python SDK drops a nameless event without a word. `ping` may
stand anywhere.
"""

from __future__ import annotations

import json
from typing import Any

from . import sse
from .calls import arguments_text
from .directive import find_directive
from .events import (
    PROGRESS,
    CallPiece,
    ErrorEvent,
    Event,
    Finish,
    FinishReason,
    Heartbeat,
    Marker,
    Opening,
    OtherPiece,
    Reasoning,
    Text,
    Unreadable,
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
    shortened,
)
from .wanted import Wanted, arguments_of, choose_tool, read_schema, read_stop, read_tools

_REASONS = {
    FinishReason.STOP: "end_turn",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.CONTENT_FILTER: "refusal",
}
_REASONS_READ = {word: reason for reason, word in _REASONS.items()} | {"stop_sequence": FinishReason.STOP}

_CALL = "tool_use"
"""A call that the application is to carry out; those of other kinds the vendor carries out itself."""

_ERROR_KINDS = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


_THOUGHT = "The model of the lab thinks before it answers."
_SIGNATURE = "bGFi"


class AnthropicMessages:
    """The wire format of `POST /v1/messages`."""

    name = "anthropic-messages"
    path = "/v1/messages"
    url_end = "/v1/messages"
    stream_type = "text/event-stream; charset=utf-8"
    has_marker = True
    numbered = False

    def ask(self, model: str, *, stream: bool, max_tokens: int, prompt: str = "Count.") -> Ask:
        """See `WireFormat.ask`."""
        body = {
            "model": model,
            "max_tokens": max_tokens,
            "messages": [{"role": "user", "content": prompt}],
            "stream": stream,
        }
        headers = (
            ("Content-Type", "application/json"),
            ("Accept", "text/event-stream" if stream else "application/json"),
            ("anthropic-version", "2023-06-01"),
        )
        return Ask(self.path, headers, compact(body).encode())

    def key_header(self, key: str) -> tuple[str, str]:
        """See `WireFormat.key_header`."""
        return ("x-api-key", key)

    def read_ask(self, body: bytes, *, planned: bool = False) -> Asked:
        """See `WireFormat.read_ask`; `max_tokens` is required."""
        fields = read_request(body, "messages", planned=planned)
        limit = read_limit(fields, "max_tokens")
        if limit is None and not planned:
            raise ValueError("max_tokens: Field required")
        return Asked(
            model=fields["model"],
            stream=read_stream(fields, default=False),
            max_tokens=limit,
            directive=find_directive(fields),
            wanted=_read_wanted(fields),
        )

    def opening(self, reply: Reply) -> bytes:
        """`message_start`, the thinking where it is wanted, and `content_block_start`."""
        message = {**self._message(reply), "content": [], "stop_reason": None, "usage": _usage(reply, 1)}
        block = {"type": "text", "text": ""} if not reply.wanted.tool else _call(reply, {})
        start = _event("content_block_start", {"index": _place(reply), "content_block": block})
        return _event("message_start", {"message": message}) + _thinking(reply) + start

    def text(self, reply: Reply, text: str, number: int = 1) -> bytes:
        """One `content_block_delta`."""
        delta = {"type": "text_delta", "text": text}
        if reply.wanted.tool:
            delta = {"type": "input_json_delta", "partial_json": text}
        return _event("content_block_delta", {"index": _place(reply), "delta": delta})

    def heartbeat(self) -> bytes:
        """The format's own `ping`."""
        return _event("ping", {})

    def finish(self, reply: Reply, reason: FinishReason, tokens: int, text: str = "") -> bytes:
        """`content_block_stop` and the `message_delta` with the stop reason."""
        delta = {"stop_reason": _reason(reply, reason), "stop_sequence": None}
        stop = _event("content_block_stop", {"index": _place(reply)})
        return stop + _event("message_delta", {"delta": delta, "usage": {"output_tokens": tokens}})

    def marker(self, reply: Reply) -> bytes:
        """`message_stop`."""
        return _event("message_stop", {})

    def error_event(self, kind: str, message: str) -> bytes:
        """An `error` event."""
        return _event("error", {"error": {"type": kind, "message": message}})

    def batch(self, reply: Reply, text: str, reason: FinishReason | None, tokens: int) -> bytes:
        """A `message` document."""
        answer = {"type": "text", "text": text}
        if reply.wanted.tool:
            answer = _call(reply, json.loads(reply.wanted.json))
        thought = [{"type": "thinking", "thinking": _THOUGHT, "signature": _SIGNATURE}] if reply.wanted.thinking else []
        document = {
            **self._message(reply),
            "content": [*thought, answer],
            "stop_reason": None if reason is None else _reason(reply, reason),
            "usage": _usage(reply, tokens),
        }
        return compact(document).encode()

    def error_kind(self, status: int) -> str:
        """See `WireFormat.error_kind`."""
        return _ERROR_KINDS.get(status, "api_error" if status >= 500 else "invalid_request_error")

    def error_body(self, kind: str, message: str) -> bytes:
        """The vendor's error document."""
        return compact({"type": "error", "error": {"type": kind, "message": message}}).encode()

    def reader(self) -> AnthropicMessagesReader:
        """See `WireFormat.reader`."""
        return AnthropicMessagesReader()

    def read_batch(self, body: bytes) -> list[Event]:
        """See `WireFormat.read_batch`."""
        try:
            document = json.loads(body)
            if document.get("type") == "error":
                return [_read_error(document)]
            blocks = document["content"]
            thinking = "".join(read_text(block.get("thinking")) for block in blocks)
            text = "".join(read_text(block.get("text")) for block in blocks)
            events: list[Event] = [*([Reasoning(thinking)] if thinking else []), *([Text(text)] if text else [])]
            events += [_read_call(block, None) for block in blocks if block.get("type") == _CALL]
            events = [*checked(document, events), *read_usage(document.get("usage") or {}, "output_tokens")]
            if document["stop_reason"] is not None:
                events += [_read_finish(document["stop_reason"]), Marker()]
            return events
        except BROKEN as error:
            return [unreadable(f"no message: {error!r}", body)]

    def _message(self, reply: Reply) -> dict[str, Any]:
        return {
            "id": reply.id,
            "type": "message",
            "role": "assistant",
            "model": reply.model,
            "stop_sequence": None,
        }


class AnthropicMessagesReader:
    """Reads one streamed message."""

    def __init__(self) -> None:
        self._parser = sse.EventParser()
        self._said_anything = False
        self._hidden: list[Event] = []
        self._bare: set[object] = set()
        self._kinds: dict[object, str] = {}

    def feed(self, data: bytes) -> list[Event]:
        """See `Reader.feed`."""
        return [event for item in self._parser.feed(data) for event in self._read(item)]

    def close(self) -> list[Event]:
        """See `Reader.close`."""
        tail = self._parser.tail
        if tail is None:
            return []
        if tail.name == "message_stop":
            return [Marker()]
        return [Unreadable("the body ended inside an event", shortened(tail.data))]

    def _read(self, item: sse.ServerSentEvent | sse.Comment) -> list[Event]:
        if isinstance(item, sse.Comment):
            return [Heartbeat()]
        try:
            events = self._read_document(json.loads(item.data), item.name)
        except BROKEN as error:
            events = unreadable_event(f"no message event: {error!r}", item.data)
        self._said_anything = self._said_anything or any(isinstance(event, PROGRESS) for event in events)
        return events

    def _read_document(self, document: dict[str, Any], name: str) -> list[Event]:
        if document.get("error") or name == "error":
            return [_read_error(document)]
        match document.get("type"):
            case "content_block_delta":
                return self._read_delta(document)
            case "content_block_start":
                return self._read_start(document)
            case "content_block_stop":
                return self._read_stop(document.get("index"))
            case "message_start":
                return [Opening()]
            case "message_delta":
                raw = document["delta"].get("stop_reason")
                usage = read_usage(document.get("usage") or {}, "output_tokens")
                return [*([_read_finish(raw)] if raw is not None else []), *usage]
            case "message_stop":
                # What is skipped may be the whole answer of another dialect.
                return [*([] if self._said_anything else self._hidden[:1]), Marker()]
        # Unknown events are to be skipped, as the vendor's versioning policy asks of clients.
        found = harmless(document)
        self._hidden += [event for event in found if isinstance(event, Unreadable)]
        return [event for event in found if not isinstance(event, Unreadable)]

    def _read_start(self, document: dict[str, Any]) -> list[Event]:
        """The vendor begins with an empty block; some that speak its format do not."""
        block = document["content_block"]
        self._kinds[document.get("index")] = str(block.get("type"))
        if block.get("type") != _CALL:
            return _read_block(block)
        if not block.get("input"):
            self._bare.add(document.get("index"))
        return [_read_call(block, _call_place(document))]

    def _read_delta(self, document: dict[str, Any]) -> list[Event]:
        delta = document["delta"]
        if not delta.get("partial_json"):
            return checked(delta, _read_block(delta))
        kind = self._kinds.get(document.get("index"), _CALL)
        if kind != _CALL:
            return [OtherPiece(kind)]
        self._bare.discard(document.get("index"))
        return [CallPiece(_CALL, _call_place(document), arguments=read_text(delta["partial_json"]))]

    def _read_stop(self, index: object) -> list[Event]:
        """A call whose block ended without any piece is one without arguments."""
        if index not in self._bare:
            return []
        self._bare.discard(index)
        return [CallPiece(_CALL, _call_place({"index": index}), arguments="{}")]


def _read_wanted(fields: dict[str, Any]) -> Wanted:
    """The shape that is asked for; what the model server does not do is refused."""
    blocks = [block for message in fields.get("messages") or [] for block in _blocks(message)]
    called = [str(block.get("name")) for block in blocks if block.get("type") == "tool_use"]
    answered = bool(blocks) and blocks[-1].get("type") == "tool_result"
    tools = read_tools(fields.get("tools"), schema="input_schema")
    tool, stop = (
        choose_tool(tools, fields.get("tool_choice"), called, answered=answered),
        read_stop(fields, "stop_sequences"),
    )
    thinking = fields.get("thinking")
    shown = isinstance(thinking, dict) and thinking.get("type") in ("enabled", "adaptive")
    if tool is not None:
        return Wanted(tool.name, arguments_of(tool), shown, stop)
    config = fields.get("output_config")
    form = fields.get("output_format") or (config.get("format") if isinstance(config, dict) else None)
    if form is None:
        return Wanted(thinking=shown, stop=stop)
    if not isinstance(form, dict) or form.get("type") != "json_schema":
        raise ValueError("output_format: type must be json_schema")
    return Wanted(json=read_schema("output_format", form.get("schema")), thinking=shown, stop=stop)


def _blocks(message: object) -> list[dict[str, Any]]:
    """The blocks of one message; a text is one."""
    content = message.get("content") if isinstance(message, dict) else None
    parts = content if isinstance(content, list) else [{"type": "text"}]
    return [part for part in parts if isinstance(part, dict)]


def _place(reply: Reply) -> int:
    """Of the answer's own block: the thinking is one before it."""
    return 1 if reply.wanted.thinking else 0


def _thinking(reply: Reply) -> bytes:
    if not reply.wanted.thinking:
        return b""
    deltas = ({"type": "thinking_delta", "thinking": _THOUGHT}, {"type": "signature_delta", "signature": _SIGNATURE})
    start = {"index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}
    inner = b"".join(_event("content_block_delta", {"index": 0, "delta": delta}) for delta in deltas)
    return _event("content_block_start", start) + inner + _event("content_block_stop", {"index": 0})


def _call(reply: Reply, arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{reply.id}", "name": reply.wanted.tool, "input": arguments}


def _reason(reply: Reply, reason: FinishReason) -> str:
    return "tool_use" if reply.wanted.tool and reason is FinishReason.STOP else _REASONS[reason]


def _read_block(block: dict[str, Any]) -> list[Event]:
    text, thinking = (read_text(block.get(name)) for name in ("text", "thinking"))
    return [*([Reasoning(thinking)] if thinking else []), *([Text(text)] if text else [])]


def _read_call(block: dict[str, Any], place: int | str | None) -> CallPiece:
    """A call, or the beginning of one; whole, it has its arguments even where there are none."""
    given = block.get("input")
    arguments = arguments_text(given) if given or place is None else ""
    return CallPiece(_CALL, place, str(block.get("id") or ""), str(block.get("name") or ""), arguments)


def _call_place(document: dict[str, Any]) -> int | str:
    index = document.get("index")
    return index if isinstance(index, int) else ""


def _read_finish(raw: str) -> Finish:
    return Finish(_REASONS_READ.get(raw), raw)


def _read_error(document: dict[str, Any]) -> ErrorEvent:
    error = document.get("error") or document
    if not isinstance(error, dict):
        return ErrorEvent("error", str(error))
    return ErrorEvent(str(error.get("type") or "error"), error_words(error))


def _event(name: str, fields: dict[str, Any]) -> bytes:
    return sse.write_event(compact({"type": name, **fields}), name)


def _usage(reply: Reply, tokens: int) -> dict[str, int]:
    return {"input_tokens": reply.prompt_tokens, "output_tokens": tokens}


FORMAT = AnthropicMessages()
