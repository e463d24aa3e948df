"""Runs the whole lab again and again while other work keeps the processors busy: no verdict may differ.

    python bench/steadiness.py --runs 20 --busy 4

Each run is a process of its own, as a user starts it. A run without that other work comes first: it is the yardstick
for the wall times, and its verdicts count like those of the others. The busy processes compute until they are ended or
until their own deadline, whichever is first. Exits with 1 if a run did, if a case was not as required, or if any
exchange's delivery or ending was not the same in all runs, or its cause where the scenario names one. Of several
exchanges that are alike chance may decide which shows what: what they showed together must be the same. Where a
scenario says that some of them show its symptom, it may be all: then only the case must come out the same.

What each run wrote stands in its own folder of `--out` (0: the one without other work), for whatever surprises.
"""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.catalogue import discover, shipped_scenarios
from lab.results import Results, load

LONGEST_RUN = 300.0
"""Seconds after which busy processes end by themselves, for each run that is planned."""

Verdicts = dict[str, str]


def main() -> int:
    """Run, compare, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20, help="how often (default: %(default)s)")
    parser.add_argument("--busy", type=int, default=2, help="computing processes beside it (default: %(default)s)")
    parser.add_argument(
        "--out", type=Path, default=Path("lab-results/steadiness"), help="folder of reports (%(default)s)"
    )
    parser.add_argument("arguments", nargs="*", help="what to run; as for `lab run`")
    options = parser.parse_args()
    free = run_lab(options.out / "0", options.arguments)
    report("without other work", free, free)
    runs = [free]
    with busy(options.busy, LONGEST_RUN * options.runs):
        for number in range(1, options.runs + 1):
            runs.append(run_lab(options.out / f"{number}", options.arguments))
            report(f"run {number}", runs[-1], free)
    differing = tell([verdicts(run.results) for run in runs])
    return int(differing or any(run.code for run in runs))


@dataclass(frozen=True)
class Run:
    """One run of the lab: its results, its exit code, and the seconds that the whole process took."""

    results: Results
    code: int
    seconds: float


def report(name: str, run: Run, free: Run) -> None:
    """One line about a run."""
    again = sum(case.measured > 1 for _, _, case in run.results.cases())
    sys.stdout.write(
        f"{name}: exit code {run.code}, {len(run.results.cases())} cases, {again} measured again, "
        f"{run.seconds:.1f} s ({run.seconds / free.seconds:.1f} times the free run)\n"
    )
    sys.stdout.flush()


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


def run_lab(folder: Path, arguments: list[str]) -> Run:
    """One run of the lab, as a user starts it."""
    began = time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "lab", "run", "--out", str(folder), *arguments]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)  # noqa: S603 - our own command
    return Run(load(folder / "results.json"), done.returncode, time.monotonic() - began)


def verdicts(results: Results) -> Verdicts:
    """Every verdict of a run by the name of what it is about."""
    cases = {case.id: case for scenario in discover(shipped_scenarios()) for case in scenario.cases}
    found: Verdicts = {}
    for scenario, proxy, result in results.cases():
        name = f"{scenario.id}::{proxy.proxy}::{result.label}"
        case = cases[name]
        alike = Counter((each.family, each.plan) for each in case.exchanges)
        together: dict[str, set[str]] = {}
        for planned, seen in zip(case.exchanges, result.exchanges, strict=False):
            symptom = case.symptom.get(planned.family)
            if symptom is not None and symptom.some:
                continue
            verdict = f"{seen.delivery}, {seen.ending}"
            if symptom is not None and symptom.cause is not None:
                verdict += f", {seen.cause}"
            several = alike[planned.family, planned.plan] > 1
            together.setdefault(planned.family if several else planned.name, set()).add(verdict)
        found[name] = str(result.outcome)
        found |= {f"{name} {which}": " or ".join(sorted(verdicts)) for which, verdicts in together.items()}
    return found


def tell(seen: list[Verdicts]) -> bool:
    """Print what differed between the runs and what was not as required; whether there was any of it."""
    bad = 0
    for name in dict.fromkeys(name for each in seen for name in each):
        counts = Counter(each.get(name, "missing") for each in seen)
        failed = "," not in next(iter(counts)) and set(counts) != {"passed"}
        if len(counts) > 1 or failed:
            bad += 1
            told = "; ".join(f"{verdict} ({count}x)" for verdict, count in counts.most_common())
            sys.stdout.write(f"{name}: {told}\n")
    sys.stdout.write(f"{len(seen)} runs, {bad} verdicts that differ or are not as required\n")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
