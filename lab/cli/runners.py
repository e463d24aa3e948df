"""`--runner` and `--binary`: what a run is made with, and what that leaves to run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from lab.errors import BadInput
from lab.testbed.binaries import Binary, Had
from lab.testbed.engine import Say
from lab.testbed.supply import RunnerWish, Supply, choose, from_machine

Chosen = TypeVar("Chosen")


def supplied(
    wish: RunnerWish, proxies: Sequence[str], select: Callable[[Supply, Sequence[str]], tuple[Chosen, ...]], say: Say
) -> tuple[Supply, tuple[Chosen, ...]]:
    """What to run with, and what to run; all that the user wrote is checked before anything is started for it.

    Args:
        wish: what the user asks for.
        proxies: products or versions that the user names.
        select: chooses behind some proxies, of those that a supply knows.
        say: takes one line of progress.

    Raises:
        BadInput: names, proxies and binaries do not fit each other.
        EnvironmentFault: containers are asked for, and there is no engine.
    """
    here = from_machine(wish.binaries)
    named = [binary for binary in here.found if binary.how is Had.NAMED]
    wanted = only(named, proxies)
    chosen = select(here, wanted)
    supply = choose(say, wish, here)
    return supply, chosen if supply is here else select(supply, wanted)


def only(named: Sequence[Binary], proxies: Sequence[str]) -> list[str]:
    """The proxies that are meant: those that the binaries are, and others that were asked for beside them. Pure.

    Args:
        named: binaries that the user gave.
        proxies: products or versions that the user asked for; none means all, or all binaries.

    Raises:
        BadInput: a binary is another product, or another version, than was asked for.
    """
    rest = list(proxies)
    for binary in named:
        names = {binary.proxy.product.name, binary.proxy.id}
        if proxies and not names & set(proxies):
            raise BadInput(
                f"--binary {binary.path}: it is {binary.proxy.product.title} {binary.version}, and --proxy asks for "
                f"{' and '.join(proxies)}.",
                f"Give another binary, or --proxy {binary.proxy.id}.",
            )
        rest = [name for name in rest if name not in names]
    return [*(binary.proxy.id for binary in named), *rest]
