"""What an endpoint says goes to the user's terminal, into files and onto a page, and is nothing but words there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from aiohttp import web

from lab.cli import main

from .conftest import Answer, Foreign

pytestmark = pytest.mark.usefixtures("own_signals")

ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

NASTY = "\x1b]0;owned\x07 \x9b2J \u202e \ud800\nlab: all verified"
ERROR = json.dumps({"error": {"message": NASTY, "type": NASTY}}).encode()
TEXT = b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": NASTY}, "finish_reason": None}]}).encode()


def answering(status: int, body: bytes, **headers: str) -> Answer:
    """An endpoint that always says the same."""

    async def answer(_request: web.Request) -> web.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, body=body, headers=named)

    return answer


ANSWERS = {
    "location": answering(302, b"", Location="http://h/\x9b2J\x9d0;owned\x9c"),
    "content type": answering(200, b"\x1b[2J\x9b2J", Content_Type="text/\x9b2J"),
    "other headers": answering(200, TEXT + b"\n\n", Content_Type="text/event-stream", Server="\x9b2J", Via="\x9b2J"),
    "an error": answering(400, ERROR, Content_Type="application/json"),
    "an error in a stream": answering(200, TEXT + b"\n\ndata: " + ERROR + b"\n\n", Content_Type="text/event-stream"),
    "nothing but bytes": answering(500, bytes(range(256))),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("command", [["audit"], ["compare", "--concurrency", "1"]], ids=["audit", "compare"])
def test_no_word_of_an_endpoint_acts(
    foreign: Foreign, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str], answer: Answer
) -> None:
    """Neither in the terminal nor on the page; nothing fails over them, and none of them passes for the lab's own."""
    code = main([*command, foreign(answer), "--runs", "1", "--out", str(tmp_path)])
    told = capsys.readouterr()
    assert code in (1, 2, 3)
    assert "Traceback" not in told.err
    assert ACTING.findall(told.out + told.err) == []
    assert "\nlab: all" not in told.out + told.err
    for page in tmp_path.glob("*.html"):
        assert ACTING.findall(page.read_text("utf-8")) == []
    for saved in tmp_path.glob("*.json"):
        assert isinstance(json.loads(saved.read_bytes()), dict)
