"""HAProxy's configuration files as sections of lines, each with its file and line. Pure but for the reading."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from lab.errors import BadInput
from lab.files import read_words
from lab.products.adapted import Spot

_TOKEN = re.compile(r"""(?:\\.|"(?:\\.|[^"\\])*"|'[^']*'|[^\s"'\\#])+|\#.*""")
"""A word as it is written, or a comment: section 2.2 of HAProxy's configuration manual."""

_SECTIONS = frozenset(
    {
        *("global", "defaults", "frontend", "backend", "listen", "userlist", "peers", "resolvers", "mailers", "cache"),
        *("program", "ring", "http-errors", "log-forward", "log-profile", "fcgi-app", "crt-store", "traces", "acme"),
    }
)

_OF_TWO_WORDS = frozenset({"timeout", "option", "compression", "stats"})

SET_TIMEOUT = "http-request set-timeout server"
"""A rule that goes before `timeout server`; it may stand there several times, each under a condition of its own."""


def _plain(token: str) -> str:
    return re.sub(r"""\\(.)|["']""", lambda found: found[1] or "", token)


def key_of(words: Sequence[str]) -> str:
    """What a line sets, whether it switches it on or off: one line of a section with this key replaces another."""
    rest = words[1:] if words and words[0] == "no" else words
    if " ".join(rest[:3]) == SET_TIMEOUT:
        return SET_TIMEOUT
    return " ".join(rest[: 2 if rest and rest[0] in _OF_TWO_WORDS else 1])


@dataclass(frozen=True)
class ConfigLine:
    """One line.

    Args:
        file: where it stands.
        number: from 1.
        text: the whole line.
    """

    file: Path
    number: int
    text: str

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """Its words as they are written, without a comment."""
        return tuple(each for each in _TOKEN.findall(self.text) if not each.startswith("#"))

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Its words, without quotes."""
        return tuple(_plain(each) for each in self.tokens)

    @property
    def is_open(self) -> bool:
        """Whether a quote is not closed."""
        return any(letter in _TOKEN.sub("", self.text) for letter in "\"'")

    @property
    def name(self) -> str:
        """Its first word; empty where it has none."""
        return self.word(0)

    def word(self, number: int) -> str:
        """One of its words, counted from 0; empty where it has fewer."""
        return self.words[number] if number < len(self.words) else ""

    @property
    def indent(self) -> str:
        """The white space that it begins with."""
        return self.text[: len(self.text) - len(self.text.lstrip())]

    @property
    def spot(self) -> Spot:
        """Where it stands."""
        return Spot(self.file, self.number, " ".join(self.tokens))


@dataclass
class Section:
    """One section.

    Args:
        head: its first line, as in `backend model`.
        lines: the others.
        defaults: the section that it inherits from.
    """

    head: ConfigLine
    lines: list[ConfigLine] = field(default_factory=list)
    defaults: Section | None = None

    @property
    def kind(self) -> str:
        """As in `backend`."""
        return self.head.name

    @property
    def name(self) -> str:
        """What it is called; empty where it has no name."""
        return self.head.word(1)

    @property
    def is_front(self) -> bool:
        """Whether clients ask it."""
        return self.kind in ("frontend", "listen")

    @property
    def is_back(self) -> bool:
        """Whether it asks servers."""
        return self.kind in ("backend", "listen")

    def own(self, *names: str) -> list[ConfigLine]:
        """Its lines that begin with one of these words."""
        return [each for each in self.lines if each.name in names]

    def all_of(self, key: str) -> list[ConfigLine]:
        """Its lines with a key."""
        return [each for each in self.lines if key_of(each.words) == key]

    def set_by(self, key: str) -> ConfigLine | None:
        """The line that sets something here, or in the defaults, or in theirs; of several the last, which counts."""
        section: Section | None = self
        while section is not None:
            if found := section.all_of(key):
                return found[-1]
            section = section.defaults
        return None

    def counting(self, key: str) -> list[ConfigLine]:
        """The lines that set something here: the last one, and of rules all."""
        last = self.set_by(key)
        return self.all_of(key) if key == SET_TIMEOUT else [last] if last is not None else []

    @property
    def speaks_http(self) -> bool:
        """Whether it reads HTTP; HAProxy's own default is not to."""
        mode = self.set_by("mode")
        return mode is not None and mode.words[1:] == ("http",)


def read_sections(path: Path) -> list[Section]:
    """Read a file, or `haproxy.cfg` of a folder, or else every `.cfg` of it in the order of their names.

    Raises:
        BadInput: it cannot be read, or has no section.
    """
    files = [path]
    if path.is_dir():
        main = path / "haproxy.cfg"
        files = [main] if main.exists() else sorted(path.glob("*.cfg"))
    found: list[Section] = []
    for file in files:
        _read(file.absolute(), found)
    if not any(each.is_front or each.is_back for each in found):
        raise BadInput(f"{path} has no frontend, listen or backend.", "Give a whole configuration of HAProxy's.")
    _inherit(found)
    return found


def _read(file: Path, found: list[Section]) -> None:
    for line in _lines(file):
        apart = not found or found[-1].head.file != file
        # What HAProxy asks of itself, as in `.if version_atleast(3.0)`, stands between sections too.
        if line.name in _SECTIONS or (apart and line.name.startswith(".")):
            found.append(Section(line))
        elif not apart:
            found[-1].lines.append(line)
        elif line.words:
            raise BadInput(f"{line.spot}: stands in no section.", "Give a configuration of HAProxy's.")


def _lines(file: Path) -> Iterator[ConfigLine]:
    try:
        text = read_words(file)
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror or error}", "Give a configuration that can be read.") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{file} is no text in UTF-8.", "Give a configuration of HAProxy's.") from error
    if "\0" in text:
        raise BadInput(f"{file} is no text: there are bytes in it that are 0.", "Give a configuration of HAProxy's.")
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
        found = ConfigLine(file, number, line)
        if found.is_open:
            raise BadInput(f"{file}:{number}: a quote is not closed: {line.strip()}", "Correct it: HAProxy refuses it.")
        yield found


def _inherit(sections: Sequence[Section]) -> None:
    last: Section | None = None
    named: dict[str, Section] = {}
    for each in sections:
        words = each.head.words
        base = named.get(words[words.index("from") + 1]) if "from" in words[:-1] else None
        if each.kind == "defaults":
            each.defaults = base
            named[each.name] = last = each
        elif each.is_front or each.is_back:
            each.defaults = base or last
