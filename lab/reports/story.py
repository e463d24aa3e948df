"""A scenario's README as HTML that is safe to put on the page.

HTML in the Markdown is shown as text. Images become links, or plain text, because the page loads nothing.
Links lead to an absolute address or, where they name another scenario's folder, to its place on the same
page; all others keep their text only.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from lab.printable import printable_text

_ABSOLUTE = re.compile(r"https?://")
_OTHER_SCENARIO = re.compile(r"\.\./([a-z0-9-]+)/?(?:README\.md)?$")

_HEADING_SHIFT = 1  # the story stands below the scenario's own heading, which is an h2
_SMALLEST_HEADING = 6


@dataclass(frozen=True)
class Story:
    """The opening, up to the second heading, and the rest, which may be empty."""

    opening: Markup
    rest: Markup


def tell(readme: str, scenarios: Collection[str]) -> Story:
    """Render a README.

    Args:
        readme: CommonMark with tables; a first heading of level 1 is left out, the page has the title.
        scenarios: ids that links between scenarios can lead to.
    """
    tokens = _without_title(_markdown().parse(printable_text(readme)))
    for token in tokens:
        _shift_heading(token)
        if token.children:
            token.children = list(_safe_inline(token.children, scenarios))
    cut = _end_of_opening(tokens)
    return Story(_render(tokens[:cut]), _render(tokens[cut:]))


@cache
def _markdown() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    # A table may be wider than a phone; then it scrolls, by keyboard as well.
    opening = '<div class="scroll" tabindex="0" role="region" aria-label="Table">\n<table>\n'
    markdown.add_render_rule("table_open", lambda *_: opening)
    markdown.add_render_rule("table_close", lambda *_: "</table>\n</div>\n")
    return markdown


def _render(tokens: Sequence[Token]) -> Markup:
    markdown = _markdown()
    # Safe because `html` is off: the renderer escapes all text, and links have been checked.
    return Markup(markdown.renderer.render(tokens, markdown.options, {}))  # noqa: S704


def _without_title(tokens: list[Token]) -> list[Token]:
    if tokens and tokens[0].type == "heading_open" and tokens[0].tag == "h1":
        return tokens[3:]
    return tokens


def _shift_heading(token: Token) -> None:
    if token.type in ("heading_open", "heading_close"):
        token.tag = f"h{min(int(token.tag[1:]) + _HEADING_SHIFT, _SMALLEST_HEADING)}"


def _end_of_opening(tokens: Sequence[Token]) -> int:
    """The index of the first heading after some text, or the number of tokens."""
    seen_text = False
    for index, token in enumerate(tokens):
        if token.type == "heading_open" and seen_text:
            return index
        seen_text = seen_text or token.type == "paragraph_open"
    return len(tokens)


def _safe_inline(tokens: Sequence[Token], scenarios: Collection[str]) -> Iterator[Token]:
    """The tokens without links that would lead nowhere; their text stays."""
    kept: list[bool] = []
    for token in tokens:
        if token.type == "link_open":
            target = _target(str(token.attrs.get("href", "")), scenarios)
            kept.append(bool(target))
            token.attrs["href"] = target
        if token.type not in ("link_open", "link_close") or (kept[-1] if token.type == "link_open" else kept.pop()):
            yield token


def _target(href: str, scenarios: Collection[str]) -> str:
    if _ABSOLUTE.match(href):
        return href
    other = _OTHER_SCENARIO.match(href)
    return f"#{other[1]}" if other and other[1] in scenarios else ""
