"""READMEs on the page: rendered simply, and harmless."""

from __future__ import annotations

from lab.reports.story import tell


def test_the_first_title_is_left_out_and_others_move_down() -> None:
    """The page has the title already, as its second heading; what was below stays below."""
    story = tell("# Title\n\nText.\n\n## Mechanism\n\nMore.", ())
    assert story.opening == "<p>Text.</p>\n"
    assert story.rest == "<h3>Mechanism</h3>\n<p>More.</p>\n"


def test_an_opening_heading_belongs_to_the_opening() -> None:
    """A README that starts with a heading still shows its first section."""
    story = tell("# Title\n\n## What the user sees\n\nNothing.\n\n## Why\n\nBuffers.", ())
    assert "Nothing." in story.opening
    assert "Buffers." in story.rest


def test_lists_code_and_tables_are_rendered() -> None:
    """What scenarios use of Markdown comes out as HTML."""
    opening = tell("1. one\n\n```nginx\na < b;\n```\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n", ()).opening
    assert "<ol>" in opening
    assert "a &lt; b;" in opening
    assert "<td>1</td>" in opening


def test_html_is_text() -> None:
    """A README cannot bring elements of its own."""
    assert "<script>" not in tell("<script>alert(1)</script> and <b>x</b>", ()).opening


def test_images_are_never_loaded() -> None:
    """The page fetches nothing, so a picture becomes a link at most."""
    assert "<img" not in tell("![picture](https://example.org/a.png)", ()).opening


def test_links_lead_out_or_to_another_scenario() -> None:
    """Absolute addresses stay, another folder becomes its anchor, and anything else keeps its text only."""
    opening = tell(
        "[a](https://example.org/) [b](../idle-timeout/README.md) [c](../unknown/) [d](fixed.conf) [e](javascript:x)",
        {"idle-timeout"},
    ).opening
    assert '<a href="https://example.org/">a</a>' in opening
    assert '<a href="#idle-timeout">b</a>' in opening
    assert opening.count("<a ") == 2
    assert " c d " in opening


def test_an_empty_readme_is_an_empty_story() -> None:
    """Nothing to tell is no error."""
    assert tell("", ()) == tell("# Title", ())
