"""Makes a user's Envoy configuration run in the lab: what names this very machine or its neighbours is replaced.

Each route that leads to a cluster is asked by itself. A setting is written into the text of the user's file; what is
run is made of that text, so that what is proposed is what was run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab.errors import BadInput
from lab.products.adapted import Entrance, EntranceWish, Replacement, Spot, endpoint_of, is_for_others
from lab.products.envoy.document import Document, items, lines_below, parse, read_document, scalars, text_at, write
from lab.products.envoy.replaced import BootstrapCopy
from lab.products.envoy.routes import Bootstrap, ClusterRoute, closeness, managers_of, own_name
from lab.products.envoy.settings import placed, places_of
from lab.products.values import values_for
from lab.products.yaml_text import entry, with_edit, without_key

_UNKNOWN = re.compile(r"Didn't find a registered implementation for '([^']+)'")
_NAMED = re.compile(r"(?:no such field:|unknown cluster)\s+'([^']+)'")


_NAMING = frozenset({"@type", "name", "cluster", "cluster_name", "stat_prefix"})
"""Keys without which Envoy starts not at all, or not as what it is."""


@dataclass
class Envoy:
    """An `Adapter`: see `lab.products.adapted`."""

    document: Document
    asked: Mapping[Entrance, int]
    values: Mapping[str, str]
    tunable: bool = True
    passed_over: Sequence[Spot] = ()
    _unknown: set[str] = field(default_factory=set)

    @property
    def entrances(self) -> Sequence[Entrance]:
        """See `Adapter`."""
        return list(self.asked)

    def copy(self, entrance: Entrance, settings: Sequence[str] = (), without: Sequence[Spot] = ()) -> str:
        """See `Adapter`."""
        replacing = self._replacing(self._with(entrance, settings), entrance)
        list(self._replaced(replacing))
        document = replacing.bootstrap.document
        for mapping, key, value in list(lines_below(document)):
            if document.spot(key) in without:
                mapping.value.remove((key, value))
        return write(document.top)

    def lines(self, entrance: Entrance) -> Sequence[Spot]:
        """See `Adapter`: each key that has a line to itself, but for what names a thing or says of which kind it is."""
        replacing = self._replacing(self.document.text, entrance)
        replaced = {each.spot for each in self._replaced(replacing)}
        document = replacing.bootstrap.document
        found = sorted(lines_below(document), key=lambda line: int(line[1].start_mark.line))
        spots = [document.spot(key) for _, key, _ in found if key.value not in _NAMING]
        return [each for each in dict.fromkeys(spots) if each not in replaced and "${" not in each.text]

    def replacements(self, entrance: Entrance) -> Sequence[Replacement]:
        """See `Adapter`."""
        return list(self._replaced(self._replacing(self.document.text, entrance)))

    def leave_out(self, complaint: str) -> bool:
        """See `Adapter`."""
        new = set(_UNKNOWN.findall(complaint)) - self._unknown
        self._unknown |= new
        return bool(new)

    def locate(self, words: str, entrance: Entrance, copy: Path) -> str:
        """See `Adapter`; Envoy names a field or a cluster, and no line."""
        said = words.replace(str(copy), str(self.document.file))
        named = set(_NAMED.findall(said))
        spots = [str(self.document.spot(each)) for each in scalars(self.document.top) if each.value in named]
        return "\n".join([*spots, said])

    def edit(self, entrance: Entrance, settings: Sequence[str]) -> Mapping[Path, str]:
        """See `Adapter`."""
        changed = self._with(entrance, settings)
        return {self.document.file: changed} if changed != self.document.text else {}

    def without(self, spot: Spot) -> Mapping[Path, str]:
        """See `Adapter`."""
        document = self._read(self.document.text).document
        mapping, key = next((mapping, key) for mapping, key, _ in lines_below(document) if document.spot(key) == spot)
        return {self.document.file: without_key(self.document.text, mapping, str(key.value))}

    def spot_of(self, entrance: Entrance, setting: str) -> Spot | None:
        """See `Adapter`."""
        bootstrap = self._read(self.document.text)
        for route in self._way(bootstrap, entrance):
            for mapping, name in places_of(bootstrap, route, setting):
                if (stands := entry(mapping, name)) is not None:
                    return self.document.spot(stands[0])
        return None

    def untold(self) -> Iterator[tuple[Spot, str]]:
        """The names of a template that have no value and stand where the lab puts nothing of its own."""
        for entrance in self.asked:
            replacing = self._replacing(self.document.text, entrance)
            list(self._replaced(replacing))
            document = replacing.bootstrap.document
            for scalar in scalars(document.top):
                yield from ((document.spot(scalar), name) for name in document.names_in(scalar))

    def _read(self, text: str) -> Bootstrap:
        """A text of the file's, with the values of its template."""
        document = parse(text, self.document.file)
        list(document.put_values(self.values))
        return Bootstrap(document)

    def _way(self, bootstrap: Bootstrap, entrance: Entrance) -> list[ClusterRoute]:
        return bootstrap.way(bootstrap.routes[self.asked[entrance]], entrance.path, entrance.host)

    def _with(self, entrance: Entrance, settings: Sequence[str]) -> str:
        """The user's text with these settings."""
        text = self.document.text
        for line in settings:
            bootstrap = self._read(text)
            found = [each for route in self._way(bootstrap, entrance) for each in placed(bootstrap, route, line)]
            # From the end, so that what stands before stays where it is.
            for each in sorted(found, key=lambda each: -each.mapping.start_mark.index):
                text = with_edit(text, each)
        return text

    def _replacing(self, text: str, entrance: Entrance) -> BootstrapCopy:
        bootstrap = Bootstrap(parse(text, self.document.file))
        return BootstrapCopy(bootstrap, self._way(bootstrap, entrance), entrance.path, self._unknown)

    def _replaced(self, replacing: BootstrapCopy) -> Iterator[Replacement]:
        document = replacing.bootstrap.document
        for scalar in document.put_values(self.values):
            yield Replacement(document.spot(scalar), "with its value", "a template's name")
        yield from replacing.replacements()


def adapt(path: Path, wish: EntranceWish) -> Envoy:
    """Read a user's file or folder; see `lab.products.adapted.Adapt`."""
    document, values = read_document(path), values_for(path if path.is_dir() else path.parent)
    # Paths and hosts may be of the template; places of text are told by another reading.
    list(document.put_values(values))
    bootstrap = Bootstrap(document)
    found = list(_entrances(bootstrap, wish))
    asked = {each: number for each, number in found if wish.path or not is_for_others(bootstrap.routes[number].kind[1])}
    asked = asked or dict(found)
    if not asked:
        raise BadInput(*_nowhere(bootstrap, wish))
    passed_over = [each.spot for each, _ in found if each not in asked]
    adapter = Envoy(parse(document.text, document.file), asked, values, passed_over=passed_over)
    for spot, name in adapter.untold():
        remedy = f"Set {name} in the environment or in .env beside the file, or give the file that is made of it."
        raise BadInput(f"{spot.file}:{spot.line}: ${{{name}}} is a template's name, and has no value here.", remedy)
    return adapter


def _entrances(bootstrap: Bootstrap, wish: EntranceWish) -> Iterator[tuple[Entrance, int]]:
    names: set[str] = set()
    for number, route in enumerate(bootstrap.routes):
        if not _is_asked(bootstrap, route, wish):
            continue
        paths = [wish.path] if wish.path else route.samples()
        shadowed = [each for each in paths if any(not one.asks_more for one in bootstrap.before(route, each))]
        paths = [each for each in paths if route.takes(each) and each not in shadowed]
        if not paths:
            continue
        path = next((each for each in paths if _fits_a_model(route, each)), paths[0])
        host = wish.host or own_name(route.host)
        spot = bootstrap.document.spot(route.node)
        name = " ".join(("route", *route.kind, *(["of", host] if host else []), "to", *(route.clusters or ["any"])))
        name = f"{name}, line {spot.line}" if name in names else name
        names.add(name)
        secure = route.tls is not None
        alpn = [each.value for each in items(route.tls, "common_tls_context", "alpn_protocols")]
        yield Entrance(name, path, host, secure, spot, secure and "h2" in alpn), number


def _fits_a_model(route: ClusterRoute, path: str) -> bool:
    """Whether a request for a path arrives as one for the same endpoint of a model's."""
    endpoint = endpoint_of(path)
    return bool(endpoint) and endpoint == endpoint_of(route.arriving(path))


def _is_asked(bootstrap: Bootstrap, route: ClusterRoute, wish: EntranceWish) -> bool:
    """Whether a route is one that clients ask, of a host that is meant, and leads where it is wanted."""
    if not route.leads_on or not route.listener.address or route.listener.address in bootstrap.inner:
        return False
    if route.tls is None and text_at(route.host, "require_tls").upper() in ("ALL", "EXTERNAL_ONLY"):
        return False
    if wish.host:
        hosts = [each.host for each in bootstrap.routes if each.manager is route.manager]
        if not (best := max(closeness(each, wish.host) for each in hosts)) or closeness(route.host, wish.host) < best:
            return False
    return bootstrap.calls_it(route, wish.upstreams)


def _nowhere(bootstrap: Bootstrap, wish: EntranceWish) -> tuple[str, str]:
    document = bootstrap.document
    elsewhere = entry(document.top, "dynamic_resources")
    managers = [one for listener in bootstrap.listeners for chain in listener.chains for one in managers_of(chain)]
    fetched = [found[0] for each in managers for name in ("rds", "scoped_routes") if (found := entry(each, name))]
    if elsewhere is not None and not managers:
        fetched = [elsewhere[0]]
    if fetched:
        why = f"{document.file} has no route: they come from elsewhere, as {document.spot(fetched[0])} says."
        return why, "Give a bootstrap with `static_resources` and `route_config`, as `/config_dump` tells them."
    if not bootstrap.listeners:
        return (
            f"{document.file} has no `static_resources` with listeners.",
            "Give the file that Envoy starts with.",
        )
    if not managers:
        spot = document.spot(bootstrap.listeners[0].node)
        return f"{spot} has no connection manager, and no other listener has.", "The lab asks over HTTP."
    leading = [each for each in bootstrap.routes if each.leads_on]
    if not leading:
        return f"{document.file}: no route leads to a cluster.", "Give the file with the route that streams."
    if wish.upstreams and not any(bootstrap.calls_it(each, wish.upstreams) for each in leading):
        names = ", ".join(sorted({name for each in leading for name in each.clusters}))
        return f"--upstream {' '.join(wish.upstreams)}: no route leads there.", f"They lead to {names}."
    wanted = " ".join(each for each in (wish.path, wish.host and f"of {wish.host}") if each)
    routes = "; ".join(str(document.spot(each.node)) for each in leading[:3])
    return f"{document.file}: no route takes {wanted or 'what the lab asks'} to a cluster.", f"There are {routes}."
