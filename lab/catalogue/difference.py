"""The difference between a broken and a fixed configuration: the diff is the fix."""

from __future__ import annotations

import difflib

from lab.catalogue.scenario import Scenario, Staging
from lab.files import read_words
from lab.words import Side


def fix_of(scenario: Scenario, fixed: Staging) -> str:
    """The unified diff from the broken side's configuration to this one; empty where they are the same file."""
    broken = next(
        staging.config
        for staging in scenario.stagings
        if staging.side is Side.BROKEN and staging.proxy.product is fixed.proxy.product
    )
    lines = difflib.unified_diff(
        read_words(broken).splitlines(),
        read_words(fixed.config).splitlines(),
        broken.name,
        fixed.config.name,
        lineterm="",
    )
    return "\n".join(lines)
