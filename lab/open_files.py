"""How many files this process may have open; each connection is one.

Systems start a process with 1,024 and let it have more. That many are for programs which wait with select(2), and
neither the probe nor the model server is one.
"""

from __future__ import annotations

import resource

MOST = 2**16
"""More are never needed; where there is no limit, Python would close as many before it starts a program."""


def allow_most() -> None:
    """Have as many as the system lets this process have, within reason; what it starts may have as many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(MOST, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
