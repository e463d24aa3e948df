"""Patterns of nginx's files: which text fits, and one that does."""

from __future__ import annotations

import pytest

from lab.products.nginx.regexes import example, found


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"^/svc/(?<name>[a-z]+)/", "/svc/chat/v1"),
        (r"^/(?'name'v1)/", "/v1/chat"),
        (r"^/[[:alpha:]]+/[[:digit:]]$", "/api/1"),
        (r"^/(?i)API$", "/api"),
        (r"^/v1\z", "/v1"),
        (r"^/(?<=/)v1", "/v1"),
    ],
)
def test_what_pcre_has_and_python_writes_otherwise_fits(pattern: str, text: str) -> None:
    """Named groups, POSIX classes, flags amid, the end of the text: as pcre2pattern(3) has them."""
    assert found(pattern, text)
    assert not found(pattern, "#")


@pytest.mark.parametrize(
    "pattern",
    [
        r"^(?<tenant>[a-z0-9-]+)\.chat\.example\.com$",
        r"^(www\.)?(?<domain>.+)$",
        r"^/svc/(?<name>[a-z]+)/(?<rest>.*)$",
        r"^/api/v[12]/[[:alpha:]]{2,}/\d+(?:\.json)?$",
        r"/-/(healthy|ready)",
        r"^/(?<all>(b|c)+)/d$",
        r"(/app)?/rpc",
        r"^/x(?!y)",
    ],
)
def test_an_example_fits(pattern: str) -> None:
    """Some text is found, and the pattern fits it."""
    assert example(pattern, "any")
    assert found(pattern, example(pattern, "any"))


@pytest.mark.parametrize("pattern", ["(", r"^/x(?=y)$", r"^(a)\1{3}b$"])
def test_there_is_no_example_of_what_is_not_understood(pattern: str) -> None:
    """Rather none than one that does not fit."""
    assert example(pattern) == ""
