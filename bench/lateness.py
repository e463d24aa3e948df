"""How late do tokens leave? The model server beside two peers, under the same load.

Run it as `python bench/lateness.py` (or `make bench`). Each server runs alone on one core and the client
on another; see `client.py` for what lateness is. The ratio says how many times later a peer's tokens
are than the lab's, at the 99th percentile.

Where the right to it can be had, server and client run before all other processes of their cores, since
on a busy machine one would measure the neighbours otherwise. A process that only ticks (`gauge.py`) runs
beside each server and shows what the machine itself is late by. With `--rounds` each measurement is
repeated and the one with the quietest machine is shown; the gauge decides which that is, never the
server's own figures.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

import uvloop
from client import Measurement, measure, percentile
from gauge import ticking
from rich.console import Console
from rich.table import Table
from servers import Load, Server, Unavailable, guidellm, ours, plain, prefer, running

_MAKERS: tuple[Callable[[Load], Server], ...] = (ours, plain, guidellm)


@dataclass(frozen=True)
class Round:
    """One measurement, and how late the machine itself was meanwhile (seconds, sorted)."""

    found: Measurement
    machine: list[float]


def main() -> int:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, nargs="+", default=[100, 400, 800])
    parser.add_argument("--rate", type=float, default=50.0, help="tokens a second in each stream")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of each stream")
    parser.add_argument("--arrivals", type=float, help="streams that arrive in a second (default: all in one second)")
    parser.add_argument("--rounds", type=int, default=1, help="measurements of each; the quietest is shown")
    parser.add_argument("--only", choices=[maker.__name__ for maker in _MAKERS], help="measure one server")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    core = cores[0] if len(cores) > 1 else None
    if core is not None:
        os.sched_setaffinity(0, {cores[1]})
    title = f"Lateness of tokens, {options.rate:g} a second for {options.seconds:g} s in each stream"
    table = _table(title, pinned=core is not None, preferred=prefer(0))
    console = Console(width=max(140, Console().width))
    makers = [maker for maker in _MAKERS if options.only in (None, maker.__name__)]
    for streams in options.streams:
        ramp = streams / options.arrivals if options.arrivals else 1.0
        load = Load(streams, round(options.rate * options.seconds), 1 / options.rate, ramp)
        console.print(f"{streams} streams ...")
        _fill(table, load, makers, core, options.rounds)
    console.print(table)
    return 0


def _table(title: str, *, pinned: bool, preferred: bool) -> Table:
    where = "server and client each on a core of its own" if pinned else "one core for both: figures are not clean"
    where += ", before other processes" if preferred else ""
    table = Table(title=f"{title}\n{where}")
    table.add_column("streams", justify="right")
    table.add_column("server")
    for name in (
        "p50 ms",
        "p99 ms",
        "max ms",
        "tokens",
        "first p99 ms",
        "KB a stream",
        "client p99 ms",
        "machine p99 ms",
        "p99 ratio",
    ):
        table.add_column(name, justify="right")
    return table


def _fill(table: Table, load: Load, makers: list[Callable[[Load], Server]], core: int | None, rounds: int) -> None:
    base: float | None = None
    for maker in makers:
        try:
            server = maker(load)
            done = [_measure(server, load, core) for _ in range(rounds)]
        except Unavailable as reason:
            table.add_row(str(load.streams), maker.__name__, *["-"] * 8, f"not measured: {reason}")
            continue
        best = min(done, key=lambda one: percentile(one.machine, 0.99))
        late = percentile(best.found.lateness, 0.99)
        base = late if base is None else base
        table.add_row(str(load.streams), server.name, *_cells(best, load.streams), f"{late / base:.1f}x")
    table.add_section()


def _measure(server: Server, load: Load, core: int | None) -> Round:
    with running(server, core) as (port, process), ticking(core) as gauge:
        found = uvloop.run(measure(server, port, process, load))
    return Round(found, gauge.lateness)


def _cells(best: Round, streams: int) -> list[str]:
    found = best.found
    of_tokens = [percentile(found.lateness, share) for share in (0.5, 0.99, 1.0)]
    of_others = [percentile(found.own, 0.99), percentile(best.machine, 0.99)]
    came = len(found.lateness)
    tokens = f"{came}" if came == found.wanted else f"{came} of {found.wanted}"
    first = _milliseconds(percentile(found.first, 0.99))
    memory = f"{found.memory / 1e3 / streams:.1f}"
    return [*map(_milliseconds, of_tokens), tokens, first, memory, *map(_milliseconds, of_others)]


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.1f}"


if __name__ == "__main__":
    sys.exit(main())
