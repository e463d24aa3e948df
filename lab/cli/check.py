"""`lab check`: what a file of the user's is known to break, told from its text. It imports little, to be quick."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from lab.cli.formatted import TEXT, format_called, hand_on
from lab.cli.terminal import here, print_line
from lab.errors import BadInput, ExitCode
from lab.products import PRODUCTS, Product
from lab.products.adapted import Entrance, EntranceWish, Needs, Remark
from lab.suite.settle import Waits
from lab.verify.formats import read

COMMON = 60.0
"""Seconds that `lab check` takes for a wait of which nobody says how long it is."""


def check_and_report(
    product: str, file: Path, wish: EntranceWish, waits: Waits, version: str, format_name: str, out: Console
) -> ExitCode:
    """Read a file and print what in it breaks a stream; returns the exit code. Nothing is run.

    Args:
        product: whose file it is.
        file: the file or folder.
        wish: which entrances are meant.
        waits: how long answers take.
        version: of the product; empty for the newest.
        format_name: `text`, or one of `lab.verify.formats.FORMATS` but JUnit.
        out: where to print.

    Raises:
        BadInput: an option, or the file.
    """
    whose = PRODUCTS.get(product)
    if whose is None or whose.check is None:
        able = ", ".join(each.name for each in PRODUCTS.values() if each.check is not None)
        raise BadInput(f"lab check cannot read files of {product} yet.", f"It reads those of: {able}.")
    version = version or whose.versions[-1].number
    if not re.fullmatch(r"\d+(\.\d+)*", version):
        raise BadInput(f"--version {version}: there is no such version.", "Write it like 1.26 or 1.26.3.")
    # Without what is met a suite of JUnit would have no case where all is well.
    wanted = format_called(format_name, without=["junit"])
    needs = Needs(waits.longest or COMMON, waits.first_token or COMMON, waits.gap or COMMON)
    found = list(whose.check(file, wish, version, needs))
    if wanted == TEXT:
        _show(found, whose, version, out)
    else:
        hand_on(read(found), wanted, out)
    return ExitCode.REQUIREMENT_FAILED if found else ExitCode.AS_REQUIRED


def _show(found: Sequence[Remark], product: Product, version: str, out: Console) -> None:
    # One directive may break several requirements.
    groups: dict[tuple[Entrance, str, str], list[Remark]] = {}
    for each in found:
        groups.setdefault((each.entrance, each.why, each.fix), []).append(each)
    for (entrance, why, fix), remarks in groups.items():
        spot = remarks[0].spot
        place, stands = spot or entrance.spot, spot.text if spot else f"{entrance.name} has the default"
        print_line(out, here(f"{place.file}:{place.line}: {stands}: {why}"), "bold")
        print_line(out, f"    mended by `{fix}`; not met without it:")
        for each in remarks:
            print_line(out, f"      {each.requirement} (lab show {each.scenario})")
    if not found:
        print_line(out, f"Nothing in it is known to break a stream of {product.title} {version}; lab verify runs it.")
