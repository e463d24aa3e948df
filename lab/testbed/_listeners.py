"""What is listened on in a container, as its kernel tells it, and who has to stand apart for it.

A configuration may listen on more than the lab's port: a page of statistics, an inner server that its outer one
asks. Two of them in one network of their own would fight for it or, where the product shares ports (SO_REUSEPORT),
get each other's traffic, and a verdict would be about another's path. The kernel's own tables are read, since no
reading of configurations would know every way to listen. Pure.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

TABLES = ("/proc/net/tcp", "/proc/net/tcp6", "/proc/net/unix")
"""What `listeners` reads, one behind the other; readable by everybody."""

_TCP = re.compile(r"\s*\d+: (?P<address>[0-9A-F]{8}|[0-9A-F]{32}):(?P<port>[0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} 0A ")
_UNIX = re.compile(r"[0-9a-f]+: [0-9A-F]{8} [0-9A-F]{8} 00010000 [0-9A-F]{4} 01 +\d+ ?(?P<path>.*)")
_LOOPBACK = re.compile("(?:0{16}FFFF0{4})?[0-9A-F]{6}7F|0{24}01000000")
"""127.0.0.0/8, also as an address of IPv6, and ::1, as the kernel of a little-endian machine writes them."""
_ENGINES_RESOLVER = "0B00007F"
"""127.0.0.11: Docker's own name server in every container, at a port of its choice."""


@dataclass(frozen=True)
class Listener:
    """A socket that takes connections.

    Attributes:
        family: `tcp`, `tcp6` or `unix`.
        name: the port's number, or the path; an abstract one begins with `@`.
    """

    family: str
    name: str


def listeners(tables: str) -> Counter[Listener]:
    """How many sockets listen at each address, from the text of `TABLES`."""
    found: Counter[Listener] = Counter()
    for line in tables.splitlines():
        tcp, unix = _TCP.match(line), _UNIX.match(line)
        if tcp and tcp["address"] != _ENGINES_RESOLVER:
            family = "tcp" if len(tcp["address"]) == 8 else "tcp6"
            found[Listener(family, str(int(tcp["port"], 16)))] += 1
        elif unix:
            found[Listener("unix", unix["path"])] += 1
    return found


def ports(found: Iterable[Listener]) -> set[int]:
    """The TCP ports among them."""
    return {int(listener.name) for listener in found if listener.family != "unix"}


def on_loopback_only(tables: str, port: int) -> bool:
    """Whether a TCP port is listened on, and at no address that anybody outside of the container can reach."""
    listening = [
        found for line in tables.splitlines() if (found := _TCP.match(line)) and int(found["port"], 16) == port
    ]
    return bool(listening) and all(_LOOPBACK.fullmatch(each["address"]) for each in listening)


def to_stand_apart(found: Mapping[Listener, int], texts: Mapping[int, str]) -> set[int]:
    """The ports of those configurations that may not share a container with others.

    Whoever names what is listened on beside the lab's ports is one of them; if nobody names it, all are. So is the
    one whose own port has more than one socket, whoever holds them. A socket file that is named after one of the
    lab's ports is that configuration's own, and nobody's trouble.

    Args:
        found: how many sockets listen at each address of the container.
        texts: of each configuration, with the files beside it, by its port.
    """
    apart: set[int] = set()
    for listener, count in found.items():
        if listener.family != "unix" and int(listener.name) in texts:
            apart |= {int(listener.name)} if count > 1 else set()
            continue
        if listener.family == "unix" and any(re.search(rf"(?<!\d){port}(?!\d)", listener.name) for port in texts):
            continue
        apart |= _naming(listener.name, texts) or set(texts)
    return apart


def _naming(name: str, texts: Mapping[int, str]) -> set[int]:
    # A socket file may be made under a passing name and then be renamed, which the kernel does not note.
    written = re.sub(r"\.\d+\.tmp$", "", name.lstrip("@"))
    word = re.compile(rf"(?<!\w){re.escape(written)}(?!\w)")
    return {port for port, text in texts.items() if written and word.search(text)}
