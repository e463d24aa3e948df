"""The endings in every wire format, from the bytes that the model server would write for each fault."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.consume import Consumer, Partial, PartialReason
from lab.evidence import Evidence, Ledger, Read, Trace, TransportEnd, Written
from lab.judge import judge
from lab.model.schedule import End, Schedule, make_schedule
from lab.plan import FaultKind, plan_from_query
from lab.vocabulary import Ending, Flag
from lab.wire import FORMATS, format_named
from lab.wire.events import FinishReason
from lab.wire.format import Asked, Reply, WireFormat

START = 100.0
REPLY = Reply("reply-1", "lab")
EveryFormat = pytest.mark.parametrize("wire", FORMATS.values(), ids=FORMATS)

# How a body that is framed by chunks or a length ends at the probe's socket.
ENDS = {
    End.CLEAN: TransportEnd.FRAMED,
    End.FIN: TransportEnd.SHORT_FIN,
    End.RST: TransportEnd.RESET,
    End.FREEZE: TransportEnd.MIDDLE_TIMEOUT,
}


def written(made: Schedule) -> Ledger:
    """What the model server notes of a schedule that it has written."""
    tokens = [Written(number, START + step.offset) for step in made.steps for number in step.tokens]
    ended = START + made.end_at
    fault_at = ended if made.fault else None
    return Ledger(
        "r1", START, headers_at=START, tokens=tuple(tokens), fault=made.fault, fault_at=fault_at, finished=ended
    )


def evidence(wire: WireFormat, query: str, *, stream: bool = True, ours: bool = True) -> Evidence:
    """An exchange over a clean path; without plan and ledger if the endpoint is a stranger's."""
    plan = plan_from_query("&".join(["tokens=5", *([query] if query else [])]))
    made = make_schedule(plan, wire, Asked("lab", stream))
    reads = tuple(Read(START + step.offset + 0.001, step.payload) for step in made.steps)
    trace = Trace(
        started=START,
        ended=START + made.end_at + 0.002,
        end=TransportEnd.NO_REPLY if made.silent else ENDS[made.end],
        status=None if made.silent else made.status,
        version="1.1",
        headers=(("content-type", made.content_type),),
        headers_at=START,
        framing="chunked",
        reads=reads,
        body=reads,
    )
    return Evidence(wire.name, stream, trace, plan if ours else None, written(made) if ours else None)


STREAMS = {
    "": Ending.COMPLETE,
    "heartbeat=5ms": Ending.COMPLETE,
    "finish=length": Ending.DECLARED_PARTIAL,
    "finish=content-filter": Ending.DECLARED_PARTIAL,
    "fault=fin@start": Ending.CUT,
    "fault=fin@2": Ending.CUT,
    "fault=rst@2": Ending.CUT,
    "fault=freeze@2": Ending.PROBE_TIMEOUT,
    "fault=fin@end": Ending.COMPLETE,
    "fault=error@2": Ending.MODEL_ERROR_IN_STREAM,
    "fault=error@0": Ending.MODEL_ERROR_IN_STREAM,
    "fault=no-marker@2": Ending.SILENTLY_TRUNCATED,
    "fault=forge@2": Ending.FORGED_COMPLETE,
    "fault=cut-json@2": Ending.MALFORMED,
    "fault=cut-utf8@2": Ending.MALFORMED,
    "fault=drop@2": Ending.CORRUPT,
    "fault=repeat@2": Ending.CORRUPT,
    "fault=foreign@2": Ending.CORRUPT,
    "fault=status@429": Ending.MODEL_ERROR_STATUS,
}


@EveryFormat
@pytest.mark.parametrize("query", STREAMS)
def test_every_fault_has_its_ending_in_every_format(wire: WireFormat, query: str) -> None:
    """The rules know no dialect: what the model server did is what the verdict says."""
    assert judge(evidence(wire, query)).ending is STREAMS[query]


def test_the_table_of_faults_leaves_none_out() -> None:
    """Every kind stands in the table above."""
    assert {str(kind) for kind in FaultKind} <= {query[6:].partition("@")[0] for query in STREAMS}


BATCHES = {
    "": Ending.COMPLETE,
    "finish=length": Ending.DECLARED_PARTIAL,
    "fault=fin@2": Ending.CUT,
    "fault=error@2": Ending.MODEL_ERROR_IN_STREAM,
    "fault=no-marker@2": Ending.SILENTLY_TRUNCATED,
    "fault=forge@2": Ending.FORGED_COMPLETE,
    "fault=cut-json@2": Ending.MALFORMED,
    "fault=cut-utf8@2": Ending.MALFORMED,
    "fault=drop@2": Ending.CORRUPT,
    "fault=status@503": Ending.MODEL_ERROR_STATUS,
}


@EveryFormat
@pytest.mark.parametrize("query", BATCHES)
def test_every_fault_of_a_batch_reply_has_its_ending(wire: WireFormat, query: str) -> None:
    """The same for one document."""
    assert judge(evidence(wire, query, stream=False)).ending is BATCHES[query]


# Without plan and ledger half an answer with a marker cannot be told from a whole one.
STRANGERS = {**STREAMS, "fault=forge@2": Ending.COMPLETE}


@EveryFormat
@pytest.mark.parametrize("query", STRANGERS)
def test_without_ground_truth_only_a_forgery_is_believed(wire: WireFormat, query: str) -> None:
    """The same bytes from an endpoint that is not the lab's, whose tokens count themselves all the same."""
    assert judge(evidence(wire, query, ours=False)).ending is STRANGERS[query]


@EveryFormat
def test_a_page_in_the_place_of_a_stream_is_a_wrong_reply(wire: WireFormat) -> None:
    """Whatever the format makes of lines of HTML, it is no answer."""
    page = b"<!DOCTYPE html>\n<html>\n\n<body>Sign in: data: x</body>\n</html>\n"
    read = Read(START + 0.01, page)
    for kind in ("text/html", wire.stream_type):
        trace = Trace(
            START, START + 0.02, TransportEnd.FRAMED, status=200, version="1.1", framing="length",
            headers=(("content-type", kind),), headers_at=START + 0.01, reads=(read,), body=(read,),
        )  # fmt: skip
        verdict = judge(Evidence(wire.name, stream=True, trace=trace))
        assert verdict.ending in (
            {Ending.WRONG_REPLY} if kind == "text/html" else {Ending.WRONG_REPLY, Ending.MALFORMED}
        )


@EveryFormat
def test_the_other_framings_content_type_is_flagged(wire: WireFormat) -> None:
    """Lines are not announced as events, nor events as lines; the answer is whole all the same."""
    made = evidence(wire, "")
    types = {"text/event-stream; charset=utf-8", "application/x-ndjson"}
    (other,) = types - {wire.stream_type}
    assert Flag.WRONG_TYPE not in judge(made).flags
    headers = (("content-type", other),)
    trace = Trace(**{**vars(made.trace), "headers": headers})
    verdict = judge(Evidence(made.wire_format, made.stream, trace, made.plan, made.ledger))
    assert (verdict.ending, Flag.WRONG_TYPE in verdict.flags) == (Ending.COMPLETE, True)


# A stream of bare texts may begin with half an object: what it is made of shows only later.
BROKEN = [(wire, place) for wire in FORMATS.values() for place in (1, 3, 5) if (wire.name, place) != ("sse", 1)]


@pytest.mark.parametrize(("wire", "place"), BROKEN, ids=[f"{wire.name}-{place}" for wire, place in BROKEN])
def test_an_answer_with_an_event_that_cannot_be_read_is_not_complete(wire: WireFormat, place: int) -> None:
    """Half an event stands where a token was, and reason and marker come all the same: judge and consumer agree."""
    parts = [wire.opening(REPLY), *(wire.text(REPLY, f"word{number} ", number) for number in range(1, 6))]
    end = b"\n\n" if parts[place].endswith(b"\n\n") else b"\n"
    data = parts[place].rstrip(b"\n").rpartition(b"\n")[2]
    parts[place] = data[: len(data) // 2] + end
    reads = tuple(Read(START + n / 10, part) for n, part in enumerate([*parts, _ending(wire)]) if part)
    whole = evidence(wire, "", ours=False)
    trace = replace(whole.trace, reads=reads, body=reads, ended=reads[-1].at)
    verdict = judge(replace(whole, trace=trace))
    assert verdict.ending in (Ending.MALFORMED, Ending.CORRUPT)
    if verdict.ending is Ending.MALFORMED:
        assert data[:8].decode().removeprefix("data: ")[:2] in verdict.sentence.partition(": b'")[2]
    consumer = Consumer(wire.name)
    consumer.head(200)
    for read in reads:
        consumer.feed(read.data)
    answer = consumer.close()
    assert isinstance(answer, Partial)
    assert answer.reason is PartialReason.MALFORMED


def _ending(wire: WireFormat) -> bytes:
    return wire.finish(REPLY, FinishReason.STOP, 5, "word1 word2 word3 word4 word5 ") + wire.marker(REPLY)


def test_what_follows_the_marker_spoils_nothing() -> None:
    """A page that somebody appends is no part of the answer."""
    whole = evidence(format_named("openai-chat"), "", ours=False)
    after = Read(whole.trace.ended, b"data: <html>\n\n")
    body = (*whole.trace.body, after)
    assert judge(replace(whole, trace=replace(whole.trace, reads=body, body=body))).ending is Ending.COMPLETE
