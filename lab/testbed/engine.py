"""The container engine: use the one that answers, and bring one where the machine allows it.

What to do is decided by a pure function over what was seen (`decide`), so that every case can be
tested without an engine. Only on Debian and Ubuntu, as root, and unless `LAB_INSTALL_ENGINE=0`, is
anything installed or started.

Warning: a daemon started here outlives the lab on purpose. It is detached from the terminal, so neither
the end of the lab nor Ctrl-C reaches it.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import docker
import docker.errors
import psutil
from testcontainers.core.docker_client import get_docker_host

from lab.cache import machine_lock
from lab.errors import EnvironmentFault
from lab.testbed import _commands, _machine
from lab.testbed._faults import ENGINE_ERRORS, engine_faults, explain

Say = Callable[[str], None]
"""Takes one line of progress for the user."""

PACKAGES = ("docker.io", "iptables")
"""The engine in Debian and Ubuntu; iptables is only a recommendation there, but it does not start without."""

DEFAULT_ADDRESS = "unix:///var/run/docker.sock"
OPEN_FILES = 2**14
"""Of the model server, more than of any product: a connection or two for each stream, and a port for each case."""
DAEMON = ("/bin/sh", "-c", f"ulimit -n {OPEN_FILES} || ulimit -n $(ulimit -H -n); exec dockerd")
"""Containers may have as many open files as the engine, and a shell's limit may be too low for a whole run; where it
cannot be raised, the engine is started all the same."""
DAEMON_LOG = Path("/var/log/token-stream-lab-dockerd.log")
START_LIMIT = 60.0
"""Seconds a daemon gets to answer; 8 s were measured on two cores, the rest is for a busy disk."""

_PID_FILES = {
    Path("/var/run/docker.pid"): "dockerd",
    Path("/var/run/docker/containerd/containerd.pid"): "containerd",
}


class Action(Enum):
    """What to do about the engine."""

    USE = "use"
    WAIT = "wait"
    START = "start"
    INSTALL = "install"
    GIVE_UP = "give up"


@dataclass(frozen=True)
class Situation:
    """What was seen of the engine and the machine.

    Attributes:
        answers: an engine answers.
        address: where the user said it is (`DOCKER_HOST` or docker's context), if they did.
        running: a dockerd runs on this machine.
        installed: dockerd is on the path.
        debian: Debian, Ubuntu or a relative.
        root: we are root.
        allowed: the user did not forbid to install.
    """

    answers: bool
    address: str | None
    running: bool
    installed: bool
    debian: bool
    root: bool
    allowed: bool


def decide(seen: Situation) -> Action:
    """What to do about the engine in a situation. Pure."""
    if seen.answers:
        return Action.USE
    # An address that the user chose is not replaced by an engine of our own.
    if seen.address is not None or not (seen.root and seen.debian and seen.allowed):
        return Action.GIVE_UP
    if seen.running:
        return Action.WAIT
    return Action.START if seen.installed else Action.INSTALL


def why_not(seen: Situation) -> EnvironmentFault:
    """The error for a situation in which the lab gives up. Pure."""
    if seen.address is not None:
        return EnvironmentFault(
            f"No container engine answers at {seen.address}.",
            "Start it, or unset DOCKER_HOST (or `docker context use default`).",
        )
    if seen.installed or seen.running:
        return EnvironmentFault(
            "A container engine is installed but does not answer.",
            "Start it (`systemctl start docker`), and make sure that you may use it: be root or in the group docker.",
        )
    return EnvironmentFault(
        "No container engine answers on this machine.",
        "Install Docker (https://docs.docker.com/engine/install/) and start it. On Debian and "
        f"Ubuntu: apt-get install {' '.join(PACKAGES)}; as root there, the lab does it itself "
        "unless LAB_INSTALL_ENGINE=0.",
    )


def ensure_engine(say: Say) -> docker.DockerClient:
    """A client of an engine that answers; brings one where the machine allows it.

    Returns:
        An open client; the caller closes it.

    Raises:
        EnvironmentFault: no engine answers and none can be brought; names the remedy.
    """
    client = _answering()
    if client is not None:
        return client
    # Two runs at the same time must not install or start twice.
    with machine_lock("engine"):
        client = _answering()
        seen = look(answers=client is not None)
        action = decide(seen)
        if client is not None:
            return client
        if action is Action.GIVE_UP:
            raise why_not(seen)
        return _bring(action, say)


def _bring(action: Action, say: Say) -> docker.DockerClient:
    """Install, start, wait: as much of it as the action asks for."""
    if action is Action.INSTALL:
        say(f"No container engine here: installing {' and '.join(PACKAGES)} with apt-get.")
        _commands.apt_install(PACKAGES, "installing the container engine")
    elif action is Action.START:
        say("The container engine is installed but not running: starting it.")
    if action is Action.WAIT or _daemon_runs():
        return _await_answer(None)
    if Path("/run/systemd/system").is_dir():
        remedy = "Ask `journalctl -u docker` why."
        _commands.run(["systemctl", "start", "docker"], "starting the container engine", remedy)
        return _await_answer(None)
    return _await_answer(_start_daemon())


def look(*, answers: bool) -> Situation:
    """What is to be seen of the engine and the machine; changes nothing."""
    return Situation(
        answers=answers,
        address=get_docker_host(),
        running=_daemon_runs(),
        installed=shutil.which("dockerd") is not None,
        debian=_machine.is_debian_family(),
        root=_machine.is_root(),
        allowed=_machine.may_install(),
    )


def connect(timeout: int = 60) -> docker.DockerClient:
    """A client of the engine the user means: `DOCKER_HOST`, else docker's context, else the default.

    Args:
        timeout: seconds of silence after which a request fails.

    Raises:
        EnvironmentFault: no engine answers.
    """
    with engine_faults("being connected to"):
        return _connect(timeout)


def _connect(timeout: int) -> docker.DockerClient:
    address = get_docker_host() or DEFAULT_ADDRESS
    if address.startswith("unix://"):
        # Asked here first, because docker-py leaves its own socket open when nobody answers.
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(address.removeprefix("unix://"))
        except OSError as error:
            raise docker.errors.DockerException(f"{address}: {error.strerror}") from error
    environment = {**os.environ, "DOCKER_HOST": address}
    return docker.from_env(timeout=timeout, environment=environment)


def _answering() -> docker.DockerClient | None:
    """A client, if an engine answers."""
    client = None
    try:
        client = _connect(timeout=60)
        client.ping()
    except ENGINE_ERRORS:
        if client is not None:
            client.close()
        return None
    return client


def _daemon_runs() -> bool:
    return any(program_of(pid) == "dockerd" for pid in psutil.pids())


def program_of(pid: int) -> str:
    """The program that a process runs; empty if it has ended, even if nobody has taken notice of that yet."""
    try:
        process = psutil.Process(pid)
        return "" if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD) else process.name()
    except (psutil.Error, ValueError):
        return ""


def drop_stale_pid_files() -> None:
    """Remove pid files whose process is gone or is another program by now.

    The daemon refuses to start when any process at all has the number in its file, which is common
    after a restart of a small machine.
    """
    for path, name in _PID_FILES.items():
        try:
            pid = int(path.read_text())
        except (OSError, ValueError):
            pid = 0
        if program_of(pid) != name:
            path.unlink(missing_ok=True)


def _start_daemon() -> subprocess.Popen[bytes]:
    drop_stale_pid_files()
    with DAEMON_LOG.open("wb") as log:
        return subprocess.Popen(  # noqa: S603  # our own words
            DAEMON,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd="/",
            start_new_session=True,
        )


def _await_answer(daemon: subprocess.Popen[bytes] | None) -> docker.DockerClient:
    """Ask until the engine answers; stop early when a daemon of ours has exited."""
    limit = time.monotonic() + _machine.patience(START_LIMIT)
    while time.monotonic() < limit:
        client = _answering()
        if client is not None:
            if daemon is not None:
                # Disowned: it outlives us, and Popen would otherwise warn that it still runs.
                daemon.returncode = 0
            return client
        if daemon is not None and daemon.poll() is not None:
            break
        # The daemon offers nothing to wait on before its socket exists.
        time.sleep(0.2)
    raise EnvironmentFault(
        f"The container engine was started but does not answer.{_daemon_log()}",
        f"Ask {DAEMON_LOG} or `journalctl -u docker` why; LAB_PATIENCE=3 waits longer.",
    )


def _daemon_log() -> str:
    try:
        return "\n" + _commands.last_lines(DAEMON_LOG.read_text(errors="replace"))
    except OSError:
        return ""


def describe(client: docker.DockerClient) -> str:
    """The engine in a few words, for reports: `Docker 20.10.24`."""
    try:
        return f"Docker {client.version()['Version']}"
    except ENGINE_ERRORS as error:
        return f"an engine that does not tell its version ({explain(error)})"
