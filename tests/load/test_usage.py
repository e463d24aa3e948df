"""What Linux tells of a process: its connections to a port, and its files without a name."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from lab.load.usage import ProxyProcesses, connections_to, temporary_files, watching


def test_connections_to_a_port_are_counted() -> None:
    """Those that lead there, and not those that come from there, nor the socket that listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening, ExitStack() as stack:
        port = listening.getsockname()[1]
        assert connections_to(os.getpid(), port) == 0
        for _ in range(3):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            stack.enter_context(listening.accept()[0])
        assert connections_to(os.getpid(), port) == 3


def test_temporary_files_are_those_without_a_name() -> None:
    """With their sizes; what has a name is somebody's."""
    before = temporary_files([os.getpid()])
    assert before is not None
    with tempfile.TemporaryFile() as nameless, tempfile.NamedTemporaryFile() as named:
        for each in (nameless, named):
            each.write(b"x" * 1_234_567)
            each.flush()
        found = temporary_files([os.getpid()])
    assert found is not None
    assert sorted(found.values()) == sorted([*before.values(), 1_234_567])


def test_what_a_process_that_is_gone_had_is_not_known() -> None:
    """And no trouble."""
    gone = 2**22 + 1
    assert connections_to(gone, 80) is None
    assert temporary_files([gone]) is None


async def test_the_most_that_was_seen_is_told() -> None:
    """Of a process that is there from the beginning to the end; without one there is nothing to tell."""
    async with watching(None) as nothing:
        assert nothing() is None
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            async with watching(ProxyProcesses((os.getpid(),), port)) as usage:
                # The first look comes at once, as soon as there is a turn for it.
                while (seen := usage()) is not None and not seen.memory:  # noqa: ASYNC110  # nothing sets an event
                    await asyncio.sleep(0)
    assert seen is not None
    assert seen.connections == 1
    assert seen.memory > 2**20


async def test_what_was_there_before_the_load_is_told_apart() -> None:
    """By which each stream's share is what the load has brought."""
    async with watching(ProxyProcesses((os.getpid(),), 1)) as usage:
        brought = b"x" * (64 * 2**20)
        while (seen := usage()) is not None and seen.memory - seen.idle < 48 * 2**20:  # noqa: ASYNC110  # nothing tells
            await asyncio.sleep(0.05)
    assert seen is not None
    assert brought
    assert seen.idle > 2**20


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Two that only wait."""
    with subprocess.Popen(["sleep", "60"]) as one, subprocess.Popen(["sleep", "60"]) as other:
        yield [one, other]
        one.kill()
        other.kill()


async def test_processes_that_end_meanwhile_are_counted(processes: list[subprocess.Popen[bytes]]) -> None:
    """One that is killed for its memory takes its streams along, which no configuration asked for."""
    lasting, ending = processes
    async with watching(ProxyProcesses((lasting.pid, ending.pid), 9)) as usage:
        before = usage()
        ending.kill()
        # A zombie until its parent has asked for it, and gone after that.
        await asyncio.to_thread(os.waitid, os.P_PID, ending.pid, os.WEXITED | os.WNOWAIT)
        as_zombie = usage()
        await asyncio.to_thread(ending.wait)
        after = usage()
    assert [each and each.ended for each in (before, as_zombie, after)] == [0, 1, 1]


STARTS_ANOTHER = """
import subprocess, sys

sys.stdin.readline()
busy = "import time; any(time.process_time() > 0.5 for _ in iter(int, 1))"
print(subprocess.run([sys.executable, "-c", busy]).returncode, flush=True)
sys.stdin.readline()
"""


async def test_what_a_proxy_starts_under_load_is_its_own() -> None:
    """As Apache starts children: what such a process takes counts, and still does when it has ended."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", STARTS_ANOTHER, stdin=PIPE, stdout=PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    async with watching(ProxyProcesses((process.pid,), 9)) as usage:
        process.stdin.write(b"\n")
        before, seen, ended = usage(), usage(), asyncio.ensure_future(process.stdout.readline())
        while not ended.done() and (now := usage()) is not None:
            seen = now
            await asyncio.sleep(0.02)
        after = usage()
    await process.communicate(b"\n")
    assert before is not None
    assert seen is not None
    assert after is not None
    assert (before.ended, after.ended) == (0, 1)
    assert after.processor - before.processor > 0.3
    assert after.processor >= seen.processor
