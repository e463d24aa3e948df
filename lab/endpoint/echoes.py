"""Finds what a text repeats of a secret, in the spellings in which a server, a gateway or an error page may echo it.

Strategy. Text and secret are compared bare: their letters and digits, in lower case, with the escapes of JSON, URLs and
HTML undone. So neither case, nor what separates characters, nor any of those escapes makes a difference. The secret is
looked for as it is, in base64 and in hexadecimal digits, and every piece of it counts that chance would not bring:

- eight letters and digits in a row, from where the secret becomes random. The words before that, such as `sk-proj`, are
  a vendor's public prefix and tell nothing; a beginning with four random characters does.
- twelve in a row of a secret that is all words, and only where nothing stands between them but spaces, dashes and the
  like, or what stands there in the secret: words come together by chance, in the structure of JSON as well.
- pieces of five and more that follow each other in the text as they do in the secret, and are eight together.
- of a short secret the whole.

Nobody finds a secret that was spelt in a way of somebody's own.
"""

from __future__ import annotations

import base64
import re
import sys
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import unescape
from itertools import accumulate, compress

Span = tuple[int, int]
"""Where something begins in a text and where it ends."""

_TELLING, _TELLING_WORDS = 8, 12
"""Letters and digits in a row, of a random part and of words, that chance does not bring."""

_PREFIXED, _BEYOND_PREFIX = 12, 4
"""Characters of a beginning, and how many of them must be random."""

_REACH, _AGAIN = 300, 5
"""Letters and digits between two pieces that follow each other, at most, and those by which the next is known."""

_GRAM, _SURELY_SEEN = 4, 7
"""Letters and digits that are looked up at once, and how many in a row make sure that four are."""

_MOST_CHAINS, _MOST_SEEN = 10_000, 1000
"""Who repeats more short pieces than so many in one text means to cost time; and what is remembered at once."""

_SEGMENT = re.compile(r"[a-zA-Z0-9]+")
_WORD = re.compile(r"(?:[a-z]+|[A-Z]+|[A-Z][a-z]+|(?:[A-Z][a-z]{2,}|[a-z]+)(?:[A-Z][a-z]{2,})+)[0-9]{0,3}|[0-9]+")
"""What people write: one word or several in camel case, with a small number behind it; or a number."""

_AMONG_WORDS = frozenset(" -_.:/+=@")
"""What people put between words; who uses other signs has made a password of it."""

_LIGHT = frozenset(" \t\r\n\f\v-_.+")
"""What may be put between the characters of a secret and still belongs to it, as may anything beyond ASCII."""

_DIGITS_AND_LETTERS = bytes(number for number in range(128) if chr(number).isalnum())
_LOWER = bytes(range(256)).lower()
_OTHERS = bytes(number for number in range(256) if number not in _DIGITS_AND_LETTERS)
_IS_BARE = bytes(number in _DIGITS_AND_LETTERS for number in range(256))

_ESCAPE = re.compile(
    r"&(?:amp;)*(?:#(?P<decimal>[0-9]{1,7})|#[xX](?P<html>[0-9a-fA-F]{1,6})|(?P<name>[a-zA-Z]{2,8}));"
    r"|%(?:25)*(?P<url>[0-9a-fA-F]{2})"
    r"|(?<!\\)\\++(?:u(?P<json>[0-9a-fA-F]{4})|x(?P<hex>[0-9a-fA-F]{2})|(?P<control>[nrtbfv])|(?P<itself>[^a-zA-Z0-9\\]))"
)
_SLASHES = re.compile(r"\\+")
_BEGINS_ESCAPE = frozenset("&%\\")
_ESCAPED = re.compile(_ESCAPE.pattern.encode())
_LONGEST_ESCAPE = 16
_CONTROLS = dict(zip("nrtbfv", "\n\r\t\b\f\v", strict=True))


@dataclass(frozen=True)
class Spelling:
    """One way to write a secret.

    Args:
        text: the secret, so written.
        telling: how many letters and digits in a row make a piece of it; a shorter secret must be whole.
        prefix: how many characters at the beginning are public, and do not count.
        words: whether it is all words, so that pieces with other things between them tell nothing.
    """

    text: str
    telling: int
    prefix: int = 0
    words: bool = False

    @cached_property
    def bare(self) -> bytes:
        """Its letters and digits, in lower case."""
        return self.text.encode().translate(_LOWER, _OTHERS)

    @property
    def short(self) -> bool:
        """Whether only the whole of it, just as it is, is more than ordinary text."""
        return len(self.bare) < _TELLING

    @cached_property
    def places(self) -> list[int]:
        """Where in the text each of them stands."""
        return [place for place, character in enumerate(self.text) if character.isascii() and character.isalnum()]

    @cached_property
    def _weights(self) -> list[int]:
        """How many of the first letters and digits count."""
        return [0, *accumulate(place >= self.prefix for place in self.places)]

    def weight(self, first: int, last: int) -> int:
        """How many letters and digits between these places count."""
        return self._weights[last] - self._weights[first]

    def tells(self, first: int, last: int) -> bool:
        """Whether that piece is one that chance would not bring."""
        if last - first == len(self.bare) or self.weight(first, last) >= self.telling:
            return True
        long = self.places[last - 1] - self.places[first] >= _PREFIXED - 1 and last - first >= _TELLING
        return not self.words and long and self.weight(first, last) >= _BEYOND_PREFIX

    @cached_property
    def _lower(self) -> str:
        return self.text.lower()

    def quoted(self, first: int, last: int) -> str:
        """That piece as it stands in the secret, in lower case."""
        return self._lower[self.places[first] : self.places[last - 1] + 1]

    def between(self, place: int) -> str:
        """What stands in the secret before that letter or digit."""
        return self.text[self.places[place - 1] + 1 if place else 0 : self.places[place]]


def spellings_of(key: str) -> Iterator[Spelling]:
    """A key as it is, with its own escapes undone, in base64 at each of three places, and in hexadecimal digits."""
    words = random_from(key) is None
    telling = _TELLING_WORDS if words else _TELLING
    for text in dict.fromkeys((key, _plain(key))):
        yield Spelling(text, telling, random_from(text) or 0, words)
    raw = key.encode()
    yield Spelling(raw.hex(), 2 * telling)
    for before in range(3):
        # Three bytes make four characters, so a key can begin at three places; characters that also hold bits of its
        # neighbours are left out.
        first, last = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
        yield Spelling(base64.b64encode(bytes(before) + raw)[first:last].decode(), telling * 4 // 3 + 1)


def random_from(key: str) -> int | None:
    """Where a key becomes random, behind its vendor's prefix; None where it is all words."""
    odd = [match for match in _SEGMENT.finditer(key) if not _WORD.fullmatch(match[0])]
    if sum(len(match[0]) for match in odd) >= _TELLING:
        return odd[0].start()
    return None if _AMONG_WORDS.issuperset(_SEGMENT.sub("", key)) else 0


class Bare:
    """A text, bare.

    Args:
        text: the text; characters beyond Latin-1 only separate.
    """

    def __init__(self, text: str | bytes) -> None:
        raw = text.encode("latin-1", "replace") if isinstance(text, str) else text
        self._text, self._normal = text, _ESCAPED.sub(_undone, raw) if _has_escapes(raw) else raw
        self.bare = self._normal.translate(_LOWER, _OTHERS)

    @cached_property
    def places(self) -> Sequence[int]:
        """Where in the text each of the letters and digits stands."""
        return array("I", compress(range(len(self._normal)), self._normal.translate(_IS_BARE)))

    @cached_property
    def text(self) -> str:
        """The text itself, as long as it was."""
        return self._text if isinstance(self._text, str) else self._text.decode("latin-1")

    def end(self, place: int) -> int:
        """Where the letter or digit at that place ends, which may be an escape."""
        at = self.places[place]
        if self.text[at] not in _BEGINS_ESCAPE:
            return at + 1
        match = _ESCAPE.match(self.text, at)
        return match.end() if match else at + 1


@dataclass(frozen=True, slots=True)
class _Run:
    """Letters and digits of a text that are those of a secret: from where to where, and from which of the secret's."""

    start: int
    end: int
    first: int

    @property
    def last(self) -> int:
        """Behind which letter or digit of the secret it ends."""
        return self.first + self.end - self.start


class Echoes:
    """Finds pieces of some secrets in one pass over a text, however many and long they are.

    Args:
        spellings: of all secrets.
    """

    def __init__(self, spellings: Sequence[Spelling]) -> None:
        self._short = [spelling for spelling in spellings if len(spelling.bare) < _SURELY_SEEN]
        self._index: dict[int, list[tuple[Spelling, int]]] = {}
        for spelling in spellings:
            for place in range(len(spelling.bare) - _GRAM + 1):
                gram = int.from_bytes(spelling.bare[place : place + _GRAM], sys.byteorder)
                self._index.setdefault(gram, []).append((spelling, place))

    def spans(self, text: Bare) -> Iterator[Span]:
        """Where the text repeats a secret; parts of it that something else divides are spans apart."""
        chains = _MOST_CHAINS
        for spelling, run in self._runs(text.bare):
            if spelling.words or spelling.tells(run.first, run.last):
                yield from _spans(spelling, text, run)
            elif run.end - run.start >= _AGAIN and chains:
                chains -= 1
                for piece in _chain(spelling, text.bare, run):
                    yield from _spans(spelling, text, piece)
        for spelling in self._short:
            yield from _whole(spelling, text)

    def _runs(self, bare: bytes) -> Iterator[tuple[Spelling, _Run]]:
        """The longest stretch around each gram of the text that a secret has too, each once."""
        if len(bare) < _GRAM:
            return
        # Four bytes of the text are one number; a row of seven makes sure of one such.
        grams = memoryview(bare)[: len(bare) // _GRAM * _GRAM].cast("I")
        hits = bytes(map(self._index.__contains__, grams))
        # Where the stretches end that reach beyond their gram. On one diagonal they come in the order of the text.
        seen: dict[tuple[int, int], int] = {}
        hit = hits.find(1)
        while hit != -1:
            at = hit * _GRAM
            for spelling, place in self._index[grams[hit]]:
                diagonal = id(spelling), at - place
                if seen.get(diagonal, 0) <= at:
                    run = _extended(spelling.bare, bare, at, place, _GRAM)
                    yield spelling, run
                    if run.end > at + _GRAM:
                        seen[diagonal] = run.end
            if len(seen) > _MOST_SEEN:
                seen = {diagonal: end for diagonal, end in seen.items() if end > at}
            hit = hits.find(1, hit + 1)


def _whole(spelling: Spelling, text: Bare) -> Iterator[Span]:
    """A secret that is too short for any piece of it to tell; one without letters and digits as it is."""
    if not spelling.bare:
        yield from (match.span() for match in re.finditer(re.escape(spelling.text), text.text))
        return
    at = text.bare.find(spelling.bare)
    while at != -1:
        yield from _spans(spelling, text, _Run(at, at + len(spelling.bare), 0))
        at = text.bare.find(spelling.bare, at + 1)


def _extended(key: bytes, bare: bytes, start: int, first: int, size: int) -> _Run:
    end, last = start + size, first + size
    while start and first and bare[start - 1] == key[first - 1]:
        start, first = start - 1, first - 1
    while end < len(bare) and last < len(key) and bare[end] == key[last]:
        end, last = end + 1, last + 1
    return _Run(start, end, first)


def _chain(spelling: Spelling, bare: bytes, run: _Run) -> list[_Run]:
    """A run that alone tells nothing and those that go on with it, if all of them together tell; else none."""
    key, found = spelling.bare, [run]
    while len(begin := key[found[-1].last : found[-1].last + _AGAIN]) == _AGAIN:
        at = bare.find(begin, found[-1].end, found[-1].end + _REACH)
        if at == -1 or (after := _extended(key, bare, at, found[-1].last, _AGAIN)).first < found[-1].last:
            break
        found.append(after)
    while found[0].first >= _AGAIN:
        end = key[found[0].first - _AGAIN : found[0].first]
        at = bare.rfind(end, max(0, found[0].start - _REACH), found[0].start)
        if at == -1 or (before := _extended(key, bare, at, found[0].first - _AGAIN, _AGAIN)).last > found[0].first:
            break
        found.insert(0, before)
    weight = sum(spelling.weight(each.first, each.last) for each in found)
    return found if len(found) > 1 and weight >= spelling.telling else []


def _spans(spelling: Spelling, text: Bare, run: _Run) -> Iterator[Span]:
    """Where a run stands in the text itself, piece by piece; of words and short secrets each piece must tell."""
    alone = spelling.words or spelling.short
    for piece in _undivided(spelling, text, run):
        if not alone or spelling.tells(piece.first, piece.last):
            yield _with_edges(spelling, text, piece)


def _undivided(spelling: Spelling, text: Bare, run: _Run) -> Iterator[_Run]:
    """The parts of a run, which ends wherever something stands between that does not belong there."""
    if text.text[text.places[run.start] : text.places[run.end - 1] + 1].lower() == spelling.quoted(run.first, run.last):
        # As the secret itself has it: nothing between to look at.
        yield run
        return
    start = run.start
    for place in range(run.start + 1, run.end):
        gap = text.text[text.end(place - 1) : text.places[place]]
        if not _may_stand_between(gap, spelling.between(run.first + place - run.start), light=not spelling.short):
            yield _Run(start, place, run.first + start - run.start)
            start = place
    yield _Run(start, run.end, run.first + start - run.start)


def _may_stand_between(gap: str, own: str, *, light: bool) -> bool:
    """Whether a gap is the secret's own, in whatever escapes, or such as a page or a person puts in."""
    if gap == own:
        return True
    plain = _plain(gap)
    return (
        plain == own
        or _SLASHES.sub("\\\\", plain) == own
        or (light and all(each in _LIGHT or not each.isascii() for each in plain))
    )


def _with_edges(spelling: Spelling, text: Bare, piece: _Run) -> Span:
    """Where a piece stands, with what the secret begins and ends with beyond letters and digits, if that is there."""
    start, end = text.places[piece.start], text.end(piece.end - 1)
    head, tail = spelling.between(0), spelling.text[spelling.places[-1] + 1 :]
    if head and not piece.first:
        sizes = range(min(len(head) * _LONGEST_ESCAPE, start) + 1)
        start -= next((size for size in sizes if _plain(text.text[start - size : start]) == head), 0)
    if tail and piece.last == len(spelling.bare):
        sizes = range(len(tail) * _LONGEST_ESCAPE + 1)
        end += next((size for size in sizes if _plain(text.text[end : end + size]) == tail), 0)
    return start, end


def _has_escapes(raw: bytes) -> bool:
    return b"\\" in raw or b"%" in raw or b"&" in raw


def _undone(match: re.Match[bytes]) -> bytes:
    """A letter or digit in place of its escape, or nothing to speak of, and as long."""
    character = _character({name: value.decode("latin-1") for name, value in match.groupdict().items() if value})
    kept = character.encode() if character.isascii() and character.isalnum() else b"\0"
    return kept.ljust(len(match[0]), b"\0")


def _plain(text: str) -> str:
    """A text with its escapes undone, once or several times over."""
    return _ESCAPE.sub(lambda match: _character({n: v for n, v in match.groupdict().items() if v}), text)


def _character(escape: dict[str, str]) -> str:
    """What an escape stands for."""
    (kind, value), *_ = escape.items()
    match kind:
        case "name":
            return unescape(f"&{value};")
        case "control":
            return _CONTROLS[value]
        case "itself":
            return value
    number = int(value, 10 if kind == "decimal" else 16)
    return chr(number) if 0 < number < 0x110000 else "\0"
