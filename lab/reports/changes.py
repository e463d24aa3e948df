"""What a fix changes in a configuration: a unified difference, line by line."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from lab.results import CaseResult


class Kind(StrEnum):
    """What happened to a line; `PLACE` is the line that says where the next ones stand."""

    ADDED = "added"
    REMOVED = "removed"
    SAME = "same"
    PLACE = "place"


_KINDS = {"+": Kind.ADDED, "-": Kind.REMOVED, " ": Kind.SAME, "@": Kind.PLACE}


@dataclass(frozen=True)
class Line:
    """One line, with its sign in front."""

    kind: Kind
    text: str


@dataclass(frozen=True)
class Changes:
    """The difference from one configuration to another; no lines where they are equal."""

    before: str
    after: str
    lines: tuple[Line, ...]

    @property
    def added(self) -> int:
        """How many lines the fix adds."""
        return sum(line.kind is Kind.ADDED for line in self.lines)

    @property
    def removed(self) -> int:
        """How many lines the fix takes away."""
        return sum(line.kind is Kind.REMOVED for line in self.lines)


def changes(broken: CaseResult, fixed: CaseResult) -> Changes:
    """What has to be changed in the broken variant's configuration to have the fixed one."""
    return Changes(broken.config_name, fixed.config_name, tuple(lines_between(broken.config, fixed.config)))


def lines_between(before: str, after: str) -> Iterator[Line]:
    """The difference between two texts, line by line; nothing where they are equal."""
    unified = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="")
    for number, text in enumerate(unified):
        if number >= 2:  # the first two name the files, which the page says in words
            yield Line(_KINDS[text[0]], text)
