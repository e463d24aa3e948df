"""Commands that are stopped, in processes of their own; what they have to remove is made up and takes its time."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from own_scenario import write_scenario
from processes import LIMIT, await_line, messages

from lab.signals import ENDING, STILL_AT_IT, Stop

REMOVAL = """
import asyncio, signal, sys

for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    # Whoever runs the tests may have been started deaf to some of them.
    signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

def tell(phase):
    # In one piece: pytest writes from another thread, and may be in the middle of a line.
    sys.stdout.write(f"\\n-- {phase}\\n")
    sys.stdout.flush()

def remove():
    tell("removing")
    for _ in sys.stdin:
        tell("still removing")
    tell("removed")

async def run_lab(*_, **__):
    try:
        tell("play")
        await asyncio.Event().wait()
    finally:
        await asyncio.shield(asyncio.to_thread(remove))
"""
"""A run that goes on until it is stopped, and that has removed its things when standard input is closed."""

COMMAND = f"""
{REMOVAL}
from lab.cli import main, run
run.run_lab = run_lab
sys.exit(main())
"""

PYTEST = f"""
{REMOVAL}
import pytest
from lab import pytest_items
pytest_items.run_lab = run_lab
sys.exit(pytest.main())
"""


@contextmanager
def running(program: str, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A program in a process of its own; killed if the block leaves it running."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def stop(process: subprocess.Popen[str], number: signal.Signals, times: int) -> tuple[int, str, str]:
    """Send a signal while it works, and the others while it removes; code and what was printed after that."""
    await_line(process, "-- play")
    process.send_signal(number)
    await_line(process, "-- removing")
    assert process.stdin is not None
    for _ in range(times - 1):
        process.send_signal(number)
        # Signals that come at once count as one; the answer gives each the time to be heard.
        process.stdin.write("\n")
        process.stdin.flush()
        await_line(process, "-- still removing")
    # An end of the input is the end of the removal.
    out, err = process.communicate("", timeout=LIMIT)
    return process.returncode, out, err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_what_was_begun_is_removed_whatever_stops_it(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C, kill and a closed terminal alike, ten times in a row; no traceback, and the code that shells expect."""
    with running(COMMAND, "run", "bursts", "--out", tmp_path) as process:
        code, out, err = stop(process, number, 10)
    assert code == 128 + number
    assert "-- removed" in out
    assert set(messages(err)) - {STILL_AT_IT} == {"lab: stopped"}
    assert set(err.splitlines()) == set(messages(err))


def test_who_is_impatient_is_told_once_what_would_be_left(tmp_path: Path) -> None:
    """The second signal has no effect, and a user must learn why; a tenth one needs no tenth line."""
    with running(COMMAND, "run", "bursts", "--out", tmp_path) as process:
        assert process.stderr is not None
        await_line(process, "-- play")
        process.send_signal(signal.SIGINT)
        await_line(process, "-- removing")
        process.send_signal(signal.SIGINT)
        assert process.stderr.readline() == f"{STILL_AT_IT}\n"
        for _ in range(8):
            process.send_signal(signal.SIGTERM)
        out, err = process.communicate("", timeout=LIMIT)
    assert process.returncode == 128 + signal.SIGINT
    assert "-- removed" in out
    assert err == "lab: stopped\n"


def test_a_closed_terminal_takes_the_output_with_it(tmp_path: Path) -> None:
    """What can be printed nowhere any more does not keep anything from being removed."""
    with running(COMMAND, "run", "bursts", "--out", tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        await_line(process, "-- play")
        process.stderr.close()
        process.send_signal(signal.SIGHUP)
        await_line(process, "-- removing")
        assert process.stdin is not None
        process.stdin.close()
        await_line(process, "-- removed")
        process.stdout.close()
        assert process.wait(LIMIT) == 128 + signal.SIGHUP


def test_nohup_outlives_its_terminal(tmp_path: Path) -> None:
    """Who starts a command deaf to a closed terminal means it."""
    deaf = COMMAND.replace("from lab.cli", "signal.signal(signal.SIGHUP, signal.SIG_IGN)\nfrom lab.cli")
    with running(deaf, "run", "bursts", "--out", tmp_path) as process:
        await_line(process, "-- play")
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        process.communicate("", timeout=LIMIT)
    assert process.returncode == 128 + signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_session_of_pytest_ends_when_all_is_removed(tmp_path: Path, number: signal.Signals) -> None:
    """However often it is told to, and whichever way; kill would else end it at once."""
    write_scenario(tmp_path / "mine")
    with running(PYTEST, "-s", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path) as process:
        code, out, err = stop(process, number, 10)
    assert code == pytest.ExitCode.INTERRUPTED, out + err
    assert "-- removed" in out
    assert "Traceback" not in err


FOREIGN = """
import sys, threading

def test_that_waits():
    sys.stdout.write("\\n-- waiting\\n")
    sys.stdout.flush()
    threading.Event().wait()
"""
"""A test of somebody else's beside the scenarios."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_test_of_somebody_elses_is_interrupted(tmp_path: Path, number: signal.Signals) -> None:
    """It would go on for ever, and is none of the lab's."""
    write_scenario(tmp_path / "mine")
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "test_foreign.py").write_text(FOREIGN)
    with running(PYTEST, "-s", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path) as process:
        await_line(process, "-- waiting")
        process.send_signal(number)
        out, _ = process.communicate("", timeout=LIMIT)
    assert process.returncode == pytest.ExitCode.INTERRUPTED, out
    assert "KeyboardInterrupt" in out
    assert "-- removed" in out


IMPORTING = """
import os, signal, sys

for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

module, number = sys.argv.pop(1), int(sys.argv.pop(1))

class Impatient:
    def find_spec(self, name, *_):
        if name == module:
            for _ in range(10):
                os.kill(os.getpid(), number)

sys.meta_path.insert(0, Impatient())
from lab.__main__ import run
sys.exit(run())
"""
"""The command line, which gets ten signals while it imports a module."""


@pytest.mark.parametrize(
    ("module", "number"),
    [("typer", signal.SIGINT), ("lab.cli.run", signal.SIGHUP)],
)
def test_a_command_that_has_hardly_begun_ends_as_quietly(tmp_path: Path, module: str, number: signal.Signals) -> None:
    """Most of the first second goes into imports; broken off in one of them, Python tells of it at length."""
    with running(IMPORTING, module, str(number.value), "run", "bursts", "--out", tmp_path) as process:
        out, err = process.communicate("", timeout=LIMIT)
    assert (process.returncode, out, err) == (128 + number, "", "lab: stopped\n")


@pytest.mark.usefixtures("own_signals")
class TestStop:
    def test_a_coroutine_that_ends_gives_its_result(self) -> None:
        """As `asyncio.run` does, errors included."""

        async def works(error: Exception | None) -> int:
            await asyncio.sleep(0)
            if error is not None:
                raise error
            return 7

        stop = Stop()
        stop.listen()
        assert stop.run(works(None), print) == 7
        with pytest.raises(LookupError):
            stop.run(works(LookupError()), print)
        assert stop.over() is None

    def test_between_two_coroutines_a_signal_interrupts(self) -> None:
        """While a page is made, for example; a second one no longer does."""
        stop = Stop()
        stop.listen()

        def is_interrupted() -> None:
            with stop.interruptible():
                signal.raise_signal(signal.SIGTERM)

        with pytest.raises(KeyboardInterrupt):
            is_interrupted()
        with stop.interruptible():
            signal.raise_signal(signal.SIGINT)
        assert stop.over() == signal.SIGTERM

    def test_an_import_is_not_interrupted(self) -> None:
        """The signal waits for its end, or for whatever may be interrupted next; then it does so once."""
        stop, done = Stop(), []
        stop.listen()

        def is_interrupted() -> None:
            with stop.interruptible():
                with stop.interruptible(yes=False):
                    signal.raise_signal(signal.SIGHUP)
                    done.append("the import")
                done.append("what follows")

        with pytest.raises(KeyboardInterrupt):
            is_interrupted()
        with stop.interruptible(), stop.interruptible(yes=False):
            done.append("what tidies up")
        assert done == ["the import", "what tidies up"]
        assert stop.over() == signal.SIGHUP

    def test_what_came_before_the_work_stops_it(self) -> None:
        """While nothing could be interrupted yet; a coroutine is not even begun."""

        async def works() -> None:
            raise AssertionError

        stop = Stop()
        stop.listen()
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            stop.run(works(), print)
        assert stop.over() == signal.SIGTERM

    def test_a_late_signal_changes_nothing(self) -> None:
        """The exit code of a command that has ended is its own."""
        stop = Stop()
        stop.listen()
        assert stop.over() is None
        for number in ENDING:
            signal.raise_signal(number)

    def test_an_interrupt_of_another_kind_goes_through(self) -> None:
        """A coroutine that cancels itself has not been stopped by anybody."""

        async def gives_up() -> None:
            raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError):
            Stop().run(gives_up(), print)


def test_work_in_another_thread_is_run_without_signals() -> None:
    """Signals come to the main thread alone, and whoever embeds a command may run it beside."""

    async def work() -> str:
        return "done"

    told: list[str] = []
    thread = threading.Thread(target=lambda: told.append(Stop().run(work(), told.append)))
    thread.start()
    thread.join()
    assert told == ["done"]
