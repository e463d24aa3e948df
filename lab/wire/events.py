"""What a wire format can say, whichever dialect says it.

A reader turns bytes into these events, and the judge and the consumer look at nothing else. Events
are facts about the wire ("a marker came"), never conclusions ("the answer is complete").
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FinishReason(StrEnum):
    """Why the model stopped, in one vocabulary for all wire formats."""

    STOP = "stop"
    LENGTH = "length"
    CONTENT_FILTER = "content-filter"


@dataclass(frozen=True)
class Opening:
    """The reply announced itself without any text (a role chunk, `message_start`)."""


@dataclass(frozen=True)
class Text:
    """A piece of the answer's text."""

    text: str


@dataclass(frozen=True)
class Reasoning:
    """A piece of the model's thinking; no part of the answer."""

    text: str


@dataclass(frozen=True)
class OtherPiece:
    """A piece of the answer that is no text: a part of a call to a tool, sound, an image.

    Args:
        kind: what it is, as the wire names it.
    """

    kind: str


@dataclass(frozen=True)
class CallPiece(OtherPiece):
    """A piece of a call of a tool that the application is to carry out.

    Args:
        kind: as in `OtherPiece`.
        call: which call it belongs to; None where the piece is a whole call, and an empty text for the last one.
        id: the call's id, where the piece has it.
        name: the tool's name, where the piece has it.
        arguments: a piece of the arguments as the wire has them, or all of them.
        free: whether the arguments are free text, and need not be JSON.
    """

    call: int | str | None = None
    id: str = ""
    name: str = ""
    arguments: str = ""
    free: bool = False


@dataclass(frozen=True)
class Heartbeat:
    """Bytes that carry nothing but life: an SSE comment, an Anthropic `ping`."""


@dataclass(frozen=True)
class Finish:
    """The model said why it stopped.

    Args:
        reason: the reason in the lab's words; None where the wire's own word is not among them.
        raw: the word on the wire.
    """

    reason: FinishReason | None
    raw: str


@dataclass(frozen=True)
class Usage:
    """The model counted the tokens that it wrote."""

    tokens: int


@dataclass(frozen=True)
class Marker:
    """The terminal marker of the wire format."""


@dataclass(frozen=True)
class ErrorEvent:
    """The model reported an error inside a reply that had begun as a success."""

    kind: str
    message: str


@dataclass(frozen=True)
class Unreadable:
    """An event that breaks the wire format: bad JSON, bad UTF-8, or a tail that never ended.

    Args:
        why: what is wrong with it.
        data: the offending bytes, shortened.
    """

    why: str
    data: bytes

    @property
    def quoted(self) -> str:
        """What is wrong, with the bytes."""
        return f"{self.why}: {self.data!r}"


@dataclass(frozen=True)
class Foreign(Unreadable):
    """An event whose text stands where another format has it, which `why` names."""


@dataclass(frozen=True)
class Contradiction(Unreadable):
    """The reply contradicts itself: a number that came twice or never, or a text that is not that of its pieces."""


Event = Opening | Text | Reasoning | OtherPiece | Heartbeat | Finish | Usage | Marker | ErrorEvent | Unreadable

PROGRESS = (Text, Reasoning, OtherPiece)
"""Events by which a client sees that the answer goes on."""
