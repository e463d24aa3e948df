"""What of a user's Caddyfile is otherwise in the copy that the lab runs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from lab.products.adapted import Replacement
from lab.products.caddy.routes import (
    Site,
    SiteWay,
    condition_holds,
    conditions_of,
    inner_ports,
    matcher_of,
    own_port,
    sites_of,
)
from lab.products.caddy.tree import Caddyfile, CaddyLine

_OWN = "/tmp/token-stream-lab-${PORT}"  # noqa: S108 - in a container, or of one port and process
"""What the names of the copy's own sockets begin with."""

_LET_IN = "who may ask is not asked"
_FAILS = "the lab makes the model fail on purpose"
_NO_TLS = "the model server speaks no TLS, and HTTP/1.1"
_MODEL = "in the place of the model"
_MACHINE = "this machine is another"
_AT_ONCE = "the suite asks many things at once from one address"


def _table(reasons: Mapping[str, str]) -> dict[str, str]:
    return {name: why for why, names in reasons.items() for name in names.split()}


_OPTIONS = frozenset({"servers", "order", "grace_period", "shutdown_delay", "debug"})
"""Global options that stay."""

_SERVERS = _table({_MACHINE: "listener_wrappers name trusted_proxies metrics trace", _LET_IN: "strict_sni_host"})

_SITE = _table(
    {
        _MACHINE: "bind log_name",
        _LET_IN: "basic_auth basicauth forward_auth",
        "no such host or program is here": "tracing acme_server push",
    }
)
_TLS = frozenset({"protocols", "ciphers", "curves", "alpn"})
"""What stays of a site's `tls`; all else names certificates, or who may ask."""

_PROXY = _table(
    {
        _FAILS: (
            "health_uri health_path health_port health_upstream health_interval health_timeout health_status "
            "health_body health_headers health_method health_request_body health_passes health_fails "
            "health_follow_redirects fail_duration max_fails unhealthy_status unhealthy_latency"
        ),
        _AT_ONCE: "unhealthy_request_count",
    }
)
_TRANSPORT = _table(
    {
        _NO_TLS: (
            "tls tls_client_auth tls_insecure_skip_verify tls_timeout tls_trust_pool tls_trusted_ca_certs "
            "tls_server_name tls_renegotiation tls_except_ports tls_curves versions"
        ),
        "no such host or program is here": "forward_proxy_url network_proxy resolvers local_address proxy_protocol",
        _AT_ONCE: "max_conns_per_host",
    }
)

_ENDING = ("redir", "abort", "error", "respond", "reverse_proxy", "php_fastcgi", "file_server", "handle", "handle_path")


@dataclass(frozen=True)
class CaddyCopy:
    """Replaces in a tree of its own.

    Args:
        file: what is changed.
        way: how the request goes that is asked.
        unknown: directives and options that this Caddy lacks, by their names.
    """

    file: Caddyfile
    way: SiteWay
    unknown: Collection[str]

    def replacements(self) -> Iterator[Replacement]:
        """Replace everything, and tell of each."""
        yield from self.file.replaced
        yield from self._unknown()
        yield from self._options()
        yield from self._untold()
        sites, asked = sites_of(self.file), self.way.site
        inner = inner_ports(sites)
        for number, site in enumerate(sites):
            if site.line is not asked.line and site.port not in inner:
                yield self._out(site.line, "the lab asks another")
                continue
            for line in [*site.line.below()]:
                yield from self._line(line, sites)
            yield from self._address(site, number)

    def _out(self, line: CaddyLine, why: str) -> Replacement:
        line.out()
        return Replacement(line.spot, "", why)

    def _now(self, line: CaddyLine, tokens: list[str], why: str) -> Iterator[Replacement]:
        if tokens != line.tokens:
            spot, line.tokens = line.spot, tokens
            yield Replacement(spot, " ".join(tokens), why)

    def _unknown(self) -> Iterator[Replacement]:
        for line in [*self.file.top.below()]:
            if line.name in self.unknown or (line.name == "order" and line.word(1) in self.unknown):
                yield self._out(line, "this Caddy does not know it")

    def _options(self) -> Iterator[Replacement]:
        options = self.file.options
        if options is None:
            options = self.file.top.add(first=True)
            options.block = []
        for line in [*(options.block or ())]:
            if line.name not in _OPTIONS:
                yield self._out(line, _MACHINE)
            elif line.name == "servers" and line not in self.way.site.servers:
                yield self._out(line, "it is for another port")
            elif line.name == "servers":
                yield from self._now(line, line.tokens[:1], "the lab chooses where it listens")
                yield from (self._out(each, _SERVERS[each.name]) for each in line.own(*_SERVERS))
        for name in ("admin", "persist_config", "auto_https"):
            options.add(name, "off")

    def _untold(self) -> Iterator[Replacement]:
        """The request is taken by its way alone, and by nothing of which cannot be told whether it is for it."""
        for line in self.way.untold:
            if line.name in _ENDING:
                yield self._out(line, "whether it is for a request cannot be told, and the lab asks another")
        for level in self.way.wanted:
            matcher = matcher_of(level)
            if not matcher.startswith("@"):
                continue
            for defined in [*self.way.site.line.below(matcher)][:1]:
                for each in conditions_of(defined):
                    if condition_holds(self.way, each) is None:
                        yield Replacement(each.spot, "", "what else a request must have is not asked")
                        each.out()
                        if not conditions_of(defined) or defined.block is None:
                            defined.tokens[1:], defined.block = ["path", "*"], None

    def _address(self, site: Site, number: int) -> Iterator[Replacement]:
        line = site.line
        if site.line is not self.way.site.line:
            where = f"unix/{_OWN}-{number}.sock"
            line.add("bind", where, first=True)
            yield Replacement(line.spot, f"bind {where}", "the lab chooses where it listens")
            return
        own = line.own("tls")
        yield from [self._out(each, "the lab makes a certificate") for each in own]
        if self.way.request.secure:
            kept = [one for each in own for one in each.own(*_TLS)]
            line.add("tls", "${CERTIFICATE}", "${CERTIFICATE}", first=True).block = kept or None
            yield Replacement(line.spot, "tls ${CERTIFICATE} ${CERTIFICATE}", "the lab makes a certificate")
        # Without a name: over TLS the lab names none.
        yield from self._now(line, [":${PORT}"], "the lab chooses where it listens")

    def _line(self, line: CaddyLine, sites: list[Site]) -> Iterator[Replacement]:
        if line.name in _SITE:
            yield self._out(line, _SITE[line.name])
        elif line.name == "abort":
            yield from self._now(line, ["respond", *line.tokens[1:], "404"], "the lab has to see that it is up")
        elif line.name == "log" and line.block is not None:
            spot, line.tokens, line.block = line.spot, ["log"], None
            yield Replacement(spot, "log", "its log is read there")
        elif line.name == "reverse_proxy":
            yield from self._proxy(line, sites)

    def _proxy(self, line: CaddyLine, sites: list[Site]) -> Iterator[Replacement]:
        start = 2 if matcher_of(line) else 1
        tokens = [*line.tokens[:start], *(self._upstream(each, sites) for each in line.words[start:])]
        yield from self._now(line, tokens, _MODEL)
        for each in [*(line.block or ())]:
            if each.name == "to":
                yield from self._now(each, ["to", *(self._upstream(one, sites) for one in each.words[1:])], _MODEL)
            elif each.name == "dynamic":
                spot, each.tokens, each.block = each.spot, ["to", "${MODEL}"], None
                yield Replacement(spot, "to ${MODEL}", _MODEL)
            elif each.name in _PROXY:
                yield self._out(each, _PROXY[each.name])
            elif each.name == "transport" and each.word(1) == "http":
                yield from (self._out(one, _TRANSPORT[one.name]) for one in each.own(*_TRANSPORT))

    def _upstream(self, address: str, sites: list[Site]) -> str:
        port = own_port(address)
        for number, site in enumerate(sites):
            if port and site.port == port:
                asked = site.line is self.way.site.line
                return "127.0.0.1:${PORT}" if asked else f"unix/{_OWN}-{number}.sock"
        return "${MODEL}"
