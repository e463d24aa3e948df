"""What of a user's Envoy configuration is otherwise in the copy that the lab runs."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml
from yaml import Node

from lab.products.adapted import Replacement, ends_of
from lab.products.envoy.document import drop, get, items, keys, mappings, put, text_at, type_of
from lab.products.envoy.routes import (
    MANAGER,
    TOLD,
    Bootstrap,
    ClusterRoute,
    EnvoyListener,
    address_of,
    filter_of,
    managers_of,
)
from lab.products.yaml_text import entry

_OWN = "/tmp/token-stream-lab-${PORT}"  # noqa: S108 - in a container, or of one port and process
"""What the names of the copy's own sockets begin with."""

_HERE = '{socket_address: {address: 0.0.0.0, port_value: "${PORT}"}}'
_MODEL = '{socket_address: {address: "${MODEL_HOST}", port_value: "${MODEL_PORT}"}}'
_ENDPOINTS = f"[{{lb_endpoints: [{{endpoint: {{address: {_MODEL}}}}}]}}]"
_CERTIFICATES = '[{certificate_chain: {filename: "${CERTIFICATE}"}, private_key: {filename: "${CERTIFICATE}"}}]'
_HTTP_1 = "{http_protocol_options: {}}"

_NO_HOST = "no such host or program is here"
_NO_FILE = "no such file is here"
_MACHINE = "this machine is another"
_LET_IN = "who may ask is not asked"
_AT_ONCE = "the suite asks many things at once from one address"
_FAILS = "the lab makes the model fail on purpose"
_IN_THE_PLACE = "in the place of the model"
_LISTENS = "the lab chooses where it listens"
_NO_TLS = "the model server speaks no TLS"


def _table(reasons: Mapping[str, str]) -> dict[str, str]:
    return {name: why for why, names in reasons.items() for name in names.split()}


_TOP = _table(
    {
        _MACHINE: "admin overload_manager watchdog watchdogs flags_path hds_config runtime",
        _NO_HOST: (
            "dynamic_resources stats_sinks tracing cluster_manager dns_resolution_config typed_dns_resolver_config "
            "default_socket_interface config_trackers"
        ),
    }
)
_LISTENER = _table(
    {
        _LISTENS: (
            "additional_addresses bind_to_port freebind transparent use_original_dst socket_options reuse_port "
            "enable_reuse_port enable_mptcp tcp_fast_open_queue_length tcp_backlog_size connection_balance_config"
        ),
        _AT_ONCE: "max_connections_to_accept_per_socket_event",
        _LET_IN: "filter_chain_matcher",
    }
)
_CLUSTER = _table(
    {
        _FAILS: "health_checks outlier_detection",
        _AT_ONCE: "circuit_breakers",
        _NO_TLS: "transport_socket transport_socket_matches",
        _NO_HOST: (
            "eds_cluster_config lrs_server upstream_bind_config dns_resolvers dns_resolution_config dns_lookup_family "
            "typed_dns_resolver_config"
        ),
        "the model server speaks HTTP/1.1": "http2_protocol_options",
    }
)
_TLS = frozenset({"alpn_protocols", "tls_params", "tls_certificates"})
"""What stays of a TLS context; all else names certificates or who may ask."""

_FILTERS = _table(
    {
        _LET_IN: "ext_authz jwt_authn rbac oauth2 basic_auth api_key_auth csrf ip_tagging geoip gcp_authn",
        _AT_ONCE: "ratelimit local_ratelimit rate_limit_quota admission_control adaptive_concurrency",
        _NO_HOST: (
            "ext_proc wasm tap dynamic_forward_proxy golang dynamic_modules aws_lambda aws_request_signing "
            "credential_injector"
        ),
        _NO_FILE: "grpc_json_transcoder grpc_field_extraction proto_message_extraction",
    }
)
"""HTTP filters, by the folder of their type; none of these hands a reply on, but for `ext_proc`."""

_LOGS = frozenset({"FileAccessLog", "StdoutAccessLog", "StderrAccessLog"})


def _found_beside(main: Path, name: str) -> Path | None:
    """A file below the folder of the main one, by ever less of its path; None where there is none."""
    places = [main.parent / name.lstrip("/"), *(main.parent / end for end in ends_of(name))]
    return next((each for each in places if each.is_file()), None)


@dataclass(frozen=True)
class BootstrapCopy:
    """Replaces in a configuration of its own.

    Args:
        bootstrap: what is changed.
        way: the routes by which the request goes.
        path: what is asked for.
        unknown: extensions that this Envoy lacks, by their names.
    """

    bootstrap: Bootstrap
    way: Sequence[ClusterRoute]
    path: str
    unknown: Collection[str]

    def replacements(self) -> Iterator[Replacement]:
        """Replace everything, and tell of each."""
        top = self.bootstrap.document.top
        yield from self._left_out(top, _TOP)
        for layer in items(top, "layered_runtime", "layers"):
            for name in keys(layer):
                if name in ("disk_layer", "rtds_layer"):
                    yield self._put(layer, name, "", _NO_HOST, instead="static_layer: {}")
        yield from self._extensions(top, "bootstrap_extensions", {"internal_listener"})
        # Before the listeners, whose addresses tell which cluster is one of the file's own.
        for cluster in self.bootstrap.clusters:
            yield from self._cluster(cluster)
        yield from self._listeners()
        for route in self.way:
            yield from self._chain(route)
            yield from self._routes(route)
        static = get(top, "static_resources")
        if static is not None:
            yield from self._left_out(static, {"secrets": "the lab makes a certificate"})
        yield from self._files()

    def _files(self) -> Iterator[Replacement]:
        """What stands in a file of its own, such as a script or a page, is put in where the file is beside this one."""
        document = self.bootstrap.document
        for mapping in list(mappings(document.top)):
            name = text_at(mapping, "filename")
            if name and name != "${CERTIFICATE}":
                found = _found_beside(document.file, name)
                text = "-- nothing is here" if found is None else found.read_text(encoding="utf-8", errors="replace")
                put_in = self._put(mapping, "filename", "", _NO_FILE, instead=f"inline_string: {json.dumps(text)}")
                yield (
                    replace(put_in, now="")
                    if found is None
                    else replace(put_in, now="its text", why="a file beside this one")
                )

    def _put(self, node: Node, name: str, text: str, why: str, *, instead: str = "") -> Replacement:
        """Set one key of a mapping, or take it out where there is no text."""
        found = entry(node, name)
        spot = self.bootstrap.document.spot(found[0] if found is not None else node)
        drop(node, name)
        for line in (f"{name}: {text}" if text else "", instead):
            if line:
                put(node, *line.split(": ", 1))
        return Replacement(spot, instead or (text and f"{name}: {text}"), why)

    def _left_out(self, node: Node, reasons: Mapping[str, str]) -> Iterator[Replacement]:
        for name in keys(node):
            if name in reasons:
                yield self._put(node, name, "", reasons[name])

    def _members(self, node: Node, name: str, gone: Mapping[int, str]) -> Iterator[Replacement]:
        """Take members out of a list, by their numbers."""
        found = get(node, name)
        if found is None or not gone:
            return
        for number, why in gone.items():
            yield Replacement(self.bootstrap.document.spot(found.value[number]), "", why)
        found.value = [each for number, each in enumerate(found.value) if number not in gone]

    def _extensions(self, node: Node, name: str, kept: Collection[str]) -> Iterator[Replacement]:
        """Take all extensions out of a list but those whose type has one of these words."""
        gone = {
            number: _NO_HOST
            for number, each in enumerate(items(node, name))
            if not any(word in type_of(each) for word in kept) or text_at(each, "name") in self.unknown
        }
        yield from self._members(node, name, gone)

    def _cluster(self, cluster: Node) -> Iterator[Replacement]:
        yield from self._left_out(cluster, _CLUSTER)
        kind = text_at(cluster, "type").upper() or "STATIC"
        own_kind = get(cluster, "cluster_type")
        found = bool(items(cluster, "load_assignment", "endpoints")) and kind in ("STATIC", "STRICT_DNS", "LOGICAL_DNS")
        if own_kind is not None and "DnsCluster" not in type_of(own_kind):
            yield self._put(cluster, "cluster_type", "", _IN_THE_PLACE)
            kind, found = "", False
        places = list(self.bootstrap.addresses(text_at(cluster, "name"))) if found else []
        sockets = {address: self._socket(address) for address in places}
        own = bool(sockets) and all(sockets.values())
        wanted = ("STATIC",) if own else ("STRICT_DNS", "LOGICAL_DNS")
        if own_kind is None and kind not in wanted:
            yield self._put(cluster, "type", wanted[0], _IN_THE_PLACE)
        if not found:
            yield from self._left_out(
                cluster, _table({"its endpoints are not told here": "lb_policy lb_subset_config"})
            )
            drop(cluster, "load_assignment")
            name = yaml.safe_dump(text_at(cluster, "name"), default_style='"').strip()
            assigned = f"{{cluster_name: {name}, endpoints: {_ENDPOINTS}}}"
            yield self._put(cluster, "load_assignment", assigned, _IN_THE_PLACE)
        for address, socket in sockets.items():
            yield self._address(address, socket or _MODEL, "the copy's own" if socket else _IN_THE_PLACE)
        yield from self._protocol(cluster)

    def _address(self, address: Node, text: str, why: str) -> Replacement:
        spot = self.bootstrap.document.spot(address)
        # Whoever has it by an alias is to see it too.
        vars(address).update(vars(yaml.compose(text, yaml.SafeLoader)))
        return Replacement(spot, text, why)

    def _socket(self, address: Node) -> str:
        """Where the copy listens in the place of an address; empty where nothing of the file does."""
        known = address_of(address, asked=True)
        inner = [each for each in self.bootstrap.listeners if known and each.address == known]
        return self._listens(inner[0]) if inner else ""

    def _listens(self, listener: EnvoyListener) -> str:
        if listener is self.way[0].listener:
            return _HERE.replace("0.0.0.0", "127.0.0.1")  # noqa: S104
        if get(listener.node, "address", "envoy_internal_address") is not None:
            return f"{{envoy_internal_address: {{server_listener_name: {listener.address}}}}}"
        return f'{{pipe: {{path: "{_OWN}-{listener.number}.sock"}}}}'

    def _protocol(self, cluster: Node) -> Iterator[Replacement]:
        options = get(cluster, "typed_extension_protocol_options")
        for _, own in options.value if options is not None else ():
            yield from self._filters(own)
            if get(own, "explicit_http_config", "http_protocol_options") is not None:
                continue
            for name in keys(own):
                if name in ("explicit_http_config", "auto_config", "use_downstream_protocol_config"):
                    why = "the model server speaks HTTP/1.1"
                    yield self._put(own, name, "", why, instead=f"explicit_http_config: {_HTTP_1}")

    def _listeners(self) -> Iterator[Replacement]:
        asked, kept = self.way[0].listener, {each.listener for each in self.way}
        gone = {each.number: "nothing asks it here" for each in self.bootstrap.listeners if each not in kept}
        for listener in self.bootstrap.listeners:
            if listener not in kept:
                continue
            yield from self._left_out(listener.node, _LISTENER)
            where = _HERE if listener is asked else self._listens(listener)
            if "envoy_internal_address" not in where:
                yield self._put(listener.node, "address", where, _LISTENS)
            yield from self._logs(listener.node)
            yield from self._extensions(listener.node, "listener_filters", {"tls_inspector", "http_inspector"})
        # Last, so that the numbers hold.
        yield from self._members(get(self.bootstrap.document.top, "static_resources") or asked.node, "listeners", gone)

    def _chain(self, route: ClusterRoute) -> Iterator[Replacement]:
        listener, chain = route.listener.node, route.chain
        others = {
            number: "the lab asks the other one"
            for number, each in enumerate(items(listener, "filter_chains"))
            if each is not chain
        }
        yield from self._members(listener, "filter_chains", others)
        if get(listener, "default_filter_chain") is not chain and get(listener, "default_filter_chain") is not None:
            yield self._put(listener, "default_filter_chain", "", "the lab asks the other one")
        yield from self._left_out(chain, _table({_LET_IN: "filter_chain_match use_proxy_proto"}))
        filters = enumerate(items(chain, "filters"))
        others = {number: _LET_IN for number, each in filters if not type_of(each).endswith(MANAGER)}
        yield from self._members(chain, "filters", others)
        socket = get(chain, "transport_socket")
        if route.tls is not None:
            yield from self._tls(route.tls)
        elif socket is not None:
            yield self._put(chain, "transport_socket", "", "the lab asks over TCP")
        for manager in managers_of(chain):
            yield from self._manager(manager)

    def _tls(self, tls: Node) -> Iterator[Replacement]:
        yield from self._left_out(tls, dict.fromkeys(set(keys(tls)) - {"@type", "common_tls_context"}, _LET_IN))
        common = get(tls, "common_tls_context") or tls
        yield from self._left_out(common, dict.fromkeys(set(keys(common)) - _TLS, _LET_IN))
        yield self._put(common, "tls_certificates", _CERTIFICATES, "the lab makes a certificate")

    def _manager(self, manager: Node) -> Iterator[Replacement]:
        yield from self._left_out(manager, _table({_NO_HOST: "tracing"}))
        yield from self._logs(manager)
        if text_at(manager, "codec_type").upper() == "HTTP2":
            yield self._put(manager, "codec_type", "AUTO", "the lab asks over HTTP/1.1 as well")
        yield from self._filters(manager)

    def _filters(self, node: Node) -> Iterator[Replacement]:
        """The HTTP filters of a manager, or of a cluster."""
        gone = {}
        for number, each in enumerate(items(node, "http_filters")):
            why = _FILTERS.get(filter_of(each), "")
            if text_at(each, "name") in self.unknown:
                why = "this Envoy does not know it"
            if why:
                gone[number] = why
        yield from self._members(node, "http_filters", gone)

    def _logs(self, node: Node) -> Iterator[Replacement]:
        yield from self._extensions(node, "access_log", _LOGS)
        for each in items(node, "access_log"):
            config = get(each, "typed_config")
            if config is not None and text_at(config, "path") not in ("", "/dev/stdout", "/dev/stderr"):
                yield self._put(config, "path", "/dev/stdout", "its log is read there")

    def _routes(self, route: ClusterRoute) -> Iterator[Replacement]:
        """The route takes the request by its path alone, and none before it does."""
        own = items(route.host, "routes")
        if route is self.way[0]:
            before = [each for each in self.bootstrap.before(route, self.path) if each.asks_more]
            why = "whether it takes a request cannot be told, and the lab asks another"
            yield from self._members(route.host, "routes", {own.index(each.node): why for each in before})
        match = get(route.node, "match")
        if match is not None:
            why = "what else a request must have is not asked"
            yield from self._left_out(match, dict.fromkeys(set(keys(match)) - TOLD, why))
        for level in (route.action, route.host):
            if level is not None and "request_mirror_policies" in keys(level):
                yield self._put(level, "request_mirror_policies", "", "one model server is here")
        if route.action is not None and "cluster_header" in keys(route.action) and self.bootstrap.clusters:
            name = text_at(self.bootstrap.clusters[0], "name")
            why = "the lab's requests name none"
            yield self._put(route.action, "cluster_header", "", why, instead=f"cluster: {name}")
