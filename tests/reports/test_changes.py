"""What a fix changes."""

from __future__ import annotations

from lab.reports.changes import Kind, changes

from .making import make_case


def test_lines_are_marked_as_added_removed_and_same() -> None:
    """One directive replaced among three: one line out, one in, two around."""
    found = changes(make_case("broken", ("a", "one\ntwo\nthree\n")), make_case("fixed", ("b", "one\n2\nthree\n")))
    assert [(line.kind, line.text) for line in found.lines] == [
        (Kind.PLACE, "@@ -1,3 +1,3 @@"),
        (Kind.SAME, " one"),
        (Kind.REMOVED, "-two"),
        (Kind.ADDED, "+2"),
        (Kind.SAME, " three"),
    ]
    assert (found.added, found.removed) == (1, 1)


def test_a_line_that_looks_like_a_file_name_is_content() -> None:
    """A removed SQL comment or a rule of dashes starts with --- and is still a line."""
    found = changes(make_case("broken", ("a", "-- a\n")), make_case("fixed", ("b", "++ b\n")))
    assert [line.text for line in found.lines[1:]] == ["--- a", "+++ b"]


def test_equal_configurations_have_no_lines() -> None:
    """A fix in the model server leaves the proxy as it was."""
    assert changes(make_case("broken", ("a", "x\n")), make_case("fixed", ("a", "x\n"))).lines == ()
