"""Where a setting stands in a Caddyfile, and how it is written there. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lab.products.caddy.routes import Site
from lab.products.caddy.tree import CaddyLine

LEVERS = (
    "flush_interval 0",
    "response_buffers 0",
    "lb_try_duration 0s",
    "lb_retries 0",
    "max_size 64MB",
    "write 600s",
    "match header Content-Type application/json*",
)
"""Lines that are worth a try, beside the tested ones."""


@dataclass(frozen=True)
class Lines:
    """What is to stand in a block.

    Args:
        block: the line that has the block, or is to have one.
        setting: the line in it.
        stands: the line that it replaces; None where there is none.
    """

    block: CaddyLine
    setting: str
    stands: CaddyLine | None


def placed(site: Site, proxy: CaddyLine, setting: str) -> Iterator[Lines]:
    """What has to be written for a setting to hold for a `reverse_proxy`; nothing where it holds already."""
    name = setting.split()[0]
    for block in _blocks(site, proxy, name):
        stands = next((each for each in block.block or () if each.name == name), None)
        # A compressor takes event streams unless it is told what to take; of all else Caddy's defaults are right.
        if (stands is None) == (name == "match") and not (stands is not None and _does(stands, setting)):
            yield Lines(block, setting, stands)


def standing(site: Site, proxy: CaddyLine, setting: str) -> CaddyLine | None:
    """The line that a setting replaces, or the block that is to have it; None where there is none."""
    found = [each.stands or each.block for each in placed(site, proxy, setting)]
    return found[0] if found else None


def _blocks(site: Site, proxy: CaddyLine, name: str) -> Iterator[CaddyLine]:
    """The lines whose blocks may have such a setting, as far as a request through the proxy meets them."""
    match name:
        case "response_header_timeout" | "read_timeout":
            yield from proxy.own("transport")
        case "write":
            for each in site.servers:
                yield from each.own("timeouts")
        case "max_size" | "match":
            kind = "encode" if name == "match" else "request_body"
            yield from (each for level in proxy.upward() for each in level.own(kind))
        case _:
            yield proxy


def _does(line: CaddyLine, setting: str) -> bool:
    """Whether a line does already what a setting would; a time-out that is longer does, and one that is none."""
    name, value = setting.split()[:2]
    if name in ("response_header_timeout", "read_timeout", "write"):
        return seconds(line.word(1)) == 0 or seconds(line.word(1)) >= seconds(value)
    if name == "flush_interval":
        # Only what is negative has a price.
        return not line.word(1).startswith("-")
    return line.words[1:] == setting.split()[1:]


def seconds(text: str) -> float:
    """What a duration of Go's lasts, with days; one that cannot be read is none."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d)", text)
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def with_lines(text: str, wanted: Lines) -> str:
    """A file's text with one line of one block otherwise, and nothing else."""
    lines = text.split("\n")
    block, stands = wanted.block, wanted.stands
    if stands is not None:
        first = lines[stands.line - 1]
        indent, behind = _indent(first), lines[stands.end[0] - 1][stands.end[1] :] if stands.block is None else ""
        lines[stands.line - 1 : stands.last] = [f"{indent}{wanted.setting}{behind}"]
        return "\n".join(lines)
    number, column = block.end
    outside = _indent(lines[block.line - 1])
    inside = _indent(lines[number]) if block.block else f"{outside}\t"
    if block.block is None:
        lines[number - 1] = f"{lines[number - 1][:column]} {{{lines[number - 1][column:]}"
        lines[number:number] = [f"{inside}{wanted.setting}", f"{outside}}}"]
    else:
        lines[number:number] = [f"{inside}{wanted.setting}"]
    return "\n".join(lines)


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]
