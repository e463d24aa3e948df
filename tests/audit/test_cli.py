"""The command as a whole: cost first, secrets nowhere, files of what was learnt whatever ends it."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from aiohttp import web

from lab.audit.results import load
from lab.cli import main
from lab.errors import ExitCode

from .conftest import Foreign
from .test_bad_input import END, TEXT, steady

pytestmark = pytest.mark.usefixtures("own_signals")

KEY = "sk-proj-Zq8w3n5vB1xL0pK7"
GATE = "gate/with+odd=characters&more"


def everything_written(folder: Path) -> str:
    """Every byte below a folder, as text."""
    return "\n".join(path.read_text("utf-8", "replace") for path in sorted(folder.rglob("*")) if path.is_file())


FORMS: list[Callable[[str], str]] = [
    lambda text: base64.b64encode(text.encode()).decode(),
    lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    lambda text: text.encode().hex(),
    lambda text: quote(text, safe=""),
    lambda text: quote(quote(text, safe=""), safe=""),
    lambda text: json.dumps(json.dumps(text)),
    lambda text: text.replace("/", "\\/").replace("&", "\\u0026"),
    lambda text: text.replace("&", "&#38;").replace("/", "&#x2F;"),
]
"""Ways in which a server may write down what it was sent."""


def spellings(secret: str) -> list[str]:
    """The secret as it may be found: plain, as JSON, HTML or a URL writes it, in base64, and its telling part."""
    return [
        secret,
        secret[:14],
        json.dumps(secret)[1:-1],
        secret.replace("&", "&amp;"),
        secret.replace("/", "%2F").replace("+", "%2B").replace("=", "%3D").replace("&", "%26"),
        *(form(secret) for form in FORMS),
        # Of base64 that begins in the middle of other text, the part that is the secret's alone.
        *(base64.b64encode(f"{before}{secret}".encode()).decode()[4:-4] for before in ("x", "xy")),
    ]


async def echo_as_error(request: web.Request) -> web.StreamResponse:
    """A gateway that repeats what it was sent: in headers, in a JSON error, and on a line of its own."""
    seen = [request.headers["Authorization"], request.headers["X-Gate"]]
    body = {"error": {"message": f"bad key: {seen[0]} {seen[1]}", "type": "invalid", "seen": seen}}
    return web.json_response(body, status=401, headers={"Server": seen[0], "Via": seen[1]})


async def echo_as_html(request: web.Request) -> web.StreamResponse:
    """The same as a web page."""
    seen = f"{request.headers['Authorization']} {request.headers['X-Gate']}".replace("&", "&amp;")
    return web.Response(status=404, text=f"<html><body>{seen}", content_type="text/html")


async def echo_as_redirect(request: web.Request) -> web.StreamResponse:
    """The same as a place to go to."""
    seen = request.headers["Authorization"].removeprefix("Bearer ")
    return web.Response(status=302, headers={"Location": f"https://elsewhere.example/?key={seen}"})


async def echo_in_stream(request: web.Request) -> web.StreamResponse:
    """The same as the answer's text, cut in the middle of the key, and in an error event."""
    reply = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Via": request.headers["Authorization"]})
    await reply.prepare(request)
    event = TEXT % request.headers["Authorization"].encode()
    await reply.write(event[:70])
    await reply.write(event[70:])
    await reply.write(TEXT % request.headers["X-Gate"].encode())
    await reply.write(b'data: {"error":{"message":"%s","type":"x"}}\n\n' % request.headers["Authorization"].encode())
    return reply


async def echo_compressed(request: web.Request) -> web.StreamResponse:
    """The same in a body with a coding, where no byte of the key is to be seen before it is undone."""
    reply = web.json_response({"error": {"message": f"bad key: {request.headers['Authorization']}"}}, status=400)
    reply.enable_compression(web.ContentCoding.gzip)
    return reply


async def echo_as_rubbish(request: web.Request) -> web.StreamResponse:
    """The same where an event should be, so that messages about it quote it."""
    return web.Response(text=f"data: {request.headers['Authorization']}\n\n", content_type="text/event-stream")


async def echo_encoded(request: web.Request) -> web.StreamResponse:
    """A gateway that logs what it was sent in every encoding there is, and answers with its log."""
    seen = [request.headers["Authorization"], request.headers["X-Gate"]]
    texts = [form(f"{before}{text}") for text in seen for form in FORMS for before in ("", "x", "xy")]
    headers = {"Via": base64.b64encode(seen[0].encode()).decode(), "Server": quote(seen[1], safe="")}
    return web.json_response({"error": {"message": " ".join(texts), "type": "x"}}, status=400, headers=headers)


async def echo_encoded_in_stream(request: web.Request) -> web.StreamResponse:
    """The same in the error event of a stream, whose message is quoted."""
    reply = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await reply.prepare(request)
    text = base64.b64encode(f"user: {request.headers['Authorization']}".encode()).decode()
    await reply.write(TEXT % b"word " + b'data: {"error":{"message":"%s","type":"x"}}\n\n' % text.encode())
    return reply


ECHOES = [
    echo_encoded,
    echo_encoded_in_stream,
    echo_as_error,
    echo_as_html,
    echo_as_redirect,
    echo_in_stream,
    echo_compressed,
    echo_as_rubbish,
]


@pytest.mark.parametrize("answer", ECHOES, ids=lambda answer: answer.__name__)
def test_no_key_is_written_anywhere(
    foreign: Foreign,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: object,
) -> None:
    """Not on standard output, not on standard error, not in a file, however the endpoint echoes it."""
    monkeypatch.setenv("MY_KEY", KEY)
    monkeypatch.setenv("MY_GATE", GATE)
    options = ["--key-env", "MY_KEY", "--header-env", "X-Gate=MY_GATE", "--out", str(tmp_path)]
    main(["audit", foreign(answer), *options])
    said = capsys.readouterr()
    written = everything_written(tmp_path) + said.out + said.err
    assert "MY_KEY" in said.err
    for secret in (KEY, GATE):
        for spelt in spellings(secret):
            assert spelt not in written


def test_a_fault_of_the_lab_shows_no_key(foreign: Foreign, tmp_path: Path) -> None:
    """A traceback of something that should never happen has no values in it."""
    script = (
        "import sys, lab.endpoint.asking as asking\n"
        "from lab.cli import main\n"
        "async def broken(*given, **named): secret = [named['headers']]; raise RuntimeError('a fault')\n"
        "asking.exchange = broken\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    given = ["audit", foreign(steady), "--key-env", "MY_KEY", "--out", str(tmp_path)]
    environment = {**os.environ, "MY_KEY": KEY}
    ended = subprocess.run(
        [sys.executable, "-c", script, *given], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert "a fault" in ended.stderr
    assert KEY[:14] not in ended.stdout + ended.stderr + everything_written(tmp_path)


def test_the_vendors_key_is_not_sent_to_a_foreign_endpoint(
    foreign: Foreign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable is set in many shells; only its vendor may have it."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    seen: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.extend([*request.headers.values(), await request.text(), request.path_qs])
        return web.Response(body=TEXT % b"word" + END, content_type="text/event-stream")

    main(["audit", foreign(answer), "--runs", "1", "--out", str(tmp_path)])
    assert seen
    assert KEY not in "".join(seen)


def test_the_cost_is_stated_before_the_first_request(
    foreign: Foreign, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """When the first request arrives, the user has already read what it can cost at most."""
    read: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        if not read:
            read.append(capfd.readouterr().err)
        return await steady(request)

    main(["audit", foreign(answer), "--runs", "2", "--max-tokens", "50", "--out", str(tmp_path)])
    assert "7 requests of at most 50 tokens each: at most 350 tokens" in read[0]


def test_a_steady_endpoint_passes(foreign: Foreign, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0, the verdict on the first line, and the files."""
    code = main(["audit", foreign(steady), "--out", str(tmp_path)])
    first = capsys.readouterr().out.splitlines()[0]
    assert code == ExitCode.AS_REQUIRED
    assert first.startswith("Nothing is known to be wrong")
    assert "Endings: 9 complete." in first
    assert load(tmp_path / "audit.json").stopped == ""
    assert (tmp_path / "audit.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(("options", "code"), [((), 0), (("--strict",), 1)])
def test_what_nobody_can_tell_is_on_the_first_line(
    foreign: Foreign, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], code: int
) -> None:
    """One piece of text shows nothing of delivery: that is said at once, and only --strict makes a failure of it."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=TEXT % b"word" + END, content_type="text/event-stream")

    found = main(["audit", foreign(answer), "--runs", "1", *options, "--out", str(tmp_path)])
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert found == code
    assert first.startswith("Nothing is known to fail, but the audit cannot tell how tokens are delivered.")
    assert first.endswith("1 warning, see below.")
    assert second.startswith("Delivery cannot be told: ")


@pytest.mark.parametrize(("options", "code"), [((), 0), (("--strict",), 1)])
def test_a_route_that_cannot_be_measured_is_on_the_first_lines(
    foreign: Foreign, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], code: int
) -> None:
    """A model's own address that refuses the key leaves the comparison undone, which is no mere note."""

    async def refused(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=401, text="no")

    given = ["audit", foreign(steady), "--direct", foreign(refused), "--runs", "1", "--at-once", "1"]
    found = main([*given, *options, "--out", str(tmp_path)])
    head = capsys.readouterr().out.partition("\n\n")[0]
    assert found == code
    assert "what the path adds, as not every route could be measured" in head.splitlines()[0]
    assert "Direct could not be measured: " in head
    assert "401, the key is missing" in head


def test_how_long_it_may_take_is_said_before_the_first_request(
    foreign: Foreign, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three rounds of 150 s, as 100 s is the longest answer, and the one wait that a rate limit may bring: 470 s."""
    given = ["audit", foreign(steady), "--runs", "1", "--longest", "100s"]
    main([*given, "--out", str(tmp_path)])
    said = capsys.readouterr().err
    assert said.index("takes about 45 s where a model writes 40 tokens a second") < said.index("request 1 of")
    assert "the bound is 8 min, if every answer goes on until the audit leaves it after 150 s" in said


def test_an_endpoint_that_cuts_fails(foreign: Foreign, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A clean end without the terminal marker is exit code 1, on the first line."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=TEXT % b"word " * 3, content_type="text/event-stream")

    code = main(["audit", foreign(answer), "--runs", "1", "--out", str(tmp_path)])
    assert code == ExitCode.REQUIREMENT_FAILED
    assert capsys.readouterr().out.splitlines()[0].startswith("The path fails. Delivery: ")


def test_ctrl_c_keeps_what_was_learnt(foreign: Foreign, tmp_path: Path) -> None:
    """Files of the finished answers, and the exit code that a shell expects."""
    second = threading.Event()
    asked: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        if len(asked) == 2:
            second.set()
        return await steady(request)

    given = ["audit", foreign(answer), "--runs", "20", "--out", str(tmp_path)]
    lab = subprocess.Popen(
        [sys.executable, "-m", "lab", *given], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert second.wait(60)
    lab.send_signal(signal.SIGINT)
    out, err = lab.communicate(timeout=60)
    assert lab.returncode == 128 + signal.SIGINT, err
    assert "lab: stopped" in err
    results = load(tmp_path / "audit.json")
    assert results.stopped == "stopped by hand"
    assert 1 <= len(results.samples) < results.planned
    assert re.search(r"Ended early, after \d+ of \d+ requests: stopped by hand", out)
