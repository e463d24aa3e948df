"""Makes a user's Traefik configuration run in the lab: what names this very machine or its neighbours is replaced.

Each router that leads to a service is asked by itself. A setting is written into the text of the user's files; what is
run is made of that text, so that what is proposed is what was run.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from lab.errors import BadInput
from lab.products.adapted import Entrance, EntranceWish, Replacement, Spot, endpoint_of, is_for_others
from lab.products.traefik.files import TraefikFiles, at, list_at, read_files
from lab.products.traefik.replaced import TraefikCopy
from lab.products.traefik.routes import RouterWay, TraefikConfig, arriving
from lab.products.traefik.rules import RuleRequest, matchers, sample_requests
from lab.products.traefik.settings import placed, standing
from lab.products.traefik.source import Keys, TraefikSource, parse_source, value_at
from lab.products.values import values_for

_ENV = re.compile(r"\{\{-?\s*env\s+[\"`](\w+)[\"`]\s*-?\}\}")

_STAYS = frozenset(
    {
        "url",
        "rule",
        "service",
        "address",
        "filename",
        "directory",
        "name",
        "entrypoints",
        "asdefault",
        "keepalivemaxrequests",
        "tls",
        "watch",
    }
)
"""Keys without which nothing comes through, or another way; and the one that every copy has."""


@dataclass
class Traefik:
    """An `Adapter`: see `lab.products.adapted`."""

    files: TraefikFiles
    asked: Mapping[Entrance, tuple[str, str]]
    values: Mapping[str, str]
    tunable: bool = True
    passed_over: Sequence[Spot] = ()

    @property
    def entrances(self) -> Sequence[Entrance]:
        """See `Adapter`."""
        return list(self.asked)

    def copy(self, entrance: Entrance, settings: Sequence[str] = (), without: Sequence[Spot] = ()) -> str:
        """See `Adapter`."""
        files = self._with(entrance, settings)
        for source in files.all:
            for keys in list(_leaves(source.data)):
                if keys in source.lines and source.spot(*keys) in without:
                    _drop(source.data, keys)
        copied = self._copied(files, entrance)
        list(copied.replacements())
        return str(yaml.safe_dump(copied.whole(), sort_keys=False, allow_unicode=True, width=2**20))

    def lines(self, entrance: Entrance) -> Sequence[Spot]:
        """See `Adapter`: each key that has a line to itself, and is not all that a mapping holds."""
        files = self._with(entrance, ())
        replaced = {each.spot for each in self._copied(files, entrance).replacements()}
        found = []
        for source, copied in zip(self.files.all, files.all, strict=True):
            leaves, kept = list(_leaves(source.data)), set(_leaves(copied.data))
            on_one_line = Counter(source.spot(*keys) for keys in leaves)
            for keys in leaves:
                spot = source.spot(*keys)
                alone = on_one_line[spot] == 1 and len(value_at(source.data, keys[:-1])) > 1
                stays = str(keys[-1]).lower() in _STAYS or "${" in spot.text
                if keys in source.lines and keys in kept and alone and not stays and spot not in replaced:
                    found.append(spot)
        return sorted(found, key=lambda each: (each.file, each.line))

    def replacements(self, entrance: Entrance) -> Sequence[Replacement]:
        """See `Adapter`."""
        values = [
            Replacement(source.spot(*keys), "with its value", "a template's name")
            for source in self.files.all
            for keys in _leaves(source.data)
            if _ENV.search(str(value_at(source.data, keys)))
        ]
        return [*values, *self._copied(self._with(entrance, ()), entrance).replacements()]

    def leave_out(self, complaint: str) -> bool:
        """See `Adapter`: all that Traefik may not know is left out before."""
        return False

    def locate(self, words: str, entrance: Entrance, copy: Path) -> str:
        """See `Adapter`; Traefik names a field, and no line."""
        said = words.replace(str(copy), str(self.files.main))
        named = set(re.findall(r"node: (\w+)", said))
        spots = [str(each.spot(*keys)) for each in self.files.all for keys in each.lines if keys[-1] in named]
        return "\n".join([*spots, said])

    def edit(self, entrance: Entrance, settings: Sequence[str]) -> Mapping[Path, str]:
        """See `Adapter`."""
        before = {each.file: each.text for each in self.files.all}
        return {file: text for file, text in self._texts(entrance, settings).items() if text != before[file]}

    def without(self, spot: Spot) -> Mapping[Path, str]:
        """See `Adapter`."""
        source = next(each for each in self.files.all if each.file == spot.file)
        keys = next(keys for keys in _leaves(source.data) if keys in source.lines and source.spot(*keys) == spot)
        return {source.file: source.cut(keys)}

    def spot_of(self, entrance: Entrance, setting: str) -> Spot | None:
        """See `Adapter`."""
        config = TraefikConfig(self._valued(self.files))
        found = standing(config, config.way(*self.asked[entrance]), setting)
        return found[0].spot(*found[1]) if found is not None else None

    def untold(self) -> Iterator[tuple[Spot, str]]:
        """The names of the environment that have no value and stand where the lab puts nothing of its own."""
        for entrance in self.asked:
            files = self._with(entrance, ())
            copied = self._copied(files, entrance)
            list(copied.replacements())
            for source in files.all:
                for keys in _leaves(source.data):
                    for name in _ENV.findall(str(value_at(source.data, keys))):
                        yield source.spot(*keys), name

    def _valued(self, files: TraefikFiles) -> TraefikFiles:
        """Files of their own, with the values of the environment where their templates name them."""
        return _each(files, lambda source: replace(source, data=_with_values(source.data, self.values)))

    def _texts(self, entrance: Entrance, settings: Sequence[str]) -> dict[Path, str]:
        """The texts of the user's files with these settings."""
        files = self.files
        for setting in settings:
            while True:
                config = TraefikConfig(self._valued(files))
                place = next(placed(config, config.way(*self.asked[entrance]), setting), None)
                if place is None:
                    break
                # Each edit moves what is behind it.
                files = _each(files, lambda source, place=place: _put(source, place.source, place.keys, place.value))
        return {each.file: each.text for each in files.all}

    def _with(self, entrance: Entrance, settings: Sequence[str]) -> TraefikFiles:
        texts = self._texts(entrance, settings)
        return self._valued(_each(self.files, lambda source: parse_source(texts[source.file], source.file)))

    def _copied(self, files: TraefikFiles, entrance: Entrance) -> TraefikCopy:
        config = TraefikConfig(files)
        return TraefikCopy(config, config.way(*self.asked[entrance]), RuleRequest(entrance.path, entrance.host))


def _each(files: TraefikFiles, change: Any) -> TraefikFiles:
    """The same files, each changed once."""
    changed = {source: change(source) for source in files.all}
    static = changed[files.static] if files.static is not None else None
    return TraefikFiles(files.main, static, tuple(changed[each] for each in files.dynamic))


def _put(source: TraefikSource, meant: TraefikSource, keys: Keys, value: Any) -> TraefikSource:
    if source.file != meant.file:
        return source
    return parse_source(source.cut(keys) if value is None else source.put(keys, value), source.file)


def _with_values(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _with_values(each, values) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_values(each, values) for each in value]
    return _ENV.sub(lambda found: values.get(found[1], found[0]), value) if isinstance(value, str) else value


def _leaves(value: Any, keys: Keys = ()) -> Iterator[Keys]:
    """The keys of all values that are neither mappings nor lists of them."""
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from _leaves(each, (*keys, key))
    elif isinstance(value, list) and any(isinstance(each, dict) for each in value):
        for number, each in enumerate(value):
            yield from _leaves(each, (*keys, number))
    else:
        yield keys


def _drop(data: Any, keys: Keys) -> None:
    """Take a value out, and what is empty without it, which Traefik refuses."""
    del value_at(data, keys[:-1])[keys[-1]]
    if len(keys) > 1 and not value_at(data, keys[:-1]):
        _drop(data, keys[:-1])


def adapt(path: Path, wish: EntranceWish) -> Traefik:
    """Read a user's file or folder; see `lab.products.adapted.Adapt`."""
    files = read_files(path)
    adapter = Traefik(files, {}, values_for(path if path.is_dir() else path.parent))
    config = TraefikConfig(adapter._valued(files))
    _check_names(config)
    found = dict(_entrances(config, wish))
    others = [each for each, names in found.items() if _is_for_others(config, config.way(*names))]
    asked = {each: names for each, names in found.items() if wish.path or each not in others} or found
    if not asked:
        raise BadInput(*_nowhere(config, wish))
    adapter = replace(adapter, asked=asked, passed_over=[each.spot for each in found if each not in asked])
    for spot, name in adapter.untold():
        remedy = f"Set {name} in the environment or in .env beside the file."
        raise BadInput(f'{spot.file}:{spot.line}: {{{{ env "{name}" }}}} has no value here.', remedy)
    return adapter


def _check_names(config: TraefikConfig) -> None:
    """Traefik answers 404 in the place of a router that names something that is not there."""
    for router in config.routers:
        names = [("middlewares", each) for each in list_at(router.data, "middlewares")]
        names += [("service", each) for each in [at(router.data, "service")] if each]
        for key, name in names:
            known = config.middlewares if key == "middlewares" else config.services
            if (own := config.own_name(name)) and own not in known:
                spot = router.spot_of(key)
                remedy = f"There are {', '.join(known) or 'none'}."
                raise BadInput(f"{spot}: there is no {name}, so that Traefik does without the router.", remedy)


def _is_for_others(config: TraefikConfig, way: RouterWay) -> bool:
    paths = [each for each in matchers(config.rule(way.router)) if each.name.startswith("Path")]
    return bool(paths) and all(is_for_others(one.rstrip("/")) for each in paths for one in each.values)


def _entrances(config: TraefikConfig, wish: EntranceWish) -> Iterator[tuple[Entrance, tuple[str, str]]]:
    seen = set()
    for way in config.ways:
        router = way.router
        # Through one of its entry points: they hand on alike.
        if router in seen or not config.leads_on(way) or not _is_called(config, way, wish.upstreams):
            continue
        request = _request(config, way, wish)
        if request is not None:
            seen.add(router)
            http_2 = way.secure and _offers_http_2(config, way)
            name = f"router {router.name} at {way.entry_point.name}"
            yield (
                Entrance(name, request.path, request.host, way.secure, router.spot, http_2),
                (router.name, way.entry_point.name),
            )


def _request(config: TraefikConfig, way: RouterWay, wish: EntranceWish) -> RuleRequest | None:
    """A request that comes to the router, one that arrives as a model's if there is any; None without one."""
    middlewares, found = list(config.middlewares_of(way)), []
    for request in sample_requests(config.rule(way.router), wish.path, wish.host):
        if config.serves(way, request):
            path = arriving(iter(middlewares), request, secure=way.secure)
            if path is not None:
                endpoint = endpoint_of(request.path)
                found.append((not endpoint or endpoint != endpoint_of(path), request))
    return min(found, key=lambda each: each[0])[1] if found else None


def _offers_http_2(config: TraefikConfig, way: RouterWay) -> bool:
    tls = at(way.router.data, "tls") or at(way.entry_point.data, "http", "tls")
    name = str(at(tls, "options") or "default").removesuffix("@file")
    for source in config.files.dynamic:
        protocols = list_at(source.data, "tls", "options", name, "alpnProtocols")
        if protocols:
            return "h2" in protocols
    return True


def _is_called(config: TraefikConfig, way: RouterWay, names: Sequence[str]) -> bool:
    """Whether a router leads to what is called so: a service, or a server's host with or without port."""
    service = config.own_name(at(way.router.data, "service"))
    places = [each.partition("//")[2].partition("/")[0] for each in config.servers_of(way.router)]
    return not names or bool({service, *places, *(each.partition(":")[0] for each in places)} & set(names))


def _nowhere(config: TraefikConfig, wish: EntranceWish) -> tuple[str, str]:
    main = config.files.main
    if not config.routers:
        return f"{main}: there is no router of HTTP.", "Give the file with `http: {routers: ...}` too."
    leading = [each for each in config.ways if config.leads_on(each)]
    if not leading:
        spot = config.routers[0].spot_of("service")
        return f"{spot}: no router leads to servers that these files name.", "Give the file with its service too."
    if wish.upstreams and not any(_is_called(config, each, wish.upstreams) for each in leading):
        names = ", ".join(config.services)
        return f"--upstream {' '.join(wish.upstreams)}: no router leads there.", f"They lead to {names}."
    wanted = " ".join(each for each in (wish.path, wish.host and f"of {wish.host}") if each)
    spot = leading[0].router.spot
    return f"{main}: no router takes {wanted or 'what the lab asks'} to a service.", f"There is {spot}."
