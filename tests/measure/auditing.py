"""A whole active audit in one call."""

from __future__ import annotations

from lab.measure.findings import ActiveFindings
from lab.measure.run import ActiveRun, Say, silent
from lab.measure.target import AuditTarget

EVERYTHING = 1000
"""More exchanges than an audit makes: the path's width is not looked for, which takes some seconds."""


async def audit_actively(
    target: AuditTarget, *, longest: float, say: Say = silent, at_once: int | None = EVERYTHING
) -> ActiveFindings:
    """Audit a path behind which the lab's own model server stands; arguments and errors as for `ActiveRun`."""
    run = ActiveRun(target, longest, say, at_once)
    await run.run()
    return run.findings()
