"""A user's configuration as the lab can run it: by which routes it leads to the model, and what was replaced. Pure.

A file that is in production names hosts, ports, users, certificates and folders that are not here. An adapter replaces
those in a copy, lists each replacement, and touches nothing that bears on how a reply is handed on. The copy is a
template as every configuration of the lab's is: `${PORT}` where it is asked, `${MODEL}` for the model server.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lab.vocabulary import Requirement


@dataclass(frozen=True)
class Spot:
    """A place in a user's files.

    Args:
        file: as the user's system has it.
        line: from 1.
        text: what stands there, on one line.
    """

    file: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


Change = str | Spot
"""What a copy has otherwise than a user's file: a setting that is put in, or a line that is left out."""


@dataclass(frozen=True)
class Replacement:
    """Something that the copy has otherwise.

    Args:
        spot: where it stood.
        now: what stands there in the copy; empty where it was taken out.
        why: in a few words.
    """

    spot: Spot
    now: str
    why: str

    def __str__(self) -> str:
        return f"{self.spot} -> {self.now or 'left out'} ({self.why})"


@dataclass(frozen=True)
class Entrance:
    """One place of a configuration through which the model is asked.

    Args:
        name: short, and unique in its configuration.
        path: of a request that comes through it.
        host: that the request names; empty where any will do.
        secure: whether it is asked over TLS.
        spot: where it stands.
        http_2: whether it offers HTTP/2.
    """

    name: str
    path: str
    host: str
    secure: bool
    spot: Spot
    http_2: bool = False


@dataclass(frozen=True)
class EntranceWish:
    """Which entrances a user means.

    Args:
        path: of the requests; empty for one of each entrance's own.
        host: that the requests name; empty for one of the configuration's own.
        upstreams: by which names the configuration calls the model; empty for whatever it leads to.
    """

    path: str = ""
    host: str = ""
    upstreams: tuple[str, ...] = ()


class Adapter(Protocol):
    """A user's configuration of one product, read."""

    @property
    def tunable(self) -> bool:
        """Whether settings can be put into it."""

    @property
    def entrances(self) -> Sequence[Entrance]:
        """Where the model is asked; at least one."""

    @property
    def passed_over(self) -> Sequence[Spot]:
        """Places that pass requests on and are none of a model's, as their names tell, so that they are not asked."""

    def copy(self, entrance: Entrance, settings: Sequence[str] = (), without: Sequence[Spot] = ()) -> str:
        """The text that the lab runs to ask there.

        Args:
            entrance: which.
            settings: lines that are to hold for it, each in the place of a like one.
            without: which of its `lines` are left out.
        """

    def lines(self, entrance: Entrance) -> Sequence[Spot]:
        """The user's own lines that the copy has as they are, and that can be left out one by one."""

    def replacements(self, entrance: Entrance) -> Sequence[Replacement]:
        """What that copy has otherwise than the user's files."""

    def leave_out(self, complaint: str) -> bool:
        """Take out what the product does not know, as it complains; False where it complains of something else."""

    def locate(self, words: str, entrance: Entrance, copy: Path) -> str:
        """What the product says of the copy at that path, with the user's own file and line."""

    def edit(self, entrance: Entrance, settings: Sequence[str]) -> Mapping[Path, str]:
        """The user's files that have to change for these settings to hold there, with their new text."""

    def without(self, spot: Spot) -> Mapping[Path, str]:
        """The user's files that have to change for one of the `lines` to go, with their new text."""

    def spot_of(self, entrance: Entrance, setting: str) -> Spot | None:
        """Where the setting that such a line replaces stands; None where the product's default holds."""


def lines_out(text: str, first: int, last: int) -> str:
    """A text without some of its lines, which are counted from 1."""
    lines = text.splitlines(keepends=True)
    return "".join([*lines[: first - 1], *lines[last:]])


@dataclass(frozen=True)
class Mending:
    """A change with which a requirement is met that is not met without it.

    Args:
        setting: the line that is put in; empty where one is left out.
        spot: what stands in its place in the user's file, or is left out; None where the product's default holds.
    """

    setting: str
    spot: Spot | None

    @property
    def change(self) -> Change | None:
        """What has to change: the setting, or the line that goes."""
        return self.setting or self.spot

    def __str__(self) -> str:
        return f"with `{self.setting}`" if self.setting else f"without `{self.spot.text if self.spot else ''}`"


@dataclass(frozen=True)
class Needs:
    """How long the answers take that a configuration has to carry, in seconds; 0 where nobody says.

    Args:
        longest: a whole answer.
        first_token: the wait for its first token.
        gap: the longest silence amid it.
    """

    longest: float = 0.0
    first_token: float = 0.0
    gap: float = 0.0


@dataclass(frozen=True)
class Remark:
    """Something in a configuration that breaks a stream, told from its text.

    Args:
        entrance: where.
        spot: the directive; None where the default holds.
        requirement: what is not met.
        why: in a sentence.
        fix: the line that mends it.
        scenario: which shows it.
    """

    entrance: Entrance
    spot: Spot | None
    requirement: Requirement
    why: str
    fix: str
    scenario: str


Check = Callable[[Path, EntranceWish, str, Needs], Iterator[Remark]]
"""Tells from a user's file, for a version of its product, what breaks a stream.

Raises:
    BadInput: as `Adapt`.
"""


@dataclass(frozen=True)
class ReadTimeout:
    """How long a configuration waits for the model's next byte, the first one too.

    Args:
        entrance: where.
        seconds: after which it ends a silent reply.
        spot: the directive; None where the default holds.
        holding: the directive by which heartbeats may be held back, or the entrance where that is the default; None
            where they are not.
    """

    entrance: Entrance
    seconds: float
    spot: Spot | None
    holding: Spot | None


ReadTimeouts = Callable[[Path, EntranceWish, str], Iterator[ReadTimeout]]
"""Tells from a user's file, for a version of its product, how long each entrance waits.

Raises:
    BadInput: as `Adapt`.
"""


def ends_of(path: str) -> list[Path]:
    """Ever less of a path or pattern from its end: where a file of the user's system may stand below another folder.

    A pattern keeps its folder: `*.conf` alone is for whatever lies about.
    """
    parts = Path(path).parts
    least = 2 if re.search(r"[*?\[]", Path(path).name) else 1
    return [Path(*parts[start:]) for start in range(1, len(parts) - least + 1)]


API_PATHS = (
    "/v1/chat/completions",
    "/v1/messages",
    "/v1/responses",
    "/v1/completions",
    "/api/chat",
    "/api/generate",
)
"""What clients of models ask for."""


def paths_below(start: str) -> list[str]:
    """Paths of requests that begin so, the likeliest first: what clients of models ask for, at it or below it."""
    base = start.rstrip("/")
    inside = [each for each in API_PATHS if each.startswith(start)]
    ends = [
        base + each.removeprefix(part)
        for part in ("/v1", "/api")
        for each in API_PATHS
        if base.endswith(part) and each.startswith(part)
    ]
    return [*inside, *ends, *(base + each for each in API_PATHS), start]


def endpoint_of(path: str) -> str:
    """How the path of a model's endpoint ends, whatever stands before; empty where it is none's."""
    return max((each for each in _ENDPOINTS if path.endswith(each)), key=len, default="")


_ENDPOINTS = ("/chat/completions", "/completions", "/responses", "/v1/messages", "/api/chat", "/api/generate")


def is_for_others(place: str) -> bool:
    """Whether no client of a model asks at a place, as its path or pattern tells: health checks, figures, pages."""
    return _OTHERS.search(place) is not None


_OTHERS = re.compile(
    r"/(health\w*|live\w*|ready\w*|ping|status|metrics|docs|redoc|openapi\.json|favicon\.ico|robots\.txt|static|assets|"
    r"images?|_next|\.well-known|models|embeddings|ws|socket\.io|grafana|prometheus|admin)/?\$?$"
)


Adapt = Callable[[Path, EntranceWish], Adapter]
"""Reads a user's file or folder.

Raises:
    BadInput: it cannot be read, or has no place through which a model could be asked; names file and line.
"""
