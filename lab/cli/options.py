"""What several commands read from their options."""

from __future__ import annotations

from lab.durations import parse_duration
from lab.errors import BadInput


def duration(option: str, text: str) -> float | None:
    """The seconds in an option's text; None where it is empty.

    Args:
        option: its name, for the message.
        text: as in `90s`.

    Raises:
        BadInput: it is no duration.
    """
    try:
        return parse_duration(text) if text else None
    except ValueError as error:
        raise BadInput(f"{option}: {error}", "Write it like 90s or 10m.") from None
