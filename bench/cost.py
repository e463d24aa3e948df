"""What each fix costs in processor time, packets, memory and lateness, and how many streams two cores carry.

    python bench/cost.py                                      # every group at 100 and 1,000 streams, some 45 minutes
    python bench/cost.py nginx-1.26 haproxy-3.0 --streams 1000
    python bench/cost.py envoy-1.40 --most                    # more and more streams, until something is late

The loads are those of `lab load`: a token is late by the model server's own stamp. Those of one group are made one
after the other with all of them up, in proxies that were started for this round, in every other round in reverse.
All clients offer gzip. 100 streams have ten tokens a second each, more streams have one. Prints rows of a Markdown
table: the median of the rounds, and in brackets the least and the most of them where they differ.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.load.figures import OWN_LATENESS, Figures
from lab.load.run import Load, generate
from lab.load.terms import RequestTerms
from lab.load.usage import ProxyProcesses
from lab.products import PRODUCTS, Proxy
from lab.testbed.supply import Supply, choose, started
from lab.testbed.testbed import Target

HERE, ROOT = Path(__file__).with_suffix(""), Path(__file__).parents[1]

NGINX = {
    "as installed": HERE / "nginx/as-installed.conf",
    "`proxy_buffering off`": HERE / "nginx/buffering-off.conf",
    "and `gzip on` for event streams": HERE / "nginx/gzip.conf",
}
GROUPS: dict[str, dict[str, Path]] = {
    "nginx-1.26": NGINX,
    "nginx-1.30": NGINX,
    "haproxy-3.0": {
        "as installed": ROOT / "scenarios/bursts/haproxy/broken.cfg",
        "`option http-no-delay`": ROOT / "scenarios/bursts/haproxy/fixed.cfg",
    },
    "envoy-1.40": {
        "recommended": ROOT / "lab/products/envoy/recommended.yaml",
        "and its compressor for event streams": HERE / "envoy/gzip.yaml",
    },
}
"""What is held against each other: files that differ by few lines, behind the same product."""

GZIP = RequestTerms(headers=(("Accept-Encoding", "gzip"),))

FEW = 100
"""Up to so many streams there are ten tokens a second in each, so that the sum is that of 1,000 streams with one."""

FIRST, STEP, LARGEST = 2000, 500, 8000
"""Streams with which `--most` begins, to which it is exact, and that a container of the lab's has open files for."""


@dataclass(frozen=True)
class Column:
    """One figure of the table.

    Args:
        title: its name and unit.
        value: the figure.
        digits: behind the point.
    """

    title: str
    value: Callable[[Figures], float]
    digits: int = 0

    def cell(self, rounds: Sequence[Figures]) -> str:
        """The median of the rounds, and their spread where there is one."""
        values = sorted(self.value(each) for each in rounds)
        median, least, most = (
            f"{each:,.{self.digits}f}" for each in (statistics.median(values), values[0], values[-1])
        )
        return median if least == most else f"{median} ({least} to {most})"


def _thousand(value: Callable[[Figures], float]) -> Callable[[Figures], float]:
    return lambda each: 1e3 * value(each) / max(each.late.count, 1)


COLUMNS = (
    Column("lost", lambda each: each.lost),
    Column("first token, p50 ms", lambda each: each.first.p50),
    Column("token late, p50 ms", lambda each: each.late.p50),
    Column("p99 ms", lambda each: each.late.p99),
    Column("processor, ms for 1,000 tokens", _thousand(lambda each: 1e3 * each.usage.processor)),
    Column("packets for 1,000 tokens", _thousand(lambda each: each.usage.packets or 0)),
    Column("memory, MiB", lambda each: each.usage.memory / 2**20),
    Column("KiB a stream", lambda each: (each.usage.memory - each.usage.idle) / 2**10 / each.asked, 1),
    Column("model late, p99 ms", lambda each: each.model_late.p99),
    Column("load late, p99 ms", lambda each: each.load_late.p99),
)


def main() -> int:
    """Measure, and print a table; exits with 1 where some of it is in doubt."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = ", ".join(GROUPS)
    parser.add_argument("groups", nargs="*", type=group_named, metavar="GROUP", help=f"of {known} (default: all)")
    parser.add_argument("--streams", type=int, nargs="+", default=[FEW, 1000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hold", type=float, default=20.0, help="seconds for which all streams are open")
    parser.add_argument("--processes", type=int, default=1, help="that make the load")
    parser.add_argument("--most", action="store_true", help="find out how many streams there can be")
    options = parser.parse_args()
    supply = choose(say)
    titles = ("carried", "and what gives way first") if options.most else ("streams", *(each.title for each in COLUMNS))
    print_row(["", *titles])
    print_row(["---"] * (len(titles) + 1))
    doubted = False
    for group in options.groups or GROUPS:
        for name in GROUPS[group] if options.most else ():
            asyncio.run(find_most(group, name, supply, options))
        for streams in () if options.most else options.streams:
            doubted |= asyncio.run(measure(group, load_of(streams, options), options.rounds, supply))
    return int(doubted)


def group_named(name: str) -> str:
    """A group that there is.

    Raises:
        argparse.ArgumentTypeError: there is none of that name.
    """
    if name not in GROUPS:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(GROUPS)}")
    return name


def say(line: str) -> None:
    """Progress is no part of the table."""
    sys.stderr.write(f"{line}\n")


def print_row(cells: Sequence[str]) -> None:
    """One row of the table."""
    sys.stdout.write(f"| {' | '.join(cells)} |\n")
    sys.stdout.flush()


def load_of(streams: int, options: argparse.Namespace) -> Load:
    """So many streams, of which a few hundred begin in each second."""
    interval = 0.1 if streams <= FEW else 1.0
    ramp = max(5.0, streams / 200)
    return Load(streams, ramp, options.hold, interval, options.processes)


async def measure(group: str, load: Load, rounds: int, supply: Supply) -> bool:
    """Make the load over each of a group so often, and print their rows; returns whether they are in doubt.

    A round of which one load is in doubt, or has lost a stream, is made once more, unless there are as many of these
    as were wanted.
    """
    names = list(GROUPS[group])
    good: list[dict[str, Figures]] = []
    doubted: list[dict[str, Figures]] = []
    while len(good) < rounds and len(doubted) < rounds:
        order = names[::-1] if len(good) % 2 else names
        found = await one_round(group, order, load, supply)
        (doubted if any(each.doubts or each.lost for each in found.values()) else good).append(found)
    enough = len(good) == rounds
    for name in names:
        figures = [each[name] for each in (good if enough else good + doubted)]
        title = f"{group}, {name}" if enough else f"{group}, {name}, in doubt"
        print_row([title, f"{load.streams:,}", *(column.cell(figures) for column in COLUMNS)])
    return not enough


async def one_round(group: str, names: Sequence[str], load: Load, supply: Supply) -> dict[str, Figures]:
    """The load over some of a group, one after the other, in proxies that nothing has gone through before."""
    product, _, number = group.partition("-")
    version = next(each for each in PRODUCTS[product].versions if each.number == number)
    targets = [Target(name, Proxy(PRODUCTS[product], version), GROUPS[group][name]) for name in names]
    found: dict[str, Figures] = {}
    async with started(targets, supply, say) as (testbed, _):
        for name in names:
            say(f"{group}, {name}: {load.streams} streams, at a machine's load of {os.getloadavg()[0]:.1f}")
            watched = ProxyProcesses(tuple(await testbed.pids(name)), testbed.model_port(name))
            found[name] = await generate(load, testbed.url(name), name, lambda _: None, GZIP, watched)
            say(f"  {'; '.join((*found[name].doubts, *found[name].failures)) or 'well'}")
    return found


async def find_most(group: str, name: str, supply: Supply, options: argparse.Namespace) -> None:
    """Find how many streams go over one path by itself, to `STEP`: doubled until they are too many, then between."""
    usual = (await one_round(group, [name], load_of(FEW, options), supply))[name].late.p99
    carried, too_many, why = 0, LARGEST + STEP, ""
    streams = FIRST
    while streams < too_many:
        failure = await gives_way(group, name, load_of(streams, options), supply, usual)
        if failure:
            too_many, why = streams, failure
        else:
            carried = streams
        streams = min(2 * carried, LARGEST) if not why else (carried + too_many) // (2 * STEP) * STEP
        if streams <= carried:
            break
    print_row([f"{group}, {name}", f"{carried:,}", f"{too_many:,}: {why}" if why else "not reached"])


async def gives_way(group: str, name: str, load: Load, supply: Supply, usual: int) -> str:
    """What was late or lost of so many streams in two of three tries, in words; empty where it was nothing.

    A token is late that comes `OWN_LATENESS` later than those of a small load do, of which 99 of 100 are `usual` late.
    """
    seen: list[str] = []
    while seen.count("") < 2 and len(seen) - seen.count("") < 2:
        found = (await one_round(group, [name], load, supply))[name]
        late = found.late.p99 > usual + OWN_LATENESS
        path = f"tokens {found.late.p99:,} ms late in 99 of 100 cases" if late else ""
        lost = f"{found.lost} streams lost" if found.lost else ""
        seen.append("; ".join(filter(None, (*found.doubts, path, lost))))
    return "" if seen.count("") == 2 else next(filter(None, reversed(seen)))


if __name__ == "__main__":
    sys.exit(main())
