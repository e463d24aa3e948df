from __future__ import annotations

import itertools
import random
import zlib
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.evidence import Evidence, Read, Refusal, TransportEnd
from lab.judge import Verdict, judge
from lab.judge.endings import RULES
from lab.judge.sentences import never_reached
from lab.vocabulary import Cause, Delivery, Ending, Flag
from lab.wire import FORMATS

from .builder import START, Build, lockstep
from .readings import CASES, ERROR_BODY, HTML, JSON, PAGE, PREFIX, WHOLE


@pytest.mark.parametrize("name", CASES)
def test_each_case_has_its_ending_and_cause(name: str) -> None:
    """Every way in which an answer can end is told by its own word."""
    build, ending, cause = CASES[name]
    verdict = judge(build.evidence())
    assert (verdict.ending, verdict.cause) == (ending, cause), verdict.sentence


def test_every_ending_has_a_rule_and_a_case() -> None:
    """No ending of the vocabulary is out of reach, and none is left untested."""
    assert {ending for ending, _ in RULES} == set(Ending)
    assert {ending for _, ending, _ in CASES.values()} == set(Ending)


PAIRS = [
    ("b vs c", "b-fin", "c-reset", lambda v: v.sentence.split("after")[0]),
    ("b vs d", "b-fin", "d-framed-truncation", lambda v: v.ending),
    ("d vs e", "d-framed-truncation", "e-close-delimited", lambda v: v.sentence),
    ("d vs a", "d-framed-truncation", "a-whole", lambda v: v.ending),
    ("a vs d_done", "a-whole", "d-forged", lambda v: v.ending),
    ("f vs d", "f-error-event", "d-framed-truncation", lambda v: v.ending),
    ("f vs text error", "f-error-event", "error-painted-as-text", lambda v: v.ending),
    ("h vs d", "h-half-an-event", "d-framed-truncation", lambda v: v.ending),
    ("i vs vendor error", "i-proxy-page", "i-vendor-error", lambda v: v.ending),
    ("k vs a", "k-token-limit", "a-whole", lambda v: v.ending),
    ("dirty close vs cut", "a-then-reset", "reason-then-reset", lambda v: v.ending),
    ("e vs e with reset", "e-close-delimited", "e-reset-of-close-delimited", lambda v: v.ending),
]


@pytest.mark.parametrize(("one", "other", "look"), [pair[1:] for pair in PAIRS], ids=[pair[0] for pair in PAIRS])
def test_pairs_that_clients_confuse_are_told_apart(one: str, other: str, look: Callable[[Verdict], object]) -> None:
    """Where real clients report two readings alike, the verdict differs."""
    assert look(judge(CASES[one][0].evidence())) != look(judge(CASES[other][0].evidence()))


@pytest.mark.parametrize("wire_format", sorted(FORMATS))
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "batch"])
def test_a_whole_answer_is_complete_in_every_wire_format(wire_format: str, stream: bool) -> None:
    """The rules know no dialect: a whole answer is complete in each, streamed or not."""
    verdict = judge(Build(wire_format=wire_format, stream=stream).evidence())
    assert verdict.ending is Ending.COMPLETE
    assert (verdict.received, verdict.written) == (5, 5)


FLAGS = [
    ("a-whole", set()),
    ("a-then-reset", {Flag.DIRTY_CLOSE}),
    ("a-then-hang", {Flag.DIRTY_CLOSE}),
    ("a-marker-without-reason", {Flag.FINISH_MISSING}),
    ("a-reason-without-marker", {Flag.MARKER_MISSING}),
    ("f-error-then-marker", {Flag.ALSO_ENDED}),
    ("h-half-an-event", {Flag.UNREADABLE_EVENT}),
]


@pytest.mark.parametrize(("name", "flags"), FLAGS, ids=[name for name, _ in FLAGS])
def test_flags_tell_what_the_ending_does_not(name: str, flags: set[Flag]) -> None:
    """A flag adds to the ending, and an ordinary answer has none."""
    assert judge(CASES[name][0].evidence()).flags == flags


def test_flags_of_the_path() -> None:
    """A retry, HTTP/1.0 towards the model and bytes after the end are told, and change no ending."""
    evidence = Build(attempts=2).evidence()
    assert evidence.ledger is not None
    evidence = replace(
        evidence,
        ledger=replace(evidence.ledger, http_version="1.0"),
        trace=replace(evidence.trace, detail="7 bytes after the end"),
    )
    verdict = judge(evidence)
    assert verdict.ending is Ending.COMPLETE
    assert verdict.flags == {Flag.RETRIED, Flag.ASKED_WITH_HTTP_1_0, Flag.TRAILING_BYTES}


def test_tokens_that_were_written_long_before_a_death_and_never_came_were_lost_on_the_path() -> None:
    """Ten tokens at 0.1 s each, death at once after the tenth: the first five had half a second to come."""
    build = Build(whole=20, written=10, sent=(), reason=None, marker=False, end=TransportEnd.RESET, fault="rst@10")
    verdict = judge(build.evidence())
    assert (verdict.ending, verdict.cause) == (Ending.CUT, Cause.LOST_IN_BUFFER)
    assert Flag.LOST_TOKENS in verdict.flags
    late = judge(build.but(sent=range(1, 9)).evidence())
    assert late.cause is Cause.MODEL_DIED, "what left in the last half second may be lost with nobody to blame"


def test_without_a_plan_only_the_tokens_speak() -> None:
    """A foreign endpoint's marker is believed, and what its tokens say of themselves still counts."""
    foreign = {"has_plan": False, "has_ledger": False}
    assert judge(WHOLE.but(sent=(1, 2, 3), **foreign).evidence()).ending is Ending.COMPLETE
    assert judge(WHOLE.but(sent=("Hello ", "you two ", "there."), **foreign).evidence()).received == 3
    assert judge(WHOLE.but(sent=(1, 2, 4), **foreign).evidence()).ending is Ending.CORRUPT
    assert judge(PREFIX.but(end=TransportEnd.RESET, **foreign).evidence()).ending is Ending.CUT
    assert judge(WHOLE.but(status=429, body=ERROR_BODY, **foreign).evidence()).ending is Ending.MODEL_ERROR_STATUS


BATCH = Build(stream=False)
BATCHES = {
    "cut in its length": (BATCH.but(body=b'{"id":"x","cho', end=TransportEnd.SHORT_FIN, fault="fin@2"), Ending.CUT),
    "half a document": (BATCH.but(body=b'{"id":"x","cho', fault="cut-json@2"), Ending.MALFORMED),
    "nothing": (BATCH.but(body=b""), Ending.SILENTLY_TRUNCATED),
    "an error with 200": (BATCH.but(body=ERROR_BODY, fault="error@2"), Ending.MODEL_ERROR_IN_STREAM),
    "a page with 200": (BATCH.but(body=PAGE, headers=HTML), Ending.WRONG_REPLY),
    "a forged prefix": (BATCH.but(sent=(1, 2), fault="forge@2"), Ending.FORGED_COMPLETE),
    "a page": (BATCH.but(status=504, body=PAGE), Ending.PROXY_ERROR_STATUS),
}


@pytest.mark.parametrize("name", BATCHES)
def test_batch_replies_are_judged_by_the_same_rules(name: str) -> None:
    """A batch reply can be cut, malformed, refused and forged like a stream."""
    build, ending = BATCHES[name]
    assert judge(build.evidence()).ending is ending


def test_a_stream_that_was_answered_with_a_document_is_a_wrong_reply() -> None:
    """Asked for a stream, a path that gives one JSON document gave something else."""
    document = Build(stream=False).evidence().trace.body[0].data
    assert judge(WHOLE.but(body=document, headers=JSON).evidence()).ending is Ending.WRONG_REPLY


def zipped(evidence: Evidence, keep: float = 1.0) -> Evidence:
    """The same evidence with its body compressed as one piece for each read, and cut after a part of it."""
    deflater = zlib.compressobj(wbits=31)
    body = [Read(r.at, deflater.compress(r.data) + deflater.flush(zlib.Z_SYNC_FLUSH)) for r in evidence.trace.body]
    body[-1] = Read(body[-1].at, body[-1].data + deflater.flush())
    body = body[: max(1, round(len(body) * keep))]
    headers = (*evidence.trace.headers, ("content-encoding", "gzip"))
    return replace(evidence, trace=replace(evidence.trace, headers=headers, body=tuple(body), reads=tuple(body)))


def test_a_compressed_body_is_read_and_blamed_only_when_it_is_late() -> None:
    """Compression is no fault in itself; it is the cause when tokens come late."""
    prompt = judge(zipped(lockstep(Build()).evidence()))
    late = judge(zipped(lockstep(Build(), confirmed=False).evidence()))
    assert (prompt.ending, prompt.delivery, prompt.cause) == (Ending.COMPLETE, Delivery.INCREMENTAL, None)
    assert (late.ending, late.delivery, late.cause) == (Ending.COMPLETE, Delivery.BATCHED, Cause.COMPRESSION)
    assert prompt.flags == {Flag.COMPRESSED}


def test_what_could_be_decoded_of_a_cut_compressed_body_counts() -> None:
    """Half of a gzip body gives the tokens that stand whole in it."""
    cut = replace(zipped(Build(fault="fin@3").evidence(), keep=0.5))
    verdict = judge(replace(cut, trace=replace(cut.trace, end=TransportEnd.SHORT_FIN)))
    assert (verdict.ending, verdict.received) == (Ending.CUT, 3)


def test_a_body_that_is_not_what_its_coding_says_is_malformed() -> None:
    """Plain bytes under `content-encoding: gzip` are malformed, not an exception."""
    evidence = WHOLE.evidence()
    headers = (*evidence.trace.headers, ("content-encoding", "gzip"))
    assert judge(replace(evidence, trace=replace(evidence.trace, headers=headers))).ending is Ending.MALFORMED


def rechunked(evidence: Evidence, draw: random.Random, pieces: int) -> Evidence:
    """The same bytes at the same times, with reads cut anywhere."""
    body: list[Read] = []
    for read in evidence.trace.body:
        cuts = sorted(draw.randrange(len(read.data) + 1) for _ in range(pieces))
        edges = [0, *cuts, len(read.data)]
        body += [Read(read.at, read.data[a:b]) for a, b in itertools.pairwise(edges) if a < b]
    reads = tuple(body) if evidence.trace.body else evidence.trace.reads
    return replace(evidence, trace=replace(evidence.trace, body=tuple(body), reads=reads))


@given(name=st.sampled_from(sorted(CASES)), seed=st.integers(0, 2**32), pieces=st.integers(1, 40))
@settings(max_examples=300)
def test_where_reads_are_cut_changes_nothing(name: str, seed: int, pieces: int) -> None:
    """Every chunking of every reading gives the same verdict, to the last number."""
    evidence = CASES[name][0].evidence()
    assert judge(rechunked(evidence, random.Random(seed), pieces)) == judge(evidence)


@pytest.mark.parametrize("name", CASES)
def test_byte_by_byte_changes_nothing(name: str) -> None:
    """A body that comes one byte at a time gives the same verdict."""
    evidence = CASES[name][0].evidence()
    single = tuple(Read(read.at, bytes([byte])) for read in evidence.trace.body for byte in read.data)
    reads = single or evidence.trace.reads
    assert judge(replace(evidence, trace=replace(evidence.trace, body=single, reads=reads))) == judge(evidence)


@given(st.binary(max_size=400), st.sampled_from(sorted(FORMATS)), st.booleans(), st.sampled_from(list(TransportEnd)))
@settings(max_examples=200)
def test_no_body_is_beyond_judgement(body: bytes, wire_format: str, stream: bool, end: TransportEnd) -> None:
    """Arbitrary bytes get a verdict, and never one that calls them an answer."""
    verdict = judge(Build(wire_format=wire_format, stream=stream, body=body, end=end).evidence())
    assert verdict.ending not in (Ending.COMPLETE, Ending.DECLARED_PARTIAL)
    assert verdict.received == 0


def test_the_sentence_carries_the_numbers() -> None:
    """Tokens of tokens, bytes and milliseconds stand in the sentence."""
    sentence = judge(PREFIX.but(end=TransportEnd.SHORT_FIN, ended=102.5, fault="fin@3").evidence()).sentence
    for part in ("3 of 5 tokens", "3 written", "2,500 ms", "fin@3", "bytes of body"):
        assert part in sentence, sentence


def test_the_numbers_of_the_verdict_are_the_traces() -> None:
    """First byte, first and last token, total and longest silence are read off the reads."""
    verdict = judge(Build(arrivals={1: 100.5, 2: 101.0, 3: 103.0, 4: 103.5, 5: 104.0}, ended=104.25).evidence())
    assert verdict.first_byte == verdict.first_token == pytest.approx(0.5)
    assert verdict.last_token == pytest.approx(4.0)
    assert verdict.total == pytest.approx(4.25)
    assert verdict.longest_silence == pytest.approx(2.0)


REFUSED = Refusal("POST", "/chat", 404, "which it does not serve", START, request="mine")
LOST = Build(sent=(), status=404, body=b"<h1>Not here</h1>", headers=HTML, has_ledger=False)


def test_what_the_model_server_does_not_serve_is_no_doing_of_the_proxys() -> None:
    """Whatever page came: the 404 is the model server's, and what asked for that path is the configuration."""
    evidence = replace(LOST.evidence(), path="/api/chat", refusals=(REFUSED,))
    verdict = judge(evidence)
    assert (verdict.ending, verdict.cause) == (Ending.MODEL_ERROR_STATUS, Cause.MODEL_ERROR)
    words = "the model server was asked for /chat, which it does not serve: the configuration rewrites the path"
    assert words in verdict.sentence
    same = judge(replace(evidence, path="/chat"))
    assert "which it does not serve;" in same.sentence


def test_a_body_that_the_model_server_cannot_read_has_its_words() -> None:
    """Something on the way has spoilt it; the field is named."""
    refused = replace(REFUSED, path="/v1/chat/completions", status=400, why="model: a name is required")
    verdict = judge(replace(LOST.but(status=400).evidence(), path="/v1/chat/completions", refusals=(refused,)))
    assert verdict.ending is Ending.MODEL_ERROR_STATUS
    assert "the model server refused the request with 400: model: a name is required" in verdict.sentence


def test_a_proxys_own_error_stays_one() -> None:
    """It asked the model server for something else, or for nothing, and answered with another status."""
    check = replace(REFUSED, method="GET", path="/odd", request="")
    for refusals in ((), (check,), (replace(REFUSED, status=400),)):
        verdict = judge(replace(LOST.but(status=503).evidence(), path="/v1/chat/completions", refusals=refusals))
        assert verdict.ending is Ending.PROXY_ERROR_STATUS
        if not any(each.request for each in refusals):
            assert verdict.sentence.endswith("the request never reached the model server.")
    assert "never reached" not in judge(LOST.but(has_plan=False).evidence()).sentence


def test_where_no_exchange_reached_the_model_server_it_is_said_what_did() -> None:
    """A health check of something that is not there, or nothing at all; and nothing where one exchange came."""
    lost = LOST.but(status=503).evidence()
    check = replace(REFUSED, method="GET", path="/odd", request="", count=3)
    tls = Refusal("", "", 400, "a TLS handshake", START)
    asked = "no exchange reached the model server; it was asked for "
    assert never_reached([lost, lost]) == asked + "nothing"
    assert (
        never_reached([replace(lost, refusals=(check, tls))] * 2)
        == asked + "GET /odd, 404 (3 times), a TLS handshake, 400"
    )
    assert never_reached([lost, WHOLE.evidence()]) == never_reached([]) == ""
    assert never_reached([replace(lost, refusals=(REFUSED,))]) == ""
