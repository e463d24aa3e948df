"""What replies do to clients beside delivery and ending: several members, no finish reason, a late start."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence

import brotli  # type: ignore[import-untyped]  # it has no stubs
import pytest
import zstandard

from lab.audit.conclude.findings import Conclusions, Problem, Severity, conclude
from lab.endpoint.samples import Sample
from lab.judge.verdict import judge
from lab.vocabulary import Delivery, Ending, Flag
from lab.wire import format_named

from ..foreign import HEADERS, REPLY, sample, steady, writes

ALL = "gzip, deflate, br, zstd"
CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "br": brotli.compress,
}

Reads = list[tuple[float, bytes]]


def packed(reads: Sequence[tuple[float, bytes]], coding: str, events: int) -> Reads:
    """So many events to a member of its own each."""
    groups = [reads[n : n + events] for n in range(0, len(reads), events)]
    return [(group[-1][0], CODINGS[coding](b"".join(data for _, data in group))) for group in groups]


def coded(reads: Reads, coding: str) -> Sample:
    """A reply in that coding, asked for by a client that takes any."""
    return sample(reads, headers=(*HEADERS, ("content-encoding", coding)), offered=ALL)


def failures(found: Conclusions) -> list[Problem]:
    """The problems that fail the audit."""
    return [problem for problem in found.problems if problem.severity is Severity.FAILURE]


@pytest.mark.parametrize(("coding", "parts"), [("gzip", "gzip members"), ("zstd", "zstd frames")])
@pytest.mark.parametrize("events", [1, 3, 10])
def test_a_body_of_several_members_fails_with_what_most_clients_get(coding: str, parts: str, events: int) -> None:
    """Django under ASGI: each piece is compressed by itself, and most clients stop after the first."""
    reads = packed(writes(steady(20, 0.1)), coding, events)
    (problem,) = failures(conclude([coded(reads, coding)] * 3, longest=None))
    assert f"3 of 3 replies in the content coding {coding} are whole for some clients only" in problem.sentence
    assert f"the body is {len(reads)} {parts} one after another" in problem.sentence
    assert f"gets {events} of 22 events" in problem.sentence
    assert "httpx" in problem.sentence
    verdict = judge(coded(reads, coding).evidence)
    assert Flag.SEVERAL_MEMBERS in verdict.flags
    assert f"gets {events} of 22 events" in verdict.sentence


@pytest.mark.parametrize("coding", CODINGS)
def test_one_member_is_whole_for_everybody(coding: str) -> None:
    """All of the reply in one."""
    found = conclude([coded(packed(writes(steady(20, 0.1)), coding, 20), coding)], longest=None)
    assert not failures(found)
    assert found.samples[0].ending.ending is Ending.COMPLETE


def test_a_second_member_without_an_event_hides_nothing() -> None:
    """Some compressors close with an empty one."""
    reads = [*packed(writes(steady(20, 0.1)), "gzip", 20), (2.5, gzip.compress(b""))]
    assert not failures(conclude([coded(reads, "gzip")], longest=None))


def test_what_follows_the_end_of_a_brotli_stream_is_no_part_of_it() -> None:
    """The coding knows no members: what comes behind cannot be decoded, and the audit says so."""
    found = conclude([coded(packed(writes(steady(20, 0.1)), "br", 5), "br")] * 3, longest=None)
    assert any(
        "ended malformed" in problem.sentence and "bad br data" in problem.sentence for problem in failures(found)
    )


@pytest.mark.parametrize("wire", ["openai-chat", "anthropic-messages"])
def test_answers_without_a_finish_reason_are_a_warning(wire: str) -> None:
    """A marker and no reason: nobody can tell the token limit from an end."""
    form = format_named(wire)
    reads = [*writes(steady(40, 0.05), wire=wire, marker=False), (2.6, form.marker(REPLY))]
    found = conclude([sample(reads, wire=wire)] * 3, longest=None)
    (problem,) = found.problems
    assert problem.severity is Severity.WARNING
    assert problem.sentence.startswith("no answer had a finish reason")
    assert "no finish reason" in found.samples[0].ending.reason


def test_one_answer_without_a_reason_is_counted() -> None:
    """Two have one."""
    without = [*writes(steady(40, 0.05), marker=False), (2.6, b"data: [DONE]\n\n")]
    whole = sample(writes(steady(40, 0.05)))
    (problem,) = conclude([sample(without), whole, whole], longest=None).problems
    assert "1 of 3 answers lacked a finish reason" in problem.sentence


def test_a_format_that_knows_no_reason_is_asked_for_none() -> None:
    """A bare stream of events."""
    reads = [*writes(steady(40, 0.05), wire="sse", marker=False), (2.6, b"data: [DONE]\n\n")]
    assert not conclude([sample(reads, wire="sse")] * 3, longest=None).problems


def held(reads: Reads, size: int) -> Reads:
    """A compressor that decides after so many bytes: until then nothing leaves, headers included."""
    kept, done = b"", []
    for at, data in reads:
        kept += data
        if len(kept) > size or done:
            done.append((at, kept))
            kept = b""
    return [*done, *([(reads[-1][0], kept)] if kept else [])]


@pytest.mark.parametrize(("wire", "size"), [("sse", 1024), ("openai-chat", 2048), ("openai-chat", 4096)])
def test_the_way_without_a_coding_is_the_control_of_the_one_with_it(wire: str, size: int) -> None:
    """Tokens come one by one, unless a coding is offered: then the first ones come at once."""
    reads = writes(steady(120, 0.05, 0.02), wire=wire)
    plain = [sample(reads, wire=wire)] * 3
    with_coding = [sample(held(reads, size), wire=wire, offered=ALL)] * 3
    found = conclude([*plain, *with_coding], longest=None)
    (problem,) = failures(found)
    assert "with a content coding offered" in problem.asked
    assert "at once after" in problem.sentence
    assert "while the same route without a content coding offered brings 1 at most, after 0.02 s" in problem.sentence
    by_coding = {group.accept_encoding: group.delivery.delivery for group in found.groups}
    assert by_coding == {"": Delivery.INCREMENTAL, ALL: Delivery.COALESCED}
    # What is full before half a second holds headers for too short a time to be told.
    headers = "with a content coding offered the headers come with the first token"
    assert any(headers in problem.sentence for problem in found.problems) is (size != 2048)


def test_a_coding_that_streams_is_held_against_nobody() -> None:
    """Both ways are alike."""
    reads = writes(steady(60, 0.05))
    assert not conclude([*[sample(reads)] * 3, *[sample(reads, offered=ALL)] * 3], longest=None).problems


def test_headers_that_come_with_the_first_token_are_late_beside_the_models_own() -> None:
    """The model sends its headers at once and thinks for two seconds; the path has both at once."""
    reads = writes(steady(60, 0.05, 2.0))
    own = [sample(reads, route="direct", headers_at=0.01)] * 3
    found = conclude([*[sample(reads)] * 3, *own], longest=None)
    (problem,) = found.problems
    assert problem.sentence == "the headers come with the first token, 2.0 s after the model's own"
    assert not found.only_direct


def test_what_only_the_models_own_address_would_tell_is_said() -> None:
    """Headers with a late first token may be the model's own way."""
    found = conclude([sample(writes(steady(60, 0.05, 2.0)))] * 3, longest=None)
    assert not found.problems
    assert "in every answer the headers came with the first token, after 2.0 s" in found.only_direct
    assert not conclude([sample(writes(steady(60, 0.05, 2.0)), headers_at=0.1)] * 3, longest=None).only_direct
