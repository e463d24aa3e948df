"""nginx: 1.26 asks its upstream with HTTP/1.0 by default, 1.30 with HTTP/1.1; both are worth a look.

Each process needs a pid file of its own; it is named after the folder and file of its configuration.
A configuration that sets `pid` or `daemon` itself is refused by nginx as a duplicate.
"""

from __future__ import annotations

import re

from lab.products._product import Product


def _pid_file(path: str) -> str:
    """A pid file that no other configuration of the same container uses."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", path).strip("-")
    return f"/tmp/nginx-{name}.pid"  # noqa: S108  # inside a container


def _serve(path: str) -> list[str]:
    # -e: what happens before the configuration is read goes to the log of the container as well.
    return ["nginx", "-c", path, "-e", "stderr", "-g", f"daemon off; pid {_pid_file(path)};"]


def _check(path: str) -> list[str]:
    return ["nginx", "-t", "-q", "-c", path, "-e", "stderr", "-g", f"pid {_pid_file(path)};"]


PRODUCT = Product(
    name="nginx",
    suffix=".conf",
    releases=("1.26", "1.30"),
    command=_serve,
    check_command=_check,
    version_command=("nginx", "-v"),
    version_pattern=r"nginx/(\d+\.\d+\.\d+)",
    snippets="/etc/nginx/snippets",
    # Its workers serve as the user that `user` names, and what they write to is made theirs.
    capabilities=("CHOWN", "SETGID", "SETUID"),
    writable=("/var/lib/nginx", "/var/log/nginx"),
    # As in the official image: what has no log of its own speaks to the container's.
    prepare=("ln -s /dev/stdout /var/log/nginx/access.log", "ln -s /dev/stderr /var/log/nginx/error.log"),
)
