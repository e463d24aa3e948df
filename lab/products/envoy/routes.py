"""Which routes of an Envoy configuration lead to a cluster, and which one a request is taken by. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from yaml import Node

from lab.products.adapted import API_PATHS, paths_below
from lab.products.envoy.document import Document, get, items, keys, text_at, type_of

MANAGER = "HttpConnectionManager"

TLS = "DownstreamTlsContext"

_PATHS = ("prefix", "path", "safe_regex", "path_separated_prefix")
TOLD = frozenset({*_PATHS, "case_sensitive"})
"""Keys of a match that say by the path alone whether a request is meant."""

_CLUSTERS = ("cluster", "weighted_clusters", "cluster_header")


@dataclass(frozen=True, eq=False)
class EnvoyListener:
    """A listener.

    Args:
        node: it.
        number: among those of the file, from 0.
    """

    node: Node
    number: int

    @property
    def address(self) -> str:
        """Where it listens: its port, or its socket or name of its own; empty where that is not TCP."""
        return address_of(get(self.node, "address"), asked=False)

    @property
    def chains(self) -> list[Node]:
        """Its filter chains."""
        default = get(self.node, "default_filter_chain")
        return [*items(self.node, "filter_chains"), *([default] if default is not None else [])]


def address_of(address: Node | None, *, asked: bool) -> str:
    """What an address is known by: every one of this machine by its port; empty where it is no TCP."""
    socket = get(address, "socket_address")
    host, port = text_at(socket, "address"), text_at(socket, "port_value")
    if port:
        here = re.fullmatch(r"127\.[\d.]+|localhost|::1", host) or (not asked and host in ("0.0.0.0", "::", ""))  # noqa: S104
        protocol = text_at(socket, "protocol").upper()
        return "" if protocol == "UDP" else port if here else f"{host}:{port}"
    return text_at(address, "pipe", "path") or text_at(address, "envoy_internal_address", "server_listener_name")


@dataclass(frozen=True, eq=False)
class ClusterRoute:
    """One route.

    Args:
        listener: where it is asked.
        chain: of it.
        manager: the chain's connection manager: its `typed_config`.
        host: the virtual host.
        node: the route itself.
    """

    listener: EnvoyListener
    chain: Node
    manager: Node
    host: Node
    node: Node

    @cached_property
    def tls(self) -> Node | None:
        """The TLS context of its clients; None where they speak in clear text."""
        socket = get(self.chain, "transport_socket")
        return get(socket, "typed_config") if type_of(socket).endswith(TLS) else None

    @property
    def action(self) -> Node | None:
        """What it says of a request that it hands on."""
        return get(self.node, "route")

    @property
    def leads_on(self) -> bool:
        """Whether it hands requests on."""
        return bool(set(keys(self.action)) & set(_CLUSTERS)) and "connect_matcher" not in keys(get(self.node, "match"))

    @property
    def clusters(self) -> list[str]:
        """To which clusters; none where a header of the request says it."""
        weighted = [text_at(each, "name") for each in items(self.action, "weighted_clusters", "clusters")]
        return [each for each in (text_at(self.action, "cluster"), *weighted) if each]

    @property
    def kind(self) -> tuple[str, str]:
        """How it looks at a path, and for what; empty where it does in a way that is not known."""
        match = get(self.node, "match")
        for name in _PATHS:
            found = text_at(match, name, "regex") if name == "safe_regex" else text_at(match, name)
            if found:
                return name, found
        return "", ""

    @property
    def asks_more(self) -> bool:
        """Whether more than the path decides whether it takes a request."""
        return bool(set(keys(get(self.node, "match"))) - TOLD)

    def takes(self, path: str) -> bool:
        """Whether it takes requests for a path, as far as the path decides."""
        name, what = self.kind
        plain = path.partition("?")[0]
        if text_at(self.node, "match", "case_sensitive") == "false" and name != "safe_regex":
            plain, what = plain.lower(), what.lower()
        if name == "safe_regex":
            return _fits(what, plain)
        if name == "path_separated_prefix":
            return plain == what or plain.startswith(f"{what}/")
        return plain == what if name == "path" else name == "prefix" and plain.startswith(what)

    def arriving(self, path: str) -> str:
        """The path that it hands on."""
        name, what = self.kind
        prefix = text_at(self.action, "prefix_rewrite")
        pattern = text_at(self.action, "regex_rewrite", "pattern", "regex")
        if prefix:
            return prefix if name == "safe_regex" else prefix + path[len(what) :]
        try:
            return re.sub(pattern, text_at(self.action, "regex_rewrite", "substitution"), path) if pattern else path
        except re.error:
            return path

    def samples(self) -> list[str]:
        """Paths that it may be meant for, the likeliest first."""
        name, what = self.kind
        if name == "path":
            return [what]
        start = re.split(r"[\\^$.|?*+()\[\]{}]", what.lstrip("^"))[0] if name == "safe_regex" else what
        return [*API_PATHS, *paths_below(start)] if name else []


def _fits(pattern: str, path: str) -> bool:
    try:
        return re.fullmatch(pattern, path) is not None
    except re.error:
        return False


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """A whole configuration."""

    document: Document

    @cached_property
    def listeners(self) -> list[EnvoyListener]:
        """Every listener that stands in it."""
        found = items(self.document.top, "static_resources", "listeners")
        return [EnvoyListener(each, number) for number, each in enumerate(found)]

    @cached_property
    def clusters(self) -> list[Node]:
        """Every cluster that stands in it."""
        return items(self.document.top, "static_resources", "clusters")

    @cached_property
    def routes(self) -> list[ClusterRoute]:
        """Every route of every connection manager, in the order of the file."""
        return [
            ClusterRoute(listener, chain, manager, host, route)
            for listener in self.listeners
            for chain in listener.chains
            for manager in managers_of(chain)
            for host in items(manager, "route_config", "virtual_hosts")
            for route in items(host, "routes")
        ]

    @cached_property
    def inner(self) -> frozenset[str]:
        """The addresses that the file itself asks: the second of two tiers."""
        own = {each.address for each in self.listeners} - {""}
        return frozenset(own & {address_of(each, asked=True) for each in self.addresses()})

    def addresses(self, *clusters: str) -> Iterator[Node]:
        """The addresses of all endpoints, or of those of some clusters."""
        for cluster in self.clusters:
            for place in items(cluster, "load_assignment", "endpoints"):
                for each in items(place, "lb_endpoints"):
                    address = get(each, "endpoint", "address")
                    if address is not None and (not clusters or text_at(cluster, "name") in clusters):
                        yield address

    def calls_it(self, route: ClusterRoute, names: Sequence[str]) -> bool:
        """Whether a route leads to what is called by one of these names: a cluster, or a host with or without port."""
        called = set(route.clusters)
        for each in self.addresses(*route.clusters) if route.clusters else ():
            socket = get(each, "socket_address")
            host = text_at(socket, "address")
            called |= {host, f"{host}:{text_at(socket, 'port_value')}", text_at(each, "pipe", "path")}
        return not names or bool(called & set(names))

    def before(self, route: ClusterRoute, path: str) -> list[ClusterRoute]:
        """The routes that stand before one in its virtual host, and that would take a path from it."""
        own = [each for each in self.routes if each.host is route.host and each.chain is route.chain]
        return [each for each in own[: own.index(route)] if each.takes(path)]

    def way(self, route: ClusterRoute, path: str, host: str) -> list[ClusterRoute]:
        """A route, and those behind it by which another listener of the same file hands the request on."""
        found = [route]
        while True:
            path = found[-1].arriving(path)
            asked = {address_of(each, asked=True) for each in self.addresses(*found[-1].clusters)}
            behind = [each for each in self.routes if each.listener.address in asked - {""}]
            best = max((closeness(each.host, host) for each in behind), default=0)
            taking = [each for each in behind if closeness(each.host, host) == best and each.takes(path)]
            following = next((each for each in taking if each.leads_on and not each.asks_more), None)
            if following is None or following in found:
                return found
            found.append(following)


def managers_of(chain: Node) -> list[Node]:
    """The connection managers of a filter chain: one, or none where it hands on bytes."""
    found = [get(each, "typed_config") for each in items(chain, "filters") if type_of(each).endswith(MANAGER)]
    return [each for each in found if each is not None]


def filter_of(filter_: Node) -> str:
    """The folder of an HTTP filter's type, which is short and does not change with the version, as in `lua`."""
    found = re.search(r"filters\.http\.(\w+)\.", f"{type_of(filter_)}.")
    return found[1] if found else text_at(filter_, "name").rpartition(".")[2]


def names_of(host: Node) -> list[str]:
    """The domains of a virtual host."""
    return [str(each.value) for each in items(host, "domains")]


def closeness(host: Node, name: str) -> int:
    """How closely the domains of a virtual host fit a name; of several hosts the closest counts; 0 where none fits."""
    return max((_closeness(domain.lower(), name.lower()) for domain in names_of(host)), default=0)


def _closeness(domain: str, name: str) -> int:
    if domain == "*":
        return 1
    if domain in (name, f"{name}:*"):
        return 4000
    if domain.startswith("*"):
        return 2000 + len(domain) if name.endswith(domain[1:]) else 0
    if domain.endswith("*"):
        return 1000 + len(domain) if name.startswith(domain[:-1]) else 0
    return 0


def own_name(host: Node) -> str:
    """A name that requests to a virtual host have; empty where any will do."""
    names = names_of(host)
    if not names or "*" in names:
        return ""
    first = re.sub(r":(\d+|\*)$", "", names[0])
    return re.sub(r"^\*", "chat", re.sub(r"\.?\*$", ".com", first))
