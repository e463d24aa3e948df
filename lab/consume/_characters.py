"""Text without halves of characters: JSON can hold a lone surrogate, and no file or socket takes one."""

from __future__ import annotations


class Characters:
    """Joins the two halves of a character that came in two pieces, and replaces a half that stays alone."""

    def __init__(self) -> None:
        self._half = ""

    def take(self, text: str) -> str:
        """The whole characters up to here; a first half at the end waits for its second."""
        text = self._half + text
        self._half = text[-1] if text and "\ud800" <= text[-1] <= "\udbff" else ""
        return whole_characters(text.removesuffix(self._half))

    def rest(self) -> str:
        """What takes the place of a half that waited in vain."""
        half, self._half = self._half, ""
        return whole_characters(half)


def whole_characters(text: str) -> str:
    """The text, in which every lone half of a character is U+FFFD, the replacement character."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
