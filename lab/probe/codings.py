"""Content codings undone piece by piece: gzip, deflate, br, zstd, and several on top of each other.

Nothing raises on what a network may bring: bad data is a fact, and stands in `ContentDecoder.trouble`. A body that was
cut gives everything that could be decoded. Decoding goes in small steps and stops at a cap, since a few kilobytes
can stand for gigabytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import brotli  # type: ignore[import-untyped]  # it has no stubs
import zstandard

MOST_DECODED = 64 * 2**20
"""Bytes that one body may decode to; no answer of a model comes near it."""

_STEP = 64 * 1024
MOST_MEMBERS = 10_000
"""gzip and zstd bodies may be several, one after another; each costs more than its bytes."""

# A block of zstd says with four bytes that one byte comes 128 KiB times.
_ZSTD_STEP = 64
# RFC 9659: no more may be wanted of a client for a zstd body.
_ZSTD_WINDOW = 8 * 2**20
_MOST_CODINGS = 4

# zlib's window arguments: 16 + 15 is a gzip header, 15 zlib's own, which HTTP calls deflate, -15 neither.
_GZIP, _ZLIB, _RAW = 31, 15, -15
_GZIP_MAGIC = b"\x1f\x8b"


class Undo(Protocol):
    """Undoes one coding; `feed` gives what the bytes decode to in small pieces, which may be none yet."""

    members: int
    """How many members of gzip, or frames of zstd, have begun."""

    @property
    def finished(self) -> bool:
        """Whether the coded body has come to its own end."""
        ...

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take the next bytes.

        Raises:
            ValueError, zlib.error, brotli.error, zstandard.ZstdError: they are not what the coding says.
        """
        ...


BROKEN = (ValueError, zlib.error, brotli.error, zstandard.ZstdError)


class _Inflate:
    """gzip and deflate; a gzip body may be several, one after another."""

    def __init__(self, window: int, most: int = MOST_MEMBERS) -> None:
        self._window = window
        self._inflater = zlib.decompressobj(window)
        self.members, self._most = 1, most

    @property
    def finished(self) -> bool:
        return self._inflater.eof

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._inflater.eof:
                if self._window != _GZIP or not data.startswith(_GZIP_MAGIC[: len(data)]):
                    return
                self.members = _one_more(self.members, self._most)
                self._inflater = zlib.decompressobj(self._window)
            before = self._inflater.copy()
            try:
                yield self._inflater.decompress(data, _STEP)
            except zlib.error:
                # What stands before the bad byte is good, and zlib has dropped it.
                yield from map(before.decompress, (data[place : place + 1] for place in range(len(data))))
                raise
            data = self._inflater.unconsumed_tail or self._inflater.unused_data


class _Deflate:
    """What HTTP calls deflate: zlib's format, or the bare one that some servers send in its place."""

    def __init__(self) -> None:
        self._begin = b""
        self._inflate: _Inflate | None = None
        self.members = 1

    @property
    def finished(self) -> bool:
        return self._inflate is not None and self._inflate.finished

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._inflate is None:
            self._begin += data
            if len(self._begin) < 2:
                return
            # RFC 1950, section 2.2: the method is 8, and both bytes together are a multiple of 31.
            zlib_header = self._begin[0] & 15 == 8 and int.from_bytes(self._begin[:2], "big") % 31 == 0
            self._inflate, data = _Inflate(_ZLIB if zlib_header else _RAW), self._begin
        yield from self._inflate.feed(data)


class _Brotli:
    def __init__(self) -> None:
        self._decompressor = brotli.Decompressor()
        self.members = 1

    @property
    def finished(self) -> bool:
        try:
            return bool(self._decompressor.is_finished())
        except brotli.error:  # it says so of itself after bad data
            return False

    def feed(self, data: bytes) -> Iterator[bytes]:
        piece = self._decompressor.process(data, output_buffer_limit=_STEP)
        yield piece
        # A full piece may have more behind it, even where more input would be taken.
        while (len(piece) >= _STEP or not self._decompressor.can_accept_more_data()) and not self.finished:
            piece = self._decompressor.process(b"", output_buffer_limit=_STEP)
            yield piece


class _Zstd:
    """zstd; a body may be several frames, one after another."""

    def __init__(self, most: int) -> None:
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
        self._frame = self._decompressor.decompressobj()
        self.members, self._most = 1, most

    @property
    def finished(self) -> bool:
        return bool(self._frame.eof)

    def feed(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _ZSTD_STEP):
            step = data[start : start + _ZSTD_STEP]
            while step:
                if self._frame.eof:
                    self.members = _one_more(self.members, self._most)
                    self._frame = self._decompressor.decompressobj()
                yield self._frame.decompress(step)
                step = self._frame.unused_data


def _one_more(count: int, most: int) -> int:
    if count == most:
        raise ValueError(f"more than {most:,} of them, one after another")
    return count + 1


_CODINGS: Mapping[str, Callable[[int], Undo]] = {
    "gzip": lambda most: _Inflate(_GZIP, most),
    "x-gzip": lambda most: _Inflate(_GZIP, most),
    "deflate": lambda _: _Deflate(),
    "br": lambda _: _Brotli(),
    "zstd": _Zstd,
}
"""Each coding by its name, from how many members of a body are undone."""


@dataclass
class ContentDecoder:
    """Undoes the codings of one body piece by piece; lives as long as that body.

    Args:
        coding: the reply's `Content-Encoding`, in the order in which the codings were put on; empty or
            `identity` passes bytes through.
        most: bytes that the body may decode to; what comes beyond is dropped.
        most_members: of gzip, or frames of zstd, that are undone: 1 is what most clients do.

    `trouble` says in words what could not be decoded, and is empty while all is well; `overfull` is True where that is
    that the body decodes to more than it may.
    """

    coding: str
    most: int = MOST_DECODED
    trouble: str = ""
    overfull: bool = False
    most_members: int = MOST_MEMBERS
    _undo: list[tuple[str, Undo]] = field(default_factory=list)
    _decoded: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        names = [name for part in self.coding.split(",") if (name := part.strip().lower()) not in ("", "identity")]
        unknown = [name for name in names if name not in _CODINGS]
        if unknown:
            self.trouble = f"unknown content coding {unknown[0]!r}"
        elif len(names) > _MOST_CODINGS:
            self.trouble = f"{len(names)} content codings on top of each other"
        else:
            # The last one that was put on comes off first.
            self._undo = [(name, _CODINGS[name](self.most_members)) for name in reversed(names)]
            self._decoded = [0] * len(self._undo)

    @property
    def unfinished(self) -> bool:
        """Whether a coded body has not come to its own end."""
        return any(not undo.finished for _, undo in self._undo)

    @property
    def members(self) -> int:
        """How many members of gzip, or frames of zstd, the body has had so far; 1 without any."""
        return max((undo.members for _, undo in self._undo), default=1)

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; return what they decode to, which may be nothing yet."""
        return b"".join(self.pieces(data))

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """The same in small pieces, for whoever keeps none of them."""
        if data and not self.trouble:
            yield from self._through(data, 0)

    def _through(self, data: bytes, layer: int) -> Iterator[bytes]:
        """What the bytes amount to below the layers from this one on, in small pieces."""
        if layer == len(self._undo):
            yield data
            return
        name, undo = self._undo[layer]
        pieces = undo.feed(data)
        while not self.trouble:
            try:
                piece = next(pieces, None)
            except BROKEN as error:
                self.trouble = f"bad {name} data: {error}"
                return
            if piece is None:
                return
            # Every layer has the same bound: one that grows and another that shrinks it again would cost hours.
            room = self.most - self._decoded[layer]
            self._decoded[layer] += len(piece)
            if piece:
                yield from self._through(piece[:room], layer + 1)
            if len(piece) > room:
                self.trouble = f"the body decodes to more than {self.most:,} bytes, of which the first were read"
                self.overfull = True
