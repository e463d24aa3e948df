"""What the plain formats, SSE and lines of JSON without a vendor's rules, have in common.

Written is one dialect, in JSON objects: `{"text":"..."}` for a piece, `{"finish_reason":"stop","tokens":5}` for the
end, `{"error":{"type":"...","message":"..."}}` for an error, and a marker that each framing has for itself.
Read is whatever applications and gateways send (`lab.wire.guess`).

Warning: no marker is standard. The model server writes one, so that its plans, forged ends among them, mean
what they mean in every format; but many streams of others just stop, whole or not.
"""

from __future__ import annotations

import json
from typing import Any

from .directive import find_directive
from .events import Event, Finish, FinishReason, Heartbeat, Marker, Opening, Unreadable
from .format import BROKEN, Ask, Asked, Reply, compact, read_limit, read_request, read_stream, shortened
from .guess import has_reasons, own_name, read_object

_REASONS = {
    FinishReason.STOP: "stop",
    FinishReason.LENGTH: "length",
    FinishReason.CONTENT_FILTER: "content_filter",
}


class Ends:
    """Whether the marker of one stream says by itself that the answer is whole.

    In dialects that know no reasons (Dify, LangServe, the Vercel AI SDK) it does. Where an object has a field for the
    reason, and none came, a hop may have made the marker up.
    """

    def __init__(self) -> None:
        self._told = False

    def take(self, document: dict[str, Any], events: list[Event], name: str = "") -> list[Event]:
        """The events of one object, with a finish before a marker that stands for it."""
        self._told = self._told or has_reasons(document) or any(isinstance(event, Finish) for event in events)
        if self._told or Marker() not in events:
            return events
        self._told = True
        return [Finish(FinishReason.STOP, name or own_name(document) or "done"), *events]


class PlainFormat:
    """The half of a plain format that does not depend on its framing."""

    path: str
    stream_type: str
    has_marker = False
    numbered = False

    def ask(self, model: str, *, stream: bool, max_tokens: int, prompt: str = "Count.") -> Ask:
        """See `WireFormat.ask`; what a foreign endpoint reads of it, nobody knows."""
        body = {"model": model, "prompt": prompt, "stream": stream, "max_tokens": max_tokens}
        headers = (
            ("Content-Type", "application/json"),
            ("Accept", self.stream_type.partition(";")[0] if stream else "application/json"),
        )
        return Ask(self.path, headers, compact(body).encode())

    def key_header(self, key: str) -> tuple[str, str]:
        """See `WireFormat.key_header`."""
        return ("Authorization", f"Bearer {key}")

    def read_ask(self, body: bytes, *, planned: bool = False) -> Asked:
        """See `WireFormat.read_ask`; the question may stand in any of three fields, and streaming is the default."""
        fields = read_request(body, "prompt", "input", "messages", planned=planned)
        return Asked(
            model=fields["model"],
            stream=read_stream(fields, default=True),
            max_tokens=read_limit(fields, "max_tokens"),
            directive=find_directive(fields),
        )

    def opening(self, reply: Reply) -> bytes:
        """Nothing: the first event has text already."""
        return b""

    def batch(self, reply: Reply, text: str, reason: FinishReason | None, tokens: int) -> bytes:
        """Text, reason and marker in one object."""
        end = {} if reason is None else {**finish_document(reason, tokens), "done": True}
        return compact({"text": text, **end}).encode()

    def error_kind(self, status: int) -> str:
        """See `WireFormat.error_kind`."""
        return "server_error" if status >= 500 else "invalid_request_error"

    def error_body(self, kind: str, message: str) -> bytes:
        """The object that an error in a stream is, too."""
        return compact(error_document(kind, message)).encode()

    def read_batch(self, body: bytes) -> list[Event]:
        """See `WireFormat.read_batch`; a reason is as good as a marker, for half a document is none."""
        try:
            document = json.loads(body)
            if not isinstance(document, dict):
                return [Unreadable("no JSON object", shortened(body))]
            found = read_object(document)
            events: list[Event] = [event for event in found if not isinstance(event, (Opening, Heartbeat))]
        except BROKEN as error:
            return [Unreadable(f"no JSON object: {error!r}", shortened(body))]
        if any(isinstance(event, Finish) for event in events) and Marker() not in events:
            events.append(Marker())
        return events or [Unreadable("an object without text", shortened(body))]


def text_document(text: str) -> dict[str, Any]:
    """A piece of text, as the model server writes it."""
    return {"text": text}


def finish_document(reason: FinishReason, tokens: int) -> dict[str, Any]:
    """The end, as the model server writes it."""
    return {"finish_reason": _REASONS[reason], "tokens": tokens}


def error_document(kind: str, message: str) -> dict[str, Any]:
    """An error, as the model server writes it."""
    return {"error": {"type": kind, "message": message}}
