"""Words from outside, made fit to be read: nothing in them can move, hide, colour or reorder what a reader sees.

What a proxy logs, an endpoint answers or a folder is called goes to terminals, pages and CI servers. Control
characters would act there; others have no shape of their own and make words look like different ones.
"""

from __future__ import annotations

import re
from unicodedata import category

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
"""What stands in the place of a character that is not shown."""

_TERMINAL_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")

# Controls (ESC and the C1 range among them), formats (bidi overrides, zero-width characters), halves of surrogate
# pairs, and the separators that some readers take for line ends.
_WITHOUT_SHAPE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

# Formats that letters and emoji need.
_JOINERS = frozenset("\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}")


def printable(line: str) -> str:
    """One line, without the colours of a terminal, and with `REPLACEMENT` for whatever else has no shape.

    A line end is replaced too: what is to be one line cannot fake a second one.
    """
    if line.isprintable():
        return line
    bare = _TERMINAL_COLOUR.sub("", line).expandtabs(4)
    return "".join(REPLACEMENT if _is_hidden(character) else character for character in bare)


def printable_text(text: str) -> str:
    """The same for a text of several lines, which keeps its line ends."""
    return "\n".join(printable(line.removesuffix("\r")) for line in text.split("\n"))


def _is_hidden(character: str) -> bool:
    return category(character) in _WITHOUT_SHAPE and character not in _JOINERS
