"""Everything bad that an endpoint or a command line can be: one clear message, and the exit code of the audit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab import cli
from lab.compare.results import load
from lab.errors import ExitCode

from .server import Canned, Endpoint, serving

pytestmark = pytest.mark.usefixtures("own_signals")

ERROR = json.dumps({"error": {"message": "nothing for you", "type": "error"}}).encode()
WHOLE = json.dumps({"choices": [{"index": 0, "message": {"content": "one"}, "finish_reason": "stop"}]}).encode()


def reply(status: str, body: bytes, kind: str = "application/json", more: str = "") -> Canned:
    """A reply with that body."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return Canned(head.encode() + body)


REPLIES = {
    "wrong key": (reply("401 No", ERROR), 2, "401, the key is missing, wrong or not allowed"),
    "404 as HTML": (reply("404 No", b"<html>", "text/html"), 2, "404 for /v1/chat/completions, as a web page"),
    "refused request": (reply("422 No", ERROR), 2, "422: {"),
    "redirect": (
        reply("307 There", b"", more="Location: https://elsewhere.example/\r\n"),
        2,
        "redirected to https://el",
    ),
    "rate limit at once": (reply("429 No", ERROR), 3, "429, rate limit"),
    "web page": (reply("200 OK", b"<html>hello", "text/html"), 2, "200 with a web page"),
    "does not stream": (reply("200 OK", WHOLE), 1, "the endpoint does not stream"),
    "nothing": (reply("200 OK", b"", "text/event-stream"), 1, "an empty body"),
    "server error": (reply("500 Oh", ERROR), 1, "500 after"),
    "no HTTP": (Canned(b"220 mail.example ESMTP\r\n\r\n"), 2, "what comes back is no HTTP"),
    "closes": (Canned(b""), 1, "closed after"),
}


@pytest.mark.parametrize(("endpoint", "code", "told"), REPLIES.values(), ids=REPLIES)
def test_a_reply_that_ends_the_comparison_at_its_check(
    endpoint: Canned, code: int, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One message with a remedy, and the files say the same."""
    with serving(endpoint) as url:
        found = cli.main(["compare", f"{url}/v1/chat/completions", "--out", str(tmp_path)])
    said = capsys.readouterr()
    assert found == code
    assert told in " ".join((said.out + said.err).split())
    assert "Traceback" not in said.out + said.err
    saved = load(tmp_path / "compare.json")
    assert told in saved.stopped
    assert saved.remedy
    assert saved.levels == ()
    assert told.split("<")[0] in (tmp_path / "compare.html").read_text()


def test_an_endpoint_that_ignores_its_limit_is_not_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What it will cost cannot be bounded, so the first such answer ends it."""
    endpoint = Endpoint(pieces=400, interval=0.001, slots=1)
    with serving(endpoint) as url:
        found = cli.main(["compare", f"{url}/v1/chat/completions", "--max-tokens", "50", "--out", str(tmp_path)])
    assert found == 2
    assert "ignores the limit on tokens" in capsys.readouterr().err
    assert len(endpoint.asked) == 1


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://127.0.0.1:1/v1/chat/completions", "the connection cannot be opened"),
        ("https://expired.invalid/v1/chat/completions", "the name cannot be found"),
    ],
)
def test_an_endpoint_that_cannot_be_reached_is_the_environments_matter(
    url: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 3, as in the audit."""
    assert cli.main(["compare", url, "--out", str(tmp_path)]) == ExitCode.NO_ENVIRONMENT
    assert told in capsys.readouterr().err


def test_a_certificate_that_nobody_vouches_for_ends_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What answers speaks no TLS at all, so that no connection is verified and nothing is sent."""
    with serving(reply("200 OK", WHOLE)) as url:
        secure = url.replace("http:", "https:")
        assert cli.main(["compare", f"{secure}/v1/chat/completions", "--out", str(tmp_path)]) == (
            ExitCode.NO_ENVIRONMENT
        )
    assert "no verified TLS connection" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--over", "recommended::nginx-1.30::fixed"], "one path at a time"),
        (["--format", "klingon"], "unknown wire format"),
        (["--longest", "soon"], "--longest: 'soon' is no duration"),
        (["--concurrency", "0"], "--concurrency: '0'"),
        (["--ca-file", "/no/such/file"], "/no/such/file: No such file"),
        (["--key-env", "NO_SUCH_VARIABLE"], "no variable NO_SUCH_VARIABLE"),
        (["--max-tokens", "4000"], "50,000 is the most"),
        (["--max-tokens", "4000"], "--max-tokens 555"),
    ],
)
def test_bad_options_cost_no_request(
    options: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 before anything is sent: nobody listens at the address, which would be exit code 3."""
    url = "http://127.0.0.1:1/v1/chat/completions"
    assert cli.main(["compare", url, "--out", str(tmp_path), *options]) == ExitCode.BAD_INPUT
    assert told in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("option", ["--model", "--key-env", "--key-file", "--header-env", "--ca-file"])
def test_what_is_for_a_url_is_refused_without_one(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody may believe that the key or the model was used; no container is started."""
    assert cli.main(["compare", "--out", str(tmp_path), option, "x"]) == ExitCode.BAD_INPUT
    assert f"{option}: only for a URL" in capsys.readouterr().err
