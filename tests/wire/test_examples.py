"""Examples of schemas: each is what its schema describes, whatever a client wrote into it."""

from __future__ import annotations

from enum import Enum
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, TypeAdapter

from lab.wire.examples import MOST_VALUES, example


class Kind(Enum):
    """One of two."""

    TOWN = "town"
    CITY = "city"


class Street(BaseModel):
    """A part of a place."""

    name: str = Field(min_length=12, max_length=14)
    numbers: list[int] = Field(min_length=3)


class Place(BaseModel):
    """A schema as SDKs make it from a class: references, unions, bounds, defaults."""

    kind: Kind
    size: Literal["small", "large"]
    mayor: str | None
    streets: list[Street]
    first: Street | str
    share: float = Field(gt=0, lt=1)
    people: int = Field(ge=7, multiple_of=5)
    below: int = Field(le=-3)
    table: dict[str, int]
    pair: tuple[int, str]
    anything: Any
    capital: bool = True
    parent: Place | None = None


@pytest.mark.parametrize("mode", ["validation", "serialization"])
def test_what_a_class_asks_for_is_made(mode: Literal["validation", "serialization"]) -> None:
    """Held against the class by pydantic, which had no part in making it; every field is there."""
    made = example(Place.model_json_schema(mode=mode))
    place = TypeAdapter(Place).validate_python(made)
    assert made.keys() == Place.model_fields.keys()
    assert (place.kind, place.size, place.mayor is not None) == (Kind.TOWN, "small", True)
    assert example(Place.model_json_schema(mode=mode)) == made


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "integer"}, 1),
        ({"type": "number", "minimum": 2.2}, 2.5),
        ({"type": "integer", "exclusiveMinimum": 1}, 2),
        ({"type": "integer", "minimum": -9007199254740991, "maximum": 9007199254740991}, 1),
        ({"type": "integer", "maximum": 0}, 0),
        ({"type": "integer", "minimum": 3, "exclusiveMaximum": 4}, 3),
        ({"type": "number", "multipleOf": 0.25, "exclusiveMaximum": 1}, 0.75),
        ({"type": ["null", "boolean"]}, True),
        ({"type": "null"}, None),
        ({"const": {"a": 1}}, {"a": 1}),
        ({"enum": ["b", "a"]}, "b"),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, 1),
        ({"allOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"b": {"const": 2}}}]}, {"a": 1, "b": 2}),
        ({"type": "array", "items": {"const": 1}, "minItems": 2}, [1, 1]),
        ({"type": "array", "items": {"const": 1}, "maxItems": 0}, []),
        ({"type": "string", "format": "date"}, "2023-11-14"),
        ({"type": "object", "required": ["a"], "properties": {}}, {"a": "amber"}),
    ],
)
def test_keywords_are_kept(schema: dict[str, Any], value: Any) -> None:
    """The nearest to one, the first, the shortest."""
    assert example(schema) == value


@pytest.mark.parametrize(
    ("schema", "word"),
    [
        ({"type": "string", "pattern": "^a"}, "pattern"),
        ({"type": "integer", "minimum": 2, "maximum": 1}, "minimum"),
        ({"type": "integer", "minimum": 1e300}, "minimum"),
        ({"type": "integer", "multipleOf": 0.0 - 1}, "multipleOf"),
        ({"$ref": "https://example.com/schema"}, r"\$ref"),
        ({"$ref": "#/$defs/nowhere"}, r"\$ref"),
        ({"$ref": "#"}, "no end"),
        ({"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#"}}}, "no end"),
        ({"type": "string", "minLength": 10**9}, "minLength"),
        ({"type": "array", "minItems": 10**9, "items": {"type": "integer"}}, "more values"),
        ({"enum": []}, "enum"),
        ({"type": "house"}, "type"),
        ([], "no schema"),
        ("x", "no schema"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_name(schema: Any, word: str) -> None:
    """A value that breaks its schema would be a wrong answer; one without an end would be none."""
    with pytest.raises(ValueError, match=word):
        example(schema)


def test_a_schema_that_branches_costs_no_more_than_its_bound() -> None:
    """Ten arrays of ten each, nested ten deep, would be ten billion values."""
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(10):
        schema = {"type": "array", "items": schema, "minItems": 10}
    with pytest.raises(ValueError, match="more values"):
        example(schema)
    assert MOST_VALUES < 10**6
