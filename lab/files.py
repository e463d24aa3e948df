"""Files of the user's: written whole or not at all, read only where reading ends.

A folder may come from somebody else. What lies in it may be a pipe that nobody writes to, a device without an end, or
a link to a file that is nobody's business; none of them may stop the lab or get into a report.
"""

from __future__ import annotations

import errno
import io
import os
import secrets
import stat
from pathlib import Path

from lab.errors import BadInput

LONGEST_TEXT = 4 * 2**20
"""Bytes of a text that a person writes: a scenario's table, its story, a configuration."""

LONGEST_RESULT = 64 * 2**20
"""Bytes of what a command saved; a run of all scenarios has 2 MiB, the longest audit some 25."""


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file so that nobody ever reads half of it, nor a mixture of what two writers wrote at once.

    Args:
        path: the file; a link of that name is replaced, and what it leads to stays as it is.
        content: text is written in UTF-8. Half a surrogate pair becomes a question mark: it must not cost a report.

    Raises:
        OSError: it cannot be written; names it. What stood there before still does, and nothing is left beside it.
    """
    data = content.encode("utf-8", "replace") if isinstance(content, str) else content
    part = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
    try:
        # A name of its own that must be new: no other writer has it, and no link can wait there.
        with part.open("xb") as file:
            file.write(data)
            file.flush()
            # A full disk may only be told now, and must be told before the old file is gone.
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(path)
        raise


def read_whole(path: Path, limit: int, *, handed_over: bool = False) -> bytes:
    """The content of a file; never waits for one that has none.

    Args:
        path: the file.
        limit: how many bytes it may have.
        handed_over: whether it may be a pipe that this process was started with, as in `--key-file <(pass show key)`.

    Raises:
        OSError: it cannot be read, is no regular file, or is longer; `strerror` says which.
    """
    with open(path, "rb", opener=_without_waiting) as file:
        regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        if not regular and not (handed_over and str(path).startswith(_HANDED_OVER)):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        os.set_blocking(file.fileno(), True)
        raw = file.read(limit + 1)
    if len(raw) > limit:
        raise OSError(errno.EFBIG, f"longer than {limit:,} bytes", str(path))
    return raw


_HANDED_OVER = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def read_words(path: Path) -> str:
    """A text that a person wrote, in UTF-8, whichever line ends it has.

    Raises:
        OSError: as `read_whole`.
        UnicodeDecodeError: it is not UTF-8.
    """
    return io.StringIO(read_whole(path, LONGEST_TEXT).decode("utf-8"), newline=None).read()


def stay_inside(path: Path, folder: Path) -> None:
    """Refuse a path that leads out of a folder, by a link or by dots.

    Raises:
        BadInput: names the path and where it leads.
    """
    # Not `resolve`, which fails in its own ways on a link that leads to itself.
    real, own = Path(os.path.realpath(path)), Path(os.path.realpath(folder))
    if not real.is_relative_to(own):
        raise BadInput(
            f"{path} leads to {real}, outside of {folder}", "Put a copy of the file in its place, if it is yours."
        )


def read_exactly(path: Path) -> str:
    """A text of the user's that is to be changed: its line ends stay, and bytes that are no UTF-8 become surrogates.

    Raises:
        OSError: it cannot be read.
    """
    return path.read_bytes().decode("utf-8", "surrogateescape")
