"""What a reply's headers and error pages give away about the products on its way.

A table: product, where to look, what stands there. A header names a product that the reply passed, or that somebody
copied the header from; it says nothing of the hops that hide. Traefik adds nothing to a reply, and HAProxy
only shows in its own error pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from re import Pattern

from lab.evidence import Trace

MOST_BODY = 4096
"""Bytes of a body in which an error page is looked for."""

_MOST_SHOWN = 80


class Product(StrEnum):
    """What can stand on the way."""

    NGINX = "nginx"
    OPENRESTY = "OpenResty"
    HAPROXY = "HAProxy"
    ENVOY = "Envoy"
    ISTIO = "Istio"
    CADDY = "Caddy"
    TRAEFIK = "Traefik"
    APACHE = "Apache httpd"
    VARNISH = "Varnish"
    SQUID = "Squid"
    IIS = "IIS"
    KONG = "Kong"
    TYK = "Tyk"
    APISIX = "APISIX"
    LITELLM = "LiteLLM"
    PORTKEY = "Portkey"
    HELICONE = "Helicone"
    OPENROUTER = "OpenRouter"
    CLOUDFLARE = "Cloudflare"
    CLOUDFRONT = "Amazon CloudFront"
    AWS_ALB = "AWS load balancer"
    AWS_API_GATEWAY = "Amazon API Gateway"
    FASTLY = "Fastly"
    AKAMAI = "Akamai"
    GOOGLE = "Google front end"
    AZURE_FRONT_DOOR = "Azure Front Door"
    AZURE_API_MANAGEMENT = "Azure API Management"
    AZURE_APP_GATEWAY = "Azure Application Gateway"
    VERCEL = "Vercel"
    FLY = "Fly.io"
    RAILWAY = "Railway"
    RENDER = "Render"
    HEROKU = "Heroku"
    UVICORN = "uvicorn"
    AIOHTTP = "aiohttp"
    HYPERCORN = "hypercorn"
    GUNICORN = "gunicorn"
    WERKZEUG = "Werkzeug"


@dataclass(frozen=True)
class HopClue:
    """One product, and what gave it away.

    Args:
        way: the name of the way on which it was seen.
        product: the product.
        version: as the evidence states it; empty where it does not.
        evidence: the header or the page, shortened.
    """

    way: str
    product: Product
    version: str
    evidence: str


@dataclass(frozen=True)
class _Header:
    """A header that gives a product away; its first group, if it has one, is the version."""

    product: Product
    name: str
    value: Pattern[str]


def _row(product: Product, name: str, value: str = "") -> _Header:
    return _Header(product, name, re.compile(value, re.IGNORECASE))


_VERSION = r"(?:/([\w.+-]+))?"

_HEADERS: tuple[_Header, ...] = (
    _row(Product.OPENRESTY, "server", rf"^openresty{_VERSION}"),
    _row(Product.NGINX, "server", rf"^nginx{_VERSION}"),
    _row(Product.ISTIO, "server", r"^istio-envoy"),
    _row(Product.ENVOY, "server", r"^envoy\b"),
    _row(Product.ENVOY, "x-envoy-upstream-service-time"),
    _row(Product.ENVOY, "x-envoy-decorator-operation"),
    _row(Product.CADDY, "server", rf"^caddy{_VERSION}"),
    _row(Product.CADDY, "via", r"\bcaddy\b"),
    _row(Product.APACHE, "server", rf"^apache{_VERSION}"),
    _row(Product.VARNISH, "x-varnish"),
    _row(Product.VARNISH, "via", r"\bvarnish\b(?:.*Varnish/([\d.]+))?"),
    _row(Product.SQUID, "via", rf"\bsquid{_VERSION}"),
    _row(Product.IIS, "server", rf"^microsoft-iis{_VERSION}"),
    _row(Product.KONG, "via", rf"\bkong{_VERSION}"),
    _row(Product.KONG, "server", rf"^kong{_VERSION}"),
    _row(Product.KONG, "x-kong-upstream-latency"),
    _row(Product.KONG, "x-kong-proxy-latency"),
    _row(Product.KONG, "x-kong-request-id"),
    _row(Product.TYK, "x-tyk-version", r"^v?([\w.]+)"),
    _row(Product.APISIX, "server", rf"^apisix{_VERSION}"),
    _row(Product.LITELLM, "x-litellm-version", r"^([\w.]+)"),
    _row(Product.LITELLM, "x-litellm-call-id"),
    _row(Product.LITELLM, "x-litellm-model-id"),
    _row(Product.PORTKEY, "x-portkey-trace-id"),
    _row(Product.HELICONE, "helicone-id"),
    _row(Product.OPENROUTER, "x-openrouter-provider"),
    _row(Product.CLOUDFLARE, "cf-ray"),
    _row(Product.CLOUDFLARE, "cf-cache-status"),
    _row(Product.CLOUDFLARE, "server", r"^cloudflare"),
    _row(Product.CLOUDFRONT, "x-amz-cf-id"),
    _row(Product.CLOUDFRONT, "x-amz-cf-pop"),
    _row(Product.CLOUDFRONT, "via", r"\bcloudfront\b"),
    _row(Product.AWS_ALB, "server", r"^awselb"),
    _row(Product.AWS_API_GATEWAY, "x-amz-apigw-id"),
    _row(Product.AWS_API_GATEWAY, "apigw-requestid"),
    _row(Product.FASTLY, "x-served-by", r"\bcache-"),
    _row(Product.FASTLY, "fastly-io-info"),
    _row(Product.AKAMAI, "server", r"^akamai"),
    _row(Product.AKAMAI, "x-akamai-transformed"),
    _row(Product.AKAMAI, "x-akamai-request-id"),
    _row(Product.AKAMAI, "akamai-grn"),
    _row(Product.GOOGLE, "via", r"\bgoogle\b"),
    _row(Product.GOOGLE, "server", r"^(?:google frontend|gws|gse|scaffolding on httpserver2)"),
    _row(Product.AZURE_FRONT_DOOR, "x-azure-ref"),
    _row(Product.AZURE_FRONT_DOOR, "x-fd-int-roxy-purgeid"),
    _row(Product.AZURE_API_MANAGEMENT, "apim-request-id"),
    _row(Product.AZURE_APP_GATEWAY, "server", r"^microsoft-azure-application-gateway"),
    _row(Product.VERCEL, "x-vercel-id"),
    _row(Product.VERCEL, "server", r"^vercel"),
    _row(Product.FLY, "fly-request-id"),
    _row(Product.FLY, "server", r"^fly/"),
    _row(Product.RAILWAY, "server", r"^railway"),
    _row(Product.RENDER, "x-render-origin-server"),
    _row(Product.HEROKU, "via", r"\bvegur\b"),
    _row(Product.HEROKU, "via", r"\bheroku-router\b"),
    _row(Product.UVICORN, "server", r"^uvicorn"),
    _row(Product.AIOHTTP, "server", r"aiohttp/([\w.]+)"),
    _row(Product.HYPERCORN, "server", r"^hypercorn"),
    _row(Product.GUNICORN, "server", rf"^gunicorn{_VERSION}"),
    _row(Product.WERKZEUG, "server", rf"^werkzeug{_VERSION}"),
)

_PAGES: tuple[tuple[Product, Pattern[str]], ...] = (
    (Product.OPENRESTY, re.compile(r"<hr><center>openresty(?:/([\w.]+))?</center>")),
    (Product.NGINX, re.compile(r"<hr><center>nginx(?:/([\w.]+))?</center>")),
    (Product.HAPROXY, re.compile(r"\A<html><body><h1>\d{3} [^<]+</h1>\s")),
    (Product.ENVOY, re.compile(r"\A(?:upstream request timeout|stream timeout|no healthy upstream)\s*\Z")),
    (Product.ENVOY, re.compile(r"\Aupstream connect error or disconnect/reset before headers")),
    (Product.TRAEFIK, re.compile(r"\A(?:Gateway Timeout|Bad Gateway|404 page not found)\s*\Z")),
    (Product.CLOUDFLARE, re.compile(r"\Aerror code: \d{3,4}\s*\Z")),
    (Product.APACHE, re.compile(r"<address>Apache(?:/([\w.]+))?")),
    (Product.VARNISH, re.compile(r"<p>Varnish cache server</p>")),
)
"""Error pages as the products write them. Traefik's are those of Go's net/http, so any Go program can be meant."""


def hop_clues(way: str, trace: Trace) -> tuple[HopClue, ...]:
    """The products that one reply gives away, each once, with the first thing that did."""
    found: dict[Product, HopClue] = {}
    for product, version, evidence in (*_by_headers(trace), *_by_page(trace)):
        known = found.get(product)
        if known is None or (version and not known.version):
            found[product] = HopClue(way, product, version, evidence)
    return tuple(found.values())


def header_oddities(traces: Sequence[Trace]) -> tuple[str, ...]:
    """What headers say against streaming, in sentences, each once."""
    return tuple(dict.fromkeys(odd for trace in traces for odd in _oddities(trace)))


def _oddities(trace: Trace) -> Iterable[str]:
    is_stream = "event-stream" in trace.header("content-type") or "ndjson" in trace.header("content-type")
    coding = trace.header("content-encoding").strip().lower()
    if is_stream and coding not in ("", "identity"):
        yield f"the stream is compressed ({coding[:_MOST_SHOWN]}); a compressor that does not flush holds tokens back"
    if is_stream and trace.header("content-length") and trace.body:
        yield "the stream has a Content-Length, so something had the whole of it before it sent any"
    if is_stream and trace.header("x-cache").lower().startswith("hit"):
        yield "the stream came from a cache"
    if trace.header("x-accel-buffering"):
        value = trace.header("x-accel-buffering")[:_MOST_SHOWN]
        yield f"X-Accel-Buffering: {value} came through, so no nginx that heeds it stands on this way"
    if is_stream and trace.framing == "close":
        yield "the body is delimited by the close of the connection, so a clean cut looks like the end"


def _by_headers(trace: Trace) -> Iterable[tuple[Product, str, str]]:
    for row in _HEADERS:
        for name, value in trace.headers:
            if name == row.name and (match := row.value.search(value)):
                version = (match[1] or "") if match.re.groups else ""
                yield row.product, version[:_MOST_SHOWN], f"{name}: {value[:_MOST_SHOWN]}"


def _by_page(trace: Trace) -> Iterable[tuple[Product, str, str]]:
    if (trace.status or 0) < 400:
        return
    body = bytearray()
    for piece in trace.body:
        body += piece.data[: MOST_BODY - len(body)]
        if len(body) >= MOST_BODY:
            break
    text = body.decode("utf-8", "replace")
    for product, page in _PAGES:
        if match := page.search(text):
            version = (match[1] or "") if page.groups else ""
            yield product, version, f"error page with status {trace.status}: {' '.join(match[0].split())[:_MOST_SHOWN]}"
