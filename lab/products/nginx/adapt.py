"""Makes a user's nginx configuration run in the lab: where it is asked, as a copy, and what of it has to change."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path

from lab.errors import BadInput
from lab.products.adapted import Entrance, EntranceWish, Replacement, Spot, is_for_others
from lab.products.nginx.edit import edit, leave_out
from lab.products.nginx.reading import read_tree
from lab.products.nginx.replaced import ADDRESSED, NginxCopy
from lab.products.nginx.routes import (
    Hosts,
    Server,
    destinations,
    fits_a_model,
    inner_ports,
    is_one_of,
    leads_on,
    passes_of,
    sample_paths,
    servers_of,
    settings_at,
)
from lab.products.nginx.tree import Statement, Tree, same_module

_TABLES = frozenset({"types", "map", "geo", "split_clients", "charset_map"})
"""Blocks that hold no directives."""

_UNKNOWN = re.compile(r'unknown directive "([^"]+)"')
_UNKNOWN_VARIABLE = re.compile(r'unknown "([^"]+)" variable')


@dataclass
class Nginx:
    """An `Adapter`: see `lab.products.adapted`."""

    tree: Tree
    places: Mapping[Entrance, int]
    tunable: bool = True
    passed_over: Sequence[Spot] = ()
    _unknown: set[str] = field(default_factory=set)

    @property
    def entrances(self) -> Sequence[Entrance]:
        """See `Adapter`."""
        return tuple(self.places)

    @cached_property
    def _statements(self) -> Sequence[Statement]:
        return [*self.tree.top.below()]

    def location(self, entrance: Entrance) -> Statement:
        """Where the settings for an entrance hold."""
        return self._statements[self.places[entrance]]

    def _location_in(self, tree: Tree, entrance: Entrance) -> Statement:
        """The same in a copy of the tree."""
        return next(islice(tree.top.below(), self.places[entrance], None))

    def _copied(self, tree: Tree, entrance: Entrance) -> NginxCopy:
        return NginxCopy(self._location_in(tree, entrance), self._unknown, partial=tree.partial)

    def copy(self, entrance: Entrance, settings: Sequence[str] = (), without: Sequence[Spot] = ()) -> str:
        """See `Adapter`."""
        tree = deepcopy(self.tree)
        location, copied = self._location_in(tree, entrance), self._copied(tree, entrance)
        for each in [*tree.top.below()]:
            if each.spot in without:
                each.out()
        for line in settings:
            _set(location, line)
        list(copied.replacements())
        return tree.write()

    def lines(self, entrance: Entrance) -> Sequence[Spot]:
        """See `Adapter`; a file that two places include has each of its lines once."""
        replaced = {each.spot for each in self.replacements(entrance)}
        leaves = [
            each
            for each in self.tree.top.below()
            if each.block is None
            and each.name not in ADDRESSED
            and (each.parent is None or each.parent.name not in _TABLES)
        ]
        return list(dict.fromkeys(each.spot for each in leaves if each.spot not in replaced))

    def replacements(self, entrance: Entrance) -> Sequence[Replacement]:
        """See `Adapter`."""
        return [*self.tree.replaced, *self._copied(deepcopy(self.tree), entrance).replacements()]

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
        list(self._copied(tree, entrance).replacements())
        spots = list(tree.spots())

        def ours(found: re.Match[str]) -> str:
            spot = spots[min(int(found[1]), len(spots)) - 1]
            return f"{spot.file}:{spot.line}" if spot is not None else found[0]

        return re.sub(rf"{re.escape(str(copy))}:(\d+)", ours, words).replace(str(copy), str(self.tree.top.file))

    def edit(self, entrance: Entrance, settings: Sequence[str]) -> Mapping[Path, str]:
        """See `Adapter`."""
        return edit(self.location(entrance), settings)

    def without(self, spot: Spot) -> Mapping[Path, str]:
        """See `Adapter`."""
        return leave_out(next(each for each in self.tree.top.below() if each.spot == spot))

    def spot_of(self, entrance: Entrance, setting: str) -> Spot | None:
        """See `Adapter`."""
        name = setting.split()[0].rstrip(";")
        for level in self.location(entrance).upward():
            for each in level.own(name):
                return each.spot
        return None


def adapt(path: Path, wish: EntranceWish) -> Nginx:
    """Read a user's file or folder; see `lab.products.adapted.Adapt`."""
    tree = read_tree(path)
    numbers = {id(each): number for number, each in enumerate(tree.top.below())}
    found: dict[Entrance, int] = {}
    names: set[tuple[str, Spot]] = set()
    for server, location, asked in _asked_for(tree.top, wish):
        name = " ".join((location.name, *location.args, *(["of", server.host] if server.host else [])))
        spot, host, secure = location.spot, wish.host or server.host, server.secure
        # Two servers may include the same file.
        name = f"{name} on {server.port}" if (name, spot) in names else name
        names.add((name, spot))
        entrance = Entrance(name, asked, host, secure, spot, secure and server.http_2)
        found[entrance] = numbers[id(settings_at(server, location))]
    models = {each: number for each, number in found.items() if wish.path or not is_for_others(_what(each))}
    if not found:
        raise BadInput(*_nowhere(tree.top, wish, path))
    places = models or found
    return Nginx(tree, places, passed_over=[each.spot for each in found if each not in places])


def _what(entrance: Entrance) -> str:
    """The path or pattern that a location is for."""
    return entrance.spot.text.removesuffix("{").split()[-1].strip("'\"")


def _asked_for(top: Statement, wish: EntranceWish) -> Iterator[tuple[Server, Statement, str]]:
    """Each server and location through which a model is asked, and the path of a request that comes there."""
    inner, servers = inner_ports(top), servers_of(top)
    hosts = Hosts(servers)
    for server in servers:
        if set(server.ports) <= inner or (wish.host and not server.serves(wish.host)):
            continue
        if hosts.chosen(server.port, wish.host or server.host, server) is not server:
            continue
        for location in server.locations:
            passing = leads_on(server, location, wish.upstreams)
            if passing is None or server.keeps_to_itself(location):
                continue
            path = _asked(server, location, passing, wish)
            if path:
                yield server, location, path


def _asked(server: Server, location: Statement, passing: Statement, wish: EntranceWish) -> str:
    """The likeliest path that the location serves and that arrives as one of a model's; else the likeliest; or none."""
    first = ""
    for each in [wish.path] if wish.path else sample_paths(location):
        taken, uri = server.route(each)
        if taken is location:
            if fits_a_model(each, uri, location, passing):
                return each
            first = first or each
    return first


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
        return (
            f"{path} passes nothing on: it has no proxy_pass.",
            "Give the file with the location that streams.",
        )
    passed_to = {where for each in top.below("proxy_pass") for where in destinations(each)}
    if not any(is_one_of(where, wish.upstreams) for where in passed_to):
        names = ", ".join(sorted(passed_to))
        return f"--upstream {' '.join(wish.upstreams)}: {path} passes nothing on to that.", f"It does to {names}."
    if wish.path:
        taken = [found for server in servers if (found := server.choose(wish.path)) is not None]
        led = f" It leads to {taken[0].spot}, which passes nothing on to the model." if taken else ""
        return f"--path {wish.path}: no location of {path} passes that on.{led}", "Say what clients ask for."
    return f"{path}: no location can be told a path for.", "Say with --path what clients ask for."
