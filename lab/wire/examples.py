"""An example of what a JSON schema asks for: the shortest value that shows every required field. Pure.

What stands in a schema is what a request's author wrote; of the keywords that restrict a value those are kept that
vendors take for structured output, and one that is not is refused by name, for a value that breaks it would be a
wrong answer. The same schema gives the same value.

Source: https://json-schema.org/draft/2020-12/json-schema-validation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import cycle
from typing import Any

from .tokens import WORDS

MOST_VALUES = 10_000
"""Values in one example; arrays within arrays grow fast."""

_DEEPEST = 40
# JavaScript's largest whole number, which its libraries give as a bound, lies below.
_HIGHEST = 1e18
# A schema that leads back to itself is followed so often where it has another way.
_FULL = 4

_FORMATS: Mapping[str, str] = {
    "date-time": "2023-11-14T22:13:20Z",
    "date": "2023-11-14",
    "time": "22:13:20Z",
    "duration": "PT1S",
    "email": "amber@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/amber",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_UNKEPT = ("pattern", "not", "if", "patternProperties", "contains")


def example(schema: Any) -> Any:
    """A value that the schema describes.

    Raises:
        ValueError: it is no schema, asks for more than the lab keeps, or for nothing that is finite; names the keyword.
    """
    return _Example(schema).value(schema, 0)


class _Example:
    """One example while it is made."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._words: Iterator[str] = cycle(WORDS)
        self._left = MOST_VALUES

    def value(self, schema: Any, depth: int) -> Any:
        """A value of this part of the schema."""
        self._left -= 1
        if depth > _DEEPEST or self._left < 0:
            raise ValueError("it has no end, or more values than the lab makes")
        if schema is True or schema == {}:
            return next(self._words)
        if not isinstance(schema, dict):
            raise ValueError(f"{schema!r} is no schema"[:200])
        for keyword in _UNKEPT:
            if keyword in schema:
                raise ValueError(f"{keyword}: the lab makes no value that keeps it")
        if "$ref" in schema:
            return self.value({**self._resolve(schema["$ref"]), **_without(schema, "$ref")}, depth + 1)
        if "allOf" in schema:
            return self.value(_merged(schema, self._resolved), depth + 1)
        for keyword in ("const", "enum", "anyOf", "oneOf"):
            if keyword in schema:
                return self._chosen(keyword, schema, depth)
        return self._typed(schema, depth)

    def _chosen(self, keyword: str, schema: dict[str, Any], depth: int) -> Any:
        choice = schema[keyword]
        if keyword == "const":
            return choice
        if not isinstance(choice, list) or not choice:
            raise ValueError(f"{keyword}: must be a list that is not empty")
        if keyword == "enum":
            return choice[0]
        null = [part for part in choice if isinstance(part, dict) and part.get("type") == "null"]
        some = [part for part in choice if part not in null] or choice
        part = null[0] if null and depth > _FULL else some[-1 if depth > _FULL else 0]
        return self.value({**_without(schema, keyword), **part} if isinstance(part, dict) else part, depth + 1)

    def _typed(self, schema: dict[str, Any], depth: int) -> Any:
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = next((each for each in kind if each != "null"), "null")
        if kind is None:
            kind = "object" if "properties" in schema else "array" if "items" in schema else "string"
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "string":
                return self._string(schema)
            case "integer" | "number":
                return _number(schema, whole=kind == "integer")
            case "boolean":
                return True
            case "null":
                return None
        raise ValueError(f"type: {kind!r} is none of JSON's"[:200])

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        properties, required = schema.get("properties") or {}, schema.get("required") or []
        if not isinstance(properties, dict) or not isinstance(required, list):
            raise ValueError("properties must be an object, and required a list")
        names = [*dict.fromkeys([*(properties if depth <= _FULL else ()), *required])]
        return {str(name): self.value(properties.get(name, True), depth + 1) for name in names}

    def _array(self, schema: dict[str, Any], depth: int) -> list[Any]:
        first = schema.get("prefixItems") or []
        least = _count(schema, "minItems", 0)
        rest = schema.get("items", True)
        values = [self.value(part, depth + 1) for part in first]
        wanted = max(least, 1 if depth <= _FULL and not first and _count(schema, "maxItems", 1) else 0)
        return [*values, *(self.value(rest, depth + 1) for _ in range(wanted - len(values)))]

    def _string(self, schema: dict[str, Any]) -> str:
        form = schema.get("format")
        if isinstance(form, str) and form in _FORMATS:
            return _FORMATS[form]
        least, most = _count(schema, "minLength", 0), _count(schema, "maxLength", MOST_VALUES)
        word = next(self._words)
        self._left -= least // len(word)
        if self._left < 0:
            raise ValueError("minLength: longer than the lab makes")
        return (word * (least // len(word) + 1))[: max(least, min(len(word), most))]

    def _resolved(self, part: Any) -> dict[str, Any]:
        """A part of `allOf`, itself or what it refers to."""
        if isinstance(part, dict) and "$ref" in part:
            return {**self._resolve(part["$ref"]), **_without(part, "$ref")}
        if not isinstance(part, dict):
            raise ValueError("allOf: must be a list of schemas")
        return part

    def _resolve(self, reference: object) -> dict[str, Any]:
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise ValueError("$ref: only parts of the same schema are known")
        found = self._root
        for name in reference[1:].strip("/").split("/") if reference != "#" else ():
            found = found.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
        if not isinstance(found, dict):
            raise ValueError(f"$ref: {reference!r} leads nowhere"[:200])
        return found


def _merged(schema: dict[str, Any], resolved: Any) -> dict[str, Any]:
    """A schema with the parts of its `allOf` in it."""
    parts = schema["allOf"]
    if not isinstance(parts, list):
        raise ValueError("allOf: must be a list of schemas")
    merged = _without(schema, "allOf")
    for part in map(resolved, parts):
        properties = {**(merged.get("properties") or {}), **(part.get("properties") or {})}
        required = [*(merged.get("required") or []), *(part.get("required") or [])]
        merged = {**merged, **part}
        if properties:
            merged["properties"] = properties
        if required:
            merged["required"] = required
    return merged


def _without(schema: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key != name}


def _count(schema: dict[str, Any], name: str, default: int) -> int:
    count = schema.get(name, default)
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise ValueError(f"{name}: must be a whole number")
    return count


def _number(schema: dict[str, Any], *, whole: bool) -> float:
    """The number nearest to 1 that the bounds allow."""
    step = _bound(schema, "multipleOf") or (1 if whole else 0.5)
    if step <= 0:
        raise ValueError("multipleOf: must be above 0")
    least, above = _bound(schema, "minimum"), _bound(schema, "exclusiveMinimum")
    most, below = _bound(schema, "maximum"), _bound(schema, "exclusiveMaximum")
    # In multiples of the step.
    low = [
        *([] if least is None else [math.ceil(least / step)]),
        *([] if above is None else [math.floor(above / step) + 1]),
    ]
    high = [
        *([] if most is None else [math.floor(most / step)]),
        *([] if below is None else [math.ceil(below / step) - 1]),
    ]
    if low and high and max(low) > min(high):
        raise ValueError("minimum and maximum leave no number that the lab finds")
    count = min([max([*low, math.ceil(1 / step)]), *high])
    number = count * step
    return int(number) if whole and number == int(number) else number


def _bound(schema: dict[str, Any], name: str) -> float | None:
    bound = schema.get(name)
    if bound is None:
        return None
    if isinstance(bound, bool) or not isinstance(bound, (int, float)) or not abs(bound) < _HIGHEST:
        raise ValueError(f"{name}: must be a number, and below {_HIGHEST:g}")
    return bound
