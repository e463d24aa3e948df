"""Which HTTP version a route does not speak: rules over one sample.

A route that cannot speak a version is no broken path: the requests in it are left out, and those in the other version
tell what they tell.
"""

from __future__ import annotations

from lab.endpoint.samples import Sample
from lab.evidence import HttpVersion, TransportEnd
from lab.probe.http2 import NO_FRAME, NO_SETTINGS

_SETTINGS, _GOAWAY = 4, 7
# The alert of RFC 7301, section 3.2, in the words of OpenSSL.
_NOTHING_IN_COMMON = "no application protocol"


def unspoken(sample: Sample) -> str:
    """Why the route does not speak the version that it was asked in; empty where it does, or nothing tells."""
    return _not_2(sample) if sample.setting.http is HttpVersion.HTTP_2 else _not_1_1(sample)


def _not_2(sample: Sample) -> str:
    trace = sample.evidence.trace
    if trace.version.startswith("1"):
        return f"it agreed on HTTP/{trace.version}"
    began_otherwise = trace.end is TransportEnd.NOT_HTTP and NO_SETTINGS in trace.detail
    never_began = trace.end in (TransportEnd.NO_REPLY, TransportEnd.RESET) and NO_FRAME in trace.detail
    return trace.detail if began_otherwise or never_began else ""


def _not_1_1(sample: Sample) -> str:
    trace = sample.evidence.trace
    if trace.end is TransportEnd.TLS_FAILED and _NOTHING_IN_COMMON in trace.detail:
        return "it takes no connection without HTTP/2"
    if trace.end is TransportEnd.NOT_HTTP and trace.status is None and trace.reads:
        head = trace.reads[0].data[:9]
        # RFC 9113, section 3.4: a server begins with SETTINGS, which belong to stream 0.
        if len(head) == 9 and head[3] in (_SETTINGS, _GOAWAY) and not any(head[5:]):
            return "it answers with frames of HTTP/2"
    return ""
