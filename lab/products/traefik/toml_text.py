"""Where the keys of a text of TOML stand, and edits of it. Pure.

Python's own parser reads each table's head and each key by itself: a key ends at the first line behind which it can be
read. So nothing of the language is known here but that a table's head begins with a bracket.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.errors import BadInput

_Keys = tuple[str | int, ...]


@dataclass(frozen=True)
class _Written:
    """A table's head, or a key with its value.

    Args:
        keys: of the table, or of the key.
        first: its first line, from 0.
        last: its last line.
        value: of the key; None for a head.
    """

    keys: _Keys
    first: int
    last: int
    value: Any = None


def load(text: str, file: Path) -> dict[str, Any]:
    """What a text says.

    Raises:
        BadInput: it is no TOML; names file and line.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+),", str(error))
        place = f"{file}:{found[1]}" if found else str(file)
        words = re.sub(r" \(at .*", "", str(error))
        raise BadInput(f"{place}: {words}", "Correct it, or say whose file it is.") from error


def lines(text: str) -> Mapping[_Keys, int]:
    """The line of each key and each table, from 1."""
    found: dict[_Keys, int] = {}
    for each in _written(text):
        for keys in (each.keys, *_below(each.value, each.keys)):
            # A table that no head of its own opens stands where what is in it does.
            for length in range(1, len(keys) + 1):
                found.setdefault(keys[:length], each.first + 1)
    return found


def put(text: str, keys: _Keys, value: Any, file: Path) -> str:
    """A text with one key otherwise, and nothing else.

    Raises:
        BadInput: it stands in a list of tables.
    """
    own, written = text.split("\n"), list(_written(text))
    for each in written:
        if each.value is not None and each.keys == keys[: len(each.keys)]:
            value = _with(each.value, keys[len(each.keys) :], value)
            start = own[each.first].partition("=")[0].rstrip()
            own[each.first : each.last + 1] = [f"{start} = {_inline(value)}"]
            return "\n".join(own)
    if any(isinstance(key, int) for key in keys):
        raise BadInput(f"{file}: a key in a list of tables is not written.", "Write it yourself.")
    line = f"{_key(keys[-1])} = {_inline(value)}"
    heads = [number for number, each in enumerate(written) if each.value is None and each.keys == keys[:-1]]
    if not heads:
        head = ".".join(_key(each) for each in keys[:-1])
        return f"{text.rstrip()}\n\n[{head}]\n  {line}\n"
    last = heads[0]
    while last + 1 < len(written) and written[last + 1].value is not None:
        last += 1
    like = own[written[last].first]
    indent = like[: len(like) - len(like.lstrip())] + ("  " if last == heads[0] else "")
    own.insert(written[last].last + 1, indent + line)
    return "\n".join(own)


def cut(text: str, keys: _Keys) -> str:
    """A text without a key, and without all that stands below it."""
    own = text.split("\n")
    for each in reversed(list(_written(text))):
        if each.keys[: len(keys)] == keys:
            del own[each.first : each.last + 1]
        elif each.value is not None and each.keys == keys[: len(each.keys)]:
            start = own[each.first].partition("=")[0].rstrip()
            own[each.first : each.last + 1] = [f"{start} = {_inline(_less(each.value, keys[len(each.keys) :]))}"]
    return "\n".join(own)


def _less(whole: Any, keys: _Keys) -> Any:
    """A value without one key of it."""
    if len(keys) == 1:
        return {key: each for key, each in whole.items() if key != keys[0]}
    return {key: _less(each, keys[1:]) if key == keys[0] else each for key, each in whole.items()}


def _written(text: str) -> Iterator[_Written]:
    own = text.split("\n")
    table: _Keys = ()
    members: dict[_Keys, int] = {}
    number = 0
    while number < len(own):
        line, first = own[number].strip(), number
        if line.startswith("["):
            table = _table(line, members)
            yield _Written(table, first, first)
        elif line and not line.startswith("#"):
            while (read := _read("\n".join(own[first : number + 1]))) is None:
                number += 1
            keys = _keys_of(line)
            for key in keys:
                read = read[key]
            yield _Written((*table, *keys), first, number, read)
        number += 1


def _table(line: str, members: dict[_Keys, int]) -> _Keys:
    """The keys of a table's head, with the numbers of the lists of tables on the way, of which the last is meant."""
    node: Any = tomllib.loads(line)
    keys: _Keys = ()
    while isinstance(node, dict) and node:
        ((key, node),) = node.items()
        keys = (*keys, key)
        if isinstance(node, list):
            members[keys] = members.get(keys, -1) + 1
            node = None
        if keys in members:
            keys = (*keys, members[keys])
    return keys


def _keys_of(line: str) -> _Keys:
    """The keys before an equals sign."""
    parts = line.split("=")
    for length in range(1, len(parts)):
        node: Any = _read(f"{'='.join(parts[:length])} = 0")
        if node is not None:
            keys: _Keys = ()
            while isinstance(node, dict):
                ((key, node),) = node.items()
                keys = (*keys, key)
            return keys
    raise AssertionError(line)


def _read(text: str) -> Any:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _below(value: Any, keys: _Keys) -> Iterator[_Keys]:
    """The keys of what stands in a value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inside:
        yield (*keys, key)
        yield from _below(each, (*keys, key))


def _with(whole: Any, keys: _Keys, value: Any) -> Any:
    """A value with one key of it otherwise."""
    if not keys:
        return value
    rest = whole if isinstance(whole, dict) else {}
    return {**rest, str(keys[0]): _with(rest.get(keys[0]), keys[1:], value)}


def _key(key: str | int) -> str:
    return str(key) if re.fullmatch(r"[A-Za-z0-9_-]+", str(key)) else json.dumps(key)


def _inline(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_inline(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
