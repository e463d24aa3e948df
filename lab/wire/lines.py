"""Lines of JSON (NDJSON): the framing below the Ollama and the plain NDJSON wire format.

A line ends in LF or CRLF. The last one may lack its end: a JSON object shows by itself whether it is
whole, so `LineParser.tail` is worth reading.

Warning: bytes are split into lines before they are decoded, since a read may end inside a UTF-8
character.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .format import compact
from .sse import BOM


def write_line(document: object) -> bytes:
    """One document on a line of its own."""
    return compact(document).encode() + b"\n"


@dataclass
class LineParser:
    """Turns bytes, cut anywhere, into lines without their ends; lives as long as one stream."""

    _rest: list[bytes] = field(default_factory=list)
    _at_start: bool = True

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes; return the lines that they completed, in order."""
        # The unfinished line is kept in pieces: joining it anew for each read would be quadratic.
        first, *others = data.split(b"\n")
        self._rest.append(first)
        if not others:
            return []
        lines = [self._line(b"".join(self._rest)), *(self._line(line) for line in others[:-1])]
        self._rest = [others[-1]]
        return lines

    @property
    def tail(self) -> bytes:
        """The line that was never ended, as far as it came; empty if there is none."""
        return b"".join(self._rest).strip()

    def _line(self, line: bytes) -> bytes:
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(BOM)
        return line.removesuffix(b"\r")
