"""The three servers under measurement: how each is started, and what its tokens look like on the wire.

All three are told the same thing: no time to the first token, the same interval, the same number of
tokens. Each runs alone, pinned to its core, as one process.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

GUIDELLM = "0.8.1"
_READY_WITHIN = 60.0
_INSTALL_WITHIN = 1800.0
_SIZE = "about 6 GB with all that it depends on"


class Unavailable(Exception):
    """A peer cannot be had here; the text is the reason that stands in the table."""


@dataclass(frozen=True)
class Load:
    """What every server is asked to do.

    Args:
        streams: how many at the same time.
        tokens: in each stream.
        interval: seconds between two tokens.
        ramp: seconds over which they arrive.
    """

    streams: int
    tokens: int
    interval: float
    ramp: float


@dataclass(frozen=True)
class Server:
    """One server.

    Args:
        name: as the table shows it.
        health: path that answers 200 once it is ready.
        token: bytes that stand in each token's event exactly once, and nowhere else.
        model: the model's name to ask for.
        command: the command line; `{port}` is filled in.
        environment: added to the process's environment.
    """

    name: str
    health: str
    token: bytes
    model: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)


def ours(load: Load) -> Server:
    """The lab's model server."""
    model = f"lab?tokens={load.tokens}&interval={load.interval * 1e3:g}ms"
    command = (sys.executable, "-m", "lab.model", "--port", "{port}", "--connections", str(load.streams + 100))
    return Server("token-stream-lab", "/lab/health", b'"delta":{"content":"', model, command)


def plain(load: Load) -> Server:
    """A plain aiohttp handler."""
    script = str(Path(__file__).with_name("plain_aiohttp.py"))
    command = (sys.executable, script, "--port", "{port}", "--interval", str(load.interval))
    return Server("plain aiohttp, sleep between tokens", "/health", b'"delta": {"content": "', "plain", command)


def guidellm(load: Load) -> Server:
    """Guidellm's mock server, from an environment of its own.

    Raises:
        Unavailable: it cannot be installed.
    """
    command = (
        *(str(_install_guidellm()), "mock-server", "--host", "127.0.0.1", "--port", "{port}"),
        *("--ttft-ms", "0", "--itl-ms", f"{load.interval * 1e3:g}", "--output-tokens", str(load.tokens)),
    )
    environment = {"HF_HUB_OFFLINE": "1", "SANIC_ACCESS_LOG": "false"}
    token = b'"delta": {"content": "'
    return Server(f"guidellm {GUIDELLM} mock-server", "/health", token, "mock", command, environment)


def _install_guidellm() -> Path:
    """Path of the command; asks before it installs it, since its dependencies weigh gigabytes."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "token-stream-lab"
    home = cache / f"guidellm-{GUIDELLM}"
    command, done = home / "bin" / "guidellm", home / "installed"
    if done.exists():
        return command
    if not _agreed(f"guidellm {GUIDELLM} is not installed: {_SIZE}, once, into {home}. Install it? [y/N] "):
        raise Unavailable(f"not installed ({_SIZE}); run `make bench` in a terminal and answer y")
    try:
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)  # noqa: S603 - our own arguments
        install = [str(home / "bin" / "pip"), "install", "--quiet", f"guidellm=={GUIDELLM}"]
        subprocess.run(install, check=True, timeout=_INSTALL_WITHIN)  # noqa: S603 - our own arguments
    except (subprocess.SubprocessError, OSError) as error:
        raise Unavailable(f"guidellm {GUIDELLM} could not be installed: {error}") from error
    done.touch()
    return command


@cache
def _agreed(question: str) -> bool:
    """Ask once; where nobody can answer, it is no."""
    if not sys.stdin.isatty():
        return False
    sys.stderr.write(f"\n{question}")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


@contextmanager
def running(server: Server, core: int | None) -> Iterator[tuple[int, int]]:
    """Run a server pinned to a core; yields its port once it is ready, and the process's number.

    Raises:
        Unavailable: it ended or never became ready; the text says so.
    """
    port = _free_port()
    command = [part.format(port=port) for part in server.command]
    process = subprocess.Popen(  # noqa: S603 - our own arguments
        command,
        env={**os.environ, **server.environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        if core is not None:
            os.sched_setaffinity(process.pid, {core})
        prefer(process.pid)
        _await_ready(process, f"http://127.0.0.1:{port}{server.health}")
        yield port, process.pid
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def prefer(process: int) -> bool:
    """Put a process before whatever else its core does; False where that needs a right we lack.

    A nice value would not do: it counts only among the processes of one control group, and the others on
    a busy machine are in groups of their own.
    """
    try:
        os.sched_setscheduler(process, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        return False
    return True


def _await_ready(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + _READY_WITHIN
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Unavailable(f"{process.args!r} ended with {process.returncode} before it was ready")
        try:
            with urllib.request.urlopen(url, timeout=1.0):  # noqa: S310 - always http
                return
        except (urllib.error.URLError, OSError):
            # No event tells that another process listens; asking is the only way.
            time.sleep(0.05)
    raise Unavailable(f"{url} did not answer within {_READY_WITHIN:g} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
