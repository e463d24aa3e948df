"""Which routers of a Traefik configuration lead to a service, and which one serves a request. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lab.errors import BadInput
from lab.products.adapted import Spot
from lab.products.traefik.files import TraefikFiles, at, key_in, keys_at, list_at, mapping_at
from lab.products.traefik.rules import Matcher, Rule, RuleRequest, matchers, parse_rule
from lab.products.traefik.source import TraefikSource

MIDDLEWARES = frozenset(
    [
        "addPrefix",
        "stripPrefix",
        "stripPrefixRegex",
        "replacePath",
        "replacePathRegex",
        "chain",
        "ipWhiteList",
        "ipAllowList",
        "headers",
        "encodedCharacters",
        "errors",
        "rateLimit",
        "redirectRegex",
        "redirectScheme",
        "basicAuth",
        "digestAuth",
        "forwardAuth",
        "inFlightReq",
        "buffering",
        "circuitBreaker",
        "compress",
        "passTLSClientCert",
        "retry",
        "contentType",
        "grpcWeb",
        "plugin",
    ]
)
_SERVICES = frozenset({"loadBalancer", "weighted", "mirroring", "failover", "highestRandomWeight"})
_ROUTER = frozenset(
    [
        "entryPoints",
        "middlewares",
        "service",
        "rule",
        "parentRefs",
        "ruleSyntax",
        "priority",
        "tls",
        "observability",
        "deniedEncodedPathCharacters",
    ]
)
_LISTS = ("services", "mirrors")


@dataclass(frozen=True, eq=False)
class EntryPoint:
    """An entry point.

    Args:
        name: of it.
        data: what is said of it.
    """

    name: str
    data: dict[str, Any]

    @property
    def secure(self) -> bool:
        """Whether its routers speak TLS where they do not say."""
        return key_in(mapping_at(self.data, "http"), "tls") is not None

    @property
    def redirects(self) -> bool:
        """Whether it sends all that is asked in clear text elsewhere."""
        return bool(mapping_at(self.data, "http", "redirections", "entryPoint"))


@dataclass(frozen=True, eq=False)
class Named:
    """A router, a middleware or a service.

    Args:
        source: its file.
        group: under which key of `http` it stands.
        name: of it.
        data: what is said of it.
    """

    source: TraefikSource
    group: str
    name: str
    data: dict[str, Any]

    @property
    def spot(self) -> Spot:
        """Where it stands."""
        return self.spot_of()

    def spot_of(self, *names: str) -> Spot:
        """Where a key of it stands, or what it stands in."""
        group = keys_at(self.source.data, "http", self.group)
        return self.source.spot(*group, self.name, *keys_at(self.data, *names))

    @property
    def kind(self) -> str:
        """Which middleware or service it is, as it is written there."""
        return next(iter(self.data), "")


@dataclass(frozen=True)
class RouterWay:
    """A router, asked through one of its entry points."""

    router: Named
    entry_point: EntryPoint

    @property
    def secure(self) -> bool:
        """Whether it speaks TLS there."""
        return key_in(self.router.data, "tls") is not None or self.entry_point.secure


class TraefikConfig:
    """A whole configuration.

    Args:
        files: it.

    Raises:
        BadInput: it has something that Traefik does not know; names file and line.
    """

    def __init__(self, files: TraefikFiles) -> None:
        self.files = files
        self.routers = list(self._named("routers", _ROUTER))
        self.middlewares = {each.name: each for each in self._named("middlewares", MIDDLEWARES)}
        self.services = {each.name: each for each in self._named("services", _SERVICES)}

    def _named(self, group: str, known: frozenset[str]) -> Iterator[Named]:
        names: set[str] = set()
        lowered = {each.lower() for each in known}
        for source in self.files.dynamic:
            for name, data in mapping_at(source.data, "http", group).items():
                found = Named(source, group, name, data if isinstance(data, dict) else {})
                for key in found.data:
                    if key.lower() not in lowered:
                        remedy = f"It knows {', '.join(sorted(known))}."
                        raise BadInput(f"{found.spot_of(key)}: Traefik knows no {key} there.", remedy)
                # Traefik keeps the first of two that are called alike.
                if name not in names:
                    names.add(name)
                    yield found

    @cached_property
    def entry_points(self) -> dict[str, EntryPoint]:
        """Those that listen for HTTP over TCP, by name; where no file has any, those that the routers name."""
        if self.files.static is None:
            names = [name for each in self.routers for name in list_at(each.data, "entryPoints")]
            return {str(name): EntryPoint(str(name), {}) for name in names or ["web"]}
        found = mapping_at(self.files.static.data, "entryPoints")
        points = {name: EntryPoint(name, data if isinstance(data, dict) else {}) for name, data in found.items()}
        points = {name: each for name, each in points.items() if not str(at(each.data, "address")).endswith("/udp")}
        return points or {"http": EntryPoint("http", {})}

    @cached_property
    def ways(self) -> list[RouterWay]:
        """Each router, with each entry point through which it is asked."""
        default = [each for each in self.entry_points.values() if at(each.data, "asDefault") is True]
        default = default or [each for name, each in self.entry_points.items() if name != "traefik"]
        found = []
        for router in self.routers:
            names = {str(name) for name in list_at(router.data, "entryPoints")}
            own = [each for name, each in self.entry_points.items() if name in names] if names else default
            found += [RouterWay(router, each) for each in own]
        return found

    def way(self, router: str, entry_point: str) -> RouterWay:
        """A router by its name, asked through an entry point by its name."""
        named = next(each for each in self.routers if each.name == router)
        return RouterWay(named, self.entry_points[entry_point])

    def second(self, router: Named) -> bool:
        """Whether its rule is in the syntax of version 2."""
        static = self.files.static.data if self.files.static else {}
        syntax = at(router.data, "ruleSyntax") or at(static, "core", "defaultRuleSyntax") or "v3"
        return str(syntax).lower() == "v2"

    def rule(self, router: Named) -> Rule | Matcher:
        """What it asks of a request.

        Raises:
            BadInput: Traefik would not read it; names file and line.
        """
        text, second = str(at(router.data, "rule") or ""), self.second(router)
        found = parse_rule(text, second=second)
        spot = router.spot_of("rule")
        if found is None:
            syntax = "v2" if second else "v3"
            raise BadInput(f"{spot}: this is no rule in the syntax {syntax}.", "Correct it, or say `ruleSyntax`.")
        several = [each for each in matchers(found) if len(each.values) > 1 and each.name.startswith(("Host", "Path"))]
        if several and not second:
            remedy = "Join several by `||`, or say `ruleSyntax: v2` as version 2 had it."
            raise BadInput(f"{spot}: {several[0].name} takes one value.", remedy)
        return found

    def priority(self, router: Named) -> int:
        """The highest is asked first."""
        given = at(router.data, "priority")
        return int(given) if given else len(str(at(router.data, "rule") or ""))

    def leads_on(self, way: RouterWay) -> bool:
        """Whether it hands requests on to a service of these files."""
        # One that sends all clear text elsewhere is not where clients of a model ask, over TLS neither.
        return not way.entry_point.redirects and bool(self.servers_of(way.router))

    def before(self, way: RouterWay) -> list[RouterWay]:
        """The other routers of its entry point that are asked before it."""
        alike = [each for each in self.ways if each.entry_point is way.entry_point and each.secure == way.secure]
        own = self.priority(way.router)
        return [each for each in alike if each != way and self.priority(each.router) > own]

    def serves(self, way: RouterWay, request: RuleRequest) -> bool:
        """Whether a request comes to it, as far as can be told."""
        takes = self.rule(way.router).holds(request)
        return takes is not False and not any(self.rule(each.router).holds(request) for each in self.before(way))

    def own_name(self, name: Any) -> str:
        """The name of something in these files; empty where another provider has it."""
        found = str(name or "").removesuffix("@file")
        return "" if "@" in found else found

    def services_of(self, router: Named) -> list[Named]:
        """The service that it leads to, and those which that consists of, each once."""
        found: dict[str, Named] = {}
        left = [at(router.data, "service")]
        while left:
            name = self.own_name(left.pop(0))
            if name in self.services and name not in found:
                found[name] = self.services[name]
                left += parts_of(found[name])
        return list(found.values())

    def servers_of(self, router: Named) -> list[str]:
        """The addresses that it leads to."""
        every = [each for service in self.services_of(router) for each in servers_in(service)]
        return [str(at(each, "url") or "") for each in every]

    def middlewares_of(self, way: RouterWay) -> Iterator[Named]:
        """What a request goes through before the service, in its order, chains resolved."""
        names = [*list_at(way.entry_point.data, "http", "middlewares"), *list_at(way.router.data, "middlewares")]
        yield from self._resolved(names, frozenset())

    def _resolved(self, names: Sequence[Any], seen: frozenset[str]) -> Iterator[Named]:
        for name in names:
            own = self.own_name(name)
            found = self.middlewares.get(own)
            if found is None or own in seen:
                continue
            yield found
            yield from self._resolved(list_at(found.data, "chain", "middlewares"), seen | {own})


def servers_in(service: Named) -> list[Any]:
    """The servers of one service."""
    return list_at(service.data, "loadBalancer", "servers")


def parts_of(service: Named) -> list[Any]:
    """The names of the services that one consists of."""
    found = [at(service.data, kind, key) for kind in ("mirroring", "failover") for key in ("service", "fallback")]
    for kind in ("weighted", "highestRandomWeight"):
        found += [at(each, "name") for each in list_at(service.data, kind, "services")]
    return [each for each in found if each]


def arriving(middlewares: Iterator[Named], request: RuleRequest, *, secure: bool) -> str | None:
    """The path of a request as it comes to the service; None where it is sent elsewhere."""
    path = request.path
    for each in middlewares:
        changed = _changed(each.data, path, request.host, secure=secure)
        if changed is None:
            return None
        path = changed
    return path


def _changed(data: dict[str, Any], path: str, host: str, *, secure: bool) -> str | None:
    for prefix in list_at(data, "stripPrefix", "prefixes"):
        if path.startswith(str(prefix)):
            return "/" + path[len(str(prefix)) :].lstrip("/")
    for pattern in list_at(data, "stripPrefixRegex", "regex"):
        if found := _match(str(pattern), path):
            return "/" + path[found.end() :].lstrip("/")
    if (prefix := at(data, "addPrefix", "prefix")) is not None:
        return f"/{str(prefix).strip('/')}{path}"
    if (whole := at(data, "replacePath", "path")) is not None:
        return str(whole)
    if pattern := at(data, "replacePathRegex", "regex"):
        return _replaced(str(pattern), str(at(data, "replacePathRegex", "replacement") or ""), path)
    if scheme := at(data, "redirectScheme", "scheme"):
        return path if (scheme == "https") is secure else None
    if pattern := at(data, "redirectRegex", "regex"):
        url = f"{'https' if secure else 'http'}://{host}{path}"
        found = _match(str(pattern), url, anywhere=True)
        return None if found else path
    return path


def _match(pattern: str, text: str, *, anywhere: bool = False) -> re.Match[str] | None:
    try:
        return (re.search if anywhere else re.match)(pattern, text)
    except re.error:
        return None


def _replaced(pattern: str, replacement: str, path: str) -> str:
    """A path by a regular expression, whose groups Go calls `$1` or `${1}`."""
    try:
        return re.sub(pattern, re.sub(r"\$\{?(\w+)\}?", r"\\g<\1>", replacement), path)
    except (re.error, IndexError):
        return path
