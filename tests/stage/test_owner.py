from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from lab.stage import _owner
from lab.stage._owner import Owner


@pytest.fixture
def me() -> Owner:
    """This very process."""
    return Owner.of(os.getpid())


def test_an_owner_survives_its_label(me: Owner) -> None:
    """What is read from a label is what was written to it."""
    assert Owner.parse(str(me)) == me


@pytest.mark.parametrize("text", ["", "1", "a+b+c", "a+b+c+d", "a+b+1+d", "a+b+1+2+3"])
def test_another_label_is_no_owner(text: str) -> None:
    """A label of another form is not guessed at."""
    assert Owner.parse(text) is None


def test_a_running_process_is_alive(me: Owner) -> None:
    """The process that asks is alive."""
    assert me.is_alive()


def test_a_process_that_ended_is_dead() -> None:
    """A process that has ended, and was waited for, is dead."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = Owner.of(process.pid)
    assert owner.is_alive()
    process.communicate()
    assert not owner.is_alive()


def test_a_process_that_nobody_waited_for_is_dead() -> None:
    """A process that has ended counts as dead even while its parent takes no notice."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        owner = Owner.of(process.pid)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not owner.is_alive()


def test_a_number_that_is_used_again_is_another_process(me: Owner) -> None:
    """The same number with another start is somebody else."""
    assert not replace(me, started=me.started + 1).is_alive()


def test_nothing_survives_a_boot(me: Owner) -> None:
    """Whatever belonged to an earlier boot is dead."""
    assert not replace(me, boot="earlier").is_alive()


def test_what_cannot_be_seen_is_not_taken_for_dead(me: Owner) -> None:
    """A process of another namespace may live; its things are left alone."""
    assert replace(me, namespace="1", pid=2**22, started=1).is_alive()


def test_a_temporary_folder_says_whose_it_is_and_goes(me: Owner) -> None:
    """A temporary folder is found with its owner while it exists, and is gone after its block."""
    with _owner.temporary_folder() as folder:
        (folder / "file").write_text("x")
        assert dict(_owner.folders())[folder] == me
    assert not folder.exists()
