"""Which HTTP version a route does not speak: rules over one sample.

A route that cannot speak a version is no broken path: the requests in it are left out, and those in the other version
tell what they tell.
"""

from __future__ import annotations

from lab.endpoint.samples import Sample
from lab.evidence import EndReason, HttpVersion, TransportEnd

_SETTINGS, _GOAWAY = 4, 7


def unspoken(sample: Sample) -> str:
    """Why the route does not speak the version that it was asked in; empty where it does, or nothing tells."""
    return _not_2(sample) if sample.setting.http is HttpVersion.HTTP_2 else _not_1_1(sample)


def _not_2(sample: Sample) -> str:
    trace = sample.evidence.trace
    if trace.version.startswith("1"):
        return f"it agreed on HTTP/{trace.version}"
    return trace.detail if trace.reason is EndReason.NO_HTTP_2 else ""


def _not_1_1(sample: Sample) -> str:
    trace = sample.evidence.trace
    if trace.end is TransportEnd.TLS_FAILED and trace.reason is EndReason.NO_COMMON_PROTOCOL:
        return "it takes no connection without HTTP/2"
    if trace.end is TransportEnd.NOT_HTTP and trace.status is None and trace.reads:
        head = trace.reads[0].data[:9]
        # RFC 9113, section 3.4: a server begins with SETTINGS, which belong to stream 0.
        if len(head) == 9 and head[3] in (_SETTINGS, _GOAWAY) and not any(head[5:]):
            return "it answers with frames of HTTP/2"
    return ""
