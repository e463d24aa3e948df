"""What `lab prove` found, as a table in Markdown and as words. Pure functions of the saved result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from lab.products import PRODUCTS
from lab.verify.prove import FileProof, LineEffect, LineProof
from lab.vocabulary import Requirement

NOTHING = "nothing"
NO_START = "does not start"
NOT_THROUGH = "nothing comes through"

_ORDER = [*Requirement]


def words_of(effect: LineEffect) -> str:
    """What one line does at one version, by the requirements' ids."""
    if effect.refused or effect.deaf:
        return NO_START if effect.refused else NOT_THROUGH
    parts = [
        f"{before}{', '.join(f'`{each}`' for each in sorted(found, key=_ORDER.index))}"
        for before, found in (("", effect.broken), ("mended: ", effect.mended), ("cannot tell: ", effect.untold))
        if found
    ]
    return "; ".join(parts) or NOTHING


def table(proof: FileProof, lines: Iterable[LineProof] | None = None) -> str:
    """One row a line, one column a version.

    Args:
        proof: of one configuration.
        lines: which of its lines; None for all.
    """
    title = PRODUCTS[proof.product].title
    versions = list(proof.unmet)
    head = ["added" if proof.added else "left out", *(f"{title} {each}" for each in versions)]
    rows = [
        [f"`{each.line}`", *(words_of(each.effects[version]) for version in versions)]
        for each in (proof.lines if lines is None else lines)
    ]
    return in_markdown(head, rows)


def in_markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as Markdown has it."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def summary(effects: Mapping[str, LineEffect]) -> str:
    """What a line does at each version, in one sentence; versions that agree are named together."""
    alike: dict[str, list[str]] = {}
    for version, effect in effects.items():
        alike.setdefault(words_of(effect).replace("`", ""), []).append(version)
    return "; ".join(f"{' and '.join(versions)}: {words}" for words, versions in alike.items())


def together(effects: Sequence[Mapping[str, LineEffect]]) -> Mapping[str, LineEffect]:
    """What a line does in any of several configurations, by version."""
    found: dict[str, LineEffect] = {}
    for each in effects:
        for version, effect in each.items():
            before = found.get(version, LineEffect({}, {}, {}))
            found[version] = LineEffect(
                {**before.broken, **effect.broken},
                {**before.mended, **effect.mended},
                {**before.untold, **effect.untold},
                before.refused or effect.refused,
                before.deaf or effect.deaf,
            )
    return found


def page(files: Iterable[FileProof]) -> str:
    """All of them, each under its name."""
    return "\n".join(f"# {proof.file}\n\n{table(proof)}" for proof in files)
