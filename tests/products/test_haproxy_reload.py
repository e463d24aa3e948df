"""HAProxy's reload: the signal is sent when the master heeds it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lab.products import PRODUCTS

MASTER = """
import signal, sys
signal.signal(signal.SIGUSR2, signal.SIG_IGN)
print("answers", flush=True)
sys.stdin.readline()
signal.signal(signal.SIGUSR2, lambda *_: print("reloads", flush=True))
sys.stdin.readline()
"""
"""As a master is while its worker answers already; with each line on standard input it goes on."""


def test_a_reload_waits_for_a_master_that_ignores_its_signal_at_first(tmp_path: Path) -> None:
    """What comes before it has started itself anew is lost, and nobody would know."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", MASTER], text=True, **pipes) as master:  # type: ignore[call-overload]
        try:
            assert master.stdout.readline() == "answers\n"
            command = PRODUCTS["haproxy"].reloading(str(master.pid), str(tmp_path / "it.cfg"))
            with subprocess.Popen(command) as telling:  # the product's own
                with pytest.raises(subprocess.TimeoutExpired):
                    telling.wait(timeout=0.5)
                master.stdin.write("\n")
                master.stdin.flush()
                assert master.stdout.readline() == "reloads\n"
                assert telling.wait(timeout=10) == 0
        finally:
            master.kill()


def test_a_master_that_has_ended_cannot_be_told(tmp_path: Path) -> None:
    """It is not waited for."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    done = subprocess.run(  # same
        PRODUCTS["haproxy"].reloading(str(ended.pid), str(tmp_path / "it.cfg")),
        capture_output=True,
        check=False,
        timeout=10,
    )
    assert done.returncode != 0
