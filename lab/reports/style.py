"""The style sheets that the lab's pages share, so that all of them look alike; and a page's own script."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from markupsafe import Markup

PALETTE = files("lab.reports") / "templates" / "palette.css"
"""Colours and type, light and dark."""


def page_style(*further: tuple[str, str]) -> Markup:
    """What stands in a page's style element: palette, report, and further sheets as (package, file name)."""
    sheets = (
        PALETTE,
        *(files(package) / "templates" / name for package, name in (("lab.reports", "report.css"), *further)),
    )
    return Markup("\n".join(sheet.read_text(encoding="utf-8") for sheet in sheets))  # noqa: S704 - parts of the lab


def page_script(package: str, *names: str) -> tuple[Markup, str]:
    """Scripts of the lab's own as one, and what a content security policy calls it: the digest of its exact text."""
    text = "\n".join((files(package) / "templates" / name).read_text(encoding="utf-8") for name in names)
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Markup(text), digest  # noqa: S704 - part of the lab
