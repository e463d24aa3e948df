"""An engine and the images, had once for all tests that need them; a machine kept busy; which tests run where."""

from __future__ import annotations

import os
import random
import secrets
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import docker
import hypothesis
import pytest
from busy import busy_processes
from markers import mark, minutes_of, without_browser

from lab.clients.environments import BROWSER
from lab.products import PROXIES
from lab.signals import ENDING
from lab.testbed import images
from lab.testbed._owner import SCOPE_VARIABLE, Owner
from lab.testbed.engine import ensure_engine
from lab.testbed.images import ImageInUse
from lab.testbed.sweep import sweep

pytest_plugins = ["pytester"]
"""pytest tests its plugins with it; pytest asks for it at the top."""

FIXED_SEED = "20261124"

# What the tests of this process put into the engine is theirs alone: they sweep nobody else's, and nobody else sweeps
# theirs. The other workers of the same session are somebody else.
os.environ[SCOPE_VARIABLE] = str(Owner.of(os.getpid()))

CHROMIUM = BROWSER.program and BROWSER.program.find()
if CHROMIUM and sys.platform == "linux" and "TESTS_CHROMIUM" not in os.environ:
    # Whatever starts a Chromium, the lab's own clients too, has one that no other test's containers disturb.
    bin_folder = Path(__file__).with_name("bin")
    os.environ |= {"TESTS_CHROMIUM": CHROMIUM, "TESTS_PYTHON": sys.executable}
    os.environ["PATH"] = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"

_said: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the slow suite draw anew what the quick one draws the same each time."""
    parser.addoption("--seed", default=FIXED_SEED, help="of what tests draw at random: a number, or 'fresh'")


def pytest_configure(config: pytest.Config) -> None:
    """Settle the seed for everybody; leave out the browser's tests where the user does without them."""
    if config.option.seed == "fresh":
        config.option.seed = str(secrets.randbelow(2**32))
    fixed = config.option.seed == FIXED_SEED
    hypothesis.settings.register_profile("lab", deadline=None, derandomize=fixed, print_blob=not fixed)
    hypothesis.settings.load_profile("lab")
    if without_browser():
        chosen = config.option.markexpr
        config.option.markexpr = f"({chosen}) and not browser" if chosen else "not browser"


def pytest_report_header(config: pytest.Config) -> str:
    """What to give to `--seed` to have the same draws again."""
    return f"seed: {config.option.seed}"


@pytest.fixture
def draw(request: pytest.FixtureRequest) -> random.Random:
    """Random numbers of the test's own, from the run's seed."""
    return random.Random(f"{request.config.option.seed} {request.node.nodeid}")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say of each test what it needs, before anybody chooses; what takes long comes first, and so do containers."""
    for item in items:
        mark(item)
    items.sort(key=lambda item: (-minutes_of(item), item.get_closest_marker("engine") is None))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A test that skips itself has failed: what it needs is brought before, or it is left out by name."""
    result = yield
    report = result.get_result()
    if report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} skipped itself: {report.longrepr}"


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Say in the last line what was left out on purpose; nothing is left out in silence."""
    if without_browser() and not hasattr(config, "workerinput"):
        sys.stdout.write("LAB_BROWSER=0: the tests that need a browser were left out.\n")


@pytest.fixture
def own_signals() -> Iterator[None]:
    """The command line sets handlers, which the tests' own process must not keep; a test finds the signals as new.

    Whoever started the tests may have been deaf to some, as `nohup` makes one, and a command honours that.
    """
    before = {number: signal.signal(number, signal.SIG_DFL) for number in ENDING}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def busy_cores() -> Iterator[None]:
    """Two computing processes while the test runs."""
    with busy_processes(2):
        yield


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """A client of the engine, which is brought if need be."""
    client = ensure_engine(_said.append)
    yield client
    sweep(client)
    client.close()


@pytest.fixture(scope="session")
def images_in_use(engine: docker.DockerClient) -> Mapping[str, ImageInUse]:
    """All images, pulled or built if need be."""
    engine.ping()
    return images.ensure([*PROXIES, images.MODEL], _said.append)
