"""Everything bad that an endpoint can be: one clear message, the right exit code, and what was learnt is kept."""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from probe.fault_server import FaultServer, Peer

from lab.audit.results import load
from lab.cli import audit as cli_audit
from lab.endpoint.bounds import most_bytes
from lab.errors import ExitCode

from .conftest import Answer, Audit, Foreign

pytestmark = pytest.mark.usefixtures("own_signals")

TEXT = b'data: {"choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":null}]}\n\n'
END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
WHOLE = json.dumps(
    {"choices": [{"index": 0, "message": {"content": "one two"}, "finish_reason": "stop"}], "usage": {}}
).encode()


def replying(status: int, body: bytes, kind: str, **headers: str) -> Answer:
    """An endpoint that always says the same."""

    async def answer(_request: web.Request) -> web.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, body=body, content_type=kind, headers=named)

    return answer


ERROR = b'{"error": {"message": "nothing for you", "type": "error"}}'
REPLIES = {
    "wrong key": (replying(401, ERROR, "application/json"), 2, "401, the key is missing, wrong or not allowed"),
    "forbidden": (replying(403, ERROR, "application/json"), 2, "403, the key is missing, wrong or not allowed"),
    "404 as HTML": (replying(404, b"<html>", "text/html"), 2, "404 for /v1/chat/completions, as a web page"),
    "no such model": (replying(404, ERROR, "application/json"), 2, "nothing for you"),
    "refused request": (replying(422, ERROR, "application/json"), 2, "422: {"),
    "HTTP/1.0 behind": (replying(426, b"Upgrade Required", "text/plain"), 1, "426, a hop asks the next with too old"),
    "redirect": (replying(308, b"", "text/plain", Location="https://elsewhere.example/"), 2, "redirected to https://e"),
    "rate limit at once": (replying(429, ERROR, "application/json"), 3, "429, rate limit"),
    "web page": (replying(200, b"<html>hello", "text/html"), 2, "200 with a web page"),
    "another format": (replying(200, b"data: 17\n\n", "text/event-stream"), 2, "no event of openai-chat"),
    "binary": (replying(200, bytes(range(256)) * 40, "application/octet-stream"), 2, "no event of openai-chat"),
    "binary events": (replying(200, bytes(range(256)) * 40, "text/event-stream"), 2, "no event of openai-chat"),
    "nothing": (replying(200, b"", "text/event-stream"), 1, "an empty body"),
    "no stream": (replying(200, WHOLE, "application/json"), 1, "does not stream"),
    "bad gzip": (replying(200, TEXT * 3, "text/event-stream", Content_Encoding="gzip"), 1, "'gzip', which was not"),
    "unknown coding": (replying(200, TEXT * 3, "text/event-stream", Content_Encoding="x-own"), 1, "'x-own', which was"),
    "server error": (replying(503, ERROR, "application/json"), 1, "503 after"),
}


@pytest.mark.parametrize(("answer", "code", "told"), REPLIES.values(), ids=REPLIES)
def test_a_reply_that_is_no_stream(
    audit: Audit, foreign: Foreign, tmp_path: Path, answer: Answer, code: int, told: str
) -> None:
    """One request, one message with a remedy, and the files."""
    found, out, err = audit(foreign(answer))
    assert found == code
    assert told in " ".join((out + err).split())
    assert "Traceback" not in out + err
    results = load(tmp_path / "out" / "audit.json")
    assert (results.requests, len(results.samples)) == (1, 1)
    assert told in results.stopped
    assert results.remedy
    assert (tmp_path / "out" / "audit.html").exists()


def test_a_server_of_another_protocol(audit: Audit) -> None:
    """SSH greets and closes: what came is quoted, and the remedy is the address."""

    def greet(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"SSH-2.0-OpenSSH_9.6\r\n")
        peer.fin()

    with FaultServer(greet) as server:
        code, _, err = audit(f"{server.url}/v1/chat/completions")
    assert code == ExitCode.BAD_INPUT
    assert "what comes back is no HTTP: b'SSH-2.0-OpenSSH_9.6" in err


def test_what_ends_an_audit_is_said_once(audit: Audit, foreign: Foreign) -> None:
    """Where it is the verdict, it stands in the first line and not again in the next."""
    _, out, _ = audit(foreign(replying(200, WHOLE, "application/json")))
    assert out.count("the endpoint does not stream") == 1
    assert "Ended early, after 1 of" in out


def test_binary_is_counted_and_not_quoted(audit: Audit, foreign: Foreign) -> None:
    """Nobody reads anything out of 10,240 bytes of rubbish."""
    _, _, err = audit(foreign(REPLIES["binary"][0]))
    assert "10,240 bytes that are no text" in err
    assert "\N{REPLACEMENT CHARACTER}" not in err


def test_a_port_where_nobody_listens(audit: Audit) -> None:
    """Refused is the environment's matter."""
    code, _, err = audit("http://127.0.0.1:1/v1/chat/completions")
    assert code == ExitCode.NO_ENVIRONMENT
    assert "127.0.0.1:1: the connection cannot be opened" in err


def test_a_name_that_is_not_found(audit: Audit) -> None:
    """An expired domain has no address any more."""
    code, _, err = audit("https://expired.invalid/v1/chat/completions")
    assert code == ExitCode.NO_ENVIRONMENT
    assert "expired.invalid: the name cannot be found" in err


def test_a_certificate_that_does_not_verify(audit: Audit, foreign: Foreign, certified: ssl.SSLContext) -> None:
    """Nothing is sent; the message names the option for an authority of one's own."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(body=END, content_type="text/event-stream")

    code, _, err = audit(foreign(answer, certified))
    assert code == ExitCode.NO_ENVIRONMENT
    assert "no verified TLS connection" in err
    assert "--ca-file" in err
    assert asked == []


@pytest.mark.parametrize(
    ("name", "ends", "advice"),
    [
        ("localhost", datetime(2020, 1, 1, tzinfo=UTC), "Renew the certificate"),
        ("other.example", datetime(2090, 1, 1, tzinfo=UTC), "Ask by a name that the certificate holds"),
    ],
)
def test_a_certificate_that_is_out_of_date_or_anothers(
    audit: Audit, foreign: Foreign, authority: trustme.CA, tmp_path: Path, name: str, ends: datetime, advice: str
) -> None:
    """Each has a remedy of its own, even where the authority is known."""
    (tmp_path / "ca.pem").write_bytes(authority.cert_pem.bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, not_before=datetime(2019, 1, 1, tzinfo=UTC), not_after=ends).configure_cert(context)
    code, _, err = audit(foreign(steady, context), "--ca-file", str(tmp_path / "ca.pem"))
    assert code == ExitCode.NO_ENVIRONMENT
    assert advice in err


def test_an_authority_of_ones_own(
    audit: Audit, foreign: Foreign, certified: ssl.SSLContext, authority: trustme.CA, tmp_path: Path
) -> None:
    """With --ca-file the same endpoint is audited, over HTTP/1.1 and with an offer of HTTP/2."""
    (tmp_path / "ca.pem").write_bytes(authority.cert_pem.bytes())
    url = foreign(steady, certified)
    code, _, err = audit(url, "--ca-file", str(tmp_path / "ca.pem"), "--at-once", "1")
    results = load(tmp_path / "out" / "audit.json")
    assert code in (ExitCode.AS_REQUIRED, ExitCode.REQUIREMENT_FAILED), err
    assert "path does not speak HTTP/2: it agreed on HTTP/1.1" in results.notes
    assert {sample.status for sample in results.samples} == {200}


async def steady(request: web.Request) -> web.StreamResponse:
    """Twenty pieces of text, 20 ms apart, and a good end."""
    reply = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await reply.prepare(request)
    for _ in range(20):
        await reply.write(TEXT % b"word ")
        await asyncio.sleep(0.02)
    await reply.write(END)
    return reply


def test_an_endpoint_that_never_ends(
    audit: Audit, foreign: Foreign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The audit leaves when the longest answer should be over, and says how to give it longer."""
    monkeypatch.setattr(cli_audit, "LEAST_PATIENCE", 1.0)

    async def forever(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await reply.prepare(request)
        while True:
            await reply.write(TEXT % b"word ")
            await asyncio.sleep(0.02)

    code, out, err = audit(foreign(forever), "--longest", "500ms")
    results = load(tmp_path / "out" / "audit.json")
    assert code == ExitCode.REQUIREMENT_FAILED
    assert "had not ended after" in results.stopped
    assert "--longest" in results.remedy
    assert "had not ended after" in " ".join((out + err).split())
    assert results.samples[0].events > 0


def test_an_endpoint_that_sends_no_end_of_bytes(audit: Audit, foreign: Foreign, tmp_path: Path) -> None:
    """Megabyte after megabyte in one event: the audit leaves at its limit."""

    async def flood(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await reply.prepare(request)
        await reply.write(b"data: ")
        while True:
            await reply.write(b"x" * 2**20)

    code, _, _ = audit(foreign(flood))
    assert code == ExitCode.REQUIREMENT_FAILED
    assert (
        f"more than {most_bytes(600):,} bytes of body came for one answer"
        in load(tmp_path / "out" / "audit.json").stopped
    )


def test_megabyte_events_are_read(audit: Audit, foreign: Foreign, tmp_path: Path) -> None:
    """Three events of a megabyte each are unusual and no fault of the audit."""
    body = TEXT % (b"x" * 2**20) * 3 + END
    url = foreign(replying(200, body, "text/event-stream"))
    # So much text is more than 600 tokens in any vocabulary.
    code, _, err = audit(url, "--at-once", "1", "--max-tokens", "25000")
    assert code in (ExitCode.AS_REQUIRED, ExitCode.REQUIREMENT_FAILED), err
    assert [sample.events for sample in load(tmp_path / "out" / "audit.json").samples] == [3, 3]


def test_gzip_that_nobody_asked_for_is_named(audit: Audit, foreign: Foreign, tmp_path: Path) -> None:
    """HTTP allows it and the audit can read it; other clients cannot, so it is a warning with a remedy."""
    body = gzip.compress(TEXT * 5 % ((b"word ",) * 5) + END)
    code, out, _ = audit(foreign(replying(200, body, "text/event-stream", Content_Encoding="gzip")), "--at-once", "1")
    assert code == ExitCode.AS_REQUIRED
    assert "warning: path: replies come compressed (gzip) though no content coding was offered" in out
    assert {sample.content_coding for sample in load(tmp_path / "out" / "audit.json").samples} == {"gzip"}


def test_a_rate_limit_in_the_middle_keeps_what_was_learnt(audit: Audit, foreign: Foreign, tmp_path: Path) -> None:
    """A verdict is drawn from the answers before it, and nobody can take the audit for a pass."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return await (steady(request) if len(asked) < 3 else replying(429, ERROR, "application/json")(request))

    code, out, err = audit(foreign(answer), "--runs", "3")
    results = load(tmp_path / "out" / "audit.json")
    assert code in (ExitCode.NO_ENVIRONMENT, ExitCode.REQUIREMENT_FAILED)
    assert len(asked) == 3
    assert [sample.status for sample in results.samples] == [200, 200, 429]
    assert results.conclusions is not None
    assert "429, rate limit" in " ".join((out + err).split())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--format", "klingon"], "unknown wire format"),
        (["--http", "3"], "--http 3: no such version"),
        (["--longest", "soon"], "--longest: 'soon' is no duration"),
        (["--ca-file", "/no/such/file"], "/no/such/file: No such file"),
        (["--key-env", "NO_SUCH_VARIABLE"], "no variable NO_SUCH_VARIABLE"),
        (["--hop", "nonsense"], "--hop: not NAME=URL"),
        (["--direct", "https://user:pass@h/v1"], "user name and password"),
    ],
)
def test_bad_options_cost_no_request(audit: Audit, options: list[str], told: str) -> None:
    """Exit code 2 before anything is sent: the address answers nobody, and would be exit code 3."""
    code, _, err = audit("http://127.0.0.1:1/v1/chat/completions", *options)
    assert code == ExitCode.BAD_INPUT
    assert told in " ".join(err.split())


def test_a_file_of_authorities_that_holds_none(audit: Audit, tmp_path: Path) -> None:
    """The file is named, and what it should hold."""
    (tmp_path / "ca.pem").write_text("no certificate")
    code, _, err = audit("https://localhost:1/v1/chat/completions", "--ca-file", str(tmp_path / "ca.pem"))
    assert code == ExitCode.BAD_INPUT
    assert "ca.pem" in err
    assert "in PEM" in err


class TestTheOtherScheme:
    """Plain HTTP where TLS is spoken, and the reverse: the remedy is the scheme, not a certificate or a format."""

    def test_tls_on_a_port_of_plain_http(self, audit: Audit, foreign: Foreign) -> None:
        """The server answers a handshake with HTTP, which OpenSSL calls a wrong version number."""
        code, _, err = audit(foreign(steady).replace("http://", "https://"))
        assert code == ExitCode.NO_ENVIRONMENT
        assert "No TLS is spoken on that port: write http://" in " ".join(err.split())
        assert "Renew" not in err

    def test_plain_http_on_nginx_s_port_of_tls(self, audit: Audit, foreign: Foreign) -> None:
        """Nginx says so in a page with status 400."""
        page = b"<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>"
        code, _, err = audit(foreign(replying(400, page, "text/html")))
        assert code == ExitCode.BAD_INPUT
        assert "TLS is spoken on that port" in err
        assert "Write https://" in err

    def test_plain_http_answered_by_an_alert(self, audit: Audit) -> None:
        """A record of TLS with an alert (RFC 8446, section 5.1) is no HTTP, and is recognised."""

        def alert(peer: Peer) -> None:
            peer.read_request()
            peer.send(b"\x15\x03\x01\x00\x02\x02\x46")
            peer.fin()

        with FaultServer(alert) as server:
            code, _, err = audit(f"{server.url}/v1/chat/completions")
        assert code == ExitCode.BAD_INPUT
        assert "an alert of TLS" in err
        assert "write https://" in err


def test_an_error_at_once_has_one_remedy(audit: Audit, foreign: Foreign) -> None:
    """The first line is the failure; it is not told again below with another remedy, least of all a timeout's."""
    code, out, _ = audit(foreign(replying(500, b"boom", "text/plain")))
    assert code == ExitCode.REQUIREMENT_FAILED
    assert "FAILURE" not in out
    assert "timeout" not in out
    assert out.count("boom") == 1
