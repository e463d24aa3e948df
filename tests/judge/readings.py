"""Cases with their endings, shared by the tests of the rules and of the chunkings.

The letters are those of the grid in which real clients were measured (`b`: FIN in mid-body, ...).
"""

from __future__ import annotations

from lab.evidence import TransportEnd
from lab.vocabulary import Cause, Ending
from lab.wire import format_named
from lab.wire.events import FinishReason

from .builder import Build

WHOLE = Build()
PREFIX = Build(sent=(1, 2, 3), written=3, reason=None, marker=False)
ERROR_EVENT = format_named("openai-chat").error_event("server_error", "upstream failed")
ERROR_BODY = format_named("openai-chat").error_body("rate_limit_error", "slow down")
PAGE = b"<html><body><h1>504 Gateway Timeout</h1></body></html>"
JSON = (("content-type", "application/json"),)
HTML = (("content-type", "text/html"),)
HALF_EVENT = b'data: {"id":"reply-1","object":"chat.completion.chunk","choices":[{"index":0,"del'

CASES: dict[str, tuple[Build, Ending, Cause | None]] = {
    "a-whole": (WHOLE, Ending.COMPLETE, None),
    "a-marker-without-reason": (WHOLE.but(reason=None), Ending.COMPLETE, None),
    "a-reason-without-marker": (WHOLE.but(marker=False), Ending.COMPLETE, None),
    "a-then-reset": (WHOLE.but(end=TransportEnd.RESET), Ending.COMPLETE, None),
    "a-then-hang": (WHOLE.but(end=TransportEnd.MIDDLE_TIMEOUT), Ending.COMPLETE, None),
    "a-empty-answer": (WHOLE.but(whole=0, sent=()), Ending.COMPLETE, None),
    "b-fin": (PREFIX.but(end=TransportEnd.SHORT_FIN, fault="fin@3"), Ending.CUT, Cause.MODEL_DIED),
    "c-reset": (PREFIX.but(end=TransportEnd.RESET, fault="rst@3"), Ending.CUT, Cause.MODEL_DIED),
    "d-framed-truncation": (PREFIX.but(fault="fin@3"), Ending.SILENTLY_TRUNCATED, Cause.MODEL_DIED),
    "d-all-tokens-no-sign": (
        WHOLE.but(reason=None, marker=False, fault="no-marker@5"),
        Ending.SILENTLY_TRUNCATED,
        Cause.MODEL_DIED,
    ),
    "d-forged": (WHOLE.but(sent=(1, 2, 3), written=3, fault="forge@3"), Ending.FORGED_COMPLETE, Cause.MODEL_DIED),
    "d-forged-by-the-path": (PREFIX.but(marker=True, fault="fin@3"), Ending.FORGED_COMPLETE, Cause.MODEL_DIED),
    "e-close-delimited": (
        PREFIX.but(end=TransportEnd.CLOSED, fault="fin@3"),
        Ending.SILENTLY_TRUNCATED,
        Cause.MODEL_DIED,
    ),
    "e-reset-of-close-delimited": (
        PREFIX.but(end=TransportEnd.RESET, fault="rst@3"),
        Ending.CUT,
        Cause.MODEL_DIED,
    ),
    "f-error-event": (PREFIX.but(tail=ERROR_EVENT, fault="error@3"), Ending.MODEL_ERROR_IN_STREAM, Cause.MODEL_ERROR),
    "f-error-then-marker": (
        PREFIX.but(tail=ERROR_EVENT + b"data: [DONE]\n\n", fault="error@3"),
        Ending.MODEL_ERROR_IN_STREAM,
        Cause.MODEL_ERROR,
    ),
    "g-silence": (
        PREFIX.but(end=TransportEnd.MIDDLE_TIMEOUT, ended=110.0, fault="freeze@3"),
        Ending.PROBE_TIMEOUT,
        Cause.PROBE_TIMEOUT,
    ),
    "h-half-an-event": (PREFIX.but(tail=HALF_EVENT, fault="cut-json@3"), Ending.MALFORMED, Cause.MODEL_DIED),
    "h-half-an-event-cut": (
        PREFIX.but(tail=HALF_EVENT, end=TransportEnd.SHORT_FIN, fault="fin@3"),
        Ending.CUT,
        Cause.MODEL_DIED,
    ),
    "h-no-http": (PREFIX.but(end=TransportEnd.NOT_HTTP), Ending.MALFORMED, None),
    "i-proxy-page": (
        WHOLE.but(status=502, body=PAGE, written=0, fault="fin@start"),
        Ending.PROXY_ERROR_STATUS,
        Cause.MODEL_DIED,
    ),
    "i-proxy-speaks-vendor": (
        WHOLE.but(status=429, body=ERROR_BODY, headers=JSON, written=0),
        Ending.PROXY_ERROR_STATUS,
        None,
    ),
    "i-vendor-error": (
        WHOLE.but(status=429, body=ERROR_BODY, headers=JSON, written=0, fault="status@429"),
        Ending.MODEL_ERROR_STATUS,
        Cause.MODEL_ERROR,
    ),
    "i-vendor-error-replaced": (
        WHOLE.but(status=429, body=PAGE, written=0, fault="status@429"),
        Ending.PROXY_ERROR_STATUS,
        Cause.MODEL_ERROR,
    ),
    "i-page-with-200": (WHOLE.but(body=PAGE, headers=HTML, written=0), Ending.WRONG_REPLY, None),
    "i-redirect": (WHOLE.but(status=302, body=b"", written=0), Ending.WRONG_REPLY, None),
    "i-redirect-with-a-body": (
        WHOLE.but(status=307, body=ERROR_BODY, headers=JSON, written=0),
        Ending.WRONG_REPLY,
        None,
    ),
    "i-redirect-with-an-answer": (WHOLE.but(status=308), Ending.WRONG_REPLY, None),
    "i-redirect-cut": (
        WHOLE.but(status=302, body=PAGE, headers=HTML, written=0, end=TransportEnd.SHORT_FIN),
        Ending.WRONG_REPLY,
        None,
    ),
    "k-token-limit": (WHOLE.but(reason=FinishReason.LENGTH), Ending.DECLARED_PARTIAL, Cause.TOKEN_LIMIT),
    "k-filter": (WHOLE.but(reason=FinishReason.CONTENT_FILTER), Ending.DECLARED_PARTIAL, Cause.CONTENT_FILTER),
    "k-limit-on-a-prefix": (
        PREFIX.but(reason=FinishReason.LENGTH, marker=True),
        Ending.FORGED_COMPLETE,
        None,
    ),
    "reason-then-reset": (WHOLE.but(marker=False, end=TransportEnd.RESET, fault="rst@5"), Ending.CUT, Cause.MODEL_DIED),
    "token-missing": (WHOLE.but(sent=(1, 2, 4, 5), fault="drop@2"), Ending.CORRUPT, Cause.MODEL_ERROR),
    "token-twice": (WHOLE.but(sent=(1, 2, 2, 3, 4, 5), fault="repeat@2"), Ending.CORRUPT, Cause.MODEL_ERROR),
    "tokens-swapped": (WHOLE.but(sent=(1, 3, 2, 4, 5)), Ending.CORRUPT, None),
    "token-foreign": (WHOLE.but(sent=(1, 2, "elm ⟨0000:3@9ms⟩ ", 4, 5)), Ending.CORRUPT, None),
    "error-painted-as-text": (
        WHOLE.but(sent=(1, 2, 3, "Error: the upstream has failed.")),
        Ending.CORRUPT,
        None,
    ),
    "refused": (
        WHOLE.but(sent=(), reason=None, marker=False, status=0, end=TransportEnd.REFUSED, has_ledger=False),
        Ending.CUT,
        None,
    ),
    "unresolved": (
        WHOLE.but(sent=(), reason=None, marker=False, status=0, end=TransportEnd.UNRESOLVED, has_ledger=False),
        Ending.CUT,
        None,
    ),
    "tls-failed": (
        WHOLE.but(sent=(), reason=None, marker=False, status=0, end=TransportEnd.TLS_FAILED, has_ledger=False),
        Ending.CUT,
        None,
    ),
    "a-stream-without-an-end": (
        PREFIX.but(end=TransportEnd.TOTAL_TIMEOUT, fault="freeze@3"),
        Ending.PROBE_TIMEOUT,
        Cause.PROBE_TIMEOUT,
    ),
    "no-reply": (
        WHOLE.but(
            sent=(), reason=None, marker=False, status=0, end=TransportEnd.NO_REPLY, fault="fin@start", written=0
        ),
        Ending.CUT,
        Cause.MODEL_DIED,
    ),
    "empty-body": (
        WHOLE.but(sent=(), reason=None, marker=False, written=0, fault="no-marker@0"),
        Ending.SILENTLY_TRUNCATED,
        Cause.MODEL_DIED,
    ),
}
