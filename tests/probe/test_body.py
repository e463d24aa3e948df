from __future__ import annotations

import zlib

import pytest

from lab.probe.body import BodyReader, ContentDecoder
from lab.wire import format_named
from lab.wire.format import Reply
from lab.wire.tokens import write_token

CHAT = format_named("openai-chat")
REPLY = Reply("r", "lab")


def token(number: int) -> str:
    """A token's text."""
    return write_token("abcd", number, due=0.0, word="oak....")


def numbers(*texts: str) -> tuple[list[int], list[str]]:
    """Token numbers and stray text in a stream of those texts."""
    body = BodyReader(CHAT, stream=True)
    pieces = [body.feed(CHAT.text(REPLY, text)) for text in texts]
    pieces.append(body.close())
    return [stamp.number for piece in pieces for stamp in piece.tokens], body.stray


TEXTS = {
    "one an event": ((token(1), token(2)), [1, 2], []),
    "two an event": ((token(1) + token(2), token(3)), [1, 2, 3], []),
    "one in two events": ((token(1)[:12], token(1)[12:] + token(2)), [1, 2], []),
    "text between": ((token(1), "and then some ", token(2)), [1, 2], ["and then some oak...."]),
    "text after": ((token(1), "The model has failed."), [1], ["The model has failed."]),
    "half a token": ((token(1), token(2)[:12]), [1], []),
    "not a token": ((token(1), "⟨abcd:x@0ms⟩ " + token(2)), [1, 2], []),
}


@pytest.mark.parametrize("name", TEXTS)
def test_tokens_and_stray_text_are_found(name: str) -> None:
    """Tokens are found however they are spread over events; text beyond a word each is set aside."""
    texts, found, stray = TEXTS[name]
    assert numbers(*texts) == (found, stray)


@pytest.mark.parametrize(("coding", "window"), [("gzip", 31), ("X-Gzip", 31), ("deflate", 15)])
@pytest.mark.parametrize("keep", [1.0, 0.6])
def test_codings_are_undone_piece_by_piece(coding: str, window: int, keep: float) -> None:
    """Byte by byte, and cut in the middle: what could be decoded is there, and a whole body is known as whole."""
    data = bytes(range(256)) * 40
    deflater = zlib.compressobj(wbits=window)
    packed = deflater.compress(data) + deflater.flush()
    packed = packed[: round(len(packed) * keep)]
    decoder = ContentDecoder(coding)
    decoded = b"".join(decoder.feed(bytes([byte])) for byte in packed)
    assert data.startswith(decoded)
    assert decoded
    assert (decoder.trouble, decoder.unfinished, len(decoded) == len(data)) == ("", keep < 1, keep == 1.0)


def test_unknown_and_bad_codings_are_trouble_in_words() -> None:
    """Nothing raises: the decoder says what is wrong and gives nothing more."""
    unknown, bad = ContentDecoder("br"), ContentDecoder("gzip")
    assert (unknown.feed(b"x"), bad.feed(b"plain text"), bad.feed(b"more")) == (b"", b"", b"")
    assert "br" in unknown.trouble
    assert "gzip" in bad.trouble
