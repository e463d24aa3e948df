"""The scenarios as pytest items: `pytest scenarios/`, or any folder of scenarios.

Each `scenario.toml` holds its cases under their own ids, `<scenario>::<proxy>::<label>`. This module is
loaded by every pytest session on the machine that has the lab installed, so it imports nothing of the lab
until there is a scenario.

Warning: under pytest-xdist each worker would start a testbed of its own; run the scenarios in one process.
"""

from __future__ import annotations

from pathlib import Path

import pytest

_FOUND = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer the cases that take more than a minute."""
    group = parser.getgroup("token-stream-lab")
    group.addoption("--real-defaults", action="store_true", help="run the products' own, unshortened timeouts as well")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect every `scenario.toml`."""
    if file_path.name != "scenario.toml":
        return None
    from lab.pytest_items import ScenarioFile

    parent.config.stash[_FOUND] = True
    file: ScenarioFile = ScenarioFile.from_parent(parent, path=file_path)
    return file


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start all selected cases at once, unless pytest is about to stop without running any."""
    option = session.config.option
    faulty = session.testsfailed and not option.continue_on_collection_errors
    if session.config.stash.get(_FOUND, False) and not option.collectonly and not faulty:
        from lab.pytest_items import start_run

        start_run(session)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Leave nothing behind, however the session ends."""
    if session.config.stash.get(_FOUND, False):
        from lab.pytest_items import stop_run

        stop_run(session)
