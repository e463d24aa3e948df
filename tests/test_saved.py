from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import TypeAdapter
from reports.sample import sample

from lab.errors import BadInput
from lab.results import FORMAT
from lab.saved import Format, load_saved, write_saved
from lab.vocabulary import Outcome, Saved


@dataclass(frozen=True)
class Part:
    """Everything that results are made of."""

    words: str
    number: float
    more: tuple[str, ...]
    names: dict[str, str]
    outcome: Outcome
    nothing: None = None


PART: Format[Part] = Format(Saved.RUN, 7, TypeAdapter(Part))


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    """Words in any script, numbers, enums and what is nested."""
    part = Part("é ⟨1⟩ \x1b \x9b \u202e", 0.1, ("a", "b"), {"k": "v"}, Outcome.FAILED)
    write_saved(tmp_path / "file", PART, part)
    assert load_saved(tmp_path / "file", PART) == part


ENVELOPE = ["kind", "format_version", "lab_version", "started"]


def test_the_envelope_stands_first(tmp_path: Path) -> None:
    """Of a result that says nothing of it, and of one that says all of it itself, whose words hold."""
    write_saved(
        tmp_path / "part", PART, Part("", 0.0, (), {}, Outcome.FAILED), started=datetime(2026, 11, 28, tzinfo=UTC)
    )
    part = json.loads((tmp_path / "part").read_bytes())
    assert list(part)[:4] == ENVELOPE
    assert (part["kind"], part["format_version"], part["started"]) == ("run", 7, "2026-11-28T00:00:00+00:00")
    write_saved(tmp_path / "run", FORMAT, sample())
    run = json.loads((tmp_path / "run").read_bytes())
    assert list(run)[:4] == ENVELOPE
    assert run == json.loads(FORMAT.type.dump_json(sample()))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"kind": "audit"}, "kind is 'audit', not 'run'"),
        ({"kind": "shopping-list"}, "kind is 'shopping-list'"),
        ({"format_version": 6}, "format_version is 6, not 7"),
        ({"format_version": None}, "format_version is None, not 7"),
        ({"number": "many"}, "number: "),
    ],
)
def test_what_is_another_or_damaged_is_named(changed: dict[str, object], words: str, tmp_path: Path) -> None:
    """One message with the file, whichever kind of result it is to be."""
    write_saved(tmp_path / "file", PART, Part("", 0.0, (), {}, Outcome.FAILED))
    document = json.loads((tmp_path / "file").read_bytes()) | changed
    (tmp_path / "file").write_text(json.dumps(document))
    with pytest.raises(BadInput, match=words) as caught:
        load_saved(tmp_path / "file", PART)
    assert str(caught.value).startswith(str(tmp_path / "file"))


def test_half_a_pair_costs_no_result(tmp_path: Path) -> None:
    """Wherever it stands; a number without bounds is none, as JSON has none."""
    part = Part("a\ud800b", math.inf, ("\udc9b",), {"name": "\ud800"}, Outcome.PASSED)
    write_saved(tmp_path / "file", PART, part)
    document = json.loads((tmp_path / "file").read_bytes())
    assert {name: value for name, value in document.items() if name not in ENVELOPE} == {
        "words": "a?b",
        "number": None,
        "more": ["?"],
        "names": {"name": "?"},
        "outcome": "passed",
        "nothing": None,
    }
