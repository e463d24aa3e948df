"""`lab prove`: what each line of a configuration is for, printed and saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from lab.cli.out import writing_to
from lab.cli.shell import run_until_stopped
from lab.cli.terminal import print_line
from lab.cli.verified import brief
from lab.cli.verify import VerifyOptions, user_files
from lab.errors import BadInput
from lab.products import PRODUCTS, resolve
from lab.products.adapted import Adapter
from lab.saved import write_saved
from lab.testbed.engine import Say
from lab.verify.proofs import NOTHING, words_of
from lab.verify.prove import FORMAT, FileProof, LineEffect, Proofs, prove
from lab.verify.template import template


def prove_and_report(
    options: VerifyOptions,
    files: Sequence[Path],
    added: Sequence[str],
    save: Path | None,
    *,
    out: Console,
    say: Say,
) -> None:
    """Prove the lines of some files, and print what was found.

    Args:
        options: how; the file is one of `files` at a time.
        files: none for the configuration that the lab recommends for the product.
        added: lines to add in place of leaving out each.
        save: where the result is written.
        out: where to print.
        say: takes a line of progress.

    Raises:
        BadInput: an option, or a file.
        SetUpFault: the product refuses a file.
        EnvironmentFault: the machine lacks what it needs, or the result cannot be written.
    """
    found = []
    for file in files or [resolve(options.product)[0].product.recommended]:
        supply, versions = user_files(replace(options, file=file), say)
        if not added and not versions[0].adapter.lines(versions[0].adapter.entrances[0]):
            versions = [replace(each, adapter=_run_as_it_is(file, options)) for each in versions]
        found.append(run_until_stopped(prove(versions, options.waits, supply, say, added=added)))
    proven = Proofs(tuple(found))
    if save is not None:
        with writing_to(save.parent):
            write_saved(save, FORMAT, proven)
    print_proven(proven, out)


def _run_as_it_is(file: Path, options: VerifyOptions) -> Adapter:
    """For a file none of whose lines can be left out otherwise.

    Raises:
        BadInput: it has not the lab's names.
    """
    try:
        return template(file, options.wish)
    except BadInput as error:
        raise BadInput(
            f"{file}: it has no line that can be left out by itself.",
            "Try lines with --add. Those of Envoy and Caddy are left out of a file with ${PORT} where it listens "
            "and ${MODEL} for the model.",
        ) from error


def print_proven(proven: Proofs, out: Console) -> None:
    """What each line does, with what was seen."""
    for proof in proven.files:
        _print_file(proof, out)


def _print_file(proof: FileProof, out: Console) -> None:
    out.print()
    print_line(out, f"{proof.file}, {PRODUCTS[proof.product].title} {', '.join(proof.unmet)}", "bold")
    for version, unmet in proof.unmet.items():
        for requirement, evidence in unmet.items():
            print_line(out, f"  as it is, {version}: not met: {requirement}: {brief(evidence)}", "yellow")
    for line in proof.lines:
        print_line(out, f"  {'with' if proof.added else f'{line.file}:{line.number}: without'} {line.line}", "bold")
        for version, effect in line.effects.items():
            _print_effect(version, effect, out)


def _print_effect(version: str, effect: LineEffect, out: Console) -> None:
    if effect.refused or effect.deaf:
        print_line(out, f"    {version}: {words_of(effect)}", "bold red")
        return
    for words, style, found in (
        ("broken", "bold red", effect.broken),
        ("mended", "green", effect.mended),
        ("cannot tell", "yellow", effect.untold),
    ):
        for requirement, evidence in found.items():
            print_line(out, f"    {version}: {words}: {requirement}: {brief(evidence)}", style)
    if not (effect.broken or effect.mended or effect.untold):
        print_line(out, f"    {version}: {NOTHING}")
