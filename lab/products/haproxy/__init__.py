"""HAProxy: two versions with long-term support whose defaults hold each token for a moment.

With a master process (`-W`), as its packages and the official image start it: without one nothing can be reloaded.
"""

from __future__ import annotations

import re

from lab.products._product import Complaint, DebianPackage, Product, Remedy, Signs, Version
from lab.products.haproxy.adapt import adapt
from lab.vocabulary import Trouble

# Its worker answers some milliseconds before its master heeds the signal: until it has started itself anew it ignores
# it, and a reload is lost without a word. Linux tells what a process catches; bit 11 is this signal.
_HEEDS = 'grep -Eq "^SigCgt:[[:space:]]+[0-9a-f]*[89a-f][0-9a-f]{2}$" "/proc/$1/status"'
_RELOAD = (
    f'left=1000; while [ -e "/proc/$1/status" ] && ! {_HEEDS}; do left=$((left - 1)); '
    '[ "$left" -gt 0 ] || { echo "its master does not heed SIGUSR2"; exit 1; }; sleep 0.01; done; '
    'kill -USR2 "$1"'
)


def _serve(path: str) -> list[str]:
    return ["haproxy", "-W", "-db", "-f", path]


def _at_home(text: str, _: str) -> str:
    return re.sub(r"\bbind(\s+)\*?:\$\{PORT\}", r"bind\g<1>127.0.0.1:${PORT}", text)


_REFUSALS = (
    Complaint(
        re.compile("cannot find (?:user|group) id"),
        "There is no such user or group where it runs: take that line out, or name haproxy, which the lab's "
        "images know.",
    ),
    Complaint(
        re.compile("could not resolve address"),
        "Your other hosts are not there: write ${MODEL} for the model server, and leave out what else is named.",
    ),
)
"""Words of HAProxy 3.0 and 3.2; it names file and line itself."""

PRODUCT = Product(
    name="haproxy",
    title="HAProxy",
    suffix=".cfg",
    versions=(
        Version("3.0", "haproxy:3.0.11", DebianPackage("trixie", "haproxy")),
        Version("3.2", "haproxy:3.2.26", DebianPackage("sid", "haproxy")),
    ),
    command=_serve,
    version_command=("haproxy", "-v"),
    version_pattern=r"HAProxy version (\d+\.\d+\.\d+)",
    # It adds no header: only its own error pages show it.
    signs=Signs(pages=(re.compile(r"\A<html><body><h1>\d{3} [^<]+</h1>\s"),)),
    complaints=_REFUSALS,
    remedy=Remedy(
        "recommended.cfg",
        {
            Trouble.HOLDING: ("option http-no-delay",),
            Trouble.COMPRESSION: ("option http-no-delay",),
            Trouble.TIMEOUT: ("timeout client", "timeout server"),
            Trouble.GOES_ON: ("option abortonclose",),
        },
    ),
    # It holds for 200 ms, and then waits for the token that begins the next burst.
    hold=(0.19, 0.28),
    # For `user`, `group` and `chroot`, which distributions write into its configuration; its master signals workers
    # that serve as another user.
    capabilities=("KILL", "SETGID", "SETUID", "SYS_CHROOT"),
    writable=("/var/lib/haproxy",),
    at_home=_at_home,
    reload=_RELOAD,
    adapt=adapt,
    levers=(
        "no option http-buffer-request",
        "retry-on conn-failure",
        "retries 0",
        "http-request set-timeout server 600s",
    ),
)
