"""The consumer without the rest of the lab."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import lab.consume

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
print(*lab.__path__)
"""


COPIED = ["lab/__init__.py", "lab/errors.py", "lab/consume", "lab/wire"]
"""What an application has to copy, as the package's docstring says."""


def test_copied_alone_the_package_needs_nothing_but_the_standard_library(tmp_path: Path) -> None:
    """Outside of the repository, by a Python without any installed package: only itself, the formats and the errors."""
    root = Path(lab.__file__).parents[1]
    for name in COPIED:
        source, target = root / name, tmp_path / name
        target.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
        assert name in str(lab.consume.__doc__)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", PROGRAM, str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["lab", "lab.consume lab.errors lab.wire", str(tmp_path / "lab")]
