"""Server-sent events: the framing below the OpenAI and Anthropic wire formats.

The rules are those of the WHATWG HTML standard, section 9.2.6: lines end in LF, CRLF or CR; an empty
line ends an event; one space after the colon is dropped; several `data` lines are joined by LF; lines
that begin with a colon are comments; an event that the stream's end leaves without its empty line is
dropped. A dropped tail is evidence here, so `EventParser.tail` keeps it.

In two things it takes more than the standard does, since servers send more: an event with a name and without data
is an event with empty data (LangServe ends with one), and a field named `error` is data of an event of that name
(llama.cpp's server).

Warning: bytes are split into lines before they are decoded, since a read may end inside a UTF-8
character.
"""

from __future__ import annotations

from dataclasses import dataclass, field

BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class ServerSentEvent:
    """One event: its name (`message` where the wire gives none) and its undecoded data."""

    name: str
    data: bytes


@dataclass(frozen=True)
class Comment:
    """One comment line, without its colon."""

    text: bytes


def write_event(data: str, name: str | None = None) -> bytes:
    """Serialise one event; `data` must not hold a line end."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {data}\n\n".encode()


def write_comment(text: str) -> bytes:
    """Serialise one comment, set apart by an empty line as servers do."""
    return f": {text}\n\n".encode()


@dataclass
class EventParser:
    """Turns bytes, cut anywhere, into events and comments; lives as long as one stream."""

    _buffer: bytearray = field(default_factory=bytearray)
    _searched: int = 0
    _at_start: bool = True
    _name: str = ""
    _data: list[bytes] = field(default_factory=list)

    def feed(self, data: bytes) -> list[ServerSentEvent | Comment]:
        """Take the next bytes; return what they completed, in order."""
        self._buffer += data
        if self._at_start and not self._drop_bom():
            return []
        found: list[ServerSentEvent | Comment] = []
        while (line := self._next_line()) is not None:
            item = self._take(line)
            if item is not None:
                found.append(item)
        return found

    @property
    def tail(self) -> ServerSentEvent | None:
        """The event that was never ended by an empty line, as far as it came; None if there is none."""
        name, data = self._name, list(self._data)
        if self._buffer and not self._buffer.startswith(b":"):
            key, _, value = bytes(self._buffer).rstrip(b"\r").partition(b":")
            if key == b"data":
                data.append(value.removeprefix(b" "))
            elif not data and key:
                data.append(bytes(self._buffer))
        return ServerSentEvent(name or "message", b"\n".join(data)) if data else None

    def _drop_bom(self) -> bool:
        """Drop a byte order mark; False while it cannot be told whether there is one."""
        if len(self._buffer) < len(BOM) and BOM.startswith(self._buffer):
            return False
        if self._buffer.startswith(BOM):
            del self._buffer[: len(BOM)]
        self._at_start = False
        return True

    def _next_line(self) -> bytes | None:
        """Cut the next whole line off the buffer; a CR at its very end may be half a CRLF, so it waits."""
        # Only behind what has been searched, and only before the LF: all else would be quadratic, with a long
        # line in small pieces or with many lines in a large one.
        lf = self._buffer.find(b"\n", self._searched)
        cr = self._buffer.find(b"\r", self._searched, lf if lf != -1 else len(self._buffer))
        if cr != -1:
            if cr == len(self._buffer) - 1:
                self._searched = cr
                return None
            end, skip = cr, 2 if self._buffer[cr + 1 : cr + 2] == b"\n" else 1
        elif lf != -1:
            end, skip = lf, 1
        else:
            self._searched = len(self._buffer)
            return None
        self._searched = 0
        line = bytes(self._buffer[:end])
        del self._buffer[: end + skip]
        return line

    def _take(self, line: bytes) -> ServerSentEvent | Comment | None:
        if not line:
            return self._dispatch()
        if line.startswith(b":"):
            return Comment(line[1:])
        key, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if key == b"data":
            self._data.append(value)
        elif key == b"event":
            self._name = value.decode("utf-8", "replace")
        elif key == b"error":
            self._name = "error"
            self._data.append(value)
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        name, data = self._name, self._data
        self._name, self._data = "", []
        return ServerSentEvent(name or "message", b"\n".join(data)) if data or name else None
