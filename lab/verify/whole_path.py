"""A path of several hops, written down in a file: which hop ends which answers first, and which heartbeats clear all.

A hop is known in one of three ways, and every sentence says in which: read from a configuration, measured by an active
audit, or stated by whoever runs it. What is stated was measured by nobody here.
"""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from lab.catalogue.loader import read_table
from lab.durations import Duration, write_duration
from lab.errors import BadInput
from lab.measure.findings import ActiveFindings, Found
from lab.products import PRODUCTS
from lab.products.adapted import EntranceWish
from lab.vocabulary import Requirement, State, Watched

KEYS = "docs/verify.md lists the keys of a path."


class _Table(BaseModel):
    """Base of every table: unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class StatedTable(_Table):
    """Timeouts that somebody states, with where it stands and when it was read; what is not stated counts as none."""

    source: str
    date: datetime.date
    first_byte: Duration | None = None
    idle: Duration | None = None
    total: Duration | None = None

    @model_validator(mode="after")
    def _has_one(self) -> StatedTable:
        if self.first_byte is None and self.idle is None and self.total is None:
            raise ValueError("no timeout is stated: first_byte, idle or total")
        return self


class FileTable(_Table):
    """A configuration, relative to the file that names it; the other keys are those of the options of lab check."""

    product: str
    file: Path
    version: str = ""
    path: str = ""
    host: str = ""


class HopTable(_Table):
    """One hop: known in exactly one way."""

    name: str
    profile: str | None = None
    stated: StatedTable | None = None
    config: FileTable | None = None
    audit: Path | None = None

    @model_validator(mode="after")
    def _is_known_once(self) -> HopTable:
        if sum(each is not None for each in (self.profile, self.stated, self.config, self.audit)) != 1:
            raise ValueError("a hop has one of profile, stated, config and audit")
        return self


class PathTable(_Table):
    """The whole file: how long answers take, and the hops from the client to the model."""

    first_token: Duration = 60.0
    gap: Duration = 60.0
    longest: Duration = 60.0
    hops: Annotated[list[HopTable], Field(min_length=1)]


PROFILES: Mapping[str, StatedTable] = TypeAdapter(dict[str, StatedTable]).validate_python(
    tomllib.loads(Path(__file__).with_name("profiles.toml").read_text(encoding="utf-8"))
)
"""By the name that a hop's `profile` takes."""


@dataclass(frozen=True)
class Hop:
    """One hop, with what is known of it.

    Args:
        name: as the user calls it.
        basis: how it is known, in words.
        timeouts: in seconds, by what they watch.
        proven: where it was measured and no timeout was found, the seconds up to which that was looked at.
        holding: where it may hold heartbeats back; empty where it does not, or nobody knows.
    """

    name: str
    basis: str
    timeouts: Mapping[Watched, float]
    proven: Mapping[Watched, float] = field(default_factory=dict)
    holding: str = ""


_SILENCES = (Watched.FIRST_BYTE, Watched.FIRST_TOKEN, Watched.IDLE)
"""What a heartbeat ends."""


def _stated(name: str, table: StatedTable) -> Hop:
    values = {
        # Whoever ends a silence ends that before the first byte too, unless it has a timeout of its own.
        Watched.FIRST_BYTE: table.first_byte or table.idle,
        Watched.BATCH_REPLY: table.first_byte or table.idle,
        Watched.FIRST_TOKEN: table.idle,
        Watched.IDLE: table.idle,
        Watched.TOTAL: table.total,
    }
    timeouts = {watched: value for watched, value in values.items() if value is not None}
    return Hop(name, f"stated, not measured: {table.source} ({table.date})", timeouts)


def _configured(name: str, table: FileTable, folder: Path) -> Hop:
    product = PRODUCTS.get(table.product)
    if product is None or product.read_timeouts is None:
        able = ", ".join(each.name for each in PRODUCTS.values() if each.read_timeouts is not None)
        raise BadInput(f"{name}: timeouts in files of {table.product} are not read yet.", f"They are of: {able}.")
    version = table.version or product.versions[-1].number
    found = list(product.read_timeouts(folder / table.file, EntranceWish(table.path, table.host), version))
    if len(found) > 1:
        places = "; ".join(str(each.entrance.spot) for each in found)
        raise BadInput(f"{name}: {table.file} leads to a model in {len(found)} places: {places}", "Say path or host.")
    (only,) = found
    place = only.spot or f"the default, which {only.entrance.spot.file}:{only.entrance.spot.line} does not override"
    watched = (*_SILENCES, Watched.BATCH_REPLY)
    holding = "" if only.holding is None else str(only.holding)
    return Hop(name, f"read: {place}", dict.fromkeys(watched, only.seconds), holding=holding)


def _measured(name: str, findings: ActiveFindings, path: Path) -> Hop:
    timeouts = {each.watched: each.least for each in findings.timeouts if each.least is not None}
    proven = {each.watched: each.proven for each in findings.timeouts if each.watched not in timeouts}
    unsure = [each.watched.value for each in findings.timeouts if each.found in (Found.UNKNOWN, Found.HIDDEN)]
    words = f"; it cannot tell of {', '.join(unsure)}" if unsure else ""
    basis = f"measured: {path} ({findings.started[:10]}){words}"
    held = [each for each in findings.observations if each.requirement is Requirement.PASSES_HEARTBEATS_ON]
    holding = next((each.words for each in held if each.state is State.NOT_MET), "")
    return Hop(name, basis, timeouts, proven, holding)


def hops_of(table: PathTable, folder: Path, audits: Mapping[Path, ActiveFindings]) -> Iterator[Hop]:
    """The hops of a path, from the client to the model.

    Args:
        table: the path.
        folder: of the file that it stands in; other files are named from there.
        audits: what the audits found that it names, by file.

    Raises:
        BadInput: a profile or product that there is not, or a file that cannot be read.
    """
    for each in table.hops:
        if each.audit is not None:
            yield _measured(each.name, audits[each.audit], each.audit)
        elif each.config is not None:
            yield _configured(each.name, each.config, folder)
        elif each.stated is not None:
            yield _stated(each.name, each.stated)
        elif (profile := PROFILES.get(each.profile or "")) is not None:
            yield _stated(each.name, profile)
        else:
            raise BadInput(f"{each.name}: there is no profile {each.profile}.", f"Choose from {', '.join(PROFILES)}.")


def read_path(path: Path) -> PathTable:
    """Read the file.

    Raises:
        BadInput: names the file, the key and the remedy.
    """
    return read_table(path, PathTable, KEYS)


class Fate(StrEnum):
    """What becomes of an answer on a path."""

    CUT = "cut"
    COMES_THROUGH = "comes through"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True)
class Answer:
    """A kind of answer, and what becomes of it.

    Args:
        words: which.
        fate: what becomes of it.
        hop: which ends it first, or of which nobody knows; None where it comes through.
        watched: what the timeout watches that ends it, or of which nobody knows.
        seconds: after which it is ended, or up to which it was measured.
    """

    words: str
    fate: Fate
    hop: Hop | None = None
    watched: Watched = Watched.TOTAL
    seconds: float = 0.0


def answers_on(table: PathTable, hops: Sequence[Hop]) -> list[Answer]:
    """What becomes of the answers that a path has to carry. Pure."""
    first, gap, longest = (write_duration(each) for each in (table.first_token, table.gap, table.longest))
    return [
        _fate(f"a stream whose first token comes after {first}", table.first_token, Watched.FIRST_BYTE, hops),
        _fate(f"a stream that is silent for {gap}", table.gap, Watched.IDLE, hops),
        _fate(f"a stream that takes {longest}", table.longest, Watched.TOTAL, hops),
        _fate(f"a batch reply after {longest}", table.longest, Watched.BATCH_REPLY, hops),
    ]


def _fate(words: str, wait: float, watched: Watched, hops: Sequence[Hop]) -> Answer:
    """What ends a wait of so many seconds: what watches it, or a timeout on the whole."""
    asked = [(hop, each) for each in dict.fromkeys((watched, Watched.TOTAL)) for hop in hops]
    cuts = [(hop.timeouts[each], hop, each) for hop, each in asked if hop.timeouts.get(each, wait + 1) <= wait]
    if cuts:
        seconds, hop, by = min(cuts, key=lambda cut: cut[0])
        return Answer(words, Fate.CUT, hop, by, seconds)
    unknown = [(hop.proven[each], hop, each) for hop, each in asked if hop.proven.get(each, wait) < wait]
    if unknown:
        seconds, hop, by = min(unknown, key=lambda one: one[0])
        return Answer(words, Fate.CANNOT_TELL, hop, by, seconds)
    return Answer(words, Fate.COMES_THROUGH)


def silences_ended(table: PathTable, hops: Sequence[Hop]) -> tuple[bool, bool]:
    """Whether some hop ends the wait for a first token, and a silence amid a stream, since no byte comes. Pure."""
    waits = ((Watched.FIRST_BYTE, table.first_token), (Watched.IDLE, table.gap))
    first, amid = (any(hop.timeouts.get(each, wait + 1) <= wait for hop in hops) for each, wait in waits)
    return first, amid


def heartbeat_for(hops: Sequence[Hop]) -> float | None:
    """Seconds between heartbeats with which no hop sees a silence that it ends; None where none ends one. Pure.

    Half of the shortest timeout, so that one that is late or lost costs no stream; and no longer than any silence that
    was measured to come through where no timeout was found.
    """
    ended = [hop.timeouts[each] for hop in hops for each in _SILENCES if each in hop.timeouts]
    survived = [hop.proven[each] for hop in hops for each in _SILENCES if hop.proven.get(each)]
    return min([min(ended) / 2, *survived]) if ended else None


def unreached(hops: Sequence[Hop]) -> list[tuple[Hop, Sequence[Hop]]]:
    """Each hop that may hold heartbeats back, with those in front of it, which do not see them then. Pure."""
    return [(hop, hops[:number]) for number, hop in enumerate(hops) if hop.holding and number]
