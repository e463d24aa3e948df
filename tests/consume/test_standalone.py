"""The consumer without the rest of the lab."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import lab

PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
before = set(sys.modules)
from lab.consume import Complete, consume
import lab.consume.go_on, lab.consume.resume, lab.consume.sdk
assert isinstance(consume([]), lab.consume.Failed)
ours = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(ours - sys.stdlib_module_names))
print(*sorted(name for name in sys.modules if name.startswith("lab.") and name.count(".") == 1))
"""


def test_the_package_needs_nothing_but_the_standard_library() -> None:
    """Imported by a Python without any installed package, it loads itself, the wire formats and the errors."""
    root = str(Path(lab.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", PROGRAM, root], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["lab", "lab.consume lab.errors lab.wire"]
