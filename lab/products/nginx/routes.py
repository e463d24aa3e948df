"""Where an nginx configuration listens, which location serves a path, and what it passes that on to. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from lab.products.adapted import API_PATHS, Spot, endpoint_of, paths_below
from lab.products.nginx.tree import Statement

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})

_DEFAULT_LISTEN = "80"

_PATHS = re.compile(r"(.*?)((?:\$(?:request_uri|uri|document_uri|is_args|args)\b.*)?)$", re.DOTALL)
"""What names a host by variables, and the variables behind it that are a path."""


def port_of(listen: str) -> str:
    """What a `listen` is known by: its port, whatever the address, or its socket."""
    if listen.startswith("unix:"):
        return listen
    found = re.fullmatch(r"(?:(?:\[[^\]]*\]|[^:\[\]]+):)?(\d+)", listen)
    return found[1] if found else _DEFAULT_LISTEN


@dataclass(frozen=True)
class Passing:
    """What a `proxy_pass` or a `server` of a group names.

    Args:
        scheme: `http`, `https`, or empty.
        where: host and port, or `unix:` and a path.
        rest: what follows, from the slash on.
    """

    scheme: str
    where: str
    rest: str

    @classmethod
    def read(cls, text: str) -> Passing:
        """Read an argument."""
        found = re.match(r"(?:(\w+)://)?(unix:[^:\s]+|[^/]*)(:?)(.*)$", text)
        scheme, where, _, rest = found.groups() if found else ("", text, "", "")
        host, path = _PATHS.match(where).groups()  # type: ignore[union-attr]  # it fits every text
        return cls(scheme or "", host, path + rest)

    @property
    def has_variables(self) -> bool:
        """Whether nginx works out only with each request whom it asks."""
        return "$" in self.where

    @property
    def port(self) -> str:
        """Of a place on this machine; empty where it is another machine's."""
        if self.where.startswith("unix:"):
            return self.where
        host, colon, port = self.where.rpartition(":")
        return port if colon and host in _LOOPBACK else ""


@dataclass(frozen=True)
class Server:
    """One `server`."""

    directive: Statement

    @cached_property
    def ports(self) -> tuple[str, ...]:
        """What it listens on over TCP."""
        listens = self.directive.own("listen")
        found = [port_of(each.args[0]) for each in listens if "quic" not in each.args]
        return tuple(dict.fromkeys(found)) if listens else (_DEFAULT_LISTEN,)

    @cached_property
    def secure_ports(self) -> frozenset[str]:
        """Those on which it speaks TLS."""
        return frozenset(port_of(each.args[0]) for each in self.directive.own("listen") if "ssl" in each.args)

    @property
    def port(self) -> str:
        """The one that it is asked on: with TLS where it has both."""
        return next((each for each in self.ports if each in self.secure_ports), self.ports[0])

    @property
    def secure(self) -> bool:
        """Whether it is asked over TLS."""
        return self.port in self.secure_ports

    @property
    def http_2(self) -> bool:
        """Whether it offers HTTP/2 there: as a word of the listener, or since 1.25.1 by a directive of its own."""
        listens = [each for each in self.directive.own("listen") if port_of(each.args[0]) == self.port]
        inherited = [each for level in self.directive.upward() for each in level.own("http2")]
        return any("http2" in each.args for each in listens) or (bool(inherited) and inherited[0].args == ["on"])

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Its `server_name`."""
        return tuple(name for each in self.directive.own("server_name") for name in each.args)

    @property
    def host(self) -> str:
        """One that requests may name; empty where it has none that can be told."""
        # Of a wildcard, one that it is for.
        names = (re.sub(r"^\*\.", "any.", re.sub(r"\.\*$", ".com", each)).removeprefix(".") for each in self.names)
        return next((each for each in names if re.fullmatch(r"(?!_$)[\w-]+(\.[\w-]+)*", each)), "")

    def serves(self, host: str) -> bool:
        """Whether one of its names is that host's."""
        return any(_fits(name, host) for name in self.names)

    @cached_property
    def locations(self) -> tuple[Statement, ...]:
        """All of them, those inside others too."""
        return tuple(self.directive.below("location"))

    def choose(self, path: str) -> Statement | None:
        """The location that serves a path, as nginx chooses it."""
        return _choose(self.directive, path.partition("?")[0])

    def keeps_to_itself(self, location: Statement) -> bool:
        """Whether no client can ask there, or it is asked only whether others may."""
        return bool(location.own("internal")) or (location.args[0] == "=" and location.args[-1] in self._asked_whether)

    @cached_property
    def _asked_whether(self) -> frozenset[str]:
        return frozenset(each.args[0] for each in self.directive.below("auth_request"))

    def named(self, location: Statement) -> Iterator[Statement]:
        """The location itself, and those with a name that it hands a request on to."""
        yield location
        for each in location.own("try_files", "error_page"):
            for other in self.locations:
                if other.args[:1] == each.args[-1:] and other.args[0].startswith("@"):
                    yield other


def servers_of(top: Statement) -> list[Server]:
    """Every server of `http`."""
    return [Server(each) for http in top.own("http") for each in http.own("server")]


def passes_of(location: Statement) -> list[Statement]:
    """Its `proxy_pass`, those of its `if`s among them; not those of locations inside it."""
    return [*location.own("proxy_pass"), *(one for each in location.own("if") for one in each.own("proxy_pass"))]


def groups_of(top: Statement) -> dict[str, Statement]:
    """Every `upstream`, by its name."""
    return {each.args[0]: each for http in top.own("http") for each in http.own("upstream") if each.args}


def inner_ports(top: Statement) -> frozenset[str]:
    """The listeners that the file itself asks: the second of two tiers."""
    own = {port for server in servers_of(top) for port in server.ports}
    groups = groups_of(top)
    asked = set()
    for each in top.below("proxy_pass"):
        passing = Passing.read(each.args[0])
        members = groups[passing.where].own("server") if passing.where in groups else []
        asked |= {passing.port, *(Passing.read(one.args[0]).port for one in members)}
    return frozenset(asked & own)


def sample_paths(location: Statement) -> list[str]:
    """Paths of requests that the location may be meant for, the likeliest first."""
    *sign, what = location.args
    if sign == ["="]:
        return [what]
    if sign and sign[0].startswith("~"):
        start = re.split(r"[\\^$.|?*+()\[\]{}]", what.lstrip("^"))[0].rstrip("/")
        return [*API_PATHS, *(start + each for each in API_PATHS), start]
    return paths_below(what)


def fits_a_model(path: str, location: Statement, passing: Statement) -> bool:
    """Whether a request for a path arrives at the model as one for the same endpoint of a model's."""
    asked = endpoint_of(path)
    return bool(asked) and asked == endpoint_of(arriving(path, location, passing))


def arriving(path: str, location: Statement, passing: Statement) -> str:
    """The path that a location hands on in the place of one that it is asked for."""
    for each in location.own("rewrite"):
        found = _found(each.args[0], path)
        if found is not None:
            return _expanded(each.args[1], found)
    rest = Passing.read(passing.args[0]).rest
    if not rest or rest.startswith("$"):
        return path
    # With a variable before it, or behind a regular expression, it stands for the whole path.
    whole = "$" in passing.args[0] or location.args[0] in ("=", "~", "~*")
    return rest if whole else rest + path.removeprefix(location.args[-1])


def _expanded(text: str, found: re.Match[str]) -> str:
    """What a rewrite writes, without its query; empty in the place of a group that there is not."""
    groups = ("", *found.groups(""))
    words = re.sub(r"\$(\d)", lambda name: groups[int(name[1])] if int(name[1]) < len(groups) else "", text)
    return words.partition("?")[0]


def _found(pattern: str, path: str) -> re.Match[str] | None:
    try:
        return re.search(pattern, path)
    except re.error:
        return None


def _fits(name: str, host: str) -> bool:
    if name.startswith("~"):
        return _matches(name[1:], host, re.IGNORECASE)
    if name.startswith("."):
        return host == name[1:] or host.endswith(name)
    if name.startswith("*."):
        return host.endswith(name[1:])
    return host == name or (name.endswith(".*") and host.startswith(name[:-1]))


def _choose(within: Statement, path: str) -> Statement | None:
    """The exact one; else the longest prefix, unless a regular expression fits and the prefix does not forbid it."""
    own = within.own("location")
    exact = next((each for each in own if each.args == ["=", path]), None)
    if exact is not None:
        return exact
    prefixes = [each for each in own if len(each.args) == 1 or each.args[0] == "^~"]
    fitting = [each for each in prefixes if not each.args[-1].startswith("@") and path.startswith(each.args[-1])]
    longest = max(fitting, key=lambda each: len(each.args[-1]), default=None)
    deeper = None if longest is None else _choose(longest, path)
    if deeper is not None:
        return deeper
    if longest is None or longest.args[0] != "^~":
        for each in own:
            flags = {"~": 0, "~*": re.IGNORECASE}.get(each.args[0])
            if flags is not None and _matches(each.args[1], path, flags):
                return _choose(each, path) or each
    return longest


def _matches(pattern: str, text: str, flags: int) -> bool:
    try:
        return re.search(pattern, text, flags) is not None
    except re.error:
        return False


def is_one_of(where: str, names: Sequence[str]) -> bool:
    """Whether an address is called by one of these names, with or without its port."""
    return not names or where in names or where.rpartition(":")[0] in names


def leads_on(server: Server, location: Statement, upstreams: Sequence[str]) -> Statement | None:
    """The `proxy_pass` by which a location leads to the model; None without one."""
    for each in server.named(location):
        for passing in passes_of(each):
            if is_one_of(Passing.read(passing.args[0]).where, upstreams):
                return passing
    return None


def locations_of(top: Statement) -> Mapping[Spot, Statement]:
    """Every location by where it stands: itself, or the one with a name that it hands its requests on to."""
    found: dict[Spot, Statement] = {}
    for server in servers_of(top):
        for location in server.locations:
            passing = leads_on(server, location, ())
            parents = [] if passing is None else list(passing.upward())
            found.setdefault(location.spot, next((each for each in parents if each.name == "location"), location))
    return found
