"""What in an nginx configuration breaks a stream, told from its text: each rule stands on a scenario.

A value is looked up as nginx does: in the location, then in what it stands in, then the default of that version. What
only running it can tell (how the upstream frames its replies, what another hop does) is `lab verify`'s business.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.errors import BadInput
from lab.products._product import order_of
from lab.products.adapted import EntranceWish, Needs, ReadTimeout, Remark, Spot
from lab.products.nginx.adapt import adapt
from lab.products.nginx.routes import destinations, groups_of, passes_of
from lab.products.nginx.tree import Statement
from lab.vocabulary import Requirement

_SECONDS = {"": 1.0, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
"""nginx's units of time, the second where there is none."""

_BYTES = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}

_SAYS_NOTHING = frozenset({"mime.types", "fastcgi_params", "fastcgi.conf", "uwsgi_params", "scgi_params"})
"""Files that come with nginx and have nothing to do with what is passed on over HTTP."""

REFUSED = "Correct it: nginx refuses the file."
"""What to do about a value that is none."""

_KEEPS_CONNECTIONS = order_of("1.29.7")
"""Since when nginx asks with HTTP/1.1 by default, and keeps its connections to a group of servers open."""

SMALLEST_BODY = 256 * 2**10
"""Bytes of a request that carries a long conversation; the suite's own."""


@dataclass(frozen=True)
class Values:
    """What holds in one location.

    Args:
        location: which.
        version: of nginx, as numbers.
        needs: how long answers take.
        secure: whether it is asked over TLS.
    """

    location: Statement
    version: tuple[int, ...]
    needs: Needs
    secure: bool

    def find(self, name: str) -> Statement | None:
        """The directive that holds; None where the default does.

        Raises:
            BadInput: nginx refuses its words.
        """
        for level in self.location.upward():
            for each in level.own(name):
                if refusal := each.refusal():
                    raise BadInput(refusal, REFUSED)
                return each
        return None

    def words(self, name: str, default: str = "") -> list[str]:
        """Its arguments."""
        found = self.find(name)
        return default.split() if found is None else found.args

    def spot(self, name: str) -> Spot | None:
        """Where it stands."""
        found = self.find(name)
        return None if found is None else found.spot

    @property
    def missing(self) -> str:
        """What is included there and is in no file that is here, in words; empty where nothing is."""
        names = [each.args[0] for level in self.location.upward() for each in level.own("include")]
        names = [each for each in names if Path(each).name not in _SAYS_NOTHING]
        return f"unless {' or '.join(names)} says otherwise, which is not here" if names else ""

    @property
    def buffers(self) -> bool:
        """Whether replies are buffered."""
        return self.words("proxy_buffering", "on") != ["off"]


@dataclass(frozen=True)
class Breach:
    """A directive that breaks a stream.

    Args:
        directive: its name.
        requirement: what is not met.
        why: in a sentence.
        fix: the line that mends it.
        scenario: which shows it.
    """

    directive: str
    requirement: Requirement
    why: str
    fix: str
    scenario: str


Rule = Callable[[Values], Iterator[Breach]]


def _version_of_http(values: Values) -> Iterator[Breach]:
    default = "1.1" if values.version >= _KEEPS_CONNECTIONS else "1.0"
    if values.words("proxy_http_version", default) != ["1.0"]:
        return
    found = [(Requirement.SHOWS_A_CUT_AS_A_CUT, "one that died looks whole", "death-becomes-clean-end")]
    # Over TLS they are held whatever the version.
    if values.buffers and not values.secure:
        held = "they are held until a page is full or all is over"
        found += [
            (Requirement.PASSES_HEARTBEATS_ON, held, "close-delimited-upstream"),
            (Requirement.MOVES_THE_FIRST_TOKEN_FORWARD, held, "stream-or-batch"),
        ]
    for requirement, what, scenario in found:
        why = f"the model is asked with HTTP/1.0, whose replies end with the connection: {what}"
        yield Breach("proxy_http_version", requirement, why, "proxy_http_version 1.1;", scenario)


def _buffering(values: Values) -> Iterator[Breach]:
    held = {
        "close-delimited-upstream": (
            Requirement.DELIVERS_TOKENS_AS_THEY_COME,
            "a reply that is delimited by close, an event larger than a page, or a compressed stream is held back",
        ),
        "lost-in-the-buffer": (
            Requirement.DELIVERS_WHAT_WAS_SENT,
            "what has come is thrown away when the model's connection is reset",
        ),
        "recommended": (
            Requirement.SENDS_HEADERS_AT_ONCE,
            "headers that the model sends early wait for the first token",
        ),
    }
    breaches = [(scenario, *breach) for scenario, breach in held.items()]
    if values.secure:
        why = "over TLS everything is held until a record of 16 KiB is full or all is over"
        breaches += [
            ("tls-record", Requirement.PASSES_HEARTBEATS_ON, why),
            ("tls-record", Requirement.MOVES_THE_FIRST_TOKEN_FORWARD, why),
        ]
    for scenario, requirement, why in breaches if values.buffers else ():
        yield Breach("proxy_buffering", requirement, why, "proxy_buffering off;", scenario)


def _timeout(values: Values) -> Iterator[Breach]:
    seconds = _seconds(values, "proxy_read_timeout", "60s")
    waits = {
        "late-first-token": (Requirement.WAITS_FOR_THE_FIRST_TOKEN, values.needs.first_token),
        "silent-gap": (Requirement.SURVIVES_SILENCE, values.needs.gap),
        "silent-batch-reply": (Requirement.WAITS_FOR_BATCH_REPLIES, values.needs.longest),
    }
    for scenario, (requirement, wait) in waits.items():
        if seconds <= wait:
            why = f"{seconds:g} s without a byte end the reply, and {wait:g} s are wanted"
            fix = f"proxy_read_timeout {max(600, round(1.2 * wait))}s;"
            yield Breach("proxy_read_timeout", requirement, why, fix, scenario)


def _switches(values: Values) -> Iterator[Breach]:
    """Directives of which one value breaks a stream."""
    # A level that has one has none of those above it.
    own = next((found for level in values.location.upward() if (found := level.own("error_page"))), [])
    pages = {word for each in own for word in each.args}
    table = (
        (
            values.words("proxy_ignore_client_abort") == ["on"],
            Breach(
                "proxy_ignore_client_abort",
                Requirement.STOPS_WHEN_THE_CLIENT_LEAVES,
                "the model goes on for a client that has left",
                "proxy_ignore_client_abort off;",
                "client-leaves",
            ),
        ),
        (
            values.words("proxy_intercept_errors") == ["on"] and bool({"429", "503"} & pages),
            Breach(
                "proxy_intercept_errors",
                Requirement.PASSES_ERRORS_ON,
                "the model's own errors are replaced by pages",
                "proxy_intercept_errors off;",
                "recommended",
            ),
        ),
        (
            "non_idempotent" in values.words("proxy_next_upstream") and _has_another_try(values),
            Breach(
                "proxy_next_upstream",
                Requirement.GENERATES_ONCE,
                "a POST that failed is sent to the next server, and generated twice",
                "proxy_next_upstream error timeout;",
                "recommended",
            ),
        ),
        (
            values.words("chunked_transfer_encoding") == ["off"],
            Breach(
                "chunked_transfer_encoding",
                Requirement.SHOWS_A_CUT_AS_A_CUT,
                "without chunks the end of the connection is the end of the answer: a cut looks whole",
                "chunked_transfer_encoding on;",
                "death-becomes-clean-end",
            ),
        ),
    )
    yield from (breach for broken, breach in table if broken)


def _has_another_try(values: Values) -> bool:
    """Whether there is another server, or another connection that was kept open, for a request that failed."""
    *_, top = values.location.upward()
    groups = groups_of(top)
    asked = [groups[where] for each in passes_of(values.location) for where in destinations(each) if where in groups]
    keeps = values.version >= _KEEPS_CONNECTIONS
    return any(keeps or len(each.own("server")) > 1 or each.own("keepalive") for each in asked)


def _cache(values: Values) -> Iterator[Breach]:
    if values.words("proxy_cache", "off") != ["off"] and "POST" in values.words("proxy_cache_methods"):
        why = "a reply that is being cached is read to its end, also for a client that has left"
        requirement = Requirement.STOPS_WHEN_THE_CLIENT_LEAVES
        yield Breach("proxy_cache", requirement, why, "proxy_cache off;", "client-leaves")


def _body(values: Values) -> Iterator[Breach]:
    if 0 < _bytes(values, "client_max_body_size", "1m") < SMALLEST_BODY:
        why = f"a request of {SMALLEST_BODY // 1024} KiB, a long conversation, is refused with 413"
        for requirement in (Requirement.DELIVERS_TOKENS_AS_THEY_COME, Requirement.GENERATES_ONCE):
            yield Breach("client_max_body_size", requirement, why, "client_max_body_size 8m;", "recommended")


RULES: tuple[Rule, ...] = (_version_of_http, _buffering, _timeout, _switches, _cache, _body)
"""In the order in which a reader wants them."""


def check(path: Path, wish: EntranceWish, version: str, needs: Needs) -> Iterator[Remark]:
    """What breaks a stream at each entrance of a file, told from its text; see `lab.products.adapted.Check`."""
    adapter = adapt(path, wish)
    for entrance in adapter.entrances:
        values = Values(adapter.location(entrance), order_of(version), needs, entrance.secure)
        for rule in RULES:
            for each in rule(values):
                spot = values.spot(each.directive)
                why = each.why if spot is not None or not values.missing else f"{each.why}; {values.missing}"
                yield Remark(entrance, spot, each.requirement, why, each.fix, each.scenario)


def read_timeouts(path: Path, wish: EntranceWish, version: str) -> Iterator[ReadTimeout]:
    """How long each entrance of a file waits for the model; see `lab.products.adapted.ReadTimeouts`."""
    adapter = adapt(path, wish)
    for entrance in adapter.entrances:
        values = Values(adapter.location(entrance), order_of(version), Needs(), entrance.secure)
        seconds = _seconds(values, "proxy_read_timeout", "60s")
        holding = (values.spot("proxy_buffering") or entrance.spot) if values.buffers else None
        yield ReadTimeout(entrance, seconds, values.spot("proxy_read_timeout"), holding)


def _seconds(values: Values, name: str, default: str) -> float:
    """A time of nginx's in seconds, such as `1m 30s`.

    Raises:
        BadInput: it is none.
    """
    text = values.words(name, default)[0]
    if not re.fullmatch(rf"({_TIME.pattern} *)+", text):
        raise _refused(values, name)
    return sum(int(number) * _SECONDS[unit] for number, unit in _TIME.findall(text))


_TIME = re.compile(r"(\d+)(ms|[smhdw]?)")


def _bytes(values: Values, name: str, default: str) -> int:
    """A size of nginx's in bytes, such as `8m`.

    Raises:
        BadInput: it is none.
    """
    found = re.fullmatch(r"(\d+)([kmg]?)", values.words(name, default)[0].lower())
    if found is None:
        raise _refused(values, name)
    return int(found[1]) * _BYTES[found[2]]


def _refused(values: Values, name: str) -> BadInput:
    """In nginx's words."""
    spot = values.spot(name)
    assert spot is not None  # noqa: S101  # the default is a value
    return BadInput(f'{spot.file}:{spot.line}: "{name}" directive invalid value', REFUSED)
