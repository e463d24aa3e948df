"""Where a Caddyfile's sites are asked, and which `reverse_proxy` serves a request, as Caddy orders directives. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from lab.products.adapted import API_PATHS, paths_below
from lab.products.caddy.tree import Caddyfile, CaddyLine

_ADDRESS = re.compile(r"(?:(https?)://)?(\[[^\]]*\]|[^:/\s]*)(?::(\d+(?:-\d+)?))?(/.*)?")
_UPSTREAM = re.compile(r"(?:(\w+)://)?(.*)")
_LOOPBACK = re.compile(r"127\.[\d.]+|localhost|\[?::1\]?|")

_NESTED = ("handle", "handle_path", "route")
_ENDS = ("redir", *_NESTED, "abort", "error", "respond", "reverse_proxy", "php_fastcgi", "file_server")
"""What may answer a request, in the order in which Caddy takes it outside of a `route`."""


@dataclass(frozen=True)
class SiteAddress:
    """One address of a site: empty where it says nothing."""

    scheme: str
    host: str
    port: str

    @classmethod
    def read(cls, text: str) -> SiteAddress:
        """Read one, without its comma."""
        found = _ADDRESS.match(text.rstrip(","))
        scheme, host, port = (found[1], found[2], found[3]) if found else ("", "", "")
        return cls(scheme or "", host or "", port or "")


@dataclass(frozen=True)
class SiteRequest:
    """A request of the lab's."""

    path: str
    host: str
    secure: bool


@dataclass(frozen=True, eq=False)
class Site:
    """One site.

    Args:
        line: that of its addresses.
        file: the whole configuration.
    """

    line: CaddyLine
    file: Caddyfile

    @cached_property
    def addresses(self) -> list[SiteAddress]:
        """All of them."""
        return [SiteAddress.read(each) for word in self.line.words for each in word.split(",") if each]

    @property
    def secure(self) -> bool:
        """Whether it is asked over TLS: Caddy's own choice for whatever has a name and does not say otherwise."""
        options = self.file.options
        off = options is not None and any(each.word(1) == "off" for each in options.own("auto_https"))
        first = self.addresses[0]
        if first.scheme or first.port in ("80", "443"):
            return first.scheme == "https" or (not first.scheme and first.port == "443")
        return bool(self.line.own("tls")) or (bool(first.host) and not off)

    @property
    def servers(self) -> list[CaddyLine]:
        """The global `servers` that are for it: those that name its port, else those that name none."""
        options = self.file.options
        found = options.own("servers") if options is not None else []
        named = [each for each in found if each.word(1).rpartition(":")[2] == self.port]
        return named or [each for each in found if not each.word(1)]

    @property
    def http_2(self) -> bool:
        """Whether it offers HTTP/2: over TLS, unless the server's protocols leave it out."""
        told = [each for one in self.servers for each in one.own("protocols")]
        return self.secure and (not told or "h2" in told[-1].words)

    @property
    def port(self) -> str:
        """Where it listens."""
        return self.addresses[0].port or ("443" if self.secure else "80")

    @property
    def host(self) -> str:
        """A name that requests to it have; empty where any will do."""
        hosts = [each.host for each in self.addresses]
        return "" if "" in hosts or "{" in hosts[0] else re.sub(r"^\*", "chat", hosts[0]).strip("[]")

    def serves(self, host: str) -> bool:
        """Whether one of its names is that host's."""
        return any(_is_host(each.host, host) for each in self.addresses)

    @cached_property
    def proxies(self) -> list[CaddyLine]:
        """Every `reverse_proxy` that speaks HTTP to what is behind it."""
        found = self.line.below("reverse_proxy")
        return [each for each in found if not any(one.word(1) != "http" for one in each.own("transport"))]

    def serving(self, request: SiteRequest, wanted: CaddyLine) -> SiteWay:
        """What answers a request, where all that cannot be told of it is so that the wanted line does."""
        way = SiteWay(self, request, [*wanted.upward()])
        way.end = way.through(self.line)
        return way


def _is_host(pattern: str, host: str) -> bool:
    if "{$" in pattern:
        # A name that has no value here may be that one.
        return True
    if pattern.startswith("*."):
        return host.lower().partition(".")[2] == pattern[2:].lower()
    return pattern.lower() == host.lower()


@dataclass
class SiteWay:
    """How a request goes through a site.

    Args:
        site: the site.
        request: what is asked.
        wanted: the lines that it is to go through.
        arrives: the path that is handed on.
        end: what answers it; None where nothing does.
        untold: lines that it passed by, of which cannot be told whether they are for it.
    """

    site: Site
    request: SiteRequest
    wanted: Sequence[CaddyLine]
    arrives: str = ""
    end: CaddyLine | None = None
    untold: list[CaddyLine] = field(default_factory=list)

    def through(self, block: CaddyLine) -> CaddyLine | None:
        """What answers within a block."""
        self.arrives = self.arrives or self.request.path
        lines = list(block.block or ())
        if block.name != "route":
            lines = _ordered(self, lines)
        handled = False
        for each in lines:
            exclusive = each.name in ("handle", "handle_path")
            if each.name not in ("rewrite", "uri", *_ENDS) or (handled and exclusive) or not self.takes(each):
                continue
            handled = handled or exclusive
            found = self._follow(each)
            if found is not None:
                return found
        return None

    def takes(self, line: CaddyLine) -> bool:
        """Whether a line is for the request."""
        found = _matches(self, matcher_of(line))
        if found is None and not any(line is each for each in self.wanted):
            self.untold.append(line)
        return any(line is each for each in self.wanted) if found is None else found

    def _follow(self, line: CaddyLine) -> CaddyLine | None:
        if line.name in ("rewrite", "uri"):
            self.arrives = _rewritten(line, self.arrives)
            return None
        if line.name not in _NESTED:
            for each in line.own("rewrite"):
                self.arrives = _rewritten(each, self.arrives)
            return line
        before = self.arrives
        if line.name == "handle_path":
            self.arrives = before.removeprefix(matcher_of(line).rstrip("*").rstrip("/")) or "/"
        found = self.through(line)
        self.arrives = self.arrives if found is not None else before
        return found


def matcher_of(line: CaddyLine) -> str:
    """The matcher of a directive: a path, or a name with its sign; empty for all."""
    # One word behind `rewrite` is what the path becomes.
    word = line.word(1) if line.name != "rewrite" or line.word(2) else ""
    return word if word.startswith(("/", "@")) or word == "*" else ""


def _ordered(way: SiteWay, lines: Sequence[CaddyLine]) -> list[CaddyLine]:
    """As Caddy orders directives: by their kind, and of one kind those for longer paths first.

    Which of two comes first is not told for every two, so the way of sorting matters: Go's, for few, is by insertion.
    """
    found: list[CaddyLine] = []
    for each in lines:
        place = len(found)
        while place and _comes_before(way, each, found[place - 1]):
            place -= 1
        found.insert(place, each)
    return found


def _comes_before(way: SiteWay, line: CaddyLine, other: CaddyLine) -> bool:
    kind, other_kind = _kind(line), _kind(other)
    if kind != other_kind:
        return kind < other_kind
    path, other_path = _only_path(way, line), _only_path(way, other)
    if path and other_path:
        if path.rstrip("*") == other_path.rstrip("*"):
            return len(path) < len(other_path)
        return len(path) > len(other_path)
    return matcher_of(line) not in ("", "*") and matcher_of(other) in ("", "*")


def _kind(line: CaddyLine) -> int:
    name = "handle" if line.name == "handle_path" else line.name
    return _ENDS.index(name) + 1 if name in _ENDS else 0


def _only_path(way: SiteWay, line: CaddyLine) -> str:
    """The one path that a directive's matcher has; empty where it has none, or several."""
    matcher = matcher_of(line)
    found = [each.words[1:] for each in asked_of(matcher, line, way.site) if each.name == "path"]
    return found[0][0] if len(found) == 1 and len(found[0]) == 1 else ""


def _matches(way: SiteWay, matcher: str) -> bool | None:
    """Whether a matcher is for the request; None where that cannot be told."""
    if matcher in ("", "*"):
        return True
    if matcher.startswith("/"):
        return is_path(matcher, way.arrives)
    defined = [each for level in way.wanted for each in level.own(matcher)] or list(way.site.line.below(matcher))
    return _all([condition_holds(way, each) for each in conditions_of(defined[0])]) if defined else None


def conditions_of(matcher: CaddyLine) -> list[CaddyLine]:
    """What a named matcher asks, each on a line of its own."""
    if matcher.block is not None:
        return list(matcher.block)
    return [CaddyLine(matcher.tokens[1:], matcher.file, matcher.line, parent=matcher)]


def _all(values: Sequence[bool | None]) -> bool | None:
    return False if False in values else None if None in values else True


def condition_holds(way: SiteWay, line: CaddyLine) -> bool | None:
    """Whether a condition of a named matcher holds for the request; None where that cannot be told."""
    words, request = line.words[1:], way.request
    match line.name:
        case "path":
            return any(is_path(each, way.arrives) for each in words)
        case "path_regexp":
            return _finds(words[-1] if words else "", way.arrives)
        case "host":
            return any(_is_host(each, request.host) for each in words)
        case "method":
            return "POST" in (each.upper() for each in words)
        case "protocol":
            return words[:1] == (["https"] if request.secure else ["http"])
        case "header" if words[:1] and words[0].lower() in ("upgrade", "connection"):
            # Nobody upgrades for an answer.
            return False
        case "not":
            inner = line.block if line.block is not None else [CaddyLine(line.tokens[1:], line.file, line.line)]
            held = _all([condition_holds(way, each) for each in inner])
            return held if held is None else not held
    return None


def is_path(pattern: str, path: str) -> bool:
    """Whether a pattern of Caddy's is a path's; it does not look at the case of letters."""
    glob = re.escape(pattern.lower()).replace(r"\*", "[^/]*")
    # At an end, a star is for slashes too.
    glob = re.sub(r"\[\^/\]\*\Z", ".*", re.sub(r"\A\[\^/\]\*", ".*", glob))
    return re.fullmatch(glob, path.partition("?")[0].lower()) is not None


def _finds(pattern: str, path: str) -> bool | None:
    try:
        return re.search(pattern, path) is not None
    except re.error:
        return None


def _rewritten(line: CaddyLine, path: str) -> str:
    words = line.words[2 if matcher_of(line) else 1 :]
    if line.name == "rewrite" and words:
        return re.sub(r"\{(?:http\.request\.)?(?:uri|path|orig_uri)(?:\.path)?\}", lambda _: path, words[0])
    if words[:1] == ["strip_prefix"]:
        return path.removeprefix(words[1]) or "/"
    return path.replace(words[1], words[2]) if words[:1] == ["replace"] and len(words) > 2 else path


def samples(proxy: CaddyLine, site: Site) -> tuple[list[str], list[str]]:
    """Paths and hosts that a `reverse_proxy` may be meant for, the likeliest first."""
    paths, stripped = [*API_PATHS], ""
    # Of a wildcard, one more than any matcher is likely to name.
    hosts = [site.host, *(re.sub(r"^\*", "other", each.host) for each in site.addresses if each.host[:1] == "*")]
    for level in reversed([*proxy.upward()]):
        matcher = matcher_of(level)
        for condition in asked_of(matcher, proxy, site):
            if condition.name == "host":
                hosts = [re.sub(r"^\*", "chat", each) for each in condition.words[1:]]
            starts = _starts(condition) if condition.name in ("path", "path_regexp") else []
            paths += [one for each in starts for one in paths_below(stripped + each)]
        if level.name == "handle_path":
            stripped += matcher.rstrip("*").rstrip("/")
            paths += [stripped + each for each in API_PATHS]
    return list(dict.fromkeys(paths)), hosts


def asked_of(matcher: str, proxy: CaddyLine, site: Site) -> Iterator[CaddyLine]:
    """What a matcher asks, a path as its own condition."""
    if matcher.startswith("/"):
        yield CaddyLine(["path", matcher], proxy.file)
    elif matcher.startswith("@"):
        for each in [*site.line.below(matcher)][:1]:
            yield from conditions_of(each)


def _starts(condition: CaddyLine) -> list[str]:
    """What the paths of a condition begin with."""
    if condition.name == "path":
        return [each.rstrip("*") for each in condition.words[1:] if each.startswith("/")]
    return [re.split(r"[\\^$.|?*+()\[\]{}]", condition.words[-1].lstrip("^"))[0] or "/"]


def upstreams_of(proxy: CaddyLine) -> list[str]:
    """The addresses that a `reverse_proxy` asks."""
    own = proxy.words[2 if matcher_of(proxy) else 1 :]
    return [*own, *(word for each in proxy.own("to") for word in each.words[1:])]


def place_of(upstream: str) -> tuple[str, str]:
    """The scheme of an upstream, and its address without it."""
    found = _UPSTREAM.fullmatch(upstream)
    return (found[1] or "", found[2].rstrip("/")) if found else ("", upstream)


def own_port(upstream: str) -> str:
    """The port of an upstream on this machine; empty where it is another one's."""
    host, _, port = place_of(upstream)[1].rpartition(":")
    return port if _LOOPBACK.fullmatch(host) else ""


def sites_of(file: Caddyfile) -> list[Site]:
    """Every site."""
    return [Site(each, file) for each in file.sites]


def inner_ports(sites: Sequence[Site]) -> frozenset[str]:
    """The ports that the file itself asks: the second of two tiers."""
    asked = {own_port(each) for site in sites for proxy in site.proxies for each in upstreams_of(proxy)}
    return frozenset(asked & {each.port for each in sites})
