"""Hops by headers and error pages, and the tested lines that are quoted for them."""

from __future__ import annotations

from pathlib import Path

import pytest

import lab
from lab.audit.conclude.findings import conclude
from lab.audit.conclude.hops import HopClue, header_anomalies, hop_clues
from lab.audit.conclude.remedies import remedy_for
from lab.vocabulary import Trouble

from ..foreign import HEADERS, sample, steady, writes

ENVOYS = "upstream connect error or disconnect/reset before headers. reset reason: connection termination"


def clues(headers: tuple[tuple[str, str], ...] = (), *, status: int = 200, body: bytes = b"") -> list[HopClue]:
    """What such a reply gives away."""
    made = sample([(0.1, body)] if body else [], headers=headers, status=status)
    return list(hop_clues("path", made.evidence.trace))


@pytest.mark.parametrize(
    ("name", "value", "product", "version"),
    [
        ("server", "nginx/1.26.3", "nginx", "1.26.3"),
        ("server", "nginx", "nginx", ""),
        ("server", "openresty/1.25.3.1", "OpenResty", "1.25.3.1"),
        ("server", "envoy", "Envoy", ""),
        ("server", "istio-envoy", "Istio", ""),
        ("x-envoy-upstream-service-time", "12", "Envoy", ""),
        ("server", "Caddy", "Caddy", ""),
        ("via", "1.1 Caddy", "Caddy", ""),
        ("cf-ray", "8f-FRA", "Cloudflare", ""),
        ("via", "1.1 abc.cloudfront.net (CloudFront)", "Amazon CloudFront", ""),
        ("via", "1.1 google", "Google front end", ""),
        ("via", "kong/3.4.0", "Kong", "3.4.0"),
        ("x-litellm-call-id", "a", "LiteLLM", ""),
        ("x-served-by", "cache-fra-1", "Fastly", ""),
        ("fly-request-id", "a", "Fly.io", ""),
    ],
)
def test_a_header_names_its_product(name: str, value: str, product: str, version: str) -> None:
    """Each product by a header that it writes, with the version where it tells."""
    assert [(clue.product, clue.version) for clue in clues(((name, value),))] == [(product, version)]


@pytest.mark.parametrize(
    ("page", "product"),
    [
        (
            "<html>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx/1.26.3</center>",
            "nginx",
        ),
        (
            "<html><body><h1>504 Gateway Timeout</h1>\nThe server didn't respond in time.\n</body></html>",
            "HAProxy",
        ),
        ("upstream request timeout", "Envoy"),
        ("stream timeout", "Envoy"),
        (ENVOYS, "Envoy"),
        ("Gateway Timeout", "Traefik"),
    ],
)
def test_an_error_page_names_its_product(page: str, product: str) -> None:
    """HAProxy and Traefik add no header to a reply; only their own pages show them."""
    assert [clue.product for clue in clues(status=504, body=page.encode())] == [product]
    assert clues(status=200, body=page.encode()) == []


def test_nothing_is_guessed_from_a_plain_reply() -> None:
    """A header that no product owns names none, and neither does a model's text about a proxy."""
    assert clues((("server", "my-nginx-like"), ("x-served-by", "me")), body=b"data: nginx/1.26\n\n") == []


def test_what_speaks_against_streaming_is_named_once() -> None:
    """A coding, a length and a body ended by the close, in all samples alike, are one sentence each."""
    headers = (*HEADERS, ("content-encoding", "gzip"), ("content-length", "10"), ("x-accel-buffering", "no"))
    trace = sample(writes(steady(3, 0.1)), headers=headers).evidence.trace
    assert len(header_anomalies([trace, trace])) == 3


@pytest.mark.parametrize(
    ("product", "trouble", "file", "line"),
    [
        ("nginx", Trouble.HOLDING, "nginx/streaming.conf", "proxy_buffering off;"),
        ("nginx", Trouble.TIMEOUT, "nginx/streaming.conf", "proxy_read_timeout 600s;"),
        ("nginx", Trouble.HIDDEN_CUT, "nginx/streaming.conf", "proxy_http_version 1.1;"),
        ("HAProxy", Trouble.HOLDING, "lab/products/haproxy/recommended.cfg", "option http-no-delay"),
        ("HAProxy", Trouble.TIMEOUT, "lab/products/haproxy/recommended.cfg", "timeout server 10m"),
        ("Envoy", Trouble.TIMEOUT, "lab/products/envoy/recommended.yaml", "timeout: 0s"),
    ],
)
def test_a_remedy_quotes_the_shipped_file(product: str, trouble: Trouble, file: str, line: str) -> None:
    """The line is in the tested file and in the remedy, which names that file."""
    assert line in (Path(lab.__file__).parents[1] / file).read_text("utf-8")
    remedy = remedy_for(trouble, [product])
    assert f"`{line}`" in remedy
    assert file in remedy


@pytest.mark.parametrize("trouble", Trouble)
def test_an_unknown_product_gets_general_advice(trouble: Trouble) -> None:
    """Where no tested configuration exists, nothing is quoted."""
    assert remedy_for(trouble, ["Cloudflare"]) == remedy_for(trouble, [])
    assert "`" not in remedy_for(trouble, [])


def test_a_header_that_differs_from_reply_to_reply_is_one_product() -> None:
    """Nine replies with Envoy's own time in each: one line, and not nine."""
    headers = [(*HEADERS, ("x-envoy-upstream-service-time", str(number))) for number in range(9)]
    made = [sample(writes(steady(30, 0.05)), headers=each) for each in headers]
    (clue,) = conclude(made, longest=None).hops
    assert clue.product == "Envoy"


@pytest.mark.parametrize("title", ["Caddy", "Apache httpd", "nginx", "HAProxy"])
def test_what_compression_holds_has_the_products_own_remedy(title: str) -> None:
    """Each product whose compression was tested says what mends it, and where that was shown."""
    remedy = remedy_for(Trouble.COMPRESSION, [title])
    assert remedy.startswith(f"{title}: ")
    assert "tested, from" in remedy
    assert "scenario compression" in remedy


def test_where_the_application_compresses_it_is_named() -> None:
    """No proxy mends what the application does."""
    assert "Where the application compresses itself" in remedy_for(Trouble.COMPRESSION, [])
