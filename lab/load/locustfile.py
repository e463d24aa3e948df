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
from locust.dispatch import UsersDispatcher
from locust.env import Environment
from locust.runners import STATE_RUNNING, STATE_SPAWNING, MasterRunner, Runner, WorkerNode, WorkerRunner
from locust.stats import StatsEntry

from lab.load.figures import Spread, figures_of
from lab.load.results import FORMAT, LoadResults
from lab.load.terms import TERMS, RequestTerms
from lab.load.user import SPARE, StreamUser
from lab.plan import plan_from_query
from lab.saved import write_saved

PULSE = 0.05
"""Seconds after which a process that generates load looks whether it runs in time."""


# A worker that is busy with its streams is not lost: it may be silent for so many seconds, in place of three. One that
# is lost is never forgotten: Locust would begin anew without it, and ask for every stream once more.
runners.HEARTBEAT_LIVENESS = 15
runners.HEARTBEAT_DEAD_INTERNAL = -(10**9)
# Workers tell what they have seen as often as it is looked at, in place of every three seconds.
runners.WORKER_REPORT_INTERVAL = 1.0


class SharedOnce(UsersDispatcher):
    """Shares the streams out once. Locust's own gives those of a worker that was lost to the others, to ask anew."""

    def add_worker(self, worker_node: WorkerNode) -> None:
        """Whoever comes later, or is heard of again, gets no further streams."""

    def remove_worker(self, worker_node: WorkerNode) -> None:
        """What a lost worker had asked for is lost with it."""


class OneStream(StreamUser):
    """A user who asks once."""

    once = True

    def on_start(self) -> None:
        """A worker learns what its master was told once the users begin."""
        options: Any = self.environment.parsed_options
        self.plan, self.terms = options.plan, RequestTerms.from_text(options.terms)


@events.init_command_line_parser.add_listener
def add_options(parser: ArgumentParser) -> None:
    """Beside Locust's own."""
    parser.add_argument("--plan", default=OneStream.plan, help="what the model server is told")
    # A key may stand in it, and every user of a machine sees the command line.
    parser.add_argument("--terms", default="", env_var=TERMS, help="how it is asked, in JSON")
    parser.add_argument("--figures", default="", help="the file that the figures are written to")


@events.init.add_listener
def begin(environment: Environment, runner: Runner, **_: object) -> None:
    """Watch this process, and where it is not one of many workers, the whole."""
    if not isinstance(runner, MasterRunner):
        gevent.spawn(_pulse, environment)
    if not isinstance(runner, WorkerRunner):
        environment.dispatcher_class = SharedOnce
        watch = Watch(environment, runner)
        gevent.spawn(watch.run)
        environment.events.quitting.add_listener(lambda **_: watch.write())


def _pulse(environment: Environment) -> None:
    while True:
        due = time.monotonic() + PULSE
        gevent.sleep(PULSE)
        # Locust begins its statistics anew when users begin.
        environment.stats.get("late", "LOAD").log(max(0, round(1e3 * (time.monotonic() - due))), 0)


class Watch:
    """Once a second, what there is, and how many workers are heard of; the run ends when every stream is over.

    Args:
        environment: Locust's.
        runner: the only one, or the master.
    """

    def __init__(self, environment: Environment, runner: Runner) -> None:
        self._stats = environment.stats
        self._options: Any = environment.parsed_options
        self._runner = runner
        self._seconds: list[dict[str, Any]] = []
        self._most_workers = self._workers = 0
        self._stopping = False
        self._times = Counter[int]()
        self._began = self._moved = time.monotonic()
        self._seen = (0, 0, 0)
        environment.events.test_stopping.add_listener(self._stop)

    def run(self) -> None:
        """Until every stream is over, or no worker is left that tells of any."""
        while not self._over():
            gevent.sleep(1.0)
            self._look()
        self._runner.quit()

    def _stop(self, **_: object) -> None:
        """Whoever leaves from now on was told to, and is not lost."""
        self._count_workers()
        self._stopping = True

    def _count_workers(self) -> None:
        if isinstance(self._runner, MasterRunner) and not self._stopping:
            self._workers = self._runner.worker_count
            self._most_workers = max(self._most_workers, self._workers)

    def _look(self) -> None:
        asked, ended = self._count("STREAM", "asked"), self._stats.total.num_requests
        times = Counter(self._stats.get("late", "TOKEN").response_times)
        new, self._times = times - self._times, times
        self._count_workers()
        if (asked, ended, times.total()) != self._seen:
            self._seen, self._moved = (asked, ended, times.total()), time.monotonic()
        at, late = round(time.monotonic() - self._began, 1), Spread.of(new, max(new, default=0))
        streaming = self._count("TOKEN", "first") - self._count("STREAM", "streamed")
        second = {"at": at, "open": asked - ended, "tokens": late.count, "late": late.p99, "streaming": streaming}
        self._seconds.append(second)
        print(json.dumps({"at": at, "asked": asked, "over": ended}), flush=True)  # noqa: T201  # so `lab load` hears it

    def _over(self) -> bool:
        """Whether nothing is to come: of the streams of a worker that is lost, nobody tells how they end."""
        wanted = self._options.num_users
        if wanted and self._stats.total.num_requests >= wanted:
            return True
        silence = SPARE + plan_from_query(self._options.plan).interval
        silent = time.monotonic() - self._moved > silence
        return self._lost_workers > 0 and (silent or not self._workers)

    @property
    def _lost_workers(self) -> int:
        return self._most_workers - self._workers

    def _count(self, method: str, name: str) -> int:
        entry: StatsEntry = self._stats.get(name, method)
        return int(entry.num_requests)

    def write(self) -> None:
        """What is known, into the file that was asked for."""
        if not self._options.figures:
            return
        if isinstance(self._runner, MasterRunner) and self._runner.state in (STATE_RUNNING, STATE_SPAWNING):
            # Workers send what they have once in a second, and the rest when they are told to stop.
            self._runner.stop()
        entries = {
            f"{method} {name}": {
                "count": each.num_requests,
                "max": each.max_response_time,
                "times": each.response_times,
            }
            for (name, method), each in self._stats.entries.items()
        }
        failures = [{"what": str(each.error), "count": each.occurrences} for each in self._stats.errors.values()]
        raw: dict[str, Any] = {"entries": entries, "failures": failures, "seconds": self._seconds}
        raw["lost_workers"] = self._lost_workers
        plan, streams = plan_from_query(self._options.plan), self._options.num_users or 0
        ramp = streams / self._options.spawn_rate
        figures = figures_of(raw, self._options.host, streams)
        hold = plan.due(plan.tokens) - ramp
        results = LoadResults(streams, ramp, hold, plan.interval, max(self._most_workers, 1), (figures,))
        write_saved(Path(self._options.figures), FORMAT, results)
