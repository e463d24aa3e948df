"""How much of an answer is read: no more than the limit on tokens that was asked for, and a margin.

Strategy. Nobody but the model knows how it cuts text into tokens, so the audit counts what there must be at least: one
token for each event that brings text, one for each word in it, and one for each `LONGEST_TOKEN` characters. Only when
that is plainly more than was asked for does the audit leave the stream, so an endpoint that keeps to its limit is
never cut off. A stop by the audit is no ending of the answer; what came till then is judged like any other.

The lab's own tokens carry a stamp, which is no word of the model's. Warning: a vocabulary with tokens of several
words makes fewer tokens of a text than this counts; none of the big vendors' has them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lab.endpoint.bounds import most_lines
from lab.evidence import EndReason, Evidence
from lab.probe.body import BodyReader, Piece
from lab.probe.exchange import Enough
from lab.probe.framing import Head
from lab.wire import format_named
from lab.wire.events import PROGRESS, Reasoning, Text
from lab.wire.format import Ask, WireFormat

LONGEST_TOKEN = 128
"""Characters of the longest tokens in OpenAI's vocabularies (cl100k_base and o200k_base: runs of spaces)."""

MARGIN = (0.1, 16)
"""Part of the limit, and tokens beside it, by which an answer may be longer: servers count their limits differently."""


def most_of(limit: int) -> int:
    """The most tokens that are read of an answer with that limit."""
    part, more = MARGIN
    return limit + int(limit * part) + more


@dataclass
class Allowance:
    """Listens to one answer, and makes the probe leave when it is plainly beyond its limit.

    Args:
        wire_format: the dialect.
        limit: the limit on tokens that was asked for.
        name: under which name; it stands in the message. Empty where the request set none, so that the endpoint
            ignores nothing.
    """

    wire_format: WireFormat
    limit: int
    name: str
    tokens: int = field(default=0, init=False)
    events: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._body = BodyReader(self.wire_format, stream=True)

    def on_head(self, head: Head) -> None:
        """The reply's content coding is known."""
        self._body = BodyReader(self.wire_format, stream=True, coding=head.coding)

    def on_body(self, _at: float, data: bytes) -> None:
        """Count what came.

        Raises:
            Enough: it is more than was asked for.
        """
        piece = self._body.feed(data)
        self.tokens += at_least(piece)
        self.events += len(piece.events)
        if self.tokens > most_of(self.limit) and not self.name:
            raise Enough(f"at least {self.tokens:,} tokens came, and no more than --max-tokens are read")
        if self.tokens > most_of(self.limit):
            what = f"the endpoint ignores the limit on tokens ({self.name}: {self.limit:,})"
            words = f"{what}: at least {self.tokens:,} came, and the audit stopped reading"
            raise Enough(words, EndReason.IGNORES_LIMIT)
        # Those that are no part of the answer may stand in a single line.
        if self.events > most_lines(self.limit):
            raise Enough(f"more than {most_lines(self.limit):,} events")


def at_least(piece: Piece) -> int:
    """How many tokens a piece of a stream must hold at the least."""
    pieces = [event for event in piece.events if isinstance(event, PROGRESS)]
    texts = [event.text if isinstance(event, Text | Reasoning) else "" for event in pieces]
    words = sum(max(1, len(text.split()), len(text) // LONGEST_TOKEN) for text in texts)
    return max(len(texts), words - len(piece.tokens))


def tokens_of(evidence: Evidence) -> int:
    """The same for a whole answer."""
    body = BodyReader(format_named(evidence.wire_format), evidence.stream, evidence.trace.header("content-encoding"))
    return sum(at_least(body.feed(piece.data)) for piece in evidence.trace.body)


def ignores_limit(evidence: Evidence) -> bool:
    """Whether the audit left this answer because it was beyond its limit."""
    return evidence.trace.reason is EndReason.IGNORES_LIMIT


def limit_field(ask: Ask, limit: int) -> str:
    """The name under which a request states its limit; empty where it states none."""
    document = json.loads(ask.body or b"{}")
    fields = _fields(document) if isinstance(document, dict) else ()
    return next((name for name, value in fields if type(value) is int and value == limit), "")


def _fields(document: dict[str, Any]) -> Iterator[tuple[str, object]]:
    for name, value in document.items():
        if isinstance(value, dict):
            yield from _fields(value)
        else:
            yield name, value
