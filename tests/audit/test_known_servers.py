"""The audit of servers whose behaviour is known, because it is all that they do; nothing in them is the lab's."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from statistics import median

import pytest

from lab.audit.results import AuditResults, load
from lab.cli import main
from lab.errors import ExitCode

Answer = Callable[[bytes, Callable[[bytes], None]], Awaitable[None]]
"""Given the request's head, writes the body's chunks."""

DONE = b"data: [DONE]\n\n"


def event(text: str, reason: str | None = None) -> bytes:
    """One chunk of a chat completion."""
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": reason}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


@contextmanager
def serving(answer: Answer, coding: str = "") -> Iterator[str]:
    """A server on a free port, in a thread of its own; an answer that raises `ConnectionError` is cut."""
    ready = threading.Event()
    held: list[tuple[str, Callable[[], object]]] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.split(b":")[1]))
        coded = f"Content-Encoding: {coding}\r\n" if coding and coding.encode() in head else ""
        writer.write(
            f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{coded}Transfer-Encoding: chunked\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        try:
            await answer(head, lambda data: writer.write(b"%x\r\n%s\r\n" % (len(data), data)))
            writer.write(b"0\r\n\r\n")
        except ConnectionError:
            pass
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)

    async def serve() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        async with await asyncio.start_server(take, "127.0.0.1", 0) as server:
            address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/chat/completions"
            held.append((address, lambda: loop.call_soon_threadsafe(stop.set)))
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    ready.wait()
    address, stop = held[0]
    try:
        yield address
    finally:
        stop()
        thread.join()


def audited(url: str, folder: Path, *options: str) -> tuple[int, AuditResults, str]:
    """The exit code, the results, and all sentences of its problems."""
    code = main(["audit", url, *options, "--out", str(folder)])
    results = load(folder / "audit.json")
    assert results.conclusions is not None
    return code, results, "\n".join(problem.sentence for problem in results.conclusions.problems)


@pytest.mark.parametrize("place", [0, 10, 19], ids=["first", "amid", "last"])
def test_one_event_that_is_no_json_fails_the_audit(place: int, tmp_path: Path) -> None:
    """Twenty words, one of which is half an event; reason and marker come."""

    async def answer(_: bytes, send: Callable[[bytes], None]) -> None:
        for number in range(20):
            whole = event(f"word{number} ")
            send(whole[:30] + b"\n\n" if number == place else whole)
            await asyncio.sleep(0.01)
        send(event("", "stop") + DONE)

    with serving(answer) as url:
        code, _, said = audited(url, tmp_path, "--runs", "1")
    assert code == ExitCode.REQUIREMENT_FAILED
    assert "5 of 5 answers ended malformed" in said
    assert """b'{"choices": [{"index": 0""" in said


@pytest.mark.parametrize("events", [1, 7])
def test_a_gzip_member_for_each_piece_fails_the_audit(events: int, tmp_path: Path) -> None:
    """As Django's middleware under ASGI; without a coding offered the same server is fine."""

    async def answer(head: bytes, send: Callable[[bytes], None]) -> None:
        parts = [*(event(f"word{number} ") for number in range(20)), event("", "stop"), DONE]
        for number in range(0, len(parts), events):
            data = b"".join(parts[number : number + events])
            send(gzip.compress(data) if b"gzip" in head else data)
            await asyncio.sleep(0.01 * events)

    with serving(answer, "gzip") as url:
        code, _, said = audited(url, tmp_path, "--runs", "1")
    assert code == ExitCode.REQUIREMENT_FAILED
    assert "1 of 1 replies in the content coding gzip are whole for some clients only" in said
    assert f"gets {events} of 22 events" in said


def test_a_server_that_never_gives_a_reason_is_warned_of(tmp_path: Path) -> None:
    """The marker comes, and `finish_reason` is null to the end."""

    async def answer(_: bytes, send: Callable[[bytes], None]) -> None:
        for number in range(30):
            send(event(f"word{number} "))
            await asyncio.sleep(0.01)
        send(event("") + DONE)

    with serving(answer) as url:
        code, _, said = audited(url, tmp_path, "--runs", "1")
    assert code == ExitCode.AS_REQUIRED
    assert "no answer had a finish reason" in said


@pytest.mark.grid
@pytest.mark.parametrize(("timeout", "every"), [(3.0, 0.5), (4.0, 1.0), (5.0, 2.0)])
def test_a_supervisor_that_looks_now_and_then(timeout: float, every: float, tmp_path: Path, draw: Random) -> None:
    """Each answer is cut at a random moment of the round after its timeout: never one value, and never faults."""
    cut_after: list[float] = []

    async def answer(_: bytes, send: Callable[[bytes], None]) -> None:
        began = time.monotonic()
        end = began + timeout + every * draw.random()
        pace = draw.uniform(0.03, 0.06)
        for number in range(1000):
            send(event(f"word{number} "))
            await asyncio.sleep(pace)
            if time.monotonic() > end:
                cut_after.append(time.monotonic() - began)
                raise ConnectionError

    with serving(answer) as url:
        code, results, said = audited(url, tmp_path, "--runs", "2", "--at-once", "6")
    assert code == ExitCode.REQUIREMENT_FAILED
    assert results.conclusions is not None
    (guess,) = results.conclusions.timeouts
    assert guess.value is not None
    # The first cuts tell it; by what the server did, since now and then all ten fall into the round's second half.
    assert timeout - every <= guess.value <= median(cut_after)
    assert "looks like a timeout on the whole exchange" in said
    assert "faults" not in said
