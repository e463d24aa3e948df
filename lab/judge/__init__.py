"""The judge: evidence in, verdict out; the rules stand in tables.

What belongs here is pure: nothing waits, connects or knows a container. `judge_all` judges the
exchanges of one route together, `judge` a single one; `check` holds a requirement against them.
Below stand the evidence, the wire formats and the vocabulary.
"""

from lab.judge.endings import Reading
from lab.judge.exchanged import Exchanged, Exchanges
from lab.judge.requirements import REQUIREMENTS, Observation, Observations, check, observe, observe_all
from lab.judge.rules import Checked, Reported
from lab.judge.timeouts import Exposure, TimeoutFinding, blame
from lab.judge.verdict import Verdict, judge, judge_all, judge_readings

__all__ = [
    "REQUIREMENTS",
    "Checked",
    "Exchanged",
    "Exchanges",
    "Exposure",
    "Observation",
    "Observations",
    "Reading",
    "Reported",
    "TimeoutFinding",
    "Verdict",
    "blame",
    "check",
    "judge",
    "judge_all",
    "judge_readings",
    "observe",
    "observe_all",
]
