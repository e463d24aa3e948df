from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator, Iterator

import pytest

from lab.testbed._logs import LogBook, lines_of

TEXT = "first\nzwei | für\r\n\nlast without end"
LINES = ["first", "zwei | für", "", "last without end"]


@pytest.mark.parametrize("size", range(1, 12))
def test_lines_are_whole_wherever_the_chunks_end(size: int) -> None:
    """Chunks may end anywhere, also inside a character or between the two parts of a line end."""
    data = TEXT.encode()
    chunks = [data[i : i + size] for i in range(0, len(data), size)]
    assert list(lines_of(chunks)) == LINES


async def test_lines_go_to_their_process() -> None:
    """Each process keeps its own lines, and its end is known with its exit code."""
    book = LogBook(["8001", "8002"], asyncio.get_running_loop())
    for line in ("8001 | a", "8002 | b", "8001 | c | d", "8001 | [testbed] exited 1"):
        book.take(line)
    await asyncio.wait_for(book.voices["8001"].ended.wait(), 5)
    assert list(book.voices["8001"].lines) == ["a", "c | d"]
    assert book.voices["8001"].exit_code == 1
    assert list(book.voices["8002"].lines) == ["b"]
    assert not book.voices["8002"].ended.is_set()


async def test_an_unsupervised_container_has_one_voice() -> None:
    """The model server's lines are kept whole, whatever stands in them."""
    book = LogBook([""], asyncio.get_running_loop())
    book.take("8001 | a")
    book.take("plain")
    assert list(book.voices[""].lines) == ["8001 | a", "plain"]


async def test_a_log_that_does_not_end_is_closed() -> None:
    """Should the engine forget to end a log, the reading thread still ends."""

    class Endless:
        def __init__(self) -> None:
            self.closed = threading.Event()

        def __iter__(self) -> Iterator[bytes]:
            yield b"a\n"
            self.closed.wait(30)

        def close(self) -> None:
            self.closed.set()

    endless = Endless()
    book = LogBook([""], asyncio.get_running_loop())
    book.follow(lambda: endless)
    await asyncio.to_thread(book.close)
    await asyncio.wait_for(book.voices[""].ended.wait(), 5)
    assert list(book.voices[""].lines) == ["a"]


async def test_the_end_of_the_log_ends_every_process() -> None:
    """When the container or the engine goes away, nobody waits any longer."""

    def broken() -> Generator[bytes, None, None]:
        yield b"8001 | a\n"
        raise ConnectionResetError

    book = LogBook(["8001"], asyncio.get_running_loop())
    book.follow(broken)
    await asyncio.wait_for(book.voices["8001"].ended.wait(), 5)
    assert list(book.voices["8001"].lines) == ["a"]
    assert book.voices["8001"].exit_code is None
