"""What every command has in common: where it prints, how it is stopped, and how its errors end.

Errors that the lab raises on purpose end as one message and the exit code of their kind; anything else is a
fault of the lab and keeps its traceback.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console

from lab.errors import ExitCode, LabError

app = typer.Typer(
    name="lab",
    help="What nginx, HAProxy and Envoy do to a stream of tokens: every failure reproduced, every fix verified.",
    epilog="Exit codes: 0 all as required, 1 a requirement failed, 2 bad usage or a bad file, "
    "3 the environment (no engine, no image). Example: lab run silent-gap --proxy nginx",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    # A traceback with the values of variables would show a key.
    pretty_exceptions_show_locals=False,
)
out = Console()
err = Console(stderr=True)

RESULTS = Path("lab-results")
"""Where results and reports go if no folder is given."""


def say(line: str) -> None:
    """Print one line of progress."""
    # Never folded, so that a path in it can be copied.
    err.print(line, soft_wrap=True, highlight=False, markup=False)


@contextmanager
def stopping() -> Iterator[None]:
    """A command that is stopped ends as the shell expects it, after everything was tidied up."""
    try:
        yield
    except KeyboardInterrupt:
        say("lab: stopped")
        raise typer.Exit(128 + signal.SIGINT) from None


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code (see `lab.errors.ExitCode`)."""
    stop = _Stop()
    signal.signal(signal.SIGTERM, stop.by_kill)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A script starts what it puts into the background deaf to Ctrl-C, and kill goes the same way.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        app(None if argv is None else list(argv))
    except SystemExit as end:
        return stop.exit_code(end.code if isinstance(end.code, int) else ExitCode.BAD_INPUT)
    except LabError as error:
        say(f"lab: {error.problem}")
        if error.remedy:
            say(f"     {error.remedy}")
        return error.exit_code
    return ExitCode.AS_REQUIRED


class _Stop:
    """`kill` tidies up like Ctrl-C does, and only the exit code tells which of the two it was."""

    def __init__(self) -> None:
        self._killed = False

    def by_kill(self, *_: object) -> None:
        """The handler: hands on to Ctrl-C's own, which cancels whatever the event loop is at.

        An exception from here would not do: it may come up in any task and end that one only.
        """
        self._killed = True
        signal.raise_signal(signal.SIGINT)

    def exit_code(self, code: int) -> int:
        """The code that the shell expects of a command that ended with `code`."""
        return 128 + signal.SIGTERM if self._killed else code
