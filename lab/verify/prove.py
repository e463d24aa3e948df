"""What each line of a configuration is for: the file without it, or with one line more, and what changes by that.

A loop over copies of the file, as `lab.verify.search` is, at each version of the product. A line that nothing needs
alone may be the second guard of something: what is told is what was seen, under the waits that were made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from lab.errors import BadInput
from lab.judge import Observations
from lab.measure.many import together
from lab.products.adapted import Spot
from lab.saved import Format
from lab.suite.settle import Waits
from lab.testbed.engine import Say
from lab.testbed.supply import Supply
from lab.verify.migrate import ChangeKind, changes
from lab.verify.rounds import MOST_LINES, Copies, Copy, UserFile, failing
from lab.verify.search import exchanges_for
from lab.vocabulary import Requirement, Saved, State

Evidence = Mapping[Requirement, str]
"""What was seen of each of some requirements."""


@dataclass(frozen=True)
class LineEffect:
    """What one line does at one version.

    Args:
        broken: what is not met by leaving it out, or by adding it.
        mended: what is met by that.
        untold: what could not be told of either.
        refused: the product does not start so.
        deaf: it does, and nothing comes through any more.
    """

    broken: Evidence
    mended: Evidence
    untold: Evidence
    refused: bool = False
    deaf: bool = False


@dataclass(frozen=True)
class LineProof:
    """One line that was left out or added.

    Args:
        line: what stands there.
        file: where it stands, as seen from the working directory; empty for one that was added.
        number: of the line in that file; 0 for one that was added.
        effects: by version.
    """

    line: str
    file: str
    number: int
    effects: Mapping[str, LineEffect]


@dataclass(frozen=True)
class FileProof:
    """One configuration and its lines.

    Args:
        product: by name.
        file: as seen from the working directory.
        added: whether lines were added to it; else its own were left out.
        unmet: what it does not meet as it is, by version.
        lines: in the order of the file, or as they were given.
    """

    product: str
    file: str
    added: bool
    unmet: Mapping[str, Evidence]
    lines: tuple[LineProof, ...]


@dataclass(frozen=True)
class Proofs:
    """What `lab prove` saves.

    Args:
        files: the configurations, in the order in which they were given.
    """

    files: tuple[FileProof, ...]


FORMAT: Format[Proofs] = Format(Saved.PROOF, 1, TypeAdapter(Proofs))


async def prove(
    versions: Sequence[UserFile], waits: Waits, supply: Supply, say: Say, *, added: Sequence[str] = ()
) -> FileProof:
    """Leave out each line of a file, or add each of some, and see what changes at its first entrance.

    Args:
        versions: the same file, once for each version of the product.
        waits: how long to wait at least.
        supply: where runners come from.
        say: takes a line of progress.
        added: lines to add, one at a time; none to leave out each of its own.

    Raises:
        BadInput: it has too many lines.
        SetUpFault: the product refuses the file as it is.
        EnvironmentFault: the machine lacks what it needs.
    """
    wanted = [_copies(file, added) for file in versions]
    first = versions[0]
    say(f"{from_here(first.path)} {'with' if added else 'without'} each of {len(wanted[0])} lines")
    observed = await together(
        [_observe(file, [*copies.values()], waits, supply, say) for file, copies in zip(versions, wanted, strict=True)]
    )
    unmet: dict[str, Evidence] = {}
    effects: dict[tuple[str, Spot | None], dict[str, LineEffect]] = {}
    for file, copies, (plain, found) in zip(versions, wanted, observed, strict=True):
        version = file.proxy.version.number
        unmet[version] = {each.requirement: each.evidence for each in failing(plain)}
        for key, copy in copies.items():
            effects.setdefault(key, {})[version] = effect_of(plain, found.get(copy))
    lines = tuple(
        LineProof(line, from_here(spot.file) if spot else "", spot.line if spot else 0, by_version)
        for (line, spot), by_version in effects.items()
    )
    return FileProof(first.proxy.product.name, from_here(first.path), bool(added), unmet, lines)


def _copies(file: UserFile, added: Sequence[str]) -> dict[tuple[str, Spot | None], Copy]:
    """The copies that differ from the file by one line, by that line and where it stands."""
    entrance = file.adapter.entrances[0]
    if added:
        if not file.adapter.tunable:
            raise BadInput(f"{file.path}: no line can be added to files of that product.", "Leave out --add.")
        return {(line, None): Copy(entrance, (line,)) for line in added}
    spots = file.adapter.lines(entrance)
    if len(spots) > MOST_LINES:
        raise BadInput(f"{file.path} has {len(spots)} lines; {MOST_LINES} can be tried.", "Give a part of it.")
    return {(spot.text, spot): Copy(entrance, without=(spot,)) for spot in spots}


async def _observe(
    file: UserFile, copies: Sequence[Copy], waits: Waits, supply: Supply, say: Say
) -> tuple[Observations, Mapping[Copy, Observations]]:
    """What is observed of the file as it is, and of each copy that its product does not refuse.

    What changes by a line is looked at once more, and only what is seen both times is told: the machine or the product
    may have been slow at that moment. The same holds for what the file itself does not meet.
    """
    plain = Copy(file.adapter.entrances[0])
    exchanges = exchanges_for(waits, plain.entrance)
    async with Copies(file, supply, say) as at_hand:
        observed = await at_hand.observe_many(dict.fromkeys([plain, *copies], exchanges))
        before = observed[plain]
        changed = [copy for copy in copies if copy in observed and [*changes(before, observed[copy])]]
        say(f"{file.proxy.id}: {len(changed)} of {len(copies)} change something, and are looked at once more")
        twice = changed if all(each.met for each in before.values()) else [plain, *changed]
        again = await at_hand.observe_many(dict.fromkeys(twice, exchanges))
    before = {each: found if found.met else again[plain][each] for each, found in before.items()}
    return before, observed | {copy: _seen_twice(before, observed[copy], again[copy]) for copy in changed}


def _seen_twice(before: Observations, first: Observations, second: Observations) -> Observations:
    """The first observations, or those of before where the second time shows no change.

    What cannot be told at one of the two times is not told.
    """
    seen = {}
    for each, found in first.items():
        both = found, second[each]
        unsure = [one for one in both if one.state is State.INCONCLUSIVE]
        same = found.state is second[each].state
        seen[each] = found if same else unsure[0] if unsure else before[each]
    return seen


def effect_of(plain: Observations, observed: Observations | None) -> LineEffect:
    """What differs from the file as it is; None stands for a copy that was refused. Pure."""
    if observed is None or not any(each.met for each in observed.values()):
        return LineEffect({}, {}, {}, refused=observed is None, deaf=observed is not None)
    found: dict[ChangeKind, dict[Requirement, str]] = {kind: {} for kind in ChangeKind}
    for change in changes(plain, observed):
        found[change.kind][change.after.requirement] = change.after.evidence
    return LineEffect(found[ChangeKind.WORSE], found[ChangeKind.BETTER], found[ChangeKind.CANNOT_TELL])


def from_here(path: Path) -> str:
    """A path as one would write it in the working directory."""
    whole = path.absolute()
    return str(whole.relative_to(Path.cwd()) if whole.is_relative_to(Path.cwd()) else whole)
