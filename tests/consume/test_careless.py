"""The careless consumers of a scenario, held against the careful one."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from lab.consume import (
    Answer,
    Complete,
    Partial,
)

from .dialects import (
    OPENAI,
    Dialect,
    each_dialect,
    raising,
    read,
    words,
)


def _careless() -> ModuleType:
    path = Path(__file__).parents[2] / "scenarios" / "model-dies" / "careless.py"
    spec = importlib.util.spec_from_file_location("careless", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CARELESS = _careless()
each_careless = pytest.mark.parametrize("name", ["shows_as_whole", "processes_half", "drops_silently"])


@each_careless
@each_dialect
def test_careless_consumers_take_half_an_answer_for_a_whole_one(dialect: Dialect, name: str) -> None:
    """On a cut that raises and on one that does not, each claims a whole answer or reports nothing."""
    careless: Callable[..., Answer | None] = getattr(CARELESS, name)
    for error in [None, ConnectionResetError("reset")]:
        chunks = [dialect.beginning(5)] if error is None else raising(dialect.beginning(5), error)
        claim = careless(chunks, wire_format=dialect.name, status=200, headers={})
        assert claim is None or isinstance(claim, Complete)
        assert isinstance(read(dialect.beginning(5), error, dialect=dialect), Partial)


@each_careless
@each_dialect
def test_careless_consumers_read_a_whole_answer(dialect: Dialect, name: str) -> None:
    """On a whole stream nothing is wrong with them, which is why they pass for working."""
    claim = getattr(CARELESS, name)([dialect.stream(5)], wire_format=dialect.name)
    assert isinstance(claim, Complete)
    assert claim.tokens == 5
    assert all(word.strip() in claim.text for word in words(5))


def test_careless_consumers_differ_in_what_the_user_sees() -> None:
    """After the same cut one shows the half, one has mended it into a document, one has nothing."""
    half = '[{\\"sum\\": 12}, {\\"sum\\": 3'
    body = OPENAI.opening + OPENAI.token % half
    claims = [
        getattr(CARELESS, name)(raising(body.encode(), ConnectionResetError()))
        for name in ("shows_as_whole", "processes_half", "drops_silently")
    ]
    assert [claim and claim.text for claim in claims] == [
        '[{"sum": 12}, {"sum": 3',
        '[{"sum": 12}, {"sum": 3}]',
        None,
    ]
