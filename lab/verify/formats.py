"""What was found of a user's file in the formats of others. Pure.

SARIF is for code hosts, annotations and a summary for a workflow on GitHub, JUnit for CI servers, JSON for everything
else. `lab check`, which reads the file, and `lab verify`, which runs it, have the same entries.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from xml.etree.ElementTree import Element, SubElement

from lab.judge import REQUIREMENTS
from lab.judge.requirements import IN_WORDS
from lab.products.adapted import Entrance, Mending, Remark, Spot
from lab.vocabulary import Requirement, State

if TYPE_CHECKING:
    from lab.verify.search import Verified

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


@dataclass(frozen=True)
class Entry:
    """One requirement at one entrance of a user's file.

    Args:
        entrance: where.
        requirement: which.
        state: whether it is met.
        why: what was seen, or what is known of the directive, in a sentence.
        causes: each change that alone mends it.
        up_to: the wait in seconds up to which it is met; None where it is about no wait.
        scenario: which shows it; empty where the file itself was run.
        known: why no file of the product meets it; empty where one may.
    """

    entrance: Entrance
    requirement: Requirement
    state: State
    why: str
    causes: tuple[Mending, ...] = ()
    up_to: float | None = None
    scenario: str = ""
    known: str = ""

    @property
    def broken(self) -> bool:
        """Whether somebody has to look at it."""
        return self.state in (State.NOT_MET, State.INCONCLUSIVE) and not self.known

    @property
    def spot(self) -> Spot | None:
        """The directive that breaks it; None where a default does, or nobody knows."""
        return next((each.spot for each in self.causes if each.spot is not None), None)

    @property
    def place(self) -> Spot:
        """Where to point: at the directive, or at the location that has the default."""
        return self.spot or self.entrance.spot

    @property
    def fixes(self) -> list[str]:
        """The changes, each of which alone mends it, in words."""
        return [each.setting or str(each) for each in self.causes]

    @property
    def message(self) -> str:
        """All of it, on one line."""
        stands = self.spot.text if self.spot else self.entrance.name
        default = " has the default" if self.causes and self.spot is None else ""
        mended = f" Met {' or '.join(map(str, self.causes))}." if self.causes else ""
        shown = f" (lab show {self.scenario})" if self.scenario else ""
        known = f" {self.known_words}." if self.known else ""
        return f"{stands}{default}: {IN_WORDS[self.state]}: {self.why}.{mended}{known}{shown}"

    @property
    def known_words(self) -> str:
        """That it is not met, and would not be by another file."""
        return f"Met by no file of this product: {self.known}"


def read(remarks: Iterable[Remark]) -> list[Entry]:
    """What `lab check` knows of a file."""
    return [
        Entry(
            each.entrance,
            each.requirement,
            State.NOT_MET,
            each.why,
            (Mending(each.fix, each.spot),),
            scenario=each.scenario,
        )
        for each in remarks
    ]


def measured(found: Iterable[Verified]) -> list[Entry]:
    """What `lab verify` saw of it, what is met too."""
    return [
        Entry(
            each.entrance,
            one.requirement,
            one.state,
            each.why(one),
            each.causes.get(one.requirement, ()),
            one.up_to,
            known=each.known.get(one.requirement, "") if one.state is State.NOT_MET else "",
        )
        for each in found
        for one in each.observations.values()
    ]


def sarif(entries: Sequence[Entry], root: Path) -> str:
    """One run of SARIF 2.1.0; its rules are the requirements.

    Args:
        entries: on any files.
        root: paths are written relative to it, as code hosts want them.
    """
    broken = [each for each in entries if each.broken]
    rules = [
        {"id": each.value, "shortDescription": {"text": REQUIREMENTS[each].sentence}}
        for each in dict.fromkeys(entry.requirement for entry in broken)
    ]
    results = [
        {
            "ruleId": each.requirement.value,
            "level": _level(each),
            "message": {"text": each.message},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": _uri(each.place.file, root)},
                        "region": {"startLine": each.place.line},
                    }
                }
            ],
        }
        for each in broken
    ]
    driver = {"name": "token-stream-lab", "version": version("token-stream-lab"), "rules": rules}
    run = {"tool": {"driver": driver}, "results": results, "columnKind": "utf16CodeUnits"}
    return _written({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]})


def github(entries: Sequence[Entry], root: Path) -> str:
    """A line for each, which GitHub's runner shows beside the file."""
    return "\n".join(
        f"::{_level(each)} file={_property(_relative(each.place.file, root))},line={each.place.line},"
        f"title={each.requirement.value}::{_data(each.message)}"
        for each in entries
        if each.broken
    )


def as_json(entries: Sequence[Entry], root: Path) -> str:
    """A list of objects."""
    return _written(
        [
            {
                "file": _relative(each.place.file, root),
                "line": each.place.line,
                "entrance": each.entrance.name,
                "directive": None if each.spot is None else each.spot.text,
                "requirement": each.requirement.value,
                "state": each.state.value,
                "up_to": each.up_to,
                "why": each.why,
                "fixes": each.fixes,
                "scenario": each.scenario or None,
                "known": each.known or None,
            }
            for each in entries
        ]
    )


_MARKS = {State.NOT_MET: "failure", State.INCONCLUSIVE: "error", State.NOT_APPLICABLE: "skipped"}
"""JUnit's element for a state; what is met has none. What cannot be told says nothing about the file."""


def junit(entries: Sequence[Entry], root: Path) -> str:
    """JUnit XML: a suite an entrance, a testcase a requirement."""
    # Only here: it takes longer to import than all else that lab check needs.
    from lab.reports.junit import document

    top = Element("testsuites", name="token-stream-lab")
    suites: dict[Entrance, Element] = {}
    for each in entries:
        name = f"{_relative(each.entrance.spot.file, root)}:{each.entrance.spot.line} {each.entrance.name}"
        if each.entrance not in suites:
            suites[each.entrance] = SubElement(top, "testsuite", name=name)
        case = SubElement(suites[each.entrance], "testcase", name=each.requirement.value, classname=name)
        if each.known:
            SubElement(case, "skipped", type=each.state.value, message=each.message)
        elif each.state in _MARKS:
            where = f"{_relative(each.place.file, root)}:{each.place.line}: "
            SubElement(case, _MARKS[each.state], type=each.state.value, message=f"{where}{each.message}")
        elif each.up_to is not None:
            SubElement(case, "system-out").text = f"{each.requirement} {IN_WORDS[each.state]} up to {each.up_to:g} s"
    return document(top)


def summary(entries: Sequence[Entry], root: Path) -> str:
    """A heading and a table in Markdown, which GitHub shows on the page of a workflow's run."""
    broken = [each for each in entries if each.broken]
    lines = [f"### Token streams: {'not as required' if broken else 'as required'}", ""]
    if broken:
        lines += ["| where | requirement | | why | met with |", "|---|---|---|---|---|"]
    for each in broken:
        cells = (
            f"{_relative(each.place.file, root)}:{each.place.line}",
            each.requirement.value,
            IN_WORDS[each.state],
            each.why,
            " or ".join(each.fixes),
        )
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    met: dict[str, list[str]] = {}
    for each in entries:
        if each.state is State.MET:
            up_to = f" up to {each.up_to:g} s" if each.up_to else ""
            met.setdefault(each.entrance.name, []).append(f"{each.requirement}{up_to}")
    lines += ["", *(f"- {_cell(name)}: met: {', '.join(them)}" for name, them in met.items())]
    lines += [
        f"- {_cell(each.entrance.name)}: {each.requirement}: {_cell(each.known_words)}"
        for each in entries
        if each.known
    ]
    return "\n".join(lines) + "\n"


FORMATS: Mapping[str, Callable[[Sequence[Entry], Path], str]] = {
    "json": as_json,
    "github": github,
    "sarif": sarif,
    "junit": junit,
}
"""By the name that `--format` takes; beside `text`."""


def _level(entry: Entry) -> str:
    """As SARIF and GitHub's runner both call it."""
    return "error" if entry.state is State.NOT_MET else "warning"


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def _uri(path: Path, root: Path) -> str:
    return quote(path.relative_to(root).as_posix()) if path.is_relative_to(root) else path.as_uri()


def _written(content: Any) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False)


def _data(text: str) -> str:
    """As the runner wants a message: no line break and no percent sign of its own."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """As it wants a property."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _cell(text: str) -> str:
    """As a table in Markdown wants it: one line, and nothing in it is markup."""
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    for letter in "\\`*_|[]":
        plain = plain.replace(letter, f"\\{letter}")
    return plain
