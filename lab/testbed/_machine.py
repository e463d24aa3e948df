"""What the lab may do to this machine: install packages where it is Debian's family and it is root.

`LAB_INSTALL_ENGINE=0` forbids every installation. Waits are scaled by `LAB_PATIENCE` (default 1).
"""

from __future__ import annotations

import os
import platform

from lab.errors import BadInput


def is_debian_family() -> bool:
    """Whether this is Debian, Ubuntu, or something that calls itself like one of them."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return False
    return bool({"debian", "ubuntu"} & {release["ID"], *release.get("ID_LIKE", "").split()})


def is_root() -> bool:
    """Whether this process may install packages."""
    return os.geteuid() == 0


def may_install() -> bool:
    """Whether the user allows the lab to install packages."""
    return os.environ.get("LAB_INSTALL_ENGINE", "1") != "0"


def patience(seconds: float) -> float:
    """A time limit in seconds, stretched by `LAB_PATIENCE` for slow machines.

    Raises:
        BadInput: `LAB_PATIENCE` is no number above 0.
    """
    value = os.environ.get("LAB_PATIENCE", "1")
    try:
        factor = float(value)
    except ValueError:
        factor = 0.0
    if not factor > 0:
        raise BadInput(f"LAB_PATIENCE is {value!r}.", "Give a factor above 0, such as 2.")
    return seconds * factor
