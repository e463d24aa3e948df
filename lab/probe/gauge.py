"""How much of a body is taken: a bound on its bytes, on what they decode to, and on its lines.

A few kilobytes can decode to gigabytes, and two bytes can be an event; both cost whoever reads them later, often more
than once. So the body is measured as it comes, and what is beyond a bound is not kept: every later reading of it is
bounded too. Nothing here keeps what a coded body decodes to.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from lab.probe.codings import ContentDecoder

# What is measured at once; a coded body is cut at one of these places.
_SLICE = 1024


@dataclass
class Gauge:
    """Measures one body; lives as long as that.

    Args:
        coding: the reply's `Content-Encoding`.
        most: bytes that are taken, and that they may decode to.
        most_lines: lines that the decoded body may have.

    `excess` says in words what there was too much of; it is empty until then, and afterwards nothing is taken.
    """

    coding: str
    most: int
    most_lines: float = inf
    excess: str = ""

    def __post_init__(self) -> None:
        self._decoder = ContentDecoder(self.coding, self.most)
        self._taken = 0
        self._ends = [0, 0]

    def take(self, data: bytes) -> bytes:
        """The next bytes of the body; returns those of them that are taken, from the beginning."""
        room = self.most - self._taken
        for start in range(0, min(len(data), room), _SLICE):
            if not self._fits(data[start : min(start + _SLICE, room)]):
                room = start
                break
        if len(data) > room and not self.excess:
            self.excess = f"more than {self.most:,} bytes of body"
        self._taken += min(len(data), room)
        return data[:room]

    def _fits(self, data: bytes) -> bool:
        if self.excess:
            return False
        for piece in self._decoder.pieces(data):
            # An event ends with a line; which of the two ends lines here, nobody need know.
            self._ends = [count + piece.count(end) for count, end in zip(self._ends, (b"\n", b"\r"), strict=True)]
        if self._decoder.overfull:
            self.excess = f"more than {self.most:,} bytes of decoded body"
        elif max(self._ends) > self.most_lines:
            self.excess = f"more than {self.most_lines:,} lines of body"
        return not self.excess
