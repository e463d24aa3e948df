"""The evidence in one sentence: what came of what was written, how it ended, why, and how it was delivered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from lab.evidence import Evidence, Ledger, Refusal, Stall, TransportEnd
from lab.judge.endings import Reading
from lab.vocabulary import Cause, Ending

TRANSPORT: Mapping[TransportEnd, str] = {
    TransportEnd.FRAMED: "the body's own end came",
    TransportEnd.CLOSED: "the connection was closed, which is this body's only end",
    TransportEnd.SHORT_FIN: "the connection was closed in the middle of the body",
    TransportEnd.RESET: "the connection was reset",
    TransportEnd.NO_REPLY: "the connection was closed before any reply",
    TransportEnd.NOT_HTTP: "the bytes are no HTTP",
    TransportEnd.UNRESOLVED: "the host's name was not found",
    TransportEnd.REFUSED: "the connection was refused",
    TransportEnd.TLS_FAILED: "no verified TLS connection was made",
    TransportEnd.CONNECT_TIMEOUT: "the probe gave up connecting",
    TransportEnd.HEADERS_TIMEOUT: "the probe gave up waiting for headers",
    TransportEnd.FIRST_TOKEN_TIMEOUT: "the probe gave up waiting for the body",
    TransportEnd.MIDDLE_TIMEOUT: "the probe gave up waiting for more",
    TransportEnd.TOTAL_TIMEOUT: "the probe gave up on the whole exchange",
    TransportEnd.LEFT: "the probe left as it was told to",
}
"""How an exchange ended at the transport, in words."""

NOT_SERVED = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)
"""What the model server answers where it has nothing that it was asked for."""

_TIMEOUTS = frozenset({Cause.FIRST_BYTE_TIMEOUT, Cause.IDLE_TIMEOUT, Cause.TOTAL_TIMEOUT})


def sentence_of(reading: Reading, ending: Ending, cause: Cause | None, delivered: str, timeout: str) -> str:
    """Put the evidence into words; `delivered` and `timeout` are what the rules had to say."""
    parts = [_tokens(reading), _end(reading, ending)]
    if cause in _TIMEOUTS:
        parts.append(f"which fits {timeout}")
    elif cause is not None and reading.fault is not None and reading.evidence.ledger is not None:
        parts.append(f"after the model's {reading.evidence.ledger.fault}")
    if reading.trace.pause is not None:
        parts.append(_paused(reading.trace.pause, reading.evidence.ledger))
    elif reading.facts.right:
        parts.append(delivered)
    if reading.facts.lost_to_members:
        parts.append(first_member_only(reading))
    if _missed(reading.evidence):
        parts.append("the request never reached the model server")
    return "; ".join(parts) + "."


def _paused(pause: Stall, ledger: Ledger | None) -> str:
    """How long the client read nothing, and how far the model came meanwhile."""
    words = f"the client read nothing for {pause.until - pause.since:.2f} s"
    if ledger is None:
        return words
    before = [token.number for token in ledger.tokens if token.at < pause.until]
    return f"{words}, in which the model came to token {max(before, default=0)}"


def first_member_only(reading: Reading) -> str:
    """What a client misses that stops after the first member of gzip or frame of zstd."""
    facts = reading.facts
    parts = "zstd frames" if "zstd" in reading.trace.header("content-encoding").lower() else "gzip members"
    return (
        f"the body is {facts.members} {parts} one after another, and a client that stops after the first gets "
        f"{facts.in_first_member} of {facts.recognised} events"
    )


def _tokens(reading: Reading) -> str:
    facts, ledger = reading.facts, reading.evidence.ledger
    of = "" if facts.whole is None else f" of {facts.whole}"
    if ledger is None:
        return f"{facts.received}{of} tokens came"
    tries = f" by try {ledger.attempt} of {ledger.attempts}" if ledger.attempts > 1 else ""
    written = len({token.number for token in ledger.tokens})
    return f"{facts.received}{of} tokens came, {written} written{tries}"


def _end(reading: Reading, ending: Ending) -> str:
    trace, facts = reading.trace, reading.facts
    took = f"{(trace.ended - trace.started) * 1e3:,.0f} ms"
    how = TRANSPORT[trace.end] + (f" ({trace.detail})" if trace.detail else "")
    details: Mapping[Ending, str] = {
        Ending.CORRUPT: facts.spoilt or facts.contradiction,
        Ending.MODEL_ERROR_IN_STREAM: f"error event {facts.error.kind!r}" if facts.error else "",
        Ending.MODEL_ERROR_STATUS: _refusal(reading) or f"status {trace.status} with the model's error document",
        Ending.PROXY_ERROR_STATUS: f"status {trace.status} with a page that is not the model's",
        Ending.WRONG_REPLY: f"status {trace.status} with {trace.header('content-type') or 'no content type'}",
        Ending.MALFORMED: facts.unreadable,
        Ending.FORGED_COMPLETE: f"{_signs(reading)} on a prefix",
        Ending.COMPLETE: _signs(reading),
        Ending.DECLARED_PARTIAL: _signs(reading),
        Ending.SILENTLY_TRUNCATED: "neither reason nor marker",
        Ending.CUT: f"{facts.body_bytes:,} bytes of body",
    }
    detail = details.get(ending, "")
    return f"{detail}; {how} after {took}" if detail else f"{how} after {took}"


def never_reached(exchanges: Sequence[Evidence]) -> str:
    """That the model server had none of several requests, and what it was asked for instead; empty where it had one."""
    if not exchanges or not all(_missed(each) for each in exchanges):
        return ""
    others = dict.fromkeys(_other(refusal) for each in exchanges for refusal in each.refusals)
    return f"no exchange reached the model server; it was asked for {', '.join(others) or 'nothing'}"


def refused_in_words(evidence: Evidence) -> str:
    """What the model server itself had against a request; empty where it refused none."""
    return "" if evidence.refused is None else _refused(evidence.refused, evidence.path)


def _missed(evidence: Evidence) -> bool:
    """Whether a request got an answer, and not from the model server."""
    asked = evidence.plan is not None and evidence.trace.status is not None
    return asked and evidence.ledger is None and evidence.refused is None


def _refusal(reading: Reading) -> str:
    words = refused_in_words(reading.evidence)
    return f"status {reading.trace.status}: {words}" if words else ""


def _refused(refused: Refusal, asked: str) -> str:
    if refused.status not in NOT_SERVED:
        return f"the model server refused the request with {refused.status}: {refused.why}"
    what = refused.path if refused.status == HTTPStatus.NOT_FOUND else f"{refused.method} {refused.path}"
    rewritten = ": the configuration rewrites the path" if asked not in ("", refused.path) else ""
    return f"the model server was asked for {what}, which it does not serve{rewritten}"


def _other(refusal: Refusal) -> str:
    """Something else that came to the model server, what it was answered, and how often."""
    what = f"{refusal.method} {refusal.path}" if refusal.method else refusal.why
    times = f" ({refusal.count} times)" if refusal.count > 1 else ""
    return f"{what}, {refusal.status}{times}"


def _signs(reading: Reading) -> str:
    """The signs of an end that the answer bore."""
    finish, marker = reading.facts.finish, reading.facts.marker
    return " and ".join(
        [*([f"reason {finish.raw!r}"] if finish is not None else []), *(["terminal marker"] if marker else [])]
    )
