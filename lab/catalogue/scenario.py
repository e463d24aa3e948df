"""Scenarios as the run sees them: frozen values, every overlay joined, every name checked.

A scenario unfolds into *cases*: one variant behind one proxy, with its configuration file, its exchanges
and what is expected of them. The id of a case, `<scenario>::<proxy>::<label>`, is at once the command
line's argument, the pytest item and the report's anchor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab.catalogue.schema import SymptomTable
from lab.products import Proxy
from lab.suite.exchange import Exchange
from lab.vocabulary import Flag, Group, Requirement, State, Variant


@dataclass(frozen=True)
class Restart:
    """A model server that is started anew.

    Args:
        at: seconds after the first exchange at which it ends.
        down: seconds until it is there again.
        drain: whether it ends the answers that are under way first.
    """

    at: float
    down: float
    drain: bool


@dataclass(frozen=True)
class Case:
    """One variant of one scenario behind one proxy.

    Args:
        label: `broken`, `fixed`, `fixed-<way>`, `not-affected` or `real-defaults`.
        title: what this case is, in a few words; may be empty.
        config: the proxy's whole configuration file.
        symptom: by family, what is expected where the variant is to fail; empty where it is to meet its
            requirements.
        consumers: names of consumers that read each exchange; see `lab.scenarios.consumers`.
        shows: flags that every verdict must carry.
        expects: what else is known of requirements beforehand; what a fixed variant is about is met without a word.
        reload: seconds after the first exchange at which the product reads its files anew; None if it does not.
        restart: of its first model server; None if that stays up.
    """

    scenario: str
    proxy: Proxy
    variant: Variant
    label: str
    title: str
    config: Path
    exchanges: tuple[Exchange, ...]
    symptom: dict[str, SymptomTable]
    consumers: tuple[str, ...]
    shows: tuple[Flag, ...]
    expects: Mapping[Requirement, State] = field(default_factory=dict)
    reload: float | None = None
    restart: Restart | None = None

    @property
    def id(self) -> str:
        """Unique in the catalogue."""
        return f"{self.scenario}::{self.proxy.id}::{self.label}"

    @property
    def timed(self) -> bool:
        """Whether it matters when each of its exchanges is asked, since they meet each other, or a change."""
        times = {(each.delay, each.kept) for each in self.exchanges}
        return len(times) > 1 or self.reload is not None or self.restart is not None


@dataclass(frozen=True)
class Scenario:
    """One failure mode: its story, as Markdown, and its cases."""

    id: str
    folder: Path
    order: int
    title: str
    group: Group
    requirement: Requirement
    readme: str
    sources: tuple[str, ...]
    cases: tuple[Case, ...]
