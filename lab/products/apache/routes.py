"""Where an Apache configuration listens, which of its servers and rules serve a request, and whom they ask. Pure.

The order is Apache's: rewrite rules of the server come before `ProxyPass`, a `ProxyPass` in a location before those of
the server, of which the first that fits counts; a handler comes last.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from lab.products.adapted import API_PATHS, paths_below
from lab.products.apache.rewriting import SiteAsked, expanded, flags_of, hold, searched
from lab.products.apache.tree import ApacheFile, ApacheLine

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
_ADDRESS = re.compile(r"(?:(\[[^\]]*\]|[^:]*):)?(\d+|\*)")
_TARGET = re.compile(r"(?:unix:[^|]*\|)?([A-Za-z][\w.+-]*):(?://((?:\$\{\w+\}|[^/?$%])*))?(.*)", re.DOTALL)
"""Where it asks may be a variable's value; a group of a regular expression, or the path itself, comes behind it."""

_LOCATIONS = ("location", "locationmatch")


@dataclass(frozen=True)
class ProxyTarget:
    """What a `ProxyPass` or its like names.

    Args:
        scheme: as in `http` or `balancer`.
        where: host and port, or the name of a balancer.
        rest: what follows, from the slash on.
        socket: whether it is asked over a socket in a folder.
    """

    scheme: str
    where: str
    rest: str
    socket: bool

    @classmethod
    def read(cls, text: str) -> ProxyTarget | None:
        """Read an argument; None where it is no address."""
        found = _TARGET.fullmatch(text)
        return None if found is None else cls(found[1].lower(), found[2] or "", found[3], text.startswith("unix:"))

    @property
    def is_http(self) -> bool:
        """Whether a model can be behind it."""
        return self.scheme in ("http", "https", "h2", "h2c")

    @property
    def port(self) -> str:
        """Of a place on this machine; empty where it is another machine's, or a socket."""
        host, colon, port = self.where.rpartition(":")
        if not colon:
            host, port = self.where, "443" if self.scheme == "https" else "80"
        return port if host in _LOOPBACK and not self.socket else ""


@dataclass(frozen=True, eq=False)
class ProxyRule:
    """One rule by which a server passes requests on.

    Args:
        line: the rule.
        server: whose it is.
        target: whom it asks, as it is written.
        within: the location that it stands in; None where it stands in the server itself.
    """

    line: ApacheLine
    server: ApacheServer
    target: str
    within: ApacheLine | None

    @property
    def start(self) -> str:
        """The path that it is for, or the regular expression."""
        if self.within is not None:
            return self.within.words[-1]
        return self.line.word(1)

    @property
    def by_pattern(self) -> bool:
        """Whether that is a regular expression."""
        if self.within is not None:
            return self.within.name == "locationmatch" or self.within.word(1) == "~"
        return self.line.name in ("proxypassmatch", "rewriterule")

    def arriving(self, path: str) -> str:
        """The path that is asked for in the place of one; empty where it is not for that one."""
        target = ProxyTarget.read(self.target)
        rest = "" if target is None else target.rest
        if self.within is not None and self.line.name != "rewriterule":
            return _joined(self.start, rest, path) if not self.by_pattern else rest.partition("$")[0] or path
        if self.by_pattern:
            found = searched(self.start, path)
            return "" if found is None else expanded(rest, found)
        return _joined(self.start, rest, path)

    def samples(self) -> list[str]:
        """Paths of requests that it may be meant for, the likeliest first."""
        if not self.by_pattern:
            return paths_below(self.start)
        start = re.split(r"[\\^$.|?*+()\[\]{}]", self.start.lstrip("^"))[0].rstrip("/")
        return [*API_PATHS, *(start + each for each in API_PATHS), start or "/"]


def _joined(start: str, rest: str, path: str) -> str:
    return (rest or "/") + path.removeprefix(start) if path.startswith(start) else path


@dataclass(frozen=True, eq=False)
class ApacheServer:
    """The main server, or one `<VirtualHost>`.

    Args:
        line: its section; the top of the file for the main server.
        top: the top of the file.
    """

    line: ApacheLine
    top: ApacheLine

    @property
    def is_main(self) -> bool:
        """Whether it is what stands in no `<VirtualHost>`."""
        return self.line is self.top

    @cached_property
    def addresses(self) -> tuple[str, ...]:
        """What its section names, each as `address_key` has it."""
        return tuple(address_key(each) for each in self.line.words[1:]) if not self.is_main else ()

    def setting(self, *names: str) -> ApacheLine | None:
        """The line that sets something for it: its own last one, else the main server's."""
        for level in dict.fromkeys((self.line, self.top)):
            if found := level.own(*names):
                return found[-1]
        return None

    @property
    def secure(self) -> bool:
        """Whether it speaks TLS."""
        line = self.setting("sslengine")
        return line is not None and line.word(1).lower() == "on"

    @property
    def http_2(self) -> bool:
        """Whether it offers HTTP/2 there."""
        line = self.setting("protocols")
        return self.secure and line is not None and "h2" in line.words[1:]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Its `ServerName` and `ServerAlias`, without scheme and port."""
        found = [word for each in self.line.own("servername", "serveralias") for word in each.words[1:]]
        return tuple(re.sub(r"^\w+://|:\d+$", "", each) for each in found)

    @property
    def host(self) -> str:
        """One that requests may name; empty where it has none that can be told."""
        names = (each.replace("*", "any").replace("?", "a") for each in self.names)
        return next((each for each in names if re.fullmatch(r"[\w-]+(\.[\w-]+)*", each)), "")

    def serves(self, host: str) -> bool:
        """Whether one of its names is that host's."""
        patterns = (re.escape(each).replace(r"\*", ".*").replace(r"\?", ".") for each in self.names)
        return any(re.fullmatch(each, host, re.IGNORECASE) for each in patterns)

    @cached_property
    def passings(self) -> tuple[ProxyRule, ...]:
        """Every rule of its own by which it passes requests on, and which can lead to a model."""
        return tuple(each for each in self._rules() if _leads(each, self.top))

    def _rules(self) -> Iterator[ProxyRule]:
        for each in self.line.inside():
            by_path = each.name in ("proxypass", "proxypassmatch") and each.word(2) not in ("", "!")
            if by_path or (each.name == "rewriterule" and "P" in flags_of(each)):
                yield ProxyRule(each, self, each.word(2), None)
            elif each.name in _LOCATIONS:
                yield from self._of_location(each)

    def _of_location(self, location: ApacheLine) -> Iterator[ProxyRule]:
        for each in location.inside():
            if each.name in ("proxypass", "proxypassmatch") and each.word(1) != "!":
                yield ProxyRule(each, self, each.word(1), location)
            elif each.name == "rewriterule" and "P" in flags_of(each):
                yield ProxyRule(each, self, each.word(2), location)
            elif each.name == "sethandler" and each.word(1).startswith("proxy:"):
                yield ProxyRule(each, self, each.word(1).removeprefix("proxy:"), location)

    def serving(self, request: SiteAsked, wanted: ProxyRule | None = None) -> Served:
        """What becomes of a request, where all that cannot be told of a wanted rule is so that it is for it."""
        served = Served(wanted=wanted)
        path = self._rewritten(request, served)
        if served.passing is not None or served.ends:
            return served
        located = [each for each in self.line.own(*_LOCATIONS) if _is_in(each, path)]
        for location in reversed(located):
            for each in location.own("proxypass", "proxypassmatch"):
                served.passing = None if each.word(1) == "!" else self._rule(each)
                return served
        for each in self.line.own("proxypass", "proxypassmatch"):
            if _fits(each, path):
                served.passing = None if each.word(2) == "!" else self._rule(each)
                return served
        for location in reversed(located):
            handlers = [one for one in location.own("sethandler", "rewriterule") if self._rule(one) is not None]
            if handlers:
                served.passing = self._rule(handlers[-1])
                return served
        return served

    def _rule(self, line: ApacheLine) -> ProxyRule | None:
        return next((each for each in self.passings if each.line is line), None)

    def _rewritten(self, request: SiteAsked, served: Served) -> str:
        """The path after the server's rewrite rules, or what they end it with."""
        path, conditions = request.path, list[ApacheLine]()
        engine = self.line.own("rewriteengine")
        if not engine or engine[-1].word(1).lower() != "on":
            return path
        for each in self.line.own("rewritecond", "rewriterule"):
            if each.name == "rewritecond":
                conditions.append(each)
                continue
            asked, conditions = conditions, []
            pattern = each.word(1)
            found = searched(pattern.removeprefix("!"), path)
            if (found is None) != pattern.startswith("!"):
                continue
            flags, holds = flags_of(each), hold(asked, request, path)
            if holds is None and flags & {"R", "F", "G"}:
                served.untold += [*asked, each]
            if holds is None and served.wanted is not None and each is served.wanted.line:
                served.untold += asked
                holds = True
            if not holds:
                continue
            if flags & {"R", "F", "G"} or (re.match(r"https?://", each.word(2)) and "P" not in flags):
                served.ends = True
                return path
            if "P" in flags:
                served.passing = self._rule(each)
                served.ends = True
                return path
            if each.word(2) != "-" and found is not None:
                path = expanded(each.word(2), found)
            if "L" in flags or "END" in flags:
                return path
        return path


@dataclass
class Served:
    """What becomes of a request.

    Args:
        passing: the rule that passes it on; None where none does.
        ends: whether a rewrite rule answers, or passes it on.
        untold: rules, with their conditions, of which cannot be told whether they turn it away; and the conditions
            that cannot be told of a rule that is wanted.
        wanted: the rule that is to pass it on, as far as that cannot be told.
    """

    passing: ProxyRule | None = None
    ends: bool = False
    wanted: ProxyRule | None = None
    untold: list[ApacheLine] = field(default_factory=list)


def _is_in(location: ApacheLine, path: str) -> bool:
    *signs, what = location.words[1:] or [""]
    if location.name == "locationmatch" or "~" in signs:
        return searched(what, path) is not None
    return _below(what, path)


def _fits(line: ApacheLine, path: str) -> bool:
    if line.name == "proxypassmatch":
        return searched(line.word(1), path) is not None
    return _below(line.word(1), path)


def _below(start: str, path: str) -> bool:
    return path == start or path.startswith(start if start.endswith("/") else f"{start}/")


def address_key(text: str) -> str:
    """What an address of a `<VirtualHost>` is known by; every address of the machine is the same one."""
    found = _ADDRESS.fullmatch(text)
    host, port = (found[1] or "*", found[2]) if found else (text, "*")
    return f"{'*' if host in ('_default_', '0.0.0.0', '[::]', '') else host.lower()}:{port}"  # noqa: S104 - a name


def port_of(text: str) -> str:
    """The port of an address of a `<VirtualHost>`, or of a `Listen`."""
    found = _ADDRESS.fullmatch(text)
    return found[2] if found else "*"


def servers_of(file: ApacheFile) -> list[ApacheServer]:
    """The main server, and every `<VirtualHost>`."""
    return [ApacheServer(file.top, file.top), *(ApacheServer(each, file.top) for each in file.sections("virtualhost"))]


def ports_of(file: ApacheFile) -> tuple[str, ...]:
    """Those that it listens on; 80 where it does not say."""
    return tuple(dict.fromkeys(port_of(each.word(1)) for each in file.top.own("listen"))) or ("80",)


def ports_that_serve(server: ApacheServer, file: ApacheFile) -> tuple[str, ...]:
    """The ports on which a server is asked; the main one on those that no `<VirtualHost>` has."""
    if not server.is_main:
        return tuple(dict.fromkeys(port_of(each) for each in server.line.words[1:]))
    taken = {port for each in file.sections("virtualhost") for word in each.words[1:] for port in [port_of(word)]}
    return () if "*" in taken else tuple(each for each in ports_of(file) if each not in taken)


def inner_servers(file: ApacheFile) -> set[ApacheLine]:
    """The sections that others of the file ask: the second of two tiers."""
    servers = servers_of(file)
    asked = {target.port for each in servers for one in each.passings for target in targets_of(one, file.top)}
    return {each.line for each in servers if set(ports_that_serve(each, file)) & (asked - {""})}


def tier_behind(passing: ProxyRule, file: ApacheFile) -> ApacheServer | None:
    """The `<VirtualHost>` of the same file that a rule asks."""
    ports = {each.port for each in targets_of(passing, file.top)} - {""}
    sites = [each for each in servers_of(file) if not each.is_main]
    return next((each for each in sites if ports & set(ports_that_serve(each, file))), None)


def members_of(name: str, top: ApacheLine) -> list[ApacheLine]:
    """The lines of a balancer's section."""
    sections = [each for each in top.below() if each.name == "proxy" and each.block is not None]
    named = [each for each in sections if each.word(1).removesuffix("/").lower() == f"balancer://{name}".lower()]
    return [line for each in named for line in each.inside()]


def targets_of(passing: ProxyRule, top: ApacheLine) -> list[ProxyTarget]:
    """Whom a rule asks, members of a balancer one by one."""
    target = ProxyTarget.read(passing.target)
    if target is None or target.scheme != "balancer":
        return [target] if target is not None else []
    members = [each.word(1) for each in members_of(target.where, top) if each.name == "balancermember"]
    return [found for each in members if (found := ProxyTarget.read(each)) is not None]


def _leads(passing: ProxyRule, top: ApacheLine) -> bool:
    return any(each.is_http for each in targets_of(passing, top))
