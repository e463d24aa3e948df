"""Takes secrets out of texts and traces, in the spellings in which a server may echo them.

A secret is looked for as it is and in base64 and hexadecimal digits, and each of its characters that encoders touch
may stand in any of the forms that JSON, URLs and HTML have for it. What was cut off is found by its beginning.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from functools import cache
from html.entities import codepoint2name
from typing import TypeVar, cast

from lab.evidence import Read, Trace

T = TypeVar("T")

MASK = "[key]"
"""What stands in texts where a key stood."""

SHORTEST = 6
"""Characters. Something shorter occurs in ordinary text and cannot be masked without spoiling it."""

# A message may quote the beginning of a key; this much of it is more than a vendor's public prefix.
_TELLING_PREFIX = 12


class Mask:
    """Masks some secrets; see `Mask.of`."""

    def __init__(self, spellings: Sequence[str]) -> None:
        self._spellings = spellings
        heads = ("".join(map(_forms, spelt[:_TELLING_PREFIX])) for spelt in spellings)
        self._heads = [re.compile(head) for head in heads]

    @classmethod
    def of(cls, secrets: Iterable[str]) -> Mask:
        """A mask for these secrets; a value like `Basic abc` is masked with and without its scheme, and decoded."""
        plain = {part for secret in secrets for part in _parts(secret) if len(part) >= SHORTEST}
        found = {spelt for key in plain for spelt in _spellings(key)}
        return cls(sorted(found, key=len, reverse=True))

    def __repr__(self) -> str:
        return f"Mask({len(self._spellings)} spellings)"

    def text(self, text: str) -> str:
        """The text without any secret, whole or cut off at its end."""
        return self._without(text, lambda _: MASK)

    def everything(self, record: T) -> T:
        """A record of frozen dataclasses, tuples and texts without any secret; words of closed sets stay."""
        return cast(T, self._walk(record))

    def trace(self, trace: Trace) -> Trace:
        """The trace with every secret overwritten by as many asterisks, also one that came in several reads."""
        if not self._spellings:
            return trace
        return replace(
            trace,
            detail=self.text(trace.detail),
            headers=tuple((self.text(name), self.text(value)) for name, value in trace.headers),
            reads=self._reads(trace.reads),
            body=self._reads(trace.body),
        )

    def _without(self, text: str, instead: Callable[[str], str]) -> str:
        for spelt, head in zip(self._spellings, self._heads, strict=True):
            parts, done = [], 0
            while (match := head.search(text, done)) is not None:
                end = _end_of(spelt, text, match.end())
                parts += [text[done : match.start()], instead(text[match.start() : end])]
                done = end
            text = "".join([*parts, text[done:]])
        return text

    def _walk(self, value: object) -> object:
        match value:
            case Enum():
                return value
            case str():
                return self.text(value)
            case tuple():
                return tuple(self._walk(part) for part in value)
            case dict():
                return {key: self._walk(part) for key, part in value.items()}
        if is_dataclass(value) and not isinstance(value, type):
            return replace(value, **{part.name: self._walk(getattr(value, part.name)) for part in fields(value)})
        return value

    def _reads(self, reads: tuple[Read, ...]) -> tuple[Read, ...]:
        # In Latin-1 each byte is one character, whatever it means.
        whole = b"".join(read.data for read in reads).decode("latin-1")
        masked = self._without(whole, lambda found: "*" * len(found))
        if masked == whole:
            return reads
        cut, place = [], 0
        for read in reads:
            cut.append(replace(read, data=masked[place : place + len(read.data)].encode("latin-1")))
            place += len(read.data)
        return tuple(cut)


def _parts(secret: str) -> Iterable[str]:
    """A secret header's value, what stands after its scheme, and of `Basic` the user and password in it."""
    scheme, _, bare = secret.rpartition(" ")
    yield from (secret, bare)
    if scheme.lower() == "basic":
        with suppress(ValueError):
            user = base64.b64decode(bare, validate=True).decode("ascii")
            yield from (user, user.partition(":")[2])


def _spellings(key: str) -> Iterable[str]:
    """A key as it is, in hexadecimal digits, and in both alphabets of base64."""
    raw = key.encode()
    yield from (key, raw.hex(), raw.hex().upper())
    for before in range(3):
        # Three bytes make four characters, so a key can begin at three places; characters that also hold bits of its
        # neighbours are left out.
        first, last = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
        spelt = base64.b64encode(bytes(before) + raw)[first:last].decode()
        yield from (spelt, spelt.replace("+", "-").replace("/", "_"))


def _end_of(spelt: str, text: str, place: int) -> int:
    """Where a secret ends whose beginning ends at this place: as far as the text goes on like it."""
    for character in spelt[_TELLING_PREFIX:]:
        match = _form(character).match(text, place)
        if match is None:
            break
        place = match.end()
    return place


@cache
def _form(character: str) -> re.Pattern[str]:
    return re.compile(_forms(character))


@cache
def _forms(character: str) -> str:
    """A pattern for every way in which JSON, URLs and HTML write a character, once or twice over."""
    if character.isalnum():
        return character
    number = ord(character)
    digits = "".join(f"[{digit}{digit.upper()}]" for digit in f"{number:02x}")
    # The character itself comes last: it may be what another form begins with.
    forms = [
        rf"&(?:amp;)*#(?:0*{number}|[xX]0*{digits});",
        *([f"&(?:amp;)*{_NAMED[character]};"] if character in _NAMED else []),
        rf"%(?:25)*{digits}",
        rf"\\+(?:u00|x){digits}",
        rf"\\*{re.escape(character)}",
        *([r"\+"] if character == " " else []),
    ]
    return f"(?:{'|'.join(forms)})"


_NAMED = {**{chr(number): name for number, name in codepoint2name.items() if number < 128}, "'": "apos"}
