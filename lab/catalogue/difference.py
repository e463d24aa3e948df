"""The difference between a broken and a fixed configuration: the diff is the fix."""

from __future__ import annotations

import difflib

from lab.catalogue.scenario import Case, Scenario
from lab.files import read_words
from lab.vocabulary import Variant


def fix_of(scenario: Scenario, fixed: Case) -> str:
    """The unified diff from the broken variant's configuration to this one; empty where they are the same file."""
    broken = next(
        case.config
        for case in scenario.cases
        if case.variant is Variant.BROKEN and case.proxy.product is fixed.proxy.product
    )
    lines = difflib.unified_diff(
        read_words(broken).splitlines(),
        read_words(fixed.config).splitlines(),
        broken.name,
        fixed.config.name,
        lineterm="",
    )
    return "\n".join(lines)
