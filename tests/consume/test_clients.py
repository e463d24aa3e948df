"""What real clients raise, and one real client over a real connection."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
import pytest

from lab.consume import (
    Failed,
    FailedReason,
    Partial,
    PartialReason,
    consume,
)

from .dialects import (
    OPENAI,
    ReadTimeout,
    Unnamed,
    httpx_in_use,
    raising,
    read,
    text_of,
)


def _hidden(attribute: str) -> Exception:
    """An exception behind which a timeout stands, as the ConnectionError that requests raises for one."""
    error = Unnamed("read failed")
    setattr(error, attribute, ReadTimeout("10 s"))
    return error


TIMEOUTS = [
    TimeoutError("10 s"),
    ReadTimeout("10 s"),
    _hidden("__cause__"),
    _hidden("__context__"),
    aiohttp.SocketTimeoutError("10 s"),
]
CUTS = [
    ConnectionResetError("reset by peer"),
    BrokenPipeError(),
    EOFError(),
    OSError(113, "no route to host"),
    ValueError("invalid chunk size"),
    aiohttp.ClientPayloadError("not enough data"),
    aiohttp.ServerDisconnectedError(),
]


@pytest.mark.parametrize("error", TIMEOUTS, ids=lambda error: type(error).__name__)
def test_timeouts_are_told_from_cuts(error: Exception) -> None:
    """A timeout is known by its class, its name or what it was raised for, and its words are kept."""
    outcome = read(OPENAI.beginning(2), error, dialect=OPENAI)
    assert isinstance(outcome, Partial)
    assert outcome.reason is PartialReason.TIMEOUT
    assert type(error).__name__ in outcome.detail
    before = read(OPENAI.opening.encode(), error, dialect=OPENAI)
    assert isinstance(before, Failed)
    assert before.reason is FailedReason.TIMEOUT


@pytest.mark.parametrize("error", CUTS, ids=lambda error: type(error).__name__)
def test_every_other_exception_is_aread(error: Exception) -> None:
    """Whatever else a client raises is a cut, whichever class it has, and its words are kept."""
    outcome = read(OPENAI.beginning(2), error, dialect=OPENAI)
    assert isinstance(outcome, Partial)
    assert outcome.reason is PartialReason.CUT
    assert type(error).__name__ in outcome.detail


def test_httpx_exceptions_are_sorted() -> None:
    """The exceptions of the real httpx, no subclasses of Python's own, are told apart as well."""
    httpx = httpx_in_use()
    for error, reason in [
        (httpx.RemoteProtocolError("peer closed connection"), PartialReason.CUT),
        (httpx.ReadError(""), PartialReason.CUT),
        (httpx.ReadTimeout("timed out"), PartialReason.TIMEOUT),
        (httpx.ConnectTimeout("timed out"), PartialReason.TIMEOUT),
    ]:
        outcome = read(OPENAI.beginning(1), error, dialect=OPENAI)
        assert isinstance(outcome, Partial)
        assert outcome.reason is reason


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), asyncio.CancelledError()])
def test_interruptions_are_passed_on(error: BaseException) -> None:
    """What is no Exception is no failure of the stream, and is not swallowed."""
    with pytest.raises(type(error)):
        consume(raising(OPENAI.beginning(1), error))


def test_errors_of_the_application_are_passed_on() -> None:
    """What `on_text` raises is the application's own and is not taken for a cut."""

    def show(text: str) -> None:
        raise ZeroDivisionError(text)

    with pytest.raises(ZeroDivisionError):
        consume([OPENAI.stream(1)], on_text=show)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@contextmanager
def _server(body: bytes, end: str, shown: threading.Event) -> Iterator[str]:
    """One chunked reply on a raw socket, ended as told once its text was shown; gives the URL."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(HEAD)
            connection.sendall(b"%x\r\n%s\r\n" % (len(body), body))
            shown.wait(10)
            if end == "rst":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if end == "last-chunk":
                connection.sendall(b"0\r\n\r\n")
            if end == "stall":
                connection.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1/chat/completions"
        thread.join(10)


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("fin", PartialReason.CUT),
        ("rst", PartialReason.CUT),
        ("last-chunk", PartialReason.NO_MARKER),
        ("stall", PartialReason.TIMEOUT),
    ],
)
def test_httpx_over_a_real_connection(end: str, reason: PartialReason) -> None:
    """A model that dies after three tokens leaves exactly three, whichever way its connection ended."""
    httpx, shown = httpx_in_use(), threading.Event()
    with (
        _server(OPENAI.beginning(3), end, shown) as url,
        httpx.Client(timeout=2 if end == "stall" else 10, trust_env=False) as client,
        client.stream("GET", url) as reply,
    ):
        outcome = consume(
            reply.iter_bytes(), status=reply.status_code, headers=reply.headers, on_text=lambda _: shown.set()
        )
    assert isinstance(outcome, Partial)
    assert (outcome.text, outcome.tokens, outcome.reason) == (text_of(3), 3, reason)
