"""What an audit said that it would cost holds, whoever answers; an answer that keeps to its limit is read whole."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from lab.audit.results import load
from lab.cli import main
from lab.errors import ExitCode
from lab.evidence import TransportEnd

from .conftest import Foreign
from .test_bad_input import END, TEXT


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
            await asyncio.sleep(0.01)
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
