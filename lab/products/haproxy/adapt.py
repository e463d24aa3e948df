"""Makes a user's HAProxy configuration run in the lab: what names this very machine or its neighbours is replaced.

The `bind` that is asked gets `${PORT}`; every other one a socket of its own in /tmp, so that two tiers of one file
still find each other. Every server that is none of the file's own is the model server. What HAProxy takes where, and
how many words follow which, is from its configuration manual, sections 3 to 5.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from lab.errors import BadInput
from lab.products.adapted import Entrance, EntranceWish, Replacement, Spot, endpoint_of, lines_out
from lab.products.haproxy.replaced import Replacing
from lab.products.haproxy.routes import ANY_PATH, Request, Routes, Way, place_of, samples
from lab.products.haproxy.sections import SET_TIMEOUT, ConfigLine, Section, key_of, read_sections
from lab.products.values import values_for

_FRONT_ONLY = frozenset({"timeout client", "timeout client-fin", "timeout client-hs"})
_BACK_ONLY = frozenset(
    {
        *("timeout server", "timeout server-fin", "timeout tunnel", "timeout connect", "timeout queue"),
        *("option abortonclose", "option redispatch", "retries", "retry-on", "http-reuse", "balance", "fullconn"),
    }
)

_UNKNOWN = re.compile(r"unknown keyword '([^']+)' in '[\w-]+' section(?!; did you mean)|unknown (option '[^']+')")


@dataclass
class HAProxy:
    """An `Adapter`: see `lab.products.adapted`."""

    path: Path
    routes: Routes
    ways: Mapping[Entrance, Way]
    values: Mapping[str, str]
    tunable: bool = True
    passed_over: Sequence[Spot] = ()
    _unknown: set[str] = field(default_factory=set)

    @property
    def entrances(self) -> Sequence[Entrance]:
        """See `Adapter`."""
        return list(self.ways)

    def copy(self, entrance: Entrance, settings: Sequence[str] = (), without: Sequence[Spot] = ()) -> str:
        """See `Adapter`."""
        written = self._written(entrance, settings)
        return "".join(f"{text}\n" for line, text in written if line is None or line.spot not in without)

    def lines(self, entrance: Entrance) -> Sequence[Spot]:
        """See `Adapter`; the heads of sections stay, and what makes them sections of HTTP."""
        replaced = {each.spot for each in self.replacements(entrance)}
        lines = [line for section in self.routes.sections for line in section.lines if line.words]
        own = [line.spot for line in lines if line.name != "mode"]
        return [spot for spot in own if spot not in replaced and "${" not in spot.text]

    def replacements(self, entrance: Entrance) -> Sequence[Replacement]:
        """See `Adapter`."""
        replacing = self._replacing(entrance)
        found = []
        for section in self.routes.sections:
            for line in (section.head, *section.lines):
                instead = replacing.instead(section, line) if line.words else None
                if instead is not None:
                    found.append(Replacement(line.spot, instead.now.strip(), instead.why))
        return found

    def leave_out(self, complaint: str) -> bool:
        """See `Adapter`."""
        found = {(one or two).replace("'", "") for one, two in _UNKNOWN.findall(complaint)}
        new = bool(found - self._unknown)
        self._unknown |= found
        return new

    def locate(self, words: str, entrance: Entrance, copy: Path) -> str:
        """See `Adapter`."""
        lines = [line for line, _ in self._written(entrance, ())]

        def ours(found: re.Match[str]) -> str:
            line = lines[min(int(found[1]), len(lines)) - 1]
            return found[0] if line is None else f"{line.file}:{line.number}"

        return re.sub(rf"{re.escape(str(copy))}:(\d+)", ours, words).replace(str(copy), str(self.path))

    def edit(self, entrance: Entrance, settings: Sequence[str]) -> Mapping[Path, str]:
        """See `Adapter`."""
        touched = [each for each in self.ways[entrance].sections if _placed(each, settings)]
        changed: dict[Path, str] = {}
        for file in dict.fromkeys(each.head.file for each in touched):
            lines = file.read_text(encoding="utf-8").split("\n")
            # From the end, so that the numbers before stay true.
            for section in sorted(touched, key=lambda each: -each.head.number):
                if section.head.file == file:
                    _edit(lines, section, _placed(section, settings))
            changed[file] = "\n".join(lines)
        return changed

    def without(self, spot: Spot) -> Mapping[Path, str]:
        """See `Adapter`."""
        return {spot.file: lines_out(spot.file.read_text(encoding="utf-8"), spot.line, spot.line)}

    def spot_of(self, entrance: Entrance, setting: str) -> Spot | None:
        """See `Adapter`."""
        key = key_of(setting.split())
        sections = [each for each in self.ways[entrance].sections if _placed(each, [setting])]
        found = [line for each in sections for line in each.counting(key)]
        # Of two tiers' timeouts the shorter one ends a request.
        return min(found, key=lambda line: _seconds(line.word(3) or line.words[-1])).spot if found else None

    def _replacing(self, entrance: Entrance) -> Replacing:
        way = self.ways[entrance]
        bind = asked_bind(way.sections[0])
        assert bind is not None  # noqa: S101  # it is an entrance
        return Replacing(self.routes, bind, way, self._unknown, self.values)

    def _written(self, entrance: Entrance, settings: Sequence[str]) -> Iterator[tuple[ConfigLine | None, str]]:
        """The lines of a copy, each with the user's own; None of what the lab put in."""
        replacing = self._replacing(entrance)
        on_the_way = self.ways[entrance].sections
        for section in self.routes.sections:
            placed = _placed(section, settings) if section in on_the_way else []
            keys = {key_of(each.split()) for each in placed}
            for line in (section.head, *section.lines):
                instead = replacing.instead(section, line) if line.words else None
                key = key_of(line.words)
                if instead is not None:
                    yield line, instead.now
                elif key in keys:
                    yield line, line.indent + _rule_with(line, placed) if key == SET_TIMEOUT else ""
                else:
                    yield line, line.text
                if line is section.head:
                    yield from ((None, f"    {each}") for each in placed if key_of(each.split()) != SET_TIMEOUT)


def _rule_with(line: ConfigLine, settings: Sequence[str]) -> str:
    """A rule that sets a timeout, under its own condition, with the longer one of a setting."""
    setting = next(each for each in settings if key_of(each.split()) == SET_TIMEOUT)
    return " ".join((setting, *line.tokens[len(setting.split()) :])) if not _does(line, setting) else line.text.strip()


def _placed(section: Section, settings: Sequence[str]) -> list[str]:
    """Which settings belong into this section of those on the way: where HAProxy takes them, and they change it."""
    return [each for each in settings if _takes(section, each) and not _is_done(section, each)]


def _is_done(section: Section, setting: str) -> bool:
    found = section.counting(key_of(setting.split()))
    return all(_does(each, setting) for each in found) if found else _does(None, setting)


def _takes(section: Section, setting: str) -> bool:
    key = key_of(setting.split())
    if key in _FRONT_ONLY:
        return section.is_front
    if key == SET_TIMEOUT:
        return bool(section.all_of(key))
    # What either side may switch on has to be off on both; it is off where nobody switched it on.
    on_here = key not in _BACK_ONLY and setting.startswith("no ") and section.set_by(key) is not None
    return section.is_back or on_here


def _does(line: ConfigLine | None, setting: str) -> bool:
    """Whether a line does already what a setting would; a timeout that is longer does."""
    if line is None:
        # What has to be switched on is off until somebody does.
        return setting.startswith("no ")
    words = setting.split()
    if words[0] == "timeout" or key_of(words) == SET_TIMEOUT:
        number = len(words) - 1
        return _seconds(line.word(number)) >= _seconds(words[number])
    return line.words == tuple(words)


def _seconds(text: str) -> float:
    """What a timeout lasts; without a unit it is in milliseconds, and one that cannot be read is none."""
    found = re.fullmatch(r"(\d+)(us|ms|s|m|h|d|)", text)
    return int(found[1]) * _UNITS[found[2]] if found else 0.0


_UNITS = {"us": 1e-6, "": 1e-3, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def _edit(lines: list[str], section: Section, settings: Sequence[str]) -> None:
    added = []
    for setting in settings:
        key = key_of(setting.split())
        own = section.all_of(key)
        if not own:
            added.append(setting)
        # Of several lines the last one counts; of rules each does.
        for each in own if key == SET_TIMEOUT else own[-1:]:
            now = _rule_with(each, [setting]) if key == SET_TIMEOUT else setting
            comment = each.text[len(each.indent) :].partition(" #")[1:]
            lines[each.number - 1] = each.indent + now + "".join(comment)
    indent = next((each.indent for each in section.lines if each.words), "    ")
    lines[section.head.number : section.head.number] = [indent + each for each in added]


def adapt(path: Path, wish: EntranceWish) -> HAProxy:
    """Read a user's file or folder; see `lab.products.adapted.Adapt`."""
    routes = Routes(read_sections(path))
    found = dict(_ways(routes, wish))
    if not found:
        raise BadInput(*_nowhere(routes, wish, path))
    ways = {each: way for each, way in found.items() if wish.path or way.rewrites or each.path != ANY_PATH} or found
    values = values_for(path if path.is_dir() else path.parent)
    passed_over = [each.spot for each in found if each not in ways]
    return HAProxy(path, routes, ways, values, passed_over=passed_over)


def _ways(routes: Routes, wish: EntranceWish) -> Iterator[tuple[Entrance, Way]]:
    for front in routes.sections:
        asked = asked_bind(front) if front.is_front and front.speaks_http else None
        if asked is None or front.name in routes.inner:
            continue
        secure = "ssl" in asked.words
        http_2 = secure and any("h2" in each.split(",") for each in asked.words)
        paths, hosts = samples(front)
        wished = ([wish.host] if wish.host else hosts, [wish.path] if wish.path else paths)
        requests = [Request(path, host, secure) for host, path in product(*wished)]
        seen: set[str] = set()
        for request, way in _every_way(routes, front, requests, wish):
            last = way.sections[-1]
            if way.arrives and last.name not in seen and _is_called(last, wish.upstreams):
                seen.add(last.name)
                name = " ".join(f"{each.kind} {each.name}" for each in way.sections)
                yield Entrance(name, request.path, request.host, secure, last.head.spot, http_2), way


def _every_way(
    routes: Routes, front: Section, requests: Sequence[Request], wish: EntranceWish
) -> Iterator[tuple[Request, Way]]:
    """How each request goes, and last the first that would go to each backend that an untold rule may choose."""
    untold: dict[ConfigLine, None] = {}
    for request in requests:
        way = routes.way(front, request)
        untold |= dict.fromkeys(way.untold)
        yield request, way
    rules = [each for each in untold if each.name == "use_backend"]
    for back in dict.fromkeys(name for rule in rules for name in routes.chosen_by(rule)):
        # Where a model's own paths go another way for certain, no model is behind it.
        some = (each for each in requests if wish.path or endpoint_of(each.path))
        ways = ((each, routes.way(front, each, back)) for each in some)
        found = next((pair for pair in ways if pair[1].chosen is not None and pair[1].arrives), None)
        if found is not None:
            yield found


def asked_bind(front: Section) -> ConfigLine | None:
    """The `bind` that a section is asked on: with TLS where it has both; None where it has none over TCP."""
    binds = [each for each in front.own("bind") if each.word(1) and "quic" not in each.word(1)]
    return next((each for each in binds if "ssl" in each.words), binds[0] if binds else None)


def _is_called(back: Section, names: Sequence[str]) -> bool:
    """Whether a section, or one of its servers, is called by one of these names, with or without a port."""
    called = {back.name}
    for line in back.own("server"):
        places = place_of(line.word(2), asked=True)
        called |= {line.word(1), *places, *(each.rpartition(":")[0] for each in places)}
    return not names or bool(called & set(names))


def _nowhere(routes: Routes, wish: EntranceWish, path: Path) -> tuple[str, str]:
    fronts = [each for each in routes.sections if each.is_front]
    if not fronts:
        return f"{path} has no frontend and no listen.", "Give the file that has one, or the folder with haproxy.cfg."
    http = [each for each in fronts if each.speaks_http]
    if not http:
        return f"{path}: {fronts[0].head.spot} has no `mode http`, and no other has.", "The lab asks over HTTP."
    if not any(asked_bind(each) for each in http):
        return f"{path}: {http[0].head.spot} has no `bind`, and listens on nothing.", "Give the file that listens."
    request = Request(wish.path or "/v1/chat/completions", wish.host, secure=True)
    ways = [routes.way(each, request) for each in http]
    asked = " ".join(each for each in (request.path, wish.host and f"of {wish.host}") if each)
    led = "; ".join(str(way.sections[-1].head.spot) for way in ways)
    return f"{path}: {asked} leads to no server; it ends at {led}.", "Say what clients ask for, or give the whole file."
