"""Tools of the machine (apt-get, debootstrap, pip) run in one way: silent, and loud when they fail.

Warning: output is kept in memory; nothing that streams or never ends may be run here.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

from lab.errors import EnvironmentFault

LAST_LINES = 12
"""How much of a failed tool's output an error carries."""


def last_lines(text: str, count: int = LAST_LINES) -> str:
    """The end of a log, indented so that it stands apart in a message."""
    kept = [line for line in text.splitlines() if line.strip()][-count:]
    return "\n".join(f"  {line}" for line in kept)


def run(
    command: Sequence[str],
    doing: str,
    remedy: str,
    environment: Mapping[str, str] | None = None,
    tool: str | None = None,
) -> str:
    """Run a tool to its end and return what it printed, both streams together.

    Args:
        command: the tool and its arguments.
        doing: what it is for, as in "installing the container engine".
        remedy: what the reader can do should it fail.
        environment: variables beside those of this process.
        tool: its name for the reader, where the first word of the command is another one.

    Raises:
        EnvironmentFault: the tool is missing or exited with an error; carries its last lines.
    """
    whole = {**os.environ, **(environment or {})}
    try:
        done = subprocess.run(  # noqa: S603  # the commands are the lab's own
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=whole, check=False
        )
    except FileNotFoundError as error:
        raise EnvironmentFault(f"{command[0]} is missing, needed for {doing}.", remedy) from error
    output = done.stdout.decode(errors="replace")
    if done.returncode != 0:
        full = "no space left on device" in output.lower()
        raise EnvironmentFault(
            f"{tool or command[0]} failed with exit code {done.returncode} while {doing}:\n{last_lines(output)}",
            "The disk is full: free some space." if full else remedy,
        )
    return output


APT = ("apt-get", "-o", "DPkg::Lock::Timeout=120", "-q")
"""apt-get that waits up to 120 s for another one that is running."""

_UNATTENDED = {"DEBIAN_FRONTEND": "noninteractive"}


def apt_install(packages: Sequence[str], doing: str) -> None:
    """Install packages of the machine's own distribution; needs root.

    Raises:
        EnvironmentFault: apt-get failed; carries its last lines.
    """
    remedy = f"Install by hand: apt-get install {' '.join(packages)}"
    refreshed = ""
    try:
        run([*APT, "update"], doing, remedy, _UNATTENDED)
    except EnvironmentFault as fault:
        # One dead source among many makes `update` fail although the packages may be had.
        refreshed = f"\nBefore that: {fault.problem}"
    try:
        install = [*APT, "install", "-y", "--no-install-recommends", *packages]
        run(install, doing, remedy, _UNATTENDED)
    except EnvironmentFault as fault:
        raise EnvironmentFault(fault.problem + refreshed, fault.remedy) from fault
