"""Envoy's YAML as a tree of nodes that know where they stand, and edits of its text that leave all else alone.

PyYAML composes the tree and writes it. Envoy reads the same tree as a message of Protocol Buffers, in which a field may
be written `route_config` or `routeConfig`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml
from yaml import CollectionNode, MappingNode, Node, ScalarNode, SequenceNode

from lab.errors import BadInput
from lab.files import read_whole
from lab.products.adapted import Spot
from lab.products.yaml_text import entry, snake

MOST_BYTES = 2**20
"""Of one file; nobody writes a larger one by hand."""

_TEMPLATE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")
_MASKED = re.compile(r"__([A-Z][A-Z0-9_]*?)_(?!\w)")


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
"""The faster ones, where PyYAML was built with them: a file is read and written anew for each copy."""


@dataclass(frozen=True)
class Document:
    """A file of YAML.

    Args:
        file: where it stands.
        text: what stands there.
        top: the mapping that it is; names of a template stand in it as `__NAME_`, which is as long and is a plain word.
    """

    file: Path
    text: str
    top: MappingNode

    @cached_property
    def names(self) -> frozenset[str]:
        """Those of a template."""
        return frozenset(_TEMPLATE.findall(self.text))

    def names_in(self, scalar: ScalarNode) -> list[str]:
        """The names of its template that stand in one of its scalars."""
        return [name for name in _MASKED.findall(scalar.value) if name in self.names]

    def put_values(self, values: Mapping[str, str]) -> Iterator[ScalarNode]:
        """Put the values of names into the tree, as far as they are known; yields each scalar that has one."""
        for scalar in scalars(self.top):
            known = [name for name in self.names_in(scalar) if name in values]
            for name in known:
                scalar.value = scalar.value.replace(f"__{name}_", values[name])
            if known:
                yield scalar

    def spot(self, node: Node) -> Spot:
        """Where a node begins, with its first line."""
        line = int(node.start_mark.line)
        text = self.text.split("\n")[line]
        return Spot(self.file, line + 1, re.sub(r"^\s*(- +)*|\s+#.*$|\s+$", "", text))


def read_document(path: Path) -> Document:
    """Read a file, or of a folder `envoy.yaml`, or the only file of YAML or JSON in it.

    Raises:
        BadInput: it cannot be read, or is no mapping of YAML; names file and line.
    """
    file = (_of_folder(path) if path.is_dir() else path).absolute()
    try:
        text = read_whole(file, MOST_BYTES).decode()
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror or error}", "Give a configuration that can be read.") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{file} is no text in UTF-8.", "Give a configuration of Envoy's.") from error
    return parse(text, file)


def _of_folder(folder: Path) -> Path:
    found = [folder / "envoy.yaml"] if (folder / "envoy.yaml").exists() else []
    found = found or [each for end in ("yaml", "yml", "json") for each in sorted(folder.glob(f"*.{end}"))]
    if len(found) != 1:
        raise BadInput(f"{folder} has {len(found)} files that may be meant.", "Give the file that Envoy starts with.")
    return found[0]


def parse(text: str, file: Path) -> Document:
    """A text of YAML as a document.

    Raises:
        BadInput: it is none, or no mapping; names file and line.
    """
    masked = _TEMPLATE.sub(lambda found: f"__{found[1]}_", text)
    try:
        top = yaml.compose(masked, _LOADER)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        words = getattr(error, "problem", None) or "it is no YAML"
        place = f"{file}:{mark.line + 1}" if mark is not None else str(file)
        raise BadInput(f"{place}: {words}", "Correct it, or say whose file it is.") from error
    if not isinstance(top, MappingNode):
        raise BadInput(f"{file} is no configuration of Envoy's: it is no mapping of YAML.", "Say whose file it is.")
    return Document(file, text, top)


def get(node: Node | None, *names: str) -> Node | None:
    """What stands at a path of keys; None where nothing does."""
    for name in names:
        found = entry(node, name)
        node = found[1] if found is not None else None
    return node


def items(node: Node | None, *names: str) -> list[Node]:
    """The members of the list at a path of keys; empty where there is none."""
    found = get(node, *names)
    return list(found.value) if isinstance(found, SequenceNode) else []


def text_at(node: Node | None, *names: str) -> str:
    """The text at a path of keys; empty where there is none."""
    found = get(node, *names)
    return str(found.value) if isinstance(found, ScalarNode) else ""


def keys(node: Node | None) -> list[str]:
    """The keys of a mapping, as Protocol Buffers call them."""
    pairs = node.value if isinstance(node, MappingNode) else ()
    return [snake(key.value) for key, _ in pairs if isinstance(key, ScalarNode)]


def type_of(node: Node | None) -> str:
    """The type of an extension's configuration, without the part before the slash; empty where it has none."""
    return text_at(node, "typed_config", "@type").rpartition("/")[2]


def put(node: Node, name: str, text: str) -> None:
    """Set a key of a mapping to what a text of YAML is."""
    value = yaml.compose(text, yaml.SafeLoader)
    found = entry(node, name)
    rest = [pair for pair in node.value if found is None or pair[0] is not found[0]]
    node.value = [*rest, (ScalarNode("tag:yaml.org,2002:str", name), value)]


def drop(node: Node, name: str) -> None:
    """Take a key out of a mapping."""
    found = entry(node, name)
    node.value = [pair for pair in node.value if found is None or pair[0] is not found[0]]


def lines_below(document: Document) -> Iterator[tuple[MappingNode, Node, Node]]:
    """Every key that begins a line and whose value ends on it, with the mapping that it stands in and its value."""
    text = document.text.split("\n")
    for mapping in mappings(document.top):
        # What the lab put in stands nowhere.
        for key, value in [pair for pair in mapping.value if pair[0].start_mark and pair[1].end_mark]:
            start = key.start_mark
            if value.end_mark.line == start.line and not text[start.line][: start.column].strip(" -"):
                yield mapping, key, value


def mappings(top: Node) -> Iterator[MappingNode]:
    """Every mapping of a tree, in its order, each once."""
    seen: set[int] = set()
    left = [top]
    while left:
        node = left.pop()
        if id(node) in seen or not isinstance(node, CollectionNode):
            continue
        seen.add(id(node))
        if isinstance(node, MappingNode):
            yield node
            left += [value for _, value in reversed(node.value)]
        else:
            left += reversed(node.value)


def scalars(top: Node) -> Iterator[ScalarNode]:
    """Every scalar of a tree, each once."""
    seen: set[int] = set()
    left = [top]
    while left:
        node = left.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, ScalarNode):
            yield node
        elif isinstance(node, MappingNode):
            left += [each for pair in node.value for each in pair]
        else:
            left += node.value


def write(top: Node) -> str:
    """A tree as YAML."""
    return str(yaml.serialize(top, Dumper=_DUMPER, width=MOST_BYTES, allow_unicode=True))
