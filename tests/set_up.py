"""Brings what the tests need beside the Python environment: programs, the container engine, the images.

    python tests/set_up.py

`make test` runs it before the tests, so that none of them has to be skipped. What is there is used. What is missing is
installed on Debian and its relatives, as root and unless `LAB_INSTALL_ENGINE=0`; elsewhere the message says what to
install, and the exit code is 3. `LAB_BROWSER=0` does without the browser, and leaves out the tests that need it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from markers import without_browser

from lab.clients.environments import BROWSER, NPM, SystemProgram
from lab.errors import EnvironmentFault, ExitCode, LabError
from lab.testbed import _commands, _machine, images
from lab.testbed.engine import ensure_engine

CURL = SystemProgram(("curl",), ("curl",))
SERVERS = (
    SystemProgram(("nginx", "/usr/sbin/nginx"), ("nginx",)),
    SystemProgram(("haproxy", "/usr/sbin/haproxy"), ("haproxy",)),
)
"""Of whatever version: the tests of local processes run what the machine has."""


def say(line: str) -> None:
    """One line of progress."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def needed() -> list[SystemProgram]:
    """The programs that no package index of Python's has."""
    environments = [NPM] if without_browser() else [NPM, BROWSER]
    return [CURL, *SERVERS, *(one.program for one in environments if one.program is not None)]


def bring(programs: Sequence[SystemProgram]) -> None:
    """Install those that are missing.

    Raises:
        EnvironmentFault: they may not be installed here, or cannot be; says what to install by hand.
    """
    missing = [one for one in programs if one.find() is None]
    if not missing:
        return
    packages = [package for one in missing for package in one.packages]
    names = " and ".join(one.names[0] for one in missing)
    if not (_machine.is_debian_family() and _machine.is_root() and _machine.may_install()):
        raise EnvironmentFault(
            f"The tests need {names}, which this machine does not have.",
            f"Install it: apt-get install {' '.join(packages)}, or what your system calls it. "
            "LAB_BROWSER=0 leaves out the tests that need a browser.",
        )
    say(f"Installing {' '.join(packages)} with apt-get.")
    _commands.apt_install(packages, f"installing {names}")
    if unfound := [one.names[0] for one in missing if one.find() is None]:
        raise EnvironmentFault(f"{' and '.join(unfound)}: installed, and yet not on the PATH.", "Look at the PATH.")


def main() -> int:
    """Bring everything; the exit code is the lab's own for an environment that lacks something."""
    try:
        bring(needed())
        ensure_engine(say).close()
        images.ensure(images.TABLE, say)
    except LabError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return ExitCode.AS_REQUIRED


if __name__ == "__main__":
    sys.exit(main())
