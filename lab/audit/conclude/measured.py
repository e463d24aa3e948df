"""From a sample to the figures that a report shows; what they mean is for `lab.audit.conclude.findings`."""

from __future__ import annotations

from dataclasses import dataclass

from lab.audit.conclude.ending import ending_finding
from lab.audit.conclude.metrics import measure_metrics
from lab.endpoint.samples import Sample
from lab.endpoint.stops import quoted
from lab.evidence import HttpVersion, Trace, TransportEnd
from lab.vocabulary import Ending

MOST_TIMES = 2000
"""How many arrivals of one sample are kept for its timeline."""

_TELLING = ("server", "via", "x-powered-by", "x-cache", "cf-ray", "x-envoy-upstream-service-time", "retry-after")


@dataclass(frozen=True)
class SampleResult:
    """One exchange in figures; times in seconds from its request.

    Args:
        route: the name of the route.
        http: the version that it was made in.
        agreed: the version that the reply states.
        accept_encoding: what was offered; empty where nothing was.
        at_once: how many exchanges ran at the same time.
        status: the HTTP status; None if no reply came.
        content_type: the reply's.
        content_coding: the reply's.
        telling: headers that tell of the hops, name and value.
        transport_end: how the exchange ended at the transport.
        detail: the transport's own words on that.
        ending: how the answer ended; None where nobody can tell.
        first_byte: None if no byte came.
        first_token: the first text or reasoning; None if neither came.
        longest_silence: the longest time without a byte.
        total: to the end.
        events: how many pieces of text or reasoning came.
        reads: how many reads brought them.
        body_bytes: length of the body.
        arrivals: when each of these came, `MOST_TIMES` at most.
        said: the beginning of a reply that is no answer.
        judged: whether the conclusions rest on it too: a wrong key or a rate limit says nothing about a path.
    """

    route: str
    http: HttpVersion
    agreed: str
    accept_encoding: str
    at_once: int
    status: int | None
    content_type: str
    content_coding: str
    telling: tuple[tuple[str, str], ...]
    transport_end: TransportEnd
    detail: str
    ending: Ending | None
    first_byte: float | None
    first_token: float | None
    longest_silence: float
    total: float
    events: int
    reads: int
    body_bytes: int
    arrivals: tuple[float, ...]
    said: str
    judged: bool

    @property
    def asked(self) -> str:
        """How it was asked, in a few words."""
        coding = ", content coding offered" if self.accept_encoding else ""
        together = f", {self.at_once} at once" if self.at_once > 1 else ""
        return f"HTTP/{self.agreed or self.http}{coding}{together}"


def measure(sample: Sample, *, judged: bool) -> SampleResult:
    """The figures of one sample; see `SampleResult.judged`."""
    setting, trace = sample.setting, sample.evidence.trace
    measured = measure_metrics(sample)
    metrics, times = measured.metrics, measured.pattern.times
    return SampleResult(
        route=setting.route.name,
        http=setting.http,
        agreed=trace.version,
        accept_encoding=setting.accept_encoding,
        at_once=setting.at_once,
        status=trace.status,
        content_type=trace.header("content-type"),
        content_coding=trace.header("content-encoding"),
        telling=_telling(trace),
        transport_end=trace.end,
        detail=trace.detail,
        ending=ending_finding(sample.evidence).ending,
        first_byte=metrics.first_byte,
        first_token=metrics.first_token,
        longest_silence=metrics.longest_silence,
        total=metrics.total,
        events=metrics.tokens,
        reads=measured.pattern.reads,
        body_bytes=metrics.body_bytes,
        arrivals=tuple(round(time, 4) for time in times[:MOST_TIMES]),
        said="" if times else quoted(trace),
        judged=judged,
    )


def _telling(trace: Trace) -> tuple[tuple[str, str], ...]:
    return tuple((name, value[:200]) for name, value in trace.headers if name in _TELLING)
