"""One exchange that was made: what was asked, what both ends saw of it, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from lab.evidence import Evidence
from lab.judge.doubt import ALONE, Doubt, Others, doubt_of, others_of
from lab.judge.endings import Reading
from lab.judge.timeouts import Exposure, exposure_of
from lab.judge.verdict import Verdict, judge_readings
from lab.suite.exchange import Exchange


@dataclass(frozen=True)
class Exchanged:
    """One exchange, as the judge's rules look at it, with its verdict.

    Args:
        exchange: what was asked.
        reading: what came, as the judge reads it.
        verdict: what that proves.
        others: what those over the same route tell of it.
    """

    exchange: Exchange
    reading: Reading
    verdict: Verdict
    others: Others = ALONE

    @staticmethod
    def alone(exchange: Exchange, evidence: Evidence) -> Exchanged:
        """Judge one exchange by itself; which timeout cut it, one exchange can often not tell."""
        return Exchanged.together([exchange], [evidence])[0]

    @staticmethod
    def together(exchanges: Sequence[Exchange], evidence: Sequence[Evidence]) -> tuple[Exchanged, ...]:
        """Judge exchanges over one route together, so that each is a control for the timeouts of the others."""
        readings = [Reading.of(each) for each in evidence]
        return tuple(map(Exchanged, exchanges, readings, judge_readings(readings), others_of(evidence)))

    @property
    def name(self) -> str:
        """The exchange's."""
        return self.exchange.name

    @property
    def evidence(self) -> Evidence:
        """Both ends' account of it."""
        return self.reading.evidence

    @cached_property
    def doubt(self) -> Doubt:
        """What about its verdict may be the lab's own lateness."""
        return doubt_of(self.evidence, self.verdict, self.others)

    @cached_property
    def exposure(self) -> Exposure:
        """What it tells about timeouts."""
        return exposure_of(self.reading)


Exchanges = Mapping[str, Exchanged]
"""Exchanges over one route, by name."""
