"""The made-up run, once: it is frozen, so tests can share it."""

from __future__ import annotations

import pytest

from lab.results import Results

from .sample import sample


@pytest.fixture(name="results", scope="session")
def _results() -> Results:
    return sample()
