"""What a command saves: JSON that every reader can read, written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter
from pydantic_core import to_json

from lab.files import write_whole

T = TypeVar("T")


def write_saved(path: Path, kind: TypeAdapter[T], value: T) -> None:
    """Write a result.

    An endpoint's words and the name of a file may hold half a surrogate pair, which no JSON in UTF-8 can. It becomes a
    question mark: it must not cost the result.

    Raises:
        OSError: the file cannot be written; what stood there before still does.
    """
    document = _encodable(kind.dump_python(value, mode="json"))
    write_whole(path, to_json(document, indent=1, inf_nan_mode="null"))


def _encodable(part: Any) -> Any:
    match part:
        case str():
            return part.encode("utf-8", "replace").decode("utf-8")
        case dict():
            return {name: _encodable(each) for name, each in part.items()}
        case list():
            return [_encodable(each) for each in part]
    return part
