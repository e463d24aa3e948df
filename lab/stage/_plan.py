"""What goes into which container, worked out before anything is started. Pure but for reading files.

One container for each proxy, one process in it for each configuration. A process is named after its
port, which is all that goes through shell and log; the key that callers use stays outside.

The processes of one container share its network. What keeps them apart there:

- A port is drawn anew for every stage, so that no configuration can be written to listen on another one's, or does so
  by chance.
- The stage looks at what is listened on in a container (`lab.stage._listeners`); whoever listens on more than its own
  port gets a container to itself.
- The model server listens on the same number for that configuration alone, so that its ledger tells over which
  configuration a request came.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.errors import BadInput
from lab.proxies import Proxy
from lab.stage import config
from lab.stage.supervisor import Program, script

ROOT = "/opt/token-stream-lab"
"""The lab's folder inside every container."""
PORTS = range(10_000, 30_000)
"""Below those that the kernel gives to connections."""


@dataclass(frozen=True)
class Post:
    """One configuration that wants to run.

    Attributes:
        key: any text that no other post has, as in `idle-clock::nginx-1.26::broken`.
        proxy: what runs it.
        config: the full configuration file with `${PORT}` and, as a rule, `${MODEL}`. The other
            files of its folder are copied beside it; those in sub-folders are not.
        behind: the key of the post that `${MODEL}` means; None for the model server.
    """

    key: str
    proxy: Proxy
    config: Path
    behind: str | None = None


@dataclass(frozen=True)
class Place:
    """Where a post stands: its port and its file inside the container.

    Attributes:
        post: what stands there.
        port: no other place of the stage has it, in whatever container; the model server listens on it for this
            place alone.
        upstream: what it asks.
    """

    post: Post
    port: int
    upstream: config.Upstream

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

    def text(self) -> str:
        """All that its configuration and the files beside it say, as far as it is text."""
        files = (self.post.config, *config.companions(self.post.config))
        return "\n".join(file.read_text(encoding="utf-8", errors="replace") for file in files)


@dataclass(frozen=True)
class Stand:
    """One container: its name, the proxy whose image it has, and the places in it."""

    name: str
    proxy: Proxy
    places: tuple[Place, ...]

    @classmethod
    def alone(cls, place: Place) -> Stand:
        """A container for one place that another container has no room for."""
        return cls(f"{place.post.proxy.id}-{place.slot}", place.post.proxy, (place,))


def stands(posts: Sequence[Post], model: str) -> tuple[Stand, ...]:
    """Every post at a place of its own, one container for each proxy.

    Args:
        posts: the configurations.
        model: the model server's name in the containers' network.

    Raises:
        BadInput: two posts have the same key, one is behind another that there is not, or there are more than ports.
    """
    if len(posts) > len(PORTS):
        raise BadInput(f"There are {len(posts)} configurations; the lab has room for {len(PORTS)}.", "Run fewer.")
    asked: dict[str | None, config.Upstream] = {}
    ports = random.sample(PORTS, len(posts))
    for post, port in zip(posts, ports, strict=True):
        if post.key in asked:
            raise BadInput(f"Two configurations are called {post.key!r}.", "Rename one of them.")
        asked[post.key] = config.Upstream(post.proxy.id, port)
    found: dict[Proxy, list[Place]] = {}
    for post, port in zip(posts, ports, strict=True):
        asked[None] = config.Upstream(model, port)
        if post.behind not in asked:
            raise BadInput(f"{post.key!r} is behind {post.behind!r}, which is no configuration.", "Correct the name.")
        found.setdefault(post.proxy, []).append(Place(post, port, asked[post.behind]))
    return tuple(Stand(proxy.id, proxy, tuple(places)) for proxy, places in found.items())


def lay_out(target: Path, stand: Stand) -> None:
    """Write all that a container needs into a folder whose files go into its `ROOT`.

    Args:
        target: a folder that is made.
        stand: the container.

    Raises:
        BadInput: a configuration cannot be read or has no `${PORT}`.
    """
    posts = target / "posts"
    for place in stand.places:
        folder = posts / place.slot
        folder.mkdir(parents=True)
        text = config.fill(config.read_template(place.post.config), place.port, place.upstream)
        (folder / place.post.config.name).write_text(text, encoding="utf-8")
        for file in config.companions(place.post.config):
            shutil.copyfile(file, folder / file.name)
    (target / "start.sh").write_text(script([place.program for place in stand.places], stand.proxy.product.prepare))
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
