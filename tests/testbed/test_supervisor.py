from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lab.testbed import supervisor
from lab.testbed.supervisor import Program


def run(tmp_path: Path, *programs: Program) -> list[tuple[str, str]]:
    """What the script of these programs writes, when run by this machine's own sh."""
    path = tmp_path / "start.sh"
    path.write_text(supervisor.script(programs))
    done = subprocess.run(["/bin/sh", str(path)], capture_output=True, text=True, check=True, timeout=30)
    assert done.stderr == ""
    return [supervisor.split(line) for line in done.stdout.splitlines()]


def test_each_line_carries_the_name_of_its_program(tmp_path: Path) -> None:
    """Both streams of each program come out behind its name, in their order."""
    said = run(
        tmp_path,
        Program("8001", ("sh", "-c", "echo one; echo two >&2")),
        Program("8002", ("printf", "%s\\n", "it's | $HOME & \\1")),
    )
    assert [text for slot, text in said if slot == "8001"] == ["one", "two", "[testbed] exited 0"]
    assert next(text for slot, text in said if slot == "8002") == "it's | $HOME & \\1"


@pytest.mark.parametrize(("command", "code"), [("exit 3", 3), ("kill -9 $$", 137)])
def test_the_end_of_a_program_is_told(tmp_path: Path, command: str, code: int) -> None:
    """A program that ends, however it does, is reported with its exit code."""
    slot, text = run(tmp_path, Program("8001", ("sh", "-c", command)))[-1]
    found = supervisor.EXITED.search(text)
    assert slot == "8001"
    assert found is not None
    assert int(found.group(1)) == code


def test_a_last_line_without_end_does_not_hide_the_exit(tmp_path: Path) -> None:
    """The exit is found even on the same line as a program's unfinished last words."""
    ((_, text),) = run(tmp_path, Program("8001", ("printf", "unfinished")))
    assert supervisor.EXITED.search(text)


def test_one_program_that_fails_leaves_the_others(tmp_path: Path) -> None:
    """A program that cannot even be started ends alone."""
    said = run(tmp_path, Program("1", ("/no/such/program",)), Program("2", ("echo", "fine")))
    assert ("2", "fine") in said
    assert ("1", "[testbed] exited 127") in said


def test_a_line_without_a_name_has_no_slot() -> None:
    """What the shell itself says belongs to no program."""
    assert supervisor.split("sh: out of memory") == ("", "sh: out of memory")
