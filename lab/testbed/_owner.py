"""Whose a container, a network or a temporary folder is, so that a sweep can tell a dead run from a live one.

A process number alone is reused; with the time the process started and the boot it started in, it is
not. The namespace of process numbers is part of it: two containers may share an engine and a kernel
without seeing each other's processes, and what cannot be seen must not be taken for dead. The same holds for
another boot: it may be this machine's own earlier one, or that of another machine which uses the same engine.

A scope (`LAB_SCOPE`) sets things apart from everybody else's: whoever works in one sees only what was made in it,
and whoever does not leaves it alone. If the scope is named after an owner, as a test suite names its own, it ends
with that process.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from lab.errors import BadInput

LABEL = "org.token-stream-lab"
"""On everything that the lab puts into the engine; its value is always `1`."""
RUN_LABEL = f"{LABEL}.run"
OWNER_LABEL = f"{LABEL}.owner"
SCOPE_LABEL = f"{LABEL}.scope"

SCOPE_VARIABLE = "LAB_SCOPE"
_SCOPE = re.compile(r"[A-Za-z0-9._+-]{1,120}")

_TICKS = 100
"""A second, as the kernel counts the start of a process."""

_FOLDER = re.compile(r"token-stream-lab-(?P<owner>[^@]+)@(?P<scope>[^@]*)@.+")


@dataclass(frozen=True)
class Owner:
    """One process of this or an earlier boot, on this or another machine.

    Attributes:
        boot: the kernel's id of the boot, which no two machines share.
        namespace: of process numbers; empty where there is none.
        pid: process number.
        started: hundredths of a second between boot and start of the process; 0 where it cannot be read.
        machine: what stays of a machine when it boots; empty where nothing is known to.
    """

    boot: str
    namespace: str
    pid: int
    started: int
    machine: str

    def __str__(self) -> str:
        return f"{self.boot}+{self.namespace}+{self.pid}+{self.started}+{self.machine}"

    @classmethod
    def parse(cls, text: str) -> Owner | None:
        """The owner in a label, a scope or the name of a folder; None if it is none."""
        parts = text.split("+")
        if len(parts) != 5 or not (parts[2].isdigit() and parts[3].isdigit()):
            return None
        return cls(parts[0], parts[1], int(parts[2]), int(parts[3]), parts[4])

    @classmethod
    def of(cls, pid: int) -> Owner:
        """The owner that the process with that number is now."""
        return cls(_boot(), _namespace(), pid, _started(pid), _machine())

    def is_of_this_boot(self) -> bool:
        """Whether its process started in the boot that this one runs in, and so on this machine."""
        return self.boot == _boot()

    def is_of_this_machine(self) -> bool:
        """Whether it certainly was a process of this machine, in whatever boot."""
        return self.is_of_this_boot() or (self.machine != "" and self.machine == _machine())

    def has_ended(self) -> bool:
        """Whether its process is known to have ended; what cannot be seen from here may live."""
        if not self.is_of_this_boot() or self.namespace != _namespace():
            return False
        return not psutil.pid_exists(self.pid) or self.started != _started(self.pid)

    def is_alive_here(self) -> bool:
        """Whether its process certainly runs, and is the one with that number as this process sees it."""
        here = self.is_of_this_boot() and self.namespace == _namespace()
        return here and 0 < self.started == _started(self.pid)


def own_scope() -> str:
    """The scope that this process works in; empty for none.

    Raises:
        BadInput: `LAB_SCOPE` cannot be the name of one.
    """
    scope = os.environ.get(SCOPE_VARIABLE, "")
    if scope and not _SCOPE.fullmatch(scope):
        remedy = "Take up to 120 letters, digits, dots, dashes, pluses and underscores."
        raise BadInput(f"{SCOPE_VARIABLE} is {scope!r}.", remedy)
    return scope


def labels(run: str) -> dict[str, str]:
    """The labels of what this process puts into the engine during one run."""
    return {RUN_LABEL: run, **_labels(Owner.of(os.getpid()), own_scope())}


def _labels(owner: Owner, scope: str) -> dict[str, str]:
    return {LABEL: "1", OWNER_LABEL: str(owner), SCOPE_LABEL: scope}


def new_run() -> str:
    """A name that no other run has, short enough to read."""
    return uuid.uuid4().hex[:12]


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that is removed at the end of the block, or by a sweep if this process dies before."""
    folder = Path(tempfile.mkdtemp(prefix=f"token-stream-lab-{Owner.of(os.getpid())}@{own_scope()}@"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class Folder:
    """A temporary folder of the lab's on this machine.

    Attributes:
        path: where it is.
        owner: whose it is.
        labels: what a container of the same owner and scope would carry.
        made: seconds since 1970.
    """

    path: Path
    owner: Owner
    labels: Mapping[str, str]
    made: float


def folders() -> Iterator[Folder]:
    """Every temporary folder of the lab on this machine."""
    for path in Path(tempfile.gettempdir()).iterdir():
        match = _FOLDER.fullmatch(path.name)
        owner = Owner.parse(match["owner"]) if match else None
        if match is None or owner is None:
            continue
        # Its owner may be removing it at this moment.
        with suppress(FileNotFoundError):
            yield Folder(path, owner, _labels(owner, match["scope"]), path.stat().st_ctime)


def boot_time() -> float:
    """When this machine was started, in seconds since 1970."""
    return psutil.boot_time()


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        # As good as it gets without one (macOS): at least no other machine's.
        return f"no-boot-id-{uuid.getnode():x}"


def _machine() -> str:
    """A digest, since the id itself is nobody else's business; with the host's name, since disks are cloned."""
    try:
        number = Path("/etc/machine-id").read_text().strip()
    except OSError:
        number = ""
    return hashlib.sha256(f"{number} {platform.node()}".encode()).hexdigest()[:12] if number else ""


def _namespace() -> str:
    try:
        return re.sub(r"\D", "", str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        return ""


def _started(pid: int) -> int:
    """When the process started; 0 if it has ended.

    Counted from the boot, since the clock may be set meanwhile. Where the first process of a container waits for
    nobody, what has ended stays in the table for ever.
    """
    try:
        process = psutil.Process(pid)
        if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return 0
        return round((process.create_time() - psutil.boot_time()) * _TICKS)
    except psutil.Error:
        return 0
