"""How the streams of a load ask, as whoever starts Locust tells its processes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from lab.wire.format import DEFAULT_MODEL

TERMS = "LAB_LOAD_TERMS"
"""The variable in which Locust's processes are told them."""


@dataclass(frozen=True)
class RequestTerms:
    """What a request has beside its address and its plan.

    Args:
        wire_format: its name; empty for the one that the address names, or else `openai-chat`.
        model: that is asked for; gateways choose by it.
        headers: of every request; a key may stand there.
        ca_file: authorities to trust beside the system's, in PEM; empty for none.
        any_certificate: whether whatever certificate will do, as that of a path of the lab's own.
    """

    wire_format: str = ""
    model: str = DEFAULT_MODEL
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    ca_file: str = ""
    any_certificate: bool = False

    def to_text(self) -> str:
        """As `from_text` reads it."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_text(text: str) -> RequestTerms:
        """Read what `to_text` wrote; the usual terms from an empty text."""
        told = json.loads(text or "{}")
        return RequestTerms(**told | {"headers": tuple((name, value) for name, value in told.get("headers", ()))})
