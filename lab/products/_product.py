"""What the lab has to know of a proxy: its files, its commands, its releases.

Commands are given in full and rely on nothing that an image sets up, so that one configuration file
serves both the official image and a local one: foreground, log on standard output or error, and no
file outside /tmp, because official images may run as a user who owns nothing else. Several processes
of one product share a container, so no command may use a fixed pid file, socket or shared memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

Command = Callable[[str], list[str]]


@dataclass(frozen=True)
class Product:
    """A proxy as its makers name it, whatever the release.

    Attributes:
        name: also the name of its folder inside a scenario.
        suffix: of its configuration files, with the dot.
        releases: major and minor number each; the first is the default.
        command: the path of a configuration file, to the command that serves it in the foreground.
        check_command: the same, to the command that validates the file and exits with 0 or not.
        version_command: prints the version, on standard output or error.
        version_pattern: finds the version in that output as its first group.
        snippets: the folder inside a container that receives the snippets that users copy, if the
            product has any.
        capabilities: of Linux, without `CAP_`: what a configuration may ask of it that needs more than an ordinary
            process may, such as to serve as another user.
        writable: folders inside a container that it writes to, beside those for temporary files; empty at its start.
        prepare: shell commands to be run in a container before it.
    """

    name: str
    suffix: str
    releases: tuple[str, ...]
    command: Command
    check_command: Command
    version_command: tuple[str, ...]
    version_pattern: str
    snippets: str | None = None
    capabilities: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    prepare: tuple[str, ...] = ()

    def read_version(self, output: str) -> str | None:
        """The version in the output of `version_command`; None where it carries none."""
        found = re.search(self.version_pattern, output)
        return found.group(1) if found else None


@dataclass(frozen=True)
class Proxy:
    """One product at one release: what stands in one container.

    Two proxies are equal when product name and release are; commands are functions and compare by
    identity, which holds because each product exists once.
    """

    product: Product
    release: str

    @property
    def id(self) -> str:
        """Its name in commands, files and reports: `nginx-1.26`."""
        return f"{self.product.name}-{self.release}"

    @property
    def image(self) -> str:
        """Its key in the table of images."""
        return self.id
