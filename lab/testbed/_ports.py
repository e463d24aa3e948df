"""Ports of this machine's loopback for one testbed, drawn so that no two labs draw the same.

Ports are given out in blocks, and a block belongs to the lab that has bound its first number as a UDP port: no TCP
server minds that, the kernel lets nobody else bind it, and it is free again when the process has ended, whichever way.
Within a block the order is random, and what somebody listens on is left out. Still, a port can be taken between choice
and start, by a program that is no lab; whoever starts something there has to look.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import suppress

from lab.errors import EnvironmentFault
from lab.testbed._plan import PORTS

HOST = "127.0.0.1"
_BLOCK = 250


class Ports:
    """A supply of free ports for one testbed; `close` gives the blocks back."""

    def __init__(self) -> None:
        self._claims: list[socket.socket] = []
        self._blocks = random.sample(range(PORTS.start, PORTS.stop - _BLOCK + 1, _BLOCK), len(PORTS) // _BLOCK)
        self._free = self._draw()

    def take(self) -> int:
        """A port that nobody listens on now, and that was not taken from here before.

        Raises:
            EnvironmentFault: there is none left.
        """
        port = next(self._free, None)
        if port is None:
            raise EnvironmentFault(
                f"No port between {PORTS.start} and {PORTS.stop} is free on {HOST}.",
                "End what listens there; `ss -ltnp` shows it.",
            )
        return port

    def close(self) -> None:
        """Let other labs have them."""
        for claim in self._claims:
            claim.close()

    def _draw(self) -> Iterator[int]:
        for first in self._blocks:
            claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                claim.bind((HOST, first))
            except OSError:
                claim.close()
                continue
            self._claims.append(claim)
            for port in random.sample(range(first, first + _BLOCK), _BLOCK):
                if is_free(port):
                    yield port


def is_free(port: int) -> bool:
    """Whether nobody listens on that port of this machine's IPv4 loopback."""
    with socket.socket() as probe, suppress(OSError):
        # As servers do, so that what is only being closed does not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((HOST, port))
        return True
    return False
