"""What makes further requests pointless: rules over one sample, each with what is wrong and the remedy.

The rules say whose matter it is, by exit code: 3 where the endpoint cannot be reached, 2 where the address, the key
or the request is wrong, 1 where the endpoint answers and does not do what a streaming endpoint must do. Whether a
bad sample in the middle of an audit is a finding or an end of it, `stop_of` is told by `first`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from lab.endpoint.samples import Sample
from lab.errors import BadInput, EnvironmentFault, ExitCode, LabError
from lab.evidence import EndReason, Trace, TransportEnd
from lab.judge.endings import OWN_ENDS
from lab.judge.reading import Facts, read
from lab.probe.body import ContentDecoder
from lab.wire import format_named
from lab.wire.events import ErrorEvent, Text

TOO_LARGE = "Check what answers there: a model that keeps to --max-tokens does not send so much."
"""What to do about answers that are larger than any of that many tokens."""

_TLS_REMEDIES = {
    EndReason.NO_TLS: "No TLS is spoken on that port: write http:// if it is to be plain, or check the port.",
    EndReason.CERTIFICATE_EXPIRED: "Renew the certificate, and check this machine's clock.",
    EndReason.CERTIFICATE_NAME: ("Ask by a name that the certificate holds, or have one made that holds this name."),
    EndReason.CERTIFICATE: (
        "Have the server send a certificate and its chain; for an authority of your own, name it with --ca-file."
    ),
}
_OTHER_TLS_REMEDY = "Look into the server's settings for TLS: its versions, ciphers and certificate."

_WANTS_TLS = ("plain http request was sent to https", "http request to an https server", "plain http to an ssl")
"""What nginx, Go and Apache answer to plain HTTP on a port for TLS."""
_QUOTED = 200
_QUOTED_FROM = 64 * 1024
_QUOTED_BYTES = 40


@dataclass(frozen=True)
class StopReason:
    """Why an audit ends early.

    Args:
        code: the exit code that this amounts to.
        problem: what is wrong, with the host.
        remedy: what to do about it.
        retry_after: seconds that the endpoint asks to wait; None where it does not.
    """

    code: ExitCode
    problem: str
    remedy: str
    retry_after: float | None = None

    def error(self) -> LabError | None:
        """What the command raises; None where the report itself is the message."""
        if self.code is ExitCode.BAD_INPUT:
            return BadInput(self.problem, self.remedy)
        return EnvironmentFault(self.problem, self.remedy) if self.code is ExitCode.NO_ENVIRONMENT else None


Rule = Callable[[str, Sample], StopReason | None]


def stop_of(sample: Sample, *, first: bool) -> StopReason | None:
    """Why nothing more should be asked after this sample; None if the audit can go on.

    Args:
        sample: what came; its texts are masked already.
        first: whether it is the check, after which any reply that is no stream ends the audit.
    """
    host = urlsplit(sample.setting.route.url).netloc
    rules = (_unreachable, _status, *((_no_reply, _server_error, _wrong_reply) if first else ()))
    return next((stop for rule in rules if (stop := rule(host, sample)) is not None), None)


def quoted(trace: Trace) -> str:
    """The beginning of a reply's body as one line of text."""
    decoder = ContentDecoder(trace.header("content-encoding"))
    raw = decoder.feed(b"".join(piece.data for piece in trace.body)[:_QUOTED_FROM])
    text = " ".join(raw[: 4 * _QUOTED].decode("utf-8", "replace").split())
    shown = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    if shown.count("\N{REPLACEMENT CHARACTER}") > max(1, len(shown) // 10):
        return f"{sum(len(piece.data) for piece in trace.body):,} bytes that are no text"
    return shown if len(shown) <= _QUOTED else shown[:_QUOTED] + "..."


def too_much(host: str, trace: Trace) -> StopReason:
    """The probe left a reply of its own accord: what there was too much of is its detail."""
    problem = f"{host}: {trace.detail} came for one answer, so the audit left"
    return StopReason(ExitCode.REQUIREMENT_FAILED, problem, TOO_LARGE)


def _unreachable(host: str, sample: Sample) -> StopReason | None:
    trace = sample.evidence.trace
    words = f": {trace.detail}" if trace.detail else ""
    match trace.end:
        case TransportEnd.UNRESOLVED:
            remedy = "Check the spelling, that the domain has not expired, and this machine's name server."
            return StopReason(ExitCode.NO_ENVIRONMENT, f"{host}: the name cannot be found{words}", remedy)
        case TransportEnd.TLS_FAILED:
            remedy = _TLS_REMEDIES.get(trace.reason, _OTHER_TLS_REMEDY) if trace.reason else _OTHER_TLS_REMEDY
            return StopReason(ExitCode.NO_ENVIRONMENT, f"{host}: no verified TLS connection{words}", remedy)
        case TransportEnd.REFUSED:
            remedy = "Check host and port, and that a firewall lets this machine through."
            return StopReason(ExitCode.NO_ENVIRONMENT, f"{host}: the connection cannot be opened{words}", remedy)
        case TransportEnd.CONNECT_TIMEOUT:
            remedy = "Check host and port, and that a firewall lets this machine through."
            return StopReason(ExitCode.NO_ENVIRONMENT, f"{host}: no connection within the audit's patience", remedy)
    if trace.end is TransportEnd.NOT_HTTP and trace.status is None and _is_alert(trace):
        problem = f"{host}: what comes back is an alert of TLS, and no HTTP"
        return StopReason(ExitCode.BAD_INPUT, problem, "TLS is spoken on that port: write https:// in the address.")
    if trace.end is TransportEnd.NOT_HTTP and trace.status is None:
        remedy = "Check scheme and port: https or http, and whether a web server listens there."
        return StopReason(ExitCode.BAD_INPUT, f"{host}: what comes back is no HTTP{words}", remedy)
    return None


def _is_alert(trace: Trace) -> bool:
    """Whether a record of TLS came that is an alert: RFC 8446, section 5.1 (content type 21, version 3.x)."""
    return bool(trace.reads) and trace.reads[0].data[:2] == b"\x15\x03"


def _status(host: str, sample: Sample) -> StopReason | None:
    trace = sample.evidence.trace
    status = trace.status or 0
    said = f": {quoted(trace)}" if quoted(trace) else ""
    if 300 <= status < 400:
        place = trace.header("location") or "nowhere"
        remedy = "Redirects are not followed, so that no key goes to another host. Audit that address if it is yours."
        return StopReason(ExitCode.BAD_INPUT, f"{host}: {status}, redirected to {place[:_QUOTED]}", remedy)
    if status in (401, 403, 407):
        remedy = (
            "Give the right key with --key-env or --key-file; other headers with --header-env. If it is right, a hop "
            "may have taken it out of the request: some proxies drop Authorization, such as Squid unless its peer has "
            "login=PASS."
        )
        return StopReason(
            ExitCode.BAD_INPUT, f"{host}: {status}, the key is missing, wrong or not allowed{said}", remedy
        )
    if status in (404, 405, 410):
        return _not_found(host, sample, said)
    if status == 429:
        remedy = "Wait and audit again, with smaller --runs or --at-once, or with a key that has a higher limit."
        return StopReason(ExitCode.NO_ENVIRONMENT, f"{host}: 429, rate limit{said}", remedy, _retry_after(trace))
    if status == 426:
        remedy = (
            "Have every hop ask the next with HTTP/1.1: Envoy refuses HTTP/1.0, which nginx before 1.29.7 asks with."
        )
        return StopReason(
            ExitCode.REQUIREMENT_FAILED, f"{host}: 426, a hop asks the next with too old an HTTP{said}", remedy
        )
    if status == 400 and any(words in said.lower() for words in _WANTS_TLS):
        return StopReason(
            ExitCode.BAD_INPUT, f"{host}: 400, TLS is spoken on that port", "Write https:// in the address."
        )
    if 400 <= status < 500 and status not in (408, 499):
        remedy = "The request was refused: check --format, --model and --max-tokens."
        return StopReason(ExitCode.BAD_INPUT, f"{host}: {status}{said}", remedy)
    return None


def _not_found(host: str, sample: Sample, said: str) -> StopReason:
    trace = sample.evidence.trace
    path = urlsplit(sample.setting.route.url).path
    if "html" in trace.header("content-type"):
        remedy = "Check the path of the address: a web page answers there, and no model."
        return StopReason(ExitCode.BAD_INPUT, f"{host}: {trace.status} for {path}, as a web page", remedy)
    remedy = "Check the path of the address, and the model's name (--model)."
    return StopReason(ExitCode.BAD_INPUT, f"{host}: {trace.status} for {path}{said}", remedy)


def _retry_after(trace: Trace) -> float | None:
    """Seconds; a date is none, for it depends on two clocks."""
    value = trace.header("retry-after").strip()
    return float(value) if value.isascii() and value.isdigit() and len(value) < 7 else None


def _no_reply(host: str, sample: Sample) -> StopReason | None:
    trace = sample.evidence.trace
    if trace.status is not None:
        return None
    waited = f"{trace.ended - trace.started:.1f} s"
    began = trace.reads[0].data[:_QUOTED_BYTES] if trace.reads else b""
    if began and not b"HTTP/".startswith(began[:5]):
        remedy = "Check scheme and port: https or http, and whether a web server listens there."
        return StopReason(ExitCode.BAD_INPUT, f"{host}: what comes back is no HTTP: {began!r}", remedy)
    if trace.end is TransportEnd.LEFT:
        return too_much(host, trace)
    if trace.end in (TransportEnd.HEADERS_TIMEOUT, TransportEnd.TOTAL_TIMEOUT):
        remedy = "If answers begin later than that, raise --longest; else look for what holds the reply back."
        return StopReason(ExitCode.REQUIREMENT_FAILED, f"{host}: no reply within {waited}", remedy)
    remedy = "Look into the logs of the proxy and the model server for this moment."
    return StopReason(
        ExitCode.REQUIREMENT_FAILED, f"{host}: the connection was closed after {waited} without a reply", remedy
    )


def _server_error(host: str, sample: Sample) -> StopReason | None:
    trace = sample.evidence.trace
    if (trace.status or 0) < 400:
        return None
    said = f": {quoted(trace)}" if quoted(trace) else ""
    remedy = "Look into the logs of the proxy and the model server; audit again once it answers."
    problem = f"{host}: {trace.status} after {trace.ended - trace.started:.1f} s{said}"
    return StopReason(ExitCode.REQUIREMENT_FAILED, problem, remedy)


def _wrong_reply(host: str, sample: Sample) -> StopReason | None:
    """A success that is no stream of this format, or one that has no end."""
    evidence = sample.evidence
    trace, facts = evidence.trace, read(evidence)
    said = facts.recognised > facts.heartbeats
    if facts.marker and trace.end in OWN_ENDS:
        problem = f"{host}: the first answer was whole and its reply did not end, so each would take as long"
        return StopReason(ExitCode.AS_REQUIRED, problem, "")
    if trace.end is TransportEnd.LEFT:
        # Plainly too much of a good stream: what it means for the cost is the run's matter.
        return None if said else too_much(host, trace)
    if trace.end is TransportEnd.TOTAL_TIMEOUT:
        remedy = "If answers take longer, raise --longest; else check why the endpoint does not end its stream."
        problem = f"{host}: the stream had not ended after {trace.ended - trace.started:.0f} s, so the audit left"
        return StopReason(ExitCode.REQUIREMENT_FAILED, problem, remedy)
    if said or trace.end in (TransportEnd.FIRST_TOKEN_TIMEOUT, TransportEnd.MIDDLE_TIMEOUT):
        return None
    return _unreadable(host, sample, facts)


def _unreadable(host: str, sample: Sample, facts: Facts) -> StopReason | None:
    """A reply in which there is no event of the format."""
    evidence = sample.evidence
    trace = evidence.trace
    kind = trace.header("content-type").partition(";")[0].strip() or "no content type"
    name = evidence.wire_format
    if not facts.body_bytes:
        remedy = "Look into the logs of the proxy and the model server."
        return StopReason(ExitCode.REQUIREMENT_FAILED, f"{host}: {trace.status} with an empty body", remedy)
    if _is_batch(sample):
        remedy = "Check that the endpoint can stream, and that nothing on the way drops `stream` from the request."
        problem = f"{host}: the endpoint does not stream: asked for a stream, it answers with one document ({kind})"
        return StopReason(ExitCode.REQUIREMENT_FAILED, problem, remedy)
    if "html" in kind:
        remedy = "Check the path of the address: a web page answers there, and no model."
        return StopReason(ExitCode.BAD_INPUT, f"{host}: {trace.status} with a web page", remedy)
    coding = trace.header("content-encoding").strip().lower()
    if coding not in ("", "identity"):
        unasked = "" if sample.setting.accept_encoding else ", which was not asked for"
        remedy = "Find what compresses the reply, and turn that off for event streams."
        why = facts.unreadable or "no event"
        problem = f"{host}: the body's content coding {coding!r}{unasked}, cannot be undone ({why})"
        return StopReason(ExitCode.REQUIREMENT_FAILED, problem, remedy)
    remedy = "Check the address, and name the wire format with --format."
    problem = f"{host}: {trace.status} with {kind}, in which there is no event of {name}: {quoted(trace)}"
    return StopReason(ExitCode.BAD_INPUT, problem, remedy)


def _is_batch(sample: Sample) -> bool:
    """Whether the body is one whole answer in the format's batch form."""
    evidence = sample.evidence
    decoder = ContentDecoder(evidence.trace.header("content-encoding"))
    body = decoder.feed(b"".join(piece.data for piece in evidence.trace.body))
    events = format_named(evidence.wire_format).read_batch(body)
    return any(isinstance(event, Text) for event in events) and not any(isinstance(e, ErrorEvent) for e in events)
