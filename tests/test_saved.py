from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter
from reports.sample import sample

from lab.results import Results
from lab.saved import write_saved
from lab.vocabulary import Outcome


@dataclass(frozen=True)
class Part:
    """Everything that results are made of."""

    words: str
    number: float
    more: tuple[str, ...]
    names: dict[str, str]
    outcome: Outcome
    nothing: None = None


PART: TypeAdapter[Part] = TypeAdapter(Part)


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    """Words in any script, numbers, enums and what is nested."""
    part = Part("é ⟨1⟩ \x1b \x9b \u202e", 0.1, ("a", "b"), {"k": "v"}, Outcome.FAILED)
    write_saved(tmp_path / "file", PART, part)
    assert PART.validate_json((tmp_path / "file").read_bytes()) == part


def test_a_whole_run_is_written_as_it_always_was(tmp_path: Path) -> None:
    """Byte for byte what pydantic itself writes, so that files of two releases can be compared."""
    kind: TypeAdapter[Results] = TypeAdapter(Results)
    write_saved(tmp_path / "file", kind, sample())
    assert (tmp_path / "file").read_bytes() == kind.dump_json(sample(), indent=1)


def test_half_a_pair_costs_no_result(tmp_path: Path) -> None:
    """Wherever it stands; a number without bounds is none, as JSON has none."""
    part = Part("a\ud800b", math.inf, ("\udc9b",), {"name": "\ud800"}, Outcome.PASSED)
    write_saved(tmp_path / "file", PART, part)
    document = json.loads((tmp_path / "file").read_bytes())
    assert document == {
        "words": "a?b",
        "number": None,
        "more": ["?"],
        "names": {"name": "?"},
        "outcome": "passed",
        "nothing": None,
    }
