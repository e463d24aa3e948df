"""A machine that others use as well: processes that take whatever they get of its processors."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Ends by itself, whatever becomes of the test.
_COMPUTE = "import time\nend = time.monotonic() + 1800\nwhile time.monotonic() < end: sum(range(10000))"


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """So many processes that do nothing but compute, for as long as the block lasts."""
    processes = [subprocess.Popen([sys.executable, "-c", _COMPUTE]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()
