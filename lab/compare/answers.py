"""What one reply brought, read the same way from a stream and from a batch reply: first text and length. Pure.

Two answers of a real model are never the same, so that totals are compared by the length of what came. The length is
the model's own count of tokens where both ways report one, else characters. Thinking counts as text: it is
shown as it comes, and it takes the model as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lab.evidence import Evidence
from lab.probe.body import BodyReader
from lab.wire import format_named
from lab.wire.events import Reasoning, Text, Usage


class Unit(StrEnum):
    """What an answer's length is counted in."""

    TOKENS = "tokens"
    CHARACTERS = "characters"


@dataclass(frozen=True)
class ReplyContent:
    """What a reply brought.

    Args:
        first_text: seconds from the request to the first text or thinking; None if neither came.
        characters: of text and thinking.
        tokens: as the model counted them; None where it did not.
    """

    first_text: float | None
    characters: int
    tokens: int | None

    def length(self, unit: Unit) -> int:
        """The length in that unit; 0 where it is not known."""
        return self.characters if unit is Unit.CHARACTERS else self.tokens or 0


def read_content(evidence: Evidence) -> ReplyContent:
    """Read the body of a reply, whole or not."""
    trace = evidence.trace
    body = BodyReader(format_named(evidence.wire_format), evidence.stream, trace.header("content-encoding"))
    pieces = [(piece.at, body.feed(piece.data)) for piece in trace.body]
    pieces.append((trace.body[-1].at if trace.body else trace.ended, body.close()))
    events = [(at, event) for at, piece in pieces for event in piece.events]
    texts = [(at, event.text) for at, event in events if isinstance(event, Text | Reasoning) and event.text]
    return ReplyContent(
        first_text=texts[0][0] - trace.started if texts else None,
        characters=sum(len(text) for _, text in texts),
        # Some count as they go, so that the largest is the whole.
        tokens=max((event.tokens for _, event in events if isinstance(event, Usage)), default=0) or None,
    )
