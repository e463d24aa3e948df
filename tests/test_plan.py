"""The plan: read and written alike, and refused with the name of the field at fault."""

from __future__ import annotations

import re
from enum import EnumMeta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.durations import write_duration
from lab.plan import (
    Fault,
    FaultKind,
    Framing,
    Gap,
    Headers,
    HeartbeatFrom,
    Plan,
    PlanError,
    StampKind,
    make_plan,
    plan_from_query,
)
from lab.wire.events import FinishReason

# Whole milliseconds up to a thousand seconds, the range in which a duration is written exactly.
DURATIONS = st.integers(0, 999).map(lambda milliseconds: milliseconds / 1000) | st.integers(1, 999).map(float)
EDGES = st.sampled_from([FaultKind.FIN, FaultKind.RST, FaultKind.FREEZE])
PLACED = st.sampled_from([kind for kind in FaultKind if kind is not FaultKind.STATUS])


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Any plan that makes sense."""
    tokens = draw(st.integers(2, 50))
    fault = draw(
        st.none()
        | st.builds(Fault, PLACED, st.integers(1, tokens - 1), st.just(""))
        | st.builds(Fault, st.just(FaultKind.STATUS), st.integers(400, 599), st.just(""))
        | st.builds(Fault, EDGES, st.just(0), st.sampled_from(["start", "end"]))
    )
    heartbeat = draw(st.just(0.0) | st.integers(1, 999).map(float))
    fields = {
        "tokens": tokens,
        "ttft": draw(DURATIONS),
        "interval": draw(DURATIONS),
        "gaps": tuple(draw(st.lists(st.builds(Gap, st.integers(1, tokens), DURATIONS), max_size=3))),
        "jitter": draw(DURATIONS),
        "seed": draw(st.integers(-9, 9)),
        "padding": draw(st.integers(0, 99)),
        "stamp": draw(st.sampled_from(StampKind)),
        "heartbeat": heartbeat,
        "heartbeat_from": draw(st.sampled_from(HeartbeatFrom)) if heartbeat else HeartbeatFrom.FIRST_TOKEN,
        "headers": draw(st.sampled_from(Headers)),
        "framing": draw(st.sampled_from(Framing)),
        "accel_buffering": draw(st.booleans()),
        "finish": draw(st.sampled_from(FinishReason)),
        "fault": fault,
        "retry_after": draw(DURATIONS) if fault and fault.kind is FaultKind.STATUS else 0.0,
        "lockstep": draw(st.booleans()),
        "hold": draw(DURATIONS.filter(bool)),
    }
    return make_plan(fields)


@given(plans())
def test_a_plan_survives_the_way_through_a_query(plan: Plan) -> None:
    """What one side writes into a header, the other reads from it, field for field."""
    assert plan_from_query(plan.to_query()) == plan


@given(plans())
def test_a_plan_survives_the_way_through_a_table(plan: Plan) -> None:
    """In `scenario.toml` the same names and values stand as a table."""
    assert make_plan(plan.model_dump(mode="json")) == plan


def test_the_documented_example_reads_as_documented() -> None:
    """The example in the module's first sentence, taken apart by hand."""
    plan = plan_from_query("tokens=50&interval=20ms&fault=fin@10")
    assert plan == Plan(tokens=50, interval=0.02, fault=Fault(FaultKind.FIN, 10))
    assert plan_from_query("gaps=5@3s,9@500ms").gaps == (Gap(5, 3.0), Gap(9, 0.5))
    assert plan_from_query("") == Plan()


def test_a_default_plan_is_an_empty_query() -> None:
    """Only what differs from the defaults is written."""
    assert Plan().to_query() == ""
    assert Plan(tokens=5, lockstep=True).to_query() == "tokens=5&lockstep=yes"


BAD = {
    "tokens=x": "tokens",
    "tokens=-1": "tokens",
    "tokens=5&tokens=6": "tokens",
    "colour=red": "colour",
    "ttft=soon": "ttft",
    "interval=-1s": "interval",
    "gaps=5": "gaps",
    "gaps=0@1s": "gaps",
    "tokens=4&gaps=5@1s": "gaps",
    "stamp=never": "stamp",
    "heartbeat=x": "heartbeat",
    "heartbeat_from=start": "heartbeat_from",
    "headers=late": "headers",
    "framing=http2": "framing",
    "accel_buffering=perhaps": "accel_buffering",
    "finish=bored": "finish",
    "fault=fin": "fault",
    "fault=boom@3": "fault",
    "fault=fin@middle": "fault",
    "fault=error@start": "fault",
    "fault=fin@21": "fault",
    "fault=forge@20": "fault",
    "fault=drop@20": "fault",
    "fault=foreign@20": "fault",
    "fault=cut-json@20": "fault",
    "fault=cut-utf8@20": "fault",
    "fault=repeat@0": "fault",
    "fault=status@200": "fault",
    "fault=status@600": "fault",
    "lockstep=yes&hold=0s": "hold",
    "tokens=1000000&padding=1000000": "padding",
    "ttft=3h&heartbeat=1ms&heartbeat_from=start": "heartbeat",
    "retry_after=3s": "retry_after",
    "fault_delay=1s": "fault_delay",
    "fault=error@3&fault_delay=1s": "fault_delay",
    "tokens": "",
    **{
        f"{condition}{name}=" + "9" * 400 + "s": name
        for condition, name in (
            ("", "ttft"),
            ("", "interval"),
            ("", "jitter"),
            ("", "heartbeat"),
            ("lockstep=yes&", "hold"),
            ("fault=fin@1&", "fault_delay"),
            ("fault=status@429&", "retry_after"),
        )
    },
    "gaps=1@" + "9" * 400 + "s": "gaps",
    "gaps=" + "9" * 5000 + "@1s": "gaps",
    "tokens=" + "9" * 5000: "tokens",
    "seed=" + "9" * 5000: "seed",
    "fault=fin@" + "9" * 5000: "fault",
}


@pytest.mark.parametrize(("query", "field"), BAD.items(), ids=lambda text: text[:60])
def test_a_bad_plan_names_its_field(query: str, field: str) -> None:
    """Whatever makes no sense is refused, and the refusal says where."""
    with pytest.raises(PlanError) as caught:
        plan_from_query(query)
    assert caught.value.field == field
    assert caught.value.why


@given(plans())
def test_the_tag_is_the_plans_own(plan: Plan) -> None:
    """Another seed gives another plan, and so (but for one case in 65536) another tag."""
    other = plan.model_copy(update={"seed": plan.seed + 1})
    assert len(plan.tag) == 4
    assert int(plan.tag, 16) >= 0
    assert plan.tag == plan_from_query(plan.to_query()).tag
    assert other.to_query() != plan.to_query()


MODEL_SERVER_PAGE = Path(__file__).parents[1] / "docs" / "model-server.md"


def _row(name: str) -> str:
    """A field's row in the documentation, as its source has it: name, default as it is written, meaning, words."""
    field = Plan.model_fields[name]
    default = field.default
    if isinstance(default, bool):
        written = "yes" if default else "no"
    elif isinstance(default, float):
        written = write_duration(default)
    else:
        written = str(default or "") if default != 0 else "0"
    words = [*field.annotation] if isinstance(field.annotation, EnumMeta) else []
    if name == "fault":
        words = [*FaultKind]
    listed = f" ({', '.join(f'`{word}`' for word in words)})" if words else ""
    return f"| `{name}` | {written} | {' '.join((field.description or '').split())}{listed} |"


def test_the_documentation_has_every_field_as_it_is() -> None:
    """Who writes a plan reads no Python; a row that is missing here is to be copied from this test's words."""
    page = MODEL_SERVER_PAGE.read_text()
    shown = [line for line in page.splitlines() if re.match(r"\| `[a-z_]+` \| .* \| .* \|$", line)]
    assert shown == [_row(name) for name in Plan.model_fields]
    assert all(str(kind) in (FaultKind.__doc__ or "") for kind in FaultKind)
