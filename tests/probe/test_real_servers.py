"""The probe against nginx, which shares no line with it: HTTP/2 and TLS as they are in the world.

The testbed publishes one port of each configuration, so each has one listener, with HTTP/1.1 and HTTP/2 on it.
"""

from __future__ import annotations

import asyncio
import ssl
import uuid
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import pytest
import trustme

from lab.evidence import Evidence, HttpVersion, TransportEnd
from lab.judge import Verdict, judge
from lab.plan import PLAN_HEADER, REQUEST_HEADER, plan_from_query
from lab.probe.exchange import exchange
from lab.products import PROXIES
from lab.testbed.containers import Containers, Reach
from lab.testbed.images import ImageInUse
from lab.testbed.testbed import Target, Testbed
from lab.vocabulary import Ending
from lab.wire import format_named

from .conftest import Run

pytestmark = pytest.mark.engine

CHAT = format_named("openai-chat")
RELEASES = ("nginx-1.26", "nginx-1.30")

CONFIG = """\
events {}
http {
    gzip GZIP;
    gzip_types text/event-stream application/json;
    gzip_min_length 0;
    server {
        LISTEN
        location / {
            proxy_http_version 1.1;
            proxy_buffering off;
            proxy_pass http://${MODEL};
        }
    }
}
"""
CLEAR = "listen ${PORT}; http2 on;"
SECURE = """listen ${PORT} ssl; http2 on;
        ssl_certificate "data:CERTIFICATE";
        ssl_certificate_key "data:PRIVATE";"""

# The plan; the ends at the transport in HTTP/1.1 and HTTP/2, the ending, and how many tokens come.
PLANS: Mapping[str, tuple[TransportEnd, TransportEnd, Ending, int]] = {
    "tokens=20&interval=5ms": (TransportEnd.FRAMED, TransportEnd.FRAMED, Ending.COMPLETE, 20),
    "tokens=20&interval=5ms&fault=fin@7": (TransportEnd.SHORT_FIN, TransportEnd.RESET, Ending.CUT, 7),
    "tokens=20&interval=5ms&fault=no-marker@7": (
        TransportEnd.FRAMED,
        TransportEnd.FRAMED,
        Ending.SILENTLY_TRUNCATED,
        7,
    ),
    "fault=status@503": (TransportEnd.FRAMED, TransportEnd.FRAMED, Ending.MODEL_ERROR_STATUS, 0),
}


def posts(folder: Path, authority: trustme.CA) -> Sequence[Target]:
    """Each release in the clear and over TLS, without and with compression."""
    leaf = authority.issue_cert("127.0.0.1")
    secure = SECURE.replace("CERTIFICATE", leaf.cert_chain_pems[0].bytes().decode())
    secure = secure.replace("PRIVATE", leaf.private_key_pem.bytes().decode())
    made = []
    for release, (scheme, listen), gzip in product(RELEASES, (("http", CLEAR), ("https", secure)), ("off", "on")):
        key = f"{release} {scheme} gzip {gzip}"
        path = folder / f"{key.replace(' ', '-')}.conf"
        path.write_text(CONFIG.replace("LISTEN", listen).replace("GZIP", gzip))
        made.append(Target(key, PROXIES[release], path))
    return made


async def judged(url: str, query: str, http: HttpVersion, tls: ssl.SSLContext) -> tuple[Evidence, Verdict]:
    """One exchange, judged as a foreign endpoint would be."""
    headers = [(PLAN_HEADER, plan_from_query(query).to_query()), (REQUEST_HEADER, uuid.uuid4().hex)]
    ask = CHAT.ask("lab", stream=True, max_tokens=20)
    given = [*headers, ("Accept-Encoding", "gzip")]
    evidence = Evidence(CHAT.name, True, await exchange(url, ask, headers=given, tls=tls, http=http))
    return evidence, judge(evidence)


def test_nginx_is_measured_in_both_versions_with_and_without_tls(
    run: Run,
    images_in_use: Mapping[str, ImageInUse],
    tmp_path: Path,
    authority: trustme.CA,
    trusting: ssl.SSLContext,
) -> None:
    """Every plan has the same ending and the same tokens however it is asked, and each end its own name."""

    async def ask_all() -> None:
        async with Testbed(made, Containers(images_in_use, reach=Reach.PUBLISHED)) as testbed:
            for post, query, http in product(made, PLANS, HttpVersion):
                url = testbed.url(post.key)
                if "https" in post.key:
                    url = url.replace("http:", "https:")
                evidence, verdict = await judged(url, query, http, trusting)
                first, second, ending, tokens = PLANS[query]
                where = f"{post.key} HTTP/{http} {query}: {verdict.sentence}"
                expected = (http.value, first if http is HttpVersion.HTTP_1_1 else second)
                assert (evidence.trace.version, evidence.trace.end) == expected, where
                assert (verdict.ending, verdict.received) == (ending, tokens), where
                # nginx compresses replies with status 200, 403 and 404.
                zipped = "gzip on" in post.key and evidence.trace.status == 200
                assert evidence.trace.header("content-encoding") == ("gzip" if zipped else ""), where

    made = posts(tmp_path, authority)
    run(ask_all())


def test_curl_and_the_probe_get_the_same(
    run: Run, images_in_use: Mapping[str, ImageInUse], tmp_path: Path, authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    """An unrelated client, with nghttp2 inside, reads the same body, status and version."""
    query = plan_from_query("tokens=20&interval=5ms").to_query()
    ask = CHAT.ask("lab", stream=True, max_tokens=20)

    async def both() -> tuple[bytes, bytes]:
        async with Testbed(made, Containers(images_in_use, reach=Reach.PUBLISHED)) as testbed:
            url = testbed.url(made[0].key).replace("http:", "https:")
            trace = await exchange(url, ask, headers=[(PLAN_HEADER, query)], tls=trusting, http=HttpVersion.HTTP_2)
            (tmp_path / "authority.pem").write_bytes(authority.cert_pem.bytes())
            arguments = [
                "-sS",
                "--http2",
                "--cacert",
                str(tmp_path / "authority.pem"),
                "-w",
                "%{http_code} %{http_version}",
            ]
            for name, value in (*ask.headers, (PLAN_HEADER, query)):
                arguments += ["-H", f"{name}: {value}"]
            process = await asyncio.create_subprocess_exec(
                "curl", *arguments, "--data-binary", ask.body.decode(), url + ask.path, stdout=asyncio.subprocess.PIPE
            )
            said, _ = await process.communicate()
        body = b"".join(piece.data for piece in trace.body)
        return said, body + f"{trace.status} {trace.version}".encode()

    made = [post for post in posts(tmp_path, authority) if post.key == "nginx-1.30 https gzip off"]
    said, seen = run(both())
    assert said == seen
