"""What is refused and what is failed."""

from __future__ import annotations

import pytest

from lab.consume import (
    Consumer,
    Failed,
    FailedReason,
    Refused,
    Retry,
    consume,
)

from .dialects import (
    HTML,
    OPENAI,
    Dialect,
    each_dialect,
    read,
)


@each_dialect
@pytest.mark.parametrize("stream", [True, False])
def test_error_document_with_an_error_status_is_refused(dialect: Dialect, stream: bool) -> None:
    """An HTTP error with the vendor's document is the API's own no, with its advice when to return."""
    outcome = consume(
        [dialect.error_document.encode()],
        wire_format=dialect.name,
        stream=stream,
        status=429,
        headers={"Retry-After": "7"},
    )
    assert outcome == Refused(429, "rate_limit", "slow down", 7.0)


@each_dialect
def test_error_event_before_any_token_is_refused(dialect: Dialect) -> None:
    """An error event before the first token is a no as well, whatever then becomes of the connection."""
    data = (dialect.opening + dialect.error).encode()
    for error in [None, ConnectionResetError()]:
        assert read(data, error, dialect=dialect) == Refused(200, "server_error", "gone")


@each_dialect
def test_error_document_with_a_success_status_is_refused(dialect: Dialect) -> None:
    """An error document where a stream was asked for is a no, though the status says 200."""
    assert read(dialect.error_document.encode(), dialect=dialect) == Refused(200, "rate_limit", "slow down")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([("retry-after", "2")], 2.0),
        ([("Retry-After", "20"), ("Retry-After-Ms", "1500")], 1.5),
        ([("retry-after-ms", "soon"), ("retry-after", "2")], 2.0),
        ([("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT"), ("date", "Wed, 21 Oct 2026 07:27:30 GMT")], 30.0),
        ([("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT"), ("date", "Wed, 21 Oct 2026 07:28:30 GMT")], 0.0),
        ([("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT"), ("date", "Wed, 21 Oct 2026 07:27:30 -0000")], None),
        ([("retry-after", "Wed, 99 Oct 2026 07:28:00 GMT"), ("date", "Wed, 21 Oct 2026 07:27:30 GMT")], None),
        ([("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")], None),
        ([("retry-after", "nan")], None),
        ([("retry-after", "-1")], None),
        ([], None),
    ],
)
def test_retry_after(headers: list[tuple[str, str]], seconds: float | None) -> None:
    """The advice when to return is seconds or nothing, never anything that a sleep would choke on."""
    outcome = consume([OPENAI.error_document.encode()], status=429, headers=headers)
    assert outcome == Refused(429, "rate_limit", "slow down", seconds)


@each_dialect
@pytest.mark.parametrize("body", [HTML, b"", b"upstream connect error", b'{"message":"no route"}'])
def test_error_page_of_a_proxy_is_failed(dialect: Dialect, body: bytes) -> None:
    """An HTTP error without the vendor's document was not said by the API."""
    outcome = consume([body], wire_format=dialect.name, status=504, headers=[("Content-Type", "text/html")])
    assert isinstance(outcome, Failed)
    assert outcome.reason is FailedReason.PROXY_ERROR_STATUS
    assert outcome.detail.startswith("HTTP 504, text/html, ")


@each_dialect
@pytest.mark.parametrize(
    "body", [HTML, b"OK", b'{"hello":1}', b"data: {}\n\n", HTML * 5_000], ids=["page", "word", "json", "sse", "long"]
)
def test_success_that_is_no_stream_is_failed(dialect: Dialect, body: bytes) -> None:
    """A 200 with something else in it is a wrong reply, and the detail quotes its beginning."""
    outcome = consume([body], wire_format=dialect.name, headers={"content-type": "text/html"})
    assert isinstance(outcome, Failed)
    assert outcome.reason is FailedReason.WRONG_REPLY
    assert outcome.detail.startswith("HTTP 200, text/html, b'")
    assert len(outcome.detail) < 200


@each_dialect
def test_batch_reply_instead_of_a_stream_is_failed(dialect: Dialect) -> None:
    """A batch document where a stream was asked for is a wrong reply."""
    outcome = read(dialect.batch.encode(), dialect=dialect)
    assert isinstance(outcome, Failed)
    assert outcome.reason is FailedReason.WRONG_REPLY


def test_redirection_is_failed() -> None:
    """A redirection to a login page that the client did not follow is a wrong reply."""
    outcome = consume([HTML], status=302)
    assert isinstance(outcome, Failed)
    assert outcome.reason is FailedReason.WRONG_REPLY


@each_dialect
@pytest.mark.parametrize("body", ["", ": heartbeat\n\n", "opening"])
def test_clean_end_without_anything_is_failed(dialect: Dialect, body: str) -> None:
    """A clean end without token and marker is empty, heartbeats and opening or not."""
    outcome = read((dialect.opening if body == "opening" else body).encode(), dialect=dialect)
    assert isinstance(outcome, Failed)
    assert outcome.reason is FailedReason.EMPTY


@each_dialect
def test_bare_marker_is_failed(dialect: Dialect) -> None:
    """The terminal marker with no token and no finish reason is empty."""
    outcome = read(dialect.marker.encode(), dialect=dialect)
    assert isinstance(outcome, Failed)
    assert outcome.reason is FailedReason.EMPTY


@each_dialect
def test_broken_first_event_is_failed(dialect: Dialect) -> None:
    """A reply that begins in its format and breaks it before the first token is malformed."""
    outcome = read(dialect.opening.encode() + b"data: {bad\n\n", dialect=dialect)
    assert isinstance(outcome, Failed)
    assert outcome.reason is FailedReason.MALFORMED


def test_connection_that_was_never_made_is_failed() -> None:
    """Without status and body there is still exactly one outcome, and the question never left."""
    outcome = Consumer().close(ConnectionRefusedError(111, "refused"))
    assert outcome == Failed(FailedReason.UNREACHABLE, "ConnectionRefusedError: [Errno 111] refused")
    assert outcome.retry is Retry.SAFE


def test_connection_that_failed_after_the_request_is_a_cut() -> None:
    """Where the question may have left, asking again may cost."""
    outcome = Consumer().close(ConnectionResetError("reset"))
    assert outcome == Failed(FailedReason.CUT, "ConnectionResetError: reset")
    assert outcome.retry is Retry.COSTS


@pytest.mark.parametrize(
    ("status", "retry"),
    [
        (429, Retry.SAFE),
        *((status, Retry.COSTS) for status in (408, 500, 502, 503, 504)),
        *((status, Retry.POINTLESS) for status in (400, 401, 404, 413)),
    ],
)
def test_status_of_a_proxy_keeps_its_advice(status: int, retry: Retry) -> None:
    """A proxy's page has no vendor's document, but a status and a time to wait, and they are kept."""
    outcome = consume([HTML], status=status, headers={"Retry-After": "30"})
    assert isinstance(outcome, Failed)
    assert outcome.reason is FailedReason.PROXY_ERROR_STATUS
    assert (outcome.status, outcome.retry_after, outcome.retry) == (status, 30.0, retry)


@pytest.mark.parametrize(
    ("status", "kind", "retry"),
    [
        (429, "rate_limit_exceeded", Retry.SAFE),
        (429, "requests", Retry.SAFE),
        (429, "insufficient_quota", Retry.POINTLESS),
        (529, "overloaded_error", Retry.SAFE),
        (200, "overloaded_error", Retry.SAFE),
        (503, "overloaded", Retry.SAFE),
        (500, "server_error", Retry.COSTS),
        (200, "api_error", Retry.COSTS),
        (409, "conflict_error", Retry.COSTS),
        (400, "invalid_request_error", Retry.POINTLESS),
        (401, "authentication_error", Retry.POINTLESS),
        (404, "model_not_found", Retry.POINTLESS),
        (200, "invalid_request_error", Retry.POINTLESS),
    ],
)
def test_refusals_say_what_asking_again_would_do(status: int, kind: str, retry: Retry) -> None:
    """A busy server has done nothing yet, a broken one may have, and a bad request stays bad."""
    assert Refused(status, kind, "no").retry is retry
