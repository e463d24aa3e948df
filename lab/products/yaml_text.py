"""Edits of a text of YAML that leave all else alone: PyYAML's nodes know where they stand."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass

import yaml
from yaml import CollectionNode, MappingNode, Node, ScalarNode, SequenceNode

from lab.products.adapted import lines_out


def entry(node: Node | None, name: str) -> tuple[Node, Node] | None:
    """A key of a mapping, and its value; None where there is none."""
    for key, value in node.value if isinstance(node, MappingNode) else ():
        if isinstance(key, ScalarNode) and name in (key.value, snake(key.value)):
            return key, value
    return None


def snake(name: str) -> str:
    """A name as Protocol Buffers have it, of one as JSON has it."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda found: f"_{found[1].lower()}", name)


@dataclass(frozen=True)
class Edit:
    """A key of a mapping, and what is to stand there.

    Args:
        mapping: the mapping, in flow or block style.
        name: the key.
        value: YAML on one line.
    """

    mapping: Node
    name: str
    value: str


def with_edit(text: str, edit: Edit) -> str:
    """A document's text with one key of one mapping otherwise, and nothing else."""
    pairs, found = edit.mapping.value, entry(edit.mapping, edit.name)
    # As in JSON, which is YAML too.
    quoted = bool(pairs) and all(key.style == '"' for key, _ in pairs)
    value = json.dumps(yaml.safe_load(edit.value)) if quoted else edit.value
    if found is not None:
        start = int(found[0].end_mark.index)
        return f"{text[:start]}: {value}{text[_after(text, *found) :]}"
    written = f'"{edit.name}": {value}' if quoted else f"{edit.name}: {value}"
    if not pairs:
        start = int(edit.mapping.start_mark.index) + 1
        return text[:start] + written + text[start:]
    end = _after(text, *pairs[-1])
    if isinstance(edit.mapping, MappingNode) and edit.mapping.flow_style:
        return f"{text[:end]}, {written}{text[end:]}"
    end = text.find("\n", end) if "\n" in text[end:] else len(text)
    return f"{text[:end]}\n{' ' * edit.mapping.start_mark.column}{written}{text[end:]}"


_ALIAS = re.compile(r"\s*:\s+\*[^\s,\]}]+")


def _after(text: str, key: Node, value: Node) -> int:
    """Where the value of a key ends; a block does so where its last value does, and not with the comments behind it."""
    alias = _ALIAS.match(text, key.end_mark.index)
    return alias.end() if alias else _end(text, value)


def _end(text: str, node: Node) -> int:
    if not isinstance(node, CollectionNode) or node.flow_style or not node.value:
        return len(text[: node.end_mark.index].rstrip())
    last = node.value[-1]
    return _after(text, *last) if isinstance(last, tuple) else _end(text, last)


def without_members(text: str, members: SequenceNode, gone: Collection[int]) -> str:
    """A text without some members of a list in block style, each of which has its lines to itself."""
    lines = text.split("\n")
    for number in sorted(gone, reverse=True):
        node = members.value[number]
        last = text.count("\n", 0, _end(text, node))
        del lines[node.start_mark.line : last + 1]
    return "\n".join(lines)


def without_key(text: str, mapping: MappingNode, name: str) -> str:
    """A text without a key of a mapping and its value, and nothing else otherwise."""
    pairs = mapping.value
    number, (key, value) = next((at, pair) for at, pair in enumerate(pairs) if pair[0].value == name)
    start, end = int(key.start_mark.index), _after(text, key, value)
    if len(pairs) == 1:
        return text[:start] + ("" if mapping.flow_style else "{}") + text[end:]
    if mapping.flow_style and number == len(pairs) - 1:
        # With the comma before it.
        return text[: _after(text, *pairs[number - 1])] + text[end:]
    if mapping.flow_style or number == 0:
        # Up to the next key, which comes behind the brace or the dash.
        return text[:start] + text[int(pairs[number + 1][0].start_mark.index) :]
    return lines_out(text, text.count("\n", 0, start) + 1, text.count("\n", 0, end) + 1)
