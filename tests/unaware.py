"""Chromium as the tests start it, through `bin/chromium`: unaware of what becomes of this machine's network.

When an interface comes or goes, as one does with every container that another test starts, Chromium gives up what it
has not sent yet (ERR_NETWORK_CHANGED), on loopback too. It hears of that over a netlink socket. Where it can have none,
it takes the network for one that never changes.
"""

from __future__ import annotations

import errno
import os
import socket
import sys

import pyseccomp


def main() -> None:
    """Become the Chromium that `conftest` has found, with the arguments of this process."""
    rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    netlink = pyseccomp.Arg(0, pyseccomp.EQ, socket.AF_NETLINK)
    rules.add_rule(pyseccomp.ERRNO(errno.EAFNOSUPPORT), "socket", netlink)
    rules.load()
    chromium = os.environ["TESTS_CHROMIUM"]
    os.execv(chromium, [chromium, *sys.argv[1:]])  # noqa: S606  # the arguments are the tests' own


if __name__ == "__main__":
    main()
