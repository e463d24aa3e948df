"""What is fetched from elsewhere, held to its contents: digests of images, hashes of packages.

The files of `pins` are written by `tools/renew_pins.py` and never by hand; a changed file is another image.
"""

from __future__ import annotations

import json
from pathlib import Path

FOLDER = Path(__file__).with_name("pins")
IMAGES = FOLDER / "images.json"


def digest_of(reference: str) -> str | None:
    """The digest of an official image, such as `sha256:41b1…`; None where none is known yet.

    A product whose image has no line is pulled by its tag, so that adding one needs no line here.
    """
    digest: str | None = json.loads(IMAGES.read_text()).get(reference)
    return digest


def lock(name: str) -> str:
    """The text of a lock: requirements for pip, each with its version and the hashes of its files."""
    return FOLDER.joinpath(f"{name}.txt").read_text()


def names(lock: str) -> tuple[str, ...]:
    """What a lock holds, as in `aiohttp==3.14.5`."""
    return tuple(line.split()[0] for line in lock.splitlines() if "==" in line)
