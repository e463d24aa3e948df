"""HTTP/2 end to end: the whole command over TLS and in clear text, against nginx and against servers of one version."""

from __future__ import annotations

import asyncio
import io
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from pathlib import Path

import h2.events
import h2.exceptions
import pytest
import pytest_asyncio
import trustme
from aiohttp import web
from markers import grid
from probe import h2_peer
from probe.fault_server import FaultServer, Peer
from rich.console import Console

from lab.audit.programme import OFFERED, Wish
from lab.audit.results import AuditResults, load
from lab.cli.audit import AuditOptions, audit_and_report
from lab.endpoint.versions import unspoken
from lab.errors import BadInput, ExitCode
from lab.evidence import EndReason, HttpVersion, Read, TransportEnd
from lab.products import PROXIES
from lab.testbed.containers import Containers, Reach
from lab.testbed.images import ImageInUse
from lab.testbed.testbed import Target, Testbed
from lab.vocabulary import Delivery, Ending

from .conftest import Foreign
from .foreign import sample
from .test_bad_input import END, TEXT

BOTH = tuple(HttpVersion)

# 1.26 in its defaults asks with HTTP/1.0 and holds the reply; the shipped snippet mends it.
CONFIG = """\
events {}
http {
    server {
        LISTEN
        location / {
            proxy_pass http://${MODEL};
            STREAMING
        }
    }
}
"""
SIDES = {
    "broken": "",
    "one-line": "proxy_http_version 1.1;",
    "fixed": "include /etc/nginx/snippets/streaming.conf;",
}
LISTENS = {
    "tls": "listen ${PORT} ssl; http2 on; ssl_certificate cert.pem; ssl_certificate_key cert.pem;",
    "tls-1.1": "listen ${PORT} ssl; ssl_certificate cert.pem; ssl_certificate_key cert.pem;",
    "clear": "listen ${PORT}; http2 on;",
    "clear-1.1": "listen ${PORT};",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def testbed(
    images_in_use: Mapping[str, ImageInUse], authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Testbed]:
    """Of nginx 1.26: over TLS and in the clear, with HTTP/2 and without, each broken, half mended and fixed."""
    folder, posts = tmp_path_factory.mktemp("nginx"), []
    leaf = authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.bytes()
    for listen, side in ((listen, side) for listen in LISTENS for side in SIDES):
        file = folder / f"{listen}-{side}" / "nginx.conf"
        file.parent.mkdir()
        file.write_text(CONFIG.replace("LISTEN", LISTENS[listen]).replace("STREAMING", SIDES[side]))
        (file.parent / "cert.pem").write_bytes(leaf)
        posts.append(Target(f"{listen}-{side}", PROXIES["nginx-1.26"], file))
    # Published, so that the certificate's name is known before the containers are.
    async with Testbed(posts, Containers(images_in_use, reach=Reach.PUBLISHED)) as testbed:
        yield testbed


Audit = Callable[..., tuple[int, str, AuditResults]]


@pytest.fixture(name="audit")
def _audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, authority: trustme.CA) -> Audit:
    """Runs the command with the throw-away authority in SSL_CERT_FILE; gives exit code, text and results."""
    (tmp_path / "authority.pem").write_bytes(authority.cert_pem.bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))

    def audit(
        base: str, plan: str, http: tuple[HttpVersion, ...] = (), at_once: int = 1
    ) -> tuple[int, str, AuditResults]:
        out = io.StringIO()
        wish = Wish(runs=2, at_once=at_once, http=http)
        to = tmp_path / base.partition(":")[0]
        options = AuditOptions(url=f"{base}/v1/chat/completions", to=to, model=f"lab?{plan}", wish=wish)
        code = audit_and_report(options, {}, out=Console(file=out, width=200), err=Console(file=io.StringIO()))
        return code, out.getvalue(), load(to / "audit.json")

    return audit


def https(url: str) -> str:
    """The same address over TLS."""
    return url.replace("http:", "https:")


def versions(results: AuditResults) -> set[tuple[str, str]]:
    """The version and coding of each group, where each sample's reply states the version of its group."""
    assert {sample.agreed for sample in results.samples if sample.judged} == {
        sample.http.value for sample in results.samples if sample.judged
    }
    assert results.conclusions is not None
    return {(group.http.value, group.accept_encoding) for group in results.conclusions.groups}


HELD, FLOWING = "tokens=14&interval=120ms", "tokens=60&interval=30ms"
EVERY = {(version.value, coding) for version in BOTH for coding in ("", OFFERED)}
CASES = {
    "held": ("broken", HELD, {Delivery.BATCHED}, Ending.COMPLETE, ExitCode.REQUIREMENT_FAILED),
    "flowing": ("fixed", FLOWING, {Delivery.INCREMENTAL}, Ending.COMPLETE, ExitCode.AS_REQUIRED),
    "a hidden cut": (
        "broken",
        f"{HELD}&fault=fin@10",
        {Delivery.BATCHED},
        Ending.SILENTLY_TRUNCATED,
        ExitCode.REQUIREMENT_FAILED,
    ),
    "a cut that shows": (
        "fixed",
        f"{FLOWING}&fault=fin@50",
        {Delivery.INCREMENTAL},
        Ending.CUT,
        ExitCode.REQUIREMENT_FAILED,
    ),
}


@pytest.mark.engine
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", grid(CASES, quick=["held"]))
async def test_delivery_and_ending_are_the_same_in_both_versions(testbed: Testbed, audit: Audit, name: str) -> None:
    """Over TLS (with the authority that SSL_CERT_FILE names) and with prior knowledge in clear text, both sides."""
    side, plan, deliveries, ending, expected = CASES[name]
    secure, clear = https(testbed.url(f"tls-{side}")), testbed.url(f"clear-{side}")
    for code, text, results in await asyncio.gather(
        asyncio.to_thread(audit, secure, plan), asyncio.to_thread(audit, clear, plan, BOTH)
    ):
        check(code, text, results, deliveries, ending, expected)


@pytest.mark.engine
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("scheme", "held"), grid([("clear-1.1", False), ("tls-1.1", True)], quick=[("tls-1.1", True)]))
async def test_the_one_line_that_mends_nginx_in_clear_text_does_not_over_tls(
    testbed: Testbed, audit: Audit, scheme: str, held: bool
) -> None:
    """Nginx's TLS side collects 16 KiB (`ssl_buffer_size`) unless proxy_buffering is off: the same reply is held."""
    url, plan = (
        (https(testbed.url(f"{scheme}-one-line")), HELD) if held else (testbed.url(f"{scheme}-one-line"), FLOWING)
    )
    code, text, results = await asyncio.to_thread(audit, url, plan, (HttpVersion.HTTP_1_1,))
    assert results.conclusions is not None
    found = {group.delivery.delivery for group in results.conclusions.groups}
    expected = Delivery.BATCHED if held else Delivery.INCREMENTAL
    assert expected in found <= {expected, Delivery.UNPROVEN}, text
    assert code == (ExitCode.REQUIREMENT_FAILED if held else ExitCode.AS_REQUIRED), text


def check(
    code: int, text: str, results: AuditResults, deliveries: set[Delivery], ending: Ending, expected: ExitCode
) -> None:
    """Every setting was asked, and each has the right word, or none that is wrong."""
    assert (code, results.stopped, versions(results)) == (expected, "", EVERY), text
    assert results.conclusions is not None
    found = {group.delivery.delivery for group in results.conclusions.groups}
    # On a busy machine a stream may be beyond proof; it is never taken for a hold, nor a hold for a stream.
    assert found <= deliveries | {Delivery.UNPROVEN}, text
    assert found & deliveries, text
    assert {sample.ending for sample in results.samples} == {ending}


@pytest.mark.grid
@pytest.mark.engine
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("scheme", "why"), [("tls-1.1", "it agreed on HTTP/1.1"), ("clear-1.1", "'HTTP/1.1 400")])
async def test_an_endpoint_without_http_2_is_audited_in_1_1(
    testbed: Testbed, audit: Audit, scheme: str, why: str
) -> None:
    """A note says that it does not speak HTTP/2; the verdict is that of HTTP/1.1, and a pass."""
    url = testbed.url(f"{scheme}-fixed")
    url = https(url) if scheme.startswith("tls") else url
    code, text, results = await asyncio.to_thread(audit, url, FLOWING, BOTH)
    (note,) = results.notes
    assert note.startswith("path does not speak HTTP/2: ")
    assert why in note
    assert (code, results.stopped) == (ExitCode.AS_REQUIRED, ""), text
    assert {version for version, _ in versions(results)} == {"1.1"}


@pytest.mark.engine
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("scheme", ["tls-1.1", "clear-1.1"])
async def test_http_2_alone_of_an_endpoint_without_it_is_bad_input(testbed: Testbed, audit: Audit, scheme: str) -> None:
    """Nothing can be learnt in the version that was asked for; the message names the other."""
    url = testbed.url(f"{scheme}-fixed")
    url = https(url) if scheme.startswith("tls") else url
    with pytest.raises(BadInput) as caught:
        await asyncio.to_thread(audit, url, FLOWING, (HttpVersion.HTTP_2,))
    assert caught.value.problem.endswith("does not speak HTTP/2")
    assert "--http 1.1" in caught.value.remedy


def only_http_2(peer: Peer) -> None:
    """A server that speaks HTTP/2 whatever it is asked in: its SETTINGS, and the answer or GOAWAY."""
    try:
        h2_peer.Reader(peer).until(h2.events.StreamEnded)
    except h2.exceptions.ProtocolError:
        peer.send(h2_peer.settings() + h2_peer.goaway(0, 1))
    else:
        text = b"".join(h2_peer.data(TEXT % b"word ") for _ in range(9))
        peer.send(h2_peer.settings() + h2_peer.headers() + text + h2_peer.data(END, end=True))
    peer.hang()


def server_context(authority: trustme.CA, *protocols: str) -> ssl.SSLContext:
    """For a server on this machine that agrees on these protocols and no other."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    context.set_alpn_protocols(list(protocols))
    return context


@pytest.mark.parametrize("secure", [True, False], ids=["tls", "clear"])
def test_an_endpoint_of_http_2_alone_is_audited_in_it(audit: Audit, authority: trustme.CA, *, secure: bool) -> None:
    """The check in HTTP/1.1 fails, a note says why, and the verdict is that of HTTP/2."""
    with FaultServer(only_http_2, server_context(authority, "h2") if secure else None) as server:
        code, text, results = audit(server.url, "", BOTH)
    assert results.notes == ("path does not speak HTTP/1.1: it answers with frames of HTTP/2",)
    assert (code, results.stopped) == (ExitCode.AS_REQUIRED, ""), text
    assert {version for version, _ in versions(results)} == {"2"}
    assert {sample.ending for sample in results.samples if sample.judged} == {Ending.COMPLETE}


def test_such_an_endpoint_asked_in_1_1_alone_is_bad_input(audit: Audit) -> None:
    """The message says what it does not speak, and which option to give."""
    with FaultServer(only_http_2) as server, pytest.raises(BadInput) as caught:
        audit(server.url, "", (HttpVersion.HTTP_1_1,))
    assert caught.value.problem.endswith("does not speak HTTP/1.1")
    assert "--http 2" in caught.value.remedy


def test_a_plain_server_is_no_failure_of_its_http_1_1(audit: Audit, foreign: Foreign) -> None:
    """The preface of HTTP/2 gets 400 from aiohttp, and that says nothing against its streams."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=TEXT % b"word " * 9 + END, content_type="text/event-stream")

    code, text, results = audit(foreign(answer).removesuffix("/v1/chat/completions"), "", BOTH)
    assert (code, results.stopped) == (ExitCode.AS_REQUIRED, ""), text
    assert "path does not speak HTTP/2: " in results.notes[0]


SETTINGS = h2_peer.settings()
SAID = {
    "another protocol": (HttpVersion.HTTP_2, TransportEnd.NOT_HTTP, EndReason.NO_HTTP_2, b""),
    "closed at once": (HttpVersion.HTTP_2, TransportEnd.NO_REPLY, EndReason.NO_HTTP_2, b""),
    "reset at once": (HttpVersion.HTTP_2, TransportEnd.RESET, EndReason.NO_HTTP_2, b""),
    "ALPN refused": (HttpVersion.HTTP_1_1, TransportEnd.TLS_FAILED, EndReason.NO_COMMON_PROTOCOL, b""),
    "frames": (HttpVersion.HTTP_1_1, TransportEnd.NOT_HTTP, None, SETTINGS),
}
NOT_SAID = {
    "died after its settings": (HttpVersion.HTTP_2, TransportEnd.NO_REPLY, None, b""),
    "a broken frame": (HttpVersion.HTTP_2, TransportEnd.NOT_HTTP, None, b""),
    "a bad certificate": (HttpVersion.HTTP_1_1, TransportEnd.TLS_FAILED, EndReason.CERTIFICATE_EXPIRED, b""),
    "no HTTP at all": (HttpVersion.HTTP_1_1, TransportEnd.NOT_HTTP, None, b"SSH-2.0-OpenSSH"),
    "nobody there": (HttpVersion.HTTP_2, TransportEnd.REFUSED, None, b""),
}


@pytest.mark.parametrize("name", [*SAID, *NOT_SAID])
def test_what_tells_that_a_version_is_not_spoken(name: str) -> None:
    """Only what no server of the version does; a path that breaks is not excused by it."""
    http, end, reason, read = {**SAID, **NOT_SAID}[name]
    made = sample([], status=0, end=end)
    trace = replace(
        made.evidence.trace, detail="the words", reason=reason, version="", reads=(Read(51.0, read),) if read else ()
    )
    made = replace(made, setting=replace(made.setting, http=http), evidence=replace(made.evidence, trace=trace))
    assert bool(unspoken(made)) is (name in SAID)
