"""A user's own nginx files with settings put in, and nothing else otherwise: their line ends and other bytes stay."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.files import read_exactly
from lab.products.nginx.tree import Statement


def edit(location: Statement, settings: Sequence[str]) -> Mapping[Path, str]:
    """The files that have to change for settings to hold in a location, with their new text.

    A setting that stands there is replaced where it stands, which may be a file that the location includes: nginx takes
    none twice.
    """
    files: dict[Path, list[str]] = {}

    def lines_of(file: Path) -> list[str]:
        return files.setdefault(file, _lines(file))

    added: list[str] = []
    for setting in settings:
        own = next(iter(location.own(setting.split()[0])), None)
        if own is None:
            added.append(setting)
        else:
            _put_in_place(lines_of(own.file), own, setting)
    if added:
        _put_in(lines_of(location.file), location, added)
    return {file: "".join(lines) for file, lines in files.items()}


def leave_out(own: Statement) -> Mapping[Path, str]:
    """The file that has to change for a directive without a block to go, with its new text."""
    lines = _lines(own.file)
    _put_in_place(lines, own, "")
    if not lines[own.line - 1].strip():
        lines[own.line - 1] = ""
    return {own.file: "".join(lines)}


def _lines(file: Path) -> list[str]:
    return re.split(r"(?<=\n)", read_exactly(file))


def _put_in(lines: list[str], location: Statement, added: Sequence[str]) -> None:
    """Write settings behind the brace that opens a location."""
    opening = next(number for number in range(location.line - 1, len(lines)) if "{" in lines[number])
    words = location.args[-1] if location.args else location.name
    start = lines[opening].find(words) + len(words) if words in lines[opening] else 0
    lines[opening] = _with(lines[opening], added, _indent(lines, opening), start)


def _indent(lines: Sequence[str], opening: int) -> str:
    """The white space before the first line inside of a block, or what is usual."""
    following = lines[opening + 1] if opening + 1 < len(lines) else ""
    inside = following[: len(following) - len(following.lstrip())]
    outside = lines[opening][: len(lines[opening]) - len(lines[opening].lstrip())]
    return inside if len(inside) > len(outside) else f"{outside}    "


def _with(line: str, added: Sequence[str], indent: str, start: int) -> str:
    """The line that opens a block, from that column on, with lines behind its brace."""
    before, brace, after = line[start:].partition("{")
    before = line[:start] + before
    if not after.strip() or after.strip().startswith("#"):
        end = "\r\n" if line.endswith("\r\n") else "\n"
        return line + "".join(f"{indent}{each}{end}" for each in added)
    return f"{before}{brace} {' '.join(added)}{after}" if added else line


def _put_in_place(lines: list[str], own: Statement, setting: str) -> None:
    """Write a setting where another of its name stands, which may go over several lines."""
    first = own.line - 1
    # Its name as a word of its own, and in front of any comment.
    found = re.search(rf"(?<![\w$#-]){own.name}(?![\w-])", lines[first])
    start = found.start() if found else 0
    last = next(
        number for number in range(first, len(lines)) if ";" in lines[number][start if number == first else 0 :]
    )
    rest = lines[last][start if last == first else 0 :].partition(";")[2]
    lines[first] = lines[first][:start] + setting + rest
    lines[first + 1 : last + 1] = [""] * (last - first)
