"""Mutated recordings through everything that reads foreign bytes: no crash, no hang, bounded memory.

`LAB_FUZZ_INPUTS=100000` asks for as many inputs as a release is tested with; without it there are 20,000. The same
seed gives the same inputs, and a failure names the number of its input.
"""

from __future__ import annotations

import gzip
import os
import random
import resource
import signal
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from types import FrameType

import pytest

from lab.audit.conclude.findings import conclude
from lab.audit.conclude.measured import measure
from lab.endpoint.samples import Route, Sample, Setting
from lab.endpoint.stops import stop_of
from lab.evidence import Evidence, Read, Trace, TransportEnd
from lab.probe.body import BodyReader
from lab.probe.framing import HttpRequest
from lab.probe.http1 import Http1
from lab.wire import FORMATS
from lab.wire.events import FinishReason
from lab.wire.format import Reply, WireFormat

INPUTS = int(os.environ.get("LAB_FUZZ_INPUTS", "20000"))
TOGETHER = 20
"""How many recordings are concluded from together, as the samples of one audit."""

SLOWEST = 20.0
"""Seconds that one input may take on a busy machine; they take about a millisecond."""

MOST_MEMORY = 192 * 2**20
"""Bytes by which the process may grow over all inputs."""

_REPLY = Reply("reply-1", "model-1", include_usage=True)
_SPICE = (
    *(b"\n\n", b"\r", b"\r\n", b"data:", b"data: [DONE]\n\n", b"event: error\n", b": \n", b"\xef\xbb\xbf", b"\x00"),
    *(b"\xff\xfe", b"{" * 400, b"[" * 3000, b'{"a":' * 500, b"1" * 5000, b"1e999", b"-1", b"null", b"NaN"),
    *(b'"\\ud800"', "⟨9f3c:1@0ms⟩".encode(), "⟨".encode()[:2], "⟨0000:99999999999999999999@1us⟩".encode()),
)


def recordings() -> list[tuple[WireFormat, bool, bytes]]:
    """Streams and batch replies of every format, whole, with errors and with heartbeats."""
    made: list[tuple[WireFormat, bool, bytes]] = []
    for wire in FORMATS.values():
        texts = b"".join(wire.text(_REPLY, f"amber ⟨9f3c:{n}@{n}ms⟩ ", n) for n in range(1, 5))
        opening, beat = wire.opening(_REPLY), wire.heartbeat()
        end = wire.finish(_REPLY, FinishReason.STOP, 4) + wire.marker(_REPLY)
        made.append((wire, True, opening + texts + end))
        made.append((wire, True, opening + beat + texts[: len(texts) // 2] + wire.error_event("kind", "words")))
        made.append((wire, False, wire.batch(_REPLY, "amber ⟨9f3c:1@0ms⟩ ", FinishReason.LENGTH, 1)))
        made.append((wire, False, wire.error_body("kind", "words")))
    return made


def mutated(source: random.Random, raw: bytes, others: list[bytes]) -> bytes:
    """One to four changes, each at a random place."""
    data = bytearray(raw)
    for _ in range(source.randint(1, 4)):
        start = source.randint(0, len(data))
        stop = min(len(data), start + source.choice((1, 3, 40, 400)))
        match source.randrange(7):
            case 0:
                data[start:stop] = source.randbytes(stop - start)
            case 1:
                del data[start:stop]
            case 2:
                data[start:start] = data[start:stop] * source.randint(1, 8)
            case 3:
                data[start:start] = source.choice(_SPICE)
            case 4:
                del data[start:]
            case 5:
                data[start:stop] = source.choice(others)[start:stop]
            case 6:
                data[start:stop] = bytes(byte ^ (1 << source.randrange(8)) for byte in data[start:stop])
    return bytes(data)


def encoded(source: random.Random, raw: bytes) -> tuple[str, bytes]:
    """The body with a coding that fits it, one that does not, or none."""
    match source.randrange(12):
        case 0:
            return "gzip", gzip.compress(raw, 1)
        case 1:
            squeezed = bytearray(gzip.compress(raw, 1))
            squeezed[source.randrange(len(squeezed))] ^= 1 << source.randrange(8)
            return "gzip", bytes(squeezed[: source.randint(1, len(squeezed))])
        case 2:
            return "deflate", zlib.compress(raw, 1)
        case 3:
            return source.choice(("gzip", "deflate", "br", "zstd", "klingon", " GZIP ", "gzip, br")), raw
    return "", raw


def cut(source: random.Random, raw: bytes) -> tuple[Read, ...]:
    """The bytes as reads, cut anywhere, with times."""
    places = sorted(source.randint(0, len(raw)) for _ in range(source.randint(0, 4)))
    ends = [0, *places, len(raw)]
    pieces = [raw[a:b] for a, b in pairwise(ends) if a < b]
    at = 0.0
    reads = []
    for piece in pieces:
        at += source.choice((0.0, 0.001, 0.02, 0.2, 5.0))
        reads.append(Read(at, piece))
    return tuple(reads)


def samples() -> Iterator[Sample]:
    """Every input as the sample that an audit would make of it."""
    source = random.Random(20261124)
    known = recordings()
    bodies = [raw for _, _, raw in known]
    routes = [Route("path", "https://h/v1"), Route("direct", "https://d/v1"), Route("gate", "https://g/v1")]
    for _ in range(INPUTS):
        wire, stream, raw = source.choice(known)
        coding, body = encoded(source, mutated(source, raw, bodies))
        reads = cut(source, body)
        kind = source.choice((wire.stream_type, wire.stream_type, "application/json", "text/html", "", "\x00"))
        trace = Trace(
            started=0.0,
            ended=(reads[-1].at if reads else 0.0) + source.choice((0.0, 0.01, 60.0)),
            end=source.choice(tuple(TransportEnd)),
            status=source.choice((200, 200, 200, 200, 204, 302, 401, 404, 429, 500, 504, None)),
            version="1.1",
            headers=(("content-type", kind), *([("content-encoding", coding)] if coding else [])),
            headers_at=0.0,
            framing=source.choice(("chunked", "length", "close")),
            reads=reads,
            body=reads,
        )
        setting = Setting(source.choice(routes), accept_encoding=source.choice(("", "gzip")), stream=stream)
        yield Sample(setting, Evidence(wire.name, stream, trace))


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raise where the code hangs, so that the traceback names the place."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"one input took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def read_one(sample: Sample) -> int:
    """The events that the reader finds; the body is read again by everything else."""
    evidence = sample.evidence
    reader = BodyReader(FORMATS[evidence.wire_format], evidence.stream, evidence.trace.header("content-encoding"))
    return sum(len(reader.feed(piece.data).events) for piece in evidence.trace.body) + len(reader.close().events)


@pytest.mark.soak
def test_mutated_recordings_are_read_and_concluded_from() -> None:
    """Whatever comes is read to its end, and an audit of twenty such replies comes to a conclusion."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    together: list[Sample] = []
    for number, sample in enumerate(samples()):
        try:
            with alarm(SLOWEST):
                events = read_one(sample)
                size = sum(len(piece.data) for piece in sample.evidence.trace.body)
                # No event takes less than one byte of a body, and compression below a thousand is no bomb here.
                assert events <= 1024 * size + 2
                measure(sample, judged=True)
                stop_of(sample, first=True)
                together.append(sample)
                if len(together) == TOGETHER:
                    conclude(together, longest=60.0)
                    together = []
        except Exception as error:
            error.add_note(f"input {number} of seed 20261124")
            raise
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < MOST_MEMORY


@pytest.mark.parametrize("size", [1, 4096])
def test_mutated_heads_are_parsed(size: int) -> None:
    """A status line and headers full of mistakes are a fact (`trouble`) and no exception."""
    source = random.Random(size)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    raw = head + b"5\r\nhello\r\n0\r\n\r\n"
    for number in range(max(200, INPUTS // 20)):
        parser = Http1()
        parser.write_request(HttpRequest("http", "h", "/", body=b"{}"))
        data = mutated(source, raw, [raw])
        try:
            with alarm(SLOWEST):
                for place in range(0, len(data), size):
                    parser.feed(data[place : place + size])
                parser.closed()
        except Exception as error:
            error.add_note(f"head {number} of seed {size}")
            raise


@pytest.mark.parametrize("wire", FORMATS.values(), ids=FORMATS)
def test_a_line_that_never_ends_takes_linear_time(wire: WireFormat) -> None:
    """Eight megabytes without a line end, in small reads, are read in time that grows with their length only."""
    reader = wire.reader()
    began = time.monotonic()
    for _ in range(2048):
        reader.feed(b"x" * 4096)
    reader.close()
    assert time.monotonic() - began < SLOWEST


def test_a_stamp_of_thousands_of_digits_is_no_token() -> None:
    """Python refuses to convert so many digits; found by mutation 30,621."""
    wire = FORMATS["openai-chat"]
    reader = BodyReader(wire, stream=True)
    piece = reader.feed(wire.text(_REPLY, f"⟨9f3c:{'1' * 5000}@{'2' * 5000}ms⟩ ⟨9f3c:1@2ms⟩ "))
    assert [stamp.number for stamp in piece.tokens] == [1]
