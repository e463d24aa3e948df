"""Renews what is fetched from elsewhere and held to its contents: images, packages, and the actions of the workflows.

    python tools/renew_pins.py [images] [packages] [actions]

Run it where a container engine, PyPI, the npm registry and GitHub can be reached; it needs `uv`, `npm` and `git`.
Read what it has changed (`git diff`), run the tests, and commit it. What it cannot reach stays as it was and is told;
the exit code is then 3. Versions that a person chooses stay theirs: the tags in the folders of the products, the pins
of the clients' environments, `package.json`, the `.in` files, and the major versions of the actions.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.clients.environments import NPM_FILES, Environment
from lab.clients.table import CLIENTS
from lab.errors import EnvironmentFault, ExitCode
from lab.testbed import _pins, engine
from lab.testbed._commands import run
from lab.testbed._faults import engine_faults
from lab.testbed._owner import temporary_folder
from lab.testbed.builders import PYTHON
from lab.testbed.images import MODEL, TABLE

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "Dockerfile"
PRODUCTS_FOLDER = ROOT / "lab" / "products"
WORKFLOWS = ROOT / ".github" / "workflows"

_OLDEST_PYTHON = "3.11"
"""Of those that the clients are installed with."""
_BASE = re.compile(r"(?m)^ARG BASE=.*$")
_USES = re.compile(r"uses: (?P<action>[\w.-]+/[\w.-]+)@[0-9a-f]{40} # (?P<major>v\d+)\S*")
_TAG = re.compile(
    r"(?P<commit>[0-9a-f]{40})\s+refs/tags/(?P<tag>(?P<major>v\d+)\.(?P<minor>\d+)\.(?P<patch>\d+))(\^\{\})?$"
)


def renew_images() -> None:
    """Ask the registry for the digest of each official image, through the engine."""
    digests: dict[str, str] = json.loads(_pins.IMAGES.read_text())
    references = sorted({image.reference for image in TABLE.values()} - {""})
    client = engine.connect()
    try:
        for reference in references:
            with kept(reference), engine_faults(f"asking the registry for {reference}"):
                digests[reference] = str(client.images.get_registry_data(reference).id)
    finally:
        client.close()
    known = {each: digests[each] for each in references if each in digests}
    _pins.IMAGES.write_text(json.dumps(known, indent=2) + "\n")
    DOCKERFILE.write_text(_BASE.sub(f"ARG BASE={TABLE[MODEL].pinned}", DOCKERFILE.read_text()))


def renew_packages() -> None:
    """Resolve each set of packages anew and write down the hashes of all their files."""
    for source in sorted([*_pins.FOLDER.glob("*.in"), *PRODUCTS_FOLDER.glob("*/*.in")]):
        # For the image's python; which processor makes no difference, since every file's hash is noted.
        target = ["--python-version", PYTHON, "--python-platform", "x86_64-manylinux_2_40", "--only-binary", ":all:"]
        with kept(source.name):
            _compile(source, source.with_suffix(".txt"), target)
    for environment in environments():
        with kept(environment.lock.name), temporary_folder() as folder:
            source = folder / f"{environment.name}.in"
            source.write_text("\n".join(environment.pins))
            _compile(source, environment.lock, ["--universal", "--python-version", _OLDEST_PYTHON])
    with kept(NPM_FILES[1].name):
        # Without the addresses of whatever registry is asked here.
        plain = ["--omit-lockfile-registry-resolved", "--ignore-scripts", "--no-audit", "--no-fund"]
        words = ["npm", "update", "--package-lock-only", *plain, "--prefix", str(NPM_FILES[0].parent)]
        run(words, "resolving the npm packages", "Install npm, and let it reach a registry.")


def environments() -> list[Environment]:
    """The clients' environments that pip makes."""
    found = {client.environment for client in CLIENTS if client.environment is not None}
    return sorted((each for each in found if each.pins), key=lambda each: each.name)


def renew_actions() -> None:
    """Hold each action of the workflows to the commit of the newest release of its major version."""
    for file in sorted(WORKFLOWS.glob("*.yml")):
        with kept(file.name):
            file.write_text(_USES.sub(_newest, file.read_text()))


def _newest(match: re.Match[str]) -> str:
    address = f"https://github.com/{match['action']}"
    told = run(["git", "ls-remote", "--tags", address], f"asking {address} for its tags", "Can GitHub be reached?")
    tag, commit = newest_of(told.splitlines(), match["major"])
    return f"uses: {match['action']}@{commit} # {tag}"


def newest_of(lines: Iterable[str], major: str) -> tuple[str, str]:
    """The newest tag of a major version in what `git ls-remote --tags` says, and its commit. Pure.

    Raises:
        EnvironmentFault: there is none.
    """
    found: dict[tuple[int, int], tuple[str, str]] = {}
    for line in lines:
        match = _TAG.match(line)
        # An annotated tag comes twice, the second time with the commit that it stands for.
        if match and match["major"] == major:
            found[int(match["minor"]), int(match["patch"])] = (match["tag"], match["commit"])
    if not found:
        raise EnvironmentFault(f"There is no release of {major}.", "Choose another major version in the workflow.")
    return found[max(found)]


def _compile(source: Path, lock: Path, target: list[str]) -> None:
    plain = ["--quiet", "--no-header", "--no-annotate", "--generate-hashes", "--upgrade"]
    words = ["uv", "pip", "compile", *plain, *target, str(source), "--output-file", str(lock)]
    run(words, f"resolving {source.name}", "Install uv (pip install uv), and let it reach an index.")


_failed: list[str] = []


@contextmanager
def kept(what: str) -> Iterator[None]:
    """Leave something as it is, and say so, where it cannot be renewed."""
    try:
        yield
    except EnvironmentFault as fault:
        _failed.append(what)
        sys.stderr.write(f"{what} stays as it is: {fault}\n")


PARTS: dict[str, Callable[[], None]] = {
    "images": renew_images,
    "packages": renew_packages,
    "actions": renew_actions,
}


def main(wanted: list[str]) -> int:
    """Renew the parts that are named, all if none is; returns the exit code."""
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        sys.stderr.write(f"There is no {unknown[0]!r}; choose from {', '.join(PARTS)}.\n")
        return ExitCode.BAD_INPUT
    for name in wanted or PARTS:
        with kept(name):
            PARTS[name]()
    return ExitCode.NO_ENVIRONMENT if _failed else ExitCode.AS_REQUIRED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
