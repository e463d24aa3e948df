"""Where a setting stands in an Apache configuration, and how it is written there. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lab.products.apache.routes import ProxyRule, ProxyTarget, members_of
from lab.products.apache.tree import ApacheFile, ApacheLine

LEVERS = (
    "timeout=600",
    "ProxyErrorOverride Off",
    "UnsetEnv force-proxy-request-1.0",
    "UnsetEnv downgrade-1.0",
    "# SetOutputFilter",
    "# AddOutputFilterByType",
)
"""What is worth a try beside the tested lines. A line behind `#` is one that is to be commented out."""

_DEFAULT_TIMEOUT = 60.0
"""Seconds, of `Timeout`."""


@dataclass(frozen=True)
class LineEdit:
    """One line that is to be otherwise.

    Args:
        at: the line in whose place, or before which, it is written.
        text: the line, without indentation.
        instead: whether it takes the place of the other.
    """

    at: ApacheLine
    text: str
    instead: bool


def changes(file: ApacheFile, passing: ProxyRule, setting: str) -> Iterator[LineEdit]:
    """What has to be written for a setting to hold for a rule; nothing where it holds already."""
    name = setting.split()[0]
    if name.startswith("timeout="):
        for line in _with_own_timeout(file, passing):
            if seconds_of(_own_timeout(line)) < float(setting.partition("=")[2]):
                now = re.sub(r"\btimeout=[^\s\"']+", setting, line.written, flags=re.IGNORECASE)
                yield LineEdit(line, now, instead=True)
    elif name == "ProxyTimeout":
        yield from _proxy_timeout(passing, setting)
    elif name == "UnsetEnv":
        for line in _standing(passing, ("setenv",)):
            if line.word(1).lower() == setting.split()[1]:
                yield LineEdit(line, setting, instead=True)
    elif name == "#":
        for line in _standing(passing, (setting.split()[1].lower(),)):
            yield LineEdit(line, f"# {line.written}", instead=True)
    else:
        for line in _standing(passing, (name.lower(),))[-1:]:
            if line.words[1:] != setting.split()[1:]:
                yield LineEdit(line, setting, instead=True)


def standing(file: ApacheFile, passing: ProxyRule, setting: str) -> ApacheLine | None:
    """The line in whose place a setting is written, or that says the same in another way; None where a default does."""
    found = list(changes(file, passing, setting))
    if found and setting.startswith("ProxyTimeout"):
        return passing.server.setting("proxytimeout") or passing.server.setting("timeout")
    return found[0].at if found else None


def _proxy_timeout(passing: ProxyRule, setting: str) -> Iterator[LineEdit]:
    own = passing.server.setting("proxytimeout")
    counts = own or passing.server.setting("timeout")
    if (seconds_of(counts.word(1)) if counts is not None else _DEFAULT_TIMEOUT) >= float(setting.split()[1]):
        return
    if own is not None and own in passing.server.line.own("proxytimeout"):
        yield LineEdit(own, setting, instead=True)
        return
    # What a whole server has may stand in none of its sections but conditions.
    levels = [each for each in passing.line.upward() if not (each.parent and each.parent.is_condition)]
    inside = [each for each in levels if passing.server.line in each.upward() and each is not passing.server.line]
    yield LineEdit(_with_its_conditions(inside[-1]), setting, instead=False)


def _with_its_conditions(line: ApacheLine) -> ApacheLine:
    """The first of the conditions that stand before a rewrite rule; any other line itself."""
    beside = line.parent.block or [] if line.parent is not None else []
    first = beside.index(line)
    while line.name == "rewriterule" and first and beside[first - 1].name == "rewritecond":
        first -= 1
    return beside[first]


def _standing(passing: ProxyRule, names: tuple[str, ...]) -> list[ApacheLine]:
    """The lines of these names that hold for a rule, in its server and the locations that it is in, or is for."""
    server = passing.server
    levels = [server.top, *([] if server.is_main else [server.line])]
    places = [each for level in levels for each in level.own("location", "locationmatch") if _holds_for(each, passing)]
    return [line for level in (*levels, *places) for line in level.own(*names)]


def _holds_for(location: ApacheLine, passing: ProxyRule) -> bool:
    """Whether a location is the rule's own, or one around what the rule is for."""
    start = location.words[-1]
    return location is passing.within or (location.name == "location" and passing.start.startswith(start))


def _with_own_timeout(file: ApacheFile, passing: ProxyRule) -> list[ApacheLine]:
    """The lines that give the workers of a rule a time-out of their own."""
    target = ProxyTarget.read(passing.target)
    lines = [passing.line]
    if target is not None and target.scheme == "balancer":
        lines += [each for each in members_of(target.where, file.top) if each.name in ("balancermember", "proxyset")]
    elif target is not None:
        own = [
            each for each in file.top.below() if each.name == "proxy" and passing.target.startswith(each.word(1) or "-")
        ]
        lines += [line for each in own for line in each.own("proxyset")]
    return [each for each in lines if _own_timeout(each)]


def _own_timeout(line: ApacheLine) -> str:
    if line.name == "rewriterule":
        return ""
    return next((each.partition("=")[2] for each in line.words[1:] if each.lower().startswith("timeout=")), "")


def seconds_of(text: str) -> float:
    """What a time-out lasts: seconds, unless it has a unit; one that cannot be read is none."""
    found = re.fullmatch(r"(\d+)(ms|s|mi|min|h|)", text.strip().lower())
    return int(found[1]) * _UNITS[found[2]] if found else 0.0


_UNITS = {"ms": 1e-3, "": 1.0, "s": 1.0, "mi": 60.0, "min": 60.0, "h": 3600.0}


def with_change(text: str, change: LineEdit) -> str:
    """A file's text with one line otherwise, and nothing else."""
    lines = text.split("\n")
    at = change.at
    new = f"{at.indent}{change.text}"
    lines[at.line - 1 : at.last if change.instead else at.line - 1] = [new]
    return "\n".join(lines)
