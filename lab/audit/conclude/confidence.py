"""How sure an audit is, and its findings as plain data.

Without ground truth three grades are honest: the evidence leaves no other reading, it fits one reading best, or
nobody can tell. Each finding carries its reason in one sentence with numbers, so that a reader can disagree.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lab.vocabulary import Delivery, Ending


class Confidence(StrEnum):
    """How sure a finding is."""

    CERTAIN = "certain"
    """No other reading is left, in any sample; what no reply shows needs the model's own address."""
    LIKELY = "likely"
    """It fits this reading best; the reason names the other."""
    CANNOT_TELL = "cannot-tell"
    """The evidence fits several readings; the reason says what is missing."""


class Severity(StrEnum):
    """What a problem means for the exit code."""

    FAILURE = "failure"
    """A streaming path must not do this: exit code 1."""
    WARNING = "warning"
    """Worth knowing; it does not fail the audit."""


@dataclass(frozen=True)
class DeliveryFinding:
    """How the tokens came; `unproven` where nobody can tell."""

    delivery: Delivery
    confidence: Confidence
    reason: str


@dataclass(frozen=True)
class EndingFinding:
    """How an answer ended; None where nobody can tell. `after` is in seconds from the request."""

    ending: Ending | None
    confidence: Confidence
    reason: str
    after: float = 0.0
    status: int | None = None


@dataclass(frozen=True)
class Problem:
    """Something that is wrong on a route.

    Args:
        severity: whether it fails the audit.
        route: the route's name.
        sentence: what is wrong, with numbers.
        remedy: what to change; with the lines of a tested configuration where the product is known.
        asked: how it was asked, in words, where that matters; else empty.
    """

    severity: Severity
    route: str
    sentence: str
    remedy: str
    asked: str = ""

    @property
    def whole_sentence(self) -> str:
        """Route, how it was asked, and what is wrong."""
        return f"{self.route} ({self.asked}): {self.sentence}" if self.asked else f"{self.route}: {self.sentence}"
