"""What a container of the lab's may do: as little as its process needs, whatever the configuration in it says.

No capability but those that its product needs, none to be won, no file system to write to but bounded ones in memory
(and the volumes that its files are put into), and bounds on memory, processes and what it may log.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import psutil
from docker.types import LogConfig

NOBODY = "65532:65532"
"""For what needs no rights at all; no image knows such a user."""
TEMPORARY = ("/tmp", "/run", "/var/tmp", "/var/cache")  # noqa: S108  # inside a container
"""Folders of every container that can be written to."""

_MIB = 2**20
_FOLDER_SIZE = 256 * _MIB
_MEMORY_PART = 4
"""One of so many parts of the machine's memory: ten thousand streams take a compressor 2 GiB, and what is ended for a
bound of the lab's would be told as the proxy's doing."""
_MEMORY_EACH = 128 * _MIB
"""For each process of the lab's in it, with all its children; a busy Envoy has some 60 MiB."""
_PROCESSES = 64
_PROCESSES_A_CORE = 4
"""Beside the others for each: products start a thread or a process for each core, some of them more."""
_LOG = {"max-size": "16m", "max-file": "2"}


def confinement(
    *, capabilities: Sequence[str] = (), writable: Sequence[str] = (), programs: int = 1, threads: int = 32
) -> dict[str, Any]:
    """Arguments of docker-py's `create` and `run`.

    Args:
        capabilities: of Linux, without `CAP_`.
        writable: folders beside `TEMPORARY` that can be written to; whatever the image has there cannot be seen.
        programs: how many processes of the lab's the container is to hold.
        threads: what each of them may start, threads and processes together, beside those that it starts for each core.
    """
    memory = psutil.virtual_memory().total // _MEMORY_PART + programs * _MEMORY_EACH
    return {
        "cap_drop": ["ALL"],
        "cap_add": list(capabilities),
        "security_opt": ["no-new-privileges"],
        "read_only": True,
        "tmpfs": dict.fromkeys((*TEMPORARY, *writable), f"size={_FOLDER_SIZE},mode=1777"),
        "mem_limit": memory,
        # The same: no swap beside it.
        "memswap_limit": memory,
        "pids_limit": _PROCESSES + programs * (threads + _PROCESSES_A_CORE * (os.cpu_count() or 1)),
        "log_config": LogConfig(type=LogConfig.types.JSON, config=dict(_LOG)),
    }
