"""How much of a body is taken, whatever it is coded in."""

from __future__ import annotations

import gzip
import zlib

import brotli  # type: ignore[import-untyped]  # it has no stubs
import pytest
import zstandard

from lab.probe.codings import ContentDecoder
from lab.probe.gauge import Gauge

MOST = 100_000

PACKED = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
    "": bytes,
}


def taken(gauge: Gauge, data: bytes, step: int) -> bytes:
    """What is taken of a body that comes in pieces of that size."""
    return b"".join(gauge.take(data[start : start + step]) for start in range(0, len(data), step))


@pytest.mark.parametrize("step", [7, 10**6])
@pytest.mark.parametrize("coding", PACKED)
def test_a_body_within_its_bounds_is_taken_whole(coding: str, step: int) -> None:
    """Just as many bytes and lines as it may have are no excess."""
    body = b"x" * 99 + b"\n"
    packed, gauge = PACKED[coding](body * 1000), Gauge(coding, MOST, 1000)
    assert (taken(gauge, packed, step) == packed, gauge.excess) == (True, "")


@pytest.mark.parametrize("step", [7, 10**6])
@pytest.mark.parametrize("coding", PACKED)
def test_a_body_of_too_many_bytes_is_taken_to_its_bound(coding: str, step: int) -> None:
    """What is taken decodes to no more than the bound, and the excess is named."""
    packed, gauge = PACKED[coding](b"x" * (MOST + 1)), Gauge(coding, MOST)
    kept = taken(gauge, packed, step)
    assert packed.startswith(kept)
    assert len(ContentDecoder(coding).feed(kept)) <= MOST
    assert gauge.excess == f"more than {MOST:,} bytes of {'decoded ' if coding else ''}body"
    assert gauge.take(packed) == b""


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"], ids=["LF", "CR", "CRLF"])
@pytest.mark.parametrize("coding", PACKED)
def test_a_body_of_too_many_lines_is_not_read_on(coding: str, end: bytes) -> None:
    """Two bytes can be an event, so lines have a bound too, whatever ends them."""
    packed, gauge = PACKED[coding](end * 1001), Gauge(coding, MOST, 1000)
    kept = taken(gauge, packed, 10**6)
    assert ContentDecoder(coding).feed(kept).count(end) <= 1000
    assert gauge.excess == "more than 1,000 lines of body"


def test_what_cannot_be_decoded_is_no_excess() -> None:
    """It is trouble of another kind, which whoever reads the body tells."""
    gauge = Gauge("gzip", MOST)
    assert gauge.take(b"data: plain\n\n" * 100) == b"data: plain\n\n" * 100
    assert gauge.excess == ""
