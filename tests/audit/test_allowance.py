"""The allowance: an answer that plainly ignores its limit on tokens is left, and the stated cost holds."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from lab.audit.results import load
from lab.cli import main
from lab.endpoint.allowance import LONGEST_TOKEN, Allowance, at_least, limit_field, most_of
from lab.errors import ExitCode
from lab.evidence import TransportEnd
from lab.probe.body import BodyReader, Piece
from lab.probe.exchange import Enough
from lab.probe.framing import Head
from lab.wire import FORMATS, format_named
from lab.wire.events import Heartbeat, OtherPiece, Reasoning, Text
from lab.wire.format import Reply
from lab.wire.tokens import write_token

from .conftest import Foreign
from .test_bad_input import END, TEXT

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


@pytest.mark.parametrize("words", [1, 10])
def test_the_stated_cost_holds(foreign: Foreign, tmp_path: Path, words: int) -> None:
    """Of an endpoint that ignores its limit each answer is left, and too many requests are not made."""
    written: list[int] = []

    async def endless(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await reply.prepare(request)
        place = len(written)
        written.append(0)
        for _ in range(5000 // words):
            await reply.write(TEXT % (b"word " * words))
            written[place] += words
            await asyncio.sleep(0.002)
        await reply.write(END)
        return reply

    code = main(
        ["audit", foreign(endless), "--runs", "1", "--max-tokens", "100", "--longest", "60s", "--out", str(tmp_path)]
    )
    results = load(tmp_path / "audit.json")
    assert {sample.transport_end for sample in results.samples} == {TransportEnd.LEFT}
    assert {sample.ending for sample in results.samples} == {None}
    assert sum(sample.events * words for sample in results.samples) <= 5 * 100
    assert len(written) == results.requests < results.planned
    assert code == ExitCode.AS_REQUIRED
    assert results.conclusions is not None
    (problem,) = [one for one in results.conclusions.problems if "ignores the limit" in one.sentence]
    assert "max_completion_tokens: 100" in problem.sentence


def test_an_endpoint_that_keeps_to_its_limit_is_read_to_its_end(foreign: Foreign, tmp_path: Path) -> None:
    """A hundred tokens of a limit of a hundred are a whole answer."""

    async def keeps(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=TEXT % b"word " * 100 + END, content_type="text/event-stream")

    main(["audit", foreign(keeps), "--runs", "1", "--max-tokens", "100", "--out", str(tmp_path)])
    results = load(tmp_path / "audit.json")
    assert {sample.transport_end for sample in results.samples} == {TransportEnd.FRAMED}
    assert results.requests == results.planned


def test_a_whole_answer_whose_reply_never_ends(
    foreign: Foreign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The answer is complete, so the path does not fail; that clients hang is a warning, said in one request."""
    monkeypatch.setattr("lab.cli.audit.LEAST_PATIENCE", 1.0)

    async def open_ended(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await reply.prepare(request)
        await reply.write(TEXT % b"word " * 3 + END)
        await asyncio.sleep(60)
        return reply

    code = main(["audit", foreign(open_ended), "--longest", "100ms", "--out", str(tmp_path)])
    out = capsys.readouterr().out
    assert code == ExitCode.AS_REQUIRED
    assert "The path fails" not in out
    assert "Endings: 1 complete." in out.splitlines()[0]
    assert "a client that waits for the end hangs" in out
    assert load(tmp_path / "audit.json").requests == 1
