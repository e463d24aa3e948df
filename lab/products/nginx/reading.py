"""Reads a user's nginx files into one tree: includes are put in place, templates get their values.

What stands here finds the included files, which lie elsewhere on the user's own machine than on the one that they were
written for, and refuses what nginx would refuse and crossplane would not.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import crossplane

from lab.errors import BadInput
from lab.files import read_whole
from lab.products.adapted import Replacement, Spot
from lab.products.nginx.tree import Statement, Tree
from lab.products.values import values_for
from lab.shipped import shipped

_LUA = crossplane.ext.lua.LuaBlockPlugin()
_LUA.directives = {
    f"{phase}_by_lua_block": []
    for phase in ("server_rewrite", "precontent", "exit_worker", "ssl_client_hello", "proxy_ssl_certificate")
}
_LUA.register_extension()
# Newer ones of OpenResty than crossplane knows: what their braces hold is no configuration.

MOST_BYTES = 2 * 2**20
"""Of one file; nobody writes a larger one by hand."""

MOST_FILES = 2000
"""That are read, one that is included twice counting as two."""

_CONTROL = re.compile(r"[\x01-\x08\x0e-\x1a\x1c-\x1f\x7f]")

_DEEPEST = 20
"""Files that include one another, before it is a loop."""


def read_tree(path: Path) -> Tree:
    """Read a file, or `nginx.conf` of a folder, with all that it includes; a part is made a whole configuration.

    Raises:
        BadInput: it cannot be read, or is no configuration of nginx's; names file and line.
    """
    main = (path / "nginx.conf" if path.is_dir() else path).absolute()
    if path.is_dir() and not main.exists():
        others = ", ".join(sorted(each.name for each in path.glob("*.conf"))) or "none of .conf"
        raise BadInput(f"{path}: there is no nginx.conf in that folder.", f"Give one of its files: {others}.")
    reading = _FileReader(main.parent, values_for(main.parent))
    top = Statement("", [], main, block=[])
    top.block = list(reading.read(main, top, 0))
    if reading.unfinished and any(True for _ in top.below("server", "location")):
        raise BadInput(
            f'{reading.unfinished[0]}: unexpected "}}"', "There is no semicolon before it: nginx refuses that."
        )
    missing = "http" not in {each.name for each in top.block} or any(True for _ in top.below("include"))
    return Tree(_whole(top), tuple(reading.replaced), missing)


def _whole(top: Statement) -> Statement:
    """The top, with what a part of a configuration lacks around it."""
    names = {each.name for each in top.block or ()}
    if "http" not in names:
        if "server" not in names and "location" in names:
            _wrap(top, "server", {"upstream", "map", "log_format", "limit_req_zone", "limit_conn_zone", "geo"})
        _wrap(top, "http", {"events", "user", "pid", "worker_processes", "error_log", "load_module", "stream"})
    if "events" not in {each.name for each in top.block or ()}:
        top.block = [Statement("events", [], top.file, block=[], parent=top), *(top.block or [])]
    return top


def _wrap(top: Statement, name: str, outside: set[str]) -> None:
    """Put all but a few of the main context into one block."""
    inner = Statement(name, [], top.file, block=[], parent=top)
    inner.block = [each for each in top.block or () if each.name not in outside]
    for each in inner.block:
        each.parent = inner
    top.block = [*(each for each in top.block or () if each.name in outside), inner]


@dataclass
class _FileReader:
    """Reads files with all that they include.

    Args:
        root: the folder of the main file.
        values: of the names that a template may have.
        replaced: what is not as the files have it.
        files: how many were read.
        unfinished: where a semicolon is missing before a brace.
    """

    root: Path
    values: Mapping[str, str]
    replaced: list[Replacement] = field(default_factory=list)
    files: int = 0
    unfinished: list[str] = field(default_factory=list)

    def read(self, file: Path, parent: Statement, depth: int) -> Iterator[Statement]:
        self.files += 1
        if self.files > MOST_FILES:
            remedy = "Give the file that the model is asked through; see --path."
            raise BadInput(f"{self.root}: more than {MOST_FILES:,} files are included.", remedy)
        with self._filled(file) as path:
            items, places = _parse(file, path), [*_unfinished(file, path)]
        self.unfinished += places
        for item in items:
            yield from self._made(item, file, parent, depth)

    @contextmanager
    def _filled(self, file: Path) -> Iterator[Path]:
        """A file with what stands for whole lines of a template, as `${HTTPS_CONFIG}` alone on one, put in."""
        text = _text_of(file)
        lines = text.split("\n")
        for number, line in enumerate(lines, 1):
            if (alone := _TEMPLATE.fullmatch(line.strip())) is not None:
                inside = self.values.get(alone[1], "").splitlines()
                lines[number - 1] = " ".join(each for each in inside if not each.lstrip().startswith("#"))
                now = "with its value" if inside else ""
                self.replaced.append(Replacement(Spot(file, number, alone[0]), now, "a template's name"))
        if lines == text.split("\n"):
            yield file
            return
        with tempfile.NamedTemporaryFile("w", suffix=".conf", encoding="utf-8") as copy:
            copy.write("\n".join(lines))
            copy.flush()
            yield Path(copy.name)

    def _made(self, item: dict[str, Any], file: Path, parent: Statement, depth: int) -> Iterator[Statement]:
        found = Statement(item["directive"], list(item["args"]), file, item["line"], parent=parent)
        if len(found.args) < _LEAST.get(found.name, 0):
            raise BadInput(f"{file}:{found.line}: `{found.name}` has too few words.", "Correct it: nginx refuses it.")
        if found.name == "include":
            files = _included(found.args[0], file, self.root)
            if not files and (own := _snippet(found.args[0])) is not None:
                self.replaced.append(Replacement(found.spot, own.name, "the lab's own snippet of that name"))
                files = [own]
            elif not files and not any(letter in found.args[0] for letter in "*?["):
                # It is left out of the copy, and `lab check` says what it does not know.
                yield found
            if depth == _DEEPEST:
                remedy = "Take one of the includes out."
                raise BadInput(f"{found.spot} leads back to {file.name}, by whatever way.", remedy)
            for each in files:
                yield from self.read(each, parent, depth + 1)
            return
        if found.name == "location" and len(found.args) == 1:
            # nginx takes `=/path` and `~^/path` for two words.
            found.args = [word for word in _MODIFIER.fullmatch(found.args[0]).groups() if word]  # type: ignore[union-attr]
        if found.name in _ADDRESSES:
            # Crossplane takes what follows `${NAME} ` for the same word.
            found.args = [word for arg in found.args for word in re.split(r"(?<=\})\s", arg)]
        if "block" in item:
            found.block = []
            # A semicolon that is missing makes a block of what never is one.
            if refusal := found.refusal():
                raise BadInput(refusal, "Correct it: nginx refuses it.")
        if found.name == "proxy_pass" and (refusal := found.refusal()):
            raise BadInput(refusal, "Correct it: nginx refuses it. Is a semicolon missing?")
        self._fill(found)
        for each in item.get("block", ()):
            found.block = [*(found.block or []), *self._made(each, file, found, depth)]
        yield found

    def _fill(self, found: Statement) -> None:
        """Put the values of a template in; a name without one may stand only where the lab puts its own address."""
        names = {name for arg in found.args for name in _TEMPLATE.findall(arg)}
        if not names or found.name.endswith("_by_lua_block"):
            return
        unknown = sorted(names - set(self.values))
        if unknown and found.name not in _ADDRESSES:
            raise BadInput(
                f"{found.file}:{found.line}: ${{{unknown[0]}}} is a template's name, and has no value here.",
                f"Set {unknown[0]} in the environment or in {self.root / '.env'}, or give the file that is made of it.",
            )
        before = found.spot
        found.args = [_TEMPLATE.sub(lambda name: self.values.get(name[1], name[0]), arg) for arg in found.args]
        if found.spot != before:
            self.replaced.append(Replacement(before, "with its value", "a template's name"))


_LEAST = {
    **dict.fromkeys(
        [
            "include",
            "listen",
            "location",
            "upstream",
            "proxy_pass",
            "auth_request",
            "resolver",
            "access_log",
            "error_log",
        ],
        1,
    ),
    **dict.fromkeys(["grpc_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "memcached_pass", "proxy_cache_path"], 1),
    "rewrite": 2,
}
"""How many words must follow those whose words are looked at."""

_MODIFIER = re.compile(r"(\^~|~\*|~|=)?(.*)", re.DOTALL)

_TEMPLATE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")
"""A name that `envsubst` puts a value for; nginx's own variables are written small."""

_ADDRESSES = frozenset(
    {"listen", "server", "server_name", "proxy_pass", "resolver", "ssl_certificate", "ssl_certificate_key"}
)


def _text_of(file: Path) -> str:
    try:
        # nginx minds no encoding: comments may be in any.
        text = read_whole(file, MOST_BYTES).decode(errors="replace")
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror or error}", "Give a configuration that can be read.") from error
    if "\0" in text:
        raise BadInput(f"{file} is no text: there are bytes in it that are 0.", "Give a configuration of nginx's.")
    if _CONTROL.search(text):
        raise BadInput(f"{file} is no text: there are control characters in it.", "Give a configuration of nginx's.")
    if text.startswith("\ufeff"):
        raise BadInput(f"{file}:1: begins with a byte order mark, which nginx refuses.", "Save it without one.")
    return text


def _parse(file: Path, path: Path) -> Sequence[dict[str, Any]]:
    """What stands in a file, as it is at a path."""
    # Where a directive may stand, and with how many words, nginx itself says, of the version that runs it.
    parsed = crossplane.parse(str(path), single=True, strict=False, check_ctx=False, check_args=False)
    for each in parsed["errors"]:
        words = str(each["error"]).removesuffix(f" in {path}:{each['line']}")
        where = f"{file}:{each['line']}: {words}" if each["line"] else f"{file} is no configuration of nginx's."
        raise BadInput(where, "Correct it, or say whose file it is.")
    found: Sequence[dict[str, Any]] = parsed["config"][0]["parsed"]
    return found


def _unfinished(file: Path, path: Path) -> Iterator[str]:
    """Where a brace closes a block amid a directive, which crossplane takes for its end, and nginx refuses."""
    last = ";"
    for token, line, quoted in crossplane.lexer.lex(str(path)):
        if token == "}" and not quoted and last not in (";", "{", "}"):
            yield f"{file}:{line}"
        if quoted or not token.startswith("#"):
            last = "a word" if quoted else token


def _included(pattern: str, file: Path, root: Path) -> list[Path]:
    """The files of an include: below the main file's folder by ever less of its path, or as it is written."""
    parts = Path(pattern).parts
    # The main file's folder itself is not searched with a pattern: it would find the main file.
    last = len(parts) - (1 if any(letter in parts[-1] for letter in "*?[") else 0)
    # Of `conf.d/default.conf`, given by itself, the folder above is the one that nginx starts from.
    places = [] if Path(pattern).is_absolute() else [each / pattern for each in (root, file.parent, root.parent)]
    places += [folder.joinpath(*parts[start:]) for folder in (root, root.parent) for start in range(1, last)]
    # What stands beside the main file is the user's; this machine may have an nginx of its own.
    places += [Path(pattern)] if Path(pattern).is_absolute() else []
    # The files of a container are often made of templates, each beside the name that it will have.
    for place in [one for each in places for one in (each, each.with_name(f"{each.name}.template"))]:
        found = sorted(each for each in Path(place.anchor).glob(str(place.relative_to(place.anchor))) if each.is_file())
        if found:
            return found
    return []


def _snippet(pattern: str) -> Path | None:
    """The lab's own snippet of that name, where a file includes it as the snippets say; None if it is none of them."""
    path = Path(pattern)
    own = shipped("nginx") / path.name
    return own if path.parent.name == "snippets" and path.suffix == ".conf" and own.is_file() else None
