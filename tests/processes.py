"""The lab in a process of its own, stopped at a chosen moment; and what such a process has in the engine.

Other runs may be at work on the same machine, so nothing here looks at more than one process's things.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import docker

from lab.testbed._owner import LABEL, OWNER_LABEL, SCOPE_LABEL, Owner, folders, own_scope

LAB = Path(sys.executable).with_name("lab")
LIMIT = 600.0
"""Seconds after which a command is taken to hang; `lab run` takes a minute on two free cores, and was seen to take more
than three beside the other tests."""

IMAGES, START, PLAY, PLAYED = "-- images", "-- start", "-- play", "-- played"
"""What `ANNOUNCED` prints when a phase begins, and when the exchanges of one side are over."""

ANNOUNCED = f"""
import signal, sys
# Whoever runs the tests may have been started deaf to a closed terminal.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from lab import cli
from lab.cli import run as cli_run
from lab.testbed import images, readiness

def announce(place, name, phase):
    right = getattr(place, name)
    def announced(*args, **kwargs):
        print(phase, flush=True)
        return right(*args, **kwargs)
    setattr(place, name, announced)

announce(images, "ensure", "{IMAGES}")
announce(readiness, "await_answer", "{START}")
announce(cli_run.LiveProgress, "begins", "{PLAY}")
announce(cli_run.LiveProgress, "played", "{PLAYED}")
sys.exit(cli.main())
"""
"""The command line, announcing where it is."""


@contextmanager
def running(
    *arguments: str | Path, env: Mapping[str, str] | None = None, in_background: bool = False
) -> Iterator[subprocess.Popen[str]]:
    """The command line in a process of its own, which announces its phases; killed if the block leaves it running.

    Args:
        arguments: of the command line.
        env: variables beside those of this process.
        in_background: start it as a shell's script starts what stands before an ampersand: deaf to Ctrl-C.
    """
    command = [sys.executable, "-c", ANNOUNCED, *map(str, arguments)]
    if in_background:
        command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command]
    environment = {**os.environ, **(env or {})}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def await_line(process: subprocess.Popen[str], wanted: str) -> None:
    """Read what the process prints until that line comes."""
    assert process.stdout is not None
    seen: list[str] = []
    for line in process.stdout:
        seen.append(line)
        if line.rstrip("\n") == wanted:
            return
    raise AssertionError(f"the process ended without {wanted!r}:\n{''.join(seen)}")


def end_of(process: subprocess.Popen[str], number: signal.Signals | None = None) -> tuple[int, str, str]:
    """Exit code and what is left of both outputs, after a signal if one is given."""
    if number is not None:
        process.send_signal(number)
    out, err = process.communicate(timeout=LIMIT)
    return process.returncode, out, err


def messages(text: str) -> list[str]:
    """The lab's own messages in what a command printed on standard error."""
    return [line for line in text.splitlines() if line.startswith("lab: ")]


def left_by(client: docker.DockerClient, pid: int) -> list[str]:
    """The names of all containers, networks and temporary folders of one process."""
    labelled: dict[str, str | list[str] | bool] = {"label": [LABEL, f"{SCOPE_LABEL}={own_scope()}"]}
    containers = client.containers.list(all=True, filters=labelled, ignore_removed=True)
    networks = client.networks.list(filters=labelled)
    return [
        *(str(each.name) for each in containers if _is_of(each.labels, pid)),
        *(str(each.name) for each in networks if _is_of(each.attrs.get("Labels") or {}, pid)),
        *(str(folder.path) for folder in folders() if _is_of(folder.labels, pid)),
    ]


def _is_of(labels: Mapping[str, str], pid: int) -> bool:
    owner = Owner.parse(labels.get(OWNER_LABEL, ""))
    return owner is not None and owner.pid == pid and labels[SCOPE_LABEL] == own_scope()
