"""What to change, for a problem and the products that were recognised.

The lines are read from the configurations that the lab ships and tests: nginx's snippet, and the recommended
configurations of HAProxy and Envoy. There is no second copy of them here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from lab.audit.hops import Product
from lab.shipped import shipped


class Trouble(StrEnum):
    """What kind of thing is wrong, as far as a remedy is concerned."""

    HOLDING = "holding"
    CLOCK = "clock"
    HIDDEN_CUT = "hidden-cut"


@dataclass(frozen=True)
class _Source:
    """Where a product's tested lines stand, and by which words they begin."""

    folder: str
    file: str
    begins: Mapping[Trouble, tuple[str, ...]]


_NGINX = _Source(
    "nginx",
    "streaming.conf",
    {
        Trouble.HOLDING: ("proxy_http_version", "proxy_buffering", "gzip"),
        Trouble.CLOCK: ("proxy_read_timeout",),
        Trouble.HIDDEN_CUT: ("proxy_http_version", "proxy_buffering"),
    },
)
_HAPROXY = _Source(
    "scenarios",
    "recommended/haproxy/fixed.cfg",
    {
        Trouble.HOLDING: ("option http-no-delay",),
        Trouble.CLOCK: ("timeout client", "timeout server"),
        Trouble.HIDDEN_CUT: (),
    },
)
_ENVOY = _Source(
    "scenarios",
    "recommended/envoy/fixed.yaml",
    {Trouble.HOLDING: (), Trouble.CLOCK: ("timeout:", "idle_timeout:"), Trouble.HIDDEN_CUT: ()},
)

_SOURCES: Mapping[Product, _Source] = {
    Product.NGINX: _NGINX,
    Product.OPENRESTY: _NGINX,
    Product.HAPROXY: _HAPROXY,
    Product.ENVOY: _ENVOY,
    Product.ISTIO: _ENVOY,
}

_GENERAL: Mapping[Trouble, str] = {
    Trouble.HOLDING: (
        "Turn response buffering and compression off for this route on every hop; audit the hops one by one "
        "with --hop NAME=URL to find the one that holds."
    ),
    Trouble.CLOCK: (
        "Raise every time-out on this route above the longest answer and the longest silence, or send heartbeats "
        "where an idle time-out cannot be raised; --hop NAME=URL finds the hop."
    ),
    Trouble.HIDDEN_CUT: (
        "Have every hop ask the next with HTTP/1.1 or HTTP/2 and the model server send chunks, so that a cut shows; "
        "until then treat an answer without its terminal marker as partial."
    ),
}


def remedy_for(trouble: Trouble, products: Sequence[Product]) -> str:
    """What to change, with the tested lines of each recognised product that has any."""
    quoted = [text for product in dict.fromkeys(products) if (text := _quote(trouble, product))]
    return " ".join(quoted) or _GENERAL[trouble]


def _quote(trouble: Trouble, product: Product) -> str:
    source = _SOURCES.get(product)
    if source is None:
        return ""
    found = tested_lines(source.folder, source.file, source.begins[trouble])
    if not found:
        return ""
    return f"{product}: {' '.join(f'`{line}`' for line in found)} (tested, from {source.folder}/{source.file})."


@cache
def tested_lines(folder: str, file: str, begins: tuple[str, ...]) -> tuple[str, ...]:
    """The lines of a shipped file that begin so, in its order; empty where nothing is looked for."""
    path: Path = shipped(folder) / file
    lines = (line.strip() for line in path.read_text("utf-8").splitlines())
    return tuple(line for line in lines if begins and line.startswith(begins))
