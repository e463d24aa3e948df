"""What a command saves: JSON that every reader can read, written whole or not at all; one envelope, and one way back.

Every saved result begins with the same four fields: `kind` (see `Saved`), `format_version`, `lab_version` and
`started`. What follows is the kind's own. A result of another version of its format is refused, for a report that
leaves out what it does not know would say less than was measured.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from lab.errors import BadInput
from lab.files import LONGEST_RESULT, read_whole, write_whole
from lab.vocabulary import Saved

T = TypeVar("T")

_AGAIN = "Measure again with this version."


@dataclass(frozen=True)
class Format(Generic[T]):
    """How one kind of result is saved.

    Args:
        kind: which kind.
        version: raised whenever a field changes its name or its meaning.
        type: what it is read back as; the envelope's fields may be among its own.
    """

    kind: Saved
    version: int
    type: TypeAdapter[T]


@dataclass(frozen=True)
class SavedFile:
    """A saved result, of which only the envelope has been looked at.

    Args:
        path: where it stands.
        kind: what it says that it is; a run's files once said nothing.
        document: all of it.
    """

    path: Path
    kind: Saved
    document: dict[str, Any]

    def read(self, form: Format[T]) -> T:
        """The result.

        Raises:
            BadInput: it is of another kind or version, or damaged; names the file and what is wrong in it.
        """
        if self.document.get("kind", form.kind) != form.kind:
            raise BadInput(f"{self.path}: kind is {self.kind.value!r}, not {form.kind.value!r}", "Name another file.")
        found = self.document.get("format_version")
        if found != form.version:
            raise BadInput(f"{self.path}: format_version is {found!r}, not {form.version}", _AGAIN)
        try:
            # As JSON once more: there a list will do for a tuple, and a text for an enum's value.
            return form.type.validate_json(json.dumps(self.document))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise BadInput(f"{self.path}: {place}: {first['msg']}", _AGAIN) from None


def open_saved(path: Path) -> SavedFile:
    """Read what any command saved.

    Raises:
        BadInput: it is no saved result; names the file and what is wrong with it.
    """
    try:
        document = json.loads(read_whole(path, LONGEST_RESULT))
        kind = document.get("kind", Saved.RUN)
    except OSError as error:
        remedy = "Run `lab run` first, or name what another command saved."
        raise BadInput(f"{path}: {error.strerror}", remedy) from None
    except (ValueError, AttributeError, RecursionError):
        raise BadInput(f"{path}: no JSON document", "Give the path of a file that a lab command wrote.") from None
    try:
        return SavedFile(path, Saved(kind), document)
    except ValueError:
        raise BadInput(f"{path}: kind is {kind!r}", f"There are: {', '.join(Saved)}.") from None


def load_saved(path: Path, form: Format[T]) -> T:
    """Read a saved result of one kind.

    Raises:
        BadInput: names the file and what is wrong in it.
    """
    return open_saved(path).read(form)


def write_saved(path: Path, form: Format[T], value: T, *, started: datetime | None = None) -> None:
    """Write a result behind its envelope.

    An endpoint's words and the name of a file may hold half a surrogate pair, which no JSON in UTF-8 can. It becomes a
    question mark: it must not cost the result.

    Args:
        path: the file.
        form: its format.
        value: the result; what it says itself of the envelope holds.
        started: when measuring began, where the result does not say it; None for now.

    Raises:
        OSError: the file cannot be written; what stood there before still does.
    """
    fields = _encodable(form.type.dump_python(value, mode="json"))
    envelope = {
        "kind": form.kind.value,
        "format_version": form.version,
        "lab_version": version("token-stream-lab"),
        "started": (started or datetime.now().astimezone()).isoformat(timespec="seconds"),
    }
    # In the envelope's order, whatever place its fields have in the result.
    whole = {**envelope, **fields}
    write_whole(path, to_json(whole, indent=1, inf_nan_mode="null"))


def _encodable(part: Any) -> Any:
    match part:
        case str():
            return part.encode("utf-8", "replace").decode("utf-8")
        case dict():
            return {name: _encodable(each) for name, each in part.items()}
        case list():
            return [_encodable(each) for each in part]
    return part
