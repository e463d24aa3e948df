from __future__ import annotations

import os
import resource
import zlib
from collections.abc import Callable

import brotli  # type: ignore[import-untyped]  # it has no stubs
import pytest
import zstandard

from lab.probe.body import BodyReader
from lab.probe.codings import ContentDecoder
from lab.wire import format_named
from lab.wire.events import FinishReason, Marker, Text
from lab.wire.format import Reply

CHAT = format_named("openai-chat")
REPLY = Reply("r", "lab")
DATA = b"".join(CHAT.text(REPLY, f"word {number} ") for number in range(30)) + bytes(range(256))

Pack = Callable[[bytes], bytes]


def zipped(window: int) -> Pack:
    """Compresses with zlib in that format."""

    def pack(data: bytes) -> bytes:
        deflater = zlib.compressobj(wbits=window)
        return deflater.compress(data) + deflater.flush()

    return pack


def two_members(data: bytes) -> bytes:
    """Gzip as a server that appends makes it."""
    return zipped(31)(data[:1000]) + zipped(31)(data[1000:])


def two_frames(data: bytes) -> bytes:
    """The same in zstd."""
    return bytes(zstandard.compress(data[:1000]) + zstandard.compress(data[1000:]))


CODED: dict[str, tuple[str, Pack]] = {
    "gzip": ("gzip", zipped(31)),
    "x-gzip": ("X-Gzip", zipped(31)),
    "gzip members": ("gzip", two_members),
    "deflate": ("deflate", zipped(15)),
    "raw deflate": ("deflate", zipped(-15)),
    "br": ("br", brotli.compress),
    "zstd": ("zstd", zstandard.compress),
    "zstd frames": ("zstd", two_frames),
    "gzip under br": ("gzip, br", lambda data: brotli.compress(zipped(31)(data))),
    "br under gzip": ("identity, br,gzip", lambda data: zipped(31)(brotli.compress(data))),
    "all": ("zstd, deflate, gzip, br", lambda data: brotli.compress(zipped(31)(zipped(15)(zstandard.compress(data))))),
}


@pytest.mark.parametrize("step", [1, 7, 1000, 10**6])
@pytest.mark.parametrize("name", CODED)
def test_a_whole_body_is_decoded_however_it_comes(name: str, step: int) -> None:
    """Every coding, and several on top of each other, gives the very bytes back and is known to be whole."""
    coding, pack = CODED[name]
    packed, decoder = pack(DATA), ContentDecoder(coding)
    decoded = b"".join(decoder.feed(packed[start : start + step]) for start in range(0, len(packed), step))
    assert (decoded == DATA, decoder.trouble, decoder.unfinished) == (True, "", False)


@pytest.mark.parametrize("name", CODED)
def test_a_body_cut_at_any_byte_gives_a_beginning(name: str) -> None:
    """Wherever it ends, what was decoded is a beginning of the data, nothing is trouble, and an open end is known."""
    coding, pack = CODED[name]
    packed = pack(DATA)
    # Between two members, or frames, a body is whole as far as anybody can tell.
    seam = {"gzip members": zipped(31), "zstd frames": zstandard.compress}.get(name, bytes)(DATA[:1000])
    for cut in range(len(packed)):
        decoder = ContentDecoder(coding)
        decoded = decoder.feed(packed[:cut])
        assert DATA.startswith(decoded)
        assert decoder.trouble == ""
        assert decoder.unfinished or cut == len(seam)


def _gzip() -> Pack:
    deflater = zlib.compressobj(wbits=31)
    return lambda data: deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH)


def _raw() -> Pack:
    deflater = zlib.compressobj(wbits=-15)
    return lambda data: deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH)


def _brotli() -> Pack:
    compressor = brotli.Compressor()
    return lambda data: bytes(compressor.process(data) + compressor.flush())


def _zstd() -> Pack:
    compressor = zstandard.ZstdCompressor().compressobj()
    return lambda data: bytes(compressor.compress(data) + compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK))


@pytest.mark.parametrize(("coding", "make"), [("gzip", _gzip), ("deflate", _raw), ("br", _brotli), ("zstd", _zstd)])
def test_each_event_is_read_when_its_flush_has_come(coding: str, make: Callable[[], Pack]) -> None:
    """A server that flushes after each event hands on, compressed or not."""
    pack, body = make(), BodyReader(CHAT, stream=True, coding=coding)
    for number in range(20):
        piece = body.feed(pack(CHAT.text(REPLY, f"word {number} ")))
        assert [event.text for event in piece.events if isinstance(event, Text)] == [f"word {number} "]
    piece = body.feed(pack(CHAT.finish(REPLY, FinishReason.STOP, 20) + CHAT.marker(REPLY)))
    assert any(isinstance(event, Marker) for event in piece.events)
    assert body.trouble == ""


BAD = {
    "unknown": ("compress", b"x", "compress"),
    "unknown among known": ("gzip, exi", b"x", "exi"),
    "too many": ("gzip, br, gzip, br, gzip", b"x", "5 content codings"),
    "plain under gzip": ("gzip", b"data: plain\n\n", "bad gzip data"),
    "plain under br": ("br", b"data: plain text that is none\n\n" * 9, "bad br data"),
    "plain under zstd": ("zstd", b"data: plain\n\n", "bad zstd data"),
    "plain under deflate": ("deflate", b"\xff\xffdata: plain\n\n", "bad deflate data"),
    "gzip under br alone": ("gzip", brotli.compress(DATA), "bad gzip data"),
    "zstd with a window of 128 MiB": (
        "zstd",
        bytes(
            zstandard.ZstdCompressor(
                compression_params=zstandard.ZstdCompressionParameters(window_log=27, enable_ldm=True)
            )
            .compressobj()
            .compress(os.urandom(2**20))
        ),
        "bad zstd data",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_decoded_is_trouble_in_words(name: str) -> None:
    """Nothing raises: the decoder says what is wrong and gives nothing more."""
    coding, sent, words = BAD[name]
    decoder = ContentDecoder(coding)
    decoder.feed(sent)
    assert words in decoder.trouble
    assert decoder.feed(sent) == b""


def test_what_came_before_the_trouble_counts() -> None:
    """A body that is spoilt in its middle gives what was good."""
    pack = _gzip()
    sent = pack(DATA[:500]) + b"\xff" * 50
    decoder = ContentDecoder("gzip")
    assert decoder.feed(sent) == DATA[:500]
    assert "gzip" in decoder.trouble


def test_bytes_behind_a_gzip_body_are_ignored() -> None:
    """Padding behind the end, as some servers send, spoils nothing."""
    decoder = ContentDecoder("gzip")
    assert decoder.feed(zipped(31)(DATA) + bytes(64)) == DATA
    assert (decoder.trouble, decoder.unfinished) == ("", False)


def _bomb(coding: str) -> bytes:
    """A quarter of a gigabyte of nothing, or what decodes to it."""
    if coding == "br":
        compressor = brotli.Compressor(quality=5)
        return b"".join(compressor.process(bytes(2**22)) for _ in range(64)) + bytes(compressor.finish())
    if coding == "zstd":
        maker = zstandard.ZstdCompressor().compressobj()
        return b"".join(maker.compress(bytes(2**22)) for _ in range(64)) + bytes(maker.flush())
    deflater = zlib.compressobj(9, wbits=31)
    once = b"".join(deflater.compress(bytes(2**22)) for _ in range(64)) + deflater.flush()
    return once if coding == "gzip" else zipped(31)(once)


@pytest.mark.parametrize("coding", ["gzip", "gzip, gzip", "br", "zstd"])
def test_a_bomb_is_read_up_to_the_cap_and_no_further(coding: str) -> None:
    """A few kilobytes for a quarter of a gigabyte: one megabyte is read, the rest named, the memory bounded."""
    sent, decoder = _bomb(coding), ContentDecoder(coding, most=2**20)
    assert len(sent) < 2 * 2**20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    decoded = decoder.feed(sent)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert (len(decoded), decoder.feed(sent)) == (2**20, b"")
    assert "1,048,576 bytes" in decoder.trouble
    assert grown < 64 * 1024, f"{grown} KiB"


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_bodies_one_after_another_have_a_bound(coding: str) -> None:
    """An empty one costs as much work as a long one, so a megabyte of them is not undone to its end."""
    decoder, member = ContentDecoder(coding), CODED[coding][1](b"")
    for _ in range(100):
        decoder.feed(member * 1000)
    assert "more than 10,000 of them" in decoder.trouble


def test_a_bomb_amid_the_layers_is_found() -> None:
    """What grows in one layer and shrinks again in the next keeps within the bound in each of them."""
    nothing = b"\0\0\0\xff\xff"  # RFC 1951, section 3.2.4: a block of no bytes
    decoder = ContentDecoder("deflate, gzip", most=2**20)
    assert decoder.feed(zipped(31)(nothing * 2**20)) == b""
    assert decoder.overfull
    assert "1,048,576 bytes" in decoder.trouble


def test_a_brotli_body_that_cannot_be_decoded_is_unfinished() -> None:
    """After bad data the decoder cannot even be asked whether it has finished: nothing raises."""
    decoder = ContentDecoder("br")
    decoder.feed(brotli.compress(b"one"))
    decoder.feed(brotli.compress(b"two"))
    assert decoder.trouble.startswith("bad br data")
    assert decoder.unfinished
