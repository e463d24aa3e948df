from __future__ import annotations

import pytest

from lab.errors import EnvironmentFault
from lab.testbed import _commands


def test_output_comes_back() -> None:
    """What a tool writes to either stream is returned."""
    assert _commands.run(["sh", "-c", "echo a; echo b >&2"], "trying", "") == "a\nb\n"


def test_a_failed_tool_shows_its_last_words() -> None:
    """A tool that fails is named with its purpose, its exit code and the end of its output."""
    with pytest.raises(EnvironmentFault) as caught:
        _commands.run(["sh", "-c", "seq 100; exit 7"], "counting", "Count by hand.")
    text = str(caught.value)
    assert "sh failed with exit code 7 while counting" in text
    assert "100" in text
    assert "\n  88\n" not in text
    assert text.endswith("Count by hand.")


def test_a_missing_tool_is_named() -> None:
    """A tool that is not installed is no traceback."""
    with pytest.raises(EnvironmentFault, match="no-such-tool is missing, needed for trying"):
        _commands.run(["no-such-tool"], "trying", "")


def test_a_full_disk_is_recognised() -> None:
    """Whatever the tool, a full disk gets the remedy for a full disk."""
    with pytest.raises(EnvironmentFault, match="The disk is full"):
        _commands.run(["sh", "-c", "echo 'tar: No space left on device'; exit 2"], "trying", "")
