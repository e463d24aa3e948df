"""Takes secrets out of texts and traces, in the spellings in which a server may echo them (`lab.endpoint.echoes`)."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import TypeVar, cast

from lab.endpoint.echoes import Bare, Echoes, Span, Spelling, random_from, spellings_of
from lab.evidence import Read, Trace

T = TypeVar("T")

MASK = "[key]"
"""What stands in texts where a key stood."""

SHORTEST = 6
"""Characters. Something shorter occurs in ordinary text and cannot be masked without spoiling it."""


class Mask:
    """Masks some secrets; see `Mask.of`."""

    def __init__(self, spellings: Sequence[Spelling]) -> None:
        self._count = len(spellings)
        self._echoes = Echoes(spellings)

    @classmethod
    def of(cls, secrets: Iterable[str]) -> Mask:
        """A mask for these secrets; of a value like `Basic abc` what stands behind the scheme, and that decoded."""
        keys = dict.fromkeys(part for secret in secrets for part in _parts(secret) if len(part) >= SHORTEST)
        return cls([spelling for key in keys for spelling in spellings_of(key)])

    def __repr__(self) -> str:
        return f"Mask({self._count} spellings)"

    def text(self, text: str) -> str:
        """The text without any secret, and without any telling piece of one."""
        if not self._count:
            return text
        done, parts = 0, []
        for start, end in self._spans(Bare(text)):
            parts += [text[done:start], MASK]
            done = end
        return "".join([*parts, text[done:]])

    def everything(self, record: T) -> T:
        """A record of frozen dataclasses, tuples and texts without any secret; words of closed sets stay."""
        return cast(T, self._walk(record))

    def trace(self, trace: Trace) -> Trace:
        """The trace with every secret overwritten by as many asterisks, also one that came in several reads."""
        if not self._count:
            return trace
        return replace(
            trace,
            detail=self.text(trace.detail),
            headers=tuple((self.text(name), self.text(value)) for name, value in trace.headers),
            reads=self._reads(trace.reads),
            body=self._reads(trace.body),
        )

    def _spans(self, text: Bare) -> list[Span]:
        """Where secrets stand, in order; what overlaps or touches is one."""
        spans: list[Span] = []
        for start, end in sorted(self._echoes.spans(text)):
            if spans and start <= spans[-1][1]:
                spans[-1] = spans[-1][0], max(end, spans[-1][1])
            else:
                spans.append((start, end))
        return spans

    def _walk(self, value: object) -> object:
        match value:
            case Enum():
                return value
            case str():
                return self.text(value)
            case tuple():
                return tuple(self._walk(part) for part in value)
            case dict():
                return {self._walk(key): self._walk(part) for key, part in value.items()}
        if is_dataclass(value) and not isinstance(value, type):
            return replace(value, **{part.name: self._walk(getattr(value, part.name)) for part in fields(value)})
        return value

    def _reads(self, reads: tuple[Read, ...]) -> tuple[Read, ...]:
        whole = b"".join(read.data for read in reads)
        spans = self._spans(Bare(whole))
        if not spans:
            return reads
        masked = bytearray(whole)
        for start, end in spans:
            masked[start:end] = b"*" * (end - start)
        cut, place = [], 0
        for read in reads:
            cut.append(replace(read, data=bytes(masked[place : place + len(read.data)])))
            place += len(read.data)
        return tuple(cut)


def _parts(secret: str) -> Iterable[str]:
    """A secret header's value, what stands behind its scheme, and of `Basic` the user and password in it."""
    scheme, _, bare = secret.rpartition(" ")
    # Words behind a word may be a pass phrase; of more than two, the last is no key by itself.
    if " " in scheme or random_from(bare) is None:
        yield secret
    if " " not in scheme:
        yield bare
    if scheme.lower() == "basic":
        with suppress(ValueError):
            user = base64.b64decode(bare, validate=True).decode("ascii")
            yield from (user, user.partition(":")[2])
