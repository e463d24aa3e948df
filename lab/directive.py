"""What a directive says: the plan, the request's id, or whose ledger is asked for.

Headers say it first: `X-Lab-Plan` and `X-Lab-Request`. Gateways take those out, hence the other two places, the model's
name and the user's message; `lab.wire.directive` has how it stands there. All three may say the same thing; two that
contradict each other are refused. The fields:

    request=ID          the id of the request: 1 to 200 letters, digits and ._~:@-
    ledger=ID           answer with the ledger of that request, as JSON in the answer's text, in place of tokens
    confirm=ID:NUMBER   token NUMBER of that request has arrived (lockstep); answered with the ledger's clock, as JSON
    any field of a plan

    lab?request=9f3c&tokens=50&interval=20ms            a model's name
    Count. [lab?request=9f3c&tokens=50&interval=20ms]   a message
    Count. [lab?request=51aa&ledger=9f3c]               later, the ledger of that request through the same path

Warning: a message stands in the logs of whatever it passes, so the model server's secret is never in a directive; who
is obeyed is decided by headers alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from lab.plan import Plan, PlanError, make_plan, query_fields

REQUEST = "request"
LEDGER = "ledger"
CONFIRM = "confirm"

REQUEST_ID = re.compile(r"[A-Za-z0-9._~:@-]{1,200}")

_IDS = (REQUEST, LEDGER, CONFIRM)
_TOKEN = re.compile(r".+:\d{1,9}")


@dataclass(frozen=True)
class Directive:
    """What one place of a request says.

    Args:
        plan: the plan; None where no field of one is given.
        request: the request's id; empty where none is given.
        ledger: the id of the request whose ledger is asked for; empty for none.
        confirm: the id of a request and the number of one of its tokens, which has arrived; empty for none.
    """

    plan: Plan | None = None
    request: str = ""
    ledger: str = ""
    confirm: str = ""

    def to_query(self) -> str:
        """The query; only what is given, and of the plan what differs from the defaults."""
        ids = {name: value for name in _IDS if (value := getattr(self, name))}
        plan = "" if self.plan is None else self.plan.to_query()
        return "&".join(part for part in (urlencode(ids, safe="@:~"), plan) if part)


def read_directive(query: str) -> Directive:
    """Read a directive's query.

    Raises:
        PlanError: names the field that is unknown, repeated or makes no sense.
    """
    fields = query_fields(query)
    ids = {name: fields.pop(name, "") for name in _IDS}
    for name, value in ids.items():
        if value and not REQUEST_ID.fullmatch(value):
            raise PlanError(name, f"{value[:40]!r} does not match {REQUEST_ID.pattern}")
    if ids[CONFIRM] and not _TOKEN.fullmatch(ids[CONFIRM]):
        raise PlanError(CONFIRM, f"{ids[CONFIRM][:40]!r} is not ID:NUMBER")
    return Directive(make_plan(fields) if fields else None, **ids)


def join(places: Mapping[str, Directive]) -> Directive:
    """What all places of a request say together, each named as a message would.

    Raises:
        ValueError: two of them differ; names both.
    """
    said: dict[str, tuple[str, object]] = {}
    for place, directive in places.items():
        for name in ("plan", *_IDS):
            value = getattr(directive, name)
            if not value:
                continue
            first, known = said.setdefault(name, (place, value))
            if known != value:
                raise ValueError(f"{place}: another {name} stands in {first}; give one of the two")
    values = {name: value for name, (_, value) in said.items()}
    return Directive(**values)  # type: ignore[arg-type]  # by the names above
