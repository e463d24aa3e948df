"""nginx's configuration files as a tree of directives, each with its file and line; crossplane writes it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import crossplane

from lab.products.adapted import Replacement, Spot

_TABLES = frozenset({"map", "geo", "types", "split_clients", "charset_map"})
"""Blocks that hold no directives but what is looked up, and `include`."""

_QUOTED = re.compile(r"'([^' ]*\$\{(?:PORT|MODEL|CERTIFICATE)\}[^' ]*)'")


@dataclass
class Statement:
    """One directive, with what its braces hold.

    Args:
        name: its first word.
        args: the others, without quotes.
        file: where it stands.
        line: from 1; 0 for one that the lab put in.
        block: what its braces hold; None where it has none.
    """

    name: str
    args: list[str]
    file: Path
    line: int = 0
    block: list[Statement] | None = None
    parent: Statement | None = field(default=None, repr=False)

    @property
    def text(self) -> str:
        """Its own line, without what its braces hold."""
        words = _bare(crossplane.build([{"directive": self.name, "args": self.args, "line": 1}])).strip()
        return words if self.block is None else f"{words.removesuffix(';')} {{"

    @property
    def spot(self) -> Spot:
        """Where it stands."""
        return Spot(self.file, self.line, self.text)

    @property
    def is_data(self) -> bool:
        """Whether it is what a `map` or its like looks up, and no directive, though it may be called as one is."""
        return self.parent is not None and self.parent.name in _TABLES

    def refusal(self) -> str:
        """Why nginx refuses it, in its own words, with file and line; empty where nothing is known against it.

        What newer versions than crossplane knows of take, such as `keepalive 32 local`, counts as too many words.
        """
        written = {"directive": self.name, "args": self.args, "line": self.line}
        try:
            crossplane.analyzer.analyze(str(self.file), written, ";" if self.block is None else "{", check_ctx=False)
        except crossplane.errors.NgxParserDirectiveError as error:
            return f"{self.file}:{self.line}: {error.strerror}"
        return ""

    def below(self, *names: str) -> Iterator[Statement]:
        """The directives of these names in its braces, at any depth; all if none is given."""
        for each in self.block or ():
            if not names or (each.name in names and not each.is_data):
                yield each
            yield from each.below(*names)

    def own(self, *names: str) -> list[Statement]:
        """Those of these names that stand in its braces themselves."""
        return [each for each in self.block or () if each.name in names]

    def upward(self) -> Iterator[Statement]:
        """It, what it stands in, and so on."""
        here: Statement | None = self
        while here is not None:
            yield here
            here = here.parent

    def add(self, name: str, *args: str) -> Statement:
        """Put another one at its end."""
        added = Statement(name, list(args), self.file, parent=self)
        self.block = [*(self.block or []), added]
        return added

    def out(self) -> None:
        """Take it out of what it stands in."""
        if self.parent is not None and self.parent.block is not None:
            self.parent.block = [each for each in self.parent.block if each is not self]


@dataclass
class Tree:
    """A whole configuration.

    Args:
        top: holds the directives of the main context.
        replaced: what of the files is not in it as it stands there: names of a template, the lab's own snippets.
        partial: whether something of it is in no file that is here.
    """

    top: Statement
    replaced: tuple[Replacement, ...]
    partial: bool = False

    def write(self) -> str:
        """As nginx reads it, with the lab's own names bare."""
        return _bare(crossplane.build([_payload(each) for each in self.top.block or ()])) + "\n"

    def spots(self) -> Iterator[Spot | None]:
        """What each line of `write` came from; None of what the lab put in."""
        for each in self.top.block or ():
            yield from _spots(each)


def _spots(each: Statement) -> Iterator[Spot | None]:
    spot = each.spot if each.line else None
    own = str(crossplane.build([{"directive": each.name, "args": each.args, "line": 1}]))
    yield from [spot] * (own.count("\n") + 1)
    if each.block is not None:
        for inner in each.block:
            yield from _spots(inner)
        yield spot


def _bare(text: str) -> str:
    """A text of crossplane's, without its quotes around the lab's own names."""
    return _QUOTED.sub(r"\1", text)


def same_module(name: str, other: str) -> bool:
    """Whether a directive is of the same third-party module as another, by its name: one start then tells of all.

    The stock modules have names such as `proxy` and `ssl` in common, and a version that lacks one has the others.
    """
    family = _family(other)
    return family not in _STOCK and _family(name) == family


def why_unknown(name: str) -> str:
    """Why a directive is left out that the nginx that runs does not know; with the one that may have been meant."""
    alike = difflib.get_close_matches(name, crossplane.analyzer.DIRECTIVES, 1, 0.9)
    hint = f"; nginx itself would not start: is {alike[0]} meant?" if alike and alike[0] != name else ""
    return f"this nginx does not know it{hint}"


def _family(name: str) -> str:
    words = name.split("_")
    return "lua" if "lua" in words else words[0]


_STOCK = frozenset(_family(name) for name in crossplane.analyzer.DIRECTIVES)


def _payload(each: Statement) -> dict[str, Any]:
    block = {} if each.block is None else {"block": [_payload(inner) for inner in each.block]}
    return {"directive": each.name, "args": each.args, "line": max(each.line, 1), **block}
