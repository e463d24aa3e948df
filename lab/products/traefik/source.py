"""One file of Traefik's, YAML or TOML: its data, where each key stands, and and edits of its text.

A dynamic file is a template of Go's before it is YAML or TOML. What stands in `{{ }}` is hidden under a word of the
same length while the file is read, and put back afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from yaml import MappingNode, Node, ScalarNode, SequenceNode

from lab.errors import BadInput
from lab.files import read_whole
from lab.products.adapted import Spot
from lab.products.traefik import toml_text
from lab.products.yaml_text import Edit, with_edit, without_key, without_members

MOST_BYTES = 2**20
"""Of one file; nobody writes a larger one by hand."""

SUFFIXES = (".yml", ".yaml", ".toml")

Keys = tuple[str | int, ...]
"""Where something stands: the keys on the way, and the numbers of list members."""

_TEMPLATE = re.compile(r"\{\{.*?\}\}")
_HIDDEN = re.compile(r"Z(\d{2,})Z")
_CONTROL = re.compile(r"(?m)^[ \t]*(?:\{\{.*?\}\}[ \t]*)+$")


@dataclass(frozen=True, eq=False)
class TraefikSource:
    """A file.

    Args:
        file: where it stands.
        text: what stands there.
        data: what that says, with a template's words as they are.
    """

    file: Path
    text: str
    data: dict[str, Any]

    @cached_property
    def lines(self) -> Mapping[Keys, int]:
        """The line of each key and each member, from 1."""
        hidden = _hide(self.text)
        if self.file.suffix == ".toml":
            return toml_text.lines(hidden)
        return dict(_yaml_lines(yaml.compose(hidden, yaml.SafeLoader), ()))

    def spot(self, *keys: str | int) -> Spot:
        """Where a key stands, or the nearest that it stands in."""
        while keys and keys not in self.lines:
            keys = keys[:-1]
        line = self.lines.get(keys, 1)
        text = self.text.split("\n")[line - 1]
        return Spot(self.file, line, re.sub(r"^\s*(- +)*|\s+#.*$|\s+$", "", text))

    def put(self, keys: Keys, value: Any) -> str:
        """Its text with one key otherwise, and nothing else.

        Args:
            keys: of mappings only.
            value: what it is to be.

        Raises:
            BadInput: it stands where no key can be written by itself.
        """
        hidden = _hide(self.text)
        if self.file.suffix == ".toml":
            return self._shown(toml_text.put(hidden, keys, value, self.file))
        return self._shown(_put_yaml(hidden, keys, value))

    def cut(self, keys: Keys) -> str:
        """Its text without a key of a mapping, and without what would be empty then, which Traefik refuses."""
        while len(keys) > 1 and len(value_at(self.data, keys[:-1])) == 1:
            keys = keys[:-1]
        hidden = _hide(self.text)
        return self._shown(toml_text.cut(hidden, keys) if self.file.suffix == ".toml" else _cut_yaml(hidden, keys))

    def _shown(self, text: str) -> str:
        words = _TEMPLATE.findall(self.text)
        return _HIDDEN.sub(lambda found: _word(words, found), text)


def value_at(data: Any, keys: Keys) -> Any:
    """What stands at some keys that are there."""
    for key in keys:
        data = data[key]
    return data


def read_source(file: Path) -> TraefikSource:
    """Read a file.

    Raises:
        BadInput: it cannot be read, or is no mapping; names file and line.
    """
    try:
        text = read_whole(file, MOST_BYTES).decode()
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror or error}", "Give a configuration that can be read.") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{file} is no text in UTF-8.", "Give a configuration of Traefik's.") from error
    return parse_source(text, file)


def parse_source(text: str, file: Path) -> TraefikSource:
    """A text as a file.

    Raises:
        BadInput: it is no YAML or TOML, or no mapping; names file and line.
    """
    if (control := _CONTROL.search(text)) is not None:
        line = text.count("\n", 0, control.start()) + 1
        said = f"{file}:{line}: {control[0].strip()}: what a template makes by such a line is not read."
        raise BadInput(said, "Give the file as the template makes it.")
    hidden = _hide(text)
    data = toml_text.load(hidden, file) if file.suffix == ".toml" else _load_yaml(hidden, file)
    if not isinstance(data, dict):
        raise BadInput(f"{file} is no configuration of Traefik's: it is no mapping.", "Say whose file it is.")
    return TraefikSource(file, text, _put_back(data, _TEMPLATE.findall(text)))


def _load_yaml(text: str, file: Path) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        words = getattr(error, "problem", None) or "it is no YAML"
        place = f"{file}:{mark.line + 1}" if mark is not None else str(file)
        raise BadInput(f"{place}: {words}", "Correct it, or say whose file it is.") from error


def _hide(text: str) -> str:
    numbers = iter(range(text.count("{{") + 1))
    return _TEMPLATE.sub(lambda found: f"Z{str(next(numbers)).zfill(len(found[0]) - 2)}Z", text)


def _word(words: list[str], found: re.Match[str]) -> str:
    number = int(found[1])
    return words[number] if number < len(words) and len(words[number]) == len(found[0]) else found[0]


def _put_back(value: Any, words: list[str]) -> Any:
    """The same with the template's words, and with nothing that two places share."""
    if isinstance(value, dict):
        return {str(_put_back(key, words)): _put_back(each, words) for key, each in value.items()}
    if isinstance(value, list):
        return [_put_back(each, words) for each in value]
    return _HIDDEN.sub(lambda found: _word(words, found), value) if isinstance(value, str) else value


def _yaml_lines(node: Node | None, keys: Keys) -> Iterator[tuple[Keys, int]]:
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if isinstance(key, ScalarNode) and len(keys) < _DEEPEST:
                own = (*keys, key.value)
                yield own, key.start_mark.line + 1
                yield from _yaml_lines(value, own)
    elif isinstance(node, SequenceNode) and len(keys) < _DEEPEST:
        for number, each in enumerate(node.value):
            yield (*keys, number), each.start_mark.line + 1
            yield from _yaml_lines(each, (*keys, number))


_DEEPEST = 20
"""Keys on the way to a value; an alias may lead to what it stands in."""


def _put_yaml(text: str, keys: Keys, value: Any) -> str:
    node = yaml.compose(text, yaml.SafeLoader)
    for number, key in enumerate(keys):
        rest = keys[number + 1 :]
        inner = _value_of(node, key)
        if not rest and value and isinstance(inner, SequenceNode) and not inner.flow_style:
            members = [each.value for each in inner.value]
            if [each for each in members if each in value] == value:
                return without_members(text, inner, [at for at, each in enumerate(members) if each not in value])
        if node is not None and (not rest or not isinstance(inner, MappingNode)):
            # What is missing on the way is written with it.
            for missing in reversed(rest):
                value = {missing: value}
            return with_edit(text, Edit(node, str(key), _flow(value)))
        node = inner
    raise AssertionError(keys)


def _value_of(node: Node | None, name: str | int) -> Node | None:
    if isinstance(node, SequenceNode) and isinstance(name, int):
        member: Node = node.value[name]
        return member
    pairs = node.value if isinstance(node, MappingNode) else ()
    return next((value for key, value in pairs if isinstance(key, ScalarNode) and key.value == name), None)


def _cut_yaml(text: str, keys: Keys) -> str:
    node = yaml.compose(text, yaml.SafeLoader)
    for key in keys[:-1]:
        node = _value_of(node, key)
    return without_key(text, node, str(keys[-1])) if isinstance(node, MappingNode) else text


def _flow(value: Any) -> str:
    """A value of YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=MOST_BYTES, sort_keys=False, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")
