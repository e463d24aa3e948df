from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lab.errors import BadInput
from lab.testbed import _owner
from lab.testbed._owner import Owner


@pytest.fixture
def me() -> Owner:
    """This very process."""
    return Owner.of(os.getpid())


def test_an_owner_survives_its_label(me: Owner) -> None:
    """What is read from a label is what was written to it."""
    assert Owner.parse(str(me)) == me


@pytest.mark.parametrize("text", ["", "1", "a+b+1+2", "a+b+c+d+e", "a+b+1+d+e", "a+b+1+2+e+3"])
def test_another_label_is_no_owner(text: str) -> None:
    """A label of another form is not guessed at."""
    assert Owner.parse(text) is None


def test_a_running_process_is_alive(me: Owner) -> None:
    """The process that asks is alive."""
    assert not me.has_ended()


def test_a_process_that_ended_is_dead() -> None:
    """A process that has ended, and was waited for, is dead."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = Owner.of(process.pid)
    assert not owner.has_ended()
    process.communicate()
    assert owner.has_ended()


def test_a_process_that_nobody_waited_for_is_dead() -> None:
    """A process that has ended counts as dead even while its parent takes no notice."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        owner = Owner.of(process.pid)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert owner.has_ended()


def test_a_number_that_is_used_again_is_another_process(me: Owner) -> None:
    """The same number with another start is somebody else."""
    assert replace(me, started=me.started + 1).has_ended()


def test_what_cannot_be_seen_is_not_taken_for_dead(me: Owner) -> None:
    """A process of another namespace may live; its things are left alone."""
    assert not replace(me, namespace="1", pid=2**22, started=1).has_ended()


def test_a_process_of_another_boot_may_live_on_another_machine(me: Owner) -> None:
    """An engine can serve several machines; that this one knows no such boot proves nothing."""
    other = replace(me, boot="another", started=me.started + 1)
    assert not other.has_ended()
    assert not other.is_of_this_boot()
    assert other.is_of_this_machine()
    assert not replace(other, machine="another").is_of_this_machine()
    assert not replace(other, machine="").is_of_this_machine()


def test_without_an_id_of_the_boot_machines_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel has no such id (macOS), two machines on one engine must not look like one."""
    monkeypatch.setattr(_owner, "Path", lambda _: Path("/nowhere"))
    here = Owner.of(os.getpid())
    monkeypatch.setattr(_owner.uuid, "getnode", lambda: 1)
    assert not here.is_of_this_boot()


def test_a_temporary_folder_says_whose_it_is_and_goes(me: Owner) -> None:
    """A temporary folder is found with its owner while it exists, and is gone after its block."""
    with _owner.temporary_folder() as path:
        (path / "file").write_text("x")
        (found,) = [folder for folder in _owner.folders() if folder.path == path]
        assert found.owner == me
        assert {**found.labels, _owner.RUN_LABEL: "a-run"} == _owner.labels("a-run")
    assert not path.exists()


@pytest.mark.parametrize("scope", ["a b", "x" * 121, "../a", "a@b"])
def test_a_scope_must_be_a_plain_word(monkeypatch: pytest.MonkeyPatch, scope: str) -> None:
    """It becomes part of a folder's name and of a filter, so nothing else is taken."""
    monkeypatch.setenv(_owner.SCOPE_VARIABLE, scope)
    with pytest.raises(BadInput, match="LAB_SCOPE"):
        _owner.labels("a-run")
