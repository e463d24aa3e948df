"""Changes of a user's own files: several to one text at once, and written so that nothing is lost."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import count
from pathlib import Path

from lab.errors import BadInput
from lab.files import write_whole


def together(before: str, changed: Sequence[str]) -> str:
    """One text with what each of several versions has otherwise than it.

    Raises:
        BadInput: two of them have the same lines otherwise, and not alike.
    """
    lines = before.splitlines(keepends=True)
    changes: set[tuple[int, int, tuple[str, ...]]] = set()
    for text in changed:
        other = text.splitlines(keepends=True)
        for tag, start, end, since, until in SequenceMatcher(None, lines, other, autojunk=False).get_opcodes():
            if tag != "equal":
                changes.add((start, end, tuple(other[since:until])))
    reached = len(lines)
    for start, end, new in sorted(changes, reverse=True):
        if end > reached:
            raise BadInput("Two places on one line have to change.", "Write them on lines of their own, and try again.")
        lines[start:end], reached = new, start
    return "".join(lines)


def line_ends(text: str) -> str:
    """How the lines of a text end: as on Windows where all of them do."""
    return "\r\n" if text.count("\r\n") == text.count("\n") > 0 else "\n"


def replace_file(path: Path, text: str) -> Path:
    """Write a user's file at once or not at all, with the rights that it had; returns where it stays as it was.

    The copy's name is one that no file has. It begins with a dot, since `include sites-enabled/*` takes all others.

    Args:
        path: the file; where it is a link, what it leads to is written.
        text: what it is to be.

    Raises:
        BadInput: it cannot be written; names it, and it is as it was.
    """
    real = Path(os.path.realpath(path))
    try:
        backup = _unused(real)
        shutil.copy2(real, backup)
        # Nobody may read meanwhile what only some may.
        mask = os.umask(0o077)
        try:
            write_whole(real, text.encode("utf-8", "surrogateescape"))
        finally:
            os.umask(mask)
        was = backup.stat()
        with contextlib.suppress(PermissionError):
            os.chown(real, was.st_uid, was.st_gid)
        shutil.copymode(backup, real)
    except OSError as error:
        raise BadInput(
            f"{real}: {error.strerror or error}", "Nothing was changed; apply the difference yourself."
        ) from error
    return backup


def _unused(path: Path) -> Path:
    """An empty file beside another, of a name that was free."""
    for number in count(1):
        backup = path.with_name(f".{path.name}.before-fix{f'-{number}' if number > 1 else ''}")
        with contextlib.suppress(FileExistsError):
            backup.touch(mode=0o600, exist_ok=False)
            return backup
    raise AssertionError
