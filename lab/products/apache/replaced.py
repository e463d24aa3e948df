"""What a line of a user's Apache configuration is in the copy that the lab runs. Pure.

The server that is asked listens at `${PORT}` on every address. One that others of the file ask, the second of two
tiers, has an address of this machine of its own at the same port, for Apache listens on no socket in a folder.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from lab.products.adapted import Replacement
from lab.products.apache.modules import FOR_A_PART, ITS_OWN, LOADED_APART, OF_OTHERS, module_name
from lab.products.apache.rewriting import flags_of
from lab.products.apache.routes import ApacheServer, ProxyTarget, inner_servers, ports_that_serve
from lab.products.apache.tree import ApacheFile, ApacheLine

_STARTED = "the lab starts it, in the foreground"
_AT_ONCE = "the suite asks many things at once"
_LET_IN = "who may ask is not asked"
_NO_FILE = "no such file is here"
_NO_HOST = "no such host or program is here"
_NO_TLS = "the model server speaks no TLS"
_NO_AUTHORITY = "the lab has no certificate of that authority"
_MODEL = "in the place of the model"
_LISTENS = "the lab chooses where it listens"


def _table(reasons: Mapping[str, str]) -> dict[str, str]:
    return {name: why for why, names in reasons.items() for name in names.split()}


_LEFT_OUT = _table(
    {
        _STARTED: (
            "user group pidfile serverroot defaultruntimedir mutex lockfile acceptmutex scoreboardfile chrootdir "
            "coredumpdirectory suexecusergroup listenbacklog listencoresbucketsratio"
        ),
        _AT_ONCE: (
            "startservers minspareservers maxspareservers minsparethreads maxsparethreads serverlimit threadlimit "
            "threadsperchild maxrequestworkers maxclients maxrequestsperchild maxconnectionsperchild maxmemfree "
            "threadstacksize asyncrequestworkerfactor"
        ),
        _LET_IN: "satisfy order allow deny remoteipproxyprotocol",
        _NO_FILE: (
            "typesconfig mimemagicfile loadfile scriptlog forensiclog remoteiptrustedproxylist "
            "remoteipinternalproxylist sslcertificatechainfile sslopensslconfcmd sslsessionticketkeyfile "
            "sslpassphrasedialog sslsessioncache "
            "sslusestapling sslstaplingcache sslstaplingrespondertimeout sslstaplingreturnrespondererrors "
            "sslcryptodevice cachelockpath"
        ),
        _NO_AUTHORITY: (
            "sslverifyclient sslverifydepth sslcacertificatefile sslcacertificatepath sslcadnrequestfile "
            "sslcadnrequestpath sslcarevocationfile sslcarevocationpath sslcarevocationcheck sslocspenable "
            "sslstrictsnivhostcheck"
        ),
        _NO_TLS: (
            "sslproxycacertificatefile sslproxycacertificatepath sslproxycarevocationfile sslproxycarevocationpath "
            "sslproxycarevocationcheck sslproxymachinecertificatefile sslproxymachinecertificatepath "
            "sslproxymachinecertificatechainfile"
        ),
        _NO_HOST: "proxyremote proxyremotematch noproxy proxysourceaddress",
    }
)
"""None of these bears on how a reply is handed on."""

_LOGS = {
    "errorlog": "/dev/stderr",
    "customlog": "/dev/stdout",
    "transferlog": "/dev/stdout",
    "globallog": "/dev/stdout",
}
_CERTIFICATES = ("sslcertificatefile", "sslcertificatekeyfile")
_OF_MEMBERS = re.compile(r"(?:hc\w+|max|smax|hmax|acquire)=.*", re.IGNORECASE)
"""Words behind an address: checks of its health, and how many may ask at once."""

_PREAMBLE = """\
Define TOKEN_STREAM_LAB_MODULES /usr/local/apache2/modules
<IfFile /usr/lib/apache2/modules>
Define TOKEN_STREAM_LAB_MODULES /usr/lib/apache2/modules
</IfFile>
User nobody
Group nogroup
ErrorLog /dev/stderr
""".splitlines()
"""Debian and the official image keep the modules in different folders."""

_LAST = """\
<IfModule mime_module>
TypesConfig /dev/null
</IfModule>
<IfModule !mpm_prefork_module>
MaxSpareThreads 150
</IfModule>
StartServers 2
MaxRequestWorkers 150
""".splitlines()
"""What mod_mime does not start without, and as many workers as Debian has."""


@dataclass(frozen=True)
class InCopy:
    """What a line is in the copy.

    Args:
        now: the line; empty where it is left out, with what it holds.
        why: in a few words.
    """

    now: str
    why: str


@dataclass(frozen=True)
class ApacheCopy:
    """One configuration as the lab runs it.

    Args:
        file: the configuration.
        asked: the section of the server that is asked.
        unknown: directives and modules that the product does not know, in small letters.
        untold: rules of which cannot be told whether they turn a request away.
    """

    file: ApacheFile
    asked: ApacheLine
    unknown: Collection[str]
    untold: Collection[ApacheLine]

    def written(self) -> Iterator[tuple[ApacheLine | None, str]]:
        """The lines of the copy, each with the user's own; None of what the lab put in."""
        yield from ((None, each) for each in (*_PREAMBLE, *self._modules()))
        if not self.file.top.own("listen"):
            yield None, "Listen ${PORT}"
        for each in self.file.top.block or ():
            yield from self._of(each, 0)
        yield from ((None, each) for each in _LAST)

    def replacements(self) -> Iterator[Replacement]:
        """What it has otherwise than the user's files."""
        found = {
            each.spot: Replacement(each.spot, instead.now, instead.why)
            for each in self.file.top.below()
            if all(level.holds and not self._gone(level) for level in each.upward() if level is not each)
            and (instead := self.instead(each)) is not None
        }
        yield from (each for each in self.file.replaced if each.spot not in found)
        if self.file.is_part:
            first = next(iter(self.file.top.block or ()), self.file.top)
            yield Replacement(first.spot, "Apache's modules loaded before it", "a part that loads none")
        yield from found.values()

    def _of(self, line: ApacheLine, depth: int) -> Iterator[tuple[ApacheLine | None, str]]:
        instead, indent = self.instead(line), "    " * depth
        if instead is not None and not instead.now:
            return
        yield line, indent + (line.text if instead is None else instead.now)
        if line.block is None:
            return
        if line is self.asked and self._lacks_certificate:
            yield None, f"{indent}    SSLCertificateFile ${{CERTIFICATE}}"
        for each in line.block:
            yield from self._of(each, depth + 1)
        yield line, f"{indent}</{line.word(0)}>"

    def _gone(self, line: ApacheLine) -> bool:
        instead = self.instead(line)
        return instead is not None and not instead.now

    def _modules(self) -> Iterator[str]:
        for each in LOADED_APART:
            yield f"<IfModule !{each}_module>"
            yield _load(each)
            yield "</IfModule>"
        if not any(each.startswith("mpm_") for each in self.file.modules):
            yield _load("mpm_event")
        if self.file.is_part:
            for each in FOR_A_PART:
                yield f"<IfFile ${{TOKEN_STREAM_LAB_MODULES}}/mod_{each}.so>"
                yield _load(each)
                yield "</IfFile>"

    def instead(self, line: ApacheLine) -> InCopy | None:
        """What stands in the copy in the place of a line; None where it stays."""
        if not line.words or line is self.file.top:
            return None
        now, why = self._what(line) or (line.text, "")
        return None if not why or now == line.text else InCopy(now, why)

    def _what(self, line: ApacheLine) -> tuple[str, str] | None:
        name = line.name
        if name in self.unknown or OF_OTHERS.match(name):
            return "", "this Apache does not know it"
        if line in self.untold:
            return "", "whether it applies cannot be told, and the lab asks the way without it"
        if line.block is not None:
            return self._section(line)
        if name in _LEFT_OUT:
            return "", _LEFT_OUT[name]
        if name.startswith("auth") and name != "authmerging":
            return "", _LET_IN
        match name:
            case "require" if line.word(1).lower() != "all":
                return "Require all granted", _LET_IN
            case "listen":
                return self._listen(line)
            case "loadmodule":
                return self._module(line)
            case "rewritemap" if line.word(2) and not line.word(2).startswith("int:"):
                return f"RewriteMap {line.tokens[1]} int:tolower", _NO_FILE
            case "cacheroot":
                return "CacheRoot /tmp/token-stream-lab-${PORT}", "a folder of this machine"
            case _ if name in _LOGS:
                return " ".join([line.tokens[0], _LOGS[name], *line.tokens[2:]]), "its log is read there"
            case _ if name in _CERTIFICATES or name == "sslengine":
                return self._certificate(line)
        return self._address(line)

    def _section(self, line: ApacheLine) -> tuple[str, str] | None:
        match line.name:
            case "requirenone":
                return "", _LET_IN
            case "virtualhost":
                return self._site(line)
            case "proxy" if (target := ProxyTarget.read(line.word(1))) is not None and target.scheme != "balancer":
                return f"<Proxy {self._target(line.word(1))}>", _MODEL
        return None

    def _site(self, line: ApacheLine) -> tuple[str, str]:
        if line is self.asked:
            return f"<{line.tokens[0]} *:${{PORT}}>", _LISTENS
        if line in self._inner:
            return f"<{line.tokens[0]} {self._inner[line]}:${{PORT}}>", _LISTENS
        return "", "the lab asks another"

    def _listen(self, line: ApacheLine) -> tuple[str, str]:
        if line in self.file.top.own("listen")[:1]:
            return "Listen ${PORT}", _LISTENS
        return "", "the lab asks on one address"

    def _module(self, line: ApacheLine) -> tuple[str, str]:
        name = module_name(line.word(1))
        if name in LOADED_APART:
            return "", "the lab loads it where it is not built in"
        if name not in ITS_OWN or name in self.unknown:
            return "", "no such module is here"
        return _load(name), "the lab's image has it there"

    def _certificate(self, line: ApacheLine) -> tuple[str, str] | None:
        server = next((each for each in line.upward() if each.name == "virtualhost"), self.file.top)
        if server in self._inner and server is not self.asked:
            return "", "the tiers of the copy speak no TLS to one another"
        if line.name == "sslengine":
            return None
        if not self._server(self.asked).secure:
            return "", "the lab asks in clear text"
        if line is not server.own(line.name)[0]:
            return "", "the lab makes one certificate"
        return f"{line.tokens[0]} ${{CERTIFICATE}}", "the lab makes a certificate"

    def _address(self, line: ApacheLine) -> tuple[str, str] | None:
        """Whom it asks."""
        name, tokens = line.name, line.tokens
        if name in ("proxypass", "proxypassmatch", "balancermember"):
            # In a location the path is left out.
            number = next((each for each in (1, 2) if ProxyTarget.read(line.word(each)) is not None), 0)
            if not number:
                return None
            rest = [each for each in tokens[number + 1 :] if not _OF_MEMBERS.fullmatch(each)]
            return " ".join([*tokens[:number], self._target(line.word(number)), *rest]), _MODEL
        if name == "proxyset":
            kept = [each for each in tokens if not _OF_MEMBERS.fullmatch(each)]
            return (" ".join(kept) if len(kept) > 1 else ""), _AT_ONCE
        if name == "rewriterule" and "P" in flags_of(line):
            return " ".join([*tokens[:2], self._target(line.word(2)), *tokens[3:]]), _MODEL
        if name == "sethandler" and line.word(1).startswith("proxy:"):
            return f"{tokens[0]} {_quoted('proxy:' + self._target(line.word(1)[len('proxy:') :]))}", _MODEL
        return None

    def _target(self, text: str) -> str:
        """What an address of the user's is in the copy."""
        target = ProxyTarget.read(text)
        if target is None or target.scheme == "balancer":
            return _quoted(text)
        inner = self._tier_at(target.port) if target.port else ""
        scheme = "http" if target.is_http else target.scheme
        where = f"{inner}:${{PORT}}" if inner else "${MODEL}"
        return _quoted(f"{scheme}://{where}{target.rest}")

    @cached_property
    def _inner(self) -> dict[ApacheLine, str]:
        """The addresses of the sections that others of the file ask; those of one port have one."""
        asked = inner_servers(self.file) - {self.file.top, self.asked}
        ports = {each: ports_that_serve(self._server(each), self.file) for each in asked}
        every = sorted({port for some in ports.values() for port in some})
        return {line: f"127.0.0.{every.index(some[0]) + 2}" for line, some in ports.items()}

    def _tier_at(self, port: str) -> str:
        """The address in the copy of the section that listens on a port; empty where none of those does."""
        found = [
            where for line, where in self._inner.items() if port in ports_that_serve(self._server(line), self.file)
        ]
        return found[0] if found else ""

    @cached_property
    def _lacks_certificate(self) -> bool:
        server = self._server(self.asked)
        return server.secure and server.setting("sslcertificatefile") is None

    def _server(self, line: ApacheLine) -> ApacheServer:
        return ApacheServer(line, self.file.top)


def _load(module: str) -> str:
    return f"LoadModule {module}_module ${{TOKEN_STREAM_LAB_MODULES}}/mod_{module}.so"


def _quoted(text: str) -> str:
    return f'"{text}"' if re.search(r"\s", text) else text
