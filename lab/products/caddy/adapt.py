"""Makes a user's Caddyfile run in the lab: what names this very machine or its neighbours is replaced.

Each `reverse_proxy` is asked by itself. A setting is written into the text of the user's files; what is run is made of
that text, so that what is proposed is what was run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab.errors import BadInput
from lab.products.adapted import Entrance, EntranceWish, Replacement, Spot, endpoint_of, is_for_others, lines_out
from lab.products.caddy.replaced import CaddyCopy
from lab.products.caddy.routes import (
    Site,
    SiteRequest,
    asked_of,
    inner_ports,
    matcher_of,
    place_of,
    samples,
    sites_of,
    upstreams_of,
)
from lab.products.caddy.settings import placed, standing, with_lines
from lab.products.caddy.tree import Caddyfile, CaddyLine, read_caddyfile

_UNKNOWN = re.compile(r"unrecognized (?:directive|global option): ([\w.-]+)|([\w.-]+) is not a registered directive")
_ADDRESSED = frozenset({"reverse_proxy", "to"})
"""What says whom to ask: without one of these nothing comes through."""

_ANSWERS = "handle_response"
"""A block that goes as a whole: it stands in the place of the model's answer, even if it holds nothing."""

_OF_HEADERS = frozenset({"header", "header_up", "header_down", "header_regexp", "request_header"})
"""Of these it is of no account that a name in them has no value: it is empty, as it is in Caddy."""

_NAME = re.compile(r"\{\$([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass
class Caddy:
    """An `Adapter`: see `lab.products.adapted`."""

    path: Path
    file: Caddyfile
    asked: Mapping[Entrance, tuple[int, int]]
    tunable: bool = True
    passed_over: Sequence[Spot] = ()
    _unknown: set[str] = field(default_factory=set)

    @property
    def entrances(self) -> Sequence[Entrance]:
        """See `Adapter`."""
        return list(self.asked)

    def copy(self, entrance: Entrance, settings: Sequence[str] = (), without: Sequence[Spot] = ()) -> str:
        """See `Adapter`."""
        file, _ = self._copied(entrance, self._texts(entrance, settings), without)
        return "".join(f"{line}\n" for each in file.top.block or () for line in each.write())

    def lines(self, entrance: Entrance) -> Sequence[Spot]:
        """See `Adapter`; a snippet that two places import has each of its lines once."""
        own = {each.spot for each in self.file.top.below()}
        copied = self._copied(entrance, self.file.texts)[0].top.below()
        leaves = [
            each
            for each in copied
            if (each.block is None or each.name == _ANSWERS) and each.line and each.name not in _ADDRESSED
        ]
        return list(dict.fromkeys(each.spot for each in leaves if each.spot in own and "${" not in each.spot.text))

    def replacements(self, entrance: Entrance) -> Sequence[Replacement]:
        """See `Adapter`."""
        return self._copied(entrance, self.file.texts)[1]

    def leave_out(self, complaint: str) -> bool:
        """See `Adapter`."""
        new = {one or two for one, two in _UNKNOWN.findall(complaint)} - self._unknown
        self._unknown |= new
        return bool(new)

    def locate(self, words: str, entrance: Entrance, copy: Path) -> str:
        """See `Adapter`."""
        file, _ = self._copied(entrance, self.file.texts)
        spots = [spot for each in file.top.block or () for spot in _spots(each)]

        def ours(found: re.Match[str]) -> str:
            spot = spots[min(int(found[1]), len(spots)) - 1]
            return f"{spot.file}:{spot.line}" if spot.line else found[0]

        return re.sub(rf"{re.escape(str(copy))}:(\d+)", ours, words).replace(str(copy), str(self.file.top.file))

    def edit(self, entrance: Entrance, settings: Sequence[str]) -> Mapping[Path, str]:
        """See `Adapter`."""
        texts = self._texts(entrance, settings)
        return {file: text for file, text in texts.items() if text != self.file.texts[file]}

    def without(self, spot: Spot) -> Mapping[Path, str]:
        """See `Adapter`."""
        own = next(each for each in self.file.top.below() if each.spot == spot)
        return {spot.file: lines_out(self.file.texts[spot.file], own.line, own.last or own.line)}

    def spot_of(self, entrance: Entrance, setting: str) -> Spot | None:
        """See `Adapter`."""
        line = standing(*self._proxy(self.file, entrance), setting)
        return line.spot if line is not None else None

    def untold(self) -> Iterator[tuple[Spot, str]]:
        """The names of the environment that have no value and stand where the lab puts nothing of its own."""
        for entrance in self.asked:
            file, _ = self._copied(entrance, self.file.texts)
            for line in file.top.below():
                if line.name not in _OF_HEADERS and not any(each.name in _OF_HEADERS for each in line.upward()):
                    yield from ((line.spot, name) for token in line.tokens for name in _NAME.findall(token))

    def _proxy(self, file: Caddyfile, entrance: Entrance) -> tuple[Site, CaddyLine]:
        site, proxy = self.asked[entrance]
        found = sites_of(file)[site]
        return found, found.proxies[proxy]

    def _texts(self, entrance: Entrance, settings: Sequence[str]) -> Mapping[Path, str]:
        """The texts of the user's files with these settings."""
        texts = dict(self.file.texts)
        for setting in settings:
            # Each edit moves what is behind it.
            for _ in range(len([*placed(*self._proxy(self.file, entrance), setting)])):
                file = read_caddyfile(self.path, texts)
                for lines in [*placed(*self._proxy(file, entrance), setting)][:1]:
                    own = lines.block.file
                    texts[own] = with_lines(texts[own], lines)
        return texts

    def _copied(
        self, entrance: Entrance, texts: Mapping[Path, str], without: Sequence[Spot] = ()
    ) -> tuple[Caddyfile, list[Replacement]]:
        file = read_caddyfile(self.path, texts)
        site, proxy = self._proxy(file, entrance)
        way = site.serving(SiteRequest(entrance.path, entrance.host, entrance.secure), proxy)
        for line in [*file.top.below()]:
            if line.spot in without:
                line.out()
        return file, list(CaddyCopy(file, way, self._unknown).replacements())


def _spots(line: CaddyLine) -> Iterator[Spot]:
    """What each line of what is written came from."""
    yield from [line.spot] * (" ".join(line.tokens).count("\n") + 1)
    if line.block is not None:
        for each in line.block:
            yield from _spots(each)
        yield line.spot


def adapt(path: Path, wish: EntranceWish) -> Caddy:
    """Read a user's file or folder; see `lab.products.adapted.Adapt`."""
    file = read_caddyfile(path)
    found = dict(_entrances(file, wish))
    others = [each for each, (site, proxy) in found.items() if _is_for_others(sites_of(file)[site], proxy)]
    asked = {each: place for each, place in found.items() if wish.path or each not in others} or found
    if not asked:
        raise BadInput(*_nowhere(file, wish))
    adapter = Caddy(path, file, asked, passed_over=[each.spot for each in found if each not in asked])
    for spot, name in adapter.untold():
        remedy = f"Set {name} in the environment or in .env beside the file."
        raise BadInput(f"{spot.file}:{spot.line}: {{${name}}} has no value here.", remedy)
    return adapter


def _is_for_others(site: Site, number: int) -> bool:
    """Whether a proxy, or what it stands in, is for paths only that no model's clients ask for."""
    proxy = site.proxies[number]
    for level in proxy.upward():
        for each in asked_of(matcher_of(level), proxy, site):
            if each.name == "path" and all(is_for_others(one.rstrip("*")) for one in each.words[1:]):
                return True
    return False


def _entrances(file: Caddyfile, wish: EntranceWish) -> Iterator[tuple[Entrance, tuple[int, int]]]:
    sites = sites_of(file)
    inner, names = inner_ports(sites), set[str]()
    for number, site in enumerate(sites):
        if site.port in inner:
            continue
        for place, proxy in enumerate(site.proxies):
            if not _is_called(proxy, wish.upstreams):
                continue
            request = _request(site, proxy, wish)
            if request is None:
                continue
            chain = [each for each in reversed([*proxy.upward()]) if each.parent is not None and each is not site.line]
            name = " ".join(word for each in [site.line, *chain] for word in each.words)
            name = f"{name}, line {proxy.line}" if name in names else name
            names.add(name)
            yield Entrance(name, request.path, request.host, site.secure, proxy.spot, site.http_2), (number, place)


def _request(site: Site, proxy: CaddyLine, wish: EntranceWish) -> SiteRequest | None:
    """A request that the site hands to the proxy, one that arrives as a model's if there is any; None without one."""
    paths, hosts = samples(proxy, site)
    named = [each.host for each in site.addresses]
    if wish.host and not site.serves(wish.host) and "" not in named:
        return None
    found = []
    for host in [wish.host] if wish.host else hosts:
        for path in [wish.path] if wish.path else paths:
            way = site.serving(SiteRequest(path, host, site.secure), proxy)
            if way.end is proxy:
                endpoint = endpoint_of(path)
                found.append((not endpoint or endpoint != endpoint_of(way.arrives), way.request))
    return min(found, key=lambda each: each[0])[1] if found else None


def _is_called(proxy: CaddyLine, names: Sequence[str]) -> bool:
    """Whether a proxy asks one that is called so, with or without its port."""
    places = [place_of(each)[1] for each in upstreams_of(proxy)]
    return not names or bool({*places, *(each.rpartition(":")[0] for each in places)} & set(names))


def _nowhere(file: Caddyfile, wish: EntranceWish) -> tuple[str, str]:
    main, sites = file.top.file, sites_of(file)
    proxies = [proxy for site in sites for proxy in site.proxies]
    if not sites:
        return f"{main} has no site.", "Give a Caddyfile with one, or the folder that has it."
    invoking = [line for site in sites for line in site.line.below("invoke")]
    if not proxies and invoking:
        return f"{invoking[0].spot}: the lab does not follow it.", "Write what it invokes in its place."
    if not proxies:
        return f"{main} passes nothing on: it has no reverse_proxy.", "Give the file with the site that streams."
    if wish.host and not any(site.serves(wish.host) for site in sites):
        names = ", ".join(each.host or "any" for site in sites for each in site.addresses)
        return f"--host {wish.host}: no site of {main} has that name.", f"Its names: {names}."
    if not any(_is_called(each, wish.upstreams) for each in proxies):
        names = ", ".join(sorted({place_of(one)[1] for each in proxies for one in upstreams_of(each)}))
        return f"--upstream {' '.join(wish.upstreams)}: {main} passes nothing on to that.", f"It does to {names}."
    wanted = f"--path {wish.path}" if wish.path else "what the lab asks"
    return f"{main}: no reverse_proxy is asked for {wanted}.", f"There is {proxies[0].spot}."
