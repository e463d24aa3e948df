"""The check of the grid through proxies finds what is wrong, and only that."""

from __future__ import annotations

import pytest

from lab.evidence import Ledger, Written
from lab.plan import plan_from_query
from lab.wire.tokens import write_token

from .told_right import Cell, fault_found


def cell(
    plan: str,
    written: int,
    kind: str,
    reason: str | None,
    seen: int,
    *,
    defaults: bool = False,
    fault: str | None = None,
) -> Cell:
    """A cell of three tokens; `fault` is what the ledger has, where the plan's did not strike."""
    made = plan_from_query(f"tokens=3&{plan}")
    text = "".join(write_token(made.tag, number, due=0.0, word="oak") for number in range(1, seen + 1))
    tokens = tuple(Written(number, 0.0) for number in range(1, written + 1))
    struck = str(made.fault or "") if fault is None else fault
    return Cell(
        made,
        defaults,
        {"kind": kind, "reason": reason, "text": text, "shown": text},
        Ledger("one", 0.0, tokens=tokens, fault=struck),
    )


WRONG = {
    "a cut called complete": cell("fault=fin@2", 2, "Complete", "stop", 2),
    "a clean cut called complete": cell("fault=no-marker@3", 3, "Complete", "stop", 3),
    "a limit called complete": cell("finish=length", 3, "Complete", "stop", 3),
    "a whole one called partial": cell("seed=1", 3, "Partial", "cut", 3),
    "a whole one called partial behind a faithful proxy": cell("fault=rst@end", 3, "Partial", "cut", 3),
    "a whole one with a token missing": cell("seed=1", 3, "Complete", "stop", 2),
    "the wrong reason": cell("fault=fin@2", 2, "Partial", "timeout", 2),
    "tokens lost behind a faithful proxy": cell("fault=rst@2", 2, "Partial", "cut", 1),
    "all tokens lost behind a faithful proxy": cell("fault=rst@2", 2, "Failed", "cut", 0),
    "tokens that were never written": cell("fault=rst@2", 2, "Partial", "cut", 3, defaults=True),
    "a refusal of what was answered": cell("fault=fin@2", 2, "Refused", None, 0),
}
RIGHT = {
    "complete": cell("seed=1", 3, "Complete", "stop", 3),
    "cut": cell("fault=fin@2", 2, "Partial", "cut", 2),
    "limit": cell("finish=length", 3, "Partial", "token-limit", 3),
    "complete before a reset": cell("fault=rst@end", 3, "Complete", "stop", 3),
    "nginx discards the end": cell("fault=rst@end", 3, "Partial", "cut", 3, defaults=True),
    "nginx discards all": cell("fault=rst@end", 3, "Failed", "cut", 0, defaults=True),
    "refused": cell("fault=status@429", 0, "Refused", None, 0),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_found(name: str) -> None:
    """Each silent loss, each false alarm, each wrong reason."""
    assert fault_found(WRONG[name])


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_not(name: str) -> None:
    """By the ledger, whatever the proxy made of it."""
    assert fault_found(RIGHT[name]) == ""
