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

from . import sse
from .directive import find_directive
from .events import (
    ErrorEvent,
    Event,
    FinishReason,
)
from .foreign import unreadable
from .format import (
    BROKEN,
    Ask,
    Asked,
    Reply,
    compact,
    read_limit,
    read_request,
    read_stream,
    read_switch,
)
from .openai_errors import error_document, error_kind, read_error
from .responses_documents import (
    ended,
    item_id,
    output_item,
    response_document,
    text_part,
    write_event,
)
from .responses_reading import OpenAIResponsesReader, read_output, read_status
from .wanted import Wanted, arguments_of, choose_tool, read_schema, read_tools, refuse

_PART = {"output_index": 0, "content_index": 0}


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
            wanted=_read_wanted(fields),
            directive=find_directive(fields),
        )

    def opening(self, reply: Reply) -> bytes:
        """`response.created` and `response.in_progress`, then the beginning of a call, or of a message and its text."""
        response = response_document(reply, "in_progress", [], None)
        item = output_item(reply, "", "in_progress")
        events: list[tuple[str, dict[str, Any]]] = [
            ("response.created", {"response": response}),
            ("response.in_progress", {"response": response}),
            (
                "response.output_item.added",
                {"output_index": 0, "item": item if reply.wanted.tool else {**item, "content": []}},
            ),
        ]
        if not reply.wanted.tool:
            events.append(("response.content_part.added", {"item_id": item["id"], **_PART, "part": text_part("")}))
        return b"".join(write_event(name, fields, number) for number, (name, fields) in enumerate(events))

    def text(self, reply: Reply, text: str, number: int = 1) -> bytes:
        """One `response.output_text.delta`, or one of a call's arguments."""
        if reply.wanted.tool:
            call = {"item_id": item_id(reply), "output_index": 0, "delta": text}
            return write_event("response.function_call_arguments.delta", call, _begin(reply) + number - 1)
        fields = {"item_id": item_id(reply), **_PART, "delta": text, "logprobs": []}
        return write_event("response.output_text.delta", fields, _begin(reply) + number - 1)

    def heartbeat(self) -> bytes:
        """An SSE comment; the vendor's own `keepalive` is documented nowhere, and not every client knows it."""
        return sse.write_comment("heartbeat")

    def finish(self, reply: Reply, reason: FinishReason, tokens: int, text: str = "") -> bytes:
        """The end of text and message, and the terminal event."""
        status = "completed" if reason is FinishReason.STOP else "incomplete"
        item = output_item(reply, text, status)
        where = {"item_id": item["id"], **_PART}
        parts: list[tuple[str, dict[str, Any]]] = [
            ("response.output_text.done", {**where, "text": text, "logprobs": []}),
            ("response.content_part.done", {**where, "part": text_part(text)}),
        ]
        if reply.wanted.tool:
            call = {"item_id": item["id"], "output_index": 0, "name": reply.wanted.tool, "arguments": text}
            parts = [("response.function_call_arguments.done", call)]
        events = [
            *parts,
            ("response.output_item.done", {"output_index": 0, "item": item}),
            (f"response.{status}", {"response": ended(reply, text, reason, tokens)}),
        ]
        first = _begin(reply) + tokens
        return b"".join(write_event(name, fields, number) for number, (name, fields) in enumerate(events, first))

    def marker(self, reply: Reply) -> bytes:
        """Nothing: the terminal event is the marker."""
        return b""

    def error_event(self, kind: str, message: str) -> bytes:
        """An `error` event, nested as the vendor sends it; its documents show it flat."""
        return sse.write_event(compact({"type": "error", **error_document(kind, message)}), "error")

    def batch(self, reply: Reply, text: str, reason: FinishReason | None, tokens: int) -> bytes:
        """A `response` document; without a reason, one that says it is still in progress."""
        if reason is None:
            unfinished = response_document(reply, "in_progress", [output_item(reply, text, "in_progress")], tokens)
            return compact(unfinished).encode()
        return compact(ended(reply, text, reason, tokens)).encode()

    def unfinished(self, reply: Reply, status: str, error: ErrorEvent | None = None) -> bytes:
        """The document of a background response without an answer: `queued`, `in_progress`, `failed`, `cancelled`."""
        document = response_document(reply, status, [], None)
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
            return [*read_output(document), *read_status(document, document["status"])]
        except BROKEN as error:
            return [unreadable(f"no response: {error!r}", body)]


def _begin(reply: Reply) -> int:
    """How many events stand before the first of the answer's own."""
    return 3 if reply.wanted.tool else 4


def _read_wanted(fields: dict[str, Any]) -> Wanted:
    """The shape that is asked for; what the model server does not do is refused."""
    refuse(fields, "top_logprobs")
    question = fields.get("input")
    items = [each for each in question if isinstance(each, dict)] if isinstance(question, list) else []
    called = [str(each.get("name")) for each in items if each.get("type") == "function_call"]
    answered = bool(items) and items[-1].get("type") == "function_call_output"
    offered = fields.get("tools")
    own = (
        [each for each in offered if not isinstance(each, dict) or each.get("type") == "function"]
        if isinstance(offered, list)
        else offered
    )
    tool = choose_tool(read_tools(own), fields.get("tool_choice"), called, answered=answered)
    if tool is not None:
        return Wanted(tool.name, arguments_of(tool))
    text = fields.get("text")
    form = text.get("format") if isinstance(text, dict) else None
    kind = form.get("type") if isinstance(form, dict) else "text"
    if not isinstance(form, dict) or kind == "text":
        return Wanted()
    if kind not in ("json_object", "json_schema"):
        raise ValueError("text.format: type must be text, json_object or json_schema")
    return Wanted(json=read_schema("text.format", form.get("schema")))


FORMAT = OpenAIResponses()
