"""Locust users who ask for one stream after the other; once a second they say how many are over.

`memory.py` runs them: `locust -f bench/readers.py --headless --users 300 --host http://127.0.0.1:8080`.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser

import gevent
from locust import events
from locust.env import Environment

from lab.load.user import StreamUser
from lab.vocabulary import Ending


class Reader(StreamUser):
    """A user who asks again and again, for what `--plan` says."""

    def on_start(self) -> None:
        """The options are known now."""
        self.plan = self.environment.parsed_options.plan


@events.init_command_line_parser.add_listener
def add_options(parser: ArgumentParser) -> None:
    """Beside Locust's own."""
    parser.add_argument("--plan", default=Reader.plan, help="what the model server is told")


@events.init.add_listener
def begin(environment: Environment, **_: object) -> None:
    """Count."""
    gevent.spawn(_count, environment)


def _count(environment: Environment) -> None:
    while True:
        gevent.sleep(1.0)
        whole = environment.stats.get(str(Ending.COMPLETE), "STREAM").num_requests
        counts = {"whole": whole, "lost": environment.stats.total.num_requests - whole}
        print(json.dumps(counts), flush=True)  # noqa: T201  # so `memory.py` hears it
