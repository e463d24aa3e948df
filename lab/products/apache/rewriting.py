"""What of Apache's rewrite rules can be told of a request of the lab's: flags, conditions, what a rule writes. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lab.products.apache.tree import ApacheLine


@dataclass(frozen=True)
class SiteAsked:
    """A request of the lab's.

    Args:
        path: with the slash.
        host: empty where it names none of the configuration's.
        secure: whether it comes over TLS.
    """

    path: str
    host: str
    secure: bool


def expanded(text: str, found: re.Match[str]) -> str:
    """What a rewrite rule or its like writes, without its query; empty in the place of a group that there is not."""
    groups = (found[0], *found.groups(""))
    words = re.sub(r"\$(\d)", lambda name: groups[int(name[1])] if int(name[1]) < len(groups) else "", text)
    return words.replace("%{REQUEST_URI}", found.string).partition("?")[0]


def searched(pattern: str, text: str) -> re.Match[str] | None:
    """Where a regular expression fits; None too where Python's do not have what it says."""
    try:
        return re.search(pattern, text)
    except re.error:
        return None


def flags_of(rule: ApacheLine) -> frozenset[str]:
    """The flags of a `RewriteRule`, by their short names."""
    words = rule.words
    texts = words[3].strip("[]").split(",") if len(words) > 3 else []
    names = [each.partition("=")[0].strip() for each in texts]
    return frozenset(_FLAGS.get(each.lower(), each.upper()) for each in names)


_FLAGS = {"proxy": "P", "redirect": "R", "last": "L", "forbidden": "F", "gone": "G", "ornext": "OR"}

_OF_FILES = re.compile(r"-[dfFhlLsx]")
"""Whether something is there: no model's endpoint is a file."""


def hold(conditions: Sequence[ApacheLine], request: SiteAsked, path: str) -> bool | None:
    """Whether all conditions of a rule do, of those with `[OR]` one; None where that cannot be told."""
    found: list[bool | None] = []
    any_of = list[bool | None]()
    for each in conditions:
        any_of.append(_holds(each, request, path))
        if "OR" not in flags_of(each):
            found.append(_one_of(any_of))
            any_of = []
    return False if False in found else None if None in found or any_of else True


def _one_of(values: Sequence[bool | None]) -> bool | None:
    return True if True in values else None if None in values else False


def _holds(condition: ApacheLine, request: SiteAsked, path: str) -> bool | None:
    subjects = {
        "%{HTTPS}": "on" if request.secure else "off",
        "%{REQUEST_SCHEME}": "https" if request.secure else "http",
        "%{REQUEST_URI}": path,
        "%{REQUEST_METHOD}": "POST",
        "%{HTTP_HOST}": request.host or None,
        "%{SERVER_NAME}": request.host or None,
        # Nobody upgrades for an answer.
        "%{HTTP:Upgrade}": "",
        "%{HTTP:UPGRADE}": "",
        "%{HTTP_UPGRADE}": "",
        "%{HTTP:Connection}": "",
        "%{HTTP:CONNECTION}": "",
        "%{HTTP_CONNECTION}": "",
    }
    subject = subjects.get(condition.word(1))
    pattern = condition.word(2)
    if _OF_FILES.fullmatch(pattern.removeprefix("!")):
        return pattern.startswith("!")
    if subject is None or pattern.startswith(("-", "<", ">", "expr", "!-")):
        return None
    words = condition.words
    ignore = re.IGNORECASE if len(words) > 3 and "NC" in words[3].upper() else 0
    text = pattern.removeprefix("!")
    if text.startswith("="):
        return (subject == text[1:].strip('"')) != pattern.startswith("!")
    try:
        return (re.search(text, subject, ignore) is not None) != pattern.startswith("!")
    except re.error:
        return None
