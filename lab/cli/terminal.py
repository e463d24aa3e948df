"""The two standard streams while a command runs: what goes out there is harmless, and its loss breaks nothing off.

Whatever is written, by whomever, comes out printable (see `lab.printable`): the lab's own lines, a library's message,
a traceback. Only what Rich itself adds, colours and the moves of a progress bar, goes out as it is; that is why a
`Terminal` writes below the place where all others do, and makes the words printable before it styles them.

A stream may stop taking anything: its reader has gone (`lab list | head -1`), its disk is full, its terminal was
closed. The command goes on, saves what it has to save and removes what it has started; `Outlet.fault` tells its caller.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TextIO, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from lab.printable import printable, printable_text


class Terminal(Console):
    """A console that shows the words it is given and never obeys them."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """See Rich; what everything printed comes through, the parts of a table too."""
        for text, style, control in super().render(renderable, options):
            if control:
                yield Segment(text, style, control)
                continue
            if style is not None and style.link is not None:
                style = style.update_link(printable(style.link))
            yield Segment(printable_text(text), style)


def print_line(console: Console, line: str, style: str | None = None) -> None:
    """Print one line, and never two; it is not folded, so that a path or a command in it can be copied."""
    console.print(printable(line), style=style, soft_wrap=True, highlight=False, markup=False)


def here(text: str) -> str:
    """The same, with paths below the working directory as one would write them there."""
    return text.replace(f"{Path.cwd()}/", "")


class Outlet:
    """One of the two standard streams, as a `Terminal` writes to it.

    Args:
        name: `stdout` or `stderr`.
    """

    def __init__(self, name: str) -> None:
        self.fault: OSError | None = None
        """What ended the stream while it was in use; None if nothing has."""
        self._name = name
        self._taken: TextIO | None = None

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Stand in the stream's place in `sys`; what others write there comes out printable."""
        before = cast("TextIO | None", getattr(sys, self._name))
        # A process may be started without a stream; the next file that is opened must not be taken for it.
        with contextlib.nullcontext(before) if before else Path(os.devnull).open("w") as stream, _never_strict(stream):
            self._taken, self.fault = stream, None
            setattr(sys, self._name, _Plain(self))
            try:
                yield
                self.flush()
            finally:
                setattr(sys, self._name, before)
                self._taken = None

    def write(self, text: str) -> int:
        """Never fails; see `fault`."""
        self._try(lambda stream: stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Never fails; see `fault`."""
        self._try(lambda stream: stream.flush())

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    @property
    def _stream(self) -> TextIO:
        return cast("TextIO", getattr(sys, self._name)) if self._taken is None else self._taken

    def _try(self, what: Callable[[TextIO], object]) -> None:
        if self.fault is not None:
            return
        stream = self._stream
        try:
            what(stream)
        except OSError as error:
            self.fault = error
            _let_go(stream)


class _Plain:
    """What everybody but a `Terminal` finds in `sys`."""

    def __init__(self, below: Outlet) -> None:
        self._below = below

    def write(self, text: str) -> int:
        self._below.write(printable_text(text))
        return len(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._below, name)


@contextlib.contextmanager
def _never_strict(stream: TextIO) -> Iterator[None]:
    """A character that the terminal's encoding lacks is written as its number."""
    if not isinstance(stream, io.TextIOWrapper):
        yield
        return
    before = stream.errors
    stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        # It writes out what is left, which may be what ended the stream.
        with contextlib.suppress(OSError):
            stream.reconfigure(errors=before)


def _let_go(stream: TextIO) -> None:
    """What is still in its buffer goes nowhere; else the interpreter would fail with it once more at its end."""
    # A stream without a file, as tests have, keeps nothing back.
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
