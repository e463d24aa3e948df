"""What the tests' Chromium does not learn of this machine."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

OPENS = """
import socket

socket.socket(socket.AF_INET).close()
try:
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)
except OSError as error:
    print(error.strerror)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="netlink is Linux's")
def test_what_is_started_so_has_no_netlink_socket() -> None:
    """And every other socket; where Chromium can have none, it hears of no change."""
    wrapper = Path(__file__).parent / "bin" / "chromium"
    environment = os.environ | {"TESTS_CHROMIUM": sys.executable, "TESTS_PYTHON": sys.executable}
    done = subprocess.run([wrapper, "-c", OPENS], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == f"{os.strerror(errno.EAFNOSUPPORT)}\n"
