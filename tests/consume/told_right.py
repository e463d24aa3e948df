"""Whether an application was told the truth of a reply, by the ledger and not by a table of expected answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab.evidence import Ledger
from lab.plan import FaultKind, Plan
from lab.wire.events import FinishReason
from lab.wire.tokens import read_tokens

CUT = {("Partial", "cut"), ("Failed", "cut")}
NO_MARKER = {("Partial", "no-marker"), ("Failed", "empty")}
# A proxy that never had a reply makes one of its own.
PROXYS_PAGE = {("Failed", "proxy-error-status")}

MAY_BECOME: Mapping[FaultKind | None, set[tuple[str, str]]] = {
    None: set(),
    # Without framing a FIN is a clean end, to a proxy that asks with HTTP/1.0 always.
    FaultKind.FIN: CUT | NO_MARKER | PROXYS_PAGE,
    FaultKind.RST: CUT | PROXYS_PAGE,
    FaultKind.FREEZE: {("Partial", "timeout"), ("Failed", "timeout")},
    FaultKind.ERROR: {("Partial", "model-error"), ("Refused", "")},
    FaultKind.NO_MARKER: NO_MARKER,
    FaultKind.CUT_JSON: {("Partial", "malformed"), ("Failed", "malformed")},
    FaultKind.CUT_UTF8: {("Partial", "malformed"), ("Failed", "malformed")},
    FaultKind.STATUS: {("Refused", "")},
}
"""What an answer may be that is not complete, by the fault that the ledger has."""

DECLARED = {FinishReason.LENGTH: "token-limit", FinishReason.CONTENT_FILTER: "content-filter"}


@dataclass(frozen=True)
class Cell:
    """What an application was told, and what the model server did.

    Args:
        plan: the plan.
        defaults: whether the proxy on the way was left in its defaults, in which nginx discards what it has.
        told: a line of `ways`.
        ledger: the only attempt.
    """

    plan: Plan
    defaults: bool
    told: dict[str, Any]
    ledger: Ledger

    @property
    def verdict(self) -> tuple[str, str]:
        """The answer's kind and reason."""
        kind = self.told["kind"]
        return kind, "" if kind in ("Complete", "Refused") else str(self.told["reason"])

    @property
    def whole(self) -> bool:
        """Whether the model server wrote the whole reply, its marker included."""
        fault = self.plan.fault
        return not self.ledger.fault or (fault is not None and fault.edge == "end")


def fault_found(cell: Cell) -> str:
    """What is wrong with what the application was told; empty if nothing is."""
    written = [token.number for token in cell.ledger.tokens]
    text = cell.told["text"] or ""
    numbers = [stamp.number for stamp in read_tokens(text)]
    if numbers != written[: len(numbers)]:
        return f"tokens {numbers} of {written}"
    if text != cell.told["shown"] and cell.told["kind"] in ("Complete", "Partial"):
        return "the text is not what was shown"
    kind, reason = cell.verdict
    declared = DECLARED.get(cell.plan.finish)
    if kind == "Complete":
        right = cell.whole and declared is None and len(written) == cell.plan.tokens == len(numbers)
    elif declared is not None:
        right = (kind, reason) == ("Partial", declared) and numbers == written
    else:
        fault = FaultKind(cell.ledger.fault.partition("@")[0]) if cell.ledger.fault else None
        right = (kind, reason) in MAY_BECOME[fault]
    lost = not cell.defaults and numbers != written
    spared = not cell.defaults and cell.whole and declared is None and kind != "Complete"
    return "" if right and not lost and not spared else f"{kind} {reason} with {numbers} of {written}"
