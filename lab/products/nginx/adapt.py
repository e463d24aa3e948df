"""Makes a user's nginx configuration run in the lab: what names this very machine or its neighbours is replaced.

The listener that is asked gets `${PORT}`; every other one a socket of its own in /tmp, so that two tiers of one file
still find each other. Every address that is none of the file's own is the model server's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

from lab.errors import BadInput
from lab.products.adapted import Entrance, EntranceWish, Replacement, Spot, is_for_others
from lab.products.nginx.routes import (
    Passing,
    Server,
    fits_a_model,
    groups_of,
    inner_ports,
    is_one_of,
    leads_on,
    locations_of,
    passes_of,
    port_of,
    sample_paths,
    servers_of,
)
from lab.products.nginx.tree import Statement, Tree, read_tree, same_module, why_unknown

_OWN = "/tmp/token-stream-lab-${PORT}"  # noqa: S108 - in a container, or of one port and process
"""What the names of the copy's own sockets and folders begin with."""

_GROUP = "token_stream_lab_model"
"""The group of servers that stands for the model where a request works out whom to ask."""

_LEFT_OUT = {
    name: why
    for why, names in {
        "the lab starts it, in the foreground": "user pid daemon master_process lock_file",
        "this machine is another": "worker_rlimit_nofile worker_priority worker_cpu_affinity",
        "only what carries HTTP, with what is built in": "load_module stream mail",
        "the suite asks many things at once from one address": "limit_conn limit_req",
        "the lab asks from another address": "allow deny",
        "who may ask is not asked": "auth_basic auth_basic_user_file auth_jwt auth_jwt_key_file",
        "the lab has no certificate of that authority": (
            "ssl_verify_client ssl_client_certificate ssl_trusted_certificate ssl_crl ssl_ocsp"
        ),
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

_OTHER_PASSES = ("grpc_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "memcached_pass")

_ADDRESSED = frozenset({"listen", "proxy_pass", "server", *_OTHER_PASSES})
"""What says where to listen and whom to ask: without one of these nothing comes through."""

_TABLES = frozenset({"types", "map", "geo", "split_clients", "charset_map"})
"""Blocks that hold no directives."""

_OF_A_PORT = re.compile(r"reuseport|deferred|bind|(fastopen|backlog|rcvbuf|sndbuf|ipv6only|accept_filter)=.*")
"""Words of a `listen` that one listener of an address may have only, or none that is a socket in a folder."""

_UNKNOWN = re.compile(r'unknown directive "([^"]+)"')
_UNKNOWN_VARIABLE = re.compile(r'unknown "([^"]+)" variable')


@dataclass
class Nginx:
    """An `Adapter`: see `lab.products.adapted`."""

    tree: Tree
    entrances: Sequence[Entrance]
    tunable: bool = True
    passed_over: Sequence[Spot] = ()
    _unknown: set[str] = field(default_factory=set)

    def copy(self, entrance: Entrance, settings: Sequence[str] = (), without: Sequence[Spot] = ()) -> str:
        """See `Adapter`."""
        tree = deepcopy(self.tree)
        for each in [*tree.top.below()]:
            if each.spot in without:
                each.out()
        for line in settings:
            _set(location_of(tree.top, entrance), line)
        list(_Copy(tree.top, entrance, self._unknown).replacements())
        return tree.write()

    def lines(self, entrance: Entrance) -> Sequence[Spot]:
        """See `Adapter`; a file that two places include has each of its lines once."""
        replaced = {each.spot for each in self.replacements(entrance)}
        leaves = [
            each
            for each in self.tree.top.below()
            if each.block is None
            and each.name not in _ADDRESSED
            and (each.parent is None or each.parent.name not in _TABLES)
        ]
        return list(dict.fromkeys(each.spot for each in leaves if each.spot not in replaced))

    def replacements(self, entrance: Entrance) -> Sequence[Replacement]:
        """See `Adapter`."""
        return [*self.tree.replaced, *_Copy(deepcopy(self.tree).top, entrance, self._unknown).replacements()]

    def leave_out(self, complaint: str) -> bool:
        """See `Adapter`."""
        new: set[str] = set()
        if found := _UNKNOWN.search(complaint):
            names = {each.name for each in self.tree.top.below()}
            new = {found[1], *(each for each in names if same_module(each, found[1]))} - self._unknown
        elif found := _UNKNOWN_VARIABLE.search(complaint):
            new = {f"${found[1]}"} - self._unknown
        self._unknown |= new
        return bool(new)

    def locate(self, words: str, entrance: Entrance, copy: Path) -> str:
        """See `Adapter`."""
        tree = deepcopy(self.tree)
        list(_Copy(tree.top, entrance, self._unknown).replacements())
        spots = list(tree.spots())

        def ours(found: re.Match[str]) -> str:
            spot = spots[min(int(found[1]), len(spots)) - 1]
            return f"{spot.file}:{spot.line}" if spot is not None else found[0]

        return re.sub(rf"{re.escape(str(copy))}:(\d+)", ours, words).replace(str(copy), str(self.tree.top.file))

    def edit(self, entrance: Entrance, settings: Sequence[str]) -> Mapping[Path, str]:
        """See `Adapter`."""
        location = location_of(self.tree.top, entrance)
        lines = location.file.read_text(encoding="utf-8").splitlines(keepends=True)
        opening = next(n for n in range(location.line - 1, len(lines)) if "{" in lines[n])
        added: list[str] = []
        for setting in settings:
            name = setting.split()[0]
            own = next((each for each in location.own(name) if each.file == location.file), None)
            if own is None:
                added.append(setting)
            else:
                _put_in_place(lines, own, setting)
        words = location.args[-1]
        start = lines[opening].find(words) + len(words) if words in lines[opening] else 0
        lines[opening] = _with(lines[opening], added, _indent(lines, opening), start)
        return {location.file: "".join(lines)}

    def without(self, spot: Spot) -> Mapping[Path, str]:
        """See `Adapter`."""
        own = next(each for each in self.tree.top.below() if each.spot == spot)
        lines = own.file.read_text(encoding="utf-8").splitlines(keepends=True)
        _put_in_place(lines, own, "")
        if not lines[own.line - 1].strip():
            lines[own.line - 1] = ""
        return {own.file: "".join(lines)}

    def spot_of(self, entrance: Entrance, setting: str) -> Spot | None:
        """See `Adapter`."""
        name = setting.split()[0].rstrip(";")
        for level in location_of(self.tree.top, entrance).upward():
            for each in level.own(name):
                return each.spot
        return None


def adapt(path: Path, wish: EntranceWish) -> Nginx:
    """Read a user's file or folder; see `lab.products.adapted.Adapt`."""
    tree = read_tree(path)
    found = list(_entrances(tree.top, wish))
    models = [entrance for entrance, location in found if wish.path or not is_for_others(location.args[-1])]
    entrances = models or [entrance for entrance, _ in found]
    if not entrances:
        raise BadInput(*_nowhere(tree.top, wish, path))
    passed_over = [entrance.spot for entrance, _ in found if entrance not in entrances]
    return Nginx(tree, entrances, passed_over=passed_over)


def _entrances(top: Statement, wish: EntranceWish) -> Iterator[tuple[Entrance, Statement]]:
    inner = inner_ports(top)
    for server in servers_of(top):
        if set(server.ports) <= inner or (wish.host and not server.serves(wish.host)):
            continue
        for location in server.locations:
            passing = leads_on(server, location, wish.upstreams)
            if passing is None or server.keeps_to_itself(location):
                continue
            path = _asked(server, location, passing, wish)
            if path:
                name = " ".join(("location", *location.args, *(["of", server.host] if server.host else [])))
                host, secure = wish.host or server.host, server.secure
                yield Entrance(name, path, host, secure, location.spot, secure and server.http_2), location


def _asked(server: Server, location: Statement, passing: Statement, wish: EntranceWish) -> str:
    """The likeliest path that the location serves and that arrives as one of a model's; else the likeliest; or none."""
    first = ""
    for each in [wish.path] if wish.path else sample_paths(location):
        if server.choose(each) is location:
            if fits_a_model(each, location, passing):
                return each
            first = first or each
    return first


def location_of(top: Statement, entrance: Entrance) -> Statement:
    """The location of an entrance."""
    return locations_of(top)[entrance.spot]


def _indent(lines: Sequence[str], opening: int) -> str:
    """The white space before the first line inside of a block, or what is usual."""
    following = lines[opening + 1] if opening + 1 < len(lines) else ""
    inside = following[: len(following) - len(following.lstrip())]
    outside = lines[opening][: len(lines[opening]) - len(lines[opening].lstrip())]
    return inside if len(inside) > len(outside) else f"{outside}    "


def _with(line: str, added: Sequence[str], indent: str, start: int) -> str:
    """The line that opens a block, from that column on, with lines behind its brace."""
    before, brace, after = line[start:].partition("{")
    before = line[:start] + before
    if not after.strip() or after.strip().startswith("#"):
        return line + "".join(f"{indent}{each}\n" for each in added)
    return f"{before}{brace} {' '.join(added)}{after}" if added else line


def _put_in_place(lines: list[str], own: Statement, setting: str) -> None:
    """Write a setting where another of its name stands, which may go over several lines."""
    first = own.line - 1
    # Its name as a word of its own, and in front of any comment.
    found = re.search(rf"(?<![\w$#-]){own.name}(?![\w-])", lines[first])
    start = found.start() if found else 0
    last = next(
        number for number in range(first, len(lines)) if ";" in lines[number][start if number == first else 0 :]
    )
    rest = lines[last][start if last == first else 0 :].partition(";")[2]
    lines[first] = lines[first][:start] + setting + rest
    lines[first + 1 : last + 1] = [""] * (last - first)


def _set(block: Statement, line: str) -> None:
    """Have a setting in a block, in the place of the one that it has."""
    name, *args = line.rstrip(";").split()
    for each in block.own(name):
        each.out()
    block.add(name, *(arg.strip("'\"") for arg in args))


def _nowhere(top: Statement, wish: EntranceWish, path: Path) -> tuple[str, str]:
    servers = servers_of(top)
    if not servers:
        return f"{path} has no `server` of nginx's.", "Give the file that has one, or the folder with nginx.conf."
    if not any(server.ports for server in servers):
        return f"{path}: {servers[0].directive.spot} listens over QUIC only.", "The lab asks over TCP."
    if wish.host and not any(server.serves(wish.host) for server in servers):
        names = ", ".join(sorted({name for server in servers for name in server.names})) or "none"
        return f"--host {wish.host}: no server of {path} has that name.", f"Its names: {names}."
    if not any(passes_of(each) for server in servers for each in server.locations):
        return f"{path} passes nothing on: it has no proxy_pass.", "Give the file with the location that streams."
    passed_to = {Passing.read(each.args[0]).where for each in top.below("proxy_pass")}
    if not any(is_one_of(where, wish.upstreams) for where in passed_to):
        names = ", ".join(sorted(passed_to))
        return f"--upstream {' '.join(wish.upstreams)}: {path} passes nothing on to that.", f"It does to {names}."
    if wish.path:
        chosen = [found for server in servers if (found := server.choose(wish.path)) is not None]
        led = f" It leads to {chosen[0].spot}, which passes nothing on to the model." if chosen else ""
        return f"--path {wish.path}: no location of {path} passes that on.{led}", "Say what clients ask for."
    return f"{path}: no location can be told a path for.", "Say with --path what clients ask for."


class _Copy:
    """Replaces in a tree of its own.

    Args:
        top: of the tree.
        entrance: which is asked.
        unknown: directives that the product does not know.
    """

    def __init__(self, top: Statement, entrance: Entrance, unknown: set[str]) -> None:
        self._top, self._unknown = top, unknown
        self._servers = servers_of(top)
        asked = next(server for server in self._servers if entrance.spot in {each.spot for each in server.locations})
        self._asked, self._own = asked.port, {port for server in self._servers for port in server.ports}
        self._sockets = {
            port: f"unix:{_OWN}-{number}.sock" for number, port in enumerate(sorted(self._own - {self._asked}))
        }
        self._groups = groups_of(top)

    def replacements(self) -> Iterator[Replacement]:
        """Replace everything, and tell of each."""
        yield from self._listeners()
        yield from self._left_out()
        yield from self._auth()
        yield from self._passes()
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
            why = why_unknown(each.name) if each.name in self._unknown else _LEFT_OUT.get(each.name)
            if why is not None and each.line:
                each.out()
                yield Replacement(each.spot, "", why)

    def _listeners(self) -> Iterator[Replacement]:
        for server in self._servers:
            listens = server.directive.own("listen") or [server.directive.add("listen", "80")]
            taken: set[str] = set()
            for each in listens:
                port, before = port_of(each.args[0]), each.spot
                where = "${PORT}" if port == self._asked else self._sockets.get(port, "")
                words = [word for word in each.args[1:] if word != "proxy_protocol" and not _OF_A_PORT.fullmatch(word)]
                if where in taken or not where or "quic" in each.args:
                    each.out()
                    yield Replacement(before, "", "the lab asks on one address")
                    continue
                taken.add(where)
                each.args = [where, *words]
                if each.line:
                    yield Replacement(before, each.text, "the lab chooses where it listens")

    def _auth(self) -> Iterator[Replacement]:
        """Whoever is to say whether a request may pass says yes."""
        for server in self._servers:
            for each in [*server.directive.below("auth_request")]:
                location = server.choose(each.args[0])
                for passing in passes_of(location) if location is not None else ():
                    passing.name, passing.args, before = "return", ["204"], passing.spot
                    yield Replacement(before, passing.text, "whoever may ask is let through")

    def _passes(self) -> Iterator[Replacement]:
        members = [one for group in self._groups.values() for one in group.own("server")]
        for each in [*members, *self._top.below("proxy_pass", *_OTHER_PASSES)]:
            passing, before = Passing.read(each.args[0]), each.spot
            if passing.where.startswith("${MODEL"):
                continue
            if passing.where in self._groups and each.name != "server":
                if passing.scheme == "https":
                    each.args[0] = each.args[0].replace("https:", "http:", 1)
                    yield Replacement(before, each.text, "the model server speaks no TLS")
                continue
            each.args = [self._instead_of(passing), *(word for word in each.args[1:] if word != "resolve")]
            if each.spot != before:
                yield Replacement(before, each.text, "in the place of the model")
        if any(_GROUP in each.args[0] for each in self._top.below("proxy_pass")):
            for http in self._top.own("http"):
                http.add("upstream", _GROUP).add("server", "${MODEL}")
        for each in self._top.below("resolver"):
            if not re.match(r"[\d.]+(:\d+)?$|\[", each.args[0]):
                before, each.args = each.spot, ["127.0.0.1"]
                yield Replacement(before, each.text, "no such host is here")

    def _instead_of(self, passing: Passing) -> str:
        """What an address of the user's is in the copy."""
        scheme = "http://" if passing.scheme else ""
        if passing.port == self._asked:
            return f"{scheme}127.0.0.1:${{PORT}}{passing.rest}"
        if passing.port in self._sockets:
            rest = f":{passing.rest}" if passing.rest else ""
            return f"{scheme}{self._sockets[passing.port]}{rest}"
        if passing.has_variables:
            return f"http://{_GROUP}{passing.rest}"
        return f"{scheme}${{MODEL}}{passing.rest}"

    def _certificates(self) -> Iterator[Replacement]:
        for each in self._top.below("ssl_certificate", "ssl_certificate_key"):
            before, each.args = each.spot, ["${CERTIFICATE}"]
            yield Replacement(before, each.text, "the lab makes a certificate")

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
        for each in [*self._top.below("access_log", "error_log")]:
            if each.args[0] in ("off", "/dev/stdout", "/dev/stderr", "stderr"):
                continue
            before, log = each.spot, "/dev/stdout" if each.name == "access_log" else "/dev/stderr"
            each.args = [log, *(word for word in each.args[1:] if "=" not in word)]
            yield Replacement(before, each.text, "its log is read there")
