"""Many processes in one container: a generated shell script that starts each and names its log lines.

One container for each configuration would cost some tenths of a second each; one process costs
almost nothing. The script does three things: start all programs at once, put the program's name
before each of its lines, and write `exited CODE` when it ends. The container's log therefore tells
everything.

Rule: POSIX sh and sed only, since every image has them. sed must be unbuffered (`-u`), or the last
words of a program that refused its configuration stay in a pipe.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

SEPARATOR = " | "
PIDS = "/tmp"  # noqa: S108  # inside the container
"""Where the script writes each program's process number, into `NAME.pid`."""
EXITED = re.compile(r"\[testbed\] exited (\d+)$")
"""The script's own line about a program that ended; its group is the exit code."""

_SCRIPT = """\
#!/bin/sh
# Each program in the background, each line of its log behind its name, its number in a file.
program() {{
    name=$1
    shift
    {{ sh -c 'echo $$ > "$0"; exec "$@"' "{pids}/$name.pid" "$@" 2>&1 </dev/null
        echo "[testbed] exited $?"; }} | sed -u "s/^/$name{separator}/" &
}}
{first}{programs}
wait
"""


@dataclass(frozen=True)
class Program:
    """One process of a container.

    Attributes:
        slot: its name in the log: letters, digits and dashes only, for it goes through sh and sed.
        command: with its arguments.
    """

    slot: str
    command: tuple[str, ...]


def script(programs: Sequence[Program], first: Sequence[str] = ()) -> str:
    """The script that runs the programs. Pure.

    Args:
        programs: all of them are started at once.
        first: shell commands to be run before.
    """
    lines = [f"program {each.slot} {shlex.join(each.command)}" for each in programs]
    before = "".join(f"{command}\n" for command in first)
    return _SCRIPT.format(separator=SEPARATOR, pids=PIDS, first=before, programs="\n".join(lines))


def split(line: str) -> tuple[str, str]:
    """The slot and the text of one line of the container's log; no slot where the line has none. Pure."""
    slot, separator, text = line.partition(SEPARATOR)
    return (slot, text) if separator else ("", line)
