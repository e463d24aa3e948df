"""What of a user's Traefik configuration is otherwise in the copy that the lab runs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from lab.products.adapted import Replacement, Spot
from lab.products.traefik.files import at, key_in, keys_at, list_at, mapping_at
from lab.products.traefik.routes import Named, RouterWay, TraefikConfig, parts_of, servers_in
from lab.products.traefik.rules import RuleRequest

DYNAMIC = "dynamic.yaml"
"""What the copy's static part calls its dynamic part: see `lab.products.traefik`."""

HEALTH = "Path(`/lab/health`)"
"""What the testbed asks for to see that it is up."""

_NOBODY = "http://127.0.0.1:1"
"""Where nobody listens."""

_MACHINE = "this machine is another"
_NO_HOST = "no such host or program is here"
_LET_IN = "who may ask is not asked"
_AT_ONCE = "the suite asks many things at once from one address"
_FAILS = "the lab makes the model fail on purpose"
_MODEL = "in the place of the model"
_LISTENS = "the lab chooses where it listens"
_NO_TLS = "the model server speaks no TLS"
_CERTIFICATE = "the lab makes a certificate"
_ANOTHER = "the lab asks another"
_ELSEWHERE = "another provider has it"
_CHANCE = "without it some POST streams over HTTP/1.1 are cut by chance, see scenarios/recommended"


def _table(reasons: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): why for why, names in reasons.items() for name in names.split()}


_STATIC = _table(
    {
        _MACHINE: "api ping global hub pilot spiffe ocsp hostResolver tcpServersTransport",
        _NO_HOST: "metrics tracing certificatesResolvers",
    }
)
_LOG = _table({"its log is read there": "filePath maxSize maxAge maxBackups compress otlp"})
_EXPERIMENTAL = _table({_NO_HOST: "plugins localPlugins abortOnPluginFailure kubernetesGateway otlplogs knative"})
_ENTRY_POINT = _table({_LISTENS: "http3 reusePort udp allowACMEByPass", _MACHINE: "proxyProtocol"})
_ROUTER_TLS = _table({_CERTIFICATE: "certResolver domains"})
_TRANSPORT = _table(
    {
        _NO_TLS: "serverName insecureSkipVerify rootCAs certificates cipherSuites minVersion maxVersion peerCertURI "
        "spiffe"
    }
)
_OPTIONS = _table({_LET_IN: "clientAuth sniStrict"})
_BALANCER = _table({_FAILS: "healthCheck passiveHealthCheck"})

LEFT_OUT = _table(
    {
        _LET_IN: "basicAuth digestAuth forwardAuth ipAllowList ipWhiteList passTLSClientCert",
        _AT_ONCE: "rateLimit inFlightReq",
        _FAILS: "circuitBreaker",
        _NO_HOST: "plugin",
    }
)
"""Middlewares; none of these hands a reply on, but for a plugin, which is not seen."""


@dataclass(frozen=True)
class TraefikCopy:
    """Replaces in a configuration of its own.

    Args:
        config: what is changed.
        way: how the request goes that is asked.
        request: it.
    """

    config: TraefikConfig
    way: RouterWay
    request: RuleRequest

    def replacements(self) -> Iterator[Replacement]:
        """Replace everything, and tell of each."""
        # Before what they lead to is changed.
        routers = {each: self._why_not(each) for each in self.config.routers}
        yield from self._static()
        yield from self._entry_point()
        yield from self._middlewares()
        for router, why in routers.items():
            yield from self._router(router, why)
        pages = self._pages()
        for service in self.config.services.values():
            yield from self._service(service, pages)
        for source in self.config.files.dynamic:
            for name, each in mapping_at(source.data, "http", "serversTransports").items():
                keys = (*keys_at(source.data, "http", "serversTransports"), name)
                yield from self._without(each, _TRANSPORT, lambda key, s=source, k=keys: s.spot(*k, key))
            yield from self._tls(source.data, source.spot)

    def whole(self) -> dict[str, Any]:
        """What there is when everything is replaced, in one mapping: see `lab.products.traefik`."""
        static = dict(self.config.files.static.data) if self.config.files.static else {}
        found = {key: value for key, value in static.items() if key.lower() not in ("http", "tls", "tcp", "udp")}
        # Traefik refuses a mapping with nothing in it.
        found = {key: value for key, value in found.items() if value != {} or key.lower() == "accesslog"}
        found["entryPoints"] = {self.way.entry_point.name: self.way.entry_point.data}
        found["providers"] = {"file": {"filename": DYNAMIC, "watch": False}}
        found["global"] = {"checkNewVersion": False}
        http: dict[str, Any] = {}
        for named in (*self.config.routers, *self.config.middlewares.values(), *self.config.services.values()):
            if named.name in mapping_at(named.source.data, "http", named.group):
                http.setdefault(named.group, {})[named.name] = named.data
        transports = [mapping_at(each.data, "http", "serversTransports") for each in self.config.files.dynamic]
        if any(transports):
            # One with nothing in it is refused; this is the default.
            default = {"disableHTTP2": False}
            http["serversTransports"] = {name: one or default for each in transports for name, one in each.items()}
        http["routers"]["token-stream-lab"] = self._health()
        found["http"] = http
        tls: dict[str, Any] = {}
        if self.way.secure:
            own = {"certFile": "${CERTIFICATE}", "keyFile": "${CERTIFICATE}"}
            tls["stores"] = {"default": {"defaultCertificate": own}}
        options = [mapping_at(each.data, "tls", "options") for each in self.config.files.dynamic]
        if any(options):
            tls["options"] = {name: one for each in options for name, one in each.items()}
        return found | ({"tls": tls} if tls else {})

    def _health(self) -> dict[str, Any]:
        service = at(self.way.router.data, "service")
        found = {"rule": HEALTH, "entryPoints": [self.way.entry_point.name], "service": service, "priority": 2**31}
        return found | ({"tls": {}} if self.way.secure else {})

    def _without(self, node: Any, reasons: Mapping[str, str], spot: Any) -> Iterator[Replacement]:
        """Take keys out of a mapping; `spot` says where one stands."""
        for key in list(node) if isinstance(node, dict) else ():
            if key.lower() in reasons:
                yield Replacement(spot(key), "", reasons[key.lower()])
                del node[key]

    def _static(self) -> Iterator[Replacement]:
        static = self.config.files.static
        if static is None:
            main = self.config.files.dynamic[0]
            now = f"entryPoints: {self.way.entry_point.name}"
            yield Replacement(Spot(main.file, 1, "no static configuration"), now, "one is made")
            return
        data = static.data
        yield from self._without(data, _STATIC, static.spot)
        providers, where_providers = mapping_at(data, "providers"), keys_at(data, "providers")
        others = {key.lower(): "what another provider has is not read" for key in providers if key.lower() != "file"}
        yield from self._without(providers, others, lambda key: static.spot(*where_providers, key))
        if key_in(providers, "file"):
            yield Replacement(static.spot(*where_providers, "file"), f"filename: {DYNAMIC}", "the copy is one file")
        log, access = mapping_at(data, "log"), key_in(data, "accessLog")
        yield from self._without(log, _LOG, lambda key: static.spot(*keys_at(data, "log"), key))
        if access is not None and data[access]:
            yield Replacement(static.spot(access), f"{access}: {{}}", "its log is read there")
            data[access] = {}
        experimental = mapping_at(data, "experimental")
        where = keys_at(data, "experimental")
        yield from self._without(experimental, _EXPERIMENTAL, lambda key: static.spot(*where, key))
        transport = mapping_at(data, "serversTransport")
        where_transport = keys_at(data, "serversTransport")
        yield from self._without(transport, _TRANSPORT, lambda key: static.spot(*where_transport, key))

    def _point_spot(self, *names: str) -> Spot:
        """Where something of the entry point stands."""
        static, point = self.config.files.static, self.way.entry_point
        if static is None:
            return Spot(self.config.files.dynamic[0].file, 1, f"entry point {point.name}")
        return static.spot(*keys_at(static.data, "entryPoints"), point.name, *keys_at(point.data, *names))

    def _entry_point(self) -> Iterator[Replacement]:
        asked = self.way.entry_point
        if (static := self.config.files.static) is not None:
            points, where = mapping_at(static.data, "entryPoints"), keys_at(static.data, "entryPoints")
            others = {key.lower(): _ANOTHER for key in points if key != asked.name}
            yield from self._without(points, others, lambda key: static.spot(*where, key))
            yield Replacement(self._point_spot("address"), "address: :${PORT}", _LISTENS)
        yield from self._without(asked.data, _ENTRY_POINT, self._point_spot)
        http = mapping_at(asked.data, "http")
        yield from self._without(http, {"redirections": _ANOTHER}, lambda key: self._point_spot("http", key))
        tls = mapping_at(http, "tls")
        yield from self._without(tls, _ROUTER_TLS, lambda key: self._point_spot("http", "tls", key))
        if http == {} and (own := key_in(asked.data, "http")):
            del asked.data[own]
        asked.data[key_in(asked.data, "address") or "address"] = ":${PORT}"
        key = key_in(asked.data, "transport") or "transport"
        if at(asked.data, key, "keepAliveMaxRequests") != 1:
            spot = self._point_spot("transport", "keepAliveMaxRequests")
            yield Replacement(spot, "transport: {keepAliveMaxRequests: 1}", _CHANCE)
            transport = dict(mapping_at(asked.data, key))
            transport.pop(key_in(transport, "keepAliveMaxRequests") or "", None)
            asked.data[key] = {**transport, "keepAliveMaxRequests": 1}

    def _middlewares(self) -> Iterator[Replacement]:
        gone = {name: LEFT_OUT[each.kind.lower()] for name, each in self._all() if each.kind.lower() in LEFT_OUT}
        for name, why in gone.items():
            yield self._drop(self.config.middlewares[name], why)
        while True:
            chains = [each for name, each in self._all() if name not in gone and key_in(each.data, "chain")]
            for each in chains:
                yield from self._kept(each.data["chain"], gone, each, "chain")
            empty = [each for each in chains if not list_at(each.data, "chain", "middlewares")]
            if not empty:
                break
            for each in empty:
                gone[each.name] = "nothing is left in it"
                yield self._drop(each, gone[each.name])
        for each in self.config.routers:
            yield from self._kept(each.data, gone, each)
        yield from self._kept_of_entry_point(gone)

    def _all(self) -> list[tuple[str, Named]]:
        return list(self.config.middlewares.items())

    def _drop(self, named: Named, why: str) -> Replacement:
        group = mapping_at(named.source.data, "http", named.group)
        spot = named.spot
        del group[named.name]
        return Replacement(spot, "", why)

    def _kept(self, node: dict[str, Any], gone: Mapping[str, str], named: Named, *within: str) -> Iterator[Replacement]:
        """Take what is gone out of a list of middlewares, and what other providers have."""
        key = key_in(node, "middlewares")
        if key is None:
            return
        names = list_at(node, "middlewares")
        kept = [each for each in names if (own := self.config.own_name(each)) and own not in gone]
        spot = named.spot_of(*within, "middlewares")
        yield from (Replacement(spot, "", f"{each}: {_ELSEWHERE}") for each in names if not self.config.own_name(each))
        node[key] = kept

    def _kept_of_entry_point(self, gone: Mapping[str, str]) -> Iterator[Replacement]:
        http = mapping_at(self.way.entry_point.data, "http")
        key = key_in(http, "middlewares")
        if key is not None:
            names = list_at(http, key)
            elsewhere = [each for each in names if not self.config.own_name(each)]
            spot = self._point_spot("http", "middlewares")
            yield from (Replacement(spot, "", f"{each}: {_ELSEWHERE}") for each in elsewhere)
            http[key] = [each for each in names if each not in elsewhere and self.config.own_name(each) not in gone]

    def _why_not(self, router: Named) -> str:
        """Why a router is left out; empty where it is not."""
        if router is self.way.router:
            return ""
        own = [each for each in self.config.ways if each.router is router]
        here = [each for each in own if each.entry_point is self.way.entry_point and each.secure == self.way.secure]
        if not here:
            return _ANOTHER
        if not self.config.servers_of(router):
            return _ELSEWHERE
        before = {each.router for each in self.config.before(self.way)}
        if router in before and self.config.rule(router).holds(self.request) is None:
            return f"whether it is for a request cannot be told, and {_ANOTHER}"
        return ""

    def _router(self, router: Named, why: str) -> Iterator[Replacement]:
        if why:
            yield self._drop(router, why)
            return
        data = router.data
        yield from self._without(mapping_at(data, "tls"), _ROUTER_TLS, lambda key: router.spot_of("tls", key))
        name = self.way.entry_point.name
        if list_at(data, "entryPoints") not in ([], [name]):
            key = str(key_in(data, "entryPoints"))
            yield Replacement(router.spot_of(key), f"{key}: [{name}]", _ANOTHER)
            data[key] = [name]
        if router is self.way.router and self.config.rule(router).holds(self.request) is None:
            data[key_in(data, "priority") or "priority"] = self.config.priority(router)
            spot, rule = router.spot_of("rule"), f"Path(`{self.request.path}`)"
            data[str(key_in(data, "rule"))] = rule
            yield Replacement(spot, f"rule: {rule}", "what else a request must have is not asked")

    def _pages(self) -> set[str]:
        """The services that only have pages for errors: with the model server there a page would be its own error."""
        named = {self.config.own_name(at(each.data, "errors", "service")) for each in self.config.middlewares.values()}
        return named - {each.name for router in self.config.routers for each in self.config.services_of(router)}

    def _service(self, service: Named, pages: Collection[str]) -> Iterator[Replacement]:
        data = service.data
        for kind in list(data):
            yield from self._without(data[kind], _BALANCER, lambda key, k=kind: service.spot_of(k, key))
        for number, server in enumerate(servers_in(service)):
            key = key_in(server, "url")
            if key is not None:
                path = urlsplit(str(server[key])).path if at(server, "preservePath") is True else ""
                spot = service.source.spot(*self._server_keys(service), number, key)
                why = _NO_HOST if service.name in pages else _MODEL
                server[key] = _NOBODY if service.name in pages else f"http://${{MODEL}}{path.rstrip('/')}"
                yield Replacement(spot, f"{key}: {server[key]}", why)
        balancer = mapping_at(data, "loadBalancer")
        if self.config.own_name(at(balancer, "serversTransport")) == "":
            yield from self._without(
                balancer, {"serverstransport": _ELSEWHERE}, lambda key: service.spot_of("loadBalancer", key)
            )
        mirroring = mapping_at(data, "mirroring")
        yield from self._without(
            mirroring, {"mirrors": "one model server is here"}, lambda key: service.spot_of("mirroring", key)
        )
        if (key := key_in(data, "failover")) is not None:
            spot, first = service.spot_of("failover"), parts_of(service)[0]
            del data[key]
            data["weighted"] = {"services": [{"name": first, "weight": 1}]}
            yield Replacement(spot, f"weighted: {first}", _FAILS)

    def _server_keys(self, service: Named) -> tuple[str | int, ...]:
        group = keys_at(service.source.data, "http", "services")
        return (*group, service.name, *keys_at(service.data, "loadBalancer", "servers"))

    def _tls(self, data: dict[str, Any], spot: Any) -> Iterator[Replacement]:
        tls, where = mapping_at(data, "tls"), keys_at(data, "tls")
        gone = dict.fromkeys(("certificates", "stores"), _CERTIFICATE)
        yield from self._without(tls, gone, lambda key: spot(*where, key))
        for name, options in mapping_at(tls, "options").items():
            keys = (*keys_at(data, "tls", "options"), name)
            yield from self._without(options, _OPTIONS, lambda key, k=keys: spot(*k, key))
        yield from self._without(data, dict.fromkeys(("tcp", "udp"), "the lab asks over HTTP"), spot)
