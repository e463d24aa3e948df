"""What every command has in common: where it prints, how it is stopped, and how its errors end.

Errors that the lab raises on purpose end as one message and the exit code of their kind; anything else is a
fault of the lab and keeps its traceback.
"""

from __future__ import annotations

import signal
import traceback
from collections.abc import Coroutine, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TextIO, TypeVar, cast

import typer
from typer.core import TyperGroup

from lab.cli.terminal import Outlet, Terminal, print_line
from lab.errors import ExitCode, LabError
from lab.open_files import allow_most
from lab.signals import STOP


class WholeSummaries(TyperGroup):
    """A list of commands that cuts no summary: what does not fit in a line goes on in the next."""

    # Both are of a Click that Typer keeps to itself.
    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write each command's name and the first sentence about it."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, command.get_short_help_str(_WHOLE)) for name, command in commands if command is not None]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


_WHOLE = 1000
"""More characters than any summary has."""

app = typer.Typer(
    name="lab",
    cls=WholeSummaries,
    help="What proxies such as nginx do to a stream of tokens: every failure reproduced, every fix verified.",
    epilog="Exit codes: 0 all as required, 1 a requirement failed, 2 bad usage or a bad file, "
    "3 the environment (no engine, no image). Example: lab run silent-gap --proxy nginx",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    # It would show the values of variables, a key among them.
    pretty_exceptions_enable=False,
)
_stdout, _stderr = Outlet("stdout"), Outlet("stderr")
out = Terminal(file=cast("TextIO", _stdout))
err = Terminal(file=cast("TextIO", _stderr))

RESULTS = Path("lab-results")
"""Where results and reports go if no folder is given."""

INTERRUPTED = 128 + signal.SIGINT
"""What a shell expects of a command that Ctrl-C ended."""

T = TypeVar("T")


def say(line: str) -> None:
    """Print one line of progress."""
    print_line(err, line)


def run_until_stopped(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end; one that is stopped has tidied up.

    Raises:
        KeyboardInterrupt: a signal stopped it.
    """
    return STOP.run(work, say)


def without_signals() -> AbstractContextManager[None]:
    """Signals wait for the end of the block: an import that is broken off fails in odd places, and says so at length.

    Raises:
        KeyboardInterrupt: at the end of the block, where a signal came.
    """
    return STOP.interruptible(yes=False)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code (see `lab.errors.ExitCode`). The process is to end with it."""
    STOP.listen()
    allow_most()
    with _stderr.in_use(), _stdout.in_use():
        code = _run(argv)
        number = STOP.over()
        if number is not None:
            code = 128 + number
        if code > 128:
            say("lab: stopped")
        _stdout.flush()
        # Whoever closes a pipe has read enough. Everything else has lost what it was to get.
        if _stdout.fault is not None and not isinstance(_stdout.fault, ConnectionError):
            _explain(f"standard output: {_stdout.fault.strerror}", "Free some space, or send the output elsewhere.")
            code = code or ExitCode.NO_ENVIRONMENT
    return code


def _run(argv: Sequence[str] | None) -> int:
    try:
        with STOP.interruptible():
            app(None if argv is None else list(argv))
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else ExitCode.BAD_INPUT
    except KeyboardInterrupt:
        return INTERRUPTED
    except LabError as error:
        _explain(error.problem, error.remedy)
        return error.exit_code
    except Exception:  # whatever it is, it says nothing about a requirement
        traceback.print_exc()
        return ExitCode.NO_ENVIRONMENT
    return ExitCode.AS_REQUIRED


def _explain(problem: str, remedy: str) -> None:
    """One message; only its first line stands at the margin, so that no words in it can pass for a message."""
    first, *further = [*problem.split("\n"), *remedy.splitlines()]
    say(f"lab: {first}")
    for line in further:
        say(f"     {line}")
