"""What the copy of a user's nginx configuration has otherwise, so that it runs in the lab.

The listener that is asked gets `${PORT}`; every other one a socket of its own in /tmp, so that two tiers of one file
still find each other. Every address that is none of the file's own is the model server's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lab.products.adapted import Replacement
from lab.products.nginx.routes import (
    Passing,
    destinations,
    groups_of,
    passes_of,
    port_of,
    servers_of,
    values_of,
)
from lab.products.nginx.tree import Statement, why_unknown

_OWN = "/tmp/token-stream-lab-${PORT}"  # noqa: S108 - in a container, or of one port and process
"""What the names of the copy's own sockets and folders begin with."""

_GROUP = "token_stream_lab_model"
"""The group of servers that stands for the model where a request works out whom to ask."""

_LEFT_OUT = {
    name: why
    for why, names in {
        "the lab starts it, in the foreground": "user pid daemon master_process lock_file",
        "this machine is another": "worker_rlimit_nofile worker_priority worker_cpu_affinity proxy_bind",
        # A worker takes memory for each connection that it may have: 32 of 500,000 each filled a machine.
        "the lab needs few": "worker_processes worker_connections",
        "only what carries HTTP, with what is built in": "load_module stream mail",
        "the suite asks many things at once from one address": "limit_conn limit_req",
        "the lab asks from another address": "allow deny",
        "who may ask is not asked": "auth_basic auth_basic_user_file auth_jwt auth_jwt_key_file",
        "the lab has no certificate of that authority": (
            "ssl_verify_client ssl_client_certificate ssl_trusted_certificate ssl_crl ssl_ocsp"
        ),
        "no such file is here": "include",
        "the lab's certificate has a key of its own kind": "ssl_ciphers ssl_ecdh_curve",
        "no such file or server is here": (
            "ssl_dhparam ssl_session_ticket_key ssl_password_file ssl_stapling ssl_stapling_verify ssl_stapling_file "
            "ssl_stapling_responder"
        ),
        "the model server speaks no TLS": (
            "proxy_ssl_trusted_certificate proxy_ssl_certificate proxy_ssl_certificate_key proxy_ssl_verify "
            "proxy_ssl_crl"
        ),
    }.items()
    for name in names.split()
}
"""What is left out of the copy, and why; none of it bears on how a reply is handed on."""

_FOLDERS = ("proxy_cache_path", "fastcgi_cache_path", "uwsgi_cache_path", "scgi_cache_path")
_TEMPORARY = tuple(f"{name}_temp_path" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))

OTHER_PASSES = ("grpc_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "memcached_pass")

ADDRESSED = frozenset({"listen", "proxy_pass", "server", *OTHER_PASSES})
"""What says where to listen and whom to ask: without one of these nothing comes through."""

_DEFAULT = frozenset({"default_server", "default"})

_OF_A_PORT = re.compile(r"reuseport|deferred|bind|(fastopen|backlog|rcvbuf|sndbuf|ipv6only|accept_filter)=.*")
"""Words of a `listen` that one listener of an address may have only, or none that is a socket in a folder."""


def _port_of(member: Statement) -> str:
    return Passing.read(member.args[0]).port


def _stays(word: str) -> bool:
    """Whether a word behind an address holds for the model server too; the suite asks many things at once."""
    return word != "resolve" and not word.startswith("max_conns=")


class NginxCopy:
    """Replaces in a tree of its own.

    Args:
        location: whose server is asked, in the tree.
        unknown: directives that the product does not know.
        partial: whether something of the configuration is in no file that is here.
    """

    def __init__(self, location: Statement, unknown: set[str], *, partial: bool) -> None:
        above = [*location.upward()]
        self._top, self._unknown, self._location = above[-1], unknown, location
        self._partial = partial
        self._servers = servers_of(self._top)
        self._server = next(each for each in self._servers if each.directive in above)
        self._asked, self._own = self._server.port, {port for server in self._servers for port in server.ports}
        self._sockets = {
            port: f"unix:{_OWN}-{number}.sock" for number, port in enumerate(sorted(self._own - {self._asked}))
        }
        here = self._server.addresses(self._asked)
        self._elsewhere = {id(each) for each in self._servers if not each.addresses(self._asked) & here}
        self._groups = groups_of(self._top)
        secure = frozenset().union(*(each.secure_ports for each in self._servers))
        members = {name: {_port_of(one) for one in group.own("server")} for name, group in self._groups.items()}
        self._secure = {*secure, *(name for name, ports in members.items() if ports and ports <= secure)}

    def replacements(self) -> Iterator[Replacement]:
        """Replace everything, and tell of each."""
        yield from self._listeners()
        yield from self._left_out()
        yield from self._auth()
        yield from self._mirrors()
        yield from self._passes()
        yield from self._model_speaks()
        yield from self._certificates()
        yield from self._silent()
        yield from self._files()
        yield from self._variables()

    def _variables(self) -> Iterator[Replacement]:
        """What a module that is not here would have set, or a template's values, is empty."""
        for name in sorted(each for each in self._unknown if each.startswith("$")):
            own = re.compile(rf"\$\{{?{name[1:]}\b", re.IGNORECASE)
            using = [each for each in self._top.below() if own.search(" ".join(each.args))]
            for http in self._top.own("http"):
                http.add("map", "$uri", name).block = []
                yield from (Replacement(each.spot, each.text, f"{name} is empty here") for each in using[:1])

    def _left_out(self) -> Iterator[Replacement]:
        for each in [*self._top.below()]:
            # A variable that is empty here may be what a block of its module begins with.
            unknown = each.name in self._unknown and not each.name.startswith("$")
            why = why_unknown(each.name) if unknown else _LEFT_OUT.get(each.name)
            # What a `map` looks up is no directive, whatever it is called.
            if why is not None and each.line and (not each.is_data or each.name == "include"):
                each.out()
                yield Replacement(each.spot, "", why)

    def _listeners(self) -> Iterator[Replacement]:
        defaults: set[str] = set()
        for number, server in enumerate(self._servers):
            listens = server.directive.own("listen") or [server.directive.add("listen", "80")]
            taken: set[str] = set()
            for each in listens:
                port, before = port_of(each.args[0]), each.spot
                where = self._sockets.get(port, "")
                if port == self._asked:
                    where = f"unix:{_OWN}-elsewhere-{number}.sock" if id(server) in self._elsewhere else "${PORT}"
                words = [word for word in each.args[1:] if word != "proxy_protocol" and not _OF_A_PORT.fullmatch(word)]
                if where in taken or not where or "quic" in each.args:
                    each.out()
                    yield Replacement(before, "", "the lab asks on one address")
                    continue
                taken.add(where)
                if where in defaults:
                    words = [word for word in words if word not in _DEFAULT]
                if _DEFAULT & set(words):
                    defaults.add(where)
                each.args = [where, *words]
                if each.line:
                    yield Replacement(before, each.text, "the lab chooses where it listens")

    def _auth(self) -> Iterator[Replacement]:
        """Whoever is to say whether a request may pass says yes."""
        for server in self._servers:
            for each in [*self._top.own("http")[0].own("auth_request"), *server.directive.below("auth_request")]:
                location = server.choose(each.args[0])
                passes = [] if location is None else [*passes_of(location), *location.own(*OTHER_PASSES)]
                yield from self._answered(passes, "whoever may ask is let through")

    def _mirrors(self) -> Iterator[Replacement]:
        """A copy of each request that goes to somebody else than the model would be generated a second time."""
        models = {where for each in passes_of(self._location) for where in destinations(each)}
        for each in [*self._server.directive.below("mirror")]:
            location = self._server.choose(each.args[0])
            passes = passes_of(location) if location is not None and location is not self._location else []
            others = [passing for passing in passes if not models & set(destinations(passing))]
            yield from self._answered(others, "the model is somebody else than who gets these copies")

    def _answered(self, passes: list[Statement], why: str) -> Iterator[Replacement]:
        """Nobody is asked in these places: nginx itself answers."""
        for passing in passes:
            passing.name, passing.args, before = "return", ["204"], passing.spot
            yield Replacement(before, passing.text, why)

    def _passes(self) -> Iterator[Replacement]:
        members = [one for group in self._groups.values() for one in group.own("server")]
        others = {id(one) for one in members if one.parent is not None and len(one.parent.own("server")) > 1}
        for each in [*members, *self._top.below("proxy_pass", *OTHER_PASSES)]:
            passing, before = Passing.read(each.args[0]), each.spot
            if passing.where.startswith("${MODEL") or (passing.has_variables and each.name in OTHER_PASSES):
                continue
            if passing.where in self._groups and each.name != "server":
                if passing.scheme == "https" and not self._is_secure(passing):
                    each.args[0] = each.args[0].replace("https:", "http:", 1)
                    yield Replacement(before, each.text, "the model server speaks no TLS")
                continue
            if self._chooses_a_group(each, passing):
                continue
            each.args = [self._instead_of(each.name, passing), *(one for one in each.args[1:] if _stays(one))]
            why = "in the place of the model"
            if id(each) in others:
                # Else nobody would be left to ask once the suite has made each of them fail.
                each.args = [*(one for one in each.args if not one.startswith(("max_fails=", "fail_timeout=")))]
                each.args.append("max_fails=0")
                why += ", which the suite makes fail"
            if each.spot != before:
                yield Replacement(before, each.text, why)
        if any(_GROUP in each.args[0] for each in self._top.below("proxy_pass")):
            for http in self._top.own("http"):
                http.add("upstream", _GROUP).add("server", "${MODEL}")
                http.add("map", "$uri", f"${_GROUP}").add("default", _GROUP)
        for each in self._top.below("resolver"):
            if not re.match(r"[\d.]+(:\d+)?$|\[", each.args[0]):
                before, each.args = each.spot, ["127.0.0.1"]
                yield Replacement(before, each.text, "no such host is here")

    def _chooses_a_group(self, each: Statement, passing: Passing) -> bool:
        """Whether a variable only chooses among the file's own groups of servers, so that it may do so here too."""
        values = [Passing.read(value) for value in values_of(each, passing)]
        return bool(values) and all(value.where in self._groups and value.scheme != "https" for value in values)

    def _is_secure(self, passing: Passing) -> bool:
        """Whether an address, or all of a group, is a listener of this file's that speaks TLS."""
        return passing.where in self._secure or passing.port in self._secure

    def _instead_of(self, name: str, passing: Passing) -> str:
        """What an address of the user's is in the copy."""
        scheme = f"{passing.scheme}://" if passing.scheme else ""
        if name == "proxy_pass" and not (passing.scheme == "https" and self._is_secure(passing)):
            scheme = "http://"
        if passing.port == self._asked:
            return f"{scheme}127.0.0.1:${{PORT}}{passing.rest}"
        if passing.port in self._sockets:
            rest = f":{passing.rest}" if passing.rest else ""
            return f"{scheme}{self._sockets[passing.port]}{rest}"
        if passing.has_variables and passing.rest:
            # A variable stays: only behind one does the rest stand for the whole path. A group needs no resolver.
            return f"http://${_GROUP}{passing.rest}"
        return f"{scheme}${{MODEL}}{passing.rest}"

    def _model_speaks(self) -> Iterator[Replacement]:
        for each in self._top.below("proxy_http_version"):
            if each.args == ["2"]:
                before, each.args = each.spot, ["1.1"]
                yield Replacement(before, each.text, "the model server speaks HTTP/1.1")

    def _certificates(self) -> Iterator[Replacement]:
        for each in self._top.below("ssl_certificate", "ssl_certificate_key"):
            before, each.args = each.spot, ["${CERTIFICATE}"]
            yield Replacement(before, each.text, "the lab makes a certificate")
        http = self._top.own("http")[0]
        if self._partial and not http.own("ssl_certificate"):
            for server in self._servers:
                if server.secure_ports and not server.directive.own("ssl_certificate", "ssl_reject_handshake"):
                    for name in ("ssl_certificate", "ssl_certificate_key"):
                        added = server.directive.add(name, "${CERTIFICATE}")
                        yield Replacement(server.directive.spot, added.text, "its certificate is in no file here")

    def _silent(self) -> Iterator[Replacement]:
        """A server that answers nobody, as default ones do, would look like one that never came up."""
        for each in [*self._top.below("return", "ssl_reject_handshake")]:
            before = each.spot
            if each.name == "return" and each.args == ["444"]:
                each.args = ["404"]
            elif each.args == ["on"] and each.parent is not None:
                each.name, each.args = "ssl_certificate", ["${CERTIFICATE}"]
                each.parent.add("ssl_certificate_key", "${CERTIFICATE}")
            else:
                continue
            yield Replacement(before, each.text, "the lab has to see that it is up")

    def _files(self) -> Iterator[Replacement]:
        for number, each in enumerate([*self._top.below(*_FOLDERS, *_TEMPORARY)]):
            before = each.spot
            each.args[0] = f"{_OWN}-{number}"
            yield Replacement(before, each.text, "a folder of this machine")
        formats = {"combined", *(each.args[0] for each in self._top.below("log_format") if each.args)}
        for each in [*self._top.below("access_log", "error_log")]:
            if each.args[0] in ("off", "/dev/stdout", "/dev/stderr", "stderr"):
                continue
            before, log = each.spot, "/dev/stdout" if each.name == "access_log" else "/dev/stderr"
            words = [word for word in each.args[1:] if "=" not in word]
            # Of a part the format may stand in the rest; in a whole file nginx has to complain.
            known = each.name == "error_log" or not self._partial
            each.args = [log, *(word for word in words if known or word in formats)]
            yield Replacement(before, each.text, "its log is read there")
