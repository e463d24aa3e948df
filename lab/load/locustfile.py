"""What `lab load` runs: each Locust user is one stream; at the end the figures stand in a file.

    locust -f locustfile.py --headless --users 500 --spawn-rate 50 --host http://127.0.0.1:8080 --figures load.json

With `--master` and `--worker` it runs on many machines, as any locustfile does; the master writes the file.
"""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

import gevent
from locust import events, runners
from locust.env import Environment
from locust.runners import MasterRunner, Runner, WorkerRunner
from locust.stats import StatsEntry

from lab.load.figures import Spread
from lab.load.user import StreamUser

PULSE = 0.05
"""Seconds after which a process that generates load looks whether it runs in time."""


# A worker that is busy with its streams is not lost: it may be silent for so many seconds, in place of three.
runners.HEARTBEAT_LIVENESS = 15


class OneStream(StreamUser):
    """A user who asks once."""

    once = True

    def on_start(self) -> None:
        """A worker learns what its master was told once the users begin."""
        options: Any = self.environment.parsed_options
        self.plan = options.plan


@events.init_command_line_parser.add_listener
def add_options(parser: ArgumentParser) -> None:
    """Beside Locust's own."""
    parser.add_argument("--plan", default=OneStream.plan, help="what the model server is told")
    parser.add_argument("--figures", default="", help="the file that the figures are written to")


@events.init.add_listener
def begin(environment: Environment, runner: Runner, **_: object) -> None:
    """Watch this process, and where it is not one of many workers, the whole."""
    if not isinstance(runner, MasterRunner):
        gevent.spawn(_pulse, environment)
    if not isinstance(runner, WorkerRunner):
        seconds: list[dict[str, Any]] = []
        workers: list[int] = [0]
        gevent.spawn(_watch, environment, runner, seconds, workers)
        environment.events.quitting.add_listener(lambda **_: _write(environment, seconds, workers))


def _pulse(environment: Environment) -> None:
    while True:
        due = time.monotonic() + PULSE
        gevent.sleep(PULSE)
        # Locust begins its statistics anew when users begin.
        environment.stats.get("late", "LOAD").log(max(0, round(1e3 * (time.monotonic() - due))), 0)


def _watch(environment: Environment, runner: Runner, seconds: list[dict[str, Any]], workers: list[int]) -> None:
    """Once a second, what there is, and how many workers are heard of; the run ends when every stream is over."""
    options: Any = environment.parsed_options
    began, before = time.monotonic(), Counter[int]()
    while True:
        gevent.sleep(1.0)
        asked, over = _count(environment, "asked"), environment.stats.total.num_requests
        times = Counter(environment.stats.get("late", "TOKEN").response_times)
        new, before = times - before, times
        at, late = round(time.monotonic() - began, 1), Spread.of(new, max(new, default=0))
        if isinstance(runner, MasterRunner) and runner.state in ("running", "spawning"):
            workers.append(runner.worker_count)
        seconds.append({"at": at, "open": asked - over, "tokens": late.count, "late": late.p99})
        print(json.dumps({"at": at, "asked": asked, "over": over}), flush=True)  # noqa: T201  # so `lab load` hears it
        if options.num_users and over >= options.num_users and runner.state in ("running", "spawning"):
            runner.quit()


def _count(environment: Environment, name: str) -> int:
    entry: StatsEntry = environment.stats.get(name, "STREAM")
    return int(entry.num_requests)


def _write(environment: Environment, seconds: list[dict[str, Any]], workers: list[int]) -> None:
    entries = {
        f"{method} {name}": {"count": each.num_requests, "max": each.max_response_time, "times": each.response_times}
        for (name, method), each in environment.stats.entries.items()
    }
    failures = [{"what": str(each.error), "count": each.occurrences} for each in environment.stats.errors.values()]
    options: Any = environment.parsed_options
    if options.figures:
        raw: dict[str, Any] = {"entries": entries, "failures": failures, "seconds": seconds}
        raw["lost_workers"] = max(workers) - workers[-1]
        Path(options.figures).write_text(json.dumps(raw), encoding="utf-8")
