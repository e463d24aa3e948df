from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.printable import REPLACEMENT, printable, printable_text

HARMLESS = [
    "a plain line",
    "proxy_read_timeout 60s;",
    "Größe – “quoted” ⟨c5a7:1@0ms⟩ ✓ ▲",
    "日本語 עברית हिन्दी",
    "a\N{NO-BREAK SPACE}b\N{IDEOGRAPHIC SPACE}c",
    "\N{WOMAN}\N{ZERO WIDTH JOINER}\N{PERSONAL COMPUTER}",
]

HOSTILE = {
    "escape": "\x1b",
    "bell": "\x07",
    "backspace": "\x08",
    "return": "\r",
    "delete": "\x7f",
    "CSI of one byte": "\x9b",
    "OSC of one byte": "\x9d",
    "next line": "\x85",
    "right-to-left override": "\N{RIGHT-TO-LEFT OVERRIDE}",
    "isolate": "\N{FIRST STRONG ISOLATE}",
    "zero width": "\N{ZERO WIDTH SPACE}",
    "byte order mark": "\ufeff",
    "tag": "\U000e0041",
    "line separator": "\N{LINE SEPARATOR}",
    "half a pair": "\ud800",
    "a byte of a file's name": "\udc9b",
}


@pytest.mark.parametrize("line", HARMLESS)
def test_what_can_be_read_stays(line: str) -> None:
    """Words in any script, with their punctuation, spaces and joined emoji, are nobody's attack."""
    assert printable(line) == line


@pytest.mark.parametrize("character", HOSTILE.values(), ids=HOSTILE)
def test_what_has_no_shape_is_replaced(character: str) -> None:
    """Whoever reads the line sees that something stood there."""
    assert printable(f"a{character}b") == f"a{REPLACEMENT}b"
    assert printable_text(f"a{character}b\nc") == f"a{REPLACEMENT}b\nc"


def test_the_colours_of_a_log_go_without_a_trace() -> None:
    """A proxy that colours its log means no harm, and its lines stay readable."""
    assert printable("\x1b[1;31mALERT\x1b[0m: no\tserver") == "ALERT: no   server"


def test_one_line_stays_one() -> None:
    """A line end in a name cannot begin a line that looks like the lab's own."""
    assert printable("name\nlab: all verified") == f"name{REPLACEMENT}lab: all verified"


def test_a_text_keeps_its_lines() -> None:
    """Of either system's line ends."""
    assert printable_text("one\r\ntwo\n\nthree\n") == "one\ntwo\n\nthree\n"


@settings(max_examples=40, deadline=None)
@given(st.text())
def test_nothing_is_left_to_be_made_printable(text: str) -> None:
    """Whatever comes in, what goes out can be written in UTF-8 and is not changed again."""
    shown = printable_text(text)
    assert shown.encode("utf-8").decode("utf-8") == shown
    assert printable_text(shown) == shown
    assert "\n" not in printable(text)
