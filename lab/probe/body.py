"""From the bytes of a body to events and tokens: one reading for the lockstep driver and the judge.

The content coding is undone as the bytes come (`lab.probe.codings`), so a compressed body that was cut still gives
everything that could be decoded. Nothing here raises on what a network may bring: bad data is a fact like any other,
and stands in `BodyReader.trouble`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lab.probe.codings import MOST_MEMBERS, ContentDecoder
from lab.wire.events import Event, Text
from lab.wire.format import Reader, WireFormat
from lab.wire.tokens import Stamp, read_tokens

__all__ = ["BodyReader", "ContentDecoder", "Piece"]

_TOKEN_START, _TOKEN_END = "⟨⟩"


@dataclass(frozen=True)
class Piece:
    """What one piece of the body brought: the events it completed, and the tokens in their text."""

    events: tuple[Event, ...]
    tokens: tuple[Stamp, ...]


@dataclass
class BodyReader:
    """Reads one reply; `feed` takes body bytes cut anywhere, `close` is called once at the end.

    Args:
        wire_format: the dialect to read.
        stream: whether a stream was asked for; a batch reply is read at `close`, for half a document
            is none.
        coding: the reply's `Content-Encoding`.
        most_members: of gzip, or frames of zstd, that are read; see `ContentDecoder`.

    `stray` is the text in which no token was found: what stands between tokens beyond one word each.
    """

    wire_format: WireFormat
    stream: bool
    coding: str = ""
    most_members: int = MOST_MEMBERS
    stray: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._decoder = ContentDecoder(self.coding, most_members=self.most_members)
        self._reader: Reader | None = self.wire_format.reader() if self.stream else None
        self._document = bytearray()
        self._text: list[str] = []

    @property
    def trouble(self) -> str:
        """What could not be decoded, in words; empty while all is well."""
        return self._decoder.trouble

    @property
    def members(self) -> int:
        """How many members of gzip, or frames of zstd, the body has had."""
        return self._decoder.members

    def feed(self, data: bytes) -> Piece:
        """Take the next bytes of the body."""
        decoded = self._decoder.feed(data)
        if self._reader is None:
            self._document += decoded
            return Piece((), ())
        return self._piece(self._reader.feed(decoded))

    def close(self) -> Piece:
        """The body has ended: what its unfinished tail, or the whole batch document, amounts to."""
        if self._reader is None:
            events = self.wire_format.read_batch(bytes(self._document)) if self._document else []
        else:
            events = self._reader.close()
        piece = self._piece(events)
        # Half a token that the end left behind is none, and not stray either.
        self._set_aside("".join(self._text).partition(_TOKEN_START)[0])
        return piece

    def _piece(self, events: list[Event]) -> Piece:
        stamps = [stamp for event in events if isinstance(event, Text) for stamp in self._take_text(event.text)]
        return Piece(tuple(events), tuple(stamps))

    def _take_text(self, text: str) -> list[Stamp]:
        """Find the tokens that a piece of text completes; a token may be split between two events."""
        # The unfinished text is kept in pieces: joining it anew for each event would be quadratic.
        self._text.append(text)
        if _TOKEN_END not in text:
            return []
        *whole, rest = "".join(self._text).split(_TOKEN_END)
        stamps: list[Stamp] = []
        for part in whole:
            found = read_tokens(part + _TOKEN_END)
            stamps += found
            self._set_aside(part.partition(_TOKEN_START)[0] if found else part)
        self._text = [rest]
        return stamps

    def _set_aside(self, between: str) -> None:
        # One word belongs to each token; more than that was put in by somebody else.
        if len(between.split()) > 1:
            self.stray.append(between.strip())
