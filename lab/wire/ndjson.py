"""Plain NDJSON: one JSON object a line, without a vendor's rules.

The model server writes the objects of `lab.wire.plain`, a heartbeat as `{"type":"ping"}`, since many readers
choke on an empty line, and ends with `{"done":true}`. Of others, an empty line is a heartbeat, a JSON
string is text, and whatever else is no JSON object is unreadable.
"""

from __future__ import annotations

import json

from .events import Event, FinishReason, Heartbeat, Text, Unreadable
from .foreign import read_plain
from .format import BROKEN, Reply, shortened
from .lines import LineParser, write_line
from .plain import Ends, PlainFormat, error_document, finish_document, text_document


class Ndjson(PlainFormat):
    """Lines of JSON at the model server's own path."""

    name = "ndjson"
    path = "/v1/ndjson"
    url_end = "/ndjson"
    stream_type = "application/x-ndjson"

    def text(self, reply: Reply, text: str, number: int = 1) -> bytes:
        """One line with a piece of text."""
        return write_line(text_document(text))

    def heartbeat(self) -> bytes:
        """A line that says nothing."""
        return write_line({"type": "ping"})

    def finish(self, reply: Reply, reason: FinishReason, tokens: int, text: str = "") -> bytes:
        """A line with the finish reason."""
        return write_line(finish_document(reason, tokens))

    def marker(self, reply: Reply) -> bytes:
        """A line that says that it is the last."""
        return write_line({"done": True})

    def error_event(self, kind: str, message: str) -> bytes:
        """A line with the error."""
        return write_line(error_document(kind, message))

    def reader(self) -> NdjsonReader:
        """See `WireFormat.reader`."""
        return NdjsonReader()


class NdjsonReader:
    """Reads one stream of lines."""

    def __init__(self) -> None:
        self._parser = LineParser()
        self._ends = Ends()

    def feed(self, data: bytes) -> list[Event]:
        """See `Reader.feed`."""
        return [event for line in self._parser.feed(data) for event in self._read(line)]

    def close(self) -> list[Event]:
        """See `Reader.close`; a whole object counts without its line end."""
        tail = self._parser.tail
        return self._read(tail) if tail else []

    def _read(self, line: bytes) -> list[Event]:
        if not line.strip():
            return [Heartbeat()]
        try:
            document = json.loads(line)
            if isinstance(document, str):
                return [Text(document)] if document else [Heartbeat()]
            if isinstance(document, dict):
                return self._ends.take(document, read_plain(document))
        except BROKEN as error:
            return [Unreadable(f"no line of JSON: {error!r}", shortened(line))]
        return [Unreadable("a line that is no JSON object", shortened(line))]


FORMAT = Ndjson()
