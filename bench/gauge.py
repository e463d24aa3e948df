"""How late is the machine itself? A process that does nothing but tick, on the core of the server.

It ticks on an absolute grid, before the server itself, and notes how late each tick
comes: the same definition as a token's lateness, from a process that has no work. What it shows is
what the machine (the hypervisor, above all) takes away from whoever runs on that core. Run as a
script, it ticks until SIGTERM and then prints its lateness.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

TICK = 0.004


@dataclass
class Gauge:
    """What the ticking process found; filled when it has ended. Seconds, sorted."""

    lateness: list[float] = field(default_factory=list)


@contextmanager
def ticking(core: int | None) -> Iterator[Gauge]:
    """Tick on a core while the block runs."""
    gauge = Gauge()
    process = subprocess.Popen(  # noqa: S603 - our own arguments
        [sys.executable, __file__, "" if core is None else str(core)], stdout=subprocess.PIPE
    )
    try:
        yield gauge
    finally:
        process.terminate()
        found, _ = process.communicate()
        gauge.lateness = sorted(json.loads(found or "[]"))


def main() -> None:
    """Tick until told to stop."""
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stop.append(number))
    if sys.argv[1]:
        os.sched_setaffinity(0, {int(sys.argv[1])})
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(2))
    except PermissionError:
        sys.stderr.write("no right to a higher priority: the gauge also counts waiting for the server\n")
    lateness = array("d")
    due = time.monotonic()
    while not stop:
        due += TICK
        time.sleep(max(0.0, due - time.monotonic()))
        lateness.append(max(0.0, time.monotonic() - due))
    sys.stdout.write(json.dumps(list(lateness)))


if __name__ == "__main__":
    main()
