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
    TIMEOUT = "timeout"
    DEATH = "death"
    """It died, and nothing says whether by a timeout."""
    HIDDEN_CUT = "hidden-cut"
    FAULT = "fault"
    """It died or was refused at once, or with a status that is no timeout's: no setting of a proxy mends that."""


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
        Trouble.TIMEOUT: ("proxy_read_timeout",),
        Trouble.HIDDEN_CUT: ("proxy_http_version", "proxy_buffering"),
    },
)
_HAPROXY = _Source(
    "scenarios",
    "recommended/haproxy/fixed.cfg",
    {
        Trouble.HOLDING: ("option http-no-delay",),
        Trouble.TIMEOUT: ("timeout client", "timeout server"),
        Trouble.HIDDEN_CUT: (),
    },
)
_ENVOY = _Source(
    "scenarios",
    "recommended/envoy/fixed.yaml",
    {Trouble.HOLDING: (), Trouble.TIMEOUT: ("timeout:", "idle_timeout:"), Trouble.HIDDEN_CUT: ()},
)

_SOURCES: Mapping[Product, _Source] = {
    Product.NGINX: _NGINX,
    Product.OPENRESTY: _NGINX,
    Product.HAPROXY: _HAPROXY,
    Product.ENVOY: _ENVOY,
    Product.ISTIO: _ENVOY,
}

_GENERAL: Mapping[Trouble, str] = {
    Trouble.HOLDING: "Turn response buffering and compression off for this route on {where}.",
    Trouble.TIMEOUT: (
        "Raise every timeout on this route above the longest answer and the longest silence on {where}, or send "
        "heartbeats where an idle timeout cannot be raised."
    ),
    Trouble.HIDDEN_CUT: (
        "Have {where} ask the next with HTTP/1.1 or HTTP/2 and the model server send chunks, so that a cut shows; "
        "until then treat an answer without its terminal marker as partial."
    ),
    Trouble.DEATH: (
        "Look into the logs of {where} and of the model server for this moment: one of them closed the connection. "
        "If it is a timeout, raise it above the longest answer and the longest silence."
    ),
    Trouble.FAULT: "It is no timeout's doing: look into the logs of {where} and of the model server for this moment.",
}
_FIND = "Audit the hops one by one with --hop NAME=URL to find the one."


def remedy_for(
    trouble: Trouble,
    products: Sequence[Product],
    *,
    guilty: str = "",
    find: bool = True,
    guess: Product | None = None,
) -> str:
    """What to change, with the tested lines of each recognised product that has any.

    Args:
        trouble: what is wrong.
        products: what the evidence names on that way.
        guilty: the hop that is to blame, where it is known.
        find: whether more hops could be named to find it.
        guess: a product that fits and that nothing names; its lines stand under an "if".
    """
    asked = Trouble.TIMEOUT if trouble is Trouble.DEATH else trouble
    quoted = [text for product in dict.fromkeys(products) if (text := _quote(asked, product))]
    if quoted and trouble is not Trouble.DEATH:
        return " ".join(quoted)
    general = _GENERAL[trouble].format(where=guilty or "every hop")
    hint = _quote(trouble, guess) if guess is not None else ""
    parts = [general, *quoted, f"If it is {hint}" if hint else "", _FIND if find and not guilty else ""]
    return " ".join(part for part in parts if part)


def _quote(trouble: Trouble, product: Product) -> str:
    source = _SOURCES.get(product)
    if source is None:
        return ""
    found = tested_lines(source.folder, source.file, source.begins.get(trouble, ()))
    if not found:
        return ""
    return f"{product}: {' '.join(f'`{line}`' for line in found)} (tested, from {source.folder}/{source.file})."


@cache
def tested_lines(folder: str, file: str, begins: tuple[str, ...]) -> tuple[str, ...]:
    """The lines of a shipped file that begin so, in its order; empty where nothing is looked for."""
    path: Path = shipped(folder) / file
    lines = (line.strip() for line in path.read_text("utf-8").splitlines())
    return tuple(line for line in lines if begins and line.startswith(begins))
