"""nginx's regular expressions, which are PCRE's, as Python understands them; and a text that fits one. Pure."""

from __future__ import annotations

import re

_CLASSES = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "digit": "0-9",
    "lower": "a-z",
    "upper": "A-Z",
    "xdigit": "0-9a-fA-F",
}
"""Of POSIX, by what stands for them inside of brackets."""

_GROUP = re.compile(r"(?<!\\)\((?:\?(?::|P?<\w+>|'\w+'))?((?:\\.|[^()\\])*)\)([*+?]|\{\d+(?:,\d*)?\})?")
"""One that has no other in it, and how often it stands."""

_ATOM = re.compile(r"(\\.|\[\^?\]?[^\]]*\]|[^\\])([*+?]|\{(\d+)(?:,\d*)?\})?\??")
"""A letter, or what stands for one, and how often."""


def found(pattern: str, text: str, flags: int = 0) -> re.Match[str] | None:
    """Where a pattern fits; None where it does not, or is none that can be told."""
    pattern = _with_letters(pattern)
    pattern = re.sub(r"\(\?(?:<(?=\w+>)|'(\w+)')", lambda name: f"(?P<{name[1]}>" if name[1] else "(?P<", pattern)
    if "(?i)" in pattern:
        pattern, flags = pattern.replace("(?i)", ""), flags | re.IGNORECASE
    try:
        return re.search(pattern.replace(r"\z", r"\Z"), text, flags)
    except re.error:
        return None


def example(pattern: str, word: str = "a") -> str:
    """A text that a pattern fits; empty where none is found.

    Args:
        pattern: of nginx's.
        word: what stands for any letters at all.
    """
    # What looks ahead or behind may keep the text from fitting, which is seen in the end.
    text = re.sub(r"\(\?(?:i\)|<?[=!][^)]*\))", "", _with_letters(pattern)).removeprefix("^").removesuffix("$")
    while group := _GROUP.search(text):
        inside = "" if group[2] in ("?", "*") else group[1].partition("|")[0]
        text = text[: group.start()] + inside + text[group.end() :]
    text = _ATOM.sub(lambda atom: _letters(atom, word), text.partition("|")[0])
    return text if found(pattern, text) else ""


def _with_letters(pattern: str) -> str:
    for name, letters in _CLASSES.items():
        pattern = pattern.replace(f"[:{name}:]", letters)
    return pattern


def _letters(atom: re.Match[str], word: str) -> str:
    sign, often, least = atom[1], atom[2], atom[3]
    if often == "?" or least == "0":
        return ""
    if sign in ("^", "$") or sign in (r"\b", r"\A", r"\z", r"\Z"):
        return ""
    if len(sign) == 1 and sign != ".":
        return sign * int(least or 1) if often != "*" else ""
    if len(sign) == 2 and not sign[1].isalnum():
        return sign[1] * int(least or 1)
    letters = word if often in ("*", "+") else word[0]
    fitting = next((each for each in (letters, "a", "1", "A", "-", "/") if found(f"^(?:{sign})+$", each)), "")
    return fitting * int(least or 1)
