"""Three careless consumers, as applications really write them, to be held against `lab.consume`.

All three share the parser that people write by hand: whatever line begins with `data: ` is a token. It
works on every whole stream, and so it passes every test that has no cut in it. None of the three looks
for a finish reason or for the terminal marker, and so none can know that an answer is not whole. They
are called like `consume`, and leave status, headers and wire format unread.

Warning: do not copy. Each returns `Complete` for half an answer, or None where it reports nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from lab.consume import Answer, Complete


def shows_as_whole(chunks: Iterable[bytes], **_: object) -> Answer | None:
    """A chat window that must not show an ugly error, so it swallows the exception.

    The user sees an answer that stops in the middle of a sentence, with the buttons of a finished answer
    below it. The half goes into the conversation's history, and the model builds on it.
    """
    tokens: list[str] = []
    try:
        for token in _tokens(chunks):
            tokens.append(token)
    except Exception:  # noqa: S110 - swallowing it is what this one does wrong
        pass
    return Complete("".join(tokens), len(tokens), "stop")


def processes_half(chunks: Iterable[bytes], **_: object) -> Answer | None:
    """An extraction job that mends what came, because "the model sometimes forgets the last bracket".

    The user sees a list that parses: 312 of 500 invoices are booked, the last one perhaps with half its
    amount, and no line in any log says that there were more.
    """
    tokens: list[str] = []
    try:
        for token in _tokens(chunks):
            tokens.append(token)
    except Exception:  # noqa: S110 - swallowing it is what this one does wrong
        pass
    records = _records("".join(tokens))
    return Complete(json.dumps(records, ensure_ascii=False), len(tokens), "stop")


def drops_silently(chunks: Iterable[bytes], **_: object) -> Answer | None:
    """A background worker that treats every exception as "no answer this time".

    The user sees nothing at all, though most of the answer came and was paid for. Where the cut is a
    clean end there is no exception either, and half an answer passes for a whole one.
    """
    try:
        tokens = list(_tokens(chunks))
    except Exception:
        return None
    return Complete("".join(tokens), len(tokens), "stop")


def _tokens(chunks: Iterable[bytes]) -> Iterator[str]:
    for line in _lines(chunks):
        if not line.startswith("data: "):
            continue
        if line == "data: [DONE]":
            break
        event = json.loads(line.removeprefix("data: "))
        delta = event["choices"][0]["delta"] if event.get("choices") else event.get("delta", {})
        token = delta.get("content") or delta.get("text")
        if token:
            yield token


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """What a client's `iter_lines` does."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line.decode() for line in lines)
    if rest:
        yield rest.decode()


def _records(text: str) -> list[object]:
    """The records of a JSON array, mended until it parses; of any other text its lines."""
    ends = range(len(text), 0, -1) if text.lstrip().startswith("[") else ()
    for end in ends:
        try:
            document = json.loads(text[:end] + _closers(text[:end]))
        except ValueError:
            continue
        return list(document)
    return list(text.splitlines())


def _closers(text: str) -> str:
    """The quotation mark and brackets that half a JSON document lacks."""
    missing: list[str] = []
    quoted = escaped = False
    for character in text:
        if quoted:
            quoted, escaped = escaped or character != '"', not escaped and character == "\\"
        elif character == '"':
            quoted = True
        elif character in "[{":
            missing.append("]" if character == "[" else "}")
        elif character in "]}" and missing:
            missing.pop()
    return ('"' if quoted else "") + "".join(reversed(missing))
