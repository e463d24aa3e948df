"""A whole run beside computing processes: no verdict is wrong, and where there is none it was asked for again."""

from __future__ import annotations

from pathlib import Path

import pytest
from busy import busy_processes
from processes import end_of, running

from lab.errors import ExitCode
from lab.results import load
from lab.vocabulary import Outcome, Precedence


@pytest.mark.busy
@pytest.mark.engine
@pytest.mark.usefixtures("images_in_use")
def test_no_verdict_is_wrong_beside_four_computing_processes(tmp_path: Path) -> None:
    """Every case is as its scenario says; only a lab that may not come before others can be left without a verdict."""
    with busy_processes(4), running("run", "--out", tmp_path) as process:
        code, told, err = end_of(process)
    results = load(tmp_path / "results.json")
    cases = [case for _, _, case in results.cases()]
    assert len(cases) > 400
    without = [case for case in cases if case.outcome is not Outcome.PASSED]
    assert {case.outcome for case in without} <= {Outcome.INCONCLUSIVE}, told + err
    assert all(case.measured > 1 for case in without)
    if results.probe is Precedence.REAL_TIME:
        assert without == [], told
        assert code == ExitCode.AS_REQUIRED
