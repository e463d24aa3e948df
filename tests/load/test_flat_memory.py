"""What a stream leaves behind in the model server and in the load generator is nothing; see `bench/memory.py`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

MEMORY = Path(__file__).parents[2] / "bench" / "memory.py"

MINUTES = 10

LONGEST = 3600
"""Seconds after which something hangs; a busy machine may take more than the ten minutes to have enough streams."""

LEFT_BEHIND = 500
"""Bytes of each stream that are a leak. Memory comes in pages and is told by the process's own account, which wavers by
some hundred kilobytes over thousands of streams."""


@pytest.mark.soak(minutes=MINUTES)
def test_memory_is_flat_over_ten_minutes() -> None:
    """Thirty streams at a time, each followed by another, over a ledger that is full after a minute."""
    load = ("--streams", "30", "--plan", "tokens=5&interval=250ms&stamp=clock", "--attempts", "1000")
    command = [sys.executable, str(MEMORY), "--minutes", str(MINUTES), *load]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            said, _ = process.communicate(timeout=LONGEST)
        finally:
            process.terminate()
    assert process.returncode == 0
    found = json.loads(said.splitlines()[-1])
    assert found["model"] < LEFT_BEHIND, said
    assert found["load"] < LEFT_BEHIND, said
