"""What a reply's headers and error pages give away about the products on its route.

The signs stand with the products (`lab.products.RECOGNISED`). A header names a product that the reply passed, or that
somebody copied the header from; it says nothing of the hops that hide.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lab.evidence import Trace
from lab.products import RECOGNISED

MOST_BODY = 4096
"""Bytes of a body in which an error page is looked for."""

_MOST_SHOWN = 80


@dataclass(frozen=True)
class HopClue:
    """One product, and what gave it away.

    Args:
        route: the name of the route on which it was seen.
        product: the product's title.
        version: as the evidence states it; empty where it does not.
        evidence: the header or the page, shortened.
    """

    route: str
    product: str
    version: str
    evidence: str


def hop_clues(route: str, trace: Trace) -> tuple[HopClue, ...]:
    """The products that one reply gives away, each once, with the first thing that did."""
    found: dict[str, HopClue] = {}
    for product, version, evidence in (*_by_headers(trace), *_by_page(trace)):
        known = found.get(product)
        if known is None or (version and not known.version):
            found[product] = HopClue(route, product, version, evidence)
    return tuple(found.values())


def header_anomalies(traces: Sequence[Trace]) -> tuple[str, ...]:
    """What headers say against streaming, in sentences, each once."""
    return tuple(dict.fromkeys(anomaly for trace in traces for anomaly in _anomalies(trace)))


def _anomalies(trace: Trace) -> Iterable[str]:
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
        yield f"X-Accel-Buffering: {value} came through, so no nginx that heeds it stands on this route"
    if is_stream and trace.framing == "close":
        yield "the body is delimited by the close of the connection, so a clean cut looks like the end"


def _by_headers(trace: Trace) -> Iterable[tuple[str, str, str]]:
    for title, signs in RECOGNISED.items():
        for sign in signs.headers:
            for name, value in trace.headers:
                if name == sign.name and (match := sign.value.search(value)):
                    version = (match[1] or "") if match.re.groups else ""
                    yield title, version[:_MOST_SHOWN], f"{name}: {value[:_MOST_SHOWN]}"


def _by_page(trace: Trace) -> Iterable[tuple[str, str, str]]:
    if (trace.status or 0) < 400:
        return
    body = bytearray()
    for piece in trace.body:
        body += piece.data[: MOST_BODY - len(body)]
        if len(body) >= MOST_BODY:
            break
    text = body.decode("utf-8", "replace")
    for title, signs in RECOGNISED.items():
        for page in signs.pages:
            if match := page.search(text):
                version = (match[1] or "") if page.groups else ""
                shown = " ".join(match[0].split())[:_MOST_SHOWN]
                yield title, version, f"error page with status {trace.status}: {shown}"
