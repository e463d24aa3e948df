"""Is memory flat? The model server and the load generator, with one stream after the other.

    python bench/memory.py                                                                  # an hour
    python bench/memory.py --minutes 10 --streams 30 --plan 'tokens=5&interval=250ms&stamp=clock' --attempts 1000

So many streams at a time, each followed by another. First the model server's ledger fills, which keeps the last
attempts, and both processes have two minutes to settle; from then on nothing may grow. What a stream leaves behind is
the growth from then to the end, divided by the streams that were between. Both are the least of two minutes, since the
model server looks for cyclic garbage every other minute while it is never idle. A busy machine takes longer until
there were enough streams. The last line is JSON: how many were between, how many were lost in all, and what each left
behind in either process, in bytes.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

WINDOW = 130.0
"""Seconds of which the least counts, and before that seconds to settle."""

BETWEEN = 5_000
"""Streams from the end of the one window to the end of the other, at least."""

READERS = Path(__file__).with_name("readers.py")


@dataclass(frozen=True)
class Sample:
    """What there was at one time.

    Args:
        at: seconds since the beginning.
        whole: streams that were complete by then.
        lost: that ended in another way.
        model: bytes of resident memory of the model server.
        load: and of the load generator.
    """

    at: float
    whole: int
    lost: int
    model: int
    load: int


def main() -> int:
    """Measure, with a line each minute."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long at least (default: %(default)s)")
    parser.add_argument("--streams", type=int, default=300, help="how many at a time (default: %(default)s)")
    parser.add_argument(
        "--plan", default="tokens=20&interval=500ms&stamp=clock", help="what is asked for (default: %(default)s)"
    )
    parser.add_argument("--attempts", type=int, default=10_000, help="how many the ledger keeps (default: %(default)s)")
    options = parser.parse_args()
    # What it has started ends with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with (
        _model_server(options.attempts) as (model, url),
        _load(url, options.streams, options.plan) as load,
    ):
        samples = _samples(psutil.Process(model.pid), psutil.Process(load.pid), load.stdout)
        before, after = _windows(samples, options.attempts, 60 * options.minutes)
    streams = after[-1].whole - before[-1].whole
    model_grown = min(each.model for each in after) - min(each.model for each in before)
    load_grown = min(each.load for each in after) - min(each.load for each in before)
    found = {
        "streams": streams,
        "lost": after[-1].lost,
        "model": round(model_grown / streams),
        "load": round(load_grown / streams),
    }
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


def _windows(samples: Iterator[Sample], attempts: int, seconds: float) -> tuple[list[Sample], list[Sample]]:
    """The samples of the first window, once all has settled, and of the last one."""
    full = next(sample for sample in samples if sample.whole >= attempts)
    before, after = list[Sample](), list[Sample]()
    for sample in samples:
        if sample.at < full.at + WINDOW:
            continue
        if sample.at < full.at + 2 * WINDOW:
            before.append(sample)
            continue
        after = [*(each for each in after if each.at > sample.at - WINDOW), sample]
        if sample.at >= max(seconds, full.at + 3 * WINDOW) and sample.whole >= before[-1].whole + BETWEEN:
            break
    return before, after


def _samples(model: psutil.Process, load: psutil.Process, said: IO[str] | None) -> Iterator[Sample]:
    """One whenever the load says how far it is, which is each second."""
    began = time.monotonic()
    minute = 0
    for line in said or ():
        if not line.startswith('{"whole"'):
            continue
        counts = json.loads(line)
        at = time.monotonic() - began
        sample = Sample(at, counts["whole"], counts["lost"], model.memory_info().rss, load.memory_info().rss)
        if at >= 60 * minute:
            _say(sample)
            minute += 1
        yield sample
    raise RuntimeError("the load ended by itself")


def _say(sample: Sample) -> None:
    minutes, model, load = sample.at / 60, sample.model / 2**20, sample.load / 2**20
    text = f"{minutes:5.1f} min  {sample.whole:7} streams  model server {model:6.1f} MiB  load {load:6.1f} MiB\n"
    sys.stdout.write(text)
    sys.stdout.flush()


@contextmanager
def _model_server(attempts: int) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = (sys.executable, "-m", "lab.model", "--port", "0", "--attempts", str(attempts))
    with _ended(subprocess.Popen(command, stdout=subprocess.PIPE, text=True)) as process:  # noqa: S603 - our own
        assert process.stdout is not None  # noqa: S101  # it was asked for
        yield process, process.stdout.readline().removeprefix("listening on ").strip()


@contextmanager
def _load(url: str, streams: int, plan: str) -> Iterator[subprocess.Popen[str]]:
    command = [
        *(sys.executable, "-m", "locust", "--locustfile", str(READERS), "--headless", "--only-summary"),
        *("--users", str(streams), "--spawn-rate", str(max(1, streams // 10)), "--host", url, "--plan", plan),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)  # noqa: S603
    with _ended(process):
        yield process


@contextmanager
def _ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


if __name__ == "__main__":
    sys.exit(main())
