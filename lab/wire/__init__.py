"""Wire formats: one module each, which writes the events and reads them back.

What belongs here is bytes to events and events to bytes, and nothing that waits, connects or judges.
Below stand only the two framings (server-sent events, lines of JSON) and the tokens' own text. A new format
is a module with a `FORMAT`; it is found by walking the package.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from urllib.parse import urlsplit

from ..errors import BadInput
from .format import WireFormat


def _discover() -> dict[str, WireFormat]:
    modules = (importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__))
    formats: list[WireFormat] = [module.FORMAT for module in modules if hasattr(module, "FORMAT")]
    return {found.name: found for found in formats}


FORMATS: Mapping[str, WireFormat] = _discover()


def format_named(name: str) -> WireFormat:
    """The wire format of that name; `BadInput` names those that there are."""
    try:
        return FORMATS[name]
    except KeyError:
        raise BadInput(f"unknown wire format {name!r}", f"Known: {', '.join(sorted(FORMATS))}.") from None


def format_for_url(url: str) -> WireFormat | None:
    """The wire format that an endpoint's path points to; None where it points to none.

    The path is a guess: `/api/chat`, Ollama's, is also a common name for an application's own endpoint.
    """
    try:
        path = urlsplit(url).path.rstrip("/")
    except ValueError:
        return None
    found = [wire for wire in FORMATS.values() if path.endswith(wire.url_end)]
    return max(found, key=lambda wire: len(wire.url_end), default=None)
