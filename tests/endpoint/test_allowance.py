"""The allowance: an answer that plainly ignores its limit on tokens is left."""

from __future__ import annotations

import pytest

from lab.endpoint.allowance import LONGEST_TOKEN, Allowance, at_least, limit_field, most_of
from lab.probe.body import BodyReader, Piece
from lab.probe.exchange import Enough
from lab.probe.framing import Head
from lab.wire import FORMATS, format_named
from lab.wire.events import Heartbeat, OtherPiece, Reasoning, Text
from lab.wire.format import Reply
from lab.wire.tokens import write_token

CHAT = format_named("openai-chat")


@pytest.mark.parametrize(
    ("events", "least"),
    [
        ((), 0),
        ((Heartbeat(),), 0),
        ((Text("a"), Text("b")), 2),
        ((Text("one two three"),), 3),
        ((Reasoning("one two"), Text("x")), 3),
        ((OtherPiece("tool"),), 1),
        ((Text("x" * (3 * LONGEST_TOKEN)),), 3),
        ((Text(" "),), 1),
    ],
)
def test_how_many_tokens_there_are_at_least(events: tuple, least: int) -> None:  # type: ignore[type-arg]
    """An event is a token, a word is one, and so are 128 characters; nothing else is."""
    assert at_least(Piece(events, ())) == least


@pytest.mark.parametrize("words_an_event", [1, 10])
def test_it_leaves_when_the_margin_is_spent_and_no_sooner(words_an_event: int) -> None:
    """A tenth of the limit and sixteen tokens more are let pass, however the text is cut into events."""
    allowance = Allowance(CHAT, 300, "max_tokens")
    allowance.on_head(Head(200, "1.1", (), "chunked"))
    most = most_of(300)
    assert most == 300 + 30 + 16
    event = CHAT.text(Reply("r", "m"), "word " * words_an_event)
    for _ in range(most // words_an_event):
        allowance.on_body(0.0, event)
    with pytest.raises(Enough, match=r"ignores the limit on tokens \(max_tokens: 300\)"):
        allowance.on_body(0.0, event)


def test_the_labs_own_stamps_are_no_words() -> None:
    """Six hundred tokens of the lab's model server are six hundred, although each is a word and a stamp."""
    body = BodyReader(CHAT, stream=True)
    found = [body.feed(CHAT.text(Reply("r", "m"), write_token("0a1b", n, due=0.0, word="word"))) for n in range(1, 601)]
    assert sum(map(at_least, found)) == 600


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_request_states_its_limit(name: str) -> None:
    """The field that the message names is one that the request holds, with the limit in it."""
    ask = format_named(name).ask("m", stream=True, max_tokens=4321)
    field = limit_field(ask, 4321)
    assert f'"{field}":4321' in ask.body.decode().replace(" ", "")
