"""OpenAI Responses: named and numbered SSE events, ended by exactly one that says how it went.

An answer is whole when `response.completed` came. `response.incomplete` and `response.failed` end a reply too,
and each is reason and marker in one, so nothing is left for `marker` to write. `data: [DONE]`, which some
servers add, says nothing: the vendor's SDK stops at it, and a gateway may put it behind half an answer.

A reply carries two witnesses of itself. `response.output_text.done` repeats the whole text, and what is not that of
the pieces which came is a contradiction, unless the stream began in the middle, as a resumed one does. And the events
are numbered: a number that came before is a contradiction at once, and one that never came is one at the end, unless
every text was repeated and is whole, since a gateway that drops a keep-alive makes a gap too.

Warning: with clock stamps the whole text is not known before it has left, and the repeated text is empty.
"""

from __future__ import annotations

import json
from typing import Any

from lab.wire import sse
from lab.wire.directive import find_directive
from lab.wire.events import (
    Contradiction,
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
from lab.wire.format import (
    BROKEN,
    Ask,
    Asked,
    Reply,
    compact,
    read_limit,
    read_request,
    read_stream,
    read_switch,
    read_text,
    read_usage,
    shortened,
)
from lab.wire.openai_errors import error_document, error_kind, read_error

_STOPPED_EARLY = {FinishReason.LENGTH: "max_output_tokens", FinishReason.CONTENT_FILTER: "content_filter"}
_REASONS_READ = {word: reason for reason, word in _STOPPED_EARLY.items()}

# These frame the text and say nothing else.
_FRAME = frozenset(
    {
        "response.queued",
        "response.in_progress",
        "response.output_item.added",
        "response.output_item.done",
        "response.content_part.added",
        "response.content_part.done",
    }
)
_TERMINAL = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})
_TEXTS = {"response.output_text": "text", "response.refusal": "refusal"}
_OTHERS = {
    "response.function_call_arguments": "arguments",
    "response.mcp_call_arguments": "arguments",
    "response.custom_tool_call_input": "input",
    "response.code_interpreter_call_code": "code",
    "response.audio.transcript": "transcript",
    "response.audio": "data",
}
_REPEATED = {**_TEXTS, **_OTHERS}
"""The parts of an answer, those of text and the others, and the field in which their last event repeats the whole."""

# A fixed birthday: the same plan must give the same bytes.
_CREATED = 1_700_000_000
_PART = {"output_index": 0, "content_index": 0}
_OPENING_EVENTS = 4


class OpenAIResponses:
    """The wire format of `POST /v1/responses`."""

    name = "openai-responses"
    path = "/v1/responses"
    url_end = "/responses"
    stream_type = "text/event-stream; charset=utf-8"
    has_marker = True
    numbered = True

    def ask(self, model: str, *, stream: bool, max_tokens: int, prompt: str = "Count.") -> Ask:
        """See `WireFormat.ask`; the vendor refuses a limit below 16."""
        body = {"model": model, "input": prompt, "stream": stream, "max_output_tokens": max_tokens}
        headers = (
            ("Content-Type", "application/json"),
            ("Accept", "text/event-stream" if stream else "application/json"),
        )
        return Ask(self.path, headers, compact(body).encode())

    def key_header(self, key: str) -> tuple[str, str]:
        """See `WireFormat.key_header`."""
        return ("Authorization", f"Bearer {key}")

    def read_ask(self, body: bytes, *, planned: bool = False) -> Asked:
        """See `WireFormat.read_ask`."""
        fields = read_request(body, "input", planned=planned)
        background = read_switch(fields, "background", default=False)
        if background and not read_switch(fields, "store", default=True):
            raise ValueError("background: needs a response that is stored, so store cannot be false")
        return Asked(
            model=fields["model"],
            stream=read_stream(fields, default=False),
            max_tokens=read_limit(fields, "max_output_tokens"),
            background=background,
            directive=find_directive(fields),
        )

    def opening(self, reply: Reply) -> bytes:
        """`response.created` and `response.in_progress`, then the beginning of a message and of its text."""
        response = _response(reply, "in_progress", [], None)
        item = {**_item(reply, "", "in_progress"), "content": []}
        events: list[tuple[str, dict[str, Any]]] = [
            ("response.created", {"response": response}),
            ("response.in_progress", {"response": response}),
            ("response.output_item.added", {"output_index": 0, "item": item}),
            ("response.content_part.added", {"item_id": item["id"], **_PART, "part": _part("")}),
        ]
        return b"".join(_event(name, fields, number) for number, (name, fields) in enumerate(events))

    def text(self, reply: Reply, text: str, number: int = 1) -> bytes:
        """One `response.output_text.delta`."""
        fields = {"item_id": _item_id(reply), **_PART, "delta": text, "logprobs": []}
        return _event("response.output_text.delta", fields, _OPENING_EVENTS + number - 1)

    def heartbeat(self) -> bytes:
        """An SSE comment; the vendor's own `keepalive` is documented nowhere, and not every client knows it."""
        return sse.write_comment("heartbeat")

    def finish(self, reply: Reply, reason: FinishReason, tokens: int, text: str = "") -> bytes:
        """The end of text and message, and the terminal event."""
        status = "completed" if reason is FinishReason.STOP else "incomplete"
        item = _item(reply, text, status)
        where = {"item_id": item["id"], **_PART}
        events: list[tuple[str, dict[str, Any]]] = [
            ("response.output_text.done", {**where, "text": text, "logprobs": []}),
            ("response.content_part.done", {**where, "part": _part(text)}),
            ("response.output_item.done", {"output_index": 0, "item": item}),
            (f"response.{status}", {"response": _ended(reply, text, reason, tokens)}),
        ]
        first = _OPENING_EVENTS + tokens
        return b"".join(_event(name, fields, number) for number, (name, fields) in enumerate(events, first))

    def marker(self, reply: Reply) -> bytes:
        """Nothing: the terminal event is the marker."""
        return b""

    def error_event(self, kind: str, message: str) -> bytes:
        """An `error` event, nested as the vendor sends it; its documents show it flat."""
        return sse.write_event(compact({"type": "error", **error_document(kind, message)}), "error")

    def batch(self, reply: Reply, text: str, reason: FinishReason | None, tokens: int) -> bytes:
        """A `response` document; without a reason, one that says it is still in progress."""
        if reason is None:
            unfinished = _response(reply, "in_progress", [_item(reply, text, "in_progress")], tokens)
            return compact(unfinished).encode()
        return compact(_ended(reply, text, reason, tokens)).encode()

    def unfinished(self, reply: Reply, status: str, error: ErrorEvent | None = None) -> bytes:
        """The document of a background response without an answer: `queued`, `in_progress`, `failed`, `cancelled`."""
        document = _response(reply, status, [], None)
        if error is not None:
            document["error"] = {"code": error.kind, "message": error.message}
        return compact(document).encode()

    def error_kind(self, status: int) -> str:
        """See `WireFormat.error_kind`."""
        return error_kind(status)

    def error_body(self, kind: str, message: str) -> bytes:
        """The vendor's error document."""
        return compact(error_document(kind, message)).encode()

    def reader(self) -> OpenAIResponsesReader:
        """See `WireFormat.reader`."""
        return OpenAIResponsesReader()

    def read_batch(self, body: bytes) -> list[Event]:
        """See `WireFormat.read_batch`."""
        try:
            document = json.loads(body)
            if document.get("error") and not document.get("output"):
                return [read_error(document["error"])]
            thinking = "".join(_read_item(item) for item in document["output"] if item["type"] == "reasoning")
            text = "".join(_read_item(item) for item in document["output"] if item["type"] != "reasoning")
            texts: list[Event] = [*([Reasoning(thinking)] if thinking else []), *([Text(text)] if text else [])]
            return [*texts, *_read_status(document, document["status"])]
        except BROKEN as error:
            return [Unreadable(f"no response: {error!r}", shortened(body))]


class OpenAIResponsesReader:
    """Reads one streamed response."""

    def __init__(self) -> None:
        self._parser = sse.EventParser()
        self._from_start = False
        self._pieces: dict[tuple[str, object, object], list[str]] = {}
        self._repeated: set[tuple[str, object, object]] = set()
        self._number: int | None = None
        self._gap = ""

    def feed(self, data: bytes) -> list[Event]:
        """See `Reader.feed`."""
        return [event for item in self._parser.feed(data) for event in self._read(item)]

    def close(self) -> list[Event]:
        """See `Reader.close`; a whole terminal event counts without its empty line."""
        tail = self._parser.tail
        if tail is None:
            return []
        events = self._read(tail)
        if any(isinstance(event, Marker) for event in events):
            return events
        return [Unreadable("the body ended inside an event", shortened(tail.data))]

    def _read(self, item: sse.ServerSentEvent | sse.Comment) -> list[Event]:
        if isinstance(item, sse.Comment):
            return [Heartbeat()]
        if item.data == b"[DONE]":
            return []
        try:
            document = json.loads(item.data)
            return [*self._count(document.get("sequence_number"), item.data), *self._read_document(document)]
        except BROKEN as error:
            return [Unreadable(f"no response event: {error!r}", shortened(item.data))]

    def _count(self, number: object, data: bytes) -> list[Event]:
        """Hold an event's number against the one before it."""
        if not isinstance(number, int):
            return []
        last, self._number = self._number, number
        if last is not None and number <= last:
            return [Contradiction(f"event {number} came after event {last}", shortened(data))]
        if last is not None and number > last + 1:
            self._gap = self._gap or f"no event came between {last} and {number}"
        return []

    def _missing(self) -> list[Event]:
        """What never came, told at the end; nothing where all that the answer has was repeated and is whole."""
        if not self._gap or not self._from_start or set(self._pieces) <= self._repeated:
            return []
        return [Contradiction(self._gap, b"")]

    def _read_document(self, document: dict[str, Any]) -> list[Event]:
        if document.get("error"):
            return [read_error(document["error"])]
        kind = document["type"]
        if kind in _TERMINAL:
            return [*self._missing(), *_read_status(document["response"], kind.removeprefix("response."))]
        if kind in _FRAME:
            return []
        part, _, verb = kind.rpartition(".")
        if part in _REPEATED:
            return self._read_part(document, part, verb)
        if part.startswith("response.reasoning") and verb == "delta":
            thinking = read_text(document.get("delta"))
            return [Reasoning(thinking)] if thinking else []
        if kind == "error":
            return [ErrorEvent(str(document.get("code") or "error"), str(document.get("message") or ""))]
        self._from_start = self._from_start or kind == "response.created"
        # The vendor adds types as it goes; each is a sign of life.
        return [Heartbeat() if kind == "keepalive" else Opening()]

    def _read_part(self, document: dict[str, Any], part: str, verb: str) -> list[Event]:
        """A piece of a part of the answer, or the whole part behind its pieces."""
        key = (part, document.get("output_index"), document.get("content_index"))
        pieces = self._pieces.setdefault(key, [])
        if verb == "delta":
            piece = read_text(document["delta"])
            pieces.append(piece)
            return _piece(part, piece)
        whole, came = read_text(document.get(_REPEATED[part])), "".join(pieces)
        # Joined once, however often the whole is repeated.
        pieces[:] = [came]
        if not came:
            return _piece(part, whole)
        if not (self._from_start and whole):
            return []
        if whole == came:
            self._repeated.add(key)
            return []
        why = f"{part}.done repeats {len(whole)} characters, which are not the {len(came)} that came"
        return [Contradiction(why, shortened(whole.encode("utf-8", "replace")))]


def _piece(part: str, content: str) -> list[Event]:
    if not content:
        return []
    return [Text(content) if part in _TEXTS else OtherPiece(part.removeprefix("response."))]


def _read_item(item: dict[str, Any]) -> str:
    """The text of one item of a batch reply: of a message, or of the thinking before it."""
    blocks = [*(item.get("summary") or []), *(item.get("content") or [])]
    return "".join(read_text(block.get("text")) + read_text(block.get("refusal")) for block in blocks)


def _read_status(response: dict[str, Any], status: str) -> list[Event]:
    """How a response ended: reason, count and marker; that it has begun, and the count, where it has not ended."""
    usage = read_usage(response.get("usage") or {}, "output_tokens")
    match status:
        case "failed":
            return [read_error(response.get("error") or {})]
        case "in_progress" | "queued":
            return [Opening(), *usage]
        case "completed":
            finish = Finish(FinishReason.STOP, status)
        case "incomplete":
            raw = str((response.get("incomplete_details") or {}).get("reason") or status)
            finish = Finish(_REASONS_READ.get(raw), raw)
        case _:
            finish = Finish(None, str(status))
    return [finish, *usage, Marker()]


def _event(name: str, fields: dict[str, Any], number: int) -> bytes:
    return sse.write_event(compact({"type": name, **fields, "sequence_number": number}), name)


def _ended(reply: Reply, text: str, reason: FinishReason, tokens: int) -> dict[str, Any]:
    status = "completed" if reason is FinishReason.STOP else "incomplete"
    response = _response(reply, status, [_item(reply, text, status)], tokens)
    if reason in _STOPPED_EARLY:
        response["incomplete_details"] = {"reason": _STOPPED_EARLY[reason]}
    return response


def _response(reply: Reply, status: str, output: list[dict[str, Any]], tokens: int | None) -> dict[str, Any]:
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


def _item_id(reply: Reply) -> str:
    return f"msg_{reply.id}"


def _item(reply: Reply, text: str, status: str) -> dict[str, Any]:
    return {
        "id": _item_id(reply),
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": [_part(text)],
    }


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _usage(reply: Reply, tokens: int) -> dict[str, Any]:
    return {
        "input_tokens": reply.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": reply.prompt_tokens + tokens,
    }


FORMAT = OpenAIResponses()
