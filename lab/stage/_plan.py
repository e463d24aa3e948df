"""What goes into which container, worked out before anything is started. Pure but for reading files.

One container for each proxy, one process in it for each configuration. A process is named after its
port, which is all that goes through shell and log; the key that callers use stays outside.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.errors import BadInput
from lab.proxies import Proxy
from lab.stage import config
from lab.stage.supervisor import Program, script

ROOT = "/opt/token-stream-lab"
"""The lab's folder inside every container."""
FIRST_PORT = 8001


@dataclass(frozen=True)
class Post:
    """One configuration that wants to run.

    Attributes:
        key: any text that no other post has, as in `idle-clock::nginx-1.26::broken`.
        proxy: what runs it.
        config: the full configuration file with `${PORT}` and, as a rule, `${MODEL}`. The other
            files of its folder are copied beside it; those in sub-folders are not.
    """

    key: str
    proxy: Proxy
    config: Path


@dataclass(frozen=True)
class Place:
    """Where a post stands: its port inside the container, and its file there."""

    post: Post
    port: int

    @property
    def slot(self) -> str:
        """Its name in the container's log."""
        return str(self.port)

    @property
    def folder(self) -> str:
        """Where its files are, inside the container."""
        return f"{ROOT}/posts/{self.slot}"

    @property
    def file(self) -> str:
        """Its configuration, inside the container."""
        return f"{self.folder}/{self.post.config.name}"

    @property
    def program(self) -> Program:
        """The process that serves it."""
        return Program(self.slot, tuple(self.post.proxy.product.command(self.file)))


def places(posts: Sequence[Post]) -> Mapping[Proxy, tuple[Place, ...]]:
    """Every post at its place, by proxy. Pure.

    Raises:
        BadInput: two posts have the same key.
    """
    seen: set[str] = set()
    found: dict[Proxy, tuple[Place, ...]] = {}
    for post in posts:
        if post.key in seen:
            raise BadInput(f"Two configurations are called {post.key!r}.", "Rename one of them.")
        seen.add(post.key)
        others = found.get(post.proxy, ())
        found[post.proxy] = (*others, Place(post, FIRST_PORT + len(others)))
    return found


def lay_out(target: Path, stand: Sequence[Place], model: config.Upstream) -> None:
    """Write all that a container needs into a folder that becomes its `ROOT`.

    Raises:
        BadInput: a configuration cannot be read or has no `${PORT}`.
    """
    for place in stand:
        folder = target / "posts" / place.slot
        folder.mkdir(parents=True)
        text = config.fill(config.read_template(place.post.config), place.port, model)
        (folder / place.post.config.name).write_text(text, encoding="utf-8")
        for file in config.companions(place.post.config):
            shutil.copyfile(file, folder / file.name)
    (target / "start.sh").write_text(script([place.program for place in stand]))
    _readable(target)


def lay_out_package(target: Path, package: Path) -> None:
    """Copy a Python package for the model server, without what this machine's Python compiled."""
    shutil.copytree(package, target / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    _readable(target)


def lay_out_snippets(target: Path, snippets: Path, suffix: str) -> None:
    """Copy the snippets that users copy, byte for byte; none is fine."""
    target.mkdir(parents=True)
    for file in sorted(snippets.glob(f"*{suffix}")):
        shutil.copyfile(file, target / file.name)
    _readable(target)


def _readable(folder: Path) -> None:
    """Official images run as users of their own, who must read it whatever our umask."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
