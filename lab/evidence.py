"""Evidence: what the probe saw, what the model server did, and both together.

These are plain records between the instruments, which write them, and the judge, which reads them; they
know neither. All times are seconds on one monotonic clock, the probe's: the ledger is moved onto it
when it is read, with the offset measured over the side channel.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from lab.plan import Plan


class HttpVersion(StrEnum):
    """The version to ask in; over TLS it is what is offered, and `Trace.version` says what was agreed."""

    HTTP_1_1 = "1.1"
    HTTP_2 = "2"


class TransportEnd(StrEnum):
    """How the exchange ended at the transport, as the probe's socket saw it."""

    FRAMED = "framed"
    """The body's own end came: the last chunk, the last byte of its Content-Length, or END_STREAM."""
    CLOSED = "closed"
    """FIN on a body that is delimited by close: the legitimate end, or a cut that looks like it."""
    SHORT_FIN = "short-fin"
    """FIN in the middle of a body whose framing promised more."""
    RESET = "reset"
    """RST, at whatever place; RST_STREAM of HTTP/2, or a fatal alert of TLS amid the reply."""
    NO_REPLY = "no-reply"
    """FIN before a whole status line and headers."""
    NOT_HTTP = "not-http"
    """Bytes that no parser of the HTTP version in use accepts."""
    UNRESOLVED = "unresolved"
    """The host's name was not found."""
    REFUSED = "refused"
    """The connection could not be opened."""
    TLS_FAILED = "tls-failed"
    """The certificate does not verify, or the handshake failed; the detail has the words."""
    CONNECT_TIMEOUT = "connect-timeout"
    HEADERS_TIMEOUT = "headers-timeout"
    FIRST_TOKEN_TIMEOUT = "first-token-timeout"
    MIDDLE_TIMEOUT = "middle-timeout"
    TOTAL_TIMEOUT = "total-timeout"
    """The probe's own patience ran out, waiting for what the name says."""
    LEFT = "left"
    """The probe closed of its own accord: at the time that it had been told, or because too much came."""


class EndReason(StrEnum):
    """What is known of an end beyond how it looked, where somebody has to act on it."""

    NO_HTTP_2 = "no-http-2"
    """The other side never said that it speaks HTTP/2: it said something else, or nothing."""
    NO_COMMON_PROTOCOL = "no-common-protocol"
    """It takes none of the protocols that were offered in the TLS handshake (RFC 7301, section 3.2)."""
    NO_TLS = "no-tls"
    """What it answers to a TLS handshake is no TLS."""
    CERTIFICATE_EXPIRED = "certificate-expired"
    CERTIFICATE_NAME = "certificate-name"
    """The certificate is for another name or address."""
    CERTIFICATE = "certificate"
    """Something else is wrong with a certificate."""
    IGNORES_LIMIT = "ignores-limit"
    """More tokens came than were asked for, so the probe left."""


@dataclass(frozen=True, slots=True)
class Read:
    """One read from the socket: when it came and what it brought."""

    at: float
    data: bytes


@dataclass(frozen=True, slots=True)
class Stall:
    """A time in which the probe, or the model server, did not run; what came or was due then waited for its end."""

    since: float
    until: float


@dataclass(frozen=True)
class Trace:
    """What the probe saw of one exchange.

    Args:
        started: when the request was handed to the transport (or the connection attempt began, if it
            was never opened).
        ended: when the end was known.
        end: how it ended at the transport.
        detail: the transport's own words on an unclean end (an errno, a parser's message); after a FIN on TLS,
            whether the other side had said that it would close.
        reason: what is known of the end beyond that; None where nothing is.
        status: the HTTP status, or None if none came.
        version: the reply's HTTP version, such as `1.1` or `2`.
        headers: the reply's headers, names in lower case, in order.
        headers_at: when the last byte of the headers had come.
        framing: `chunked`, `length`, `close` or `h2`; empty without headers.
        reads: every read from the socket, headers included. Of TLS what it decrypted to, with the time of the
            read; of HTTP/2 only the reads that brought something of the reply, for pings are no sign of it.
        body: the body without its framing, as each read brought it; of a body that is too large only the beginning.
        stalls: when the probe itself was late; what the reads show of those times is no fault of the path's.
        pause: when it read nothing on purpose; None if it never did.
        connected_at: when the connection stood, before TLS, or a kept one was taken; None if it never did.
        unkept: whether it was to come over a kept connection, which the other side had closed without having said so.
    """

    started: float
    ended: float
    end: TransportEnd
    detail: str = ""
    status: int | None = None
    version: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    headers_at: float | None = None
    framing: str = ""
    reads: tuple[Read, ...] = ()
    body: tuple[Read, ...] = ()
    stalls: tuple[Stall, ...] = ()
    reason: EndReason | None = None
    pause: Stall | None = None
    connected_at: float | None = None
    unkept: bool = False

    @property
    def asked_at(self) -> float:
        """Since when it waits for the path.

        Where all workers are busy, the kernel takes the connection, and the client waits for the handshake already.
        """
        return self.started if self.connected_at is None else self.connected_at

    def header(self, name: str) -> str:
        """The first header of that name (lower case), or an empty text."""
        return next((value for key, value in self.headers if key == name), "")

    def stalled(self, since: float, until: float) -> float:
        """Seconds between two times in which the probe did not run."""
        return _asleep(self.stalls, since, until)


@dataclass(frozen=True)
class Written:
    """A token that the model server handed to its transport: its number and when."""

    number: int
    at: float


@dataclass(frozen=True)
class Hold:
    """A wait in lockstep: for which token's confirmation, until when, and whether it came."""

    number: int
    at: float
    confirmed: bool


@dataclass(frozen=True)
class Ledger:
    """What the model server did for one request.

    Args:
        request: the id that the request carried.
        attempt: 1 for the first request with that id, 2 for the next; more than one is a retry.
        attempts: how many requests came with that id.
        refused: how many of them the model server refused by an error status, so that it generated nothing.
        reused: whether the connection had carried a request before.
        started: when the request had arrived.
        http_version: the version that the request was made with, such as `1.0`.
        port: the model server's port at which it came; 0 if that is not known.
        headers_at: when status and headers were written; None if never.
        tokens: every token written, in order.
        heartbeats: when heartbeats were written.
        holds: the waits in lockstep.
        fault: the fault that was injected, as the plan writes it; empty if none was.
        fault_at: when it was.
        finished: when the reply was over as far as the model server is concerned; None while it runs.
        client_left: when the other side closed before that; None if it did not.
        stalls: when the model server itself was late, since before the request was read, which may have waited for it;
            what the path did in those times it may have done for that.
    """

    request: str
    started: float
    attempt: int = 1
    attempts: int = 1
    refused: int = 0
    reused: bool = False
    http_version: str = "1.1"
    port: int = 0
    headers_at: float | None = None
    tokens: tuple[Written, ...] = ()
    heartbeats: tuple[float, ...] = ()
    holds: tuple[Hold, ...] = ()
    fault: str = ""
    fault_at: float | None = None
    finished: float | None = None
    client_left: float | None = None
    stalls: tuple[Stall, ...] = ()

    @property
    def generations(self) -> int:
        """How often an answer to the request was generated, whole or in part."""
        return self.attempts - self.refused

    def stalled(self, since: float, until: float) -> float:
        """Seconds between two times in which the model server did not run."""
        return _asleep(self.stalls, since, until)


@dataclass(frozen=True)
class Refusal:
    """Something that the model server was asked for and did not serve.

    Args:
        method: of the request; empty where what came was no HTTP.
        path: of the request, without its query.
        status: which it was answered with.
        why: in words.
        at: when it came last.
        request: the id that it carried in its header; empty without one.
        port: the model server's port at which it came; 0 if that is not known.
        count: how often it came.
    """

    method: str
    path: str
    status: int
    why: str
    at: float
    request: str = ""
    port: int = 0
    count: int = 1


@dataclass(frozen=True)
class Evidence:
    """One exchange from both ends.

    Args:
        plan: what the model server was told; None for an endpoint that is not the lab's.
        wire_format: the format's name.
        stream: whether a stream was asked for, or a batch reply.
        trace: what the probe saw.
        ledger: what the model server did; None if it never had the request, or is not the lab's.
        confirmed: when the probe confirmed each token in lockstep, by number.
        path: what was asked for.
        refusals: what the model server was asked for and did not serve, by this request or by none, where it never
            had this one to answer.
        late: seconds after its time at which it began, or at which what it was to meet happened.
        queued: seconds for which its client had no connection for it, before it began.
    """

    wire_format: str
    stream: bool
    trace: Trace
    plan: Plan | None = None
    ledger: Ledger | None = None
    confirmed: dict[int, float] = field(default_factory=dict)
    path: str = ""
    refusals: tuple[Refusal, ...] = ()
    late: float = 0.0
    queued: float = 0.0

    @property
    def refused(self) -> Refusal | None:
        """The model server's own refusal of this very request; None where it refused none."""
        return next((refusal for refusal in reversed(self.refusals) if refusal.request), None)

    def stalled(self, since: float, until: float) -> float:
        """Seconds between two times in which the probe did not run, or the model server, or both."""
        return _asleep((*self.trace.stalls, *(self.ledger.stalls if self.ledger else ())), since, until)


def _asleep(stalls: Iterable[Stall], since: float, until: float) -> float:
    """Seconds between two times that lie in any of the stalls; what two of them share counts once."""
    seconds = 0.0
    for stall in sorted(stalls, key=lambda each: each.since):
        since = max(since, stall.since)
        seconds += max(0.0, min(until, stall.until) - since)
        since = max(since, stall.until)
    return seconds
