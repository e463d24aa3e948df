"""Which files make up a configuration of Traefik's: the static one, and the dynamic ones that it names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.errors import BadInput
from lab.products.traefik.source import SUFFIXES, Keys, TraefikSource, read_source

_STATIC = frozenset(
    [
        "accesslog",
        "api",
        "certificatesresolvers",
        "core",
        "entrypoints",
        "experimental",
        "global",
        "hostresolver",
        "hub",
        "log",
        "metrics",
        "ocsp",
        "ping",
        "pilot",
        "providers",
        "serverstransport",
        "spiffe",
        "tcpserverstransport",
        "tracing",
    ]
)
_DYNAMIC = frozenset({"http", "tcp", "udp", "tls"})
"""Keys at the top of a file, which tell what it is."""

_BY_HAND = (
    "Write the entry points into traefik.yml, with `providers: {file: {directory: dynamic}}`, and each label "
    "`traefik.http.routers.chat.rule=...` into a file of that folder as `http: {routers: {chat: {rule: ...}}}`."
)


@dataclass(frozen=True)
class TraefikFiles:
    """A configuration.

    Args:
        main: the file that Traefik starts with, or the only one that is given.
        static: the file that Traefik starts with; None where only dynamic ones are given.
        dynamic: the others, in their order.
    """

    main: Path
    static: TraefikSource | None
    dynamic: tuple[TraefikSource, ...]

    @property
    def all(self) -> tuple[TraefikSource, ...]:
        """Every file."""
        return tuple(dict.fromkeys((*([self.static] if self.static else ()), *self.dynamic)))


def at(node: Any, *names: str) -> Any:
    """What stands at a path of keys, whatever their case; None where nothing does."""
    for name in names:
        key = key_in(node, name)
        node = node[key] if key is not None else None
    return node


def mapping_at(node: Any, *names: str) -> dict[str, Any]:
    """The same where it is a mapping; an empty one where it is none."""
    found = at(node, *names)
    return found if isinstance(found, dict) else {}


def list_at(node: Any, *names: str) -> list[Any]:
    """The same where it is a list; a text is one member, as Traefik has it."""
    found = at(node, *names)
    if isinstance(found, str):
        return [each.strip() for each in found.split(",")]
    return found if isinstance(found, list) else []


def key_in(node: Any, name: str) -> str | None:
    """The key of a mapping as it is written there; None where there is none."""
    return next((key for key in node if key.lower() == name.lower()), None) if isinstance(node, dict) else None


def keys_at(node: Any, *names: str) -> Keys:
    """Keys as they are written there; those that are not there as they are given."""
    found: Keys = ()
    for name in names:
        key = key_in(node, name) or name
        found, node = (*found, key), node.get(key) if isinstance(node, dict) else None
    return found


def read_files(path: Path) -> TraefikFiles:
    """Read a file with those that it names, or a folder.

    Raises:
        BadInput: one cannot be read, or is none of Traefik's; names file and line.
    """
    if not path.is_dir():
        source = read_source(path.absolute())
        return _of_static(source, ()) if _is_static(source) else TraefikFiles(source.file, None, (source,))
    found = [read_source(file.absolute()) for file in _files_of(path)]
    static = [each for each in found if _is_static(each)]
    if len(static) > 1:
        names = ", ".join(each.file.name for each in static)
        raise BadInput(f"{path} has {len(static)} files that Traefik may start with: {names}.", "Give the one.")
    others = tuple(each for each in found if each not in static)
    if static:
        return _of_static(static[0], others)
    if not others:
        raise BadInput(f"{path} has no file of Traefik's.", "Give traefik.yml, or a file with routers and services.")
    return TraefikFiles(others[0].file, None, others)


def _files_of(folder: Path) -> Iterator[Path]:
    named = [folder / f"traefik{suffix}" for suffix in SUFFIXES if (folder / f"traefik{suffix}").is_file()]
    # What else lies beside it is read where it is named.
    yield from named or sorted(each for each in folder.iterdir() if each.suffix in SUFFIXES and each.is_file())


def _is_static(source: TraefikSource) -> bool:
    """Whether Traefik starts with a file.

    Raises:
        BadInput: it is neither that nor a dynamic one.
    """
    keys = {key.lower() for key in source.data}
    if "services" in keys and not keys & (_STATIC | _DYNAMIC):
        said = f"{source.file} is a compose file: its labels and the flags of its command are not read."
        raise BadInput(said, _BY_HAND)
    if {"kind", "apiversion"} <= keys:
        raise BadInput(f"{source.file} is a manifest of Kubernetes: those are not read.", _BY_HAND)
    if not keys & (_STATIC | _DYNAMIC):
        raise BadInput(f"{source.file} has no entryPoints and no http: it is none of Traefik's.", "Say whose it is.")
    if (both := keys & _DYNAMIC) and keys & _STATIC and "${PORT}" not in source.text:
        spot = source.spot(next(key for key in source.data if key.lower() in both))
        said = f"{spot}: Traefik refuses this in the file that has entryPoints or providers."
        raise BadInput(said, "Write it into a file of its own, and name that under providers.file.")
    return bool(keys & _STATIC)


def _of_static(static: TraefikSource, beside: tuple[TraefikSource, ...]) -> TraefikFiles:
    if key_in(static.data, "http"):
        # The lab's own configurations are one file each: see `lab.products.traefik`.
        return TraefikFiles(static.file, static, (static,))
    provider = mapping_at(static.data, "providers", "file")
    for name in ("filename", "directory"):
        value = at(provider, name)
        if isinstance(value, str) and value:
            spot = static.spot(*keys_at(static.data, "providers", "file", name))
            place = _here(value, static.file, directory=name == "directory")
            if place is None:
                remedy = "Put it beside the file, as it lies where Traefik runs."
                raise BadInput(f"{spot}: there is no {value} here.", remedy)
            return TraefikFiles(static.file, static, tuple(_dynamic(place, static)))
    dynamic = tuple(each for each in beside if not _is_static(each)) or tuple(_beside(static))
    if not dynamic:
        said = f"{static.file} names no file with routers: it has no providers.file."
        others = ", ".join(each for each in mapping_at(static.data, "providers") if each.lower() != "file")
        remedy = f"What comes from {others} is not read. {_BY_HAND}" if others else "Give the file with the routers."
        raise BadInput(said, remedy)
    return TraefikFiles(static.file, static, dynamic)


def _here(value: str, static: Path, *, directory: bool) -> Path | None:
    """Where a path of the user's system is here: as it is, or by its last parts beside the static file."""
    parts = [each for each in Path(value).parts if each not in ("/", ".")]
    places = [Path(value)] if Path(value).is_absolute() else []
    places += [static.parent.joinpath(*parts[number:]) for number in range(len(parts) + (1 if directory else 0))]
    return next((each for each in places if (each.is_dir() if directory else each.is_file())), None)


def _dynamic(place: Path, static: TraefikSource) -> Iterator[TraefikSource]:
    files = sorted(each for each in place.rglob("*") if each.suffix in SUFFIXES) if place.is_dir() else [place]
    for file in files:
        if file.absolute() != static.file:
            source = read_source(file.absolute())
            if _is_static(source):
                spot = source.spot(next(key for key in source.data if key.lower() in _STATIC))
                raise BadInput(f"{spot}: Traefik knows this in the file that it starts with only.", "Move it there.")
            yield source


def _beside(static: TraefikSource) -> Iterator[TraefikSource]:
    """Dynamic files in the folder of a static one that names none."""
    for file in sorted(static.file.parent.iterdir()):
        if file.suffix in SUFFIXES and file.is_file() and file != static.file:
            source = read_source(file)
            if {key.lower() for key in source.data} & _DYNAMIC:
                yield source
