"""A whole active audit in one call."""

from __future__ import annotations

from lab.measure.findings import ActiveFindings
from lab.measure.run import ActiveRun, AuditTarget, Say, silent


async def audit_actively(target: AuditTarget, *, longest: float, say: Say = silent) -> ActiveFindings:
    """Audit a path behind which the lab's own model server stands; arguments and errors as for `ActiveRun`."""
    run = ActiveRun(target, longest, say)
    await run.run()
    return run.findings()
