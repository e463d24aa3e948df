from __future__ import annotations

import io
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from judge.builder import Build
from rich.console import Console

from lab import cli
from lab.cli.compare import RESULT, Extent, Subject, compare_and_report, read_levels
from lab.compare.advice import Choice, Need
from lab.compare.results import load
from lab.errors import ExitCode
from lab.evidence import Evidence

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from lab.compare.turns import Ask


def subject(answer: Callable[[int, bool], Evidence]) -> Subject:
    """A path that needs no container."""

    @asynccontextmanager
    async def path() -> AsyncIterator[Ask]:
        async def ask(generation: int, stream: bool, _: int) -> Evidence:
            return answer(generation, stream)

        yield ask

    return Subject(path(), "https://gateway.example/v1", "openai-chat", "generations of [any] length")


def compared(tmp_path: Path, answer: Callable[[int, bool], Evidence], rounds: int = 6) -> tuple[int, str]:
    """Exit code and what was printed, at a terminal's usual width."""
    out = Console(file=io.StringIO(), width=80)
    code = compare_and_report(subject(answer), Extent((1,), rounds), Need(), tmp_path, out=out, err=Console(quiet=True))
    assert isinstance(out.file, io.StringIO)
    return code, out.file.getvalue()


def test_the_advice_stands_first_and_the_rule_that_decides_is_marked(tmp_path: Path) -> None:
    """A reader who stops after the first line knows what to do."""
    code, text = compared(tmp_path, lambda _, stream: Build(whole=20, stream=stream).evidence())
    assert code == ExitCode.AS_REQUIRED
    assert text.startswith("Stream, and handle a partial answer")
    assert text.count("<- decides") == 1
    assert "[any]" in text
    # The last line names a file, which must be copied whole.
    assert max(map(len, text.splitlines()[:-1])) <= 80


def test_what_was_saved_is_what_was_printed_from(tmp_path: Path) -> None:
    """Figures and advice can be read back from the file."""
    compared(tmp_path, lambda _, stream: Build(whole=20, stream=stream).evidence())
    saved = load(tmp_path / RESULT)
    assert saved.advice is not None
    assert saved.advice.choice is Choice.STREAM
    assert saved.levels[0].stream.lost is not None
    assert saved.levels[0].stream.lost.count == 6


def test_a_path_to_mend_ends_with_exit_code_1(tmp_path: Path) -> None:
    """A pipeline can tell it from sound advice."""
    lost = Build(whole=20, sent=[1, 2], marker=False, reason=None)
    code, text = compared(tmp_path, lambda _, stream: (lost if stream else Build(stream=False)).evidence())
    assert code == ExitCode.REQUIREMENT_FAILED
    assert text.startswith("Mend the path first")


def test_what_was_measured_is_kept_when_it_is_stopped(tmp_path: Path) -> None:
    """An error in the third turn leaves the figures of the first two, and goes on to the caller."""

    def answer(generation: int, stream: bool) -> Evidence:
        if generation == 1:
            raise OSError("the network is gone")
        return Build(whole=20, stream=stream).evidence()

    with pytest.raises(OSError, match="the network is gone"):
        compared(tmp_path, answer)
    saved = load(tmp_path / RESULT)
    assert saved.stopped == "the network is gone"
    assert len(saved.levels) == 1


@pytest.mark.parametrize("levels", ["", "0", "1,1", "one", "4,-1", "1.5"])
def test_levels_that_make_no_sense_are_refused(levels: str) -> None:
    """Each is a whole number from 1 and stands once."""
    with pytest.raises(ValueError, match="whole numbers"):
        read_levels(levels)


@pytest.mark.usefixtures("own_signals")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--over", "silent-gap::nginx-1.30::mended"], "silent-gap::nginx-1.30::broken"),
        (["--over", "nowhere"], "lab list"),
        (["--longest", "soon"], "soon"),
        (["--concurrency", "0"], "whole numbers"),
        (["--format", "telegraph"], "openai-chat"),
    ],
)
def test_bad_input_is_named_before_anything_starts(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """One message, exit code 2, and no container."""
    assert cli.main(["compare", "--out", str(tmp_path), *arguments]) == ExitCode.BAD_INPUT
    assert says in capsys.readouterr().err


@pytest.mark.engine
@pytest.mark.usefixtures("engine", "images_in_use", "own_signals")
def test_behind_a_timeout_on_the_first_byte_streaming_is_recommended(tmp_path: Path) -> None:
    """A read timeout of 2 s in nginx ends the longer batch replies; every stream of the same generations lives.

    Of the generations with the numbers 0 to 5, those planned for more than 2 s are known before.
    """
    from lab.compare.own import plan_of

    over = ["--over", "silent-batch-reply::nginx-1.30::broken", "--concurrency", "6", "--runs", "1"]
    assert cli.main(["compare", *over, "--out", str(tmp_path)]) == ExitCode.AS_REQUIRED
    saved = load(tmp_path / RESULT)
    assert saved.advice is not None
    assert saved.advice.choice is Choice.STREAM
    (level,) = saved.levels
    (loss,) = level.batch.losses
    # A generation within half a second of the timeout may go either way.
    surely = sum(plan_of(number).length > 2.5 for number in range(6))
    possibly = sum(plan_of(number).length > 1.5 for number in range(6))
    assert surely
    assert surely <= loss.count <= possibly
    assert loss.timeout == pytest.approx(2.0, abs=0.5)
    assert level.stream.losses == ()
