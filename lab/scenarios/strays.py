"""Traffic that is not a case's own: whatever came of it says nothing of its proxy. Pure.

The testbed keeps its proxies apart (`lab.testbed._plan`); this notices where that was not enough. Each configuration
knows the model server by a port of its own, which the ledger notes, and each request carries the mark of its case,
which the model server echoes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

from lab.evidence import Evidence
from lab.plan import REQUEST_HEADER


class StrayTraffic(Exception):
    """An exchange met another case's; the message says which and how."""


def mark_of(case: str) -> str:
    """What the ids of all requests of a case begin with, and no other's do."""
    return hashlib.sha256(case.encode()).hexdigest()[:12]


def check_own(name: str, case: str, evidence: Evidence, told_only: Callable[[int], str | None]) -> None:
    """Make sure that an exchange had to do with its own proxy only.

    Args:
        name: the exchange's.
        case: the id of the one that it belongs to.
        evidence: what came of it.
        told_only: names the case whose configuration alone knows a port of the model server, if there is one.

    Raises:
        StrayTraffic: its request came over another's proxy, or its reply was made for another's request.
    """
    other = None if evidence.ledger is None else told_only(evidence.ledger.port)
    if other is not None and other != case:
        raise StrayTraffic(f"{name}: its request went over the proxy of {other}, so it says nothing of its own")
    made_for = evidence.trace.header(REQUEST_HEADER.lower())
    if made_for and not made_for.startswith(mark_of(case)):
        raise StrayTraffic(f"{name}: its reply was made for the request {made_for}, which is of another case")


def own_refusals(case: str, evidence: Evidence, told_only: Callable[[int], str | None]) -> Evidence:
    """The exchange without what the model server refused to the proxies of other cases."""
    own = tuple(each for each in evidence.refusals if each.request or told_only(each.port) == case)
    return replace(evidence, refusals=own)
