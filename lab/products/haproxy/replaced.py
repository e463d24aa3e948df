"""What a line of a user's HAProxy configuration is in the copy that the lab runs. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from lab.products.haproxy.routes import Routes, Way, place_of
from lab.products.haproxy.sections import ConfigLine, Section, key_of

_OWN = "/tmp/token-stream-lab-${PORT}"  # noqa: S108 - in a container, or of one port and process
"""What the names of the copy's own sockets begin with."""

_STARTED = "the lab starts it, in the foreground"
_NO_FILE = "no such file is here"
_MACHINE = "this machine is another"
_AT_ONCE = "the suite asks many things at once from one address"
_LET_IN = "who may ask is not asked"
_NO_HOST = "no such host or program is here"
_MODEL = "in the place of the model"
_LISTENS = "the lab chooses where it listens"


def _table(reasons: Mapping[str, str]) -> dict[str, str]:
    return {name: why for why, names in reasons.items() for name in names.split()}


_SECTIONS = _table(
    {
        _NO_HOST: "peers resolvers mailers program ring log-forward traces acme",
        _NO_FILE: "http-errors crt-store",
    }
)

_GLOBAL = _table(
    {
        _STARTED: "user group uid gid daemon chroot pidfile master-worker stats unix-bind localpeer setcap",
        _MACHINE: (
            "maxconn ulimit-n fd-hard-limit nbproc nbthread thread-groups thread-group thread-hard-limit cpu-map "
            "cpu-policy cpu-set numa-cpu-mapping maxconnrate maxsessrate maxsslconn maxsslrate maxpipes "
            "external-check insecure-fork-wanted zero-warning"
        ),
        _NO_FILE: (
            "ca-base crt-base key-base default-path lua-load lua-load-per-thread lua-prepend-path ssl-dh-param-file "
            "server-state-base server-state-file h1-case-adjust-file ssl-engine ssl-provider 51degrees-data-file "
            "deviceatlas-json-file wurfl-data-file ocsp-update.mode"
        ),
    }
)
_PROXY = _table(
    {
        _MACHINE: "bind-process source",
        _NO_FILE: "errorfile errorfiles http-error load-server-state-from-file",
        _NO_HOST: "email-alert external-check use-fcgi-app",
        _AT_ONCE: "maxconn fullconn rate-limit",
    }
)
_GLOBAL |= dict.fromkeys(("httpclient.resolvers.id", "httpclient.resolvers.prefer"), _NO_HOST)
_PROXY |= {"option external-check": _NO_HOST, "option transparent": _NO_HOST}
_RULES = _table(
    {
        _LET_IN: "deny tarpit reject silent-drop auth",
        _NO_HOST: "use-service do-resolve set-dst set-dst-port send-spoe-group wait-for-handshake",
    }
)
"""Second words of rules; none of these hands a reply on."""

_LOGS = ("global", "stdout", "stderr")

_FILTERS = frozenset({"compression", "cache", "trace", "bwlim-in", "bwlim-out", "fcgi-app"})

_FILES = re.compile(r"\b(?:map(?:_\w+)?|(?:add|del)-(?:acl|map))\((?!virt@|opt@virt@)|\blua\.")
"""Converters and rules that read a file while HAProxy starts, or need one that something else reads."""

_NAME = re.compile(r"\$\{([A-Za-z_]\w*)\}")
_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"')

_FILE_WORDS = frozenset({"-f", "file", "lf-file", "errorfile", "errorfiles"})
"""Words before the name of such a file."""


def _words(alone: str, with_one: str) -> dict[str, int]:
    """Words, with how many follow each."""
    return {**dict.fromkeys(alone.split(), 0), **dict.fromkeys(with_one.split(), 1)}


_CHECKS = _words(
    "check no-check check-ssl no-check-ssl check-send-proxy check-via-socks4 agent-check tfo",
    "observe on-error on-marked-down on-marked-up error-limit track maxconn minconn maxqueue check-sni check-alpn "
    "check-proto agent-port agent-addr agent-inter agent-send init-addr init-state resolvers resolve-prefer "
    "resolve-net resolve-opts source usesrc interface namespace socks4 redir addr",
)
"""Words of a `server` that the lab leaves out of every one."""

_TLS = _words(
    "ssl no-ssl send-proxy send-proxy-v2 send-proxy-v2-ssl send-proxy-v2-ssl-cn",
    "verify verifyhost ca-file crl-file crt sni alpn npn proto proxy-v2-options ciphers ciphersuites curves sigalgs "
    "client-sigalgs ssl-min-ver ssl-max-ver",
)
"""Those that the model server, which speaks HTTP/1.1 in clear text, would not understand."""

_BIND = _words(
    "transparent tfo defer-accept strict-sni generate-certificates v4v6 v6only",
    "interface mss user group mode uid gid process thread namespace maxconn ca-file crl-file ca-verify-file verify "
    "tls-ticket-keys ca-sign-file ca-sign-pass backlog crt-ignore-err ca-ignore-err ocsp-update shards tcp-ut crt-list "
    "default-crt crt",
)
"""Words of a `bind` that name this machine, its files, or who may ask."""


@dataclass(frozen=True)
class Instead:
    """What a line is in the copy.

    Args:
        now: the line; empty where it is left out.
        why: in a few words.
    """

    now: str
    why: str


@dataclass(frozen=True)
class Replacing:
    """Replaces the lines of one configuration.

    Args:
        routes: of the configuration.
        bind: the line where it is asked.
        way: how the request goes; without its untold rules it is the one that is told.
        unknown: keywords that the product does not know.
        values: of names of the environment.
    """

    routes: Routes
    bind: ConfigLine
    way: Way
    unknown: set[str]
    values: Mapping[str, str]

    def instead(self, section: Section, line: ConfigLine) -> Instead | None:
        """What stands in the copy in the place of a line; None where it stays."""
        now, why = self._what(section, line) or self._with_values(line)
        return None if not why or now.split() == line.text.split() else Instead(now, why)

    def _what(self, section: Section, line: ConfigLine) -> tuple[str, str] | None:
        if section.kind in _SECTIONS:
            return "", _SECTIONS[section.kind]
        if line is section.head:
            return None
        if line.name in self.unknown or key_of(line.words) in self.unknown:
            return "", "this HAProxy does not know it"
        if line.name == "log" and line.word(1) not in _LOGS:
            return f"{line.indent}log stdout format raw local0", "its log is read there"
        if section.kind == "global":
            why = _GLOBAL.get(line.name, "")
            return ("", why) if why else None
        if section.kind in ("defaults", "frontend", "backend", "listen"):
            return self._of_proxy(line)
        return None

    def _with_values(self, line: ConfigLine) -> tuple[str, str]:
        """Names of the environment count between double quotes; one without a value is empty, as it is in HAProxy."""

        def quoted(found: re.Match[str]) -> str:
            return _NAME.sub(lambda name: self.values.get(name[1], name[0]), found[0])

        return _QUOTED.sub(quoted, line.text), "a name of the environment"

    @cached_property
    def _peers(self) -> frozenset[str]:
        return frozenset(each.name for each in self.routes.sections if each.kind == "peers")

    def _of_proxy(self, line: ConfigLine) -> tuple[str, str] | None:
        if line in self.way.untold:
            return "", "whether it applies cannot be told, and the lab asks the way without it"
        if line is self.way.chosen:
            return (
                f"{line.indent}use_backend {self.way.wanted}",
                "whether it applies cannot be told, and the lab asks it",
            )
        if line.name == "bind":
            return self._listener(line)
        if line.name in ("server", "server-template", "default-server", "dispatch"):
            return self._server(line)
        missing = _NO_FILE if _reads_a_file(line) else _NO_HOST if self._peers & _tables_of(line) else ""
        if line.name == "acl" and missing:
            return f"{line.indent}acl {line.tokens[1]} always_false", missing
        why = _PROXY.get(line.name) or _PROXY.get(key_of(line.words), "")
        if line.name in ("http-request", "tcp-request"):
            rule = line.word(2 if line.name == "tcp-request" else 1)
            why = _RULES.get(rule.partition("(")[0], "")
        elif line.name == "filter" and not _FILTERS & set(line.words):
            why = _NO_HOST
        why = why or missing
        if not why and line.name in ("stick-table", "stick") and "peers" in line.words:
            return _put(line, _without(line.tokens, {"peers": 1})), _NO_HOST
        return ("", why) if why else None

    def _listener(self, line: ConfigLine) -> tuple[str, str]:
        address = line.word(1)
        if "quic" in address:
            return "", "the lab asks over TCP"
        asked = line is self.bind
        gone = {**_BIND, "accept-proxy": 0, "name": 1} if asked else _BIND
        rest = _without(line.tokens[2:], gone)
        if "ssl" in rest:
            rest[rest.index("ssl") + 1 : rest.index("ssl") + 1] = ["crt", "${CERTIFICATE}"]
        where = ":${PORT}" if asked else self._sockets[line]
        return _put(line, ["bind", where, *rest]), _LISTENS

    @cached_property
    def _sockets(self) -> dict[ConfigLine, str]:
        others = [each for section in self.routes.sections for each in section.own("bind") if each is not self.bind]
        return {each: f"{_OWN}-{number}.sock" for number, each in enumerate(others)}

    def _server(self, line: ConfigLine) -> tuple[str, str] | None:
        if line.name == "dispatch":
            return f"{line.indent}dispatch ${{MODEL}}", _MODEL
        before = {"server": 2, "server-template": 3, "default-server": 1}[line.name]
        tokens = list(line.tokens)
        if line.name == "default-server":
            return _put(line, _without(tokens, {**_CHECKS, **_TLS})), _MODEL
        if len(tokens) <= before:
            return None
        inner = self._own_address(line.words[before])
        if not inner:
            return _put(
                line, [*tokens[:before], "${MODEL}", *_without(tokens[before + 1 :], {**_CHECKS, **_TLS})]
            ), _MODEL
        rest = _without(tokens[before + 1 :], {**_CHECKS, "verify": 1, "ca-file": 1, "crl-file": 1, "crt": 1})
        secure = ["verify", "none"] if "ssl" in rest else []
        return _put(line, [*tokens[:before], inner, *rest, *secure]), "the copy's own, of that other section"

    def _own_address(self, address: str) -> str:
        """Where the copy listens in the place of that address; empty where nothing of the file does."""
        places = set(place_of(address, asked=True))
        for section in self.routes.sections:
            for line in section.own("bind"):
                theirs = {place for each in line.word(1).split(",") for place in place_of(each, asked=False)}
                if places & theirs:
                    return "127.0.0.1:${PORT}" if line is self.bind else self._sockets[line]
        return ""


def _reads_a_file(line: ConfigLine) -> bool:
    return bool(_FILE_WORDS & set(line.tokens)) or _FILES.search(line.text) is not None


def _tables_of(line: ConfigLine) -> set[str]:
    """Before a slash in its words: where a table may be one of a `peers` section."""
    return set(re.findall(r"(?:^|[\s(,])([\w.-]+)/[\w.-]+", line.text))


def _without(tokens: Sequence[str], gone: Mapping[str, int]) -> list[str]:
    """The words without some of them and what follows each."""
    return list(_left(tokens, gone))


def _left(tokens: Sequence[str], gone: Mapping[str, int]) -> Iterator[str]:
    rest = list(tokens)
    while rest:
        token = rest.pop(0)
        if token in gone:
            del rest[: gone[token]]
        else:
            yield token


def _put(line: ConfigLine, tokens: Sequence[str]) -> str:
    return line.indent + " ".join(tokens)
