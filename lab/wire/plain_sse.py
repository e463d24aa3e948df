"""Plain SSE: server-sent events without a vendor's rules, as applications stream to their own pages.

The model server writes JSON objects (see `lab.wire.plain`) and ends with the event `done`. Of others, data
that is no JSON object is text as it stands, and a JSON string is the text in it; `data: [DONE]`, an event
named `done`, `end`, `complete` or `finish`, and `"done":true` are read as markers; and as the reason too, where no
object of the stream has had a field for one.

Warning: data that begins like an object and is none counts as broken only in a stream that has sent
objects before. In a stream of bare text it is a piece of code.
"""

from __future__ import annotations

import json
from typing import Any

from . import sse
from .events import ErrorEvent, Event, FinishReason, Heartbeat, Marker, Opening, Text, Unreadable
from .foreign import read_plain, unreadable
from .format import BROKEN, Reply, compact, shortened
from .guess import find_text, own_name, read_object
from .plain import Ends, PlainFormat, error_document, finish_document, text_document

_SNAPSHOT = "messages_snapshot"
"""The name of AG-UI's event that repeats the whole conversation once it has come in pieces."""

_MESSAGE = "messages"
"""The name of LangGraph's events with a piece of a message; its other lists repeat the whole so far."""


class PlainSse(PlainFormat):
    """Server-sent events at the model server's own path."""

    name = "sse"
    path = "/v1/sse"
    url_end = "/sse"
    stream_type = "text/event-stream; charset=utf-8"

    def text(self, reply: Reply, text: str, number: int = 1) -> bytes:
        """One event with a piece of text."""
        return sse.write_event(compact(text_document(text)))

    def heartbeat(self) -> bytes:
        """An SSE comment."""
        return sse.write_comment("heartbeat")

    def finish(self, reply: Reply, reason: FinishReason, tokens: int, text: str = "") -> bytes:
        """An event with the finish reason."""
        return sse.write_event(compact(finish_document(reason, tokens)))

    def marker(self, reply: Reply) -> bytes:
        """An event named `done`."""
        return sse.write_event("{}", "done")

    def error_event(self, kind: str, message: str) -> bytes:
        """An event named `error`."""
        return sse.write_event(compact(error_document(kind, message)), "error")

    def reader(self) -> PlainSseReader:
        """See `WireFormat.reader`."""
        return PlainSseReader()


class PlainSseReader:
    """Reads one stream of events."""

    def __init__(self) -> None:
        self._parser = sse.EventParser()
        self._sends_objects = self._sends_bare_text = self._has_text = False
        self._ends = Ends()

    def feed(self, data: bytes) -> list[Event]:
        """See `Reader.feed`."""
        return [event for item in self._parser.feed(data) for event in self._read(item)]

    def close(self) -> list[Event]:
        """See `Reader.close`; a marker counts without its empty line."""
        tail = self._parser.tail
        if tail is None:
            return []
        events = self._read(tail)
        if Marker() in events:
            return events
        return [Unreadable("the body ended inside an event", shortened(tail.data))]

    def _read(self, item: sse.ServerSentEvent | sse.Comment) -> list[Event]:
        if isinstance(item, sse.Comment):
            return [Heartbeat()]
        if item.data.strip() == b"[DONE]":
            return self._ends.take({}, [Marker()], "[DONE]")
        try:
            return self._read_data(item.data.decode(), "" if item.name == "message" else item.name.lower())
        except BROKEN as error:
            return [Unreadable(f"no event: {error!r}", shortened(item.data))]

    def _read_data(self, data: str, name: str) -> list[Event]:
        document = _parse(data)
        if isinstance(document, dict):
            self._sends_objects = True
            if self._has_text and (name or own_name(document)) == _SNAPSHOT:
                return [Opening()]
            events = self._ends.take(document, read_plain(document, name), name)
            self._has_text = self._has_text or any(isinstance(event, Text) for event in events)
            return events
        if name == _MESSAGE and isinstance(document, list) and document and isinstance(document[0], dict):
            return self._ends.take(document[0], _read_message(document[0]), name)
        if isinstance(document, list) and self._is_foreign(document):
            return [unreadable("a list, in which this format has no text", data.encode())]
        if self._sends_objects and data.lstrip().startswith("{"):
            return [Unreadable("an object that is no JSON", shortened(data.encode()))]
        text = document if isinstance(document, str) else data
        self._sends_bare_text = self._sends_bare_text or (bool(text) and not isinstance(document, (list, str)))
        if name == "error":
            return [ErrorEvent("error", text)]
        # An event's name says the same of a bare text as of an object.
        events = read_object({"text": text}, name) if text else read_object({}, name or "ping")
        return self._ends.take({}, events, name)

    def _is_foreign(self, items: list[Any]) -> bool:
        """Whether a list has text where this format has none; a stream of bare text may have a list of a program's."""
        return any(isinstance(item, dict) for item in items) or (bool(find_text(items)) and not self._sends_bare_text)


def _read_message(message: dict[str, Any]) -> list[Event]:
    """The events of LangGraph's pair of a message and where it is from; only those of a model are its answer."""
    return read_object(message) if message.get("type") == "AIMessageChunk" else [Opening()]


def _parse(data: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


FORMAT = PlainSse()
