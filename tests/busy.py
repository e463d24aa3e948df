"""A machine that others use as well: processes that take whatever they get of its processors."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Ends with the tests, also where these are killed.
_COMPUTE = "import os, sys\nwhile os.getppid() == int(sys.argv[1]): sum(range(10000))"


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """So many processes that do nothing but compute, for as long as the block lasts."""
    processes = [subprocess.Popen([sys.executable, "-c", _COMPUTE, str(os.getpid())]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()
