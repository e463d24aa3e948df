"""What renders the lab's pages: whatever a template shows is escaped and printable, whoever wrote it.

Neither is left to the templates, so that none can forget it. Only `Markup`, which is the lab's own, goes through as
it is.
"""

from __future__ import annotations

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lab.printable import printable_text


def page_environment(*packages: str) -> Environment:
    """An environment for the templates of these packages, the first one's before the others'."""
    return Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in packages]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=_shown,
    )


def _shown(value: object) -> object:
    return printable_text(value) if isinstance(value, str) and not isinstance(value, Markup) else value
