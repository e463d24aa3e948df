"""The vendors' streams as recorded, cut anywhere and handed over in any pieces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire.recorded import ANTHROPIC, CHAT, OLLAMA, RESPONSES, RESPONSES_END, RESPONSES_RESPONSE, sse

from lab.consume import Complete, Failed, Partial, consume


class Recording(NamedTuple):
    """A whole stream: what comes before its terminal marker, the marker's own line, and what follows."""

    name: str
    before: bytes
    marker: bytes
    behind: bytes = b"\n\n"


# Of Responses and Ollama the event with the reason is the marker; the others have a reason before it.
_COMPLETED = sse("response.completed", RESPONSES_RESPONSE % {"status": "completed", "details": "null"})
_LINE = _COMPLETED.index(b"data: ")
RECORDINGS = [
    Recording("openai-chat", CHAT, b"data: [DONE]"),
    # The event's name says it all: its data are the same word again.
    Recording("anthropic-messages", ANTHROPIC, b"event: message_stop\n", b'data: {"type":"message_stop"}\n\n'),
    Recording("openai-responses", RESPONSES + RESPONSES_END + _COMPLETED[:_LINE], _COMPLETED[_LINE:].rstrip()),
    Recording(
        "ollama-chat",
        OLLAMA,
        b'{"model":"m","created_at":"t","message":{"role":"assistant","content":""},"done":true,'
        b'"done_reason":"stop","eval_count":10}',
        b"\n",
    ),
]
ERRORS = [None, ConnectionResetError("reset"), TimeoutError("10 s")]

each_recording = pytest.mark.parametrize("recording", RECORDINGS, ids=lambda recording: recording.name)


def handed(body: bytes, places: list[int], error: Exception | None) -> Iterator[bytes]:
    """The body cut at those places, and then the error, if there is one."""
    for since, until in zip([0, *places], [*places, len(body)], strict=True):
        yield body[since:until]
    if error is not None:
        raise error


@each_recording
@settings(max_examples=300)
@given(data=st.data())
def test_complete_takes_the_whole_marker(recording: Recording, data: st.DataObject) -> None:
    """However much of a stream comes, in whatever pieces, and whether its end is clean or not."""
    whole = recording.before + recording.marker + recording.behind
    marked = len(recording.before) + len(recording.marker)
    body = whole[: data.draw(st.one_of(st.integers(0, len(whole)), st.integers(marked - 3, len(whole))))]
    places = sorted(data.draw(st.sets(st.integers(0, len(body)), max_size=20)))
    shown: list[str] = []
    error = data.draw(st.sampled_from(ERRORS))
    answer = consume(handed(body, places, error), wire_format=recording.name, on_text=shown.append)
    text = "".join(shown)
    if len(body) < marked:
        assert isinstance(answer, Partial if text else Failed), answer
    if len(body) == len(whole):
        assert isinstance(answer, Complete), answer
        assert (answer.text, answer.dirty_close) == ("Hello", error is not None)
    assert text == (answer.text if isinstance(answer, Complete | Partial) else "")


@pytest.mark.parametrize("stream", [True, False])
def test_a_last_line_without_its_end_is_shown_too(stream: bool) -> None:
    """Its text is known only when the body has ended; of a batch reply nothing is shown, as ever."""
    line = b'{"model":"m","message":{"role":"assistant","content":"Hello"},"done":true,"done_reason":"stop"}'
    shown: list[str] = []
    answer = consume([line], wire_format="ollama-chat", stream=stream, on_text=shown.append)
    assert isinstance(answer, Complete)
    assert (answer.text, shown) == ("Hello", ["Hello"] if stream else [])
