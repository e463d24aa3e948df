"""Runs the whole lab again and again while other work keeps the processors busy: no verdict may differ.

    python bench/steadiness.py --runs 20 --busy 4

Each run is a process of its own, as a user starts it. The busy processes compute until they are ended
or until their own deadline, whichever is first. Exits with 1 if a side was not as required, or if any
exchange's delivery, ending or cause was not the same in all runs.
"""

from __future__ import annotations

import argparse
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.results import Results, load

LONGEST_RUN = 300.0
"""Seconds after which busy processes end by themselves, for each run that is planned."""

Verdicts = dict[str, str]


def main() -> int:
    """Run, compare, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20, help="how often (default: %(default)s)")
    parser.add_argument("--busy", type=int, default=2, help="computing processes beside it (default: %(default)s)")
    parser.add_argument("arguments", nargs="*", help="what to run; as for `lab run`")
    options = parser.parse_args()
    seen: list[Verdicts] = []
    with busy(options.busy, LONGEST_RUN * options.runs):
        for number in range(1, options.runs + 1):
            results, code = run_lab(options.arguments)
            seen.append(verdicts(results))
            sys.stdout.write(
                f"run {number}: exit code {code}, {len(seen[-1])} verdicts, {results.wall_seconds:.1f} s\n"
            )
            sys.stdout.flush()
    return tell(seen)


@contextmanager
def busy(count: int, limit: float) -> Iterator[None]:
    """Keep processors busy."""
    workers = [multiprocessing.Process(target=compute, args=(limit,), daemon=True) for _ in range(count)]
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


def compute(limit: float) -> None:
    """Compute without a pause."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        sum(number * number for number in range(10_000))


def run_lab(arguments: list[str]) -> tuple[Results, int]:
    """One run of the lab, as a user starts it."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "lab", "run", "--out", folder, *arguments]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)  # noqa: S603 - our own command
        return load(Path(folder) / "results.json"), done.returncode


def verdicts(results: Results) -> Verdicts:
    """Every verdict of a run by the name of what it is about."""
    found: Verdicts = {}
    for scenario, proxy, side in results.sides():
        name = f"{scenario.id}::{proxy.proxy}::{side.label}"
        found[name] = str(side.outcome)
        for each in side.exchanges:
            found[f"{name} {each.name}"] = f"{each.delivery}, {each.ending}, {each.cause or 'no cause'}"
    return found


def tell(seen: list[Verdicts]) -> int:
    """Print what differed between the runs, and what was not as required."""
    bad = 0
    for name in dict.fromkeys(name for each in seen for name in each):
        counts = Counter(each.get(name, "missing") for each in seen)
        failed = "," not in next(iter(counts)) and set(counts) != {"passed"}
        if len(counts) > 1 or failed:
            bad += 1
            told = "; ".join(f"{verdict} ({count}x)" for verdict, count in counts.most_common())
            sys.stdout.write(f"{name}: {told}\n")
    sys.stdout.write(f"{len(seen)} runs, {bad} verdicts that differ or are not as required\n")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
