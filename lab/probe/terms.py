"""What one exchange is told beside its request: whom to call, how long to wait, how much to take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from lab.evidence import EndReason
from lab.probe.framing import Head


class Enough(Exception):
    """Raised by `OnBody`: the probe leaves, and the trace is what came till then.

    Args:
        detail: the trace's.
        reason: the trace's.
    """

    def __init__(self, detail: str, reason: EndReason | None = None) -> None:
        super().__init__(detail)
        self.reason = reason


OnHead = Callable[[Head], None]
OnBody = Callable[[float, bytes], None]

LIMIT = 64 * 2**20
"""Bytes of body that are kept if nothing else is said; no answer of a model comes near it."""


@dataclass(frozen=True)
class Patience:
    """How long the probe waits for what, in seconds.

    Args:
        connect: for the connection, with name resolution and TLS.
        headers: from the request to the last byte of the headers.
        first_token: from the headers to the first byte of the body.
        middle: from one byte of the body to the next, heartbeats counting as bytes.
        total: for the whole exchange, connecting included; an endpoint that never ends is left with
            `TransportEnd.TOTAL_TIMEOUT`.
    """

    connect: float = 5.0
    headers: float = 120.0
    first_token: float = 120.0
    middle: float = 120.0
    total: float = inf


def ignore(*_: object) -> None:
    """Take no notice."""


@dataclass(frozen=True)
class Terms:
    """What one exchange is told beside its request; see `exchange`."""

    patience: Patience = Patience()
    on_head: OnHead = ignore
    on_body: OnBody = ignore
    leave_after: float | None = None
    limit: int = LIMIT
    most_lines: float = inf
    pace: float | None = None
    pause: float | None = None

    @property
    def reads_slowly(self) -> bool:
        """Whether the other side is to notice how slowly the probe reads."""
        return self.pace is not None or self.pause is not None
