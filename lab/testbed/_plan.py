"""What goes into which container, worked out before anything is started. Pure but for reading files.

One container for each proxy, one process in it for each configuration. A process is named after its
port, which is all that goes through shell and log; the key that callers use stays outside.

The processes of one container share its network. What keeps them apart there:

- A port is drawn anew for every testbed, so that no configuration can be written to listen on another one's, or does
  so by chance.
- The testbed looks at what is listened on in a container (`lab.testbed._listeners`); whoever listens on more than its
  own port gets a container to itself.
- The model server listens on the same number for that configuration alone, so that its ledger tells over which
  configuration a request came.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lab.errors import BadInput
from lab.files import read_exactly
from lab.products import Proxy, speaks_tls
from lab.testbed import config
from lab.testbed.certificate import FILE, certificate
from lab.testbed.supervisor import Program, script

ROOT = "/opt/token-stream-lab"
"""The lab's folder inside every container."""
PORTS = range(10_000, 30_000)
"""Below those that the kernel gives to connections."""

MODEL_CONNECTIONS = 30_000
"""That the model server of a testbed takes, so that it is never the limit of a path: more than one machine has ports
for."""


@dataclass(frozen=True)
class Target:
    """One configuration that wants to run.

    Attributes:
        key: any text that no other target has, as in `idle-timeout::nginx-1.26::broken`.
        proxy: what runs it.
        config: the full configuration file with `${PORT}` and, as a rule, `${MODEL}`; one with `${CERTIFICATE}` speaks
            TLS to its clients. The other files of its folder are copied beside it; those in sub-folders are not.
        behind: the key of the target that `${MODEL}` means; None for the model server. One that speaks TLS is to be
            asked with https.
        over_tls: whether it speaks TLS where it is asked; None where its certificate tells. A file may have one for
            another of its listeners.
    """

    key: str
    proxy: Proxy
    config: Path
    behind: str | None = None
    over_tls: bool | None = None

    @cached_property
    def has_certificate(self) -> bool:
        """Whether it wants one; looked up once, for the file may be edited while it runs."""
        return speaks_tls(self.config)

    @cached_property
    def two_models(self) -> bool:
        """Whether it balances between two model servers; looked up once, as well."""
        return config.has_two_models(self.config)

    @property
    def secure(self) -> bool:
        """Whether it speaks TLS to its clients."""
        return self.has_certificate if self.over_tls is None else self.over_tls


@dataclass(frozen=True)
class Instance:
    """Where a target runs: its port and its folder, as its own process knows them.

    Attributes:
        target: what runs there.
        port: no other instance of the testbed has it, in whatever container.
        upstream: what it asks; the model server listens at that port for this instance alone.
        folder: where its files are.
        edition: how often they have been written: what a reload changes in them.
    """

    target: Target
    port: int
    upstream: config.Upstream
    folder: str
    edition: int = 1

    @property
    def slot(self) -> str:
        """Its name in the container's log."""
        return str(self.port)

    @property
    def file(self) -> str:
        """Its configuration."""
        return f"{self.folder}/{self.target.config.name}"

    @property
    def model_ports(self) -> tuple[int, ...]:
        """The ports of the model server that are its own; none where it asks another target."""
        up = self.upstream
        return () if self.target.behind is not None else tuple(port for port in (up.port, up.second) if port)

    @property
    def program(self) -> Program:
        """The process that serves it."""
        return Program(self.slot, tuple(self.target.proxy.product.command(self.file)))

    def fill(self, template: str) -> str:
        """A text of its configuration with the names replaced."""
        return config.fill(template, self.port, self.upstream, f"{self.folder}/{FILE}", self.edition)

    def beside(self, file: Path, adapt: Callable[[str], str] = str) -> bytes:
        """A file beside its configuration as it is given to the process; one in the product's language is filled in.

        Args:
            file: one of `config.companions`.
            adapt: changes its text before that.
        """
        text = adapt(read_exactly(file))
        filled = self.fill(text) if file.suffix == self.target.proxy.product.suffix else text
        return filled.encode("utf-8", "surrogateescape")

    def text(self) -> str:
        """All that its configuration and the files beside it say, as far as it is text."""
        files = (self.target.config, *config.companions(self.target.config))
        return "\n".join(file.read_text(encoding="utf-8", errors="replace") for file in files)


@dataclass(frozen=True)
class Pod:
    """One container: its name, the proxy whose image it has, and the instances in it."""

    name: str
    proxy: Proxy
    instances: tuple[Instance, ...]

    @classmethod
    def alone(cls, instance: Instance) -> Pod:
        """A container for one instance that another container has no room for."""
        return cls(f"{instance.target.proxy.id}-{instance.slot}", instance.target.proxy, (instance,))


def check(targets: Sequence[Target]) -> None:
    """Make sure that the targets can stand on one testbed.

    Raises:
        BadInput: two targets have the same key, one is behind another that there is not, or there are more than ports.
    """
    if len(targets) + sum(target.two_models for target in targets) > len(PORTS):
        raise BadInput(f"There are {len(targets)} configurations; the lab has room for {len(PORTS)}.", "Run fewer.")
    keys: set[str] = set()
    for target in targets:
        if target.key in keys:
            raise BadInput(f"Two configurations are called {target.key!r}.", "Rename one of them.")
        keys.add(target.key)
    for target in targets:
        if target.behind is not None and target.behind not in keys:
            raise BadInput(
                f"{target.key!r} is behind {target.behind!r}, which is no configuration.", "Correct the name."
            )


def pods(targets: Sequence[Target], model: str) -> tuple[Pod, ...]:
    """Every target as an instance of its own, one container for each proxy.

    Args:
        targets: the configurations, as `check` finds them good.
        model: the model server's name in the containers' network.
    """
    drawn = iter(random.sample(PORTS, len(targets) + sum(target.two_models for target in targets)))
    ports = {target.key: next(drawn) for target in targets}
    ids = {target.key: target.proxy.id for target in targets}
    found: dict[Proxy, list[Instance]] = {}
    for target in targets:
        port, behind = ports[target.key], target.behind
        # Of the model server each has a port of its own, with the number of its own.
        second = next(drawn) if target.two_models else 0
        asked = config.Upstream(model, port, second) if behind is None else config.Upstream(ids[behind], ports[behind])
        found.setdefault(target.proxy, []).append(Instance(target, port, asked, f"{ROOT}/targets/{port}"))
    return tuple(Pod(proxy.id, proxy, tuple(instances)) for proxy, instances in found.items())


def lay_out(to: Path, pod: Pod) -> None:
    """Write all that a container needs into a folder whose files go into its `ROOT`.

    Args:
        to: a folder that is made.
        pod: the container.

    Raises:
        BadInput: a configuration cannot be read or has no `${PORT}`.
    """
    targets = to / "targets"
    for instance in pod.instances:
        folder = targets / instance.slot
        folder.mkdir(parents=True)
        text = instance.fill(config.read_template(instance.target.config))
        (folder / instance.target.config.name).write_text(text, encoding="utf-8")
        for file in config.companions(instance.target.config):
            (folder / file.name).write_bytes(instance.beside(file))
        if instance.target.has_certificate:
            (folder / FILE).write_bytes(certificate().pem)
    (to / "start.sh").write_text(script([instance.program for instance in pod.instances], pod.proxy.product.prepare))
    _readable(to)


def lay_out_package(to: Path, package: Path) -> None:
    """Copy a Python package for the model server, without what this machine's Python compiled."""
    shutil.copytree(package, to / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    _readable(to)


def lay_out_snippets(to: Path, snippets: Path, suffix: str) -> None:
    """Copy the snippets that users copy, byte for byte; none is fine."""
    to.mkdir(parents=True)
    for file in sorted(snippets.glob(f"*{suffix}")):
        shutil.copyfile(file, to / file.name)
    _readable(to)


def _readable(folder: Path) -> None:
    """Official images run as users of their own, who must read it whatever our umask."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
