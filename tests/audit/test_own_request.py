"""An application's endpoint, which is asked as its own page asks and streams in its own way."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp import web

from lab.audit.results import load
from lab.errors import ExitCode

from .conftest import Audit, Foreign

pytestmark = pytest.mark.usefixtures("own_signals")

QUESTION = b'{ "question": "How far is the moon?",  "history": [] }'
WORDS = 40


class Application:
    """Streams words to whom asks it properly, and keeps what it was asked."""

    def __init__(self, words: int = WORDS) -> None:
        self.asked: list[tuple[str, str, bytes, str, str]] = []
        self._words = words

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        body = await request.read()
        headers = request.headers
        self.asked.append(
            (request.method, request.path_qs, body, headers.get("Content-Type", ""), headers.get("X-Tenant", ""))
        )
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        for number in range(self._words):
            await answer.write(b"data: %s\n\n" % json.dumps({"token": f"word{number} "}).encode())
            await asyncio.sleep(0.002)
        await answer.write(b"event: done\ndata: {}\n\n")
        return answer


def at(url: str, path: str) -> str:
    """The same server's address with another path."""
    return url.replace("/v1/chat/completions", path)


@pytest.fixture
def question(tmp_path: Path) -> Path:
    """The file with the application's request."""
    file = tmp_path / "question.json"
    file.write_bytes(QUESTION)
    return file


def test_it_is_asked_with_the_users_own_body(audit: Audit, foreign: Foreign, question: Path, tmp_path: Path) -> None:
    """Byte for byte, at the address itself, with the headers that were given; its answers are read and pass."""
    application = Application()
    url = at(foreign(application.answer), "/api/chat")
    code, out, err = audit(url, "--body", str(question), "--header", "X-Tenant=blue")
    assert code == ExitCode.AS_REQUIRED, out + err
    assert set(application.asked) == {("POST", "/api/chat", QUESTION, "application/json", "blue")}
    assert "of your own" in " ".join(err.split())
    samples = load(tmp_path / "out" / "audit.json").samples
    assert len(samples) == len(application.asked) > 1


def test_a_get_has_no_body(audit: Audit, foreign: Foreign) -> None:
    """What it asks for stands in the address, whose end is not taken for a base."""
    application = Application()
    code, out, err = audit(at(foreign(application.answer), "/v1/?q=moon"), "--method", "GET", "--at-once", "1")
    assert code == ExitCode.AS_REQUIRED, out + err
    assert {asked[:4] for asked in application.asked} == {("GET", "/v1/?q=moon", b"", "")}


def test_nobody_ignores_a_limit_that_was_not_set(audit: Audit, foreign: Foreign, question: Path) -> None:
    """A long answer is left after as much as is read, and the endpoint is not blamed for it."""
    url = at(foreign(Application(words=400).answer), "/api/chat")
    _, out, err = audit(url, "--body", str(question), "--max-tokens", "50", "--at-once", "1")
    said = " ".join((out + err).split())
    assert "ignores the limit" not in said
    assert "--max-tokens" in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--method", "GET", "--body", "{question}"), "a GET has none"),
        (("--method", "DELETE"), "none that is asked with here"),
        (("--body", "{folder}/absent.json"), "No such file"),
        (("--body", "{folder}"), "directory"),
        (("--body", "{folder}/words.txt"), "no JSON"),
        (("--body", "{question}", "--active"), "not for --active"),
        (("--method", "GET", "--active"), "not for --active"),
        (("--body", "{question}", "--header", "Cookie=x"), "must not stand on the command line"),
    ],
)
def test_what_makes_no_request(
    audit: Audit, question: Path, tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    """Refused before anything is asked."""
    (tmp_path / "words.txt").write_text("just words")
    given = [option.format(question=question, folder=tmp_path) for option in options]
    code, _, err = audit("http://127.0.0.1:1/api/chat", *given)
    assert code == ExitCode.BAD_INPUT
    assert words in " ".join(err.split())
