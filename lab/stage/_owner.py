"""Whose a container, a network or a temporary folder is, so that a sweep can tell a dead run from a live one.

A process number alone is reused; with the time the process started and the boot it started in, it is
not. The namespace of process numbers is part of it: two containers may share an engine and a kernel
without seeing each other's processes, and what cannot be seen must not be taken for dead.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

LABEL = "org.token-stream-lab"
"""On everything that the lab puts into the engine; its value is always `1`."""
RUN_LABEL = f"{LABEL}.run"
OWNER_LABEL = f"{LABEL}.owner"

_FOLDER = re.compile(r"token-stream-lab-(?P<owner>[^+]+\+[^+]*\+\d+\+\d+)\+.+")


@dataclass(frozen=True)
class Owner:
    """One process of this or an earlier boot.

    Attributes:
        boot: the kernel's id of the boot; empty where there is none (macOS).
        namespace: of process numbers; empty where there is none.
        pid: process number.
        started: clock ticks between boot and start of the process; 0 where it cannot be read.
    """

    boot: str
    namespace: str
    pid: int
    started: int

    def __str__(self) -> str:
        return f"{self.boot}+{self.namespace}+{self.pid}+{self.started}"

    @classmethod
    def parse(cls, text: str) -> Owner | None:
        """The owner in a label or the name of a folder; None if it is none."""
        parts = text.split("+")
        if len(parts) != 4 or not (parts[2].isdigit() and parts[3].isdigit()):
            return None
        return cls(parts[0], parts[1], int(parts[2]), int(parts[3]))

    @classmethod
    def of(cls, pid: int) -> Owner:
        """The owner that the process with that number is now."""
        return cls(_boot(), _namespace(), pid, _started(pid))

    def is_alive(self) -> bool:
        """Whether its process still runs, or may do so where this process cannot see it."""
        if self.boot != _boot():
            return False
        if self.namespace != _namespace():
            return True
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass  # it lives and belongs to somebody else
        return self.started == _started(self.pid)


def labels(run: str) -> dict[str, str]:
    """The labels of what this process puts into the engine during one run."""
    return {LABEL: "1", RUN_LABEL: run, OWNER_LABEL: str(Owner.of(os.getpid()))}


def new_run() -> str:
    """A name that no other run has, short enough to read."""
    return uuid.uuid4().hex[:12]


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that is removed at the end of the block, or by a sweep if this process dies before."""
    prefix = f"token-stream-lab-{Owner.of(os.getpid())}+"
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def folders() -> Iterator[tuple[Path, Owner]]:
    """Every temporary folder of the lab on this machine, with its owner."""
    for path in Path(tempfile.gettempdir()).iterdir():
        match = _FOLDER.fullmatch(path.name)
        owner = Owner.parse(match["owner"]) if match else None
        if owner is not None:
            yield path, owner


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "no-boot-id"


def _namespace() -> str:
    try:
        return re.sub(r"\D", "", str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        return ""


def _started(pid: int) -> int:
    """When the process started, from field 22 of /proc/PID/stat; 0 if it has ended.

    The second field may hold spaces and brackets of its own, so counting begins behind it. Where the
    first process of a container waits for nobody, what has ended stays in the table for ever.
    """
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if state in "ZX" else int(rest[18])
