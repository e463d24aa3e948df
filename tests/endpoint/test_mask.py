"""Every way in which a server may echo a secret, or a part of it; and that ordinary text stays as it is."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from lab.endpoint.mask import MASK, Mask
from lab.evidence import Read, Trace, TransportEnd
from lab.plan import make_plan
from lab.wire import FORMATS
from lab.wire.events import FinishReason
from lab.wire.format import Reply

KEYS = {
    "openai": "sk-proj-Ab3dEf6hIj9kLmN0pQr5tUvW2xYz7AbC_dE4-gHi8jK1m",
    "anthropic": "sk-ant-api03-Zx9Cv8Bn7Ml6Kj5Hg4Fd3Sa2Qw1Er0Ty-Ui_Op9As8Df7Gh6Jk5Lz4",
    "google": "AIzaSyD4f6G8h1J3k5L7m9N2p4Q6r8S1t3U5v7W",
    "hexadecimal": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "uuid": "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
    "no digit": "qWmZpKvXcRtYbNsLdFgHjQwErTyUiOpAs",
    "token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
}
PHRASE = "correct-horse-battery-staple"


def every(size: int, separator: str) -> Callable[[str], str]:
    """Puts a separator behind every so many characters."""
    return lambda text: separator.join(text[at : at + size] for at in range(0, len(text), size))


def character_by_character(form: str) -> Callable[[str], str]:
    """Writes every character, letters and digits too, in that form of its number."""
    return lambda text: "".join(form.format(ord(character)) for character in text)


def in_fields(size: int) -> Callable[[str], str]:
    """Spreads a text over the fields of a document."""

    def spread(text: str) -> str:
        parts = [text[at : at + size] for at in range(0, len(text), size)]
        return json.dumps({f"part {number}": part for number, part in enumerate(parts)})

    return spread


def in_events(text: str) -> str:
    """The same over the events of a stream, five characters each."""
    events = [{"choices": [{"index": 0, "delta": {"content": text[at : at + 5]}}]} for at in range(0, len(text), 5)]
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events)


def in_base64(text: str) -> str:
    """In base64, amid other text so that its bits are shifted."""
    return base64.b64encode(f"x{text}y".encode()).decode()


WAYS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "upper reading": str.upper,
    "lower case": str.lower,
    "readings swapped": str.swapcase,
    "spaced out": every(1, " "),
    "in groups of four": every(4, " "),
    "in groups with dashes": every(5, "-"),
    "in lines": every(16, "\n"),
    "in lines of Windows": every(16, "\r\n"),
    "in lines in JSON": lambda text: json.dumps(every(16, "\n")(text)),
    "in lines of a page": every(12, "&#10;"),
    "spaces of a page": every(4, "&nbsp;"),
    "spaces of a URL": every(4, "%20"),
    "signs without width": every(3, "\N{ZERO WIDTH SPACE}"),
    "dots between": every(1, "."),
    "separators left out": lambda text: re.sub("[-_.]", "", text),
    "spaces for separators": lambda text: re.sub("[-_.]", " ", text),
    "in a list": lambda text: json.dumps([text[:12], text[12:24], text[24:]]),
    "in fields": in_fields(9),
    "in small fields": in_fields(6),
    "in events": in_events,
    "JSON, each character": character_by_character("\\u{:04x}"),
    "Python, each character": character_by_character("\\x{:02X}"),
    "URL, each character": character_by_character("%{:02x}"),
    "URL twice, each character": character_by_character("%25{:02X}"),
    "HTML, each character": character_by_character("&#{};"),
    "HTML in hexadecimal, each character": character_by_character("&#x{:x};"),
    "hexadecimal": lambda text: text.encode().hex(),
    "hexadecimal, great": lambda text: text.encode().hex().upper(),
    "hexadecimal with colons": lambda text: text.encode().hex(":"),
    "hexadecimal with spaces": lambda text: text.encode().hex(" ", 4),
    "base64": in_base64,
    "base64 in lines": lambda text: every(20, "\r\n")(in_base64(text)),
    "base64 in JSON of PHP": lambda text: json.dumps(in_base64(text)).replace("/", "\\/"),
    "base64 for URLs": lambda text: in_base64(text).replace("+", "-").replace("/", "_").rstrip("="),
    "base64 in upper reading": lambda text: in_base64(text).upper(),
    "base64 of base64's beginning": lambda text: in_base64(text)[:40],
    "several at once": lambda text: quote(every(8, "\n")(text.upper()), safe=""),
}

PARTS: dict[str, Callable[[str], str]] = {
    "whole": str,
    "beginning": lambda key: key[:20],
    "end": lambda key: key[-12:],
    "last nine": lambda key: key[-9:],
    "middle": lambda key: key[14:30],
    "without its beginning": lambda key: key[3:],
    "without its end": lambda key: key[:-1],
    "all but the middle": lambda key: f"{key[:20]}...{key[-10:]}",
}


def bare(text: str) -> str:
    """Letters and digits, in lower case."""
    return "".join(character for character in text.lower() if character.isascii() and character.isalnum())


def left_of(key: str, masked: str, size: int = 8) -> set[str]:
    """The pieces of a key behind its public prefix, of so many letters and digits, that a text still has."""
    letters, found = bare(key.removeprefix("sk-proj-").removeprefix("sk-ant-api03-")), bare(masked)
    return {piece for at in range(len(letters) - size + 1) if (piece := letters[at : at + size]) in found}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", KEYS)
def test_no_telling_piece_is_left_in_a_text(name: str, way: str) -> None:
    """Whole or in part, in whatever writing: of the key nothing is left that anybody could use."""
    key, write = KEYS[name], WAYS[way]
    mask = Mask.of([f"Bearer {key}"])
    for part in PARTS.values():
        spelt = write(part(key))
        masked = mask.text(f"error: {spelt} is no key of ours")
        assert MASK in masked or part(key) != key
        assert left_of(key, masked) == set()
        assert left_of(key.encode().hex(), masked, 16) == set()
        assert left_of(in_base64(key)[2:-4], masked, 12) == set()
        assert masked.startswith("error: ")
        # A key may go on with the very letter of the next word.
        assert masked.endswith("no key of ours")


@pytest.mark.parametrize("way", ["in small fields", "in events"])
@pytest.mark.parametrize("name", ["google", "hexadecimal", "no digit"])
def test_pieces_that_follow_each_other_are_one(name: str, way: str) -> None:
    """Five or six letters and digits tell nothing, but several such pieces in the order of the key do."""
    key = KEYS[name]
    masked = Mask.of([key]).text(WAYS[way](key))
    assert masked.count(MASK) >= len(bare(key)) // 7
    # What is left are single pieces at a border of the key's.
    assert sum(piece in bare(masked) for piece in every(5, " ")(bare(key)).split()) <= 2


@pytest.mark.parametrize("way", WAYS)
def test_a_trace_keeps_its_sizes_and_its_structure(way: str) -> None:
    """In a body the key is overwritten where it stands, and what holds it stays a document."""
    key, write = KEYS["openai"], WAYS[way]
    body = json.dumps({"error": {"message": write(key)}}).encode()
    reads = tuple(Read(float(at), body[at : at + 7]) for at in range(0, len(body), 7))
    masked = Mask.of([key]).trace(Trace(0.0, 1.0, TransportEnd.FRAMED, reads=reads, body=reads))
    assert [len(read.data) for read in masked.body] == [len(read.data) for read in reads]
    whole = b"".join(read.data for read in masked.body).decode()
    message = json.loads(whole)["error"]["message"]
    assert "*" in message
    assert left_of(key, whole) == left_of(key, message) == set()


def test_a_document_that_holds_a_key_in_its_fields_stays_one() -> None:
    """Only the pieces are overwritten, and nothing between them."""
    key = KEYS["openai"]
    body = json.dumps([key[:12], {key[12:20]: key[20:]}]).encode()
    masked = Mask.of([key]).trace(Trace(0.0, 1.0, TransportEnd.FRAMED, body=(Read(0.0, body),)))
    assert json.loads(masked.body[0].data) == ["*" * 12, {"*" * 8: "*" * len(key[20:])}]


class TestPhrases:
    """A secret that is all words, as people make them for a model server of their own."""

    @pytest.mark.parametrize(
        "text",
        [
            *(PHRASE, PHRASE.upper(), PHRASE.replace("-", " "), PHRASE.replace("-", ""), every(1, " ")(PHRASE)),
            *(PHRASE[:13], PHRASE[-16:], PHRASE[4:20], quote(PHRASE.replace("-", "/"), safe=""), PHRASE.encode().hex()),
        ],
    )
    def test_it_is_known_whole_and_in_long_pieces(self, text: str) -> None:
        """Twelve letters in a row are more than chance brings."""
        secret = PHRASE.replace("-", "/") if "%2F" in text else PHRASE
        assert Mask.of([secret]).text(f"<{text}>") == f"<{MASK}>"

    @pytest.mark.parametrize(
        "text", ["the correct answer", "a horse", "low battery", "batteries, horses", '{"correct":{"horse":"battery"}}']
    )
    def test_its_words_are_words(self, text: str) -> None:
        """Each of them alone, and all of them where something else stands between."""
        assert Mask.of([PHRASE]).text(text) == text


def test_a_secret_of_two_words_is_no_scheme_and_a_key() -> None:
    """Nobody can know, so both are masked together and the second alone; of more words only all of them are."""
    assert Mask.of(["correct battery"]).text("correct battery, battery") == f"{MASK}, {MASK}"
    assert Mask.of(["correct horse battery"]).text("correct horse battery, battery") == f"{MASK}, battery"


@pytest.mark.parametrize("key", ["hunter22", "a-b-c-d!", "!!!!!!!!", "abc-def", "12345678"])
def test_a_short_secret_is_known_whole(key: str) -> None:
    """In any reading; with anything else between its characters it is ordinary text."""
    mask = Mask.of([key])
    assert mask.text(f"<{key}>, {key.upper()}") == f"<{MASK}>, {MASK}"
    assert mask.text("a, b, c, d and so on") == "a, b, c, d and so on"


PROSE = [path for folder in ("docs", "scenarios", "lab") for path in sorted(Path(folder).rglob("*.md"))]
ORDINARY = [
    "Keys begin with sk-proj- or sk-ant-api03-; those of Google begin with AIzaSy.",
    "Incorrect API key provided: sk-proj-************************************jK1m.",
    "Authorization: Bearer ... (expected a bearer token)",
    '{"error":{"message":"invalid x-api-key","type":"authentication_error"}}',
    "sk-", "sk-proj-", "Bearer sk-proj-A", "key=3f2504e", "0123456789abcdef" * 4,
]  # fmt: skip


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_stays(text: str) -> None:
    """A vendor's public prefix, what the vendors themselves show of a key, and numbers are no secrets."""
    assert Mask.of([*KEYS.values(), PHRASE]).text(text) == text


def streams() -> list[bytes]:
    """What every format writes, as a stream and as a document."""
    found, reply = [], Reply("chatcmpl-0123456789abcdef", "gpt-4o-mini-2024-07-18", include_usage=True)
    for wire in FORMATS.values():
        pieces = [wire.text(reply, f"word {number} ", number) for number in range(1, 200)]
        end = wire.finish(reply, FinishReason.STOP, 199) + wire.marker(reply)
        found.append(wire.opening(reply) + wire.heartbeat() + b"".join(pieces) + end)
        found.append(wire.batch(reply, "text " * 100, FinishReason.STOP, 100))
        found.append(wire.error_body("rate_limit_error", make_plan({}).to_query() or "slow down"))
    return found


LIKE_THE_WIRE = ["message-content-role-user", "choices-delta-role-index", "response-key-of-the-model"]


@pytest.mark.parametrize("key", [*KEYS.values(), PHRASE, *LIKE_THE_WIRE])
def test_no_verdict_hangs_on_a_key(key: str) -> None:
    """What a format writes stays as it is, even where the words of the secret are the format's own."""
    mask = Mask.of([f"Bearer {key}"])
    for stream in streams():
        trace = Trace(0.0, 1.0, TransportEnd.FRAMED, body=(Read(0.0, stream),))
        assert mask.trace(trace).body[0].data == stream


@pytest.mark.parametrize("key", [*KEYS.values(), PHRASE])
def test_pages_of_prose_stay(key: str) -> None:
    """Everything that the lab itself says of streams is ordinary text."""
    assert PROSE
    mask = Mask.of([key])
    for path in PROSE:
        text = path.read_text()
        assert mask.text(text) == text, path


def test_every_field_of_a_record_is_masked() -> None:
    """Texts in tuples, in dictionaries and their keys."""
    key = KEYS["uuid"]
    record = {f"at {key}": (key, [1, 2]), "x": Trace(0.0, 1.0, TransportEnd.FRAMED, detail=f"said {key[:20]}")}
    masked = Mask.of([key]).everything(record)
    assert masked[f"at {MASK}"] == (MASK, [1, 2])
    assert masked["x"].detail == f"said {MASK}"


@pytest.mark.parametrize("blob", [b"%s", b"%s ", b'["%s"],'], ids=["echo", "spaced", "listed"])
def test_a_body_full_of_keys_is_masked_in_one_pass(blob: bytes) -> None:
    """Thousands of echoes, and as many pieces that tell nothing, are no more than a long text."""
    key = KEYS["openai"]
    whole, short = (blob % key.encode()) * 2000, (blob % key[8:13].encode()) * 20_000
    mask = Mask.of([key])
    masked, same = (
        mask.trace(Trace(0.0, 1.0, TransportEnd.FRAMED, body=(Read(0.0, body),))).body[0].data
        for body in (whole, short)
    )
    assert left_of(key, masked.decode()) == set()
    assert len(masked) == len(whole)
    assert same == short


@pytest.mark.parametrize("byte", [b"\x94", b"\xc3", b"\xff"], ids=ascii)
def test_a_body_that_is_no_text_is_masked_and_else_kept(byte: bytes) -> None:
    """Compressed bodies have any byte behind a backslash; a key that stands in one is found."""
    key = KEYS["openai"]
    whole = b"\x1f\x8b\\" + byte + key.encode() + b"\\" + byte
    trace = Mask.of([key]).trace(Trace(0.0, 1.0, TransportEnd.FRAMED, body=(Read(0.0, whole),)))
    assert trace.body[0].data == whole.replace(key.encode(), b"*" * len(key))


@pytest.mark.parametrize("blob", ["\\", "%25", "&amp;", "%", "&", "\\u", "&#", " "], ids=ascii)
def test_text_full_of_escapes_is_read_in_one_pass(blob: str) -> None:
    """None of them makes the reader begin anew at every place; a key behind them is found as ever."""
    key = KEYS["openai"]
    masked = Mask.of([key]).text(blob * 200_000 + f" {key}")
    assert masked.endswith(MASK)
    assert len(masked) >= 200_000 * len(blob)
