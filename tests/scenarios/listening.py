"""A listener that says nothing."""

from __future__ import annotations


class Silence:
    """Hears of a run and keeps it to itself; see `lab.scenarios.rounds.RunListener`."""

    def say(self, line: str) -> None:
        """A line of progress."""

    def begins(self, cases: object) -> None:
        """The testbed stands."""

    def played(self, case: object) -> None:
        """The exchanges of a case are over."""

    def ends(self, case: object, result: object) -> None:
        """A case is over."""
