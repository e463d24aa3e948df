"""What `lab verify` and `lab fix` print: short, and what is not met first."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console

from lab.cli.terminal import here, print_line
from lab.judge import Observation
from lab.judge.requirements import IN_WORDS
from lab.products.adapted import Entrance, Mending, Spot
from lab.verify.rounds import UserFile
from lab.verify.search import BY_CHANCE, Verified
from lab.vocabulary import State

_WIDEST = 3
"""Settings that are named for one requirement, of those that mend it."""

_NOTHING_CAME = "  Nothing came through: --path says what clients ask for, --host whom, --header what they send."

_SHORT = 60
"""Characters of what an exchange showed, up to which a second one is quoted too."""

_QUOTED = re.compile(r"; (?=[a-z][a-z0-9-]*: )")
_SAYS_NOTHING = re.compile(r"(, complete(?=:))|(; reason '\w+' and terminal marker)")


def brief(evidence: str) -> str:
    """Evidence in one line: the first exchange that shows it, and which other does too."""
    first, *others = _QUOTED.split(_SAYS_NOTHING.sub("", evidence))
    return "; ".join([first, *(each if len(each) <= _SHORT else f"{each.partition(':')[0]} too" for each in others)])


def show(subject: UserFile, each: Verified, out: Console) -> None:
    """What was found of one entrance."""
    out.print()
    print_line(out, here(f"{_place(each.entrance)}, {subject.proxy.id}, asked at {_asked(each.entrance)}"), "bold")
    if not _met(each):
        _show_nothing(each, out)
        return
    _show_failed(each, out)
    _show_alike(each.untold, out)
    _show_unmeetable(each, out)
    met = [f"{one.requirement}{f' up to {one.up_to:g} s' if one.up_to else ''}" for one in _met(each)]
    print_line(out, f"  {IN_WORDS[State.MET]}: {', '.join(met)}", "green")
    if each.failed and not each.only_by_chance and subject.adapter.tunable:
        print_line(out, "  `lab fix`, with the same options, looks for the fewest lines that mend it.")


def _show_nothing(each: Verified, out: Console) -> None:
    """That nothing is met, which says nothing about any one requirement; with the first thing that was seen."""
    print_line(out, _NOTHING_CAME, "bold red")
    for one in [*each.failed, *each.untold][:1]:
        print_line(out, f"  {brief(one.evidence)}")


def _show_failed(each: Verified, out: Console) -> None:
    before: Sequence[Mending] | None = None
    if not each.tried:
        _show_alike(each.failed, out)
        return
    for one in each.failed:
        _show_alike([one], out)
        causes = each.causes.get(one.requirement, ())
        if causes and causes == before:
            print_line(out, "      mended by the same")
        elif causes:
            for cause in causes[:_WIDEST]:
                print_line(out, here(f"      {cause} it is met; now {_stands(cause, each.entrance)}"))
        elif one.requirement in each.chance:
            print_line(out, f"      {BY_CHANCE}")
        else:
            print_line(out, f"      no change alone mends it, of {len(each.tried)} that were tried")
        before = causes


def _show_unmeetable(each: Verified, out: Console) -> None:
    """What no file of the product meets: told, and not counted."""
    for one in each.unmeetable:
        words = (
            f"{one.requirement}: {brief(one.evidence)} (met by no file of this product: {each.known[one.requirement]})"
        )
        print_line(out, f"  {IN_WORDS[one.state]}: {words}", "yellow")


_STYLES = {State.NOT_MET: "bold red", State.INCONCLUSIVE: "yellow"}


def _show_alike(observations: Iterable[Observation], out: Console) -> None:
    """One line for all that has the same state and evidence."""
    alike: dict[tuple[State, str], list[str]] = {}
    for one in observations:
        alike.setdefault((one.state, brief(one.evidence)), []).append(one.requirement)
    for (state, evidence), names in alike.items():
        print_line(out, f"  {IN_WORDS[state]}: {', '.join(names)}: {evidence}", _STYLES.get(state))


def _met(each: Verified) -> list[Observation]:
    return [one for one in each.observations.values() if one.met]


def _place(entrance: Entrance) -> str:
    return f"{entrance.name} ({entrance.spot.file}:{entrance.spot.line})"


def _asked(entrance: Entrance) -> str:
    return f"{'https' if entrance.secure else 'http'}://{entrance.host or '...'}{entrance.path}"


def _stands(cause: Mending, entrance: Entrance) -> str:
    if cause.spot is not None:
        return str(cause.spot)
    return f"the default, which {entrance.spot.file}:{entrance.spot.line} does not override"


def show_replaced(subject: UserFile, found: Sequence[Verified], out: Console) -> None:
    """What was not asked, and what the copies have otherwise, each thing once."""
    out.print()
    for spot in subject.adapter.passed_over:
        print_line(out, here(f"Not asked, since no model's clients ask there (--path does): {spot}"))
    chance = subject.proxy.product.chance
    if chance is not None and any(chance.setting in one.now for each in found for one in each.replaced):
        print_line(out, f"Not shown by any run: {chance.says}", "yellow")
    replaced = list(dict.fromkeys(str(one) for each in found for one in each.replaced))
    if not replaced:
        return
    print_line(out, f"What was run is a copy, with {len(replaced)} thing{'s' if len(replaced) > 1 else ''} otherwise:")
    for one in replaced:
        print_line(out, here(f"  {one}"))


def show_fix(each: Verified, out: Console) -> None:
    """What mends one entrance, or that nothing does."""
    name = here(_place(each.entrance))
    if not each.failed:
        print_line(out, f"{name}: nothing to mend.")
        _show_alike(each.untold, out)
    elif each.whole:
        print_line(out, f"{name}: mended, as was seen when it ran so.", "bold")
        for change in each.fix:
            causes = [which for which, found in each.causes.items() if any(one.change == change for one in found)]
            words = here(f"without {change}") if isinstance(change, Spot) else change
            print_line(out, f"  {words}  {', '.join(causes) or 'needed with the others'}")
    elif each.only_by_chance:
        print_line(out, f"{name}: nothing to mend in this file.", "bold red")
    else:
        print_line(out, f"{name}: no fix found in this file.", "bold red")
        if not _met(each):
            _show_nothing(each, out)
        else:
            _show_alike([one for one in each.failed if one.requirement not in each.chance], out)
            settings = [change for change in each.tried if isinstance(change, str)]
            print_line(out, f"  Tried, each alone and all together: {' '.join(settings)}")
            if len(each.tried) > len(settings):
                print_line(out, f"  Left out, each alone: {len(each.tried) - len(settings)} lines of the file.")
            print_line(out, "  Outside of this file: heartbeats of the model server, or chunked replies, may help.")
    by_chance = [one for one in each.failed if one.requirement in each.chance]
    if by_chance:
        _show_alike(by_chance, out)
        print_line(out, f"  {BY_CHANCE[0].upper()}{BY_CHANCE[1:]}.")
    _show_unmeetable(each, out)


def show_difference(path: Path, before: str, after: str, out: Console) -> None:
    """A unified difference, as `patch` reads it."""
    name = here(str(path))
    for line in difflib.unified_diff(before.splitlines(True), after.splitlines(True), name, name):
        print_line(out, line.rstrip("\r\n"))
