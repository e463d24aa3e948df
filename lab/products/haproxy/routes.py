"""Which sections of an HAProxy configuration serve a request, as its rules choose them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from lab.products.adapted import API_PATHS, paths_below
from lab.products.haproxy.sections import ConfigLine, Section

_LOOPBACK = re.compile(r"127\.[\d.]+|localhost|\[?::1\]?")
_ANY = re.compile(r"\*?|0\.0\.0\.0|\[?::\]?")
_FAMILY = re.compile(r"(?:(?:ipv[46]|tcp[46]?|stream)[@+])+")
_FETCH = re.compile(r"(?:capture\.)?([\w.]+?)(?:_(beg|end|sub|dir|dom|reg|str))?(?:\(([^)]*)\))?((?:,[\w(:,)]+)*)")
_CONVERTERS = re.compile(r"(?:,(?:lower|url_dec|host_only|field\(1,:\)))*")
"""Those that leave a path or host of the lab's as it is, but for its case."""
_FIXED: Mapping[str, bool] = {
    **dict.fromkeys(("TRUE", "HTTP", "METH_POST"), True),
    **dict.fromkeys(
        ("FALSE", *(f"METH_{each}" for each in ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PUT", "TRACE"])), False
    ),
}
"""ACLs that HAProxy has by itself, of a request of the lab's."""


ANY_PATH = "/"
"""What is asked of a way that takes no path that clients of models ask for, and names none."""


@dataclass(frozen=True)
class Request:
    """A request of the lab's.

    Args:
        path: with the slash.
        host: empty where it names none of the configuration's.
        secure: whether it comes over TLS.
    """

    path: str
    host: str
    secure: bool


def place_of(address: str, *, asked: bool) -> tuple[str, ...]:
    """What the address of a `bind`, or of a `server` that is asked, is known by.

    Every address of this machine is one of a port; a socket is known by its name.
    """
    plain = _FAMILY.sub("", address)
    if plain.startswith(("/", "unix@")):
        return (f"unix:{plain.removeprefix('unix@')}",)
    host, colon, port = plain.rpartition(":")
    if not colon:
        return (plain,)
    here = _LOOPBACK.fullmatch(host) or (not asked and _ANY.fullmatch(host))
    return (plain, port) if here else (plain,)


@dataclass
class Routes:
    """The sections of a configuration, and how they lead to one another."""

    sections: Sequence[Section]

    @cached_property
    def binds(self) -> dict[str, Section]:
        """Who listens where."""
        return {
            place: section
            for section in self.sections
            for line in section.own("bind")
            for address in line.word(1).split(",")
            for place in place_of(address, asked=False)
        }

    @cached_property
    def inner(self) -> frozenset[str]:
        """Names of the sections that others of the file ask over HTTP: the second of two tiers."""
        asking = [each for each in self.sections if each.is_back and each.speaks_http]
        return frozenset(other.name for each in asking if (other := self.next_tier(each)) is not None)

    def next_tier(self, back: Section) -> Section | None:
        """The section of the same file that one of its servers is."""
        for line in back.own("server"):
            for place in place_of(line.word(2), asked=True):
                if place in self.binds:
                    return self.binds[place]
        return None

    def back(self, name: str) -> Section | None:
        """The backend, or listen, of that name."""
        return next((each for each in self.sections if each.is_back and each.name == name), None)

    def chosen_by(self, rule: ConfigLine) -> list[str]:
        """The backends that a `use_backend` may choose: all whose names fit, where the request says which."""
        if "%" not in rule.word(1):
            return [rule.word(1)]
        # What stands between brackets may have brackets in it, of a map's name for one.
        parts = re.split(r"%\[.*?\](?!\])", rule.word(1))
        pattern = ".+".join(map(re.escape, parts))
        return [each.name for each in self.sections if each.is_back and re.fullmatch(pattern, each.name)]

    def way(self, front: Section, request: Request, wanted: str = "") -> Way:
        """How a request goes that the section is asked.

        Args:
            front: the section.
            request: what it is asked.
            wanted: the backend that it is to go to, as far as that cannot be told; empty for that of rules that can be.
        """
        way = Way(wanted=wanted)
        here: Section | None = front
        while here is not None and here not in way.sections:
            way.sections.append(here)
            back = self._choose(here, request, way)
            if back is None:
                return way
            if back is not here:
                way.sections.append(back)
                if self._redirects(back, request, way):
                    return way
            here = self.next_tier(back)
        last = way.sections[-1]
        # No model speaks FastCGI.
        way.arrives = bool(last.own("server", "server-template", "dispatch")) and not last.own("use-fcgi-app")
        return way

    def _choose(self, front: Section, request: Request, way: Way) -> Section | None:
        if self._redirects(front, request, way):
            return None
        for rule in front.own("use_backend"):
            holds = holds_for(front, rule, request)
            if holds and "%" in rule.word(1):
                holds = None
            if holds is None and way.wanted in self.chosen_by(rule):
                way.chosen = rule
                return self.back(way.wanted)
            if holds is None:
                way.untold.append(rule)
            elif holds:
                return self.back(rule.word(1))
        default = front.set_by("default_backend")
        if default is not None:
            return self.back(default.word(1))
        return front if front.is_back else None

    @staticmethod
    def _redirects(section: Section, request: Request, way: Way) -> bool:
        """Whether the section answers by itself."""
        for rule in section.own("redirect", "http-request"):
            if rule.name == "http-request" and rule.words[1:2] not in (("redirect",), ("return",)):
                continue
            holds = holds_for(section, rule, request)
            if holds is None:
                way.untold.append(rule)
            elif holds:
                return True
        return False


@dataclass
class Way:
    """How a request goes.

    Args:
        sections: through which, from the one that is asked to the one that asks the model.
        untold: rules on it of which cannot be told whether they apply.
        arrives: whether it ends at servers.
        wanted: the backend that it is to go to, as far as that cannot be told.
        chosen: of those rules the one that chooses it.
    """

    sections: list[Section] = field(default_factory=list)
    untold: list[ConfigLine] = field(default_factory=list)
    arrives: bool = False
    wanted: str = ""
    chosen: ConfigLine | None = None

    @property
    def rewrites(self) -> bool:
        """Whether a rule on it may ask for another path than it was asked for."""
        rules = [rule.word(1) for section in self.sections for rule in section.own("http-request")]
        return any(each in ("set-path", "set-pathq", "set-uri", "replace-path", "replace-uri") for each in rules)


def samples(front: Section) -> tuple[list[str], list[str]]:
    """Paths and hosts that the rules of a section may be meant for, the likeliest first; the empty host is any."""
    paths, hosts = [*API_PATHS, ANY_PATH], [""]
    for words in _tests(front):
        found = _FETCH.fullmatch(words[0])
        # Whoever asks for a certificate is no client of a model.
        values = [each for each in words[1:] if each not in _METHODS and not each.startswith(("-", "/.well-known/"))]
        if found is not None and found[1] in ("path", "pathq", "url"):
            for value in values:
                start = re.split(r"[\\^$.|?*+()\[\]{}]", value.lstrip("^"))[0] if "reg" in words[0] else value
                paths += [each if each.startswith("/") else f"/{each}" for each in paths_below(start)]
        elif found is not None and (found[3] or "").lower().startswith("host"):
            hosts += [f"chat{value}" if value.startswith(".") else value.rstrip(".") for value in values]
    return list(dict.fromkeys(paths)), list(dict.fromkeys(hosts))


_METHODS = frozenset({"str", "beg", "end", "sub", "dir", "dom", "reg", "found"})


def _tests(section: Section) -> Iterator[Sequence[str]]:
    """What its ACLs ask, and its rules between braces."""
    for line in section.lines:
        if line.name == "acl":
            yield line.words[2:] or ("",)
            continue
        for number, word in enumerate(line.words):
            if word.endswith("{") and "}" in line.words[number:]:
                yield line.words[number + 1 : line.words.index("}", number)] or ("",)


def holds_for(section: Section, rule: ConfigLine, request: Request) -> bool | None:
    """Whether a rule applies; None where that cannot be told."""
    word = next((each for each in ("if", "unless") if each in rule.words), "")
    if not word:
        return True
    conditions = rule.words[rule.words.index(word) + 1 :]
    found = _any([_all(list(_terms(section, each, request))) for each in _split(conditions)])
    return found if found is None or word == "if" else not found


def _any(values: Sequence[bool | None]) -> bool | None:
    return True if True in values else None if None in values else False


def _all(values: Sequence[bool | None]) -> bool | None:
    return False if False in values else None if None in values else True


def _split(words: Sequence[str]) -> Iterator[list[str]]:
    """The parts of a condition between its `or`s."""
    part: list[str] = []
    for word in words:
        if word in ("or", "||"):
            yield part
            part = []
        else:
            part.append(word)
    yield part


def _terms(section: Section, words: Sequence[str], request: Request) -> Iterator[bool | None]:
    rest = list(words)
    while rest:
        word = rest.pop(0)
        negated = False
        while word.startswith("!"):
            negated = not negated
            word = word[1:] or (rest.pop(0) if rest else "")
        if word == "{":
            end = rest.index("}") if "}" in rest else len(rest)
            found = matches(rest[:end], request)
            del rest[: end + 1]
        else:
            found = _named(section, word, request)
        yield found if found is None or not negated else not found


def _named(section: Section, name: str, request: Request) -> bool | None:
    defined = [each for each in section.own("acl") if each.words[1:2] == (name,)]
    if not defined:
        return _FIXED.get(name)
    return _any([matches(each.words[2:], request) for each in defined])


def matches(test: Sequence[str], request: Request) -> bool | None:
    """Whether what stands in an `acl`, or between braces, is so; None where that cannot be told."""
    found = _FETCH.fullmatch(test[0]) if test else None
    # Behind a converter HAProxy forgets how `path_beg` and its like compare.
    if found is None or not _CONVERTERS.fullmatch(found[4]) or (found[2] and found[4]):
        return None
    subject = _subject(found[1], (found[3] or "").lower(), request)
    if subject is None or isinstance(subject, bool):
        return subject
    method, flags, values = found[2] or "str", set(), list(test[1:])
    while values and values[0].startswith("-"):
        flag = values.pop(0)
        if flag == "-m" and values:
            method = values.pop(0)
        elif flag == "--":
            break
        else:
            flags.add(flag)
    if flags - {"-i"}:
        return None
    if method == "found":
        return bool(subject)
    ignore = re.IGNORECASE if flags else 0
    text = subject.lower() if "lower" in found[4] else subject
    return any(_fits(method, value, text, ignore) for value in values)


def _subject(fetch: str, argument: str, request: Request) -> str | bool | None:
    """What a test is about: a text, a fact, or None where it is nothing that the lab knows."""
    if fetch in ("path", "pathq", "url", "req.uri"):
        return request.path.partition("?")[0]
    if fetch in ("hdr", "req.hdr", "req.fhdr", "fhdr"):
        # Of other headers a user's clients send what the lab does not know; nobody upgrades for an answer.
        return {"host": request.host or "127.0.0.1", "upgrade": ""}.get(argument.partition(",")[0])
    facts: dict[str, str | bool] = {"ssl_fc": request.secure, "always_true": True, "always_false": False}
    return {**facts, "method": "POST"}.get(fetch)


def _fits(method: str, value: str, subject: str, flags: int) -> bool:
    literal = re.escape(value)
    pattern = {
        "str": rf"\A{literal}\Z",
        "beg": rf"\A{literal}",
        "end": rf"{literal}\Z",
        "sub": literal,
        "dir": rf"(\A|/){re.escape(value.strip('/'))}(/|\Z)",
        "dom": rf"(\A|[.:/]){re.escape(value.strip('.'))}([.:/]|\Z)",
        "reg": value,
    }.get(method)
    try:
        return pattern is not None and re.search(pattern, subject, flags) is not None
    except re.error:
        return False
