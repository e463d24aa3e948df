"""The tokens themselves: text that says which token it is and when it left.

A token reads `harbour ⟨9f3c:17@850ms⟩ `. The tag belongs to the plan and its seed, so a token from
another reply is recognised as foreign; the number counts from 1, so a missing or repeated token is
recognised; and the time is when the token was due to leave, in milliseconds from the request, or with
the clock stamp the time at which it did leave, in microseconds since the epoch. Due times make the
same plan give the same bytes; clock times measure a path whose ledger cannot be read.

The angle brackets are three bytes each in UTF-8, so every token holds a character that a fault or a
buffer can cut through.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

WORDS = (  # noqa: SIM905 - sixty words read better in a row
    "amber anchor autumn basin beacon birch bridge candle canyon cedar chapel cinder copper coral "
    "dawn delta ember falcon fern garden glacier granite harbour hazel heron island ivory juniper "
    "lantern lichen linen lunar maple marble meadow mineral mirror mosaic north oak ocean opal "
    "orchard pebble pine prairie quartz quiet raven river saffron shore silver slate spruce summit "
    "thistle timber valley velvet willow winter"
).split()

# Numbers have a length: a foreign endpoint's thousands of digits are more than Python converts.
_TOKEN = re.compile(r"⟨(?P<tag>[0-9a-f]{4}):(?P<number>\d{1,20})@(?P<time>\d{1,20})(?P<unit>ms|us)⟩")


@dataclass(frozen=True)
class Stamp:
    """What one token says of itself.

    Args:
        tag: four hexadecimal digits that belong to the plan and its seed.
        number: the token's place in the answer, from 1.
        due: seconds from the request at which it was to leave; None with a clock stamp.
        left: seconds since the epoch at which it left; None with a due stamp.
    """

    tag: str
    number: int
    due: float | None
    left: float | None


def write_token(tag: str, number: int, *, due: float | None = None, left: float | None = None, word: str = "") -> str:
    """Write the text of one token; exactly one of `due` and `left`, both in seconds."""
    time = f"{round(due * 1e3)}ms" if due is not None else f"{round((left or 0.0) * 1e6):016d}us"
    return f"{word} ⟨{tag}:{number}@{time}⟩ "


def read_tokens(text: str) -> list[Stamp]:
    """Find every whole token in a text, in order; half a token is no token."""
    return [
        Stamp(
            match["tag"],
            int(match["number"]),
            due=int(match["time"]) / 1e3 if match["unit"] == "ms" else None,
            left=int(match["time"]) / 1e6 if match["unit"] == "us" else None,
        )
        for match in _TOKEN.finditer(text)
    ]
