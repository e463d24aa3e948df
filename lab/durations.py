"""Durations as people write them: `500ms`, `2s`, `1.5s`, `10m`; seconds as a float inside."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

_PATTERN = re.compile(r"(?P<number>\d+(\.\d+)?)(?P<unit>ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}

LONGEST = 365 * 24 * 3600.0
"""Seconds; nothing here waits longer, and sums of such times stay far from what a float or a clock cannot hold."""


def parse_duration(value: object) -> float:
    """Seconds in a duration such as `500ms`; a plain number counts as seconds.

    Raises:
        ValueError: the text is no duration, is negative, or is longer than a year.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        return float(_bounded(value))
    match = _PATTERN.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is no duration; write it like 500ms, 2s or 10m")
    return round(_bounded(float(match["number"]) * _SECONDS[match["unit"]]), 6)


def _bounded(seconds: float) -> float:
    if seconds > LONGEST:
        raise ValueError("longer than a year; write it like 500ms, 2s or 10m")
    return seconds


def write_duration(seconds: float) -> str:
    """The shortest text that `parse_duration` reads back as the same number of seconds."""
    number, unit = (seconds, "s") if seconds >= 1 or seconds == 0 else (seconds * 1e3, "ms")
    return f"{number:.6f}".rstrip("0").rstrip(".") + unit


Duration = Annotated[float, BeforeValidator(parse_duration), PlainSerializer(write_duration)]
