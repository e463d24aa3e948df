"""Makes a user's Apache configuration run in the lab: what names this very machine or its neighbours is replaced.

Each rule that passes requests on is asked by itself. A setting is written into the text of the user's files; what is
run is made of that text, so that what is proposed is what was run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab.errors import BadInput
from lab.products.adapted import Entrance, EntranceWish, Replacement, Spot, endpoint_of, is_for_others, lines_out
from lab.products.apache.modules import module_name
from lab.products.apache.replaced import ApacheCopy
from lab.products.apache.rewriting import SiteAsked, flags_of
from lab.products.apache.routes import (
    ApacheServer,
    ProxyRule,
    Served,
    inner_servers,
    ports_that_serve,
    servers_of,
    targets_of,
    tier_behind,
)
from lab.products.apache.settings import LineEdit, changes, standing, with_change
from lab.products.apache.tree import ApacheFile, ApacheLine, read_apache

_UNKNOWN = re.compile(r"Invalid command '<?([^'\s>]+)>?'|Cannot load \S*?mod_(\w+)\.so into server")
_AT_LINE = re.compile(r"on line (\d+) of (\S+?)(:?)(?=\s|$)")

_ADDRESSED = frozenset({"proxypass", "proxypassmatch", "balancermember", "rewriterule", "sethandler", "listen"})
"""What says where to listen and whom to ask: without one of these nothing comes through."""


@dataclass(frozen=True)
class Tier:
    """One server that a request comes through.

    Args:
        passing: the rule by which it passes the request on.
        untold: rules of its own of which cannot be told whether they turn the request away.
    """

    passing: ProxyRule
    untold: Sequence[ApacheLine]


@dataclass
class Apache:
    """An `Adapter`: see `lab.products.adapted`."""

    path: Path
    file: ApacheFile
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
        copy = self._copied(read_apache(self.path, self._texts(entrance, settings)), entrance)
        return "".join(f"{text}\n" for line, text in copy.written() if line is None or line.spot not in without)

    def lines(self, entrance: Entrance) -> Sequence[Spot]:
        """See `Adapter`; sections stay, and what counts under no condition that holds."""
        copy = self._copied(self.file, entrance)
        kept = {line for line, _ in copy.written() if line is not None and line.block is None}
        own = [each for each in self.file.top.below() if each in kept and each.name not in _ADDRESSED]
        counting = [each for each in own if all(level.holds for level in each.upward())]
        return list(
            dict.fromkeys(each.spot for each in counting if copy.instead(each) is None and "${" not in each.text)
        )

    def replacements(self, entrance: Entrance) -> Sequence[Replacement]:
        """See `Adapter`."""
        return list(self._copied(self.file, entrance).replacements())

    def leave_out(self, complaint: str) -> bool:
        """See `Adapter`."""
        found = {(one or module_name(two)).lower() for one, two in _UNKNOWN.findall(complaint)}
        new = found - self._unknown
        self._unknown |= new
        return bool(new)

    def locate(self, words: str, entrance: Entrance, copy: Path) -> str:
        """See `Adapter`."""
        lines = [line for line, _ in self._copied(self.file, entrance).written()]

        def ours(found: re.Match[str]) -> str:
            line = lines[min(int(found[1]), len(lines)) - 1]
            own = found[2] == str(copy) and line is not None
            return f"at {line.file}:{line.line}{found[3]}" if own and line is not None else found[0]

        return _AT_LINE.sub(ours, words).replace(str(copy), str(self.file.top.file))

    def edit(self, entrance: Entrance, settings: Sequence[str]) -> Mapping[Path, str]:
        """See `Adapter`."""
        texts = self._texts(entrance, settings)
        return {file: text for file, text in texts.items() if text != self.file.texts[file]}

    def without(self, spot: Spot) -> Mapping[Path, str]:
        """See `Adapter`."""
        own = next(each for each in self.file.top.below() if each.spot == spot)
        return {spot.file: lines_out(self.file.texts[spot.file], own.line, own.last)}

    def spot_of(self, entrance: Entrance, setting: str) -> Spot | None:
        """See `Adapter`."""
        found = [standing(self.file, each.passing, setting) for each in self._tiers(self.file, entrance)]
        return next((line.spot for line in found if line is not None), None)

    def untold(self) -> Iterator[tuple[Spot, str]]:
        """Variables without a value that stand where the lab puts nothing of its own."""
        for entrance in self.asked:
            for line, text in self._copied(self.file, entrance).written():
                counts = line is not None and line.name not in _SAID and all(each.holds for each in line.upward())
                if line is not None and counts:
                    names = re.findall(r"\$\{([A-Za-z_]\w*)\}", text)
                    yield from ((line.spot, name) for name in names if name not in _OF_THE_COPY)

    def _passing(self, file: ApacheFile, entrance: Entrance) -> ProxyRule:
        server, number = self.asked[entrance]
        return servers_of(file)[server].passings[number]

    def _tiers(self, file: ApacheFile, entrance: Entrance) -> list[Tier]:
        """What serves an entrance, and of the file's own servers those that it leads to, one after the other."""
        passing = self._passing(file, entrance)
        asked = SiteAsked(entrance.path, entrance.host, entrance.secure)
        found = [Tier(passing, passing.server.serving(asked, passing).untold)]
        while True:
            asked = SiteAsked(found[-1].passing.arriving(asked.path), "", secure=False)
            server = tier_behind(found[-1].passing, file)
            served = Served() if server is None else server.serving(asked)
            if served.passing is None or served.passing.line in [each.passing.line for each in found]:
                return found
            found.append(Tier(served.passing, served.untold))

    def _changes(self, file: ApacheFile, entrance: Entrance, setting: str) -> list[LineEdit]:
        return [one for each in self._tiers(file, entrance) for one in changes(file, each.passing, setting)]

    def _texts(self, entrance: Entrance, settings: Sequence[str]) -> Mapping[Path, str]:
        """The texts of the user's files with these settings."""
        texts = dict(self.file.texts)
        for setting in settings:
            # Each change moves what is behind it, and what is changed already needs no change.
            for _ in self._changes(read_apache(self.path, texts), entrance, setting):
                for change in self._changes(read_apache(self.path, texts), entrance, setting)[:1]:
                    texts[change.at.file] = with_change(texts[change.at.file], change)
        return texts

    def _copied(self, file: ApacheFile, entrance: Entrance) -> ApacheCopy:
        tiers = self._tiers(file, entrance)
        untold = [line for each in tiers for line in each.untold]
        return ApacheCopy(file, tiers[0].passing.server.line, self._unknown, untold)


_SAID = frozenset(["header", "requestheader", "servername", "serveralias", "serveradmin", "documentroot", "directory"])
"""Of these it is of no account that a variable in them has no value: Apache takes them with its name."""

_OF_THE_COPY = frozenset({"PORT", "MODEL", "CERTIFICATE", "MODEL_HOST", "MODEL_PORT", "TOKEN_STREAM_LAB_MODULES"})


def adapt(path: Path, wish: EntranceWish) -> Apache:
    """Read a user's file or folder; see `lab.products.adapted.Adapt`."""
    file = read_apache(path)
    found = dict(_entrances(file, wish))
    servers = servers_of(file)
    others = [each for each, (server, place) in found.items() if _is_for_others(servers[server].passings[place])]
    asked = {each: place for each, place in found.items() if wish.path or each not in others} or found
    if not asked:
        raise BadInput(*_nowhere(file, wish))
    adapter = Apache(path, file, asked, passed_over=[each.spot for each in found if each not in asked])
    for spot, name in adapter.untold():
        remedy = f"Set {name} in the environment or in .env beside the file."
        raise BadInput(f"{spot.file}:{spot.line}: ${{{name}}} has no value here.", remedy)
    return adapter


def _is_for_others(passing: ProxyRule) -> bool:
    return is_for_others(passing.start.rstrip("/"))


def _entrances(file: ApacheFile, wish: EntranceWish) -> Iterator[tuple[Entrance, tuple[int, int]]]:
    inner, names = inner_servers(file), set[str]()
    for number, server in enumerate(servers_of(file)):
        if (server.line in inner and not server.is_main) or not ports_that_serve(server, file):
            continue
        if wish.host and server.names and not server.serves(wish.host):
            continue
        for place, passing in enumerate(server.passings):
            if not _is_called(passing, file.top, wish.upstreams):
                continue
            asked = _request(server, passing, wish)
            if asked is None:
                continue
            name = _name(server, passing)
            name = f"{name}, line {passing.line.line}" if name in names else name
            names.add(name)
            secure, http_2 = server.secure, server.http_2
            yield Entrance(name, asked.path, asked.host, secure, passing.line.spot, http_2), (number, place)


def _name(server: ApacheServer, passing: ProxyRule) -> str:
    site = "" if server.is_main else f" of {server.host or ' '.join(server.line.words)}"
    within = "" if passing.within is None else f" in {' '.join(passing.within.words)}"
    return f"{' '.join(passing.line.words[:2])}{within}{site}"


def _request(server: ApacheServer, passing: ProxyRule, wish: EntranceWish) -> SiteAsked | None:
    """A request that the server hands to the rule, one that arrives as a model's if there is any; None without one."""
    host = wish.host or server.host
    found = []
    for path in [wish.path] if wish.path else passing.samples():
        asked = SiteAsked(path, host, server.secure)
        if server.serving(asked, passing).passing is passing:
            endpoint = endpoint_of(path)
            found.append((not endpoint or endpoint != endpoint_of(passing.arriving(path)), asked))
    return min(found, key=lambda each: each[0])[1] if found else None


def _is_called(passing: ProxyRule, top: ApacheLine, names: Sequence[str]) -> bool:
    """Whether a rule asks one that is called so, with or without its port."""
    places = [each.where for each in targets_of(passing, top)]
    return not names or bool({*places, *(each.rpartition(":")[0] for each in places)} & set(names))


def _folder_of(line: ApacheLine) -> ApacheLine | None:
    """The section for files, or under a condition of the request, in which a line passes requests on."""
    by_handler = line.name == "sethandler" and line.word(1).startswith("proxy:http")
    if not by_handler and not (line.name == "rewriterule" and "P" in flags_of(line)):
        return None
    names = ("directory", "directorymatch", "files", "filesmatch", "if", "elseif", "else")
    return next((each for each in line.upward() if each.name in names), None)


def _nowhere(file: ApacheFile, wish: EntranceWish) -> tuple[str, str]:
    main = file.top.file
    servers = servers_of(file)
    passings = [each for server in servers for each in server.passings]
    within = [(each, folder) for each in file.top.below() if (folder := _folder_of(each)) is not None]
    if not passings and within:
        line, folder = within[0]
        why = f"{line.spot}: the lab does not ask what stands in {folder.spot.text}."
        return why, "Give a site that passes on what streams by ProxyPass, or by a rule outside of such a section."
    if not passings:
        return f"{main} passes nothing on over HTTP: it has no ProxyPass.", "Give the file with the site that streams."
    if wish.host and not any(each.serves(wish.host) for each in servers):
        names = ", ".join(sorted({name for each in servers for name in each.names})) or "none"
        return f"--host {wish.host}: no server of {main} has that name.", f"Its names: {names}."
    if not any(_is_called(each, file.top, wish.upstreams) for each in passings):
        names = ", ".join(sorted({one.where for each in passings for one in targets_of(each, file.top)}))
        return f"--upstream {' '.join(wish.upstreams)}: {main} passes nothing on to that.", f"It does to {names}."
    wanted = f"--path {wish.path}" if wish.path else "what the lab asks"
    return f"{main}: no rule is asked for {wanted}.", f"There is {passings[0].line.spot}."
