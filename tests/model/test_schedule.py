"""The schedule, without a clock or a socket: offsets, silences, bytes and what the faults make of them."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import AbstractContextManager
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.model import steps
from lab.model.schedule import End, Schedule, Shelf, make_schedule, make_script
from lab.model.steps import find_stamps, stamped, write_chunk
from lab.plan import FaultKind, Plan, PlanError, plan_from_query
from lab.wire import FORMATS, format_named
from lab.wire.events import (
    Contradiction,
    ErrorEvent,
    Event,
    Finish,
    FinishReason,
    Heartbeat,
    Marker,
    Opening,
    Text,
    Unreadable,
)
from lab.wire.format import Asked, WireFormat
from lab.wire.tokens import Stamp, read_tokens

EveryFormat = pytest.mark.parametrize("wire", FORMATS.values(), ids=FORMATS)
CHAT = format_named("openai-chat")


def schedule(query: str, wire: WireFormat = CHAT, *, stream: bool = True, max_tokens: int | None = None) -> Schedule:
    """The schedule of a plan written as a query."""
    return make_schedule(plan_from_query(query), wire, Asked("lab", stream, max_tokens))


def events(made: Schedule, wire: WireFormat) -> list[Event]:
    """All that a client would read from the whole body."""
    reader = wire.reader()
    return [*reader.feed(b"".join(made.payloads)), *reader.close()]


def has_opening(wire: WireFormat) -> bool:
    """Whether the format announces a reply before its first text."""
    return wire.name in {"openai-chat", "openai-responses", "anthropic-messages"}


def stamps(found: list[Event]) -> list[Stamp]:
    """The tokens in the events' text."""
    return [stamp for event in found if isinstance(event, Text) for stamp in read_tokens(event.text)]


def test_tokens_leave_at_absolute_offsets() -> None:
    """First at ttft, then one interval apart, with each gap added once and for all that follow."""
    made = schedule("tokens=5&ttft=1s&interval=100ms&gaps=3@2s,5@500ms")
    due = [step.offset for step in made.steps if step.tokens]
    assert due == pytest.approx([1.0, 1.1, 3.2, 3.3, 3.9])
    assert made.end_at == pytest.approx(3.9)


def test_two_gaps_before_the_same_token_add_up() -> None:
    """Neither is lost."""
    made = schedule("tokens=2&interval=0s&gaps=2@1s,2@2s")
    assert made.steps[1].offset == pytest.approx(3.0)


@given(
    jitter=st.integers(1, 500),
    interval=st.integers(0, 50),
    seed=st.integers(0, 99),
    ttft=st.integers(0, 50),
)
def test_jitter_delays_within_its_bound_and_never_reorders(jitter: int, interval: int, seed: int, ttft: int) -> None:
    """Each token leaves between its due time and that plus the jitter, and never before the one ahead."""
    plan = f"tokens=30&ttft={ttft}ms&interval={interval}ms&jitter={jitter}ms&seed={seed}"
    made = schedule(plan)
    tokens = [step for step in made.steps if step.tokens]
    assert [step.tokens for step in tokens] == [(number,) for number in range(1, 31)]
    for number, step in enumerate(tokens):
        due = (ttft + number * interval) / 1000
        assert due - 1e-9 <= step.offset < due + jitter / 1000 + 1e-9
    assert all(one.offset <= other.offset for one, other in pairwise(made.steps))


@given(seed=st.integers(), other=st.integers())
def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(seed: int, other: int) -> None:
    """Nothing but the plan decides the bytes and the times."""
    first, again = schedule(f"tokens=9&jitter=1s&seed={seed}"), schedule(f"tokens=9&jitter=1s&seed={seed}")
    assert first.steps == again.steps
    if other != seed:
        assert schedule(f"tokens=9&jitter=1s&seed={other}").payloads != first.payloads


@EveryFormat
@given(
    beat=st.integers(10, 300),
    ttft=st.integers(0, 1000),
    gap=st.integers(0, 1000),
    start=st.booleans(),
)
def test_heartbeats_fill_exactly_the_silences(wire: WireFormat, beat: int, ttft: int, gap: int, start: bool) -> None:
    """No silence is longer than a heartbeat, none that is shorter has one, and tokens do not move."""
    plan = f"tokens=3&ttft={ttft}ms&interval=100ms&gaps=3@{gap}ms"
    since = "&heartbeat_from=start" if start else ""
    made = schedule(f"{plan}&heartbeat={beat}ms{since}", wire)
    silent = schedule(plan, wire)
    beats = [step for step in made.steps if step.heartbeat]
    assert [step.offset for step in made.steps if not step.heartbeat] == [step.offset for step in silent.steps]
    # One heartbeat for each whole length of it in a silence, but none at the silence's very end.
    silences = [*([ttft] if start else []), 100, 100 + gap]
    assert len(beats) == sum(max(0, -(-silence // beat) - 1) for silence in silences)
    offsets = [step.offset for step in made.steps if start or step.offset >= ttft / 1000]
    assert all(after - before <= beat / 1000 + 1e-6 for before, after in pairwise(offsets))
    assert sum(isinstance(event, Heartbeat) for event in events(made, wire)) == len(beats)


@EveryFormat
def test_a_whole_answer_reads_as_one(wire: WireFormat) -> None:
    """Opening, every token once and in order, a reason, a marker; the first write has the opening in it."""
    made = schedule("tokens=3", wire)
    found = events(made, wire)
    assert isinstance(found[0], Opening if has_opening(wire) else Text)
    assert [stamp.number for stamp in stamps(found)] == [1, 2, 3]
    assert [event.reason for event in found if isinstance(event, Finish)] == [FinishReason.STOP]
    assert found.count(Marker()) == 1
    assert len(made.steps) == 4
    assert made.steps[0].tokens == (1,)


@EveryFormat
def test_an_answer_of_no_tokens_is_still_whole(wire: WireFormat) -> None:
    """Opening, reason and marker in one write, when the first token would have come."""
    made = schedule("tokens=0&ttft=2s", wire)
    assert [step.offset for step in made.steps] == [2.0]
    opening = [Opening] if has_opening(wire) else []
    told = [type(event) for event in events(made, wire) if isinstance(event, (Opening, Finish, Marker))]
    assert told == [*opening, Finish, Marker]


@EveryFormat
def test_the_requests_own_limit_ends_the_answer(wire: WireFormat) -> None:
    """A limit below the plan's tokens stops there and says so; one above changes nothing."""
    limited = events(schedule("tokens=5", wire, max_tokens=2), wire)
    assert [stamp.number for stamp in stamps(limited)] == [1, 2]
    assert [event.reason for event in limited if isinstance(event, Finish)] == [FinishReason.LENGTH]
    assert schedule("tokens=5", wire, max_tokens=9).payloads == schedule("tokens=5", wire).payloads


@EveryFormat
def test_a_plan_can_say_why_the_model_stops(wire: WireFormat) -> None:
    """A token limit and a content filter are declared without a shorter answer."""
    for reason in FinishReason:
        found = events(schedule(f"tokens=2&finish={reason}", wire), wire)
        assert [event.reason for event in found if isinstance(event, Finish)] == [reason]


@EveryFormat
def test_padding_makes_each_token_longer_by_so_many_bytes(wire: WireFormat) -> None:
    """The filler is exactly what was asked for, and the token can still be read."""
    thin, thick = schedule("tokens=3", wire), schedule("tokens=3&padding=1000", wire)
    growth = [len(after) - len(before) for before, after in zip(thin.payloads, thick.payloads, strict=True)]
    # OpenAI's Responses repeat the whole text in each of their last four events.
    assert growth == [1000, 1000, 1000, 4 * 3000 if wire.name == "openai-responses" else 0]
    assert [stamp.number for stamp in stamps(events(thick, wire))] == [1, 2, 3]


@EveryFormat
@pytest.mark.parametrize("stream", [True, False])
def test_a_clock_stamp_is_put_in_when_the_token_leaves(wire: WireFormat, stream: bool) -> None:
    """Every token of the write carries that time, and the payload keeps its length."""
    made = schedule("tokens=3&stamp=clock", wire, stream=stream)
    for step in made.steps:
        payload = stamped(step, 1_700_000_000.5)
        assert len(payload) == len(step.payload)
        assert len(step.stamps) == len(step.tokens)
        assert find_stamps(payload) == ()
        found = read_tokens(payload.decode())
        assert [(stamp.number, stamp.left) for stamp in found] == [(number, 1_700_000_000.5) for number in step.tokens]


# What each fault leaves of five tokens: their numbers, the kinds of the events after the text, the end.
FAULTS: dict[str, tuple[list[int], list[type], End]] = {
    "fin@2": ([1, 2], [], End.FIN),
    "rst@2": ([1, 2], [], End.RST),
    "freeze@2": ([1, 2], [], End.FREEZE),
    "fin@0": ([], [], End.FIN),
    "fin@5": ([1, 2, 3, 4, 5], [], End.FIN),
    "fin@end": ([1, 2, 3, 4, 5], [Finish, Marker], End.FIN),
    "rst@end": ([1, 2, 3, 4, 5], [Finish, Marker], End.RST),
    "freeze@end": ([1, 2, 3, 4, 5], [Finish, Marker], End.FREEZE),
    "fin@start": ([], [], End.FIN),
    "error@2": ([1, 2], [ErrorEvent], End.CLEAN),
    "error@0": ([], [ErrorEvent], End.CLEAN),
    "no-marker@2": ([1, 2], [], End.CLEAN),
    "no-marker@5": ([1, 2, 3, 4, 5], [], End.CLEAN),
    "forge@2": ([1, 2], [Finish, Marker], End.CLEAN),
    "forge@0": ([], [Finish, Marker], End.CLEAN),
    "cut-json@2": ([1, 2], [Unreadable], End.CLEAN),
    "cut-utf8@2": ([1, 2], [Unreadable], End.CLEAN),
    "cut-json@0": ([], [Unreadable], End.CLEAN),
    "drop@2": ([1, 2, 4, 5], [Finish, Marker], End.CLEAN),
    "drop@0": ([2, 3, 4, 5], [Finish, Marker], End.CLEAN),
    "repeat@2": ([1, 2, 2, 3, 4, 5], [Finish, Marker], End.CLEAN),
    "foreign@2": ([1, 2, 3, 4, 5], [Finish, Marker], End.CLEAN),
}


SPOIL = {FaultKind.DROP, FaultKind.REPEAT, FaultKind.FOREIGN}


@EveryFormat
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_leaves_of_a_stream_what_it_says(wire: WireFormat, fault: str) -> None:
    """Tokens, what comes after them, and the connection's end, each by one table."""
    numbers, after, end = FAULTS[fault]
    made = schedule(f"tokens=5&fault={fault}", wire)
    found = events(made, wire)
    assert [stamp.number for stamp in stamps(found)] == numbers
    contradictions = [event for event in found if isinstance(event, Contradiction)]
    told = [event for event in found if isinstance(event, (Finish, Marker, ErrorEvent, Unreadable))]
    assert [type(event) for event in told if event not in contradictions] == after
    # OpenAI's Responses number their events and repeat the whole text: what is spoilt contradicts the one or the other.
    assert bool(contradictions) is (wire.name == "openai-responses" and made.fault.partition("@")[0] in SPOIL)
    assert made.end is end
    assert made.fault == fault
    assert made.silent is (fault == "fin@start")


def test_the_table_of_faults_leaves_none_out() -> None:
    """Every kind but `status`, which is no stream, stands in the table above."""
    assert {fault.split("@")[0] for fault in FAULTS} == {str(kind) for kind in FaultKind} - {"status"}


@EveryFormat
def test_only_the_foreign_token_carries_another_tag(wire: WireFormat) -> None:
    """Token 3 of five claims to be another reply's."""
    plan = plan_from_query("tokens=5&fault=foreign@2")
    found = stamps(events(make_schedule(plan, wire, Asked("lab", stream=True)), wire))
    assert [stamp.tag == plan.tag for stamp in found] == [True, True, False, True, True]


@EveryFormat
@pytest.mark.parametrize("kind", ["cut-json", "cut-utf8"])
def test_a_cut_stands_inside_the_next_tokens_event(wire: WireFormat, kind: str) -> None:
    """The last write is a proper prefix of what would have been; cut-utf8 leaves a third of a character."""
    cut, whole = schedule(f"tokens=5&fault={kind}@2", wire), schedule("tokens=5", wire)
    last, uncut = cut.steps[-1], whole.steps[2]
    assert last.offset == uncut.offset
    assert last.tokens == ()
    if kind == "cut-utf8":
        with pytest.raises(UnicodeDecodeError):
            last.payload.decode()
    else:
        assert last.payload.decode().startswith(("data: {", "event: ", "{"))
    assert len(last.payload) < len(uncut.payload)


@pytest.mark.parametrize("fault", ["fin@2", "freeze@2", "error@2", "no-marker@2"])
def test_nothing_beats_after_a_fault(fault: str) -> None:
    """The fault strikes right after its token, and no heartbeat comes later."""
    made = schedule(f"tokens=5&interval=1s&heartbeat=300ms&fault={fault}")
    assert made.end_at == pytest.approx(1.0)
    assert max(step.offset for step in made.steps) == pytest.approx(1.0)
    assert sum(step.heartbeat for step in made.steps) == 3


@pytest.mark.parametrize("heartbeat", ["", "&heartbeat=100ms&heartbeat_from=start"])
@pytest.mark.parametrize(
    ("fault", "first"), [("error@2", "error"), ("drop@2", "4"), ("repeat@2", "2"), ("forge@2", "")]
)
def test_the_fault_is_noted_at_the_write_that_first_shows_it(fault: str, first: str, heartbeat: str) -> None:
    """Heartbeats in between do not shift the place."""
    made = schedule(f"tokens=5&ttft=1s&interval=1s&fault={fault}{heartbeat}")
    (place,) = (place for place, step in enumerate(made.steps) if step.fault)
    shown = {"error": b'"error"', "4": b":4@", "2": b":2@", "": b"[DONE]"}[first]
    assert shown in made.steps[place].payload
    earlier = [other.payload for other in made.steps[:place] if not other.heartbeat]
    assert len(earlier) == 2


def test_a_limit_before_the_fault_leaves_it_out() -> None:
    """A model that has stopped at the request's limit does not live to see its fault."""
    made = schedule("tokens=9&fault=fin@5", max_tokens=3)
    assert made.end is End.CLEAN
    assert made.fault == ""
    assert schedule("tokens=9&fault=drop@3", max_tokens=3).fault == ""
    assert schedule("tokens=9&fault=fin@3", max_tokens=3).end is End.FIN


# Batch


@EveryFormat
def test_a_batch_reply_leaves_when_the_streams_last_token_would(wire: WireFormat) -> None:
    """Streaming and batch take the same total time, and carry the same text."""
    plan = "tokens=5&ttft=1s&interval=100ms&gaps=3@2s&jitter=50ms"
    batch, stream = schedule(plan, wire, stream=False), schedule(plan, wire)
    assert [step.offset for step in batch.steps] == [stream.end_at]
    assert stamps(wire.read_batch(batch.payloads[0])) == stamps(events(stream, wire))
    assert batch.length == len(batch.payloads[0])
    assert batch.steps[0].tokens == (1, 2, 3, 4, 5)


BATCH_FAULTS: dict[str, tuple[list[int], list[type], End]] = {
    "error@2": ([], [ErrorEvent], End.CLEAN),
    "no-marker@2": ([1, 2], [], End.CLEAN),
    "forge@2": ([1, 2], [Finish, Marker], End.CLEAN),
    "cut-json@2": ([], [Unreadable], End.CLEAN),
    "cut-utf8@2": ([], [Unreadable], End.CLEAN),
    "drop@2": ([1, 2, 4, 5], [Finish, Marker], End.CLEAN),
    "repeat@2": ([1, 2, 2, 3, 4, 5], [Finish, Marker], End.CLEAN),
    "foreign@2": ([1, 2, 3, 4, 5], [Finish, Marker], End.CLEAN),
    "fin@end": ([1, 2, 3, 4, 5], [Finish, Marker], End.FIN),
    "freeze@5": ([1, 2, 3, 4, 5], [Finish, Marker], End.FREEZE),
}


@EveryFormat
@pytest.mark.parametrize("fault", BATCH_FAULTS)
def test_a_fault_leaves_of_a_batch_reply_what_it_says(wire: WireFormat, fault: str) -> None:
    """The document that a client would read, and the connection's end."""
    numbers, after, end = BATCH_FAULTS[fault]
    made = schedule(f"tokens=5&fault={fault}", wire, stream=False)
    found = wire.read_batch(made.payloads[0])
    assert [stamp.number for stamp in stamps(found)] == numbers
    told = [type(event) for event in found if isinstance(event, (Finish, Marker, ErrorEvent, Unreadable))]
    assert told == after
    assert made.end is end
    assert made.length == len(made.payloads[0])


@pytest.mark.parametrize("kind", ["fin", "rst", "freeze"])
def test_a_cut_batch_reply_promises_the_whole_and_gives_a_part(kind: str) -> None:
    """After 2 tokens of 5, two fifths of the document that the length promises."""
    made, whole = schedule(f"tokens=5&fault={kind}@2", stream=False), schedule("tokens=5", stream=False)
    assert made.length == whole.length
    assert made.length is not None
    assert len(made.payloads[0]) == made.length * 2 // 5


@EveryFormat
@pytest.mark.parametrize("stream", [True, False])
def test_a_status_fault_is_the_vendors_error_document(wire: WireFormat, stream: bool) -> None:
    """No stream, no heartbeat: one JSON document at the time of the first token."""
    made = schedule("ttft=1s&fault=status@429&heartbeat=0s", wire, stream=stream)
    assert (made.status, made.content_type, made.steps[0].offset) == (429, "application/json", 1.0)
    assert [type(event) for event in wire.read_batch(made.payloads[0])] == [ErrorEvent]
    assert "error" in json.loads(made.payloads[0])


@pytest.mark.parametrize(
    ("query", "stream", "field"), [("heartbeat=1s", False, "heartbeat"), ("framing=length", True, "framing")]
)
def test_a_plan_that_makes_no_sense_for_the_request_names_its_field(query: str, stream: bool, field: str) -> None:
    """What only batch or only streaming can do is refused to the other."""
    with pytest.raises(PlanError) as caught:
        schedule(query, stream=stream)
    assert caught.value.field == field


# Long answers


@EveryFormat
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("fault", ["", *FAULTS])
def test_a_long_answer_has_the_bytes_of_a_short_one(
    wire: WireFormat, stream: bool, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What leaves in pieces is the same body, promised in the same length, with the same tokens and the same fault."""
    plan = f"tokens=5&jitter=50ms&gaps=3@2s&fault={fault}" if fault else "tokens=5&jitter=50ms&gaps=3@2s"
    short = schedule(plan, wire, stream=stream)
    whole = short.steps
    monkeypatch.setattr(steps, "SHORT", -1)
    monkeypatch.setattr(steps, "_PIECE", 60)
    monkeypatch.setattr(steps, "_BLOCK", 400)
    long = schedule(plan, wire, stream=stream)
    pieces = [step for block in long.blocks() for step in block]
    assert long == short
    assert b"".join(step.payload for step in pieces) == b"".join(step.payload for step in whole)
    assert [number for step in pieces for number in step.tokens] == [n for step in whole for n in step.tokens]
    assert sum(step.fault for step in pieces) == sum(step.fault for step in whole)
    assert {step.offset for step in pieces} == {step.offset for step in whole}
    if not fault and (not stream or wire.name == "openai-responses"):
        assert len(pieces) > len(whole)


@pytest.mark.parametrize(
    "query",
    ["tokens=100000&jitter=1s", "tokens=9&ttft=9s&heartbeat=0.1ms&heartbeat_from=start", "tokens=250&padding=1000000"],
)
def test_a_block_of_a_long_answer_is_small(query: str) -> None:
    """Some dozen kilobytes or one step, however long the whole is."""
    plan = plan_from_query(query)
    script = make_script(plan, CHAT, Asked("lab", stream=True))
    assert not script.short
    block = next(make_schedule(plan, CHAT, Asked("lab", stream=True)).blocks())
    assert len(block) == 1 or sum(len(step.payload) for step in block) < 40_000
    assert len(block) < 200


class TestShelf:
    """What streams share."""

    SIZE = make_script(plan_from_query("tokens=5"), CHAT, Asked("lab", stream=True)).size

    def _lend(self, shelf: Shelf, seed: int) -> AbstractContextManager[Schedule]:
        script = make_script(plan_from_query(f"tokens=5&seed={seed}"), CHAT, Asked("lab", stream=True))
        return shelf.lend(script, stream=True)

    def test_the_streams_of_a_load_test_share_one_schedule(self) -> None:
        """The steps are made once."""
        shelf = Shelf()
        with self._lend(shelf, 1) as first, self._lend(shelf, 1) as second:
            assert first is second
            assert first.steps is second.steps

    def test_it_is_bounded_in_bytes_and_the_least_used_go_first(self) -> None:
        """Room for two: the third takes the place of the one that was not asked for again."""
        shelf = Shelf(2 * self.SIZE + 50)
        kept = []
        for seed in (1, 2, 1, 3):
            with self._lend(shelf, seed) as made:
                kept.append(made)
        with self._lend(shelf, 1) as again:
            assert again is kept[0]
        with self._lend(shelf, 2) as made:
            assert made is not kept[1]

    def test_what_is_in_use_is_never_forgotten_and_counts(self) -> None:
        """A schedule that finds no room is made as it leaves, and kept by nobody."""
        shelf = Shelf(self.SIZE + 50)
        with self._lend(shelf, 1) as first:
            with self._lend(shelf, 2) as second:
                assert (first.kept, second.kept) == (True, False)
            with self._lend(shelf, 1) as again:
                assert again is first
        with self._lend(shelf, 2) as second:
            assert second.kept


def test_an_empty_payload_is_no_chunk() -> None:
    """A chunk of no bytes would end the body."""
    assert write_chunk(b"") == b""
    assert write_chunk(b"a" * 17) == b"11\r\n" + b"a" * 17 + b"\r\n"


def test_the_plan_and_the_schedule_import_no_event_loop() -> None:
    """The judge and the catalogue import them; they must stay pure."""
    program = (
        "import sys, lab.plan, lab.model.schedule, lab.wire; "
        "print([name for name in ('asyncio', 'aiohttp', 'uvloop') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_every_plan_field_is_documented_by_its_default() -> None:
    """A plan of nothing is a whole stream of twenty tokens, which is what users start from."""
    made = make_schedule(Plan(), CHAT, Asked("lab", stream=True))
    assert sum(len(step.tokens) for step in made.steps) == 20
    assert made.end_at == pytest.approx(19 * 0.02)
