"""A page as a tree, read by the standard library's parser; a closing tag that closes nothing is an error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = {"meta", "link", "br", "img", "input", "hr", "wbr"}


@dataclass
class Element:
    """One element: its tag, its attributes and what it holds."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element | str] = field(default_factory=list)

    def walk(self) -> Iterator[Element]:
        """This element and all below it, in the order of the page."""
        yield self
        for child in self.children:
            if isinstance(child, Element):
                yield from child.walk()

    def find(self, tag: str = "", **attributes: str) -> list[Element]:
        """Every element below with this tag and these attributes; `class_` holds one class of several."""
        return [element for element in self.walk() if _fits(element, tag, attributes)]

    def by_id(self, name: str) -> Element:
        """The only element with this id."""
        (found,) = self.find(id=name)
        return found

    @property
    def text(self) -> str:
        """All text below, as it stands in the page."""
        return "".join(child if isinstance(child, str) else child.text for child in self.children)


def _fits(element: Element, tag: str, attributes: dict[str, str]) -> bool:
    if tag and element.tag != tag:
        return False
    wanted = dict(attributes)
    needed = wanted.pop("class_", "")
    if needed and needed not in element.attributes.get("class", "").split():
        return False
    return all(element.attributes.get(name) == value for name, value in wanted.items())


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.path = [Element("document")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.path[-1].children.append(element)
        if tag not in _VOID:
            self.path.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.path[-1].children.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.path[-1].tag == tag, f"</{tag}> closes <{self.path[-1].tag}> at {self.getpos()}"
        self.path.pop()

    def handle_data(self, data: str) -> None:
        self.path[-1].children.append(data)


def parse(page: str) -> Element:
    """The page's tree; fails where elements do not nest."""
    builder = _Builder()
    builder.feed(page)
    builder.close()
    (document,) = builder.path
    return document
