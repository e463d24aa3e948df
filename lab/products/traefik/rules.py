"""A router's rule: what it asks of a request, and which requests are likely meant. Pure.

A rule is made of matchers, such as Host(`chat.example.com`), and of `&&`, `||`, `!` and parentheses; `&&` binds more
than `||`. In the syntax of version 2 a matcher takes several values, of which one has to fit, and a path or a host may
have parts such as `{id:[0-9]+}`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from lab.products.adapted import API_PATHS, paths_below

_TOKEN = re.compile(r"\s*(&&|\|\||!|\(|\)|,|[A-Za-z]\w*|`[^`]*`|\"(?:[^\"\\]|\\.)*\")")

MATCHERS = frozenset(
    [
        "ClientIP",
        "Method",
        "Host",
        "HostHeader",
        "HostSNI",
        "HostRegexp",
        "Path",
        "PathPrefix",
        "PathRegexp",
        "Header",
        "HeaderRegexp",
        "Headers",
        "HeadersRegexp",
        "Query",
        "QueryRegexp",
    ]
)


@dataclass(frozen=True)
class RuleRequest:
    """What is asked.

    Args:
        path: of the request.
        host: that it names; empty for none that any rule names.
    """

    path: str
    host: str


@dataclass(frozen=True)
class Matcher:
    """One matcher, in the syntax of version 2 or of version 3."""

    name: str
    values: tuple[str, ...]
    second: bool

    def holds(self, request: RuleRequest) -> bool | None:
        """Whether it takes a request; None where that cannot be told."""
        match self.name:
            case "Host" | "HostHeader":
                return request.host.lower() in {each.lower() for each in self.values}
            case "HostRegexp":
                return self._fits(request.host, whole=self.second)
            case "Path" | "PathPrefix" if not self.second:
                return any(self._begins(request.path, each) for each in self.values)
            case "Path" | "PathPrefix":
                return self._fits(request.path, whole=self.name == "Path")
            case "PathRegexp":
                return self._fits(request.path, whole=False)
            case "Method":
                return "POST" in {each.upper() for each in self.values}
        return None

    def _begins(self, path: str, value: str) -> bool:
        return path == value if self.name == "Path" else path.startswith(value)

    def _fits(self, text: str, *, whole: bool) -> bool | None:
        found = [_fit(_regex(each) if self.second else each, text, whole=whole) for each in self.values]
        return True if True in found else None if None in found else False

    def samples(self) -> list[str]:
        """Hosts or paths that it may be meant for, the likeliest first."""
        if self.name in ("Host", "HostHeader"):
            return list(self.values)
        if self.name == "Path" and not self.second:
            return list(self.values)
        patterns = [_regex(each) if self.second else each for each in self.values]
        guessed = [each for each in map(_guessed, patterns) if each]
        if self.name in ("HostRegexp", "Path"):
            return guessed
        if not self.second:
            guessed += [re.split(r"[\\^$.|?*+()\[\]{}]", each.removeprefix("^"))[0] or "/" for each in self.values]
        return [path for each in guessed for path in paths_below(each)]


@dataclass(frozen=True)
class Rule:
    """Several rules under one operator: `&&`, `||`, or `!` with one."""

    operator: str
    parts: tuple[Rule | Matcher, ...]

    def holds(self, request: RuleRequest) -> bool | None:
        """Whether it takes a request; None where that cannot be told."""
        found = [each.holds(request) for each in self.parts]
        if self.operator == "!":
            return None if found[0] is None else not found[0]
        decisive = self.operator == "||"
        return decisive if decisive in found else None if None in found else not decisive


def matchers(rule: Rule | Matcher) -> Iterator[Matcher]:
    """The matchers of a rule that are not denied."""
    if isinstance(rule, Matcher):
        yield rule
    elif rule.operator != "!":
        for each in rule.parts:
            yield from matchers(each)


@cache
def parse_rule(text: str, *, second: bool = False) -> Rule | Matcher | None:
    """A rule as it is written; None where it is none.

    Args:
        text: it.
        second: whether it is in the syntax of version 2.
    """
    tokens: list[str] = []
    place = 0
    while text[place:].strip():
        found = _TOKEN.match(text, place)
        if found is None:
            return None
        tokens.append(found[1])
        place = found.end()
    try:
        rule = _either(tokens, second)
    except (IndexError, ValueError):
        return None
    return rule if not tokens else None


def _either(tokens: list[str], second: bool) -> Rule | Matcher:
    parts = [_both(tokens, second)]
    while tokens[:1] == ["||"]:
        del tokens[0]
        parts.append(_both(tokens, second))
    return parts[0] if len(parts) == 1 else Rule("||", tuple(parts))


def _both(tokens: list[str], second: bool) -> Rule | Matcher:
    parts = [_one(tokens, second)]
    while tokens[:1] == ["&&"]:
        del tokens[0]
        parts.append(_one(tokens, second))
    return parts[0] if len(parts) == 1 else Rule("&&", tuple(parts))


def _one(tokens: list[str], second: bool) -> Rule | Matcher:
    first = tokens.pop(0)
    if first == "!":
        return Rule("!", (_one(tokens, second),))
    if first == "(":
        inner = _either(tokens, second)
        _expect(tokens, ")")
        return inner
    name = next((each for each in MATCHERS if each.lower() == first.lower()), "")
    if not name:
        raise ValueError(first)
    _expect(tokens, "(")
    values = []
    while tokens[0] != ")":
        value = tokens.pop(0)
        values.append(json.loads(value) if value[0] == '"' else value.strip("`"))
        if tokens[0] == ",":
            del tokens[0]
    _expect(tokens, ")")
    return Matcher(name, tuple(values), second)


def _expect(tokens: list[str], wanted: str) -> None:
    if tokens.pop(0) != wanted:
        raise ValueError(wanted)


def _regex(value: str) -> str:
    """The regular expression of a value with parts in braces, as version 2 has them."""
    parts = re.split(r"(\{(?:[^{}]|\{[^{}]*\})*\})", value)
    found = [_part(each) if each.startswith("{") else re.escape(each) for each in parts]
    return f"^{''.join(found)}"


def _part(part: str) -> str:
    pattern = part[1:-1].partition(":")[2]
    return f"(?:{pattern})" if pattern else "[^/.]+"


def _fit(pattern: str, text: str, *, whole: bool) -> bool | None:
    try:
        return (re.fullmatch if whole else re.search)(pattern, text) is not None
    except re.error:
        return None


def _guessed(pattern: str) -> str:
    """A host or a path that a regular expression takes; empty where none is found."""
    plain = re.sub(r"\(\?[a-z]+\)|[\^$]", "", pattern).replace("\\.", ".").replace("\\-", "-").replace("\\/", "/")
    for word in ("chat", "v1", "1"):
        guessed = _PLACE.sub(word, plain)
        if _fit(pattern, guessed, whole=False) and re.fullmatch(r"[\w./-]+", guessed):
            return guessed
    return ""


_PLACE = re.compile(r"(?:\((?:\?:)?[^()]*\)|\[[^\]]*\]|\\[wSd]|\.(?=[*+]))(?:[*+?]|\{[\d,]+\})?")
"""What may stand for a word: a group, a class of characters, or any characters."""


def sample_requests(rule: Rule | Matcher, path: str, host: str) -> Sequence[RuleRequest]:
    """Requests that a rule may be meant for, the likeliest first.

    Args:
        rule: it.
        path: that is asked for; empty for one of its own.
        host: that is named; empty for one of its own.
    """
    every = list(matchers(rule))
    hosts = [one for each in every if each.name.startswith("Host") for one in each.samples()]
    paths = [one for each in every if each.name.startswith("Path") for one in each.samples()]
    hosts, paths = [host] if host else [*hosts, ""], [path] if path else [*paths, *API_PATHS]
    return [RuleRequest(path, host) for host in dict.fromkeys(hosts) for path in dict.fromkeys(paths)]
