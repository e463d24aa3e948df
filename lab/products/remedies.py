"""The tested lines that mend a product, read from the files that the lab ships: there is no second copy of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from math import ceil
from pathlib import Path

from lab.products import PRODUCTS, Product
from lab.shipped import shipped
from lab.vocabulary import Requirement, Trouble

TROUBLES: Mapping[Requirement, Trouble] = {
    Requirement.DELIVERS_TOKENS_AS_THEY_COME: Trouble.HOLDING,
    Requirement.WAITS_FOR_THE_FIRST_TOKEN: Trouble.TIMEOUT,
    Requirement.SURVIVES_SILENCE: Trouble.TIMEOUT,
    Requirement.LETS_LONG_ANSWERS_FINISH: Trouble.TIMEOUT,
    Requirement.WAITS_FOR_BATCH_REPLIES: Trouble.TIMEOUT,
    Requirement.SHOWS_A_CUT_AS_A_CUT: Trouble.HIDDEN_CUT,
    Requirement.DELIVERS_WHAT_WAS_SENT: Trouble.HOLDING,
    Requirement.MOVES_THE_FIRST_TOKEN_FORWARD: Trouble.HOLDING,
    Requirement.SENDS_HEADERS_AT_ONCE: Trouble.HOLDING,
    Requirement.PASSES_HEARTBEATS_ON: Trouble.HOLDING,
    Requirement.STOPS_WHEN_THE_CLIENT_LEAVES: Trouble.GOES_ON,
}
"""What is wrong where a requirement is not met, as far as tested lines can mend it."""


def verified_remedy(title: str, trouble: Trouble, present: str = "") -> str:
    """The lines for a product, or for one that was made from it, with their file; empty where there are none.

    Args:
        title: the product's.
        trouble: what the lines mend.
        present: a configuration that has the trouble; lines that it has already are no remedy.
    """
    product = next((each for each in PRODUCTS.values() if title in (each.title, *each.forks)), None)
    if product is None or product.remedy is None:
        return ""
    place = Path(product.snippets.folder) if product.snippets else Path("lab", "products", product.name)
    folder = shipped(product.snippets.folder) if product.snippets else product.folder
    had = {line.strip() for line in present.splitlines()}
    lines = tested_lines(folder / product.remedy.file, product.remedy.begins.get(trouble, ()))
    found = [line for line in lines if line not in had]
    if not found:
        advice = product.remedy.advice.get(trouble, "")
        return f"{title}: {advice}" if advice else ""
    return f"{title}: {' '.join(f'`{line}`' for line in found)} (tested, from {place / product.remedy.file})."


def settings_of(product: Product, longest: float) -> tuple[str, ...]:
    """Lines that may mend a configuration of a product's: all that are tested, and its other levers.

    Args:
        product: whose.
        longest: the longest wait that is wanted, in seconds; a timeout that is shorter is made longer.
    """
    tested: tuple[str, ...] = ()
    if product.remedy is not None:
        folder = shipped(product.snippets.folder) if product.snippets else product.folder
        begins = tuple(dict.fromkeys(word for words in product.remedy.begins.values() for word in words))
        tested = tested_lines(folder / product.remedy.file, begins)
    enough = str(max(_TESTED_TIMEOUT, ceil(1.2 * longest)))

    def lasting(found: re.Match[str]) -> str:
        return enough if found[0] == str(_TESTED_TIMEOUT) else f"{enough}s"

    return tuple(_TESTED.sub(lasting, line) for line in (*tested, *product.levers))


_TESTED_TIMEOUT = 600
"""Seconds, in the tested lines."""

_TESTED = re.compile(r"\b(?:600s?|10m)\b")
"""The same, as products' languages have it: Apache's has no unit."""


@cache
def tested_lines(file: Path, begins: tuple[str, ...]) -> tuple[str, ...]:
    """The lines of a shipped file that begin so, in its order; empty where nothing is looked for."""
    lines = (line.strip() for line in file.read_text("utf-8").splitlines())
    return tuple(line for line in lines if begins and line.startswith(begins))
