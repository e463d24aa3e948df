"""The programme: which requests an audit makes, in which order, and what they can cost at most.

One request goes first as a check. Then the routes take turns, so that an hour in which the model is slow is an hour
for all of them, and last come the requests that run at once. The cost is known before the first request: requests
times tokens. Where that would be more than `MOST_TOKENS`, settings are left out, the least telling first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lab.endpoint.address import Endpoint
from lab.endpoint.samples import Setting
from lab.evidence import HttpVersion

MOST_TOKENS = 50_000
"""What one audit may ask for in all, in tokens."""

LONGEST_WAIT = 20.0
"""Seconds of a rate limit's `Retry-After` that the audit waits, once; a longer one ends it."""

USUAL_SPEED = 40.0
"""Tokens a second that a served model writes for one reader, about; what the likely time is told by."""

_MINUTES = 120  # seconds from which minutes are easier to read

OFFERED = "gzip, deflate, br, zstd"
"""What is offered where `Accept-Encoding` is sent: all that browsers offer."""


@dataclass(frozen=True)
class Wish:
    """What the user asked for.

    Args:
        runs: how often each setting is asked, one after another.
        at_once: how many requests the last round of each version makes at the same time; 1 leaves it out.
        max_tokens: the limit that each request sets.
        http: the versions; empty for both over TLS and HTTP/1.1 in clear text.
    """

    runs: int = 3
    at_once: int = 3
    max_tokens: int = 600
    http: tuple[HttpVersion, ...] = ()


@dataclass(frozen=True)
class PlannedRequest:
    """One request: the route and how it is asked."""

    endpoint: Endpoint
    setting: Setting


Round = tuple[PlannedRequest, ...]
"""Requests that are made at the same time."""


@dataclass(frozen=True)
class Programme:
    """All rounds in order; the first has one request, which is the check.

    Args:
        rounds: what is asked.
        max_tokens: the limit of each request.
        left_out: what was left out to stay below `MOST_TOKENS`, in words; empty if nothing was.
        own: whether the user's own request is made, which need not set a limit.
    """

    rounds: tuple[Round, ...]
    max_tokens: int
    left_out: tuple[str, ...] = ()
    own: bool = False

    @property
    def requests(self) -> int:
        """How many requests there are at most."""
        return sum(len(requests) for requests in self.rounds)

    @property
    def tokens(self) -> int:
        """How many tokens they can bring at most."""
        return self.requests * self.max_tokens

    def cost(self) -> str:
        """The cost in words, for the reader who may still stop it."""
        requests = "1 request" if self.requests == 1 else f"{self.requests} requests"
        if self.own:
            return (
                f"{requests} of your own: what an answer costs, the request says; {self.max_tokens:,} tokens of each "
                "are read; stops early if the first is refused or a rate limit is met"
            )
        each = "" if self.requests == 1 else " each"
        return (
            f"{requests} of at most {self.max_tokens:,} tokens{each}: at most {self.tokens:,} tokens; "
            "stops early if the first is refused or a rate limit is met, and reads no answer on that plainly ignores "
            "its limit"
        )

    def most_seconds(self, patience: float) -> float:
        """How long it may take, if no answer may take longer than that many seconds."""
        return len(self.rounds) * patience + LONGEST_WAIT

    def duration(self, patience: float) -> str:
        """The same in words."""
        each = min(patience, self.max_tokens / USUAL_SPEED)
        likely, most = _in_words(len(self.rounds) * each), _in_words(self.most_seconds(patience))
        return (
            f"takes about {likely} where a model writes {USUAL_SPEED:g} tokens a second; the bound is {most}, if every "
            f"answer goes on until the audit leaves it after {patience:g} s (see --longest)"
        )


def _in_words(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < _MINUTES else f"{seconds / 60:.0f} min"


@dataclass(frozen=True)
class _Scope:
    """How much is asked of which routes; the audited route is always asked in full."""

    runs: int
    at_once_for_all: bool = True
    codings_for_all: bool = True
    versions_for_all: bool = True
    at_once: bool = True
    codings: bool = True


def make_programme(endpoints: Sequence[Endpoint], wish: Wish) -> Programme:
    """The fullest programme that costs no more than `MOST_TOKENS`, or the smallest there is."""
    scopes = _narrower(wish.runs, alone=len(endpoints) == 1)
    left_out: list[str] = []
    for words, scope in scopes:
        if words:
            left_out.append(words)
        rounds = tuple(_rounds(endpoints, wish, scope))
        if sum(map(len, rounds)) * wish.max_tokens <= MOST_TOKENS:
            break
    return Programme(rounds, wish.max_tokens, tuple(left_out))


def _narrower(runs: int, *, alone: bool) -> list[tuple[str, _Scope]]:
    """From everything to the least, each step with what it leaves out."""
    scope = _Scope(runs)
    steps = [("", scope)]
    if not alone:
        steps.append(("requests at once for the other routes", scope := replace(scope, at_once_for_all=False)))
        steps.append(("Accept-Encoding for the other routes", scope := replace(scope, codings_for_all=False)))
        steps.append(("HTTP/2 for the other routes", scope := replace(scope, versions_for_all=False)))
    for fewer in range(runs - 1, 0, -1):
        steps.append((f"run {fewer + 1}", scope := replace(scope, runs=fewer)))
    steps.append(("requests at once", scope := replace(scope, at_once=False)))
    steps.append(("Accept-Encoding", replace(scope, codings=False)))
    return steps


def _rounds(endpoints: Sequence[Endpoint], wish: Wish, scope: _Scope) -> list[Round]:
    settings = {one: _settings(one, wish, scope, first=one is endpoints[0]) for one in endpoints}
    most = max(len(found) for found in settings.values())
    rounds: list[Round] = []
    for _ in range(scope.runs):
        for column in range(most):
            rounds += [(PlannedRequest(one, found[column]),) for one, found in settings.items() if column < len(found)]
    for place, (endpoint, found) in enumerate(settings.items()):
        if wish.at_once > 1 and scope.at_once and (place == 0 or scope.at_once_for_all):
            for setting in found:
                if not setting.accept_encoding:
                    together = replace(setting, at_once=wish.at_once)
                    rounds.append(tuple(PlannedRequest(endpoint, together) for _ in range(wish.at_once)))
    return rounds


def _settings(endpoint: Endpoint, wish: Wish, scope: _Scope, *, first: bool) -> list[Setting]:
    versions = wish.http or (tuple(HttpVersion) if endpoint.secure else (HttpVersion.HTTP_1_1,))
    if not (first or scope.versions_for_all):
        versions = versions[:1]
    codings = ("", OFFERED) if scope.codings and (first or scope.codings_for_all) else ("",)
    return [Setting(endpoint.route, version, coding) for coding in codings for version in versions]
