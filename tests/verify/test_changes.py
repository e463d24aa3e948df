"""Changes of a user's own files, together and written."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import BadInput
from lab.verify.changes import replace_file, together

BEFORE = "a\nb\nc\n"


def test_changes_of_one_text_come_together() -> None:
    """Each where it belongs, and the same one once."""
    assert together(BEFORE, ["a\nx\nb\nc\n", "a\nb\nC\n", "a\nb\nC\n"]) == "a\nx\nb\nC\n"


def test_two_changes_of_one_line_are_refused() -> None:
    """Neither may get lost."""
    with pytest.raises(BadInput, match="one line"):
        together("a { } b { }\n", ["a { x } b { }\n", "a { } b { y }\n"])


def test_a_file_is_written_with_its_rights_and_kept_as_it_was(tmp_path: Path) -> None:
    """No earlier copy is written over, and no `include folder/*` takes one."""
    path = tmp_path / "site"
    path.write_text("one")
    path.chmod(0o640)
    first = replace_file(path, "two")
    second = replace_file(path, "three")
    assert [each.read_text() for each in (first, second, path)] == ["one", "two", "three"]
    assert {each.stat().st_mode & 0o777 for each in (first, second, path)} == {0o640}
    assert sorted(tmp_path.glob("*")) == sorted([path, first, second])
    assert all(each.name.startswith(".site.") for each in (first, second))


def test_what_a_link_leads_to_is_written(tmp_path: Path) -> None:
    """As `sites-enabled` has it: it stays a link."""
    real, link = tmp_path / "available", tmp_path / "enabled"
    real.write_text("one")
    link.symlink_to(real)
    backup = replace_file(link, "two")
    assert link.is_symlink()
    assert (real.read_text(), backup.read_text()) == ("two", "one")


def test_a_file_that_cannot_be_written_is_one_message(tmp_path: Path) -> None:
    """And nothing was changed."""
    with pytest.raises(BadInput, match="No such file"):
        replace_file(tmp_path / "nowhere" / "x", "two")
