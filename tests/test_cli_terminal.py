"""The standard streams: what goes out is harmless, and a stream that takes nothing breaks nothing off."""

from __future__ import annotations

import errno
import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from odd_files import make_pipe
from own_scenario import TABLE, write_scenario
from processes import LIMIT, messages
from reports.sample import sample
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

import lab
from lab import results
from lab.cli import app, main
from lab.cli.terminal import Terminal, print_line
from lab.errors import BadInput, ExitCode

pytestmark = pytest.mark.usefixtures("own_signals")

NASTY = "\x1b]0;owned\x07 \x9b2J \N{RIGHT-TO-LEFT OVERRIDE} \udc9b"
ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printed(*what: object, colours: bool = False) -> str:
    """What a terminal, or else a pipe, receives."""
    file = io.StringIO()
    console = Terminal(file=file, width=60, force_terminal=colours, color_system="truecolor" if colours else None)
    for each in what:
        console.print(each)
    return file.getvalue()


class TestTerminal:
    def test_no_renderable_lets_a_character_act(self) -> None:
        """Not as text, not in a cell of a table, not in a heading of one."""
        table = Table(NASTY, title=NASTY)
        table.add_row(NASTY)
        told = printed(NASTY, Text(f"a{NASTY}"), table)
        assert ACTING.findall(told) == []
        assert told.count("owned") == 5

    def test_what_rich_adds_still_works(self) -> None:
        """Colours and links are the lab's own; only the words between them are shown for what they are."""
        told = printed(Text(f"red{NASTY}", "bold red"), Text("here", "link https://h/\x1b]0;owned\x07"), colours=True)
        assert "\x1b[1;31mred" in told
        assert re.search(r"\x1b\]8;id=\d+;https://h/[^\x1b]*\x1b\\here", told)
        rest = re.sub(r"\x1b\[[0-9;]*m|\x1b\]8;[^\x1b]*\x1b\\", "", told)
        assert ACTING.findall(rest) == []

    def test_a_progress_bar_still_moves(self) -> None:
        """It may hide the cursor and go back a line, and what it describes may not."""
        file = io.StringIO()
        console = Terminal(file=file, width=60, force_terminal=True)
        with Progress(console=console) as progress:
            progress.add_task(f"waiting {NASTY}", total=2)
        told = file.getvalue()
        assert "\x1b[?25l" in told
        assert "\x1b[2J" not in told
        assert "\x9b" not in told

    def test_a_line_is_one(self) -> None:
        """A name with a line end in it cannot begin a second one, however long the line is."""
        file = io.StringIO()
        print_line(Terminal(file=file, width=20), "a name\nlab: all verified" * 5)
        assert file.getvalue().count("\n") == 1


class TestHarmless:
    """What the commands print of words that others wrote."""

    @pytest.fixture
    def hostile(self, tmp_path: Path) -> Path:
        """A scenario whose title and story would take the terminal over."""
        title = '"A \\u001b]0;owned\\u0007 \\u009b2J \\u202E title\\nlab: all verified"'
        folder = write_scenario(
            tmp_path / "all" / "mine", table=TABLE.replace('"A stream is held until its end"', title)
        )
        (folder / "README.md").write_text("# A \x1b]0;owned\x07 story\n\n\x9b2J\n\n`\x1b[2J`\n\n<http://h/\x1b\x9b>\n")
        (folder / "nginx" / "fixed.conf").write_text("# ${PORT} \x1b[2J \x9b2J \u202e\n")
        return folder

    @pytest.mark.parametrize("command", ["list", "show"])
    def test_a_scenario(self, capsys: pytest.CaptureFixture[str], hostile: Path, command: str) -> None:
        """Title, story and difference are words."""
        assert main([command, str(hostile.parent)]) == ExitCode.AS_REQUIRED
        told = capsys.readouterr()
        assert ACTING.findall(told.out + told.err) == []
        assert not any(line.startswith("lab:") for line in told.out.splitlines())

    def test_a_file_that_is_named(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        """The lab's own message names it, and stays one message."""
        path = tmp_path / f"{NASTY}\nlab: all verified"
        assert main(["report", str(path)]) == ExitCode.BAD_INPUT
        told = capsys.readouterr().err
        assert ACTING.findall(told) == []
        assert len(messages(told)) == 1

    def test_usage_that_is_not_understood(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        """Typer prints its messages itself, and names what it was given."""
        (tmp_path / NASTY).touch()
        assert main(["list", "--out", str(tmp_path / NASTY)]) == ExitCode.BAD_INPUT
        assert main(["run", "--out", str(tmp_path / NASTY)]) == ExitCode.BAD_INPUT
        told = capsys.readouterr().err
        assert "is a file" in told
        assert ACTING.findall(told) == []

    @pytest.mark.parametrize(
        ("raised", "code"),
        [
            (BadInput(f"a problem {NASTY}\nlab: all verified\nmore", f"a remedy\n{NASTY}"), ExitCode.BAD_INPUT),
            (RuntimeError(NASTY), ExitCode.NO_ENVIRONMENT),
        ],
        ids=["an error of the lab's", "a fault of the lab's"],
    )
    def test_whatever_a_command_ends_with(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, raised: Exception, code: ExitCode
    ) -> None:
        """A message stands at the margin only where the lab put it; a fault of ours has its traceback."""

        def fails() -> None:
            sys.stderr.write(f"{NASTY}\n")
            sys.stdout.write(NASTY)
            raise raised

        registered = list(app.registered_commands)
        monkeypatch.setattr(app, "registered_commands", registered)
        app.command("fails")(fails)
        assert main(["fails"]) == code
        told = capsys.readouterr()
        assert ACTING.findall(told.out + told.err) == []
        assert len(messages(told.err)) == (code is ExitCode.BAD_INPUT)
        assert ("Traceback" in told.err) == (code is ExitCode.NO_ENVIRONMENT)


Command = Callable[[Path], list[str]]

COMMANDS: dict[str, Command] = {
    "help": lambda _: ["--help"],
    "list": lambda _: ["list"],
    "show": lambda _: ["show", "silent-gap"],
    "report": lambda folder: ["report", str(folder / "results.json")],
    "doctor": lambda _: ["doctor"],
}
"""The commands that print on standard output without an engine."""


class TestStreamsThatTakeNothing:
    @pytest.fixture(params=COMMANDS.values(), ids=COMMANDS)
    def arguments(self, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """A command, and what it needs; no engine answers."""
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/dead.sock")
        monkeypatch.setenv("LAB_INSTALL_ENGINE", "0")
        results.save(sample(), tmp_path / "results.json")
        make: Command = request.param
        return make(tmp_path)

    @pytest.fixture
    def expected(self, arguments: list[str]) -> int:
        """What the command ends with where its streams are fine."""
        return ExitCode.NO_ENVIRONMENT if arguments == ["doctor"] else ExitCode.AS_REQUIRED

    def test_a_full_disk_is_told(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str]
    ) -> None:
        """One message, and the code of the environment: the caller lacks what it asked for."""
        with Path("/dev/full").open("w") as full:
            monkeypatch.setattr(sys, "stdout", full)
            assert main(arguments) == ExitCode.NO_ENVIRONMENT
        (message,) = messages(capsys.readouterr().err)
        assert message == f"lab: standard output: {os.strerror(errno.ENOSPC)}"

    def test_a_reader_that_left_has_read_enough(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], expected: int
    ) -> None:
        """`lab list | head -1` ends as `lab list` does, and says nothing."""
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "w") as pipe:
            monkeypatch.setattr(sys, "stdout", pipe)
            assert main(arguments) == expected
        assert capsys.readouterr().err == ""

    @pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
    def test_a_terminal_of_few_characters_gets_the_others_as_numbers(
        self, monkeypatch: pytest.MonkeyPatch, arguments: list[str], expected: int, encoding: str
    ) -> None:
        """Every command can be read there, and none fails."""
        written = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
        assert main(arguments) == expected
        assert sys.stdout.errors == "strict"
        assert len(written.getvalue().decode(encoding)) > 100

    def test_a_stream_may_be_missing(
        self, monkeypatch: pytest.MonkeyPatch, arguments: list[str], expected: int
    ) -> None:
        """As under a service manager that starts a process without any."""
        monkeypatch.setattr(sys, "stdout", None)
        monkeypatch.setattr(sys, "stderr", None)
        assert main(arguments) == expected
        assert sys.stdout is None

    def test_errors_that_nobody_can_read_still_have_their_code(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A message that is lost changes nothing."""
        with Path("/dev/full").open("w") as full:
            monkeypatch.setattr(sys, "stderr", full)
            assert main(["show", "silent-gasp"]) == ExitCode.BAD_INPUT


@pytest.mark.parametrize(("where", "code", "told"), [("> /dev/full", 3, True), ("| true", 0, False)])
def test_the_interpreter_has_nothing_to_add(where: str, code: int, told: bool) -> None:
    """At its end Python writes out what is left in its buffers, and would complain and change the exit code."""
    command = f"set -o pipefail; {sys.executable} -m lab list {where}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=LIMIT)
    assert done.returncode == code
    assert bool(messages(done.stderr)) == told
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_nothing_else_prints() -> None:
    """A console of another kind would be a way out past the terminal; the drivers talk to the lab, not to people."""
    package = Path(lab.__file__).parent
    files = [path for path in package.rglob("*.py") if "drivers" not in path.parts]
    makers = [path.name for path in files if re.search(r"(?<!class Terminal\()\bConsole\(", path.read_text("utf-8"))]
    assert makers == []


@pytest.mark.parametrize("option", ["--key-file", "--secret-file", "--ca-file"])
def test_a_secret_is_not_waited_for(capsys: pytest.CaptureFixture[str], tmp_path: Path, option: str) -> None:
    """A pipe that nobody writes to would stop the command before it has said a word."""
    pipe = make_pipe(tmp_path / "pipe")
    given = ["audit", "https://localhost:1/v1/chat/completions", option, str(pipe), "--out", str(tmp_path / "out")]
    assert main([*given, *(["--active"] if option == "--secret-file" else [])]) == ExitCode.BAD_INPUT
    (message,) = messages(capsys.readouterr().err)
    assert message == f"lab: {pipe}: not a regular file"


def test_the_server_does_not_wait_for_its_secret(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """It would neither listen nor say why."""
    assert main(["serve", "--secret-file", str(make_pipe(tmp_path / "pipe"))]) == ExitCode.BAD_INPUT
    assert capsys.readouterr().err == f"{tmp_path}/pipe: not a regular file\n"
