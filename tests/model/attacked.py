"""A model server in a process of its own, to be attacked: how much memory it takes at its peak is the process's own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Attacked:
    """The running server.

    Args:
        process: the process.
        base_url: where it listens.
    """

    def __init__(self, process: subprocess.Popen[str], base_url: str) -> None:
        self._folder = Path("/proc") / str(process.pid)
        self.base_url = base_url
        self.forget_peak()

    def forget_peak(self) -> None:
        """From now on the peak is that of what follows."""
        (self._folder / "clear_refs").write_text("5")

    @property
    def peak(self) -> int:
        """The most memory that it has taken, in MiB."""
        return self._told("VmHWM") // 1024

    @property
    def resident(self) -> int:
        """The memory that it takes now, in KiB."""
        return self._told("VmRSS")

    def _told(self, name: str) -> int:
        status = (self._folder / "status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith(name)).split()[1])


@contextmanager
def attacked(secret: str | None = None) -> Iterator[Attacked]:
    """Start one on a free port."""
    environment = {key: value for key, value in os.environ.items() if key != "LAB_SECRET"}
    environment |= {} if secret is None else {"LAB_SECRET": secret}
    arguments = [sys.executable, "-m", "lab.model", "--port", "0"]
    process = subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield Attacked(process, process.stdout.readline().removeprefix("listening on ").strip())
    finally:
        process.kill()
        process.communicate()
