"""Apache httpd: ends a reply after 60 s of silence where nothing is set (`Timeout`), after 300 s as Debian ships it.

Each stream takes a worker thread from its first byte to its last, so `MaxRequestWorkers` is how many there can be at
once: 150 as Debian ships it. What comes beyond waits in silence until one of them is over.

The configurations serve Debian's `apache2` and the official image's `httpd`: they load each module from the folder that
is there. Each process needs a folder of its own for its pid file and its locks; the directives on the command line name
it.
"""

from __future__ import annotations

import re

from lab.products._product import VERSION, Complaint, DebianPackage, Product, Remedy, Signs, Version, header
from lab.products.apache.adapt import adapt
from lab.products.apache.settings import LEVERS
from lab.vocabulary import Trouble

_LOOKUP = '"$(command -v apache2 || command -v httpd)"'


def _at_home(text: str, _: str) -> str:
    # A tier of its own has an address of its own: see `lab.products.apache.replaced`.
    tiers = sorted(set(re.findall(r"<VirtualHost (127\.0\.0\.\d+):\$\{PORT\}>", text)))
    listens = "".join(f"\nListen {each}:${{PORT}}" for each in tiers)
    return re.sub(r"(?m)^(\s*Listen\s+)\$\{PORT\}", rf"\g<1>127.0.0.1:${{PORT}}{listens}", text)


def _serve(path: str) -> list[str]:
    # A folder that no other configuration of the same container uses.
    own = "/tmp/apache-" + re.sub(r"[^A-Za-z0-9]+", "-", path).strip("-")  # noqa: S108  # inside the container
    given = [f"PidFile {own}/pid", f"DefaultRuntimeDir {own}", "ServerName lab"]
    # Debian's program is called apache2, the official image's httpd.
    start = f'mkdir -p {own} && exec {_LOOKUP} "$@"'
    before = [word for line in given for word in ("-C", line)]
    return ["sh", "-c", start, "sh", "-f", path, *before, "-DFOREGROUND"]


_REFUSALS = (
    Complaint(
        re.compile("bad (?:user|group) name"),
        "There is no such user or group where it runs: write `User nobody` and `Group nogroup`, which the lab's images "
        "know.",
    ),
    Complaint(
        re.compile("Invalid command|No MPM loaded"),
        "It loads modules, and not the one that has this: load it with `LoadModule`, as "
        "scenarios/recommended/apache/broken.conf does; `lab verify` does so for a file that loads none.",
    ),
)
"""Words of Apache httpd 2.4; of a faulty line it names file and number itself."""

PRODUCT = Product(
    name="apache",
    title="Apache httpd",
    suffix=".conf",
    versions=(
        Version("2.4.68", "httpd:2.4.68", DebianPackage("bookworm", "apache2")),
        Version("2.4.71", "httpd:2.4.71", DebianPackage("trixie", "apache2")),
    ),
    command=_serve,
    reload='kill -USR1 "$1"',
    version_command=("sh", "-c", f"{_LOOKUP} -v"),
    programs=("apache2", "httpd"),
    lookup=_LOOKUP,
    at_home=_at_home,
    version_pattern=r"Apache/(\d+\.\d+\.\d+)",
    signs=Signs(
        headers=(header("server", rf"^apache{VERSION}"),),
        pages=(re.compile(r"<address>Apache(?:/([\w.]+))?"),),
    ),
    complaints=_REFUSALS,
    remedy=Remedy(
        "recommended.conf",
        {Trouble.TIMEOUT: ("ProxyTimeout",)},
        dict.fromkeys(
            (Trouble.HOLDING, Trouble.COMPRESSION),
            "its proxy hands tokens on as they come, and so does `mod_deflate` (tested, from "
            "scenarios/compression/apache): look at other filters on this route, and leave text/event-stream out of "
            "their `AddOutputFilterByType`.",
        ),
    ),
    adapt=adapt,
    levers=LEVERS,
    # For `User` and `Group`, which distributions write into its configuration.
    capabilities=("SETGID", "SETUID"),
    # All workers of Debian's configuration, and what each of its processes has beside them.
    threads=200,
)
