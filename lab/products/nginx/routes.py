"""Where an nginx configuration listens, which location serves a path, and what it passes that on to. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from lab.products.adapted import API_PATHS, endpoint_of, paths_below
from lab.products.nginx.regexes import example, found
from lab.products.nginx.tree import Statement

_MOST_ROUNDS = 10
"""How often nginx looks for the location of one request anew before it gives up."""

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})

_DEFAULT_LISTEN = "80"

_PATHS = re.compile(r"(.*?)((?:\$(?:request_uri|uri|document_uri|is_args|args)\b.*)?)$", re.DOTALL)
"""What names a host by variables, and the variables behind it that are a path."""


def address_of(listen: str) -> str:
    """The address of a `listen`; a star for all that there are."""
    parts = re.fullmatch(r"(?:(\[[^\]]*\]|[^:\[\]]+):)?\d+|(\[[^\]]*\]|[^:\[\]]+)", listen)
    host = (parts[1] or parts[2] or "*") if parts else listen
    return "*" if host in ("0.0.0.0", "[::]") else host  # noqa: S104  # it is read, and nothing listens there


def port_of(listen: str) -> str:
    """What a `listen` is known by: its port, whatever the address, or its socket."""
    if listen.startswith("unix:"):
        return listen
    port = re.fullmatch(r"(?:(?:\[[^\]]*\]|[^:\[\]]+):)?(\d+)", listen)
    return port[1] if port else _DEFAULT_LISTEN


@dataclass(frozen=True)
class Passing:
    """What a `proxy_pass` or a `server` of a group names.

    Args:
        scheme: `http`, `https`, `grpc`, `grpcs`, the name of a variable, or empty.
        where: host and port, or `unix:` and a path.
        rest: what follows, from the slash on.
    """

    scheme: str
    where: str
    rest: str

    @classmethod
    def read(cls, text: str) -> Passing:
        """Read an argument."""
        parts = re.match(r"(?:(\w+|\$\w+|\$\{\w+\})://)?(unix:[^:\s]+|[^/]*)(:?)(.*)$", text)
        scheme, where, _, rest = parts.groups() if parts else ("", text, "", "")
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
        ports = [port_of(each.args[0]) for each in listens if "quic" not in each.args]
        return tuple(dict.fromkeys(ports)) if listens else (_DEFAULT_LISTEN,)

    def addresses(self, port: str) -> frozenset[str]:
        """Those at which it listens on a port."""
        listens = [each.args[0] for each in self.directive.own("listen")] or [_DEFAULT_LISTEN]
        return frozenset(address_of(each) for each in listens if port_of(each) == port)

    def is_default(self, port: str) -> bool:
        """Whether it says that it serves whatever no other one there is for."""
        listens = [each for each in self.directive.own("listen") if port_of(each.args[0]) == port]
        return any({"default_server", "default"} & set(each.args) for each in listens)

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
        return next((host for name in self.names if (host := _host_for(name)) and self.fit(host)), "")

    def fit(self, host: str) -> tuple[int, int]:
        """How well one of its names fits a host, as nginx prefers them; `(0, 0)` where none does."""
        return max((_fit(name, host.lower()) for name in self.names), default=_NO_FIT)

    def serves(self, host: str) -> bool:
        """Whether one of its names is that host's."""
        return self.fit(host) > _NO_FIT

    @cached_property
    def locations(self) -> tuple[Statement, ...]:
        """All of them, those inside others too; and the server itself, for what no location takes."""
        return (*self.directive.below("location"), self.directive)

    def route(self, path: str) -> tuple[Statement | None, str]:
        """The location that serves a path, as nginx chooses it, and what `rewrite` makes of the path by then."""
        uri, _ = _rewritten(self.directive, path.partition("?")[0])
        for _ in range(_MOST_ROUNDS):
            location = _choose(self.directive, uri) or self.directive
            uri, again = (uri, False) if location is self.directive else _rewritten(location, uri)
            if not again:
                return location if uri else None, uri
        return None, uri

    def choose(self, path: str) -> Statement | None:
        """The location that serves a path."""
        return self.route(path)[0]

    def keeps_to_itself(self, location: Statement) -> bool:
        """Whether no client can ask there, or it is asked only whether others may."""
        exact = location.args[:1] == ["="]
        return bool(location.own("internal")) or (exact and location.args[-1] in self._asked_whether)

    @cached_property
    def _asked_whether(self) -> frozenset[str]:
        return frozenset(each.args[0] for each in self.directive.below("auth_request"))

    def named(self, location: Statement) -> Iterator[Statement]:
        """The location itself, and those with a name that it hands a request on to."""
        yield location
        returned = {code for each in [location, *location.own("if")] for one in each.own("return") for code in one.args}
        own = location.own("try_files", "error_page")
        pages = next((pages for level in location.upward() if (pages := level.own("error_page"))), [])
        for each in [*own, *(page for page in pages if page not in own and returned & set(page.args[:-1]))]:
            for other in self.locations:
                if other.args[:1] == each.args[-1:] and other.args[0].startswith("@"):
                    yield other


def servers_of(top: Statement) -> list[Server]:
    """Every server of `http`."""
    return [Server(each) for http in top.own("http") for each in http.own("server")]


class Hosts:
    """Which server answers for whom, of all that a configuration has."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self._servers = servers
        self._called: dict[str, list[Server]] = {}
        for server in servers:
            for name in server.names:
                self._called.setdefault(name.lower(), []).append(server)
        self._patterns = [each for each in servers if any(name[:1] in "~.*" or name[-1:] == "*" for name in each.names)]
        self._defaults = [each for each in servers if any(each.is_default(port) for port in each.ports)]

    def chosen(self, port: str, host: str, near: Server) -> Server:
        """The server for a host on a port, among those that listen at an address of one of them."""

        def there(some: Sequence[Server]) -> Iterator[Server]:
            return (each for each in some if port in each.ports and each.addresses(port) & near.addresses(port))

        if host and (called := next(there(self._called.get(host.lower(), [])), None)) is not None:
            return called
        best = max(there(self._patterns), key=lambda each: each.fit(host), default=near)
        if host and best.serves(host):
            return best
        default = next((each for each in there(self._defaults) if each.is_default(port)), None)
        return default or next(there(self._servers))


def passes_of(location: Statement) -> list[Statement]:
    """Its `proxy_pass`, those of its `if`s among them; not those of locations inside it."""
    if location.name != "location":
        return []
    return [*location.own("proxy_pass"), *(one for each in location.own("if") for one in each.own("proxy_pass"))]


def groups_of(top: Statement) -> dict[str, Statement]:
    """Every `upstream`, by its name."""
    return {each.args[0]: each for http in top.own("http") for each in http.own("upstream") if each.args}


def inner_ports(top: Statement) -> frozenset[str]:
    """The listeners that the file itself asks: the second of two tiers."""
    own = {port for server in servers_of(top) for port in server.ports}
    groups = groups_of(top)
    asked = set()
    for each in [each for http in top.own("http") for each in http.below("proxy_pass")]:
        passing = Passing.read(each.args[0])
        members = groups[passing.where].own("server") if passing.where in groups else []
        asked |= {passing.port, *(Passing.read(one.args[0]).port for one in members)}
    return frozenset(asked & own)


def sample_paths(location: Statement) -> list[str]:
    """Paths of requests that the location may be meant for, the likeliest first."""
    *sign, what = location.args or ["/"]
    if location.name == "server":
        what = "/"
    if sign == ["="]:
        return [what]
    if sign and sign[0].startswith("~"):
        start = re.split(r"[\\^$.|?*+()\[\]{}]", what.lstrip("^"))[0].rstrip("/")
        return [*API_PATHS, *paths_below(start or "/"), *paths_below(example(what) or "/")]
    return paths_below(what)


def fits_a_model(path: str, uri: str, location: Statement, passing: Statement) -> bool:
    """Whether a request for a path arrives at the model as one for the same endpoint of a model's.

    Args:
        path: what is asked for.
        uri: what `rewrite` has made of it.
        location: which serves it.
        passing: its `proxy_pass`.
    """
    asked = endpoint_of(path)
    return bool(asked) and asked == endpoint_of(_arriving(uri, location, passing))


def _arriving(uri: str, location: Statement, passing: Statement) -> str:
    """The path that a location hands on in the place of one that has come to it."""
    rest = Passing.read(passing.args[0]).rest
    if not rest or rest.startswith("$"):
        return uri
    # With a variable before it, or behind a regular expression, it stands for the whole path.
    whole = "$" in passing.args[0] or location.args[:1] in (["="], ["~"], ["~*"]) or location.name != "location"
    fits = found(location.args[-1], uri) if location.args[:1] in (["~"], ["~*"]) else None
    rest = re.sub(r"\$(is_args|args)\b", "", _expanded(rest, fits)) if fits else rest
    return rest if whole else rest + uri.removeprefix(location.args[-1])


def _rewritten(block: Statement, path: str) -> tuple[str, bool]:
    """What the `rewrite`s of a block make of a path, nothing of one that is redirected; and whether it starts anew."""
    before = path
    for each in block.own("rewrite"):
        fits = found(each.args[0], path)
        flag = each.args[2] if len(each.args) > 2 else ""
        if fits is None:
            continue
        if flag in ("redirect", "permanent") or re.match(r"https?://|\$scheme", each.args[1]):
            return "", False
        path = _expanded(each.args[1], fits)
        if flag in ("break", "last"):
            return path, flag == "last"
    return path, path != before


def _expanded(text: str, fits: re.Match[str]) -> str:
    """What a rewrite writes, without its query; empty in the place of a group that there is not."""
    groups = ("", *fits.groups(""))
    words = re.sub(r"\$(\d)", lambda name: groups[int(name[1])] if int(name[1]) < len(groups) else "", text)
    words = re.sub(r"\$(\w+)", lambda name: fits.groupdict("").get(name[1], name[0]), words)
    return words.partition("?")[0]


_NO_FIT = (0, 0)


def _fit(name: str, host: str) -> tuple[int, int]:
    """How well a `server_name` fits a host: itself best, then the longest before a star, then those before a regex."""
    name = name if name.startswith("~") else name.lower()
    if name.startswith("~"):
        return (1, 0) if found(name[1:], host, re.IGNORECASE) else _NO_FIT
    if host and host in (name, name.removeprefix(".")):
        return 4, 0
    if name.startswith((".", "*.")):
        return (3, len(name)) if host.endswith(name.removeprefix("*")) else _NO_FIT
    return (2, len(name)) if name.endswith(".*") and host.startswith(name[:-1]) else _NO_FIT


def _host_for(name: str) -> str:
    """A host that a `server_name` is for; empty where none can be told."""
    if name.startswith("~"):
        return example(name[1:], "any")
    host = re.sub(r"^\*\.", "any.", re.sub(r"\.\*$", ".com", name)).removeprefix(".")
    return host if re.fullmatch(r"(?!_$)[\w-]+(\.[\w-]+)*", host) else ""


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
            if flags is not None and found(each.args[1], path, flags):
                return _choose(each, path) or each
    return longest


def is_one_of(where: str, names: Sequence[str]) -> bool:
    """Whether an address is called by one of these names, with or without its port."""
    return not names or where in names or where.rpartition(":")[0] in names


def destinations(passing: Statement) -> list[str]:
    """By which names a `proxy_pass` calls whom it may ask: its own, and what is put into the variable that it has."""
    own = Passing.read(passing.args[0])
    return [own.where, *(Passing.read(each).where for each in values_of(passing, own))]


def values_of(within: Statement, passing: Passing) -> list[str]:
    """What a configuration puts by `set`, `map` and `split_clients` into the variable that names whom to ask."""
    if not passing.has_variables:
        return []
    *_, top = within.upward()
    variable = re.sub(r"^\$\{(\w+)\}$", r"$\1", passing.where)
    put = [each.args[1] for each in top.below("set") if each.args[:1] == [variable] and len(each.args) == 2]
    tables = [each for each in top.below("map", "split_clients") if each.args[1:] == [variable]]
    return [*put, *(entry.args[-1] for table in tables for entry in table.block or () if entry.args)]


def leads_on(server: Server, location: Statement, upstreams: Sequence[str]) -> Statement | None:
    """The `proxy_pass` by which a location leads to the model; None without one."""
    for each in server.named(location):
        for passing in passes_of(each):
            if any(is_one_of(where, upstreams) for where in destinations(passing)):
                return passing
    return None


def settings_at(server: Server, location: Statement) -> Statement:
    """Where the settings hold for what comes to a location: it, or the one with a name that it hands requests on to."""
    passing = leads_on(server, location, ())
    parents = [] if passing is None else list(passing.upward())
    return next((each for each in parents if each.name == "location"), location)
