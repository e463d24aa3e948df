"""What a directive says: written and read alike, and no two places may contradict each other."""

from __future__ import annotations

import pytest

from lab.directive import Directive, join, read_directive
from lab.plan import PlanError, make_plan

PLAN = make_plan({"tokens": 5, "gaps": ["2@1s"], "lockstep": True})


@pytest.mark.parametrize(
    "directive",
    [
        Directive(),
        Directive(request="9f3c~a:b@c.d_e-f"),
        Directive(PLAN),
        Directive(PLAN, request="9f3c"),
        Directive(request="51aa", ledger="9f3c"),
        Directive(request="51aa", confirm="9f3c:12"),
    ],
)
def test_it_is_read_as_it_was_written(directive: Directive) -> None:
    """Each part, and none of them."""
    assert read_directive(directive.to_query()) == directive


def test_it_is_written_without_anything_that_a_path_might_escape() -> None:
    """Letters, digits and a few marks: nothing that JSON, HTML or a URL writes otherwise, but for &."""
    query = Directive(PLAN, request="9f3c").to_query()
    assert query == "request=9f3c&tokens=5&gaps=2@1s&lockstep=yes"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("request=a/b", "request"),
        ("request=" + "a" * 201, "request"),
        ("ledger=%00", "ledger"),
        ("request=a&request=b", "request"),
        ("confirm=9f3c", "confirm"),
        ("confirm=9f3c:-1", "confirm"),
        ("confirm=:1", "confirm"),
        ("colour=red", "colour"),
        ("tokens=many", "tokens"),
        ("secret=abc", "secret"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(query: str, field: str) -> None:
    """An id is looked up and echoed in a header, so it is as narrow as one in a header."""
    with pytest.raises(PlanError) as refused:
        read_directive(query)
    assert refused.value.field == field


def test_places_add_up_and_may_repeat_each_other() -> None:
    """A gateway that passes both on has said nothing new; one may have the id and another the plan."""
    whole = Directive(PLAN, request="9f3c")
    assert join({"message": whole, "model": whole, "header": Directive(request="9f3c")}) == whole
    assert join({"message": Directive(request="9f3c"), "model": Directive(PLAN)}) == whole
    assert join({}) == Directive()


def test_places_that_contradict_each_other_are_refused() -> None:
    """Both are named, since either may be the one that somebody forgot."""
    with pytest.raises(ValueError, match="header: another request stands in message"):
        join({"message": Directive(request="9f3c"), "header": Directive(request="51aa")})
